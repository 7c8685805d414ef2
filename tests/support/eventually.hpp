// Waits for other threads.
#pragma once

#include <chrono>
#include <thread>

namespace ramie_test {

// Returns false if the condition does not hold within ten seconds. Only for threads, because a
// fiber would block its worker.
template <class Condition>
[[nodiscard]] bool comes_true(Condition&& condition) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

}  // namespace ramie_test
