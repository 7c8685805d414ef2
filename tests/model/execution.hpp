// One run of a model: its threads (fibers), the scheduler, and the path of decisions.
//
//     thread A --point(op)--> pick(): which thread is next? --jump--> thread B --point(op)--> ...
//
// point() announces the step that the thread is about to make and lets the scheduler choose. The
// step happens when point() returns. So the scheduler knows every thread's next step at each
// choice, and DPOR can tell which earlier decision should be tried the other way (Flanagan and
// Godefroid, with the extra points that a preemption bound needs: Coons, Musuvathi, McKinley).
#pragma once

#include "tests/model/checker.hpp"
#include "tests/model/clock.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace ramie::model {

inline constexpr int kWindow = 8;      // stores of one location that a load may choose from
inline constexpr int kStaleReads = 3;  // times in a row that one stale store may be read
inline constexpr int kFairness = 4;    // yields of others before a ready thread must be run

using ThreadMask = std::uint8_t;
static_assert(kMaxThreads <= 8 && kWindow <= 8);

enum class Access : std::uint8_t { kRead, kWrite };

// What DPOR remembers about one shared object. Reads commute with reads; writes commute with
// nothing.
struct Footprint {
  constexpr Footprint() noexcept = default;
  void be_born() noexcept;  // in the current run
  void be_made() noexcept;  // the same for an object that must be destroyed before the run ends
  void be_destroyed() noexcept;  // any later access fails the run
  void reset() noexcept {
    *this = {};
    be_born();
  }

  std::uint32_t run = 0;     // the run it was born in
  std::uint16_t number = 0;  // its name in traces
  std::int8_t writer = -1;  // thread of the last write
  std::int32_t write_at = 0;                        // its place in the path
  std::array<std::int32_t, kMaxThreads> read_at{};  // place of each thread's last read
  Clock reads;  // DPOR tick of each thread's last read since the last write; 0: none
  Clock read_clock, write_clock;
};

// One scheduling point: the objects the step touches and, for a blocking step, when it may run.
struct Step {
  Footprint* object = nullptr;
  Access access = Access::kRead;
  Footprint* other = nullptr;  // a second object: the fence order, a futex queue
  Access other_access = Access::kRead;
  bool (*ready)(const void*) = nullptr;
  const void* argument = nullptr;
};

// The exception state of one thread in the C++ runtime (the Itanium ABI).
struct ExceptionState {
  void* caught = nullptr;
  unsigned uncaught = 0;
};

struct ThreadState {
  void* context = nullptr;
  ExceptionState exceptions;
  std::function<void()> body;
  View now;        // what this thread's next step happens after
  View released;   // `now` at the last release fence: what relaxed stores publish
  View readable;   // what relaxed loads have read: an acquire fence takes it
  Clock order;     // DPOR's happens-before, by dependent steps
  Step step;       // the announced next step
  std::uint32_t last_run = 0;
  std::uint16_t yields = 0;
  std::uint8_t starved = 0;
  std::uint8_t spurious_left = 1;
  bool yielded = false;
  bool done = false;
};

struct Decision {
  bool schedule = false;      // false: the choice of a value
  std::uint8_t chosen = 0;    // thread, or index of the value
  std::uint8_t choices = 0;   // values to choose from
  ThreadMask todo = 0;        // threads that must still be tried here
  ThreadMask tried = 0;
  ThreadMask runnable = 0;
  std::int8_t running = -1;   // the thread that could go on; another choice is a preemption
  std::uint8_t preemptions = 0;
  std::int32_t previous = -1;  // the schedule decision before this one
};

// The threads that sleep on one address, as in the kernel.
struct FutexQueue {
  explicit FutexQueue(const void* of) noexcept : address(of) { footprint.be_born(); }

  const void* address;
  Footprint footprint{};
  ThreadMask sleeping = 0;
  ThreadMask woken = 0;
};

class Execution {
 public:
  explicit Execution(const Options& options);
  ~Execution();
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;

  [[nodiscard]] static Execution* active() noexcept { return active_; }
  [[nodiscard]] static Execution& current();  // aborts outside a run
  [[nodiscard]] static std::uint32_t run_number() noexcept { return run_; }

  // The search calls these.
  void run_once(const std::function<void()>& body);
  [[nodiscard]] bool advance();  // to the next unexplored path; false if there is none
  [[nodiscard]] bool failed() const noexcept { return !why_.empty(); }
  [[nodiscard]] const std::string& why() const noexcept { return why_; }
  [[nodiscard]] std::string path_string() const;
  [[nodiscard]] bool was_bounded() const noexcept { return bounded_; }
  [[nodiscard]] long steps() const noexcept { return steps_; }

  // The replacements call these from inside a thread.
  [[nodiscard]] const Options& options() const noexcept { return options_; }
  [[nodiscard]] int self() const noexcept { return self_; }
  [[nodiscard]] ThreadState& thread() noexcept { return thread(self_); }
  [[nodiscard]] ThreadState& thread(int id) noexcept {
    return threads_[static_cast<std::size_t>(id)];
  }
  void point(const Step& step);
  void tick();  // a new step of this thread that is no scheduling point
  [[nodiscard]] int choose(int choices);
  [[nodiscard]] int spawn(std::function<void()> body);
  void yield();
  void mark_yielded();  // the announced step is one that can wait for the others
  [[noreturn]] void fail(const std::string& why);
  void trace(const char* what, const Footprint* object, std::uint64_t value);
  void fence(bool acquire, bool release, bool sequential);
  void note_made() noexcept { ++alive_; }
  void note_destroyed() noexcept { --alive_; }
  // The heap (heap.cpp).
  static bool keep_deleted(void* memory) noexcept;
  static void free_deleted() noexcept;
  [[nodiscard]] Footprint& fence_order() noexcept { return fence_order_; }
  [[nodiscard]] FutexQueue& futex(const void* address);
  // What the fences up to number `count` (inclusive) have seen.
  [[nodiscard]] const Clock& heard_by_fences(std::size_t count) const { return fences_[count]; }
  [[nodiscard]] std::uint16_t fence_count() const noexcept {
    return static_cast<std::uint16_t>(fences_.size() - 1);
  }

 private:
  friend struct Footprint;
  struct FiberEntry;

  [[nodiscard]] bool is_ready(int id) const;
  [[nodiscard]] ThreadMask runnable();
  [[nodiscard]] int pick();
  [[nodiscard]] int default_choice(ThreadMask ready) const;
  [[nodiscard]] bool walks() const noexcept { return options_.mode != Mode::search; }
  void start_walk();
  [[nodiscard]] int walk_choice(ThreadMask ready);
  [[nodiscard]] std::uint32_t draw(std::uint32_t limit);
  void decide(ThreadMask ready);
  void note_races();
  void note_race(int id, const Footprint* object, Access access);
  void record(int id);
  void backtrack(int at, int id);
  void mark(Decision& decision, int id);
  void switch_away();
  void jump(int to);
  [[noreturn]] void leave();
  void report_end();
  void start_path();

  static Execution* active_;
  static std::uint32_t run_;
  static std::uint16_t objects_;

  Options options_;
  std::vector<Decision> path_;
  std::size_t position_ = 0;
  std::array<ThreadState, kMaxThreads> threads_;
  std::array<char*, kMaxThreads> stacks_{};
  int count_ = 0;
  int self_ = 0;
  int jumped_from_ = -1;
  int last_schedule_ = -1;
  void* main_ = nullptr;
  std::uint32_t picks_ = 0;
  Footprint fence_order_;
  std::vector<Clock> fences_;
  std::deque<FutexQueue> futexes_;
  std::string why_;
  bool bounded_ = false;
  std::mt19937_64 random_;
  std::uint64_t walk_ = 0;                        // number of the next walk
  std::array<int, kMaxThreads> priorities_{};     // pct: the thread with the highest runs
  std::vector<std::size_t> falls_;                // pct: places of the falls
  std::size_t longest_ = 64;                      // decisions in a run so far, to place them
  bool replaying_ = false;
  long steps_ = 0;
  long alive_ = 0;  // objects made in this run and not destroyed
};

}  // namespace ramie::model
