// Writing and reading of records; the two must agree byte for byte.
#include "tools/demo/aof_record.hpp"

#include <algorithm>

#include "tools/demo/resp.hpp"
#include "tools/demo/text.hpp"

namespace demo {
namespace {

using State = Record::State;

void append_header(std::string& out, char type, std::size_t number) {
  out.push_back(type);
  append_integer(out, number);
  out.append("\r\n");
}

void append_bulk(std::string& out, std::string_view text) {
  append_header(out, '$', text.size());
  out.append(text).append("\r\n");
}

// Takes "\r\n", or as much of it as is there, from the front of `rest`.
State take_line_end(std::string_view& rest) noexcept {
  const std::string_view wanted = std::string_view("\r\n").substr(0, rest.size());
  if (!rest.starts_with(wanted)) return State::kDamaged;
  rest.remove_prefix(wanted.size());
  return wanted.size() == 2 ? State::kComplete : State::kIncomplete;
}

// Takes "<type><number>\r\n"; every prefix of one with a number up to `limit` is incomplete.
State take_header(std::string_view& rest, char type, std::int64_t limit, std::int64_t& number) {
  if (rest.empty()) return State::kIncomplete;
  if (rest.front() != type) return State::kDamaged;
  rest.remove_prefix(1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto end = std::find_if_not(rest.begin(), rest.end(), is_digit);
  const auto digits = rest.substr(0, static_cast<std::size_t>(end - rest.begin()));
  rest.remove_prefix(digits.size());
  if (digits.empty()) return rest.empty() ? State::kIncomplete : State::kDamaged;
  const auto parsed = parse_integer(digits);
  if (!parsed || *parsed > limit) return State::kDamaged;
  number = *parsed;
  return take_line_end(rest);
}

}  // namespace

void Word::append_to(std::string& out) const {
  if (!is_number_) return append_bulk(out, text_);
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number_).ptr;
  append_bulk(out, {digits, static_cast<std::size_t>(end - digits)});
}

void append_record(std::string& out, std::span<const Word> words) {
  append_header(out, '*', words.size());
  for (const Word& word : words) word.append_to(out);
}

void append_record(std::string& out, std::span<const std::string_view> words) {
  append_header(out, '*', words.size());
  for (const std::string_view word : words) append_bulk(out, word);
}

Record parse_record(std::string_view bytes, std::vector<std::string_view>& args) {
  args.clear();
  std::string_view rest = bytes;
  std::int64_t count = 0;
  State state = take_header(rest, '*', RequestParser::kMaxArguments, count);
  if (state == State::kComplete && count == 0) return {State::kDamaged};
  for (; state == State::kComplete && count > 0; --count) {
    std::int64_t length = 0;
    state = take_header(rest, '$', RequestParser::kMaxBulk, length);
    if (state != State::kComplete) break;
    const auto size = static_cast<std::size_t>(length);
    if (rest.size() < size) return {State::kIncomplete};
    args.push_back(rest.substr(0, size));
    rest.remove_prefix(size);
    state = take_line_end(rest);
  }
  return {state, bytes.size() - rest.size()};
}

}  // namespace demo
