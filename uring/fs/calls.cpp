// See calls.hpp.
#include "uring/fs/calls.hpp"

#include "sched/current.hpp"
#include "sched/wait.hpp"
#include "uring/handle.hpp"

#include <ramie/cancel.hpp>

namespace ramie {
inline namespace v0 {
namespace fs {

Place current_place() noexcept {
  if (sched::current_fiber() == nullptr) return Place::here;
  uring::Handle* handle = uring::Handle::current();
  if (handle != nullptr && handle->has_files() && handle->check_and_init()) return Place::ring;
  return Place::pool;
}

bool Calls::has(std::uint8_t opcode) noexcept { return uring::has_opcode(opcode); }

Count Calls::on_ring(const uring::Entry& entry) noexcept {
  uring::Op op;
  op.entry = entry;
  op.is_brief = true;
  for (;;) {
    const auto completion = uring::Handle::current()->run(op);
    if (!completion) {
      ended_ = completion.error();
      return -ECANCELED;
    }
    if (completion->result != -EINTR) return completion->result;
  }
}

void count_job() noexcept {
  if (uring::Handle* handle = uring::Handle::current())
    handle->driver().jobs.fetch_add(1, base::kRelaxed);
}

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
