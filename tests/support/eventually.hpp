// Waiting for what other threads do.
#pragma once

#include <chrono>
#include <thread>

namespace ramie_test {

// False if it has not come true after ten seconds. For threads: a fiber would block its worker.
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
