// The model checker for lock-free code. It runs a small concurrent program under every schedule and
// with every value that a C++ atomic load may return, and reports the first failure.
//
//     body()  --> Execution: threads are fibers on one OS thread; each atomic, lock, futex or
//                   |        yield operation is a scheduling point
//                   +--> Path: the decisions of this run (t: which thread, v: which store a load
//                   |          reads), replayed and then extended depth first
//                   +--> DPOR: only orders of dependent steps are tried twice
//                   +--> Location: the stores a load may still see (C++20 rules, fences included)
//                   +--> Cell: plain data; an access that is not ordered with an earlier one fails
//
// It finds failed check()s, data races, deadlocks (a lost wake-up is one), endless spins, and
// objects that are destroyed while in use or not at all. It leaves out on purpose:
//   - modification order is execution order: no load buffering, no store that lands in the past;
//   - a load sees only the last kWindow stores of its location;
//   - a thread reads the same stale store at most kStaleReads times, and after yield() it reads the
//     newest one (stores become visible in finite time, so spins end);
//   - with `preemptions` >= 0, schedules with more preemptions than that.
//
// A failing run stops the search. Its threads are abandoned and not unwound (the code under test is
// noexcept), so what they own stays allocated.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace ramie::model {

// How runs are chosen.
//   search   depth first, until every run within the bound was made
//   random   `walks` runs; each decision takes every thread and every value with equal probability
//   pct      `walks` runs; threads have random priorities, and `depth` - 1 times in a run the
//            running one gets the lowest (Burckhardt et al.: each single run finds a bug of that
//            depth with a probability of at least 1 / (threads * steps^(depth-1)))
enum class Mode : std::uint8_t { search, random, pct };

struct Options {
  Mode mode = Mode::search;
  std::uint64_t seed = 1;  // for the walks
  long walks = 20'000;
  int depth = 3;
  int preemptions = 3;    // schedules with at most this many preemptions; -1: all
  bool dpor = true;       // off: every schedule within the bound, to check DPOR itself
  bool weak = true;       // off: loads return the newest store (sequential consistency)
  bool spurious = false;  // each thread has one spurious weak-CAS failure or futex wake-up to use
  bool stale_failures = false;  // a failed compare-exchange may have read a stale value
  bool trace = false;           // print every step to stderr; meant for replay
  std::size_t max_path = 10'000;  // decisions per run, then the run fails as endless
  long max_execs = 50'000'000;
  double max_seconds = 60;
  std::string replay = {};  // Result::path of a failure: run that one execution only
};

struct Result {
  bool ok = true;
  std::string why;         // the failure, if !ok
  std::string path;        // the failing run, for Options::replay
  long execs = 0;          // runs made
  long steps = 0;          // scheduling points in all runs
  double seconds = 0;
  bool exhausted = false;  // every run within the bound, or every walk, was made
  int bound = -1;          // the preemption bound, if it cut anything off; else -1
};

// Runs `body` repeatedly until every run is made, one fails or a budget is used up. Everything
// shared must be constructed inside `body`, and `body` must depend only on its decisions.
[[nodiscard]] Result explore(const std::function<void()>& body, const Options& options = {});

// Inside a run: fails it unless `holds`.
void check(bool holds, const char* message);

// Inside a run: returns 0, 1, ... choices - 1. The search tries each of them.
[[nodiscard]] int choose(int choices);

// The planted bug that the code under test has now; 0 means none.
inline int mutant = 0;
[[nodiscard]] inline bool is_mutant(int id) { return mutant == id; }

}  // namespace ramie::model
