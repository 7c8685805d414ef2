// RESP2 reply encodings; reply.hpp says when they leave.
#include "tools/demo/reply.hpp"

#include <algorithm>

#include "tools/demo/text.hpp"

namespace demo {

void Replies::line(char type, std::int64_t value) {
  out_.push_back(type);
  append_integer(out_, value);
  out_.append("\r\n");
}

void Replies::simple(std::string_view text) {
  out_.push_back('+');
  out_.append(text).append("\r\n");
}

void Replies::error(std::string_view text) {
  ++errors_;
  out_.push_back('-');
  const std::size_t start = out_.size();
  out_.append(text);
  std::replace_if(
      out_.begin() + static_cast<std::ptrdiff_t>(start), out_.end(),
      [](char c) { return c == '\r' || c == '\n'; }, ' ');
  out_.append("\r\n");
}

void Replies::integer(std::int64_t value) { line(':', value); }

void Replies::bulk(std::string_view bytes) {
  line('$', static_cast<std::int64_t>(bytes.size()));
  out_.append(bytes).append("\r\n");
}

void Replies::bulk_integer(std::int64_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  bulk({digits, static_cast<std::size_t>(end - digits)});
}

void Replies::array(std::size_t count) { line('*', static_cast<std::int64_t>(count)); }

bool Replies::relieve() { return out_.size() < kFlushAt || flush(); }

bool Replies::flush() {
  if (sink_ == nullptr || out_.empty()) return true;
  bool sent = true;
  if (gate_ != nullptr) [[unlikely]] {
    const Passed passed = gate_->pass(out_);
    errors_ += passed.errors;
    sent = passed.is_open;
  }
  sent = sent && sink_->write(out_);
  if (sent) bytes_sent_ += out_.size();
  out_.clear();
  // One huge reply must not stay with the connection.
  if (out_.capacity() > 4 * kFlushAt) std::string().swap(out_);
  return sent;
}

}  // namespace demo
