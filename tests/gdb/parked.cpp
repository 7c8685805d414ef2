// A program to inspect with gdb: parked fibers, one that computes, and one in a queue that no
// worker runs. Prints "ready" when they exist, then waits to be killed.
#include <ramie/ramie.hpp>

#include <sys/prctl.h>
#include <unistd.h>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

using namespace std::chrono_literals;

namespace gdb_test {

[[gnu::noinline]] int wait_deeper(ramie::sync::Notify& notify, int depth) {
  return notify.wait() ? depth : -1;
}

[[gnu::noinline]] int wait_inside(ramie::sync::Notify& notify, int depth) {
  return wait_deeper(notify, depth + 1) + 1;
}

std::atomic<int> ready{0};

[[gnu::noinline]] void compute() {
  ready.fetch_add(1);
  for (;;) ready.load(std::memory_order_relaxed);
}

}  // namespace gdb_test

int main() {
  (void)::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);  // on Ubuntu Yama allows only a parent
  ramie::runtime::Builder builder;
  builder.workers(1).stall(0ms).watch(0us);
  auto runtime = ramie::or_throw(builder.build());
  ramie::sync::Notify notify;
  runtime.spawn([&] { return gdb_test::wait_inside(notify, 40); }).detach();
  auto sleeper = runtime.spawn([] { return ramie::sleep_for(1h); });
  runtime.spawn([&] { return sleeper.join().has_value(); }).detach();
  std::this_thread::sleep_for(200ms);
  runtime.spawn([] { ramie::spawn({.name = "computing"}, gdb_test::compute).detach(); }).detach();
  while (gdb_test::ready.load() != 1) std::this_thread::sleep_for(1ms);
  runtime.spawn([] {}).detach();  // the only worker is busy
  std::puts("ready");
  (void)std::fflush(stdout);
  for (;;) ::pause();
}
