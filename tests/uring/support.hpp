// Helpers for the tests of io_uring.
#pragma once

#include <ramie/uring.hpp>

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <linux/io_uring.h>
#include <unistd.h>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace uring_test {

inline constexpr std::uint64_t kOwnPosition = ~std::uint64_t{0};

inline ramie::Result<ramie::uring::Completion> no_operation() {
  return ramie::uring::submit([](ramie::uring::Entry& entry) { entry.opcode = IORING_OP_NOP; });
}

inline ramie::Result<ramie::uring::Completion> read_from(int fd, void* buffer, std::size_t size,
                                                         std::uint64_t offset = kOwnPosition) {
  return ramie::uring::submit([&](ramie::uring::Entry& entry) {
    entry.opcode = IORING_OP_READ;
    entry.fd = fd;
    entry.address = reinterpret_cast<std::uintptr_t>(buffer);
    entry.length = static_cast<std::uint32_t>(size);
    entry.offset = offset;
  });
}

struct Pipe {
  int ends[2] = {-1, -1};

  Pipe() { REQUIRE(::pipe2(ends, O_CLOEXEC) == 0); }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  void put(const char* text) const {
    if (::write(ends[1], text, std::strlen(text)) < 0) std::abort();
  }
};

}  // namespace uring_test
