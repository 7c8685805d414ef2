// Builders for the runtimes of all tests: no process-wide effects, and no environment but
// RAMIE_CHAOS, RAMIE_IO and RAMIE_FS, by which the lanes `chaos` and `rings` run the same tests in
// other ways.
#pragma once

#include <ramie/runtime.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace ramie_test {

inline std::optional<std::uint64_t> chaos_seed() {
  const char* text = std::getenv("RAMIE_CHAOS");
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 0);
}

inline ramie::runtime::IoBackend io_backend(std::string_view name) {
  using enum ramie::runtime::IoBackend;
  return name == "uring" ? uring : name == "epoll" ? epoll : automatic;
}

inline ramie::runtime::FileBackend file_backend(std::string_view name) {
  using enum ramie::runtime::FileBackend;
  return name == "uring" ? uring : name == "pool" ? pool : automatic;
}

inline ramie::runtime::Builder quiet_builder(std::size_t workers) {
  ramie::runtime::Builder builder;
  builder.ignore_environment(true).process_wide(false).workers(workers);
  if (const auto seed = chaos_seed()) builder.chaos(*seed);
  if (const char* io = std::getenv("RAMIE_IO")) builder.io(io_backend(io));
  if (const char* fs = std::getenv("RAMIE_FS")) builder.files(file_backend(fs));
  return builder;
}

// Ignores RAMIE_IO and RAMIE_FS.
inline ramie::runtime::Builder automatic_builder(std::size_t workers) {
  auto builder = quiet_builder(workers);
  builder.io(ramie::runtime::IoBackend::automatic);
  builder.files(ramie::runtime::FileBackend::automatic);
  return builder;
}

inline ramie::runtime::Runtime make_runtime(std::size_t workers) {
  return ramie::or_throw(quiet_builder(workers).build());
}

}  // namespace ramie_test
