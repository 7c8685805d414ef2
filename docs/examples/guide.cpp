// The pieces of code that docs/guide.md shows, compiled and run.
#include <ramie/ramie.hpp>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

void expect(bool holds, const char* what) {
  if (holds) return;
  (void)std::fprintf(stderr, "guide: %s\n", what);
  std::exit(1);
}

int slow_square(int n) {
  (void)ramie::sleep_for(1ms);
  return n * n;
}

void spawn_and_join() {
  auto nine = ramie::spawn(slow_square, 3);
  auto named = ramie::spawn({.name = "square", .stack_size = 1 << 20}, slow_square, 4);
  const int sum = ramie::or_throw(nine.join()) + ramie::or_throw(named.join());
  expect(sum == 25, "spawn and join");
}

int sum_of_two() {
  int left = 0;
  int right = 0;
  ramie::scope([&](ramie::Scope& scope) {
    ramie::or_throw(scope.spawn([&] { left = slow_square(3); }));
    ramie::or_throw(scope.spawn([&] { right = slow_square(4); }));
  });  // waits for both
  return left + right;
}

int sum_of_squares(int n) {
  std::vector<int> squares(static_cast<std::size_t>(n));
  ramie::Scope scope;
  for (int i = 0; i < n; ++i)
    ramie::or_throw(scope.spawn([&, i] { squares[static_cast<std::size_t>(i)] = slow_square(i); }));
  ramie::or_throw(scope.join());  // throws what a child threw; the others are cancelled then
  int sum = 0;
  for (const int square : squares) sum += square;
  return sum;
}

ramie::Result<void> three_steps() {
  for (int step = 0; step < 3; ++step)
    if (auto slept = ramie::sleep_for(1s); !slept) return slept;  // pass the error on: you are done
  return {};
}

void deadlines() {
  const auto done = ramie::timeout(10ms, three_steps);
  expect(!done && done.error() == ramie::errc::timed_out, "a deadline of ours");
  expect(done.error() == std::errc::timed_out, "its standard condition");
}

void tokens() {
  const ramie::CancellationToken stop;
  auto worker = ramie::spawn([stop] {
    auto result = ramie::until(stop, three_steps);
    return !result && result.error() == ramie::errc::canceled;
  });
  stop.cancel();
  expect(ramie::or_throw(worker.join()), "a cancelled token");
}

std::string lookup(const std::string& name) {
  auto slow = ramie::spawn_blocking([name] {
    std::this_thread::sleep_for(1ms);  // a call that blocks its thread
    return "value of " + name;
  });
  return ramie::or_throw(slow.join());
}

class Cache {
 public:
  std::string get(const std::string& name) {
    const std::lock_guard lock(mutex_);  // a fiber parks here, its thread goes on
    auto [entry, is_new] = entries_.try_emplace(name);
    if (is_new) entry->second = lookup(name);  // a wait with the lock held is fine
    return entry->second;
  }

 private:
  ramie::sync::Mutex mutex_;
  std::map<std::string, std::string> entries_;
};

void exceptions() {
  auto fails = ramie::spawn([]() -> int { throw std::runtime_error("no such page"); });
  try {
    (void)fails.join();
  } catch (const std::runtime_error& error) {
    expect(std::string(error.what()) == "no such page", "an exception comes out of join()");
    return;
  }
  expect(false, "join() did not throw");
}

void descriptors() {
  std::array<int, 2> ends{};
  expect(pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0, "pipe2");
  auto registration =
      ramie::or_throw(ramie::io::Registration::create(ends[0], ramie::io::Interest::readable));
  auto writer = ramie::spawn([fd = ends[1]] { return write(fd, "x", 1) == 1; });
  char byte = 0;
  auto got = registration.io(ramie::io::Interest::readable, [&]() -> ramie::Result<ssize_t> {
    const ssize_t n = read(registration.fd(), &byte, 1);
    if (n < 0) return ramie::failure(std::error_code(errno, std::system_category()));
    return n;
  });
  expect(got == ssize_t{1} && byte == 'x' && ramie::or_throw(writer.join()), "a pipe");
  (void)registration.deregister();
  close(ends[0]);
  close(ends[1]);
}

}  // namespace

int main() {
  auto runtime = ramie::or_throw(ramie::runtime::Builder().workers(2).build());
  runtime.block_on([] {
    spawn_and_join();
    expect(sum_of_squares(4) == 14, "a Scope");
    expect(sum_of_two() == 25, "scope()");
    deadlines();
    tokens();
    Cache cache;
    expect(cache.get("a") == "value of a" && cache.get("a") == "value of a", "a cache");
    exceptions();
    descriptors();
  });
  const auto stragglers = runtime.shutdown(5s);
  expect(stragglers.empty(), "stragglers");
  return 0;
}
