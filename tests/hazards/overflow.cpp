// A fiber that overflows its stack: `deep` by recursion, `big` by one frame that steps over a guard
// of one page. The process must die and name the fiber. `fits` must work.
//
// Linked with the library; the guard is chosen by RAMIE_STACK_GUARD.
#include <ramie/ramie.hpp>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

[[gnu::noinline]] int deep(int n) {
  volatile char frame[200];
  frame[n % 200] = 1;
  return n > 100'000'000 ? 0 : deep(n + 1) + frame[n % 200];
}

// The lowest byte of its frame is beyond the 256 KiB, within the guard of 64 KiB.
[[gnu::noinline]] int big() {
  volatile char frame[300 * 1024];
  __asm__ __volatile__("" ::"r"(frame) : "memory");  // otherwise it shrinks to the byte in use
  frame[10] = 0x5a;
  return frame[10];
}

[[gnu::noinline]] int fits(int n) {
  volatile char frame[1000];
  frame[n] = 1;
  return n == 0 ? 0 : fits(n - 1) + frame[n];
}

// On a stack with its own size: frames of 100 KiB, and a deep recursion.
[[gnu::noinline]] int fits_large() {
  volatile char frame[100 * 1024];
  frame[99] = 3;
  return fits(200) + frame[99];
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  const int got = ramie::block_on([&] {
    const ramie::SpawnOptions small{.name = "victim-42"};
    const ramie::SpawnOptions large{.name = "large", .stack_size = 1024 * 1024};
    if (mode == "deep") return *ramie::spawn(small, [] { return deep(0); }).join();
    if (mode == "big") return *ramie::spawn(small, [] { return big(); }).join();
    return *ramie::spawn(small, [] { return fits(200); }).join() +
           *ramie::spawn(large, fits_large).join();
  });
  std::printf("returned %d\n", got);
  return 0;
}
