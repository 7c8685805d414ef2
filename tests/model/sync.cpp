// Threads, locks, events and futexes: when each step may run, and what it passes on.
#include "tests/model/sync.hpp"

#include "tests/model/thread.hpp"

#include <bit>
#include <utility>

namespace ramie::model {

// ---- threads

Thread::Thread(std::function<void()> body)
    : id_(Execution::current().spawn(std::move(body))) {}

void Thread::join() {
  if (joined_) return;
  Execution& run = Execution::current();
  ThreadState& other = run.thread(id_);
  const auto is_done = [](const void* it) { return static_cast<const ThreadState*>(it)->done; };
  run.point({.ready = is_done, .argument = &other});
  run.thread().now.join(other.now);
  run.thread().order.join(other.order);
  joined_ = true;
}

void Thread::hear_from() const {
  Execution& run = Execution::current();
  run.thread().now.join(run.thread(id_).now);
}

// ---- locks

void Mutex::touch() {
  Execution& run = Execution::current();
  const auto self = static_cast<std::size_t>(run.self());
  touched_.at[self] = run.thread().now.clock.at[self];
}

Mutex::~Mutex() {
  Execution* run = Execution::active();
  if (run == nullptr || footprint_.run != Execution::run_number()) return;
  footprint_.be_destroyed();
  if (owner_ >= 0) run->fail("a locked mutex is destroyed");
  if (!run->thread().now.clock.covers(touched_)) {
    run->fail("a mutex is destroyed while another thread may still be using it");
  }
}

// Outside a run there is only one thread.
void Mutex::lock() {
  if (Execution::active() == nullptr) return;
  Execution& run = Execution::current();
  const auto is_free = [](const void* it) { return static_cast<const Mutex*>(it)->owner_ < 0; };
  run.point({.object = &footprint_, .access = Access::kWrite, .ready = is_free, .argument = this});
  owner_ = run.self();
  run.thread().now.join(released_);
  touch();
  run.trace("lock", &footprint_, 0);
}

bool Mutex::try_lock() {
  Execution& run = Execution::current();
  run.point({.object = &footprint_, .access = Access::kWrite});
  touch();
  run.trace("try_lock", &footprint_, owner_ < 0 ? 1U : 0U);
  if (owner_ >= 0) return false;
  owner_ = run.self();
  run.thread().now.join(released_);
  return true;
}

void Mutex::unlock() {
  if (Execution::active() == nullptr) return;
  Execution& run = Execution::current();
  if (owner_ != run.self()) run.fail("a mutex is unlocked by a thread that does not hold it");
  run.point({.object = &footprint_, .access = Access::kWrite});
  touch();
  released_ = run.thread().now;
  owner_ = -1;
  run.trace("unlock", &footprint_, 0);
}

// ---- kernel events

void Event::signal() {
  Execution& run = Execution::current();
  run.point({.object = &footprint_, .access = Access::kWrite});
  ++signals_;
  sent_.join(run.thread().now);
  run.trace("signal", &footprint_, static_cast<Word>(signals_));
}

bool Event::wait(bool timed) {
  Execution& run = Execution::current();
  const auto is_set = [](const void* it) { return static_cast<const Event*>(it)->signals_ > 0; };
  if (timed && signals_ == 0) run.mark_yielded();
  Step step{.object = &footprint_, .access = Access::kWrite};
  if (!timed) step.ready = is_set;
  step.argument = this;
  run.point(step);
  run.trace(signals_ > 0 ? "wait" : "wait timed out", &footprint_, 0);
  if (signals_ == 0) return false;
  signals_ = 0;
  run.thread().now.join(sent_);
  return true;
}

// ---- futexes

namespace {

struct Sleeper {
  const FutexQueue& queue;
  ThreadMask bit;
};

bool is_woken(const void* it) {
  const auto& sleeper = *static_cast<const Sleeper*>(it);
  return (sleeper.queue.woken & sleeper.bit) != 0;
}

bool wakes_spuriously(Execution& run) {
  if (!run.options().spurious || run.thread().spurious_left == 0 || run.choose(2) == 0)
    return false;
  run.thread().spurious_left = 0;
  return true;
}

// A thread in the queue sleeps until it is woken (true) or, perhaps, until its time is over.
bool sleep_in(FutexQueue& queue, bool timed) {
  Execution& run = Execution::current();
  const auto self = static_cast<ThreadMask>(1U << run.self());
  const Sleeper sleeper{queue, self};
  if (timed) run.mark_yielded();
  run.point({.object = &queue.footprint,
             .access = Access::kWrite,
             .ready = timed ? nullptr : &is_woken,
             .argument = &sleeper});
  const bool woken = is_woken(&sleeper);
  queue.woken = static_cast<ThreadMask>(queue.woken & ~self);
  queue.sleeping = static_cast<ThreadMask>(queue.sleeping & ~self);
  run.trace(woken ? "woken" : "timed out", &queue.footprint, 0);
  return woken;
}

void lie_down(FutexQueue& queue) {
  queue.sleeping |= static_cast<ThreadMask>(1U << Execution::current().self());
}

}  // namespace

bool futex_wait(const void* address, Location& word, Word expected, bool timed, Word mask) {
  Execution& run = Execution::current();
  FutexQueue& queue = run.futex(address);
  run.point({.object = &word.footprint(),
             .access = Access::kRead,
             .other = &queue.footprint,
             .other_access = Access::kWrite});
  const bool equal = (word.peek() & mask) == expected;
  run.trace(equal ? "futex sleep" : "futex not equal", &word.footprint(), word.peek());
  if (!equal || wakes_spuriously(run)) return true;
  lie_down(queue);
  return sleep_in(queue, timed);
}

// Sleeping and unlocking are one step for any thread that takes the lock; no other can see it.
bool Condvar::sleep(std::unique_lock<Mutex>& lock, bool timed) {
  Execution& run = Execution::current();
  FutexQueue& queue = run.futex(this);
  run.point({.object = &queue.footprint, .access = Access::kWrite});
  const bool is_spurious = wakes_spuriously(run);
  if (!is_spurious) lie_down(queue);
  lock.unlock();
  const bool is_woken = is_spurious || sleep_in(queue, timed);
  lock.lock();
  return is_woken;
}

// The sleepers that it wakes are a choice.
int futex_wake(const void* address, int count) {
  Execution& run = Execution::current();
  FutexQueue& queue = run.futex(address);
  run.point({.object = &queue.footprint, .access = Access::kWrite});
  int woken = 0;
  for (; woken < count && queue.sleeping != 0; ++woken) {
    ThreadMask rest = queue.sleeping;
    for (int skip = run.choose(std::popcount(rest)); skip > 0; --skip) {
      rest = static_cast<ThreadMask>(rest & (rest - 1));
    }
    const auto chosen = static_cast<ThreadMask>(rest & -rest);
    queue.sleeping = static_cast<ThreadMask>(queue.sleeping & ~chosen);
    queue.woken |= chosen;
  }
  run.trace("futex wake", &queue.footprint, static_cast<Word>(woken));
  return woken;
}

}  // namespace ramie::model
