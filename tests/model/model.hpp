// For every model file: the checker's replacements, and check_model(), which proves a model and
// then breaks it on purpose.
//
// A mutant is a bug that the tables in mutants/ plant in the code under test, or that the model
// plants in itself behind is_mutant(n). A checker that cannot find it proves nothing, so that also
// fails the test. When the program ends, it prints one line for each model and one for all:
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
  Planted(int of_table) : id(of_table) {}  // implicit: lists of them are numbers
  Planted(int of_model, const char* sentence) : id(of_model), what(sentence) {}

  int id;
  const char* what = nullptr;  // what is wrong; null if the table has it
};
using Mutants = std::initializer_list<Planted>;

// `body` must pass every run within the bound, and fail some run with each mutant on.
void check_model(const char* name, const std::function<void()>& body, Mutants mutants,
                 const Options& options = {});

}  // namespace ramie::model
