// See dump.hpp.
#include "sched/dump.hpp"

#include "sched/base/symbols.hpp"
#include "sched/base/thread.hpp"
#include "sched/blocking/detached.hpp"
#include "sched/probe.hpp"
#include "sched/scheduler.hpp"

#include <unistd.h>
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace ramie {
inline namespace v0 {
namespace sched {

namespace {

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
  std::uintptr_t spawn_site;
  base::Nanos since{-1};  // of the steady clock; negative: unknown
  std::string object;
};

using Addresses = std::vector<std::uintptr_t>;
using Key = std::tuple<State, WaitKind, Addresses>;
using Groups = std::map<Key, std::vector<Member>>;

// The same few addresses come again and again.
class Symbols {
 public:
  const std::vector<base::Place>& at(std::uintptr_t address) {
    const auto [it, is_new] = known_.try_emplace(address);
    if (is_new) it->second = base::places_of(address);
    return it->second;
  }

 private:
  std::unordered_map<std::uintptr_t, std::vector<base::Place>> known_;
};

std::string age(base::Nanos since) {
  if (since.count() < 0) return "?";
  const double seconds =
      std::chrono::duration<double>(base::now().time_since_epoch() - since).count();
  if (seconds < 0.001) return "0 ms";
  return seconds < 1 ? fmt::format("{:.0f} ms", seconds * 1e3) : fmt::format("{:.1f} s", seconds);
}

// How a fiber comes to its body, and what it parks through, are the same everywhere.
bool is_plumbing(const base::Place* place) {
  static constexpr std::string_view kFiles[] = {"sched/context.cpp", "sched/fiber.cpp",
                                                "sched/wait.cpp",    "sched/wait.hpp",
                                                "sync/line.hpp",     "ramie/task.hpp"};
  const std::string_view file = place->file;
  return place->function.starts_with("ramie::sched::") ||
         std::any_of(std::begin(kFiles), std::end(kFiles),
                     [file](std::string_view ours) { return file.ends_with(ours); });
}

void append_frames(std::string& text, const Addresses& stack, Symbols& symbols,
                   std::string_view indent) {
  std::vector<const base::Place*> lines;
  for (const std::uintptr_t address : stack)
    for (const base::Place& place : symbols.at(address)) lines.push_back(&place);
  auto begin = lines.begin();
  auto end = lines.end();
  if (!std::all_of(begin, end, is_plumbing)) {
    while (is_plumbing(*begin)) ++begin;
    while (is_plumbing(*(end - 1))) --end;
  }
  for (; begin != end; ++begin) text += fmt::format("{}{}\n", indent, (*begin)->text());
}

std::string object_of(const Scheduler& scheduler, WaitKind kind, const void* object) {
  if (object == nullptr) return {};
  if (kind == WaitKind::join) {
    const auto& joined = *static_cast<const Fiber*>(object);
    return fmt::format("fiber {}", joined.id);
  }
  if (kind == WaitKind::lookup) return static_cast<const DetachedCall*>(object)->describe();
  if (scheduler.env.describe != nullptr)
    if (std::string text = scheduler.env.describe(kind, object); !text.empty()) return text;
  return fmt::format("{}", object);
}

Worker* worker_of(Scheduler& scheduler, const Fiber& fiber) {
  for (std::size_t i = 0; i < scheduler.workers(); ++i)
    if (scheduler.worker(i).runs() == &fiber) return &scheduler.worker(i);
  return nullptr;
}

// While one lives the fiber is PARKED, or it was not when we came.
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

// For a worker that runs a fiber: why its stack is missing from the report.
const char* why_not_interrupted(const Worker& worker) noexcept {
  if (!worker.scheduler().options().interrupts || worker.has_signal_stack()) return "";
  return "; its stack is not shown: the thread has no alternate stack for signals";
}

// True: the frames are those of `fiber`, which runs there and has run all the time.
bool interrupt(Worker& worker, const Fiber& fiber, Frames& frames) {
  if (!worker.scheduler().options().interrupts || !worker.has_signal_stack()) return false;
  const std::uint32_t tick = worker.tick();
  return worker.runs() == &fiber && probe(worker.thread_id(), frames) &&
         worker.runs() == &fiber && worker.tick() == tick;
}

// A reference is held. False: it has ended.
bool look_at(Scheduler& scheduler, Fiber& fiber, Key& key, Member& member) {
  Frames frames;
  WaitKind kind = WaitKind::none;
  State state = State::runnable;
  if (const Hold hold(fiber); hold.is_ours()) {
    state = State::parked;
    kind = fiber.waits_for.load(base::kRelaxed);
    unwind(fiber.context, frames);
    member.since = base::Nanos(fiber.parked_at.load(base::kRelaxed));
    member.object = object_of(scheduler, kind, fiber.waits_on.load(base::kRelaxed));
  } else if (fiber.word.state() == FiberWord::kDone) {
    return false;
  } else if (Worker* worker = worker_of(scheduler, fiber)) {
    if (!interrupt(*worker, fiber, frames)) frames.count = 0;  // or it has moved on
    state = State::running;
    member.since = worker->runs_since();
  } else if (fiber.waits_for.load(base::kRelaxed) == WaitKind::blocking) {
    state = State::blocking;
  }
  key = {state, kind, Addresses(frames.view().begin(), frames.view().end())};
  return true;
}

Groups collect(Scheduler& scheduler) {
  Groups groups;
  scheduler.for_each_fiber([&](Fiber& fiber) {
    Member member{fiber.id, fiber.copy_name().data(),
                  reinterpret_cast<std::uintptr_t>(fiber.spawn_site), base::Nanos(-1), {}};
    Key key;
    if (look_at(scheduler, fiber, key, member)) groups[key].push_back(std::move(member));
  });
  return groups;
}

std::string title(Scheduler& scheduler, const Groups& groups) {
  std::size_t fibers = 0;
  std::map<State, std::size_t> in_state;
  for (const auto& [key, members] : groups) {
    fibers += members.size();
    in_state[std::get<State>(key)] += members.size();
  }
  std::string text = fmt::format("ramie: dump of process {} ('{}'): {} workers, {} fibers",
                                 ::getpid(), scheduler.options().thread_name,
                                 scheduler.workers(), fibers);
  const char* separator = ": ";
  for (const auto& [state, count] : in_state)
    text += fmt::format("{}{} {}", std::exchange(separator, ", "), count, to_string(state));
  return text + "\n";
}

std::string workers_text(Scheduler& scheduler) {
  std::string text;
  for (std::size_t i = 0; i < scheduler.workers(); ++i) {
    Worker& worker = scheduler.worker(i);
    std::string state = "works";
    const char* remark = "";
    if (scheduler.is_asleep(i)) {
      state = "sleeps";
    } else if (Fiber* fiber = worker.runs(); fiber != nullptr && fiber->try_retain()) {
      const HeldReference held(*fiber);
      if (worker.runs() == fiber) {
        state = fmt::format("runs fiber {} '{}' for {}", fiber->id, fiber->copy_name().data(),
                            age(worker.runs_since()));
        remark = why_not_interrupted(worker);
      }
    }
    const std::string call = system_call_of(worker.thread_id());
    text += fmt::format("  worker {} (thread {}): {}{}{}{}\n", i, worker.thread_id(), state,
                        call.empty() ? "" : ", in ", call, remark);
  }
  return text;
}

void append_group(std::string& text, const Key& key, const std::vector<Member>& members,
                  Symbols& symbols) {
  const auto& [state, kind, stack] = key;
  text += fmt::format("\n{} {} {}", members.size(), members.size() == 1 ? "fiber" : "fibers",
                      to_string(state));
  if (state == State::parked) text += fmt::format(": {}", to_string(kind));
  text += '\n';
  for (const Member& member : members) {
    text += fmt::format("  {} '{}'", member.id, member.name);
    if (!member.object.empty()) text += fmt::format(", {}", member.object);
    if (member.since.count() >= 0) text += fmt::format(", for {}", age(member.since));
    if (member.spawn_site != 0)
      text += fmt::format(", spawned in {}", symbols.at(member.spawn_site - 1).back().text());
    text += '\n';
  }
  append_frames(text, stack, symbols, "      ");
}

}  // namespace

std::string dump(Scheduler& scheduler) {
  const Groups groups = collect(scheduler);
  std::string text = title(scheduler, groups) + workers_text(scheduler);
  std::vector<const Groups::value_type*> order;
  for (const auto& group : groups) order.push_back(&group);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::tuple(std::get<State>(a->first), -std::ssize(a->second), a->second.front().id) <
           std::tuple(std::get<State>(b->first), -std::ssize(b->second), b->second.front().id);
  });
  Symbols symbols;
  for (const auto* group : order) append_group(text, group->first, group->second, symbols);
  return text;
}

std::string describe_running(Worker& worker, Fiber& fiber) {
  const std::string call = system_call_of(worker.thread_id());
  Frames frames;
  const bool has_answered = interrupt(worker, fiber, frames);
  std::string text =
      fmt::format("worker {} has run fiber {} '{}' for {} without a break{}{}{}\n",
                  worker.index(), fiber.id, fiber.copy_name().data(), age(worker.runs_since()),
                  call.empty() ? "" : "; it is in ", call, why_not_interrupted(worker));
  return has_answered ? text + frames_text(frames) : text;
}

std::string frames_text(const Frames& frames) {
  std::string text;
  Symbols symbols;
  append_frames(text, Addresses(frames.view().begin(), frames.view().end()), symbols, "      ");
  return text;
}

}  // namespace sched
}  // namespace v0
}  // namespace ramie
