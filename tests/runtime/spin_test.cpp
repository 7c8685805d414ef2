// Loops that ignore the errors of their waits: the watchdog names the fiber, and no fiber that only
// works.
#include "sched/base/annotate.hpp"
#include "tests/support/builder.hpp"
#include "tests/support/child.hpp"
#include "tests/support/tcp_pair.hpp"
#include "tests/support/text.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <unistd.h>
#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
using ramie::runtime::Deadlock;
using ramie::runtime::DumpSignal;
using ramie::runtime::Runtime;
using ramie_test::count;
using ramie_test::quiet_builder;
using ramie_test::run_in_child;

namespace {

constexpr bool kIsPlain = RAMIE_TSAN == 0;  // the race detector's own code has no unwind tables

Runtime watched(std::chrono::milliseconds stall) {
  auto builder = quiet_builder(2);
  builder.process_wide(true).dump_signal(DumpSignal::none).stall(stall).deadlock(Deadlock::off);
  return ramie::or_throw(builder.build());
}

}  // namespace

namespace spin_test {

// Loops that ignore the errors of their waits.
[[gnu::noinline]] void spin_when_canceled(const std::atomic<bool>& stop) {
  while (!stop) (void)ramie::sleep_for(1h);
}

[[gnu::noinline]] void spin_on_token(const std::atomic<bool>& stop) {
  const ramie::CancellationToken token;
  token.cancel();
  while (!stop) (void)token.wait();
}

[[gnu::noinline]] void spin_on_channel(const std::atomic<bool>& stop) {
  auto channel = ramie::sync::mpsc::channel<int>(1);
  {
    const auto gone = std::move(channel.first);
  }
  while (!stop) (void)channel.second.recv();
}

[[gnu::noinline]] void spin_on_stream(const std::atomic<bool>& stop) {
  auto pair = ramie_test::tcp_pair();
  {
    const auto gone = std::move(pair.near);
  }
  std::array<std::byte, 16> bytes{};
  while (!stop) (void)pair.far.read(bytes);
}

// Busy, but each wait has a result. (lock() of a free mutex would be no wait: it uses no budget,
// and such a loop keeps its worker.)
void work_with_lock(const std::atomic<bool>& stop) {
  ramie::sync::Mutex mutex;
  while (!stop && mutex.lock_cancelable()) mutex.unlock();
}

void work_with_channel(const std::atomic<bool>& stop) {
  auto [sender, receiver] = ramie::sync::mpsc::channel<int>(4);
  while (!stop && sender.send(1) && receiver.recv()) {
  }
}

void work_with_stream(const std::atomic<bool>& stop) {
  auto pair = ramie_test::tcp_pair();
  std::array<std::byte, 16> bytes{};
  while (!stop && pair.near.write_all(bytes) && pair.far.read(bytes)) {
  }
}

}  // namespace spin_test

// Goal: A.4. Method: fibers that ignore errors in a loop, each beside others that only work hard.
TEST_CASE("Watchdog: a fiber that loops over waits that never wait is named, once",
          "[runtime][watchdog]") {
  using Body = void (*)(const std::atomic<bool>&);
  static constexpr std::array<Body, 4> kSpins{
      &spin_test::spin_when_canceled, &spin_test::spin_on_token, &spin_test::spin_on_channel,
      &spin_test::spin_on_stream};
  static constexpr std::array kNames{"spin_when_canceled", "spin_on_token", "spin_on_channel",
                                     "spin_on_stream"};
  for (std::size_t i = 0; i < kSpins.size(); ++i) {
    const auto end = run_in_child([i] {
      auto runtime = watched(100ms);
      std::atomic<bool> stop{false};
      std::atomic<bool> has_begun{false};
      std::array<ramie::JoinHandle<void>, 3> busy{
          runtime.spawn([&] { spin_test::work_with_lock(stop); }),
          runtime.spawn([&] { spin_test::work_with_channel(stop); }),
          runtime.spawn([&] { spin_test::work_with_stream(stop); })};
      auto spinner = runtime.spawn([&] {
        ramie::current::set_name("spinner");
        has_begun = true;
        kSpins[i](stop);
      });
      while (!has_begun) std::this_thread::sleep_for(1ms);
      if (i == 0) spinner.cancel();
      while (runtime.metrics().spins == 0) std::this_thread::sleep_for(5ms);
      std::this_thread::sleep_for(500ms);  // it goes on, and is not named again
      stop = true;
      (void)spinner.join();
      for (auto& one : busy) (void)one.join();
      if (runtime.metrics().spins != 1) ::_exit(1);
      if (runtime.metrics().fruitless_waits < 8192) ::_exit(2);
    });
    INFO(end.messages);
    CHECK(end.exit_status == 0);
    CHECK(count(end.messages, "Is an error ignored in a loop?") == 1);
    CHECK(count(end.messages, " 'spinner' has passed ") == 1);
    CHECK((end.says(std::string("spin_test::") + kNames[i]) || !kIsPlain));
  }
}
