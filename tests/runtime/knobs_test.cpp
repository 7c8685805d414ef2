// Every knob at its bounds: beside fibers that always run, all other work goes on.
#include "runtime/config_value.hpp"
#include "runtime/state.hpp"
#include "sched/current.hpp"
#include "tests/support/tcp_pair.hpp"
#include "tests/support/watchdog.hpp"

#include <ramie/ramie.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace ramie::runtime;
using ramie::spawn;
using ramie_test::Watchdog;

namespace {

constexpr int kRounds = 5;

// --- the values

struct Knob {
  const Row* row;
  Raw raw;
  std::string text() const { return std::string(row->name) + "=" + format_raw(*row, raw); }
};

// The first and the last value that the row accepts, and the special ones. A new row of the table
// is tested, too.
std::vector<Raw> extremes(const Row& row) {
  std::vector<Raw> values;
  if (row.kind == Kind::choice) {
    const auto words = std::count(row.words.begin(), row.words.end(), '|') + 1;
    for (std::uint64_t word = 0; word < static_cast<std::uint64_t>(words); ++word)
      values.emplace_back(word);
    return values;
  }
  if (row.kind == Kind::flag) return {Raw(0), Raw(1)};
  values.emplace_back(row.min);
  values.emplace_back(row.field == Field::workers ? 8 : row.max);  // 1,024 threads prove no more
  if (row.zero_is_off) values.emplace_back(0);
  if (!row.automatic.empty()) values.emplace_back(std::nullopt);
  return values;
}

std::vector<Knob> knobs() {
  std::vector<Knob> all;
  for (const Row& row : kTable) {
    if (row.field == Field::strict || row.field == Field::help) continue;  // only the reader's
    for (const Raw& raw : extremes(row)) all.push_back({&row, raw});
  }
  return all;
}

// --- a runtime whose thread we enter

class Entered {
 public:
  explicit Entered(const Config& config) {
    auto made = RuntimeState::create(config, {.thread_name = "knobs",
                                              .on_thread_start = {},
                                              .on_thread_stop = {},
                                              .is_process_wide = false});
    if (!made) return;
    state_ = std::move(*made);
    before_ = ramie::sched::exchange_entered(state_->scheduler());
  }
  ~Entered() {
    if (state_ == nullptr) return;
    (void)ramie::sched::exchange_entered(before_);
    state_->end();
  }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;

  bool exists() const { return state_ != nullptr; }
  ramie::sched::Scheduler& scheduler() const { return *state_->scheduler(); }
  std::uint64_t switches() const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < scheduler().workers().size(); ++i)
      sum += scheduler().workers()[i].metrics().runs.get();
    return sum;
  }

 private:
  std::shared_ptr<RuntimeState> state_;
  ramie::sched::Scheduler* before_ = nullptr;
};

// --- fibers that always run

using Stop = std::atomic<bool>;

void yield_always(const Stop& stop) {
  while (!stop) ramie::yield_now();
}

void respawn(const Stop& stop, std::atomic<int>& chains) {
  if (stop) --chains;
  else spawn(respawn, std::cref(stop), std::ref(chains)).detach();
}

// Waits that never wait: only the budget makes it yield.
void wait_for_nothing(const Stop& stop) {
  ramie::sync::Semaphore semaphore(1);
  while (!stop) {
    (void)semaphore.acquire();
    semaphore.release();
  }
}

// Fibers that run all the time, of one kind, until the end of this.
class Crowd {
 public:
  enum Kind : std::uint8_t { local, lifo, pinned, injected, budget };
  static constexpr std::array kKinds{local, lifo, pinned, injected, budget};
  static constexpr std::array kNames{"yields", "respawns", "is pinned and yields", "is injected",
                                     "never waits"};

  Crowd(Kind kind, ramie::sched::Scheduler& scheduler) {
    for (int i = 0; i < 2; ++i) {
      if (kind == local) fibers_.push_back(spawn(yield_always, std::cref(stop_)));
      if (kind == pinned)
        fibers_.push_back(spawn({.pinned = true}, yield_always, std::cref(stop_)));
      if (kind == budget) fibers_.push_back(spawn(wait_for_nothing, std::cref(stop_)));
    }
    if (kind == lifo) {
      ++chains_;
      spawn(respawn, std::cref(stop_), std::ref(chains_)).detach();
    }
    if (kind == injected) flood_ = std::thread([this, &scheduler] { flood(scheduler); });
    while (kind == injected && flooded_ < 16) std::this_thread::yield();
  }
  ~Crowd() {
    stop_ = true;
    if (flood_.joinable()) flood_.join();
    for (auto& fiber : fibers_) (void)fiber.join();
    while (chains_ != 0) std::this_thread::yield();
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

 private:
  // Keeps up to 64 fibers in the injector.
  void flood(ramie::sched::Scheduler& scheduler) {
    auto* before = ramie::sched::exchange_entered(&scheduler);
    while (!stop_) {
      if (chains_ >= 64) {
        std::this_thread::yield();
        continue;
      }
      ++chains_;
      ++flooded_;
      spawn([this] { --chains_; }).detach();
    }
    (void)ramie::sched::exchange_entered(before);
  }

  Stop stop_{false};
  std::atomic<int> chains_{0};
  std::atomic<int> flooded_{0};
  std::vector<ramie::JoinHandle<void>> fibers_;
  std::thread flood_;
};

// --- work that must go on: each makes one step of its kind, on a fiber or on the test's thread

struct Mover {
  const char* name;
  bool by_count;  // its turn comes after a number of switches; else after a time
  bool (*move)();
};

bool sleep_shortly() { return ramie::sleep_for(100us).has_value(); }

bool yield_once() {
  ramie::yield_now();
  return true;
}

bool spawn_and_join() {
  return spawn([] { return 1; }).join() == 1;
}

bool spawn_pinned_and_yield() {
  return spawn({.pinned = true}, [] {
           std::atomic<bool> has_run{false};
           auto child = spawn([&has_run] { has_run = true; });
           while (!has_run) ramie::yield_now();
           return child.join().has_value();
         }).join() == true;
}

bool wake_another() {
  ramie::sync::Notify there;
  ramie::sync::Notify back;
  auto other = spawn([&] {
    (void)there.wait();
    back.notify_one();
  });
  ramie::yield_now();
  there.notify_one();
  return back.wait().has_value() && other.join().has_value();
}

bool send_a_byte() {
  auto pair = ramie_test::tcp_pair();
  auto reading = spawn([&pair] {
    std::array<std::byte, 1> byte{};
    const auto got = pair.far.read(byte);
    return got && *got == 1;
  });
  ramie::yield_now();
  return pair.near.write_all(ramie_test::bytes("x")).has_value() && reading.join() == true;
}

constexpr std::array kMovers{
    Mover{"a fiber that yields", true, &yield_once},
    Mover{"a child that is spawned", true, &spawn_and_join},
    Mover{"a pinned fiber and its child", true, &spawn_pinned_and_yield},
    Mover{"a fiber that is woken", true, &wake_another},
    Mover{"a timer", false, &sleep_shortly},
    Mover{"a socket", false, &send_a_byte},
};

// The most switches that one of several steps took, all in one fiber; ~0 if a step failed.
std::uint64_t worst_step(Entered& runtime, const Mover& mover) {
  return spawn([&runtime, &mover] {
           std::uint64_t worst = 0;
           for (int i = 0; i < kRounds; ++i) {
             const std::uint64_t before = runtime.switches();
             if (!mover.move()) return ~std::uint64_t{0};
             worst = std::max(worst, runtime.switches() - before);
           }
           return worst;
         })
      .join()
      .value_or(~std::uint64_t{0});
}

// From this thread into the injector.
std::uint64_t worst_injection(Entered& runtime) {
  std::uint64_t worst = 0;
  for (int i = 0; i < kRounds; ++i) {
    const std::uint64_t before = runtime.switches();
    const auto seen = spawn([&runtime] { return runtime.switches(); }).join();
    if (!seen) return ~std::uint64_t{0};
    worst = std::max(worst, *seen - before);
  }
  return worst;
}

// Limits in switches. By count: of the fibers that are not injected, every fourth is pinned; of the
// rest one in 65 comes from the queue, where a few wait, and a step needs a few of them. By time:
// the switches of a fast machine in a few slices, half of what the longest interval would allow.
constexpr std::uint64_t kByCount = 8'192;
constexpr std::uint64_t kByTime = 32'768;

// The switches of other workers count, too, and those that chaos adds cannot be counted.
bool is_countable(const Knob& knob) {
  return knob.row->field != Field::workers && !(knob.row->field == Field::chaos && knob.raw);
}

}  // namespace

// Goal: D.17 and its kind: no accepted value of any knob starves a class of work.
// Method: each knob at its bounds, on one worker; for each kind of fiber that always runs, each
// other kind makes a few steps. A step that starves never ends; a late step took too many switches.
TEST_CASE("Every knob at its bounds keeps every kind of work moving", "[runtime][fairness]") {
  const Watchdog watchdog(std::chrono::seconds(240));
  std::size_t refused = 0;
  for (const Knob& knob : knobs()) {
    Config config;
    config.workers = 1;
    config.cpu_quota = false;
    config.dump_signal = DumpSignal::none;
    store(*knob.row, knob.raw, config);
    Entered runtime(config);
    if (!runtime.exists()) {  // io_uring is required and denied, or the stacks are too large here
      ++refused;
      WARN(knob.text() << " is refused on this machine");
      continue;
    }
    for (const Crowd::Kind kind : Crowd::kKinds) {
      const Crowd crowd(kind, runtime.scheduler());
      const auto expect = [&](const char* what, std::uint64_t worst, std::uint64_t most) {
        INFO(knob.text() << ", beside a fiber that " << Crowd::kNames[kind] << ": " << what);
        REQUIRE(worst != ~std::uint64_t{0});
        if (is_countable(knob)) CHECK(worst <= most);
      };
      for (const Mover& mover : kMovers)
        expect(mover.name, worst_step(runtime, mover), mover.by_count ? kByCount : kByTime);
      expect("a fiber from outside", worst_injection(runtime), kByTime);
    }
  }
  CHECK(refused <= 4);
}
