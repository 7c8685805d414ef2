// Incremental parser of RESP2 requests: arrays of bulk strings, and inline commands.
//
//   *2\r\n $3\r\nGET\r\n $1\r\nk\r\n        one command
//   ^ start of `input`: stays the same until the command is complete and the caller consumes it
//
// The caller keeps the bytes of an unfinished command at the front of its buffer and calls parse()
// with more of them. The parser scans no byte twice and copies nothing: arguments are offsets that
// become views when the command is complete. (It unescapes inline commands with quotes into a
// scratch string.) It never reserves memory for announced bytes: a header that announces 512 MiB
// costs its own 12 bytes, and `wanted()` is only a hint.
//
// Wording of errors: Redis 7.0.15, which redis-cli --pipe and the test suites of clients match.
// Rejected: a state machine per byte (three times slower on pipelines), copying arguments into
// strings as Redis does (one allocation per argument).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace demo {

class RequestParser {
 public:
  static constexpr std::size_t kMaxInline = 64 * 1024;
  static constexpr std::int64_t kMaxBulk = 512LL * 1024 * 1024;
  static constexpr std::int64_t kMaxArguments = 1024 * 1024;

  enum class Status {
    kMore,     // keep the bytes, come back with more
    kCommand,  // args() is complete (and may be empty: a blank line); consume consumed() bytes
    kError,    // send error() to the client, then close the connection
  };

  /// `input` starts at the first byte of the current command and only ever grows until kCommand.
  [[nodiscard]] Status parse(std::string_view input);

  /// Valid after kCommand, until the bytes of `input` move or parse() is called again.
  std::span<const std::string_view> args() const noexcept { return args_; }
  std::size_t consumed() const noexcept { return consumed_; }
  const std::string& error() const noexcept { return error_; }
  /// The least number of bytes, from the start of the command, that parse() needs to go on.
  std::size_t wanted() const noexcept { return wanted_; }

 private:
  struct Extent {
    std::size_t offset;
    std::size_t length;
  };

  void start_command();
  Status parse_inline(std::string_view input);
  Status parse_array(std::string_view input);
  Status parse_header(std::string_view input);
  Status parse_bulk_header(std::string_view input);
  Status finish(std::string_view input);
  Status fail(std::string_view message);
  // Position of the line's '\r' with its '\n' present, or npos; `too_big` is the error for a line
  // that is longer than any legal one.
  std::size_t find_line_end(std::string_view input, std::string_view too_big, Status& status);

  enum class State { kStart, kInline, kHeader, kBulkHeader, kBulk };
  State state_ = State::kStart;
  std::size_t position_ = 0;  // behind the last byte understood
  std::size_t scanned_ = 0;   // no line end before this one
  std::int64_t remaining_ = 0;
  std::size_t bulk_length_ = 0;
  std::size_t consumed_ = 0;
  std::size_t wanted_ = 0;
  std::vector<Extent> extents_;
  std::vector<std::string_view> args_;
  std::string scratch_;  // unescaped inline arguments; args_ point into it
  std::string error_;
};

}  // namespace demo
