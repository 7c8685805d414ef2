// Connects a test's plan to the fault injection of system calls (base::inject), one plan at a time,
// for as long as the object lives. Any thread and signal handlers may call decide(), so it takes no
// lock and allocates nothing.
#pragma once

#include "sched/base/assert.hpp"
#include "sched/base/sys.hpp"

#include <atomic>

namespace ramie_test {

class Injection {
 public:
  Injection(const Injection&) = delete;
  Injection& operator=(const Injection&) = delete;

 protected:
  Injection() = default;
  ~Injection() = default;

  // A derived class calls these first and last, because decide() needs the whole object.
  void plug_in() {
    RAMIE_CHECK(active.exchange(this) == nullptr, "two fault plans at once");
    ramie::base::fault_plan.store(&Injection::ask, ramie::base::kRelease);
  }
  void pull_out() {
    ramie::base::fault_plan.store(nullptr, ramie::base::kRelease);
    active.store(nullptr);
    while (inside.load() != 0) {
    }  // another thread may still use the plan
  }

 private:
  virtual int decide(const char* call) noexcept = 0;

  static int ask(const char* call) noexcept {
    inside.fetch_add(1);
    Injection* injection = active.load();
    const int result = injection == nullptr ? 0 : injection->decide(call);
    inside.fetch_sub(1);
    return result;
  }

  static inline std::atomic<Injection*> active{nullptr};
  static inline std::atomic<int> inside{0};
};

}  // namespace ramie_test
