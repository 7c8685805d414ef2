// Programs with and without races between fibers, for the detector's self-test (run.py): `planted
// MODE`.
//
//   race     two fibers write one variable again and again, yielding in between
//   once     each writes once, far apart
//   forgot   data passed by a relaxed flag: the value arrives, the edge is missing
//   mutex, join, oneshot, scope, channel   the same data, passed by a primitive: no race
#include <ramie/ramie.hpp>

#include <atomic>
#include <cstdio>
#include <string_view>

namespace {

int shared_value = 0;
std::atomic<bool> relaxed_flag{false};

void write_often() {
  for (int i = 0; i < 50; ++i) {
    ++shared_value;
    ramie::yield_now();
  }
}

void write_once(int yields) {
  for (int i = 0; i < yields; ++i) ramie::yield_now();
  ++shared_value;
  for (int i = 0; i < 50; ++i) ramie::yield_now();
}

void pass_by_relaxed_flag() {
  ramie::Scope scope;
  (void)scope.spawn([] {
    while (!relaxed_flag.load(std::memory_order_relaxed)) ramie::yield_now();
    ++shared_value;
  });
  (void)scope.spawn([] {
    for (int i = 0; i < 20; ++i) ramie::yield_now();
    ++shared_value;
    relaxed_flag.store(true, std::memory_order_relaxed);
  });
  (void)scope.join();
}

void race(int first_yields, int second_yields) {
  ramie::Scope scope;
  if (first_yields < 0) {
    (void)scope.spawn(write_often);
    (void)scope.spawn(write_often);
  } else {
    (void)scope.spawn(write_once, first_yields);
    (void)scope.spawn(write_once, second_yields);
  }
  (void)scope.join();
}

void pass_by_mutex() {
  ramie::sync::Mutex mutex;
  ramie::Scope scope;
  for (int fiber = 0; fiber < 4; ++fiber) {
    (void)scope.spawn([&mutex] {
      for (int i = 0; i < 50; ++i) {
        mutex.lock();
        ++shared_value;
        mutex.unlock();
        ramie::yield_now();
      }
    });
  }
  (void)scope.join();
}

void pass_by_join() {
  for (int i = 0; i < 50; ++i) {
    auto handle = ramie::spawn([] { ++shared_value; });
    (void)handle.join();
    ++shared_value;
  }
}

void pass_by_oneshot() {
  for (int i = 0; i < 50; ++i) {
    auto [sender, receiver] = ramie::sync::oneshot::channel<int>();
    auto handle = ramie::spawn([out = std::move(sender)]() mutable {
      ++shared_value;
      (void)out.send(1);
    });
    (void)receiver.recv();
    ++shared_value;
    (void)handle.join();
  }
}

void pass_by_scope() {
  for (int i = 0; i < 50; ++i) {
    ramie::Scope scope;
    (void)scope.spawn([] { ++shared_value; });
    (void)scope.join();
    ++shared_value;
  }
}

void pass_by_channel() {
  auto [sender, receiver] = ramie::sync::mpsc::channel<int>(4);
  auto handle = ramie::spawn([out = std::move(sender)]() mutable {
    for (int i = 0; i < 50; ++i) {
      if (i == 49) ++shared_value;
      (void)out.send(int{i});
    }
  });
  while (receiver.recv()) {
  }
  ++shared_value;
  (void)handle.join();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  ramie::runtime::block_on([mode] {
    if (mode == "race") race(-1, -1);
    else if (mode == "once") race(3, 40);
    else if (mode == "forgot") pass_by_relaxed_flag();
    else if (mode == "mutex") pass_by_mutex();
    else if (mode == "join") pass_by_join();
    else if (mode == "oneshot") pass_by_oneshot();
    else if (mode == "scope") pass_by_scope();
    else if (mode == "channel") pass_by_channel();
    else std::printf("planted: unknown mode\n");
  });
  return 0;
}
