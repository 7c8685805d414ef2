// A driver without descriptors: turn() sleeps on a condition variable until its time is up or it is
// unparked. That is enough for workers to park and for timers to run.
#pragma once

#include "sched/driver.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace ramie_test {

class MockDriver final : public ramie::sched::Driver {
 public:
  void turn(ramie::base::Nanos max_wait, ramie::sched::FiberList&) noexcept override {
    std::unique_lock lock(mutex_);
    const auto is_unparked = [this] { return unparked_; };
    if (max_wait.count() < 0) changed_.wait(lock, is_unparked);
    else if (max_wait.count() > 0) changed_.wait_for(lock, max_wait, is_unparked);
    unparked_ = false;
  }

  void unpark() noexcept override {
    {
      const std::lock_guard lock(mutex_);
      unparked_ = true;
    }
    changed_.notify_one();
  }


 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool unparked_ = false;
};

}  // namespace ramie_test
