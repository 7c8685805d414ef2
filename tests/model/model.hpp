// What a model file needs: the checker's stand-ins, and check_model(), which proves a model and
// then breaks it on purpose.
//
// A mutant is a bug planted in the code under test behind RAMIE_MUTANT(n) (or in the model itself
// behind is_mutant(n)). A checker that cannot find it proves nothing, so that fails the test too.
// At the end of the program one line per model is printed, and one for all:
//
//   MODEL <name> execs=<runs> exhausted|bounded(<preemptions>)|pct(<seed>, <runs>) mutants <f>/<p>
//   MODELS <n> models, <runs> executions, <found>/<planted> mutants, <seconds> s
#pragma once

#include "tests/model/atomic.hpp"
#include "tests/model/checker.hpp"

#include <functional>
#include <initializer_list>

namespace ramie::model {

struct Planted {
  int id;
  const char* what;
};

[[nodiscard]] inline bool is_mutant(int id) { return mutant == id; }

// `body` must pass every run within the bound, and fail some run with each mutant on.
void check_model(const char* name, const std::function<void()>& body,
                 std::initializer_list<Planted> mutants, const Options& options = {});

}  // namespace ramie::model
