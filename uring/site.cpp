// See site.hpp.
#include "uring/site.hpp"

#include "io/sys/event_fd.hpp"
#include "sched/base/annotate.hpp"
#include "sched/base/assert.hpp"
#include "sched/base/sys.hpp"
#include "sched/current.hpp"
#include "sched/worker.hpp"
#include "uring/opcodes.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>
#include <new>

namespace ramie::inline v0::uring {

namespace {

constexpr std::uint32_t kGenerationMask = 0xff'ffff;
constexpr unsigned kSlotShift = 32;
constexpr unsigned kGenerationShift = 8;
constexpr std::size_t kFirstSlots = base::kIsModel ? 2 : 64;
constexpr std::size_t kBatch = base::kIsModel ? 2 : 64;
constexpr base::Nanos kNap = std::chrono::milliseconds(1);  // after the kernel asked to try later
constexpr base::Nanos kRepeatCancel = std::chrono::milliseconds(5);

constexpr std::uint32_t kReadable = 1;  // POLLIN

Entry poll_entry(int fd, std::uint32_t length, std::uint64_t tag) noexcept {
  Entry entry;
  entry.opcode = kPollAdd;
  entry.fd = fd;
  entry.length = length;
  entry.operation_flags = kReadable;
  entry.user_data = tag;
  return entry;
}

// Errors of calls that will succeed later.
bool is_put_off(int error) noexcept {
  return error == -EAGAIN || error == -EBUSY || error == -EINTR || error == -ETIME ||
         error == -ENOMEM;
}

// Errors from a sandbox that the program has entered meanwhile.
bool has_denied(int error) noexcept {
  return error == -EPERM || error == -EACCES || error == -ENOSYS;
}

}  // namespace

std::uint64_t Site::tag_of(Kind kind, std::size_t slot, std::uint32_t generation) noexcept {
  return (std::uint64_t{slot} << kSlotShift) |
         (std::uint64_t{generation & kGenerationMask} << kGenerationShift) |
         static_cast<std::uint64_t>(kind);
}

// Half of the room for completions, because a cancel for each may need as much again.
Site::Site(sched::Worker& owner, std::unique_ptr<Ring> ring, io::sys::UniqueFd bell)
    : owner_(owner),
      bell_(std::move(bell)),
      ring_(std::move(ring)),
      brief_limit_(std::max<std::size_t>(ring_->completions() / 2, 1)) {
  slots_.reserve(kFirstSlots);
}

Site::~Site() { RAMIE_ASSERT(live() == 0); }

bool Site::is_here() const noexcept { return sched::current_worker() == &owner_; }

// --- into the kernel -----------------------------------------------------------------------------

void Site::start(Op& op) noexcept {
  const base::TsanInternal internal;
  RAMIE_ASSERT(is_here());
  live_.fetch_add(1, base::kSeqCst);
  sched::WakeList wakes;
  {
    const std::lock_guard ring_lock(ring_mutex_);
    metrics_.started.add();
    if (op.is_brief) metrics_.files.add();
    admit_or_queue(op);
    survive(submit());
    take_completions(wakes);
  }
  owner_.ensure_watcher();
}

void Site::admit_or_queue(Op& op) noexcept {
  const std::lock_guard lock(mutex_);
  base::List<Op>& line = op.is_brief ? queued_ : urgent_;
  if (line.is_empty() && admit(op)) return;
  metrics_.queued.add();
  op.state = Op::State::queued;
  line.push_back(op);
}

// Under the mutex. Returns false if there is no room in the kernel or no memory for a slot.
bool Site::admit(Op& op) noexcept {
  if (op.is_brief && brief_ >= brief_limit_) return false;
  if (first_free_ == 0) {
    try {
      slots_.emplace_back();
    } catch (const std::bad_alloc&) {
      return false;
    }
    first_free_ = static_cast<std::uint32_t>(slots_.size());
  }
  const std::size_t index = first_free_ - 1;
  Slot& slot = slots_[index];
  op.tag = tag_of(Kind::op, index, slot.generation);
  op.entry.user_data = op.tag;
  if (!push(op.entry)) return false;
  first_free_ = slot.next_free;
  slot.op = &op;
  op.state = Op::State::in_kernel;
  if (op.is_brief) ++brief_;
  return true;
}

// Under the mutex.
void Site::admit_queued() noexcept {
  for (base::List<Op>* line : {&urgent_, &queued_}) {
    while (Op* op = line->front()) {
      if (!admit(*op)) break;
      line->erase(*op);
    }
  }
}

bool Site::push(const Entry& entry) noexcept {
  if (denial() != 0) return false;
  return ring_->push(entry) || (survive(submit()), ring_->push(entry));
}

int Site::submit() noexcept {
  if (const int error = denial(); error != 0) return -error;
  metrics_.enters.add();
  return ring_->submit();
}

int Site::enter_and_wait(base::Nanos max_wait) noexcept {
  if (const int error = denial(); error != 0) return -error;
  metrics_.enters.add();
  return ring_->wait(max_wait);
}

// Without its ring a worker cannot know which memory the kernel still writes to.
void Site::survive(int error) noexcept {
  if (error == 0) return;
  if (has_denied(error)) {
    denial_.store(-error, base::kRelaxed);
    return;
  }
  if (!is_put_off(error))
    base::fatal(
        "the io_uring of a worker failed (%s): did the program close a descriptor that it does not "
        "own, or overwrite one with dup2?",
        base::sys::describe_error(-error));
  if (error != -ETIME && error != -EINTR) metrics_.retries.add();
}

// U9. A cancel that could not be sent is dropped: its operation ends soon by itself.
void Site::leave_kernel(sched::WakeList& wakes) noexcept {
  const std::lock_guard lock(mutex_);
  std::uint64_t tag = 0;
  while (ring_->take_back(tag))
    if (Op* op = find(tag)) {
      free_slot(*op);
      give_up(*op, wakes);
    }
  for (base::List<Op>* line : {&urgent_, &queued_})
    while (Op* op = line->front()) give_up(*op, wakes);
  for (const Slot& slot : slots_)
    if (slot.op != nullptr && !slot.op->is_brief)
      base::fatal(
          "io_uring_enter is denied (%s) to a worker. Its operation in the kernel waits for others "
          "and can no longer be cancelled: enter the sandbox before the first operation, or set "
          "RAMIE_FS=pool and RAMIE_IO=epoll",
          base::sys::describe_error(denial()));
}

void Site::give_up(Op& op, sched::WakeList& wakes) noexcept {
  op.result = -ECANCELED;
  complete(op, wakes);
}

// --- cancels -------------------------------------------------------------------------------------

void Site::cancel(Op& op) noexcept {
  const base::TsanInternal internal;
  if (!is_here()) {
    if (want_cancel(op)) owner_.unpark();
    return;
  }
  if (!want_cancel(op)) return;
  sched::WakeList wakes;
  const std::lock_guard ring_lock(ring_mutex_);
  push_waiting(wakes);
  survive(submit());
  take_completions(wakes);
}

bool Site::is_done(const Op& op) noexcept {
  const std::lock_guard lock(mutex_);
  return op.state == Op::State::done;
}

// Puts the cancel into the inbox, unless `op` is DONE or there already.
bool Site::want_cancel(Op& op) noexcept {
  const std::lock_guard lock(mutex_);
  if (op.state == Op::State::done || op.wants_cancel) return false;
  op.wants_cancel = true;
  if (op.state == Op::State::queued) base::List<Op>::unlink(op);
  cancels_.push_back(op);
  return true;
}

// Pushes cancels, then operations that wait for room. What cannot be pushed stays in its list. What
// was cancelled before the kernel got it becomes DONE.
void Site::push_waiting(sched::WakeList& wakes) noexcept {
  const std::lock_guard lock(mutex_);
  if (!repeats_.is_empty() && repeat_at_ <= base::now()) cancels_.splice_back(repeats_);
  while (Op* op = cancels_.front()) {
    if (op->state == Op::State::queued) {
      give_up(*op, wakes);
      continue;
    }
    Entry entry;
    entry.opcode = kAsyncCancel;
    entry.address = op->tag;
    entry.user_data = (op->tag & ~std::uint64_t{0xff}) | static_cast<std::uint64_t>(Kind::cancel);
    if (!push(entry)) return;
    metrics_.cancels.add();
    cancels_.erase(*op);
  }
  admit_queued();
}

void Site::repeat_cancel(const Event& event) noexcept {
  if (event.result != -ENOENT && event.result != -EALREADY) return;
  metrics_.cancels_late.add();
  Op* op = find((event.tag & ~std::uint64_t{0xff}) | static_cast<std::uint64_t>(Kind::op));
  if (op == nullptr || op->is_linked()) return;
  if (repeats_.is_empty()) repeat_at_ = base::now() + kRepeatCancel;
  repeats_.push_back(*op);
}

// --- out of the kernel ---------------------------------------------------------------------------

void Site::take_completions(sched::WakeList& wakes) noexcept {
  std::array<Event, kBatch> events;
  while (const std::size_t count = ring_->take(events)) {
    bool has_more = false;
    {
      const std::lock_guard lock(mutex_);
      for (std::size_t i = 0; i < count; ++i) settle(events[i], wakes);
      has_more = !queued_.is_empty() || !urgent_.is_empty();
      admit_queued();
    }
    if (has_more) survive(submit());
  }
  if (denial() != 0) leave_kernel(wakes);
}

// Under the mutex, as all functions of this section.
void Site::settle(const Event& event, sched::WakeList& wakes) noexcept {
  switch (static_cast<Kind>(event.tag & 0xff)) {
    case Kind::op: settle_op(event, wakes); return;
    case Kind::cancel: repeat_cancel(event); return;
    case Kind::shard: disarm(static_cast<int>(event.tag >> kSlotShift)); return;
    case Kind::bell:
      is_bell_armed_ = (event.flags & Ring::kMore) != 0;
      was_rung_ = !is_here();
      return;
  }
  metrics_.stale.add();
}

Op* Site::find(std::uint64_t tag) noexcept {
  const std::size_t index = tag >> kSlotShift;
  if (index >= slots_.size()) return nullptr;
  Op* op = slots_[index].op;
  return op != nullptr && op->tag == tag ? op : nullptr;
}

void Site::settle_op(const Event& event, sched::WakeList& wakes) noexcept {
  Op* op = find(event.tag);
  if (op == nullptr) {
    metrics_.stale.add();
    return;
  }
  // A send without a copy reports its result first, and later that the memory is free.
  if ((event.flags & Ring::kNotification) == 0) {
    op->result = event.result;
    op->flags = event.flags;
  }
  const bool is_last = (event.flags & Ring::kMore) == 0;
  if (op->take_result != nullptr) settle_one(*op, wakes);
  if (!is_last) return;
  free_slot(*op);
  complete(*op, wakes);
}

void Site::free_slot(Op& op) noexcept {
  const auto index = static_cast<std::uint32_t>(op.tag >> kSlotShift);
  Slot& slot = slots_[index];
  slot.op = nullptr;
  ++slot.generation;
  slot.next_free = std::exchange(first_free_, index + 1);
  if (op.is_brief) --brief_;
}

// Takes one of several results.
void Site::settle_one(Op& op, sched::WakeList& wakes) noexcept {
  if (op.take_result(op, op.result) && !op.wants_cancel) {
    op.wants_cancel = true;
    cancels_.push_back(op);
  }
  if (sched::Waiter* waiter = op.waiters.pop_front()) (void)wakes.claim(*waiter);
}

void Site::complete(Op& op, sched::WakeList& wakes) noexcept {
  if (op.is_linked()) base::List<Op>::unlink(op);
  live_.fetch_sub(1, base::kRelaxed);
  metrics_.completed.add();
  op.state = Op::State::done;
  if (sched::Waiter* waiter = op.waiters.pop_front()) (void)wakes.claim(*waiter);
}

// --- waiting -------------------------------------------------------------------------------------

Result<void> Site::await(Op& op, sched::Wait& wait) noexcept {
  return await(op, wait, [&] { return op.state == Op::State::done; });
}

void Site::park(base::Nanos max_wait, int poll_fd) noexcept {
  sched::WakeList wakes;
  const std::lock_guard ring_lock(ring_mutex_);
  push_waiting(wakes);
  woken_.append(wakes.fibers());
  if (!woken_.is_empty() || std::exchange(was_rung_, false)) max_wait = base::Nanos(0);
  if (!is_bell_armed_)
    is_bell_armed_ = push(poll_entry(bell_.get(), kPollMultishot, tag_of(Kind::bell, 0, 0)));
  const bool is_deaf = !is_bell_armed_ || (poll_fd >= 0 && !arm(poll_fd));
  const int error = enter_and_wait(bound(max_wait, is_deaf));
  survive(error);
  is_put_off_ = denial() != 0 || (is_put_off(error) && error != -ETIME && error != -EINTR);
  if (!is_put_off_) return;
  const base::Atomic<std::uint32_t> nobody{0};
  (void)base::sys::futex_wait(&nobody, 0, kNap);  // do not spin
}

bool Site::is_quiet(int poll_fd) const noexcept {
  const std::lock_guard ring_lock(ring_mutex_);
  return !is_put_off_ && is_armed(poll_fd);
}

bool Site::is_armed(int poll_fd) const noexcept {
  const auto end = armed_.begin() + static_cast<std::ptrdiff_t>(armed_count_);
  return std::find(armed_.begin(), end, poll_fd) != end;
}

// U7. A poll of a shard whose baton we no longer hold stays armed. It wakes us once without need.
bool Site::arm(int poll_fd) noexcept {
  if (is_armed(poll_fd)) return true;
  if (armed_count_ == armed_.size()) return false;
  const auto slot = static_cast<std::size_t>(poll_fd);
  if (!push(poll_entry(poll_fd, 0, tag_of(Kind::shard, slot, 0)))) return false;
  armed_[armed_count_++] = poll_fd;
  return true;
}

void Site::disarm(int poll_fd) noexcept {
  for (std::size_t i = 0; i < armed_count_; ++i)
    if (armed_[i] == poll_fd) armed_[i--] = armed_[--armed_count_];
}

// Limits a wait to the time when something must be tried again.
base::Nanos Site::bound(base::Nanos max_wait, bool is_deaf) noexcept {
  base::Nanos limit = is_deaf ? kNap : base::Nanos(-1);
  const std::lock_guard lock(mutex_);
  // An operation that waits only for the completion of others needs no second try.
  const bool has_room = brief_ < brief_limit_;
  const bool has_queued = !urgent_.is_empty() || (has_room && !queued_.is_empty());
  if (!cancels_.is_empty() || has_queued) limit = kNap;
  else if (!repeats_.is_empty() && !is_deaf)
    limit = std::max(base::Nanos(0), base::Nanos(repeat_at_ - base::now()));
  if (limit.count() < 0) return max_wait;
  return max_wait.count() < 0 ? limit : std::min(max_wait, limit);
}

void Site::unpark_from_any_thread() noexcept { io::sys::ring(bell_.get()); }

void Site::reap(sched::FiberList& out) noexcept {
  out.append(woken_);
  const std::lock_guard ring_lock(ring_mutex_);
  if (has_inflight() || ring_->has_news()) sweep(out);
}

// U8. The owner holds the lock while it sleeps here; a visitor then goes away.
void Site::visit(sched::FiberList& out) noexcept {
  const std::unique_lock ring_lock(ring_mutex_, std::try_to_lock);
  if (!ring_lock.owns_lock()) return;
  const std::size_t before = out.size();
  sweep(out);
  metrics_.visits.add(out.size() - before);
}

void Site::sweep(sched::FiberList& out) noexcept {
  sched::WakeList wakes;
  push_waiting(wakes);
  if (ring_->needs_enter()) survive(submit());
  take_completions(wakes);
  out.append(wakes.fibers());
}

}  // namespace ramie::inline v0::uring
