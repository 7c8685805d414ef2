// See calls.hpp.
#include "uring/fs/calls.hpp"

#include "sched/current.hpp"
#include "sched/wait.hpp"

#include <ramie/cancel.hpp>

namespace ramie {
inline namespace v0 {
namespace fs {

Place current_place() noexcept {
  return sched::current_fiber() == nullptr ? Place::here : Place::pool;
}

bool Calls::has(std::uint8_t) noexcept { return false; }

Count Calls::on_ring(const uring::Entry&) noexcept { return -ENOSYS; }

std::error_code refusal() noexcept {
  const auto entered = sched::Wait(sched::WaitKind::blocking, nullptr).enter();
  return entered ? std::error_code() : entered.error();
}

std::error_code wait_for_job(JoinHandle<void>& job, Calls::Stop& stop) {
  const auto joined = job.join();
  if (joined) return {};
  if (job.is_joinable()) {
    stop.store(true, base::kRelaxed);
    job.cancel();
    const Shield shield;
    (void)job.join();
  }
  return joined.error();
}

}  // namespace fs
}  // namespace v0
}  // namespace ramie
