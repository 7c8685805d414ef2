// What every test's runtime is made with: no environment but RAMIE_CHAOS (`./dev test chaos` sets
// it), and nothing process-wide.
#pragma once

#include <ramie/runtime.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>

namespace ramie_test {

inline std::optional<std::uint64_t> chaos_seed() {
  const char* text = std::getenv("RAMIE_CHAOS");
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 0);
}

inline ramie::runtime::Builder quiet_builder(std::size_t workers) {
  ramie::runtime::Builder builder;
  builder.ignore_environment(true).process_wide(false).workers(workers);
  if (const auto seed = chaos_seed()) builder.chaos(*seed);
  return builder;
}

inline ramie::runtime::Runtime make_runtime(std::size_t workers) {
  return ramie::or_throw(quiet_builder(workers).build());
}

}  // namespace ramie_test
