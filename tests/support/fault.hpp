// Makes system calls of the library fail by plan: the nth call of a name, some calls in a row, or
// every other one. One plan at a time; it ends with the object.
//
//   const Fault fault({.calls = {"accept4"}, .error = ECONNABORTED, .times = 3});
//   ... the first three accept4() of the process say ECONNABORTED ...
//   CHECK(fault.hits() == 3);
#pragma once

#include "sched/base/assert.hpp"
#include "sched/base/sys.hpp"

#include <atomic>
#include <limits>
#include <string_view>
#include <vector>

namespace ramie_test {

class Fault {
 public:
  static constexpr unsigned kAlways = std::numeric_limits<unsigned>::max();

  struct Plan {
    std::vector<std::string_view> calls;
    int error = 0;       // errno
    unsigned first = 1;  // the first call that fails, counted over all names of the plan
    unsigned times = 1;  // so many fail
    unsigned every = 1;  // of `every` calls one fails
  };

  explicit Fault(Plan plan) : plan_(std::move(plan)) {
    RAMIE_CHECK(active.exchange(this) == nullptr, "two fault plans at once");
    ramie::base::sys_injector.store(&Fault::decide, ramie::base::kRelease);
  }
  ~Fault() {
    ramie::base::sys_injector.store(nullptr, ramie::base::kRelease);
    active.store(nullptr);
    while (inside.load() != 0) {
    }  // another thread may still look at the plan
  }
  Fault(const Fault&) = delete;
  Fault& operator=(const Fault&) = delete;

  unsigned calls() const noexcept { return calls_.load(); }
  unsigned hits() const noexcept { return hits_.load(); }

 private:
  static int decide(const char* call) noexcept {
    inside.fetch_add(1);
    Fault* fault = active.load();
    const int result = fault == nullptr ? 0 : fault->decide_one(call);
    inside.fetch_sub(1);
    return result;
  }

  int decide_one(std::string_view call) noexcept {
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

  static inline std::atomic<Fault*> active{nullptr};
  static inline std::atomic<int> inside{0};

  const Plan plan_;
  std::atomic<unsigned> calls_{0};
  std::atomic<unsigned> hits_{0};
};

}  // namespace ramie_test
