// Turns a hang into a failure: aborts with the test's name unless the test ends in time. Use it in
// the first line of a test: `const Watchdog watchdog;`.
#pragma once

#include <catch2/catch.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

namespace ramie_test {

class Watchdog {
 public:
  explicit Watchdog(std::chrono::seconds limit = std::chrono::seconds(60))
      : name_(Catch::getResultCapture().getCurrentTestName()),
        thread_([this, limit] { watch(limit); }) {}

  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      has_ended_ = true;
    }
    ended_.notify_one();
    thread_.join();
  }

  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void watch(std::chrono::seconds limit) {
    std::unique_lock lock(mutex_);
    if (ended_.wait_for(lock, limit, [this] { return has_ended_; })) return;
    (void)std::fprintf(stderr, "watchdog: '%s' has not ended after %ld s\n", name_.c_str(),
                       static_cast<long>(limit.count()));
    std::abort();
  }

  std::string name_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool has_ended_ = false;
  std::thread thread_;
};

}  // namespace ramie_test
