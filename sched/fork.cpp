// See fork.hpp.
#include "sched/fork.hpp"

#include "sched/base/atomic.hpp"
#include "sched/base/sys.hpp"
#include "sched/current.hpp"
#include "sched/worker.hpp"

namespace ramie::inline v0::sched {

namespace {

constinit base::Atomic<std::uint32_t> number{0};

void on_forked() noexcept {
  number.fetch_add(1, base::kRelaxed);
  (void)exchange_entered(nullptr);
  if (Worker* worker = current_worker()) worker->become_copy();
}

// Registered when the program is loaded. A static object in a function could be half initialised in
// the child of a fork that comes at that moment.
[[maybe_unused]] const bool is_installed = base::sys::in_forked_child(&on_forked);

}  // namespace

std::uint32_t fork_number() noexcept { return number.load(base::kRelaxed); }

void refuse_copy() noexcept {
  base::fatal(
      "a fiber or a blocking job goes on in a forked child, where its runtime has no threads: "
      "after fork() in one only exec or _exit may follow; fork before the runtime is built, or use "
      "posix_spawn");
}

}  // namespace ramie::inline v0::sched
