// See calls.hpp.
#include "runtime/fs/calls.hpp"

#include "sched/base/sys.hpp"
#include "sched/current.hpp"
#include "sched/wait.hpp"
#include "uring/handle.hpp"
#include "uring/opcodes.hpp"

#include <ramie/cancel.hpp>

#include <algorithm>

namespace ramie::inline v0::fs {

namespace {

// The longest time that a fiber runs before it yields, apart from one piece.
constexpr base::Nanos kTurn = std::chrono::microseconds(250);

// The tests' fault plans know an operation by the name of its system call.
int inject(uring::Entry& entry) noexcept {
  std::size_t length = entry.length;
  int planned = 0;
  switch (entry.opcode) {
    case uring::kRead: planned = base::inject("preadv2", length); break;
    case uring::kWrite: planned = base::inject("pwritev2", length); break;
    case uring::kReadv: return std::min(base::inject("preadv2"), 0);
    case uring::kWritev: return std::min(base::inject("pwritev2"), 0);
    case uring::kFsync:
      return base::inject(entry.operation_flags == uring::kFsyncDatasync ? "fdatasync" : "fsync");
    case uring::kFallocate: return base::inject("fallocate");
    case uring::kFtruncate: return base::inject("ftruncate");
    case uring::kOpenat: return base::inject("openat");
    case uring::kStatx: return base::inject("statx");
    case uring::kRenameat: return base::inject("renameat2");
    case uring::kUnlinkat: return base::inject("unlinkat");
    case uring::kMkdirat: return base::inject("mkdirat");
    case uring::kSymlinkat: return base::inject("symlinkat");
    case uring::kLinkat: return base::inject("linkat");
    default: return 0;
  }
  entry.length = static_cast<std::uint32_t>(length);
  return planned;
}

}  // namespace

Place current_place() noexcept {
  if (sched::current_fiber() == nullptr) return Place::here;
  uring::Handle* handle = uring::Handle::current();
  if (handle != nullptr && handle->has_files() && handle->check_and_init()) return Place::ring;
  return Place::pool;
}

bool Calls::has(std::uint8_t opcode) noexcept { return uring::has_opcode(opcode); }

// A single call does not read the clock.
void Calls::pause() noexcept {
  const bool is_first = calls_++ == 0;
  if (is_first) return;
  const base::Instant now = base::now();
  if (!since_) since_ = now;
  if (now - *since_ < kTurn) return;
  yield_now();
  since_ = base::now();
}

Count Calls::on_ring(const uring::Entry& entry) noexcept {
  pause();
  uring::Op op;
  op.is_brief = is_brief_;
  for (;;) {
    op.entry = entry;
    if (const int planned = inject(op.entry); planned != 0) {
      if (planned != -EINTR) return planned;
      continue;
    }
    const auto completion = uring::Handle::current()->run(op);
    if (!completion && completion.error() == errc::unsupported) return kNoRing;
    if (!completion) {
      ended_ = completion.error();
      return -ECANCELED;
    }
    // We did not cancel it: io_uring ends what it can start no thread for (RLIMIT_NPROC).
    if (completion->result == -ECANCELED) return kNoRing;
    is_suspect_ = uring::may_be_denied(completion->result);
    if (completion->result != -EINTR) return completion->result;
  }
}

Count Calls::told(std::uint8_t opcode, Count in_ring, Count by_call) noexcept {
  if (!std::exchange(is_suspect_, false)) return by_call;
  if (by_call >= 0) uring::deny_opcode(opcode, static_cast<int>(-in_ring));
  const bool had_no_thread =
      by_call == -ECANCELED && ended_ == std::errc::resource_unavailable_try_again;
  return had_no_thread ? in_ring : by_call;
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
  // Apart from us only the end of the runtime cancels the job.
  if (joined.error() == errc::task_canceled) return errc::shutting_down;
  return joined.error();
}

}  // namespace ramie::inline v0::fs
