// The runtime's entry to io_uring.
//
//     check_and_init -> Worker::set_park_site (the worker's ring becomes its place to sleep)
//     run(op): enter -> register_op -> await -- ended by a cancel? -> cancel_op -> await, shielded
#pragma once

#include "sched/base/sys.hpp"
#include "sched/env.hpp"
#include "uring/driver.hpp"

#include <memory>
#include <string>

namespace ramie::inline v0::uring {

struct HandleOptions {
  RingOptions ring;
  bool is_on = true;      // if not, every fiber gets `unsupported`
  bool has_files = true;  // file operations use it
};

// For dumps: the operation that a fiber waits for.
std::string describe_wait(const void* op);

class Handle : public sched::EnvPart {
 public:
  static constexpr Place kPlace = Place::rings;

  // Errors: not_enough_memory.
  static Result<std::unique_ptr<Handle>> create(std::size_t workers,
                                                const HandleOptions& options) noexcept;

  // That of the fiber's own runtime, whose workers own the rings; null outside fibers.
  static Handle* current() noexcept;

  // --- on a fiber of this runtime
  // Returns the ring of its worker; makes it on the first call.
  Result<Site*> check_and_init() noexcept;
  // Runs `op` from entry to final completion. `unsupported` means that the fiber's worker has no
  // ring, and nothing was done. A success wins over the cancel; so does data that a cancelled
  // operation moved. The op's own error is a success here, with a negative result.
  Result<Completion> run(Op& op) noexcept {
    return run(op, [](Site&) {});
  }
  // The same. Calls `on_started(Site&)` with the ring that has the operation.
  template <class OnStarted>
  Result<Completion> run(Op& op, OnStarted&& on_started) noexcept {
    sched::Wait wait(op.kind, op.object);
    if (auto entered = wait.enter(); !entered) return failure(entered.error());
    if (const int planned = base::kIsModel ? 0 : base::inject("uring_op"); planned != 0)
      return Completion{as_heard(planned), 0};
    auto site = register_op(op);  // enter() may have moved us to another worker
    if (!site) return failure(errc::unsupported);
    on_started(**site);
    return finish(**site, op, wait);
  }
  // The parts of run().
  Result<Site*> register_op(Op& op) noexcept;
  static void cancel_op(Site& site, Op& op) noexcept { site.cancel(op); }
  static Result<Completion> finish(Site& site, Op& op, sched::Wait& wait) noexcept;

  bool has_files() const noexcept { return has_files_; }
  Driver& driver() noexcept { return *driver_; }

 private:
  Handle(std::unique_ptr<Driver> driver, bool has_files) noexcept
      : driver_(std::move(driver)), has_files_(has_files) {}

  std::unique_ptr<Driver> driver_;
  const bool has_files_;
};

}  // namespace ramie::inline v0::uring
