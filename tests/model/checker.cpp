// The search: makes a run, checks its result, and goes on to the next path until a budget ends.
#include "tests/model/checker.hpp"

#include "tests/model/execution.hpp"

#include <chrono>

namespace ramie::model {

Result explore(const std::function<void()>& body, const Options& options) {
  using Time = std::chrono::steady_clock;
  const auto start = Time::now();
  const auto elapsed = [start] {
    return std::chrono::duration<double>(Time::now() - start).count();
  };
  Execution execution(options);
  Result result;
  for (;;) {
    execution.run_once(body);
    ++result.execs;
    if (execution.failed()) {
      result.ok = false;
      result.why = execution.why();
      result.path = execution.path_string();
      break;
    }
    if (!options.replay.empty()) break;
    if (!execution.advance()) {
      result.exhausted = true;
      break;
    }
    if (options.mode != Mode::search && result.execs >= options.walks) {
      result.exhausted = true;
      break;
    }
    if (result.execs >= options.max_execs || elapsed() > options.max_seconds) break;
  }
  result.seconds = elapsed();
  result.steps = execution.steps();
  result.bound = execution.was_bounded() ? options.preemptions : -1;
  return result;
}

void check(bool holds, const char* message) {
  if (!holds) Execution::current().fail(message);
}

int choose(int choices) { return Execution::current().choose(choices); }

}  // namespace ramie::model
