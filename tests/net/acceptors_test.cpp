// Tests several fibers that accept from one listener: they share the connections, and however one
// leaves the queue, the others go on.
#include "sched/base/annotate.hpp"
#include "sched/wait.hpp"
#include "tests/support/child.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/tcp_pair.hpp"

#include <ramie/cancel.hpp>
#include <ramie/scope.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <optional>
#include <thread>
#include <vector>

namespace {

using namespace ramie_test;
using ramie::errc;
using ramie::net::SocketAddr;
using ramie::net::TcpListener;
using ramie::sched::WaitKind;

constexpr int kConnections = 30;
constexpr std::size_t kAcceptors = 3;

TcpListener listen_somewhere() { return ramie::or_throw(TcpListener::bind("127.0.0.1:0")); }

std::vector<RawSocket> connect_many(const SocketAddr& address, int n) {
  std::vector<RawSocket> clients;
  for (int i = 0; i < n; ++i) clients.push_back(RawSocket::connect(address));
  return clients;
}

// Returns whether another fiber has yielded and is runnable.
bool have_yielded() {
  bool is_found = false;
  ramie::sched::current_scheduler()->for_each_fiber([&](ramie::sched::Fiber& fiber) {
    is_found = is_found || (&fiber != ramie::sched::current_fiber() && !fiber.has_ended() &&
                            fiber.word.state() != ramie::sched::FiberWord::kParked &&
                            fiber.switch_reason.load(ramie::base::kRelaxed) ==
                                ramie::sched::SwitchReason::yielding);
  });
  return is_found;
}

// Fibers that only accept. Counts how many connections each one has taken.
class Acceptors {
 public:
  // Each fiber is in the queue before the next one starts.
  Acceptors(TcpListener& listener, std::size_t n) : taken_(n), ends_(n) {
    for (std::size_t i = 0; i < n; ++i) {
      fibers_.push_back(ramie::spawn([this, &listener, i] {
        for (;;) {
          const auto accepted = listener.accept();
          if (!accepted) return void(ends_[i] = accepted.error());
          ++taken_[i];
        }
      }));
      REQUIRE(until_parked(WaitKind::accept, i + 1));
    }
  }
  ~Acceptors() { stop(); }
  Acceptors(const Acceptors&) = delete;
  Acceptors& operator=(const Acceptors&) = delete;

  void cancel(std::size_t i) { fibers_[i].cancel(); }
  // Returns the last error of each fiber.
  std::vector<std::error_code> ends() {
    join();
    return ends_;
  }
  void stop() {
    for (auto& fiber : fibers_) fiber.cancel();
    join();
  }
  int taken(std::size_t i) const { return taken_[i]; }
  int taken() const {
    int sum = 0;
    for (const auto& one : taken_) sum += one;
    return sum;
  }
  bool until_taken(int n) const {
    return eventually([this, n] { return taken() == n; });
  }

 private:
  void join() {
    for (auto& fiber : fibers_) (void)fiber.join();
    fibers_.clear();
  }

  std::vector<std::atomic<int>> taken_;
  std::vector<std::error_code> ends_;
  std::vector<ramie::JoinHandle<void>> fibers_;
};

}  // namespace

// Goal: H.46. Method: one worker, whose root fiber connects the clients one after the other, or all
// at once while it keeps the worker.
TEST_CASE("accept: several fibers share the connections, which come one by one or all at once",
          "[exact]") {
  const bool at_once = GENERATE(false, true);
  CAPTURE(at_once);
  in_runtime(1, [at_once] {
    auto listener = listen_somewhere();
    const auto address = *listener.local_addr();
    Acceptors acceptors(listener, kAcceptors);
    std::vector<RawSocket> clients;
    if (at_once) clients = connect_many(address, kConnections);
    for (int i = 0; i < kConnections && !at_once; ++i) {
      clients.push_back(RawSocket::connect(address));
      REQUIRE(acceptors.until_taken(i + 1));
    }
    REQUIRE(acceptors.until_taken(kConnections));
    for (std::size_t i = 0; i < kAcceptors; ++i) CHECK(acceptors.taken(i) >= 5);
  });
}

// A fiber keeps its worker for a slice of time, in which it may accept some dozens.
TEST_CASE("accept: fibers that begin after the connections arrived share them too", "[exact]") {
  constexpr int kMany = 300;
  in_runtime(1, [] {
    auto listener = listen_somewhere();
    const auto clients = connect_many(*listener.local_addr(), kMany);
    std::array<std::atomic<int>, kAcceptors> taken{};
    ramie::Scope scope;
    for (auto& mine : taken)
      (void)scope.spawn([&listener, &mine] {
        while (listener.accept()) ++mine;
      });
    CHECK(eventually([&] { return taken[0] + taken[1] + taken[2] == kMany; }));
    scope.cancel();
    (void)scope.join();
    for (const auto& mine : taken) CHECK(mine >= kMany / 6);
  });
}

TEST_CASE("accept: with more workers each fiber gets its turn, and no connection is lost") {
  for (const std::size_t workers : {2UL, 4UL}) {
    in_runtime(workers, [] {
      auto listener = listen_somewhere();
      Acceptors acceptors(listener, kAcceptors);
      const auto clients = connect_many(*listener.local_addr(), kConnections);
      REQUIRE(acceptors.until_taken(kConnections));
      for (std::size_t i = 0; i < kAcceptors; ++i) CHECK(acceptors.taken(i) >= 1);
    });
  }
}

TEST_CASE("accept: one connection wakes one of the waiting fibers", "[exact]") {
  in_runtime(1, [] {
    auto listener = listen_somewhere();
    Acceptors acceptors(listener, 40);
    const auto runs = [] {  // without runs that only continue after a yield
      const auto metrics = ramie::runtime::Handle::current().metrics();
      return metrics.switches - metrics.yields;
    };
    const auto before = runs();
    const auto client = connect_many(*listener.local_addr(), 1);
    ramie::yield_now();
    ramie::yield_now();
    ramie::yield_now();
    CHECK(acceptors.taken() == 1);
    CHECK(runs() - before <= 2);  // the first, and the second, which waits for the next one now
  });
}

TEST_CASE("accept: a fiber that is cancelled in the queue leaves it, and the others go on") {
  for (const std::size_t workers : kWorkerCounts) {
    for (std::size_t leaver = 0; leaver < 4; ++leaver) {  // 3 is last in the queue
      CAPTURE(workers, leaver);
      in_runtime(workers, [leaver] {
        auto listener = listen_somewhere();
        Acceptors acceptors(listener, 4);
        acceptors.cancel(leaver);
        REQUIRE(until_parked(WaitKind::accept, 3));
        const auto clients = connect_many(*listener.local_addr(), kConnections);
        REQUIRE(acceptors.until_taken(kConnections));
        for (std::size_t i = 0; i < 4; ++i) CHECK((acceptors.taken(i) > 0) == (i != leaver));
        acceptors.stop();
        for (const auto& end : acceptors.ends()) CHECK(end == errc::canceled);
      });
    }
  }
}

TEST_CASE("accept: deadlines in the queue pass and lose no connection") {
  for (const std::size_t workers : kWorkerCounts) {
    in_runtime(workers, [] {
      constexpr int kClients = 300;
      auto listener = listen_somewhere();
      std::atomic<int> accepted{0};
      std::atomic<int> late{0};
      std::atomic<int> wrong{0};
      ramie::Scope scope;
      for (int i = 0; i < 5; ++i)
        (void)scope.spawn([&, i] {
          for (int round = i; accepted < kClients; ++round) {
            const auto one = ramie::timeout(std::chrono::microseconds(round % 7 * 20),
                                            [&] { return listener.accept(); });
            if (one) ++accepted;
            else if (one.error() == errc::timed_out) ++late;
            else ++wrong;
          }
        });
      std::vector<RawSocket> clients;
      for (int i = 0; i < kClients; ++i) {
        clients.push_back(RawSocket::connect(*listener.local_addr()));
        if (i % 5 == 0) (void)ramie::sleep_for(50us);
      }
      CHECK(scope.join().has_value());
      CHECK(accepted == kClients);
      CHECK(late > 0);
      CHECK(wrong == 0);
    });
  }
}

TEST_CASE("accept: the end of the listener ends the whole queue with canceled") {
  for (const std::size_t workers : kWorkerCounts) {
    for (int round = 0; round < 20; ++round) {
      in_runtime(workers, [] {
        std::optional<TcpListener> listener(listen_somewhere());
        Acceptors acceptors(*listener, 5);
        listener.reset();
        auto next = listen_somewhere();
        for (const auto& end : acceptors.ends()) CHECK(end == errc::canceled);
        // The next listener reuses the slot sooner or later, and has its own queue.
        for (int i = 0; i < 3; ++i) {
          const auto client = connect_many(*next.local_addr(), 1);
          CHECK(next.accept().has_value());
          next = listen_somewhere();
        }
      });
    }
  }
}

// Method: one worker. The root fiber ends the listener before or after the fibers that the
// connections woke have run. The fibers still in the queue must not access the listener.
TEST_CASE("accept: the end of a listener with pending connections ends the queue") {
  for (int yields = 0; yields < 6; ++yields) {
    CAPTURE(yields);
    in_runtime(1, [yields] {
      std::optional<TcpListener> listener(listen_somewhere());
      Acceptors acceptors(*listener, 5);
      const auto clients = connect_many(*listener->local_addr(), 3);
      for (int i = 0; i < yields; ++i) ramie::yield_now();
      // The race detector sees that the woken fibers run before us. It does not see that for a
      // fiber that has yielded, so that fiber first runs until it waits.
      while (RAMIE_TSAN != 0 && have_yielded()) ramie::yield_now();
      CHECK(parked(WaitKind::accept) <= 5);
      listener.reset();
      CHECK(acceptors.taken() <= 3);
      for (const auto& end : acceptors.ends()) CHECK(end == errc::canceled);
    });
  }
}

TEST_CASE("accept: a shutdown ends the whole queue with shutting_down") {
  for (const std::size_t workers : kWorkerCounts) {
    const Watchdog watchdog(std::chrono::seconds(60));
    std::atomic<int> ended{0};
    std::atomic<int> otherwise{0};
    auto runtime = make_runtime(workers);
    std::optional<TcpListener> listener;
    runtime.block_on([&] {
      listener = listen_somewhere();
      for (int i = 0; i < 5; ++i)
        ramie::spawn([&] {
          const auto none = listener->accept();
          ++(error_of(none) == errc::shutting_down ? ended : otherwise);
        }).detach();
      REQUIRE(until_parked(WaitKind::accept, 5));
    });
    CHECK(runtime.shutdown(5s).empty());
    CHECK(ended == 5);
    CHECK(otherwise == 0);
  }
}

// A fiber accepts first; then two threads queue behind it.
TEST_CASE("accept: plain threads wait in the same queue, and a shutdown ends their waits") {
  const Watchdog watchdog(std::chrono::seconds(60));
  auto runtime = make_runtime(1);
  std::optional<TcpListener> listener;
  runtime.block_on([&] {
    listener = listen_somewhere();
    ramie::spawn([&] {
      while (listener->accept()) {
      }
    }).detach();
    REQUIRE(until_parked(WaitKind::accept, 1));
  });
  std::array<std::atomic<int>, 2> taken{};
  std::array<std::error_code, 2> ends;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 2; ++i)
    threads.emplace_back([&, i] {
      const auto entered = runtime.handle().enter();
      for (;;) {
        const auto accepted = listener->accept();
        if (!accepted) return void(ends[i] = accepted.error());
        ++taken[i];
      }
    });
  std::vector<RawSocket> clients;
  while (taken[0] == 0 || taken[1] == 0) {  // until both have been first in the queue
    clients.push_back(RawSocket::connect(*listener->local_addr()));
    std::this_thread::sleep_for(1ms);
  }
  CHECK(runtime.shutdown(5s).empty());
  for (auto& thread : threads) thread.join();
  for (const auto& end : ends) CHECK(end == errc::shutting_down);
}

// Goal: a fiber that is left behind accepts nothing, and nobody waits for it. Method: the only
// worker is stuck in another fiber while its runtime ends.
TEST_CASE("accept: a plain thread queued behind a fiber that is left behind returns") {
  const auto child = run_in_child([] {
    auto runtime = make_runtime(1);
    auto listener = runtime.block_on(listen_somewhere);
    std::atomic<bool> is_held{false};
    const bool waits = runtime.block_on([&] {
      ramie::spawn([&] { (void)listener.accept(); }).detach();
      if (!until_parked(WaitKind::accept, 1)) return false;
      ramie::spawn([&] {
        is_held = true;
        for (;;) std::this_thread::sleep_for(1ms);
      }).detach();
      return true;
    });
    while (!is_held) std::this_thread::sleep_for(1ms);
    std::error_code end;
    std::thread thread([&] {
      const auto entered = runtime.handle().enter();
      end = error_of(listener.accept());
    });
    while (ramie::sched::parked_threads() == 0) std::this_thread::sleep_for(1ms);
    const bool are_left = runtime.shutdown(50ms).size() == 2;
    thread.join();
    ::_exit(waits && are_left && end == errc::shutting_down ? 0 : 1);
  });
  INFO(child.messages);
  CHECK(child.exit_status == 0);
}
