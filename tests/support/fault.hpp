// Makes system calls of the library fail by plan: the nth call of a name, some calls in a row, or
// every other one. One plan at a time; it ends with the object. (Plans as text: fault_plan.hpp.)
//
//     const Fault fault({.calls = {"accept4"}, .error = ECONNABORTED, .times = 3});
//     ... the first three accept4() of the process return ECONNABORTED ...
//     CHECK(fault.hits() == 3);
#pragma once

#include "tests/support/injection.hpp"

#include <atomic>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

namespace ramie_test {

class Fault final : private Injection {
 public:
  static constexpr unsigned kAlways = std::numeric_limits<unsigned>::max();

  struct Plan {
    std::vector<std::string_view> calls;
    int error = 0;       // errno
    unsigned first = 1;  // the first call that fails, counted over all names of the plan
    unsigned times = 1;  // number of calls that fail
    unsigned every = 1;  // one of `every` calls fails
  };

  explicit Fault(Plan plan) : plan_(std::move(plan)) { plug_in(); }
  ~Fault() { pull_out(); }

  unsigned calls() const noexcept { return calls_.load(); }
  unsigned hits() const noexcept { return hits_.load(); }

 private:
  int decide(const char* call) noexcept override {
    for (const std::string_view name : plan_.calls) {
      if (name != call) continue;
      const unsigned number = calls_.fetch_add(1) + 1;
      if (number < plan_.first || (number - plan_.first) % plan_.every != 0) return 0;
      if ((number - plan_.first) / plan_.every >= plan_.times) return 0;
      hits_.fetch_add(1);
      return -plan_.error;
    }
    return 0;
  }

  const Plan plan_;
  std::atomic<unsigned> calls_{0};
  std::atomic<unsigned> hits_{0};
};

}  // namespace ramie_test
