// Files: random reads of a large file, metadata of many files, whole small files.
//
//   --what read    --block bytes anywhere in one file, from the page cache; --direct 1: past it
//   --what stat    the metadata of one of 10,000 files
//   --what small   fs::read of one of them: open, stat, read to the end, close
//
// --depth fibers work at the same time; each makes one operation after the other. With --threads
// there is no runtime: that many threads make the same system calls themselves. No operation is
// handed over to them, so no pool of threads can be faster.
#include "bench/support/material.hpp"
#include "bench/support/measure.hpp"
#include "bench/support/options.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <thread>

namespace {

using Clock = bench::Clock;

struct Plan {
  std::string what = "read", files = "auto", directory;
  std::uint64_t depth = 64, workers = 1, threads = 0;
  std::uint64_t mib = 512, block = 4096, size = 4096, direct = 0;
  double seconds = 2, warm_up = 0.2;
};

struct Window {
  Clock::time_point begin, end;  // the measured window
};

[[noreturn]] void fail(const std::string& what, std::error_code error) {
  (void)std::fprintf(stderr, "files: %s: %s\n", what.c_str(), error.message().c_str());
  std::exit(1);
}

[[noreturn]] void fail_call(const std::string& what) {
  fail(what, {errno, std::system_category()});
}

// One of --depth fibers or threads.
class Client {
 public:
  Client(const Plan& plan, const bench::Material& material, std::uint64_t number)
      : plan_(plan),
        material_(material),
        random_(number * 0x9e3779b97f4a7c15 + 1),
        buffer_(static_cast<std::byte*>(std::aligned_alloc(4096, plan.block))) {}
  ~Client() { std::free(buffer_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // With the pool: the calls that a thread makes, as one job.
  void run_in_fiber(const Window& window) {
    if (plan_.files == "pool" && plan_.what != "read") {
      const auto job = [this] { plan_.what == "stat" ? stat_blocking() : small_blocking(); };
      return repeat(window, [&] { ramie::or_throw(ramie::spawn_blocking(job).join()); });
    }
    if (plan_.what == "read") repeat(window, [this] { read(); });
    else if (plan_.what == "stat") repeat(window, [this] { stat(); });
    else repeat(window, [this] { small(); });
  }
  void run_in_thread(const Window& window) {
    if (plan_.what == "read") repeat(window, [this] { read_blocking(); });
    else if (plan_.what == "stat") repeat(window, [this] { stat_blocking(); });
    else repeat(window, [this] { small_blocking(); });
  }

  const demo::Histogram& latency() const noexcept { return latency_; }

 private:
  template <class Operation>
  void repeat(const Window& window, Operation&& operation) {
    for (auto before = Clock::now(); before < window.end;) {
      operation();
      const auto after = Clock::now();
      if (after >= window.begin && after < window.end)
        latency_.record(static_cast<std::uint64_t>((after - before).count()));
      before = after;
    }
  }

  void read() {
    const std::uint64_t at = place();
    const auto n = material_.file().read_at({buffer_, plan_.block}, at);
    if (!n) fail("read_at " + std::to_string(at), n.error());
  }
  void stat() {
    const auto found = ramie::fs::metadata(path());
    if (!found) fail("metadata", found.error());
  }
  void small() {
    const auto content = ramie::fs::read(path());
    if (!content) fail("read", content.error());
  }

  void read_blocking() {
    if (pread(material_.file().fd(), buffer_, plan_.block, static_cast<off_t>(place())) < 0)
      fail_call("pread");
  }
  void stat_blocking() {
    struct statx found{};
    if (statx(AT_FDCWD, path().c_str(), 0, STATX_BASIC_STATS | STATX_BTIME, &found) < 0)
      fail_call("statx");
  }
  // The calls that fs::read makes.
  void small_blocking() {
    const int fd = open(path().c_str(), O_RDONLY | O_CLOEXEC);
    struct statx found{};
    if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &found) < 0)
      fail_call("open, statx");
    std::vector<std::byte> content(found.stx_size + 1);
    std::size_t end = 0;
    ssize_t n = 0;
    while (end < content.size() && (n = ::read(fd, content.data() + end, content.size() - end)) > 0)
      end += static_cast<std::size_t>(n);
    if (n < 0 || close(fd) < 0) fail_call("read, close");
  }

  std::uint64_t place() noexcept {
    return next_random() % (material_.file_size() / plan_.block) * plan_.block;
  }
  const std::string& path() noexcept {
    return material_.paths()[next_random() % material_.paths().size()];
  }
  std::uint64_t next_random() noexcept {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    return random_ ^= random_ << 17;
  }

  const Plan& plan_;
  const bench::Material& material_;
  std::uint64_t random_;
  std::byte* const buffer_;
  demo::Histogram latency_;
};

// What the process had used at one end of the window.
struct Reading {
  double cpu = 0;
  ramie::runtime::Metrics runtime;
};

ramie::runtime::Runtime make_runtime(const Plan& plan) {
  using ramie::runtime::FileBackend;
  ramie::runtime::Builder builder;
  builder.workers(plan.workers);
  if (plan.files != "auto")
    builder.files(plan.files == "uring" ? FileBackend::uring : FileBackend::pool);
  return ramie::or_throw(builder.build());
}

void report(const Plan& plan, const demo::Histogram& latency, const Reading& before,
            const Reading& after, bench::Line& line) {
  const auto operations = static_cast<double>(std::max<std::uint64_t>(1, latency.count()));
  line.add("what", plan.what);
  if (plan.what == "read") line.add("block", plan.block).add("direct", plan.direct);
  if (plan.threads > 0) {
    line.add("files", "threads").add("depth", plan.threads);
  } else {
    line.add("files", plan.files).add("depth", plan.depth).add("workers", plan.workers);
  }
  line.add("per_second", operations / plan.seconds)
      .add("latency", latency)
      .add("cpu_us_per_op", (after.cpu - before.cpu) * 1e6 / operations);
  if (plan.threads > 0) return;
  const auto each = [&](auto of) {
    return static_cast<double>(of(after.runtime) - of(before.runtime)) / operations;
  };
  line.add("ring_operations_per_op", each([](const auto& m) { return m.fs_uring; }))
      .add("pool_jobs_per_op", each([](const auto& m) { return m.fs_pool; }))
      .add("switches_per_op", each([](const auto& m) { return m.switches; }))
      .add("parks_per_op", each([](const auto& m) { return m.parks; }));
}

// This thread reads the usage at both ends of the window and sleeps in between.
void measure(const Plan& plan, const bench::Material& material) {
  bench::Line line("files");
  std::optional<ramie::runtime::Runtime> runtime;
  if (plan.threads == 0) runtime.emplace(make_runtime(plan));
  std::vector<std::unique_ptr<Client>> clients;
  for (std::uint64_t i = 0; i < (runtime ? plan.depth : plan.threads); ++i)
    clients.push_back(std::make_unique<Client>(plan, material, i));
  const auto part = [](double seconds) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  };
  Window window;
  window.begin = Clock::now() + part(plan.warm_up);
  window.end = window.begin + part(plan.seconds);
  const auto read_off = [&](Clock::time_point when) {
    std::this_thread::sleep_until(when);
    return Reading{bench::own_cpu_seconds(),
                   runtime ? runtime->metrics() : ramie::runtime::Metrics{}};
  };
  std::vector<ramie::JoinHandle<void>> fibers;
  std::vector<std::jthread> threads;
  for (const auto& client : clients) {
    if (runtime) fibers.push_back(runtime->spawn([&] { client->run_in_fiber(window); }));
    else threads.emplace_back([&] { client->run_in_thread(window); });
  }
  const Reading before = read_off(window.begin);
  const Reading after = read_off(window.end);
  for (auto& fiber : fibers) ramie::or_throw(fiber.join());
  threads.clear();
  demo::Histogram latency;
  for (const auto& client : clients) latency.merge(client->latency());
  report(plan, latency, before, after, line);
  line.print();
}

}  // namespace

int main(int argc, char** argv) {
  Plan plan;
  bench::Options("files: operations on files by many fibers")
      .choice("--what", plan.what, {"read", "stat", "small"}, "read, stat or small")
      .choice("--files", plan.files, {"auto", "uring", "pool"}, "auto, uring or pool; see RAMIE_FS")
      .whole("--depth", plan.depth, 1, 100'000, "fibers at the same time")
      .whole("--workers", plan.workers, 1, 1024, "worker threads")
      .whole("--threads", plan.threads, 0, 10'000, "this many threads instead of a runtime")
      .whole("--direct", plan.direct, 0, 1, "1: past the page cache (read)")
      .whole("--block", plan.block, 4096, 1 << 24, "bytes of a read, times 4096")
      .whole("--mib", plan.mib, 1, 1 << 20, "size of the file (read)")
      .whole("--size", plan.size, 0, 1 << 24, "bytes of each file (stat, small)")
      .text("--dir", plan.directory, "folder of the files; created there and kept")
      .real("--seconds", plan.seconds, 0.01, 3600, "how long to measure")
      .parse(argc, argv);
  if (plan.block % 4096 != 0 || plan.block > plan.mib << 20)
    fail("--block", std::make_error_code(std::errc::invalid_argument));
  bench::Material material(plan.directory);
  if (plan.what == "read") material.provide_file(plan.mib, plan.direct != 0);
  else material.provide_tree(plan.size);
  measure(plan, material);
  return 0;
}
