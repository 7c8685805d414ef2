// Writes RESP2 replies into one buffer per connection.
//
//   handlers -> Replies (grows) -> relieve() at 64 KiB -> Gate (the log, if there is one)
//            -> Sink (the socket; parks the fiber)
//
// A handler that can produce many large replies calls relieve() between them while it holds no
// lock; everything else stays below the size of the values in one reply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace demo {

/// Sends full buffers. Returns false if the peer is gone; the session then ends.
class Sink {
 public:
  virtual bool write(std::string_view bytes) = 0;

 protected:
  ~Sink() = default;
};

/// What replies wait for before they leave.
struct Passed {
  bool is_open = true;     // false: they must not leave, the session ends
  std::size_t errors = 0;  // replies that became errors
};
class Gate {
 public:
  /// May park, and change the replies.
  virtual Passed pass(std::string& replies) = 0;

 protected:
  ~Gate() = default;
};

class Replies {
 public:
  static constexpr std::size_t kFlushAt = 64 * 1024;

  explicit Replies(std::string& out, Sink* sink = nullptr, Gate* gate = nullptr) noexcept
      : out_(out), sink_(sink), gate_(gate) {}
  Replies(const Replies&) = delete;
  Replies& operator=(const Replies&) = delete;

  void simple(std::string_view text);
  void ok() { out_.append("+OK\r\n"); }
  /// `text` starts with its class: "ERR ...", "WRONGTYPE ...". Line breaks become blanks, so that
  /// a hostile argument quoted in the message cannot forge a second reply.
  void error(std::string_view text);
  void integer(std::int64_t value);
  void bulk(std::string_view bytes);
  void bulk_integer(std::int64_t value);
  void nil() { out_.append("$-1\r\n"); }
  void nil_array() { out_.append("*-1\r\n"); }
  void array(std::size_t count);
  /// Bytes that are already a reply.
  void raw(std::string_view encoded) { out_.append(encoded); }

  /// Sends the buffer if it exceeds kFlushAt. May park: never call it under a lock.
  bool relieve();
  /// Sends everything. False: the peer is gone.
  bool flush();

  std::size_t size() const noexcept { return out_.size(); }
  std::uint64_t errors() const noexcept { return errors_; }
  std::uint64_t bytes_sent() const noexcept { return bytes_sent_; }

 private:
  void line(char type, std::int64_t value);

  std::string& out_;
  Sink* sink_;
  Gate* gate_;
  std::uint64_t errors_ = 0;
  std::uint64_t bytes_sent_ = 0;
};

}  // namespace demo
