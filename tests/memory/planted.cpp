// Programs with one memory error each, across a park and perhaps a migration. run.py uses them for
// the self-test of the address sanitizer and of valgrind: `planted MODE`.
//
//     clean              fibers that migrate, throw, and end while others are parked
//     parked             the program exits while only a parked fiber points to memory: no leak
//     use-after-free     one fiber frees memory, another reads it after its park
//     use-after-return   a local variable is read after its function has returned and parked
//     use-after-end      a local variable is read after its fiber has ended and others have run
//     overflow           a write past the end of an array on a fiber's stack
//     leak               memory without a pointer to it
//     uninitialised      a jump on a value that was never written (valgrind only)
#include <ramie/ramie.hpp>

#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace {

volatile int sink = 0;

// Hides the deliberate error from the optimiser. (Not by inline assembler: in a frame with some
// Clang does not detect a use after return.)
template <class T>
T* hidden(T* pointer) {
  T* volatile slot = pointer;
  return slot;
}

[[gnu::noinline]] int throw_deep(int depth) {
  if (depth == 0) throw std::runtime_error("planted");
  return throw_deep(depth - 1) + 1;
}

void clean() {
  ramie::Scope scope;
  for (int i = 0; i < 50; ++i)
    (void)scope.spawn([i] {
      const std::vector<int> values(100, i);
      for (int round = 0; round < 20; ++round) {
        try {
          sink = throw_deep(20);
        } catch (const std::runtime_error&) {
          ramie::yield_now();
        }
        sink = values[static_cast<std::size_t>(round)];
      }
      (void)ramie::sleep_for(std::chrono::microseconds(i * 10));
    });
  (void)scope.join();
}

[[noreturn]] void exit_with_parked_fiber() {
  ramie::spawn([] {
    const std::unique_ptr<int[]> only_here(new int[1000]);
    hidden(only_here.get())[0] = 1;
    (void)ramie::sleep_for(std::chrono::hours(1));
    sink = only_here[0];
  }).detach();
  for (int i = 0; i < 10; ++i) (void)ramie::sleep_for(std::chrono::milliseconds(1));
  std::exit(0);
}

void use_after_free() {
  int* value = new int(1);
  auto reader = ramie::spawn([value] {
    (void)ramie::sleep_for(std::chrono::milliseconds(20));
    sink = *hidden(value);
  });
  ramie::yield_now();
  delete value;
  (void)reader.join();
}

[[gnu::noinline]] int* address_of_local() {
  int local = 1;
  int* address = hidden(&local);
  ramie::yield_now();
  return hidden(address);
}

void use_after_return() {
  const int* dangling = address_of_local();
  ramie::yield_now();
  sink = *hidden(dangling);
}

void use_after_end() {
  const int* dangling = ramie::spawn(address_of_local).join().value();
  for (int i = 0; i < 3; ++i) (void)ramie::spawn(address_of_local).join();
  sink = *hidden(dangling);
}

void overflow() {
  int values[8] = {};
  ramie::yield_now();
  hidden(&values[0])[8] = 1;
  ramie::yield_now();
  sink = values[0];
}

[[gnu::noinline]] void leak() {
  int* lost = hidden(new int[100]);
  lost[0] = 1;
  ramie::yield_now();
}

void uninitialised() {
  const std::unique_ptr<int[]> values(new int[8]);
  ramie::yield_now();
  if (hidden(values.get())[3] == 7) sink = 1;
}

bool run(std::string_view mode) {
  if (mode == "clean") return clean(), true;
  if (mode == "parked") exit_with_parked_fiber();
  if (mode == "use-after-free") return use_after_free(), true;
  if (mode == "use-after-return") return use_after_return(), true;
  if (mode == "use-after-end") return use_after_end(), true;
  if (mode == "overflow") return overflow(), true;
  if (mode == "leak") return leak(), true;
  if (mode == "uninitialised") return uninitialised(), true;
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (ramie::runtime::block_on([mode] { return ramie::spawn(run, mode).join().value(); })) return 0;
  std::puts("planted: unknown mode");
  return 2;
}
