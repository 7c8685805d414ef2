// The append-only log of `--aof`: every change of the store, as a command that repeats it.
//
//   handler, under the locks of its change --append()--> buffer --writer fiber, in groups--> file
//   session --wait_safe(sequence)--> its replies leave
//
//   --fsync everysec   a record is safe when it is written: it survives the end of the process. A
//                      second fiber syncs once a second; a power failure loses later records.
//   --fsync always     a record is safe when it is synced: one fdatasync for all that wait
//
// A sequence number is the number of bytes appended when the record was. The order of the buffer is
// the order of the store, because a fiber that appends holds the locks of the shards that it
// changes.
//
// No reply leaves before everything is safe that was in the log when the reply was made. That
// includes replies to readers: no client sees a value that a power failure could take back.
//
// If the disk fails, the server acknowledges nothing and refuses writes; reads go on and show what
// is in memory.
//   a write fails   cut off what it may have written, and try again once a period. Meanwhile a
//                   change may have been refused or answered with an error and still be in the
//                   store; it is written, too: later changes may build on it.
//   a sync fails,   refuse writes until a restart, with `always` and with `everysec`: the kernel
//   or the cut      has forgotten which pages never reached the disk, and the next sync does not
//                   report it
//
// Rejected: each session writes and syncs for itself (one fdatasync per client, and records out of
// order); a log per shard (MSET and FLUSHALL would need a commit over all of them).
#pragma once

#include <ramie/cancel.hpp>
#include <ramie/fs.hpp>
#include <ramie/sync.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "tools/demo/aof_record.hpp"
#include "tools/demo/table.hpp"

namespace demo {

class Aof final : public ExpiryObserver {
 public:
  enum class Fsync : bool { kEverySecond, kAlways };
  using Sequence = std::uint64_t;
  static constexpr std::chrono::milliseconds kPeriod{1000};

  /// `file` holds `size` bytes, all of them valid. `name` is for messages.
  Aof(ramie::fs::File file, std::string name, std::uint64_t size, Fsync fsync,
      std::chrono::milliseconds period = kPeriod);

  /// Writes and syncs until stop(), and then what is left. Call it in one fiber. Fibers in
  /// wait_safe() depend on it.
  void run();
  /// Call it after every fiber that appends has ended.
  void stop() noexcept { stop_.cancel(); }
  /// After run(): everything that was ever appended is on the disk.
  bool is_complete() const noexcept { return synced_.load() == appended_.load(); }

  /// Adds a record; call it under the locks of the change, then kick() and wait_safe() without.
  Sequence append(std::span<const std::string_view> words) { return append_words(words); }
  Sequence append(std::initializer_list<Word> words) {
    return append_words(std::span(words.begin(), words.size()));
  }
  /// Records that a key has expired, because the replay does not look at the clock.
  void expired(std::string_view key) noexcept override;
  /// Wakes the writer. Never parks.
  void kick() noexcept { work_.notify_one(); }

  Sequence appended() const noexcept { return appended_.load(std::memory_order_acquire); }
  /// Parks until everything up to `wanted` is safe or the disk fails. Returns up to where it is
  /// safe.
  ramie::Result<Sequence> wait_safe(Sequence wanted);

  /// Why writes are refused now, as a RESP error without its '-'; nothing if they are accepted.
  std::optional<std::string> refusal() const {
    if (!is_failing()) [[likely]]
      return std::nullopt;
    return failure_text();
  }
  std::string failure_text() const;

  struct Status {
    bool is_good = true;
    std::uint64_t size = 0;    // of the file
    std::uint64_t buffer = 0;  // bytes that are not written yet
  };
  Status status() const noexcept;
  bool is_always() const noexcept { return fsync_ == Fsync::kAlways; }

 private:
  template <class Words>
  Sequence append_words(Words words);

  bool is_failing() const noexcept { return failing_.load(std::memory_order_acquire); }
  void run_sync();
  void write_groups();
  bool take_group();
  bool write_group();
  void sync_written();
  void publish_safe();
  void fail(const char* act, std::error_code error, bool for_good);
  void recover();

  ramie::fs::File file_;
  const std::string name_;
  const Fsync fsync_;
  const std::chrono::milliseconds period_;
  const ramie::CancellationToken stop_;
  ramie::sync::Notify work_;

  mutable std::mutex mutex_;  // held for an append or a swap; no fiber parks under it
  std::string buffer_;        // appended, not taken by the writer
  std::error_code error_;     // the last failure
  std::atomic<Sequence> appended_{0};
  std::atomic<bool> failing_{false};
  std::atomic<bool> broken_{false};  // failed until a restart: no more appends or writes

  std::string group_;                // the writer's: taken, not written
  std::atomic<std::uint64_t> size_;  // of the file, up to the last whole record
  std::atomic<Sequence> written_{0};
  std::atomic<Sequence> synced_{0};

  ramie::sync::Mutex progress_;
  ramie::sync::Condvar moved_;  // with progress_: safe_ has grown, or failing_ is set
  std::atomic<Sequence> safe_{0};
};

}  // namespace demo
