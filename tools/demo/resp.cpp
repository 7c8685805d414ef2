// The parser of resp.hpp: one function per state, each leaves when the bytes run out.
#include "tools/demo/resp.hpp"

#include <algorithm>

#include "tools/demo/inline_command.hpp"
#include "tools/demo/text.hpp"

namespace demo {

using Status = RequestParser::Status;

void RequestParser::start_command() {
  args_.clear();
  extents_.clear();
  position_ = scanned_ = consumed_ = wanted_ = 0;
  // The memory for one huge command must not stay with the connection.
  constexpr std::size_t kKeep = 1024;
  if (extents_.capacity() > kKeep) extents_.shrink_to_fit();
  if (args_.capacity() > kKeep) args_.shrink_to_fit();
}

Status RequestParser::parse(std::string_view input) {
  if (state_ == State::kStart) {
    start_command();
    if (input.empty()) return Status::kMore;
    state_ = input.front() == '*' ? State::kHeader : State::kInline;
  }
  return state_ == State::kInline ? parse_inline(input) : parse_array(input);
}

Status RequestParser::fail(std::string_view message) {
  error_.assign("ERR Protocol error: ").append(message);
  return Status::kError;
}

Status RequestParser::parse_inline(std::string_view input) {
  const std::size_t newline = input.find('\n', scanned_);
  if (newline == std::string_view::npos) {
    scanned_ = input.size();
    return input.size() > kMaxInline ? fail("too big inline request") : Status::kMore;
  }
  std::string_view line = input.substr(0, newline);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.size() > kMaxInline) return fail("too big inline request");
  if (!split_inline(line, scratch_, args_)) return fail("unbalanced quotes in request");
  consumed_ = newline + 1;
  state_ = State::kStart;
  return Status::kCommand;
}

Status RequestParser::parse_array(std::string_view input) {
  for (;;) {
    Status status = Status::kMore;
    switch (state_) {
      case State::kHeader: status = parse_header(input); break;
      case State::kBulkHeader:
        if (remaining_ == 0) return finish(input);
        status = parse_bulk_header(input);
        break;
      case State::kBulk:
        wanted_ = position_ + bulk_length_ + 2;
        if (input.size() < wanted_) return Status::kMore;
        extents_.push_back({position_, bulk_length_});
        position_ = wanted_;  // Redis does not check the two bytes of the line end either
        --remaining_;
        state_ = State::kBulkHeader;
        continue;
      case State::kStart:
      case State::kInline: break;
    }
    if (status != Status::kCommand) return status;  // kCommand here: state done, go on
  }
}

std::size_t RequestParser::find_line_end(std::string_view input, std::string_view too_big,
                                         Status& status) {
  scanned_ = std::max(scanned_, position_);
  const std::size_t end = input.find('\r', scanned_);
  status = Status::kMore;
  if (end == std::string_view::npos) {
    scanned_ = input.size();
    if (input.size() - position_ > kMaxInline) status = fail(too_big);
    return std::string_view::npos;
  }
  scanned_ = end;
  return end + 1 < input.size() ? end : std::string_view::npos;
}

Status RequestParser::parse_header(std::string_view input) {
  Status status;
  const std::size_t end = find_line_end(input, "too big mbulk count string", status);
  if (end == std::string_view::npos) return status;
  const auto count = parse_integer(input.substr(1, end - 1));
  if (!count || *count > kMaxArguments) return fail("invalid multibulk length");
  remaining_ = std::max<std::int64_t>(*count, 0);
  position_ = end + 2;
  state_ = State::kBulkHeader;
  return Status::kCommand;
}

Status RequestParser::parse_bulk_header(std::string_view input) {
  if (position_ == input.size()) return Status::kMore;
  Status status;
  const std::size_t end = find_line_end(input, "too big bulk count string", status);
  if (end == std::string_view::npos) return status;
  const char type = input[position_];
  if (type != '$') {
    return fail(std::string("expected '$', got '").append(1, type).append("'"));
  }
  const auto length = parse_integer(input.substr(position_ + 1, end - position_ - 1));
  if (!length || *length < 0 || *length > kMaxBulk) return fail("invalid bulk length");
  bulk_length_ = static_cast<std::size_t>(*length);
  position_ = end + 2;
  state_ = State::kBulk;
  return Status::kCommand;
}

Status RequestParser::finish(std::string_view input) {
  args_.reserve(extents_.size());
  for (const Extent& extent : extents_) {
    args_.push_back(input.substr(extent.offset, extent.length));
  }
  consumed_ = position_;
  state_ = State::kStart;
  return Status::kCommand;
}

}  // namespace demo
