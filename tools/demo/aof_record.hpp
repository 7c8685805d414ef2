// One record of the append-only log: a command as RESP, in the only spelling that we write.
//
//   *3\r\n $3\r\nSET\r\n $1\r\nk\r\n $1\r\nv\r\n
//
// The parser of requests cannot read records: it accepts inline commands, so any text is a command,
// and it does not check the line ends behind the arguments. Here every byte that we would not have
// written is damage, so an "incomplete" record is a true prefix of one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace demo {

/// A text or a number; a view, for arguments only.
class Word {
 public:
  Word(std::string_view text) noexcept : text_(text) {}
  Word(const char* text) noexcept : text_(text) {}
  Word(const std::string& text) noexcept : text_(text) {}
  Word(std::int64_t number) noexcept : number_(number), is_number_(true) {}

  void append_to(std::string& out) const;

 private:
  std::string_view text_;
  std::int64_t number_ = 0;
  bool is_number_ = false;
};

void append_record(std::string& out, std::span<const Word> words);
void append_record(std::string& out, std::span<const std::string_view> words);

struct Record {
  enum class State {
    kComplete,    // see `args` and `size`
    kIncomplete,  // a true prefix of a record
    kDamaged,     // no record, whatever follows
  };
  State state;
  std::size_t size = 0;
};

/// Reads the beginning of `bytes`, which must not be empty. `args` are views into them.
[[nodiscard]] Record parse_record(std::string_view bytes, std::vector<std::string_view>& args);

}  // namespace demo
