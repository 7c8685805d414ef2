// A second place to sleep: a mock of the worker's ring. The worker sleeps where its completions
// arrive, any thread can wake it there, and it takes what is complete.
#include "sched/park_site.hpp"
#include "sched/fiber.hpp"
#include "sched/wait.hpp"
#include "sched/worker.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/sched_runtime.hpp"

#include <ramie/net.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>

#include <catch2/catch.hpp>

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace ramie::sched;
using ramie::spawn;
using ramie_test::SchedRuntime;
using ramie_test::spin_until;
using ramie_test::Watchdog;

namespace {

// Fibers start operations, and a test thread completes them.
class MockRing final : public ParkSite {
 public:
  ~MockRing() override { ::close(bell_); }

  // In a fiber: waits for its own completion. A cancel does not end the wait, as with a kernel
  // operation.
  void operate() {
    Wait wait(WaitKind::io, this, FiberWord::Shield::yes);
    (void)wait.enter();
    bool armed = wait.arm();
    RAMIE_CHECK(armed, "a shielded wait is never refused");
    Waiter waiter;
    wait.bind(waiter);
    {
      const std::lock_guard lock(mutex_);
      operations_.push_back(waiter);
      ++inflight_;
    }
    current_worker()->ensure_watcher();
    (void)wait.park();
    const std::lock_guard lock(mutex_);  // the thread that completed it has left
  }

  // On a test thread: completes the oldest operation.
  bool complete() {
    const std::lock_guard lock(mutex_);
    Waiter* waiter = operations_.pop_front();
    if (waiter == nullptr) return false;
    completed_.push_back(*waiter);
    (void)::eventfd_write(bell_, 1);
    return true;
  }

  bool has_inflight() const noexcept override { return inflight_ != 0; }
  void park(ramie::base::Nanos max_wait, int poll_fd) noexcept override {
    ++parks;
    pollfd places[2] = {{bell_, POLLIN, 0}, {poll_fd, POLLIN, 0}};
    const timespec limit{max_wait.count() / 1'000'000'000, max_wait.count() % 1'000'000'000};
    (void)::ppoll(places, 2, max_wait.count() < 0 ? nullptr : &limit, nullptr);
    eventfd_t rung = 0;
    (void)::eventfd_read(bell_, &rung);
  }
  bool is_quiet(int) const noexcept override { return false; }
  void unpark_from_any_thread() noexcept override {
    ++unparks;
    (void)::eventfd_write(bell_, 1);
  }
  void reap(FiberList& out) noexcept override {
    WakeList wakes;
    {
      const std::lock_guard lock(mutex_);
      while (Waiter* waiter = completed_.pop_front()) {
        --inflight_;
        (void)wakes.claim(*waiter);
      }
    }
    out.append(wakes.fibers());
  }

  void visit(FiberList& out) noexcept override {
    ++visits;
    reap(out);
  }

  std::atomic<int> parks{0};
  std::atomic<int> visits{0};
  std::atomic<int> unparks{0};

 private:
  std::mutex mutex_;
  const int bell_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  ramie::base::List<Waiter> operations_;
  ramie::base::List<Waiter> completed_;
  std::atomic<int> inflight_{0};
};

struct Rings {
  std::vector<std::unique_ptr<MockRing>> all;
  auto prepare() {
    return [this](Scheduler& scheduler) {
      for (std::size_t i = 0; i < scheduler.workers().size(); ++i) {
        all.push_back(std::make_unique<MockRing>());
        scheduler.workers()[i].set_park_site(all.back().get());
      }
    };
  }
  MockRing& here() { return *all[static_cast<std::size_t>(ramie::current::worker_index())]; }
};

}  // namespace

TEST_CASE("ParkSite: a worker with operations in flight sleeps there, and completions wake it",
          "[sched][park]") {
  const ramie_test::Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2});
  Rings rings;
  SchedRuntime runtime(ramie_test::with_workers(workers), rings.prepare());
  const auto parks = [&rings] {
    int sum = 0;
    for (auto& ring : rings.all) sum += ring->parks;
    return sum;
  };
  for (int round = 0; round < 20; ++round) {
    auto fiber = spawn({.pinned = true}, [&] {
      rings.here().operate();
      return 1;
    });
    if (round == 0) REQUIRE(ramie_test::comes_true([&] { return parks() > 0; }));
    else std::this_thread::sleep_for(500us);
    spin_until([&] {
      for (auto& ring : rings.all)
        if (ring->complete()) return true;
      return false;
    });
    REQUIRE(fiber.join() == 1);
  }
}

TEST_CASE("ParkSite: new work wakes a worker that sleeps there", "[sched][park]") {
  const ramie_test::Watchdog watchdog;
  Rings rings;
  SchedRuntime runtime(ramie_test::with_workers(1), rings.prepare());
  auto operating = spawn([&] { rings.here().operate(); });
  spin_until([&] { return rings.all[0]->parks > 0; });
  for (int i = 0; i < 20; ++i) {
    CHECK(spawn([i] { return i; }).join() == i);
    CHECK(spawn({.pinned = true}, [i] { return i; }).join() == i);
  }
  CHECK(rings.all[0]->unparks > 0);
  CHECK_FALSE(operating.is_finished());
  spin_until([&] { return rings.all[0]->complete(); });
  CHECK(operating.join().has_value());
}

TEST_CASE("ParkSite: timers fire although every worker sleeps there", "[sched][park]") {
  const ramie_test::Watchdog watchdog;
  const auto workers = GENERATE(std::size_t{1}, std::size_t{2});
  Rings rings;
  SchedRuntime runtime(ramie_test::with_workers(workers), rings.prepare());
  std::vector<ramie::JoinHandle<void>> operating;
  for (std::size_t i = 0; i < workers; ++i)
    operating.push_back(spawn({.pinned = true}, [&] { rings.here().operate(); }));
  spin_until([&] {
    for (auto& ring : rings.all)
      if (ring->parks == 0) return false;
    return true;
  });
  for (int i = 0; i < 5; ++i) CHECK(spawn([] { return ramie::sleep_for(5ms); }).join());
  for (auto& ring : rings.all) spin_until([&] { return ring->complete(); });
  for (auto& one : operating) CHECK(one.join().has_value());
}

TEST_CASE("ParkSite: sockets are served although every worker sleeps there", "[sched][park]") {
  const ramie_test::Watchdog watchdog;
  Rings rings;
  SchedRuntime runtime(ramie_test::with_workers(1), rings.prepare());
  auto operating = spawn([&] { rings.here().operate(); });
  auto accepting = spawn([] {
    auto listener = ramie::net::TcpListener::bind("127.0.0.1:0");
    const auto address = listener->local_addr();
    std::thread client([port = address->port()] {
      const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      std::this_thread::sleep_for(10ms);
      (void)::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
      ::close(fd);
    });
    const bool accepted = listener->accept().has_value();
    client.join();
    return accepted;
  });
  CHECK(accepting.join() == true);
  spin_until([&] { return rings.all[0]->complete(); });
  CHECK(operating.join().has_value());
}

TEST_CASE("ParkSite: a worker stuck in a fiber leaves what completes there to another worker",
          "[sched][park]") {
  const ramie_test::Watchdog watchdog;
  Rings rings;
  SchedRuntime runtime(ramie_test::with_workers(2), rings.prepare());
  for (int round = 0; round < 20; ++round) {
    std::atomic<bool> has_ended{false};
    std::atomic<bool> is_stuck{false};
    std::atomic<int> home{-1};
    auto stuck = spawn([&] {
      auto operating = spawn([&] {
        home = ramie::current::worker_index();
        rings.here().operate();
        has_ended = true;
      });
      while (home == -1) ramie::yield_now();
      is_stuck = true;
      if (home == ramie::current::worker_index()) spin_until([&] { return has_ended.load(); });
      return operating.join().has_value();
    });
    spin_until([&] { return is_stuck.load(); });
    if (round % 2 != 0) std::this_thread::sleep_for(20ms);  // the watcher has given up
    spin_until([&] { return rings.all[0]->complete() || rings.all[1]->complete(); });
    CHECK(stuck.join() == true);
  }
  CHECK(rings.all[0]->visits + rings.all[1]->visits > 0);
}

TEST_CASE("ParkSite: a shutdown waits for the completion of what is in flight", "[sched][park]") {
  const ramie_test::Watchdog watchdog;
  Rings rings;
  SchedRuntime runtime(ramie_test::with_workers(2), rings.prepare());
  auto operating = spawn([&] { rings.here().operate(); });
  spin_until([&] { return rings.all[0]->has_inflight() || rings.all[1]->has_inflight(); });
  std::thread kernel([&] {
    spin_until([&] { return runtime.scheduler().is_shutting_down(); });
    std::this_thread::sleep_for(2ms);
    spin_until([&] { return rings.all[0]->complete() || rings.all[1]->complete(); });
  });
  CHECK(runtime.shut_down(20s).empty());
  kernel.join();
  CHECK(operating.join().has_value());
}
