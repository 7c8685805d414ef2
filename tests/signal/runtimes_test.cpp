// Several runtimes in one process share the handlers, not the listeners.
#include <catch2/catch.hpp>

#include <ramie/signal.hpp>
#include <ramie/time.hpp>

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <iterator>
#include <memory>
#include <thread>

#include "tests/signal/runtime.hpp"

using namespace ramie::test;
using ramie::signal::Kind;
using ramie::signal::Signal;

namespace {

std::ptrdiff_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return std::distance(begin(all), end(all));
}

// A fiber that counts the signals that it receives.
class Counter {
 public:
  explicit Counter(Runtime& runtime)
      : signal_(ramie::or_throw(runtime.enter([] { return Signal::open(Kind::user1()); }))),
        fiber_(runtime.spawn([this] {
          while (signal_.recv()) ++heard_;
        })) {}
  ~Counter() {
    fiber_.cancel();
    (void)fiber_.join();
  }
  int heard() const { return heard_; }

 private:
  Signal signal_;
  std::atomic<int> heard_{0};
  ramie::JoinHandle<void> fiber_;
};

}  // namespace

TEST_CASE("S6: listeners of two runtimes both hear") {
  Runtime one;
  Runtime two;
  const Counter first(one);
  const Counter second(two);
  for (int i = 1; i <= 20; ++i) {
    (void)::raise(SIGUSR1);
    REQUIRE(comes_true([&] { return first.heard() == i && second.heard() == i; }));
  }
}

// The driver that broadcasts must not run the fibers of the other runtime.
TEST_CASE("S6: a fiber hears through a Signal of another runtime, on its own workers") {
  Runtime owner;
  Runtime user;
  auto signal = ramie::or_throw(owner.enter([] { return Signal::open(Kind::user1()); }));
  std::atomic<int> heard{0};
  auto fiber = user.spawn([&] {
    while (signal.recv()) ++heard;
  });
  for (int i = 1; i <= 20; ++i) {
    (void)::raise(SIGUSR1);
    REQUIRE(comes_true([&] { return heard == i; }));
  }
  fiber.cancel();
  CHECK(fiber.join());
}

TEST_CASE("S1: dropping one runtime takes no signal from another") {
  auto first = std::make_unique<Runtime>();
  Runtime second;
  auto third = std::make_unique<Runtime>();
  const Counter counter(second);
  (void)::raise(SIGUSR1);
  REQUIRE(comes_true([&] { return counter.heard() == 1; }));
  first.reset();
  (void)::raise(SIGUSR1);
  REQUIRE(comes_true([&] { return counter.heard() == 2; }));
  third.reset();
  (void)::raise(SIGUSR1);
  REQUIRE(comes_true([&] { return counter.heard() == 3; }));
}

// Goal: neither the slot nor the descriptor of a dying runtime is used by a handler (S4), and no
// signal is lost meanwhile. Method: runtimes come and go under a storm; the survivor must hear.
TEST_CASE("S4: runtimes come and go under a storm, and no descriptor is left") {
  Runtime survivor;
  const Counter counter(survivor);
  {
    const Runtime warm_up;
  }
  const auto before = open_descriptors();
  std::atomic<bool> must_stop{false};
  std::thread storm([&] {
    while (!must_stop) {
      (void)(RAMIE_TSAN != 0 ? ::raise(SIGUSR1) : ::kill(::getpid(), SIGUSR1));
      // Under a sanitizer a handler takes longer than a kill(): the main thread would get no turn.
      std::this_thread::sleep_for(20us);
    }
  });
  REQUIRE(comes_true([&] { return counter.heard() > 0; }));  // the storm has begun
  for (int i = 0; i < 100; ++i) {
    Runtime passing;
    REQUIRE(passing.run([] { return 7; }).value() == 7);
  }
  must_stop = true;
  storm.join();
  CHECK(open_descriptors() == before);
  REQUIRE(comes_true([&] {
    const int heard = counter.heard();
    std::this_thread::sleep_for(50ms);
    return heard == counter.heard();
  }));
  const int heard = counter.heard();
  (void)::raise(SIGUSR1);
  CHECK(comes_true([&] { return counter.heard() > heard; }));
}

TEST_CASE("S1: a bell that is full of rings takes no signal away from the others") {
  Runtime runtime;
  const Counter counter(runtime);
  auto bell = ramie::or_throw(ramie::signal::handlers::Bell::create());
  const std::uint64_t most = ~std::uint64_t{1};
  REQUIRE(::write(bell.fd(), &most, sizeof most) == sizeof most);
  (void)::raise(SIGUSR1);
  CHECK(comes_true([&] { return counter.heard() == 1; }));
}
