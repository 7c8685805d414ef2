// Tests file calls that wait in a full blocking pool. No thread has started them, so whatever ends
// the wait ends it at once, and the call is not made.
#include "tests/fs/support.hpp"
#include "tests/support/builder.hpp"

#include <ramie/cancel.hpp>
#include <ramie/runtime.hpp>
#include <ramie/time.hpp>

#include <unistd.h>
#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <system_error>
#include <vector>

namespace {

using namespace ramie_test;
using ramie::errc;
namespace fs = ramie::fs;

using Call = std::function<std::error_code()>;

std::vector<Call> calls_on(const Folder& folder) {
  const auto error = [](const auto& result) { return result ? std::error_code() : result.error(); };
  return {
      [&, error] { return error(fs::write(folder / "new", "hello")); },
      [&, error] { return error(fs::read(folder / "old")); },
      [&, error] { return error(fs::File::open(folder / "old")); },
      [&, error] { return error(fs::create_dir(folder / "new")); },
      [&, error] { return error(fs::remove_file(folder / "old")); },
      [&, error] { return error(fs::rename(folder / "old", folder / "new")); },
      [&, error] { return error(fs::copy(folder / "old", folder / "new")); },
  };
}

}  // namespace

TEST_CASE("A file call in a full pool is not made if its wait ends") {
  const Watchdog watchdog;
  const Folder folder;
  put(folder / "old", "text");
  auto builder = quiet_builder(1);
  builder.files(ramie::runtime::FileBackend::pool).blocking_threads(1);
  auto runtime = ramie::or_throw(builder.build());
  std::atomic<bool> has_begun{false};
  std::atomic<bool> may_end{false};
  auto busy = runtime.handle().spawn_blocking([&] {
    has_begun = true;
    while (!may_end) ::usleep(100);
  });
  while (!has_begun) ::usleep(100);
  std::vector<std::error_code> late;
  std::vector<std::error_code> canceled;
  runtime.block_on([&] {
    for (const Call& call : calls_on(folder)) {
      late.push_back(error_of(ramie::timeout(std::chrono::milliseconds(5), [&] {
        const std::error_code ended = call();
        return ended ? ramie::Result<void>(ramie::failure(ended)) : ramie::Result<void>();
      })));
      auto fiber = ramie::spawn(call);
      (void)ramie::sleep_for(std::chrono::milliseconds(1));
      fiber.cancel();
      canceled.push_back(fiber.join().value());
    }
  });
  CHECK(runtime.metrics().blocking_queue == 0);
  may_end = true;
  CHECK(busy.join().has_value());
  CHECK(late == std::vector<std::error_code>(7, errc::timed_out));
  CHECK(canceled == std::vector<std::error_code>(7, errc::canceled));
  CHECK(::access((folder / "old").c_str(), F_OK) == 0);
  CHECK(::access((folder / "new").c_str(), F_OK) != 0);
}
