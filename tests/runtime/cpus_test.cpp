// How many workers "automatic" means: affinity mask and cgroup quota. A map replaces /proc and
// /sys, so the tests can try every kind of system on any machine.
#include <catch2/catch.hpp>

#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <ramie/ramie.hpp>

#include "runtime/config.hpp"
#include "runtime/cpus.hpp"

using namespace ramie::runtime;

namespace {

using Files = std::map<std::string, std::string>;

FileReader reader_of(const Files& files) {
  return [&files](const std::string& path) -> std::optional<std::string> {
    const auto found = files.find(path);
    return found == files.end() ? std::nullopt : std::optional(found->second);
  };
}

std::optional<unsigned> quota(const Files& files) { return cgroup_quota(reader_of(files)); }

const std::string kMountV2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
const std::string kMountV1 =
    "25 23 0:21 / /sys rw shared:7 - sysfs sysfs rw\n"
    "33 32 0:29 / /sys/fs/cgroup/cpuset rw shared:10 - cgroup cgroup rw,cpuset\n"
    "34 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 - cgroup cgroup rw,cpu,cpuacct\n";

// A v2 system whose group /a/b/c has the given cpu.max.
Files v2(const std::string& leaf) {
  return {{"/proc/self/cgroup", "0::/a/b/c\n"},
          {"/proc/self/mountinfo", kMountV2},
          {"/sys/fs/cgroup/a/b/c/cpu.max", leaf}};
}

Files v1(const std::string& leaf_quota, const std::string& leaf_period = "100000\n") {
  return {{"/proc/self/cgroup", "5:cpuset:/z\n4:cpu,cpuacct:/a/b\n1:name=systemd:/s\n"},
          {"/proc/self/mountinfo", kMountV1},
          {"/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", leaf_quota},
          {"/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", leaf_period}};
}

}  // namespace

TEST_CASE("Cpus: a v2 quota is rounded up") {
  CHECK(quota(v2("200000 100000\n")) == 2U);
  CHECK(quota(v2("200001 100000\n")) == 3U);
  CHECK(quota(v2("150000 100000\n")) == 2U);
  CHECK(quota(v2("1000 100000\n")) == 1U);
  CHECK(quota(v2("150000 50000\n")) == 3U);
  CHECK(quota(v2("18446744073709551615 1\n")) == ~0U);
}

TEST_CASE("Cpus: max, garbage and missing files are no limit") {
  for (const char* text :
       {"max 100000\n", "", "\n", "max", "100000", "100000 ", " 100000", "0 100000", "100000 0",
        "-1 100000", "1e5 100000", "x y", "100000 100000 7", "99999999999999999999999 1"}) {
    INFO("'" << text << "'");
    CHECK_FALSE(quota(v2(text)));
    CHECK(worker_count(true, 4, reader_of(v2(text))) == 4);
  }
  CHECK_FALSE(quota({}));
  CHECK_FALSE(quota({{"/proc/self/cgroup", "0::/a\n"}}));
  CHECK_FALSE(quota({{"/proc/self/cgroup", "0::/a\n"}, {"/proc/self/mountinfo", kMountV2}}));
}

TEST_CASE("Cpus: the tightest limit between leaf and root binds") {
  Files files = v2("800000 100000\n");
  CHECK(quota(files) == 8U);
  files["/sys/fs/cgroup/a/cpu.max"] = "300000 100000\n";
  CHECK(quota(files) == 3U);
  files["/sys/fs/cgroup/a/b/cpu.max"] = "max 100000\n";
  CHECK(quota(files) == 3U);
  files["/sys/fs/cgroup/cpu.max"] = "200000 100000\n";
  CHECK(quota(files) == 2U);
  files["/sys/fs/cgroup/a/b/c/cpu.max"] = "50000 100000\n";
  CHECK(quota(files) == 1U);
  files["/sys/fs/cgroup/other/cpu.max"] = "1000 100000\n";
  CHECK(quota(files) == 1U);
}

TEST_CASE("Cpus: v1 reads quota and period of the cpu controller's own mount") {
  CHECK(quota(v1("250000\n")) == 3U);
  CHECK(quota(v1("25000\n", "50000\n")) == 1U);
  CHECK_FALSE(quota(v1("-1\n")));
  CHECK_FALSE(quota(v1("250000\n", "0\n")));
  CHECK_FALSE(quota(v1("250000\n", "soon\n")));
  Files files = v1("-1\n");
  files["/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us"] = "400000\n";
  CHECK_FALSE(quota(files));  // no period
  files["/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us"] = "100000\n";
  CHECK(quota(files) == 4U);
  files["/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us"] = "200000\n";
  files["/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us"] = "100000\n";
  CHECK(quota(files) == 2U);
  // Another controller's group of that path does not count.
  files["/sys/fs/cgroup/cpuset/a/b/cpu.cfs_quota_us"] = "100000\n";
  files["/sys/fs/cgroup/cpuset/a/b/cpu.cfs_period_us"] = "100000\n";
  CHECK(quota(files) == 2U);
}

TEST_CASE("Cpus: a hybrid system takes the lesser of v1 and v2") {
  Files files = v1("300000\n");
  files["/proc/self/cgroup"] += "0::/u\n";
  files["/proc/self/mountinfo"] += "40 32 0:40 / /sys/fs/cgroup/unified rw - cgroup2 c rw\n";
  CHECK(quota(files) == 3U);
  files["/sys/fs/cgroup/unified/u/cpu.max"] = "200000 100000\n";
  CHECK(quota(files) == 2U);
}

TEST_CASE("Cpus: a container sees its group as the root of the mount") {
  // /proc/self/cgroup has the host's path; the mount shows only groups below its own root.
  Files files{{"/proc/self/cgroup", "0::/docker/ab/inner\n"},
              {"/proc/self/mountinfo", "9 8 0:2 /docker/ab /sys/fs/cgroup ro - cgroup2 c rw\n"},
              {"/sys/fs/cgroup/cpu.max", "300000 100000\n"}};
  CHECK(quota(files) == 3U);
  files["/sys/fs/cgroup/inner/cpu.max"] = "200000 100000\n";
  CHECK(quota(files) == 2U);
  files["/proc/self/cgroup"] = "0::/docker/abc\n";  // not below /docker/ab: the root remains
  CHECK(quota(files) == 3U);
  files["/proc/self/cgroup"] = "0::/../inner\n";  // outside of a cgroup namespace
  files["/proc/self/mountinfo"] = kMountV2;
  files["/sys/fs/cgroup/../inner/cpu.max"] = "100000 100000\n";
  CHECK(quota(files) == 3U);
}

TEST_CASE("Cpus: of several mounts the one that shows our group is read") {
  const Files files{{"/proc/self/cgroup", "0::/mine/x\n"},
                    {"/proc/self/mountinfo",
                     "1 0 0:2 /other /mnt/other rw - cgroup2 c rw\n"
                     "2 0 0:2 /mine /mnt/my\\040groups rw shared:1 - cgroup2 c rw\n"},
                    {"/mnt/other/cpu.max", "100000 100000\n"},
                    {"/mnt/my groups/x/cpu.max", "500000 100000\n"}};
  CHECK(quota(files) == 5U);
}

TEST_CASE("Cpus: without mountinfo the usual places are tried") {
  Files files{{"/proc/self/cgroup", "0::/a\n"}, {"/sys/fs/cgroup/a/cpu.max", "100000 100000\n"}};
  CHECK(quota(files) == 1U);
  files = {{"/proc/self/cgroup", "3:cpu:/a:b\n"},
           {"/sys/fs/cgroup/cpu/a:b/cpu.cfs_quota_us", "200000\n"},
           {"/sys/fs/cgroup/cpu/a:b/cpu.cfs_period_us", "100000\n"}};
  CHECK(quota(files) == 2U);
}

TEST_CASE("Cpus: the worker count is the least of all, within 1 and the most workers") {
  const Files files = v2("300000 100000\n");
  CHECK(worker_count(true, 8, reader_of(files)) == 3);
  CHECK(worker_count(true, 2, reader_of(files)) == 2);
  CHECK(worker_count(true, 0, reader_of(files)) == 1);
  CHECK(worker_count(true, 5000, reader_of({})) == kMaxWorkers);
}

TEST_CASE("Cpus: without quota no file is opened") {
  std::vector<std::string> opened;
  const FileReader read = [&](const std::string& path) -> std::optional<std::string> {
    opened.push_back(path);
    return std::nullopt;
  };
  CHECK(worker_count(false, 6, read) == 6);
  CHECK(opened.empty());
  CHECK(worker_count(true, 6, read) == 6);
  CHECK(opened == std::vector<std::string>{"/proc/self/cgroup"});
}

// Goal: no file content crashes the readers. Method: random mixtures of the pieces of /proc's files
// and of the limits' files; the seed is fixed.
TEST_CASE("Cpus: random files never crash and never give 0") {
  std::mt19937 random(7);
  const std::vector<std::string> proc{
      "0::", "/a",  "..",     "\n",      " ", ":",       ",",          "cpu",    "\\040", "\\",
      "\\0", " - ", "cgroup", "cgroup2", "/", "0::/a\n", "4:cpu:/a\n", kMountV2, kMountV1};
  const std::vector<std::string> limit{"1", "100000", "max", "-1", "0", " ", "\n"};
  const FileReader read = [&](const std::string& path) -> std::optional<std::string> {
    const auto& pieces = path.starts_with("/proc/") ? proc : limit;
    if (random() % 8 == 0) return std::nullopt;
    std::string text;
    for (auto left = random() % 10; left > 0; --left) text += pieces[random() % pieces.size()];
    return text;
  };
  int limited = 0;
  for (int round = 0; round < 20'000; ++round) {
    const auto cpus = cgroup_quota(read);
    if (cpus && *cpus == 0) FAIL("a quota of 0 CPUs");
    limited += cpus ? 1 : 0;
  }
  CHECK(limited > 0);
}

TEST_CASE("Cpus: read_file reads whole files and refuses what is none") {
  const auto directory = std::filesystem::temp_directory_path();
  const auto path = directory / ("ramie-cpus-test-" + std::to_string(::getpid()));
  std::ofstream(path) << std::string(10'000, 'q') << "end";
  const auto text = read_file(path);
  std::filesystem::remove(path);
  REQUIRE(text);
  CHECK(text->size() == 10'003);
  CHECK(text->ends_with("qend"));
  CHECK_FALSE(read_file(path));
  CHECK_FALSE(read_file(directory));
}

TEST_CASE("Cpus: the affinity mask of the thread counts") {
  cpu_set_t before;
  REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
  CHECK(affinity_count() == static_cast<unsigned>(CPU_COUNT(&before)));
  std::size_t first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(affinity_count() == 1);
  CHECK(worker_count(true) == 1);
  CHECK(worker_count(false) == 1);
  REQUIRE(::sched_setaffinity(0, sizeof before, &before) == 0);
  CHECK(worker_count(true) <= worker_count(false));
  CHECK(worker_count(true) >= 1);
}

TEST_CASE("Cpus: where workers are placed") {
  using ramie::runtime::Affinity;
  const std::vector<unsigned> eight{0, 1, 2, 3, 8, 9, 10, 11};
  using Places = std::vector<unsigned>;
  CHECK(place_workers(Affinity::none, 4, eight).empty());
  CHECK(place_workers(Affinity::compact, 3, eight) == Places{0, 1, 2});
  CHECK(place_workers(Affinity::spread, 4, eight) == Places{0, 2, 8, 10});
  CHECK(place_workers(Affinity::spread, 3, eight) == Places{0, 2, 9});
  CHECK(place_workers(Affinity::spread, 8, eight) == eight);
  CHECK(place_workers(Affinity::spread, 3, {5, 6}) == Places{5, 6, 5});
  CHECK(place_workers(Affinity::compact, 3, {}).empty());
}

TEST_CASE("RAMIE_AFFINITY: each worker runs on its CPU, and only there") {
  const std::vector<unsigned> allowed = allowed_cpus();
  REQUIRE(allowed.size() == affinity_count());
  auto runtime = ramie::or_throw(ramie::runtime::Builder()
                                     .ignore_environment(true)
                                     .process_wide(false)
                                     .workers(allowed.size())
                                     .affinity(ramie::runtime::Affinity::spread)
                                     .build());
  const auto seen =
      runtime.block_on([] { return std::pair(ramie::current::worker_index(), allowed_cpus()); });
  CHECK(seen.second == std::vector<unsigned>{allowed[static_cast<std::size_t>(seen.first)]});
  CHECK(allowed_cpus() == allowed);
  // A thread inherits the CPUs of the thread that starts it: the pool's threads must not stay on
  // the CPU of a worker.
  const auto blocking = runtime.block_on([] { return ramie::spawn_blocking(allowed_cpus).join(); });
  CHECK(blocking == allowed);
}
