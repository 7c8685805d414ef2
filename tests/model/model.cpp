// check_model(), and the table of all models at the end of the program.
//
// In the environment:
//   RAMIE_MODEL_SECONDS=n  the program takes at most about n seconds, and reports what it cut
//   RAMIE_MODEL_DEEP=1     each model also runs with one more preemption, and in random walks and
//                          pct walks with a fresh seed; time: RAMIE_MODEL_SECONDS, or ten minutes
//   RAMIE_MODEL_SEED=n     the seed of these walks, to repeat them
#include "tests/model/model.hpp"

#include "mutants.hpp"  // generated

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace ramie::model {
namespace {

using Time = std::chrono::steady_clock;

constexpr double kShares = 100;  // about the number of models; each gets an equal share

double number_from(const char* variable) {
  const char* text = std::getenv(variable);
  return text == nullptr ? 0 : std::strtod(text, nullptr);
}

const Time::time_point start = Time::now();
const double budget = number_from("RAMIE_MODEL_SECONDS");
const bool is_deep = number_from("RAMIE_MODEL_DEEP") != 0;

// Divides a model's share: the search, three deeper passes, all mutants together.
const double share = (budget > 0 ? budget : 600) / kShares;
const double search_share = share * (is_deep ? 0.2 : 0.6);
const double pass_share = share * 0.2;
const double mutants_share = share * (is_deep ? 0.2 : 0.4);

// Only if a budget was given.
Options limited(Options options, double seconds) {
  if (budget > 0) options.max_seconds = std::min(options.max_seconds, seconds);
  return options;
}

std::uint64_t walk_seed() {
  static const auto given = static_cast<std::uint64_t>(number_from("RAMIE_MODEL_SEED"));
  static const std::uint64_t seed = given != 0 ? given : std::random_device()() % 1'000'000'000;
  return seed;
}

// Prints one line for each model and one for all when the program ends.
struct Report {
  std::vector<std::string> lines;
  std::size_t models = 0, planted = 0, found = 0;
  long execs = 0;

  ~Report() {
    if (models == 0) return;
    for (const std::string& line : lines) std::puts(line.c_str());
    const double seconds = std::chrono::duration<double>(Time::now() - start).count();
    std::printf("MODELS %zu models, %ld executions, %zu/%zu mutants, %.0f s\n", models, execs,
                found, planted, seconds);
  }
};

Report& report() {
  static Report report;
  return report;
}

std::string extent(const Result& result, const Options& options) {
  if (!result.ok) return "FAILED";
  if (options.mode != Mode::search) {
    return (options.mode == Mode::pct ? "pct(" : "random(") + std::to_string(options.seed) + ", " +
           std::to_string(result.execs) + ")";
  }
  if (!result.exhausted) return "CUT";
  return result.bound < 0 ? "exhausted" : "bounded(" + std::to_string(result.bound) + ")";
}

// The sentence of the table or of the model; exactly one of them must have it. Null otherwise.
const char* sentence_of(const Planted& planted) {
  for (const Mutant& mutant : kMutants)
    if (mutant.id == planted.id) return planted.what == nullptr ? mutant.what : nullptr;
  return planted.what;
}

// Restores the shipped code, however the test ends.
struct Plant {
  explicit Plant(int id) { mutant = id; }
  ~Plant() { mutant = 0; }
};

Result run(const std::function<void()>& body, const Options& options) {
  Result result = explore(body, options);
  report().execs += result.execs;
  return result;
}

// Returns false if a run failed. Appends what it did to `line`.
void go_deeper(const std::function<void()>& body, Options options, Result& result,
               std::string& line) {
  options.max_seconds = pass_share;
  options.walks = options.max_execs;
  options.seed = walk_seed();
  for (const Mode mode : {Mode::search, Mode::random, Mode::pct}) {
    options.mode = mode;
    if (mode == Mode::search && ++options.preemptions == 0) continue;  // it was not bounded
    const Result deeper = run(body, options);
    line += " | " + extent(deeper, options);
    if (mode == Mode::search) line += " execs=" + std::to_string(deeper.execs);
    if (deeper.ok) continue;
    result.ok = false;
    result.why = deeper.why + ", in run " + std::to_string(deeper.execs) + " of seed " +
                 std::to_string(options.seed);
    result.path = deeper.path;
    return;
  }
}

}  // namespace

void check_model(const char* name, const std::function<void()>& body,
                 Mutants mutants, const Options& options) {
  Result result = run(body, limited(options, search_share));
  std::string deep;
  if (is_deep && result.ok) go_deeper(body, options, result, deep);
  std::size_t found = 0;
  std::size_t cut = 0;  // not found in the available time
  std::string missed;
  for (const Planted& planted : mutants) {
    const char* what = sentence_of(planted);
    INFO("mutant " << planted.id << " of " << name);
    REQUIRE(what != nullptr);
    const Plant plant(planted.id);
    const auto seconds = mutants_share / static_cast<double>(mutants.size());
    const Result broken = run(body, limited(options, seconds));
    if (options.trace) std::printf("%s: %s\n", what, broken.why.c_str());
    const bool is_cut = broken.ok && !broken.exhausted && budget > 0;
    if (broken.ok) missed += "\n  not found: " + std::to_string(planted.id) + " " + what;
    found += broken.ok ? 0U : 1U;
    cut += is_cut ? 1U : 0U;
  }
  char line[256];
  std::snprintf(line, sizeof line, "MODEL %-44s execs=%-8ld %-11s %6.2fs mutants %zu/%zu", name,
                result.execs, extent(result, options).c_str(), result.seconds, found,
                mutants.size());
  report().lines.emplace_back(line + deep);
  ++report().models;
  report().planted += mutants.size();
  report().found += found;
  INFO(name << ": " << result.why << "\n  replay \"" << result.path << "\"" << missed);
  CHECK(result.ok);
  CHECK((!result.ok || result.exhausted || budget > 0));  // else: lower the bound, or shrink it
  CHECK(found + cut == mutants.size());
}

}  // namespace ramie::model
