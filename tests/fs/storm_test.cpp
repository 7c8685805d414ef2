// Tests many opens, reads and cancels, with one worker to 256: nothing is lost or left over.
#include "runtime/fs/calls.hpp"
#include "tests/fs/support.hpp"

#include <ramie/ramie.hpp>
#include <ramie/uring.hpp>

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace ramie_test;
namespace fs = ramie::fs;

namespace {

constexpr std::size_t kWorkers[] = {1, 4, 64, 256};
constexpr std::uint8_t kRead = 22;  // IORING_OP_READ

// Returns whether the result is valid: the file's bytes, or an end that was requested.
bool open_and_read(const std::string& path) {
  auto file = fs::File::open(path);
  if (!file) return file.error() == std::errc::operation_canceled;
  std::array<std::byte, 100> buffer{};
  const auto n = file->read_at(buffer, 26);
  if (!n) return n.error() == std::errc::operation_canceled;
  return *n == buffer.size() && buffer[0] == std::byte{'b'};
}

// Nobody writes, so only a cancel ends it. It waits in the ring.
bool wait_in_ring(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  std::array<std::byte, 100> buffer{};
  const auto n = ramie::uring::submit([&](ramie::uring::Entry& entry) {
    entry.opcode = kRead;
    entry.fd = fd;
    entry.offset = ~std::uint64_t{0};
    entry.address = reinterpret_cast<std::uintptr_t>(buffer.data());
    entry.length = buffer.size();
  });
  ::close(fd);
  return !n && n.error() == std::errc::operation_canceled && buffer == std::array<std::byte, 100>{};
}

// The same, but it waits for readiness.
bool wait_in_pipe(const std::string& path) {
  auto pipe = fs::OpenOptions().read().write().open(path);
  if (!pipe) return pipe.error() == std::errc::operation_canceled;
  std::array<std::byte, 100> buffer{};
  const auto n = pipe->read(buffer);
  return !n && n.error() == std::errc::operation_canceled && buffer == std::array<std::byte, 100>{};
}

}  // namespace

TEST_CASE("10,000 opens, reads and cancels at once leave no descriptor and no operation") {
  if (!raise_descriptor_limit(14'000)) RAMIE_SKIP("needs 14,000 descriptors");
  const Folder folder(kMemory);
  const std::string path = folder / "file";
  put(path, pattern(4096));
  const std::string pipe = folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  for (const std::size_t workers : kWorkers) {
    CAPTURE(workers);
    std::atomic<int> wrong{0};
    in_runtime(workers, [&] {
      const bool has_ring =
          fs::current_place() == fs::Place::ring && ramie::uring::has_opcode(kRead);
      std::vector<ramie::JoinHandle<void>> fibers;
      constexpr std::size_t kFibers = 10'000;
      constexpr std::size_t kWaits = 200;  // the last ones wait in a pipe and are cancelled later
      fibers.reserve(kFibers);
      for (std::size_t i = 0; i < kFibers; ++i) {
        const bool waits = i % 5 == 4;
        const bool by_ring = has_ring && i % 10 == 9;
        fibers.push_back(ramie::spawn([&, waits, by_ring] {
          const bool is_right = by_ring ? wait_in_ring(pipe)
                                : waits ? wait_in_pipe(pipe)
                                        : open_and_read(path);
          wrong += is_right ? 0 : 1;
        }));
        if (i % 3 == 0) fibers[i / 2].cancel();
        if (i % 50 == 0) ramie::yield_now();
        if (i >= kWaits && (i - kWaits) % 5 == 4) fibers[i - kWaits].cancel();
      }
      for (std::size_t i = kFibers - kWaits; i < kFibers; ++i) fibers[i].cancel();
      for (auto& fiber : fibers) (void)fiber.join();
      const auto figures = ramie::runtime::Handle::current().metrics();
      CHECK(figures.uring_started == figures.uring_completed);
      CHECK((figures.uring_cancels > 0) == has_ring);
    });
    CHECK(wrong == 0);
  }
}

TEST_CASE("B67 shutdown ends a runtime whose fibers keep using files") {
  if (!raise_descriptor_limit(2000)) RAMIE_SKIP("needs 2,000 descriptors");
  const Folder folder(kMemory);
  const std::string path = folder / "file";
  put(path, pattern(4096));
  for (const std::size_t workers : kWorkers) {
    CAPTURE(workers);
    const Watchdog watchdog(60s);
    const std::size_t descriptors = open_descriptors();
    {
      auto runtime = make_runtime(workers);
      for (int i = 0; i < 300; ++i)
        runtime
            .spawn([&path] {
              while (ramie::current::check()) (void)open_and_read(path);
            })
            .detach();
      std::this_thread::sleep_for(20ms);
      CHECK(runtime.shutdown(20s).empty());
    }
    CHECK(open_descriptors() == descriptors);
  }
}
