// The rings of one runtime: one a worker, made on that worker's first operation.
//
//   a worker   not asked --check_and_init()--> ring
//                                         \--> refused, for this process (EPERM, ENOSYS, ...: one
//                                              line says why) or for a second (ENOMEM, EMFILE)
//
//   a ring     io_uring_enter is denied by a sandbox that the program has entered meanwhile -->
//              refused, for this process; what is in the kernel ends there (U9)
//
// A fiber submits to the ring of the worker that it runs on now, and the completion comes back to
// that worker. No ring is kept over a suspension, except for the cancel of what is in it.
//
// Rejected: one ring for all behind a mutex (measured at 0.5 to 0.6 of this: io_uring_enter runs
// under the lock, and a completion must be run by the thread that submitted it).
#pragma once

#include "sched/base/clock.hpp"
#include "uring/site.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <vector>

namespace ramie {
inline namespace v0 {
namespace uring {

class Driver {
 public:
  Driver(std::size_t workers, const RingOptions& options, bool is_on);
  ~Driver();

  // On a fiber: its worker's ring.
  Result<Site*> check_and_init(sched::Worker& worker) noexcept;

  // --- any thread, a moment's truth
  std::size_t workers() const noexcept { return homes_.size(); }
  const Site* site(std::size_t worker) const noexcept {
    return homes_[worker].site.load(base::kAcquire);
  }
  bool is_on() const noexcept { return is_on_; }
  base::Atomic<std::uint64_t> jobs{0};  // file operations that went to the blocking pool

 private:
  // A worker's; written by its thread only.
  struct Home {
    base::Atomic<Site*> site{nullptr};
    std::error_code refusal;
    base::Instant ask_again{};
  };

  Result<Site*> make_site(sched::Worker& worker) noexcept;
  static Result<Site*> refuse(int error) noexcept;

  const RingOptions options_;
  const bool is_on_;
  std::vector<Home> homes_;
};

// Why this process may not use io_uring, as far as it is known: 0, or an errno.
int process_refusal() noexcept;
// Opcodes that are denied to this process although the kernel knows them (Linux 7.0 has filters for
// io_uring): they complete with EACCES or EPERM, where the same system call works. One line each.
bool is_denied(std::uint8_t opcode) noexcept;
void deny_opcode(std::uint8_t opcode, int error) noexcept;
inline bool may_be_denied(std::int64_t result) noexcept {
  return result == -EACCES || result == -EPERM;
}
// For tests: of the whole process, as of the opcodes.
void forget_refusal() noexcept;
// One line on stderr, once a process.
void say_refused(std::error_code why) noexcept;

}  // namespace uring
}  // namespace v0
}  // namespace ramie
