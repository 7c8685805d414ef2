// The rings of one runtime: one for each worker, made on that worker's first operation.
//
//     a worker   not asked --check_and_init()--> ring
//                                           \--> refused, for this process (EPERM, ENOSYS, ...:
//                                                one line says why) or for 1 s (ENOMEM, EMFILE)
//
//     a ring     the program enters a sandbox that denies io_uring_enter --> refused, for this
//                process; what is in the kernel ends there (U9)
//
// A fiber submits to the ring of the worker that it runs on, and the completion comes back to that
// worker. A fiber keeps no ring over a suspension, except to cancel an operation that is in it.
//
// Rejected: one ring for all workers behind a mutex. It was measured at 0.5 to 0.6 of this
// throughput: io_uring_enter runs under the lock, and the thread that submitted an operation must
// run its completion.
#pragma once

#include "sched/base/clock.hpp"
#include "uring/site.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <vector>

namespace ramie::inline v0::uring {

class Driver {
 public:
  Driver(std::size_t workers, const RingOptions& options, bool is_on);
  ~Driver();

  // On a fiber: returns the ring of its worker.
  Result<Site*> check_and_init(sched::Worker& worker) noexcept;

  // --- any thread; the answer may be out of date at once
  std::size_t workers() const noexcept { return homes_.size(); }
  const Site* site(std::size_t worker) const noexcept {
    return homes_[worker].site.load(base::kAcquire);
  }
  bool is_on() const noexcept { return is_on_; }
  base::Atomic<std::uint64_t> jobs{0};  // file operations that the blocking pool did

 private:
  // One worker's state; only its thread writes it.
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

// A ring that works here, and the bell by which others wake its worker.
struct TriedRing {
  std::unique_ptr<Ring> ring;
  io::sys::UniqueFd bell;
};
// Makes a ring and tries what a worker needs to sleep in it. `ramie doctor` asks the same way.
Result<TriedRing> make_tried_ring(const RingOptions& options) noexcept;

// Why this process may not use io_uring: 0 if unknown, or an errno.
int process_refusal() noexcept;
// Opcodes that are denied to this process although the kernel has them (Linux 7.0 can filter
// io_uring's operations). They complete with EACCES or EPERM where the same system call works. Each
// is reported in one line.
bool is_denied(std::uint8_t opcode) noexcept;
void deny_opcode(std::uint8_t opcode, int error) noexcept;
inline bool may_be_denied(std::int64_t result) noexcept {
  return result == -EACCES || result == -EPERM;
}
// For tests: forgets the refusals and denied opcodes of the whole process.
void forget_refusal() noexcept;
// Prints one line on stderr, once in a process.
void say_refused(std::error_code why) noexcept;

}  // namespace ramie::inline v0::uring
