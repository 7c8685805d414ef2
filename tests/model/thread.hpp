// Replacements for std::thread and std::condition_variable (base/thread.hpp).
#pragma once

#include "tests/model/sync.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace ramie::model {

class OsThread {
 public:
  OsThread() noexcept = default;
  explicit OsThread(std::function<void()> body)
      : thread_(std::make_unique<Thread>(std::move(body))) {}

  [[nodiscard]] bool joinable() const noexcept { return thread_ != nullptr; }
  void join() {
    check(joinable(), "a thread is joined that was joined or detached before");
    thread_->join();
    thread_.reset();
  }
  void detach() {
    check(joinable(), "a thread is detached that was joined or detached before");
    thread_->detach();
    thread_.reset();
  }

 private:
  std::unique_ptr<Thread> thread_;
};

// A wait with a deadline may end at any time, unless the deadline is the end of time. Spurious
// wake-ups are an option of the search.
class Condvar {
 public:
  Condvar() = default;
  Condvar(const Condvar&) = delete;
  Condvar& operator=(const Condvar&) = delete;

  void notify_one() { (void)futex_wake(this, 1); }
  void notify_all() { (void)futex_wake(this, kMaxThreads); }

  void wait(std::unique_lock<Mutex>& lock) { (void)sleep(lock, false); }
  template <class Predicate>
  void wait(std::unique_lock<Mutex>& lock, Predicate&& is_over) {
    while (!is_over()) wait(lock);
  }
  template <class Deadline>
  std::cv_status wait_until(std::unique_lock<Mutex>& lock, const Deadline& deadline) {
    const bool is_woken = sleep(lock, deadline != Deadline::max());
    return is_woken ? std::cv_status::no_timeout : std::cv_status::timeout;
  }
  template <class Deadline, class Predicate>
  bool wait_until(std::unique_lock<Mutex>& lock, const Deadline& deadline, Predicate&& is_over) {
    while (!is_over())
      if (wait_until(lock, deadline) == std::cv_status::timeout) return is_over();
    return true;
  }

 private:
  bool sleep(std::unique_lock<Mutex>& lock, bool timed);
};

}  // namespace ramie::model
