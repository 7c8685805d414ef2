// F8: wake, park, switch, close and cancel never allocate, nor does spawn in the steady state. Each
// body runs for a while to reach that state, then again while every allocation of the process
// fails.
#include "tests/support/child.hpp"
#include "tests/support/failing_memory.hpp"
#include "tests/support/fault_plan.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/tcp_pair.hpp"

#include <ramie/cancel.hpp>
#include <ramie/scope.hpp>
#include <ramie/sync.hpp>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdint>
#include <mutex>

namespace {

using namespace ramie_test;
using ramie::spawn;
using ramie::net::TcpListener;
using ramie::net::TcpStream;

struct Steady {
  std::uint64_t allocations = 0;
  bool is_right = true;
};

// Runs in a fiber. `round()` returns whether everything worked.
template <class Round>
Steady measure(int rounds, Round&& round) {
  Steady steady;
  for (int i = 0; i < rounds; ++i) steady.is_right = round() && steady.is_right;
  Memory::begin(Memory::kEach);
  for (int i = 0; i < rounds; ++i) steady.is_right = round() && steady.is_right;
  steady.allocations = Memory::end();
  return steady;
}

template <class Round>
void check_steady(int rounds, Round&& round) {
  const Steady steady = measure(rounds, round);
  CHECK(steady.is_right);
  CHECK(steady.allocations == 0);
}

}  // namespace

TEST_CASE("F8 fibers that wake each other, on one worker and on two, allocate nothing") {
  for (const std::size_t workers : {1U, 2U}) {
    in_runtime(workers, [] {
      ramie::sync::Semaphore ping(0);
      ramie::sync::Semaphore pong(0);
      auto other = spawn([&] {
        while (ping.acquire()) pong.release();
      });
      check_steady(5000, [&] {
        ping.release();
        return pong.acquire().has_value();
      });
      ping.close();
      CHECK(other.join().has_value());
    });
  }
}

TEST_CASE("F8 timers, deadlines and yields allocate nothing") {
  in_runtime(2, [] {
    check_steady(100, [] {
      ramie::yield_now();
      const auto late = ramie::timeout(50us, [] { return ramie::sleep_for(1h); });
      return ramie::sleep_for(20us).has_value() && error_of(late) == ramie::errc::timed_out;
    });
  });
}

TEST_CASE("F8 a contended mutex, a condition variable and a notification allocate nothing") {
  in_runtime(2, [] {
    ramie::sync::Mutex mutex;
    ramie::sync::Condvar changed;
    ramie::sync::Notify notify;
    long shared = 0;
    std::atomic<bool> is_over{false};
    std::array<ramie::JoinHandle<void>, 4> others;
    for (auto& other : others)
      other = spawn([&] {
        while (!is_over) {
          std::unique_lock lock(mutex);
          ++shared;
          lock.unlock();
          changed.notify_all();
          notify.notify_one();
          ramie::yield_now();
        }
      });
    check_steady(500, [&] {
      std::unique_lock lock(mutex);
      const long before = shared;
      return changed.wait(lock, [&] { return shared > before; }).has_value() &&
             notify.wait().has_value();
    });
    is_over = true;
    for (auto& other : others) CHECK(other.join().has_value());
  });
}

TEST_CASE("F8 values through a channel allocate nothing") {
  in_runtime(2, [] {
    auto [sender, receiver] = ramie::sync::mpsc::channel<int>(8);
    auto producer = spawn([to = std::move(sender)]() mutable {
      for (int i = 0;; ++i)
        if (!to.send(i)) return;
    });
    int expected = 0;
    check_steady(10000, [&] {
      auto value = receiver.recv();
      return value.has_value() && *value == expected++;
    });
    receiver.close();
    while (receiver.recv()) {
    }
    CHECK(producer.join().has_value());
  });
}

TEST_CASE("F8 spawn, join, cancel and detach in the steady state allocate nothing") {
  if (ramie::detail::kInlineStorage == 0) RAMIE_SKIP("the race detector wants fresh memory");
  for (const std::size_t workers : {1U, 2U}) {
    in_runtime(workers, [] {
      ramie::Scope scope;
      // Start many first, so that each worker keeps some blocks and stacks, wherever fibers end.
      for (int i = 0; i < 400; ++i) (void)scope.spawn([] { (void)ramie::sleep_for(1ms); });
      REQUIRE(scope.join());
      check_steady(300, [&] {
        std::array<ramie::JoinHandle<int>, 20> children;
        for (auto& child : children) child = spawn([] { return 1; });
        int sum = 0;
        for (auto& child : children) sum += child.join().value_or(0);
        auto waiting = spawn([] { return ramie::sleep_for(1h); });
        ramie::yield_now();
        waiting.cancel();
        const bool was_canceled = !waiting.join().has_value();
        spawn([] { ramie::yield_now(); }).detach();
        const bool has_begun = scope.spawn([] { ramie::yield_now(); }).has_value();
        return sum == 20 && was_canceled && has_begun && scope.join().has_value();
      });
    });
  }
}

TEST_CASE("F8 connections that open, transfer, are cancelled and close allocate nothing") {
  in_runtime(2, [] {
    auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
    const auto address = *listener.local_addr();
    check_steady(300, [&] {
      auto near = TcpStream::connect(address);
      auto far = listener.accept();
      if (!near || !far) return false;
      std::array<std::byte, 8> buffer{};
      const bool is_said = near->write_all(buffer).has_value();
      const bool is_heard = far->stream.read_exact(buffer).has_value();
      const auto in_vain = ramie::timeout(10us, [&] { return near->read(buffer); });
      return is_said && is_heard && error_of(in_vain) == ramie::errc::timed_out;
    });
  });
}

TEST_CASE("F8 a shutdown wakes all waiters without memory") {
  open_reserve();
  auto runtime = make_runtime(2);
  std::atomic<int> ended{0};
  constexpr int kFibers = 200;
  for (int i = 0; i < kFibers; ++i)
    runtime
        .spawn([&] {
          (void)ramie::sleep_for(1h);
          ++ended;
        })
        .detach();
  runtime.block_on([] { REQUIRE(until_parked(ramie::sched::WaitKind::sleep, kFibers)); });
  Memory::begin(Memory::kEach);
  const bool have_all_ended = runtime.shutdown(20s).empty();
  const std::uint64_t allocations = Memory::end();
  CHECK(have_all_ended);
  CHECK(ended == kFibers);
  CHECK(allocations == 0);
}

TEST_CASE("A shortage is reported without memory; accept pauses and goes on") {
  in_runtime(1, [] {
    auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
    const RawSocket client = RawSocket::connect(*listener.local_addr());
    const PlannedFaults faults("accept4 1..2 ENOMEM; accept4 3 EMFILE");
    Memory::begin(Memory::kEach);
    const auto accepted = ramie::timeout(5s, [&] { return listener.accept(); });
    const std::uint64_t allocations = Memory::end();
    CHECK(allocations == 0);
    CHECK(error_of(accepted) == ramie::errc::timed_out);  // the third one closed our connection
    CHECK(faults.hits(0) == 2);
  });
}

// After the deadline the stragglers are listed. Without memory for the list each is still named.
TEST_CASE("F6 stragglers are named and left behind even without memory for their names") {
  const ChildEnd end = run_in_child([] {
    auto runtime = make_runtime(1);
    runtime
        .spawn([] {
          ramie::current::set_name("busy bee");
          for (;;) ramie::consume_budget();
        })
        .detach();
    runtime.block_on([] { ramie::yield_now(); });
    Memory::begin(Memory::kEach);
    const bool is_listed = !runtime.shutdown(10ms).empty();
    (void)Memory::end();
    if (is_listed) ::_exit(1);
  });
  INFO(end.messages);
  CHECK(end.exit_status == 0);
  CHECK(end.says("'busy bee'"));
}
