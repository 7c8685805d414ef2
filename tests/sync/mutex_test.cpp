// Laws of sync::Mutex.
#include "tests/sync/support.hpp"

#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <memory>

using namespace ramie_test;
using ramie::errc;
using ramie::sched::WaitKind;
using ramie::sync::Mutex;

namespace {

constinit Mutex global_mutex;

}  // namespace

TEST_CASE("Mutex: one owner at a time, among fibers and threads", "[sync]") {
  // Unprotected increments, some with a wait inside. The detectors would see a second owner, too.
  with_workers([](MiniRuntime&) {
    Mutex mutex;
    long count = 0;
    Crowd crowd;
    const auto body = [&](int id) {
      for (int i = 0; i < 500; ++i) {
        const std::lock_guard lock(mutex);
        const long seen = count;
        if ((i + id) % 50 == 0) ramie::yield_now();
        count = seen + 1;
      }
    };
    crowd.add_fibers(16, body);
    crowd.add_threads(3, body);
    crowd.join();
    REQUIRE(count == 19 * 500);
    REQUIRE(mutex.try_lock());
    REQUIRE_FALSE(mutex.try_lock());
    mutex.unlock();
  });
}

TEST_CASE("Mutex: those in line are served first come, first served", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    Mutex mutex;
    Log log;
    Crowd crowd;
    mutex.lock();
    for (int i = 0; i < 40; ++i) {
      crowd.add_fibers(1, [&, i](int) {
        const std::lock_guard lock(mutex);
        log.add(i);
      });
      REQUIRE(park_comes_true(runtime, WaitKind::mutex, static_cast<std::size_t>(i) + 1));
    }
    mutex.unlock();
    crowd.join();
    REQUIRE(log.entries() == numbers(0, 40));
  });
}

TEST_CASE("Mutex: a waiter is overtaken during one wake-up at most", "[sync][exact]") {
  // With one worker nobody else runs between the lines. The owner locks again and again while the
  // waiter has been woken but has not run, then lets it run once. The next unlock must hand over.
  MiniRuntime runtime(1);
  Mutex mutex;
  bool is_overtaken = false;
  bool is_handed_over = false;
  Log log;
  const auto until_waiter_parks = [&] {
    while (parked(runtime, WaitKind::mutex) != 1) ramie::yield_now();
  };
  auto owner = ramie::spawn([&] {
    mutex.lock();
    auto waiter = ramie::spawn([&] {
      const std::lock_guard lock(mutex);
      log.add(1);
    });
    until_waiter_parks();
    for (int i = 0; i < 10; ++i) {
      mutex.unlock();
      is_overtaken = mutex.try_lock();
    }
    until_waiter_parks();  // it has tried, and is back at the front
    mutex.unlock();
    is_handed_over = !mutex.try_lock();
    if (is_handed_over) mutex.lock();
    log.add(2);
    mutex.unlock();
    (void)waiter.join();
  });
  (void)owner.join();
  REQUIRE(is_overtaken);
  REQUIRE(is_handed_over);
  REQUIRE(log.entries() == std::vector<int>{1, 2});
}

TEST_CASE("Mutex: lock() is not ended by a cancel or a deadline", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    Mutex mutex;
    mutex.lock();
    std::error_code after;
    auto fiber = ramie::spawn([&] {
      (void)ramie::timeout(1ms, [&] { mutex.lock(); });
      after = code_of(ramie::current::check());
      mutex.unlock();
    });
    REQUIRE(park_comes_true(runtime, WaitKind::mutex, 1));
    fiber.cancel();
    std::this_thread::sleep_for(5ms);
    REQUIRE(parked(runtime, WaitKind::mutex) == 1);
    mutex.unlock();
    REQUIRE(fiber.join());
    REQUIRE(after == errc::canceled);
  });
}

TEST_CASE("Mutex: lock_cancelable() ends by cancel, deadline, and leaves the line", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    Mutex mutex;
    Log log;
    mutex.lock();
    auto first = ramie::spawn([&] { return mutex.lock_cancelable(); });
    REQUIRE(park_comes_true(runtime, WaitKind::mutex, 1));
    auto second =
        ramie::spawn([&] { return ramie::timeout(2ms, [&] { return mutex.lock_cancelable(); }); });
    auto third = ramie::spawn([&] {
      auto locked = mutex.lock_cancelable();
      if (locked) mutex.unlock();
      return locked;
    });
    first.cancel();
    REQUIRE(code_of(first.join()) == errc::canceled);
    REQUIRE(code_of(second.join()) == errc::timed_out);
    mutex.unlock();
    REQUIRE(third.join());
    REQUIRE(mutex.try_lock());
    mutex.unlock();
  });
}

TEST_CASE("Mutex: a cancelled fiber gets lock(), but not lock_cancelable()", "[sync]") {
  MiniRuntime runtime(1);
  Mutex mutex;
  std::error_code code;
  auto fiber = ramie::spawn([&] {
    (void)ramie::sleep_for(10s);
    code = code_of(mutex.lock_cancelable());
    mutex.lock();
  });
  REQUIRE(park_comes_true(runtime, WaitKind::sleep, 1));
  fiber.cancel();
  REQUIRE(fiber.join());
  REQUIRE(code == errc::canceled);
  REQUIRE_FALSE(mutex.try_lock());
  mutex.unlock();
}

TEST_CASE("Mutex: a cancel that a Shield hides does not cost the place in line", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    Mutex mutex;
    Log log;
    mutex.lock();
    auto shielded = ramie::spawn([&] {
      const ramie::Shield shield;
      auto locked = mutex.lock_cancelable();
      log.add(1);
      mutex.unlock();
      return locked;
    });
    REQUIRE(park_comes_true(runtime, WaitKind::mutex, 1));
    auto later = ramie::spawn([&] {
      const std::lock_guard lock(mutex);
      log.add(2);
    });
    REQUIRE(park_comes_true(runtime, WaitKind::mutex, 2));
    shielded.cancel();
    std::this_thread::sleep_for(2ms);
    REQUIRE(park_comes_true(runtime, WaitKind::mutex, 2));
    mutex.unlock();
    REQUIRE(shielded.join());
    REQUIRE(later.join());
    REQUIRE(log.entries() == std::vector<int>{1, 2});
  });
}

TEST_CASE("Mutex: under random cancels and deadlines nobody is lost and it ends up free",
          "[sync]") {
  with_workers([](MiniRuntime&) {
    Mutex mutex;
    long count = 0;
    std::atomic<long> expected{0};
    Crowd crowd;
    crowd.add_fibers(24, [&](int id) {
      for (int i = 0; i < 60; ++i) {
        const auto patience = std::chrono::microseconds((id * 7 + i * 13) % 90);
        auto locked = ramie::timeout(patience, [&] { return mutex.lock_cancelable(); });
        if (!locked) continue;
        ++count;
        expected.fetch_add(1, std::memory_order_relaxed);
        if (i % 3 == 0) (void)ramie::sleep_for(20us);
        mutex.unlock();
      }
    });
    crowd.add_threads(2, [&](int) {
      for (int i = 0; i < 200; ++i) {
        const std::lock_guard lock(mutex);
        ++count;
        expected.fetch_add(1, std::memory_order_relaxed);
      }
    });
    std::this_thread::sleep_for(1ms);
    crowd.cancel_fibers();
    crowd.join();
    REQUIRE(mutex.try_lock());
    REQUIRE(count == expected.load());
    mutex.unlock();
  });
}

TEST_CASE("Mutex: the next owner may destroy it", "[sync]") {
  with_workers([](MiniRuntime&) {
    for (int round = 0; round < 300; ++round) {
      auto mutex = std::make_unique<Mutex>();
      mutex->lock();
      auto next = ramie::spawn([&] {
        mutex->lock();
        mutex->unlock();
        mutex.reset();
      });
      if (round % 3 == 0) std::this_thread::sleep_for(20us);
      mutex->unlock();
      (void)next.join();
      REQUIRE(mutex == nullptr);
    }
  });
}

TEST_CASE("Mutex: a global one is ready before any constructor runs", "[sync]") {
  const std::lock_guard lock(global_mutex);
  REQUIRE_FALSE(global_mutex.try_lock());
}

TEST_CASE("Mutex: unlocking a free one stops the program", "[sync]") {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    (void)::signal(SIGABRT, SIG_DFL);
    (void)::dup2(STDIN_FILENO, STDERR_FILENO);
    Mutex mutex;
    mutex.unlock();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(WTERMSIG(status) == SIGABRT);
}
