// Programs with and without races between fibers. run.py uses them for the self-test of the race
// detector: `planted MODE`.
//
//     race        two fibers write one variable again and again, with yields in between
//     once        each writes once, far apart
//     forgot      data passed by a relaxed flag: the value arrives, the edge is missing
//     NAME        data passed by the primitive NAME: no race
//     NAME-late   the same, and the giver writes once more afterwards: a race
#include <ramie/ramie.hpp>

#include <array>
#include <atomic>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

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

// One fiber writes, gives, and perhaps writes again. Another takes and writes.
using Act = std::function<void()>;
void pass(bool is_late, const Act& give, const Act& take) {
  ramie::Scope scope;
  (void)scope.spawn([&] {
    for (int i = 0; i < 5; ++i) ramie::yield_now();
    ++shared_value;
    give();
    if (is_late) ++shared_value;
    for (int i = 0; i < 20; ++i) ramie::yield_now();
  });
  (void)scope.spawn([&] {
    take();
    ++shared_value;
  });
  (void)scope.join();
}

void by_mutex(bool is_late) {
  ramie::sync::Mutex mutex;
  bool is_given = false;
  pass(
      is_late,
      [&] {
        const std::lock_guard lock(mutex);
        is_given = true;
      },
      [&] {
        for (;;) {
          {
            const std::lock_guard lock(mutex);
            if (is_given) return;
          }
          ramie::yield_now();
        }
      });
}

void by_condvar(bool is_late) {
  ramie::sync::Mutex mutex;
  ramie::sync::Condvar changed;
  bool is_given = false;
  pass(
      is_late,
      [&] {
        const std::lock_guard lock(mutex);
        is_given = true;
        changed.notify_one();
      },
      [&] {
        std::unique_lock lock(mutex);
        (void)changed.wait(lock, [&] { return is_given; });
      });
}

void by_notify(bool is_late) {
  ramie::sync::Notify notify;
  pass(is_late, [&] { notify.notify_one(); }, [&] { (void)notify.wait(); });
}

void by_semaphore(bool is_late) {
  ramie::sync::Semaphore semaphore(0);
  pass(is_late, [&] { semaphore.release(); }, [&] { (void)semaphore.acquire(); });
}

void by_oneshot(bool is_late) {
  auto [sender, receiver] = ramie::sync::oneshot::channel<int>();
  pass(is_late, [&out = sender] { (void)out.send(1); }, [&in = receiver] { (void)in.recv(); });
}

void by_channel(bool is_late) {
  auto [sender, receiver] = ramie::sync::mpsc::channel<int>(1);
  pass(is_late, [&out = sender] { (void)out.send(1); }, [&in = receiver] { (void)in.recv(); });
}

void by_token(bool is_late) {
  ramie::CancellationToken token;
  pass(is_late, [&] { token.cancel(); }, [&] { (void)token.wait(); });
}

void by_join(bool is_late) {
  auto handle = ramie::spawn([] { ++shared_value; });
  if (is_late) ++shared_value;
  (void)handle.join();
  ++shared_value;
}

void by_spawn(bool is_late) {
  ++shared_value;
  auto handle = ramie::spawn([] { ++shared_value; });
  if (is_late) ++shared_value;
  (void)handle.join();
}

void by_scope(bool is_late) {
  ramie::Scope scope;
  (void)scope.spawn([] { ++shared_value; });
  if (is_late) ++shared_value;
  (void)scope.join();
  ++shared_value;
}

void by_spawn_blocking(bool is_late) {
  ++shared_value;
  auto handle = ramie::spawn_blocking([] { ++shared_value; });
  if (is_late) ++shared_value;
  (void)handle.join();
  ++shared_value;
}

void by_cancel(bool is_late) {
  auto handle = ramie::spawn([] {
    (void)ramie::sleep_for(std::chrono::hours(1));
    ++shared_value;
  });
  for (int i = 0; i < 5; ++i) ramie::yield_now();
  ++shared_value;
  handle.cancel();
  if (is_late) ++shared_value;
  (void)handle.join();
}

struct Primitive {
  std::string_view name;
  void (*run)(bool is_late);
};
constexpr std::array kPrimitives = {
    Primitive{"mutex", by_mutex},
    Primitive{"condvar", by_condvar},
    Primitive{"notify", by_notify},
    Primitive{"semaphore", by_semaphore},
    Primitive{"oneshot", by_oneshot},
    Primitive{"channel", by_channel},
    Primitive{"token", by_token},
    Primitive{"join", by_join},
    Primitive{"spawn", by_spawn},
    Primitive{"scope", by_scope},
    Primitive{"blocking", by_spawn_blocking},
    Primitive{"cancel", by_cancel},
};

bool run(std::string_view mode) {
  if (mode == "race") return race(-1, -1), true;
  if (mode == "once") return race(3, 40), true;
  if (mode == "forgot") return pass_by_relaxed_flag(), true;
  const bool is_late = mode.ends_with("-late");
  if (is_late) mode.remove_suffix(5);
  for (const Primitive& primitive : kPrimitives)
    if (primitive.name == mode) return primitive.run(is_late), true;
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "list") {
    for (const Primitive& primitive : kPrimitives) std::puts(std::string(primitive.name).c_str());
    return 0;
  }
  if (ramie::runtime::block_on([mode] { return run(mode); })) return 0;
  std::puts("planted: unknown mode");
  return 2;
}
