// See dump.hpp.
#include "sched/dump.hpp"

#include "sched/base/thread.hpp"
#include "sched/blocking/detached.hpp"
#include "sched/frames.hpp"
#include "sched/probe.hpp"
#include "sched/scheduler.hpp"
#include "sched/scope.hpp"

#include <ramie/sync/mutex.hpp>
#include <ramie/sync/semaphore.hpp>

#include <unistd.h>
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace ramie::inline v0::sched {

class MutexHolder {
 public:
  static std::uint32_t mark(const sync::Mutex& mutex) noexcept {
    return mutex.holder_.load(base::kRelaxed);
  }
  static std::uint32_t mark_of(const void* stack) noexcept { return sync::Mutex::mark_of(stack); }
};

namespace {

constexpr std::size_t kShown = 8;  // members of a group; the others are counted
constexpr std::size_t kMostGroups = 200;

enum class State : std::uint8_t { running, parked, runnable, blocking };

const char* to_string(State state) noexcept {
  switch (state) {
    case State::running: return "running";
    case State::parked: return "parked";
    case State::runnable: return "runnable";
    case State::blocking: return "in the blocking pool";
  }
  return "?";
}

struct Member {
  std::uint64_t id;
  std::string name;
  const void* spawned_at;
  // When it was looked at; to read the symbols afterwards can take a while.
  std::optional<base::Nanos> age{};   // in this state
  std::optional<base::Nanos> left{};  // until its wait ends at the latest
  std::string object;
  std::uint32_t mutex_mark = 0;  // of the Mutex that it waits for: on which stack it was taken
};

// A fiber's stack as far as it is known. It tells which fiber holds a Mutex.
struct StackOf {
  std::uint32_t low;  // in units of a Mutex's mark
  std::uint32_t size;
  std::uint64_t id;
  std::string name;
};

using Addresses = std::vector<std::uintptr_t>;
using Key = std::tuple<State, WaitKind, Addresses>;
struct Seen {
  std::map<Key, std::vector<Member>> groups;
  std::vector<StackOf> stacks;
};
// Groups by the text of a stack, so calls from several places of one line are one group.
using ShownKey = std::tuple<State, WaitKind, std::string>;
using Groups = std::map<ShownKey, std::vector<Member>>;

std::string span_text(base::Nanos time) {
  const double seconds = std::chrono::duration<double>(time).count();
  if (seconds < 0.001) return "0 ms";
  return seconds < 1 ? fmt::format("{:.0f} ms", seconds * 1e3) : fmt::format("{:.1f} s", seconds);
}

// `since` is of the steady clock; negative: unknown.
std::optional<base::Nanos> age_of(base::Nanos since) {
  if (since.count() < 0) return std::nullopt;
  return base::now().time_since_epoch() - since;
}

std::string object_of(const Scheduler& scheduler, WaitKind kind, const void* object) {
  if (object == nullptr) return {};
  if (kind == WaitKind::join) {
    const auto& joined = *static_cast<const Fiber*>(object);
    return fmt::format("fiber {} '{}'", joined.id, joined.copy_name().data());
  }
  if (kind == WaitKind::lookup) return static_cast<const DetachedCall*>(object)->describe();
  if (kind == WaitKind::scope)
    return fmt::format("{} children left", static_cast<const ScopeCore*>(object)->size());
  if (kind == WaitKind::semaphore)
    return fmt::format("{} with {} permits free", object,
                       static_cast<const sync::Semaphore*>(object)->available());
  if (scheduler.env.describe != nullptr)
    if (std::string text = scheduler.env.describe(kind, object); !text.empty()) return text;
  return fmt::format("{}", object);
}

Worker* worker_of(Scheduler& scheduler, const Fiber& fiber) {
  for (std::size_t i = 0; i < scheduler.workers().size(); ++i)
    if (scheduler.workers()[i].running() == &fiber) return &scheduler.workers()[i];
  return nullptr;
}

// Holds a PARKED fiber while it lives. If the fiber was not PARKED, is_ours() is false.
class Hold {
 public:
  explicit Hold(Fiber& fiber) noexcept : fiber_(fiber), is_ours_(fiber.word.try_hold()) {
    while (!is_ours_ && fiber.word.state() == FiberWord::kParked) {  // another dump holds it
      base::yield_thread();
      is_ours_ = fiber.word.try_hold();
    }
  }
  ~Hold() {
    if (is_ours_) fiber_.word.let_go();
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  bool is_ours() const noexcept { return is_ours_; }

 private:
  Fiber& fiber_;
  bool is_ours_;
};

// Why the report lacks the stack of the fiber that `worker` runs.
const char* why_not_interrupted(const Worker& worker) noexcept {
  if (!worker.scheduler().options().interrupts || worker.has_signal_stack()) return "";
  return "; its stack is not shown: the thread has no alternate stack for signals";
}

bool is_in_run(const Worker& worker, const Fiber& fiber, std::uint32_t tick) noexcept {
  return worker.running() == &fiber && worker.tick() == tick;
}

// True: the frames are those of `fiber`, which has run there the whole time.
bool interrupt(Worker& worker, const Fiber& fiber, std::uint32_t tick, Frames& frames) {
  if (!worker.scheduler().options().interrupts || !worker.has_signal_stack()) return false;
  return is_in_run(worker, fiber, tick) && probe(worker.thread_id(), frames) &&
         is_in_run(worker, fiber, tick);
}

// The fiber is held, or runs the whole time.
RAMIE_NO_TSAN StackOf stack_of(const Fiber& fiber) {
  const std::uint32_t low = MutexHolder::mark_of(fiber.stack->low());
  return {low, MutexHolder::mark_of(fiber.stack->top()) - low, fiber.id, fiber.copy_name().data()};
}

void look_at_parked(Scheduler& scheduler, Fiber& fiber, WaitKind kind, Member& member) {
  const void* object = fiber.waits_on.load(base::kRelaxed);
  member.age = age_of(base::Nanos(fiber.parked_at.load(base::kRelaxed)));
  member.object = object_of(scheduler, kind, object);
  const base::Nanos limit(fiber.timer.deadline.load(base::kRelaxed));
  if (limit.count() >= 0 && limit < base::kNever.time_since_epoch())
    member.left = limit - base::now().time_since_epoch();
  if (kind == WaitKind::mutex)
    member.mutex_mark = MutexHolder::mark(*static_cast<const sync::Mutex*>(object));
}

// The caller holds a reference. Returns false if the fiber has ended.
bool look_at(Scheduler& scheduler, Fiber& fiber, Key& key, Member& member, Seen& seen) {
  Frames frames;
  WaitKind kind = WaitKind::none;
  State state = State::runnable;
  if (const Hold hold(fiber); hold.is_ours()) {
    state = State::parked;
    kind = fiber.waits_for.load(base::kRelaxed);
    unwind(fiber.context, frames);
    look_at_parked(scheduler, fiber, kind, member);
    if (fiber.stack != nullptr) seen.stacks.push_back(stack_of(fiber));
  } else if (fiber.word.state() == FiberWord::kDone) {
    return false;
  } else if (Worker* worker = worker_of(scheduler, fiber)) {
    const std::uint32_t tick = worker->tick();
    if (!interrupt(*worker, fiber, tick, frames)) frames.count = 0;  // or it has moved on
    else seen.stacks.push_back(stack_of(fiber));
    state = State::running;
    member.age = age_of(worker->running_since());
  } else if (fiber.waits_for.load(base::kRelaxed) == WaitKind::blocking) {
    state = State::blocking;
  }
  key = {state, kind, Addresses(frames.view().begin(), frames.view().end())};
  return true;
}

Seen collect(Scheduler& scheduler) {
  Seen seen;
  scheduler.for_each_fiber([&](Fiber& fiber) {
    Member member{.id = fiber.id,
                  .name = fiber.copy_name().data(),
                  .spawned_at = fiber.spawned_at,
                  .object = {}};
    Key key;
    if (look_at(scheduler, fiber, key, member, seen)) seen.groups[key].push_back(std::move(member));
  });
  return seen;
}

std::string holder_text(std::uint32_t mark, std::span<const StackOf> stacks) {
  if (mark == 0) return {};
  for (const StackOf& stack : stacks)
    if (mark - stack.low < stack.size)
      return fmt::format(", taken by fiber {} '{}'", stack.id, stack.name);
  return ", taken by a fiber that is not parked, or by a thread";
}

Groups group(Seen seen, Symbols& symbols) {
  Groups groups;
  for (auto& [key, members] : seen.groups) {
    const auto& [state, kind, stack] = key;
    auto& group = groups[{state, kind, frames_text(stack, symbols, "      ")}];
    for (Member& member : members) {
      member.object += holder_text(member.mutex_mark, seen.stacks);
      group.push_back(std::move(member));
    }
  }
  return groups;
}

std::string title(Scheduler& scheduler, const Groups& groups) {
  std::size_t fibers = 0;
  std::map<State, std::size_t> in_state;
  for (const auto& [key, members] : groups) {
    fibers += members.size();
    in_state[std::get<State>(key)] += members.size();
  }
  std::string text =
      fmt::format("ramie: dump of process {} ('{}'): {} workers, {} fibers", ::getpid(),
                  scheduler.options().thread_name, scheduler.workers().size(), fibers);
  const char* separator = ": ";
  for (const auto& [state, count] : in_state)
    text += fmt::format("{}{} {}", std::exchange(separator, ", "), count, to_string(state));
  return text + "\n";
}

std::string workers_text(Scheduler& scheduler) {
  std::string text;
  for (std::size_t i = 0; i < scheduler.workers().size(); ++i) {
    Worker& worker = scheduler.workers()[i];
    std::string state = "works";
    const char* remark = "";
    if (scheduler.workers().is_asleep(i)) {
      state = "sleeps";
    } else if (Fiber* fiber = worker.running(); fiber != nullptr && fiber->try_retain()) {
      const HeldReference held(*fiber);
      if (worker.running() == fiber) {
        const auto age = age_of(worker.running_since());
        state = fmt::format("runs fiber {} '{}' for {}", fiber->id, fiber->copy_name().data(),
                            age ? span_text(*age) : "?");
        remark = why_not_interrupted(worker);
      }
    }
    const std::string call = system_call_of(worker.thread_id());
    text += fmt::format("  worker {} (thread {}): {}{}{}{}\n", i, worker.thread_id(), state,
                        call.empty() ? "" : ", in ", call, remark);
  }
  return text;
}

std::string member_text(const Member& member, Symbols& symbols) {
  std::string text = fmt::format("  {} '{}'", member.id, member.name);
  if (!member.object.empty()) text += fmt::format(", {}", member.object);
  if (member.age) text += fmt::format(", for {}", span_text(*member.age));
  if (member.left) text += fmt::format(", {} left", span_text(*member.left));
  if (member.spawned_at != nullptr)
    text += fmt::format(", spawned in {}", spawn_text(member.spawned_at, symbols));
  return text + '\n';
}

// The fibers that are not shown one by one, grouped by where they were spawned.
std::string others_text(std::span<const Member> others, Symbols& symbols) {
  struct Others {
    std::size_t count = 0;
    std::uint64_t first = ~std::uint64_t{0};
    std::uint64_t last = 0;
    std::optional<base::Nanos> oldest;
  };
  std::map<const void*, Others> by_address;
  for (const Member& member : others) {
    Others& same = by_address[member.spawned_at];
    ++same.count;
    same.first = std::min(same.first, member.id);
    same.last = std::max(same.last, member.id);
    same.oldest = std::max(same.oldest, member.age);  // nothing is less than any age
  }
  std::string text;
  for (const auto& [spawned_at, same] : by_address) {
    text += fmt::format("  and {} more, from {} to {}", same.count, same.first, same.last);
    if (same.oldest) text += fmt::format(", for up to {}", span_text(*same.oldest));
    if (spawned_at != nullptr)
      text += fmt::format(", spawned in {}", spawn_text(spawned_at, symbols));
    text += '\n';
  }
  return text;
}

void append_group(std::string& text, const ShownKey& key, std::span<const Member> members,
                  Symbols& symbols) {
  const auto& [state, kind, stack] = key;
  text += fmt::format("\n{} {} {}", members.size(), members.size() == 1 ? "fiber" : "fibers",
                      to_string(state));
  if (state == State::parked) text += fmt::format(": {}", to_string(kind));
  text += '\n';
  const std::size_t shown = members.size() > kShown + 1 ? kShown : members.size();
  for (const Member& member : members.first(shown)) text += member_text(member, symbols);
  text += others_text(members.subspan(shown), symbols);
  text += stack;
}

}  // namespace

std::string dump(Scheduler& scheduler) {
  Symbols symbols;
  // Fibers and workers are looked at, one after the other, before any symbol is read.
  Seen seen = collect(scheduler);
  const std::string workers = workers_text(scheduler);
  const Groups groups = group(std::move(seen), symbols);
  std::string text = title(scheduler, groups) + workers;
  std::vector<const Groups::value_type*> order;
  for (const auto& group : groups) order.push_back(&group);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::tuple(std::get<State>(a->first), -std::ssize(a->second), a->second.front().id) <
           std::tuple(std::get<State>(b->first), -std::ssize(b->second), b->second.front().id);
  });
  const std::size_t shown = std::min(order.size(), kMostGroups);
  for (const auto* group : std::span(order).first(shown))
    append_group(text, group->first, group->second, symbols);
  if (shown < order.size()) text += fmt::format("\n... and {} more groups\n", order.size() - shown);
  return text;
}

std::string describe_running(Worker& worker, Fiber& fiber, std::uint32_t tick, Began began) {
  const auto name = fiber.copy_name();
  const base::Instant now = base::now();
  const base::Instant claimed(worker.running_since());  // of another run if this one is over
  const bool is_known = is_in_run(worker, fiber, tick);
  const base::Instant since =
      is_known ? std::clamp(claimed, began.earliest, began.latest) : began.latest;
  const std::string call = system_call_of(worker.thread_id());
  Frames frames;
  const bool has_answered = interrupt(worker, fiber, tick, frames);
  const bool goes_on = has_answered || is_in_run(worker, fiber, tick);
  std::string text = fmt::format("worker {} has run fiber {} '{}' for {} without a break",
                                 worker.index(), fiber.id, name.data(), span_text(now - since));
  if (!goes_on) return text + "; it has gone on before its stack could be read\n";
  if (!call.empty()) text += "; it is in " + call;
  text += std::string(why_not_interrupted(worker)) + "\n";
  return has_answered ? text + frames_text(frames) : text;
}

}  // namespace ramie::inline v0::sched
