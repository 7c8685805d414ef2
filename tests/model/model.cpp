// check_model(), and the table of all models at the end of the program.
#include "tests/model/model.hpp"

#include <catch2/catch.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace ramie::model {
namespace {

// One line per model, printed when the program ends.
struct Report {
  std::vector<std::string> lines;

  ~Report() {
    for (const std::string& line : lines) std::puts(line.c_str());
  }
};

std::vector<std::string>& report() {
  static Report report;
  return report.lines;
}

std::string extent(const Result& result) {
  if (!result.ok) return "FAILED";
  if (!result.exhausted) return "CUT";
  return result.bound < 0 ? "exhausted" : "bounded(" + std::to_string(result.bound) + ")";
}

// Back to the code as it ships, however the test ends.
struct Plant {
  explicit Plant(int id) { mutant = id; }
  ~Plant() { mutant = 0; }
};

}  // namespace

void check_model(const char* name, const std::function<void()>& body,
                 std::initializer_list<Planted> mutants, const Options& options) {
  const Result result = explore(body, options);
  std::size_t found = 0;
  std::string missed;
  for (const Planted& planted : mutants) {
    const Plant plant(planted.id);
    const Result broken = explore(body, options);
    if (options.trace) std::printf("%s: %s\n", planted.what, broken.why.c_str());
    if (broken.ok) missed += std::string("\n  not found: ") + planted.what;
    found += broken.ok ? 0U : 1U;
  }
  char line[256];
  std::snprintf(line, sizeof line, "MODEL %-44s execs=%-8ld %-11s %6.2fs mutants %zu/%zu", name,
                result.execs, extent(result).c_str(), result.seconds, found, mutants.size());
  report().emplace_back(line);
  INFO(name << ": " << result.why << "\n  replay \"" << result.path << "\"" << missed);
  CHECK(result.ok);
  CHECK((!result.ok || result.exhausted));  // else: lower the bound, or shrink the model
  CHECK(found == mutants.size());
}

}  // namespace ramie::model
