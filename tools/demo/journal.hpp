// How one RESP session uses the log: which replies of a batch wait for it, and what happens to them
// if it fails.
//
//   execute: the reply of a write is replies[begin, end), its record ends at `sequence`
//   flush:   wait until all is safe -> send;  or put an error in the place of what is not safe
//
// So a pipeline waits once.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "tools/demo/aof.hpp"
#include "tools/demo/reply.hpp"

namespace demo {

class Journal final : public Gate {
 public:
  explicit Journal(Aof& log) noexcept : log_(log) {}
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  Aof& log() const noexcept { return log_; }
  /// Under the locks of the change.
  void record(std::initializer_list<Word> words) { last_ = log_.append(words); }
  void record(std::span<const std::string_view> words) { last_ = log_.append(words); }
  /// The end of this session's last record.
  Aof::Sequence last() const noexcept { return last_; }
  /// The last record's reply is this part of the buffer.
  void hold(std::size_t begin, std::size_t end) { held_.push_back({begin, end, last_}); }

  Passed pass(std::string& replies) override;

 private:
  struct Held {
    std::size_t begin, end;
    Aof::Sequence sequence;
  };

  std::size_t replace_unsafe(std::string& replies, Aof::Sequence safe) const;

  Aof& log_;
  Aof::Sequence last_ = 0;
  std::vector<Held> held_;
};

}  // namespace demo
