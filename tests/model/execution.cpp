// Fibers, clocks and fences of one run. schedule.cpp decides which thread runs next.
#include "tests/model/execution.hpp"

#include <boost/context/detail/fcontext.hpp>

#include <cxxabi.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace ramie::model {
namespace {

namespace context = boost::context::detail;
constexpr std::size_t kStackSize = 256 * 1024;
constexpr std::size_t kGuardSize = 4096;

char* new_stack() {
  void* base = mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED || mprotect(base, kGuardSize, PROT_NONE) != 0) {
    std::perror("model: no memory for a thread's stack");
    std::abort();
  }
  return static_cast<char*>(base);
}

}  // namespace

Execution* Execution::active_ = nullptr;
std::uint32_t Execution::run_ = 0;
std::uint16_t Execution::objects_ = 0;

void Footprint::be_born() noexcept {
  run = Execution::run_;
  number = ++Execution::objects_;
}

void Footprint::be_made() noexcept {
  be_born();
  if (Execution* active = Execution::active()) active->note_made();
}

void Footprint::be_destroyed() noexcept {
  Execution* active = Execution::active();
  if (active == nullptr || run != Execution::run_number()) return;
  active->note_destroyed();
  run = 0;
}

Execution::Execution(const Options& options) : options_(options) {}

Execution::~Execution() {
  active_ = nullptr;
  for (char* stack : stacks_) {
    if (stack != nullptr) munmap(stack, kStackSize);
  }
}

Execution& Execution::current() {
  if (active_ == nullptr) {
    std::fputs("model: a model::Atomic (or lock, cell) is used outside a run\n", stderr);
    std::abort();
  }
  return *active_;
}

// ---- fibers

struct Execution::FiberEntry {
  static void arrived(Execution& run, context::transfer_t from) {
    if (run.jumped_from_ >= 0) {
      run.thread(run.jumped_from_).context = from.fctx;
    } else {
      run.main_ = from.fctx;
    }
  }

  static void enter(context::transfer_t from) {
    Execution& run = *active_;
    arrived(run, from);
    *reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals()) = {};
    try {
      run.thread().body();
    } catch (...) {
      run.fail("an exception left thread " + std::to_string(run.self_));
    }
    run.thread().done = true;
    run.switch_away();  // does not come back
  }
};

// A thread that is switched away from inside a catch block keeps its exceptions.
void Execution::jump(int to) {
  const auto* exceptions = reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals());
  thread().exceptions = *exceptions;
  jumped_from_ = self_;
  self_ = to;
  FiberEntry::arrived(*this, context::jump_fcontext(thread(to).context, nullptr));
  *reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals()) = thread().exceptions;
}

void Execution::leave() {
  jumped_from_ = self_;
  context::jump_fcontext(main_, nullptr);
  std::abort();  // a thread of an ended run is never resumed
}

int Execution::spawn(std::function<void()> body) {
  if (count_ == kMaxThreads) fail("more threads than kMaxThreads");
  const int id = count_++;
  ThreadState& child = thread(id);
  child = ThreadState{};
  child.body = std::move(body);
  if (id != 0) {
    tick();
    child.now = thread().now;
    child.order = thread().order;
  }
  child.now.clock.at[static_cast<std::size_t>(id)] = 1;
  char*& stack = stacks_[static_cast<std::size_t>(id)];
  if (stack == nullptr) stack = new_stack();
  child.context = context::make_fcontext(stack + kStackSize, kStackSize - kGuardSize,
                                         &FiberEntry::enter);
  return id;
}

void Execution::run_once(const std::function<void()>& body) {
  active_ = this;
  ++run_;
  objects_ = 0;
  position_ = 0;
  count_ = 0;
  self_ = 0;
  jumped_from_ = -1;
  last_schedule_ = -1;
  picks_ = 0;
  fences_.assign(1, Clock{});
  futexes_.clear();
  fence_order_.reset();
  alive_ = 0;
  if (!options_.replay.empty() && !replaying_) start_path();
  else if (walks() && options_.replay.empty()) start_walk();
  (void)spawn([&body] { body(); });
  context::jump_fcontext(thread(0).context, nullptr);
  *reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals()) = {};
  active_ = nullptr;
  free_deleted();
  if (!failed()) return;
  // What its closures own was made in this run and can be destroyed only in it.
  for (ThreadState& dropped : threads_) (void)new auto(std::move(dropped.body));
}

void Execution::switch_away() {
  const int next = pick();
  if (next < 0) {
    report_end();
    leave();
  }
  if (next != self_) jump(next);
}

void Execution::report_end() {
  std::string blocked;
  for (int id = 0; id < count_; ++id) {
    if (thread(id).done) continue;
    blocked += ' ';
    blocked += std::to_string(id);
  }
  if (!blocked.empty()) why_ = "deadlock or lost wake-up: nobody can run; blocked:" + blocked;
  else if (alive_ != 0) why_ = "a leak: " + std::to_string(alive_) + " objects were not destroyed";
}

void Execution::fail(const std::string& why) {
  why_ = why;
  leave();
}

// ---- what the replacements call

void Execution::point(const Step& step) {
  ++steps_;
  const Footprint* object = step.object;
  if (object != nullptr && object->run != run_) {
    fail("an object is used that was destroyed, or is from outside this run");
  }
  if (position_ >= options_.max_path) {
    fail("more than " + std::to_string(options_.max_path) +
         " decisions in one run: a spin without yield(), or a livelock");
  }
  thread().step = step;
  switch_away();
  thread().step = Step{};
  tick();
}

void Execution::tick() {
  const Tick mine = thread().now.clock.advance(static_cast<std::size_t>(self_));
  if (mine == kNever) fail("a thread makes too many steps in one run");
}

void Execution::mark_yielded() {
  ThreadState& me = thread();
  me.yielded = true;
  ++me.yields;
  for (int id = 0; id < count_; ++id) {
    if (id != self_ && is_ready(id)) ++thread(id).starved;
  }
}

void Execution::yield() {
  mark_yielded();
  point({});
  trace("yield", nullptr, 0);
}

// A seq_cst fence takes its place in the order of fences. It does not synchronise: the order only
// limits which stores later loads may return (Location::oldest_visible).
void Execution::fence(bool acquire, bool release, bool sequential) {
  if (sequential) point({.object = &fence_order_, .access = Access::kWrite});
  ThreadState& me = thread();
  if (acquire) me.now.join(me.readable);
  if (sequential) {
    Clock heard = fences_.back();
    heard.join(me.now.clock);
    fences_.push_back(heard);
    me.now.fences = fence_count();
  }
  if (release) me.released = me.now;
  trace(sequential ? "fence seq_cst" : "fence", nullptr, 0);
}

FutexQueue& Execution::futex(const void* address) {
  for (FutexQueue& queue : futexes_) {
    if (queue.address == address) return queue;
  }
  return futexes_.emplace_back(address);
}

void Execution::trace(const char* what, const Footprint* object, std::uint64_t value) {
  if (!options_.trace) return;
  std::fprintf(stderr, "  thread %d  %-16s", self_, what);
  if (object != nullptr) {
    std::fprintf(stderr, " #%u  %#llx", object->number, static_cast<unsigned long long>(value));
  }
  std::fputc('\n', stderr);
}

}  // namespace ramie::model
