// Files: ramie::fs looks like blocking code, and parks the fiber, never the worker. It uses
// io_uring if the kernel allows it, else threads of the blocking pool; the results are the same.
#include <ramie/ramie.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <span>
#include <string>

using namespace std::chrono_literals;
namespace fs = ramie::fs;

namespace {

// A log. When append() has returned, the line is on the disk.
class Log {
 public:
  static ramie::Result<Log> open(const std::string& path) {
    auto file = fs::OpenOptions().append(true).create(true).open(path);
    if (!file) return ramie::failure(file.error());
    return Log(std::move(*file));
  }

  ramie::Result<void> append(const std::string& line) {
    if (auto written = file_.write_all(std::as_bytes(std::span(line))); !written) return written;
    return file_.sync_data();
  }

 private:
  explicit Log(fs::File file) : file_(std::move(file)) {}
  fs::File file_;
};

int run() {
  auto folder = ramie::or_throw(fs::TempDir::create());
  const std::string path = folder.path() + "/log";
  auto log = ramie::or_throw(Log::open(path));
  for (int i = 0; i < 3; ++i) ramie::or_throw(log.append("line " + std::to_string(i) + "\n"));
  std::fputs(ramie::or_throw(fs::read_to_string(path)).c_str(), stdout);

  // A deadline limits it like any other wait.
  const auto size = ramie::timeout(1s, [&] { return fs::metadata(path); });
  if (!size) return ramie::report("metadata", size.error());
  std::printf("%llu bytes\n", static_cast<unsigned long long>(size->size));

  // Reads at an offset need no lock: many fibers may share one File.
  auto file = ramie::or_throw(fs::File::open(path));
  std::array<std::byte, 6> second{};
  ramie::or_throw(file.read_exact_at(second, 7));
  std::printf("%.*s\n", 6, reinterpret_cast<const char*>(second.data()));
  return 0;
}

}  // namespace

int main() { return ramie::block_on(run); }
