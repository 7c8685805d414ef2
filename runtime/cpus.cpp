// See cpus.hpp. If a file is missing or makes no sense, it sets no limit: a confined or unusual
// system gets the workers of its affinity mask and never an error.
#include "runtime/cpus.hpp"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/config.hpp"
#include "sched/base/sys.hpp"

namespace ramie::inline v0::runtime {
namespace {

// Returns nothing for "-1" and "max", which mean no limit, and for 0, which has no meaning.
std::optional<std::uint64_t> positive(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end || number == 0) return std::nullopt;
  return number;
}

std::optional<unsigned> quota_cpus(std::string_view quota, std::string_view period) {
  const auto used = positive(quota);
  const auto of = positive(period);
  if (!used || !of) return std::nullopt;
  const std::uint64_t cpus = *used / *of + (*used % *of != 0 ? 1 : 0);
  return static_cast<unsigned>(std::min<std::uint64_t>(cpus, std::numeric_limits<unsigned>::max()));
}

void keep_least(std::optional<unsigned>& least, std::optional<unsigned> cpus) {
  if (cpus) least = std::min(least.value_or(*cpus), *cpus);
}

// The limit that one directory sets.
std::optional<unsigned> directory_quota(const FileReader& read, const std::string& directory,
                                        CgroupVersion version) {
  if (version == CgroupVersion::v2) {
    const auto text = read(directory + "/cpu.max");  // "150000 100000" or "max 100000"
    if (!text) return std::nullopt;
    const std::string_view both(*text);
    const std::size_t blank = both.find(' ');
    if (blank == std::string_view::npos) return std::nullopt;
    return quota_cpus(both.substr(0, blank), both.substr(blank + 1));
  }
  const auto quota = read(directory + "/cpu.cfs_quota_us");  // "-1": no limit
  if (!quota || !positive(*quota)) return std::nullopt;
  const auto period = read(directory + "/cpu.cfs_period_us");
  return period ? quota_cpus(*quota, *period) : std::nullopt;
}

}  // namespace

std::vector<unsigned> allowed_cpus() {
  // The kernel refuses a mask that is shorter than its own, and does not say how long its own is.
  constexpr std::size_t kMostCpus = std::size_t{1} << 20;
  std::vector<unsigned> cpus;
  for (std::size_t most = CPU_SETSIZE; most <= kMostCpus && cpus.empty(); most *= 2) {
    cpu_set_t* mask = CPU_ALLOC(most);
    if (mask == nullptr) break;
    const std::size_t size = CPU_ALLOC_SIZE(most);
    CPU_ZERO_S(size, mask);
    if (base::inject("sched_getaffinity") == 0 && ::sched_getaffinity(0, size, mask) == 0) {
      for (unsigned cpu = 0; cpu < most; ++cpu)
        if (CPU_ISSET_S(cpu, size, mask)) cpus.push_back(cpu);
    }
    CPU_FREE(mask);
  }
  return cpus;
}

unsigned affinity_count() {
  const std::size_t count = allowed_cpus().size();
  return count != 0 ? static_cast<unsigned>(count)
                    : std::max(1U, std::thread::hardware_concurrency());
}

std::vector<unsigned> place_workers(Affinity how, std::size_t workers,
                                    const std::vector<unsigned>& allowed) {
  std::vector<unsigned> places;
  if (how == Affinity::none || allowed.empty()) return places;
  const bool is_spread = how == Affinity::spread && workers < allowed.size();
  for (std::size_t i = 0; i < workers; ++i)
    places.push_back(allowed[is_spread ? i * allowed.size() / workers : i % allowed.size()]);
  return places;
}

std::optional<unsigned> cgroup_quota(const FileReader& read) {
  std::optional<unsigned> least;
  visit_cgroup(read, "cpu", [&](const std::string& directory, CgroupVersion version) {
    keep_least(least, directory_quota(read, directory, version));
  });
  return least;
}

unsigned worker_count(bool use_quota, unsigned affinity, const FileReader& read) {
  unsigned count = affinity;
  if (use_quota) count = std::min(count, cgroup_quota(read).value_or(count));
  return std::clamp(count, 1U, kMaxWorkers);
}

unsigned worker_count(bool use_quota) {
  return worker_count(use_quota, affinity_count(), read_file);
}

}  // namespace ramie::inline v0::runtime
