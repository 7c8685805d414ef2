// See cpus.hpp. If a file is missing or makes no sense, it sets no limit: a confined or unusual
// system gets the workers of its affinity mask and never an error.
#include "runtime/cpus.hpp"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <limits>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/config.hpp"
#include "sched/base/sys.hpp"

namespace ramie::inline v0::runtime {
namespace {

// Removes the text up to `separator` from the front of `rest` and returns it; all of it if there is
// no separator.
std::string_view cut(std::string_view& rest, char separator) {
  const std::size_t at = rest.find(separator);
  const std::string_view front = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
  return front;
}

// Whether `list`, as in "cpu,cpuacct", has `word`.
bool has_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    if (cut(list, ',') == word) return true;
  }
  return false;
}

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

enum class Version { v1, v2 };

// The limit that one directory sets.
std::optional<unsigned> directory_quota(const FileReader& read, const std::string& directory,
                                        Version version) {
  if (version == Version::v2) {
    const auto text = read(directory + "/cpu.max");  // "150000 100000" or "max 100000"
    if (!text) return std::nullopt;
    std::string_view rest(*text);
    const std::string_view quota = cut(rest, ' ');
    return quota_cpus(quota, rest);
  }
  const auto quota = read(directory + "/cpu.cfs_quota_us");  // "-1": no limit
  if (!quota || !positive(*quota)) return std::nullopt;
  const auto period = read(directory + "/cpu.cfs_period_us");
  return period ? quota_cpus(*quota, *period) : std::nullopt;
}

// Where a hierarchy is mounted, and which of its groups is the root there. In a container without
// its own cgroup namespace that group is not "/".
struct Mount {
  std::string point;
  std::string root;
};

// mountinfo writes blanks and backslashes as \040 and the like.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    const char* digits = text.data() + i + 1;
    const bool is_escape = text[i] == '\\' && text.size() - i > 3 &&
                           std::from_chars(digits, digits + 3, code, 8).ptr == digits + 3;
    out += is_escape ? static_cast<char>(code) : text[i];
    if (is_escape) i += 3;
  }
  return out;
}

// The part of `group` below `root`: "" for the root itself, nothing if it is not below `root`.
std::optional<std::string_view> below(std::string_view root, std::string_view group) {
  if (root == "/") return group == "/" ? std::string_view() : group;
  if (!group.starts_with(root)) return std::nullopt;
  const std::string_view rest = group.substr(root.size());
  if (!rest.empty() && rest.front() != '/') return std::nullopt;
  return rest;
}

// One line of mountinfo, if it mounts the hierarchy we look for:
//   42 32 0:39 /docker/ab /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
std::optional<Mount> parse_mount(std::string_view line, Version version) {
  const std::size_t dash = line.find(" - ");
  if (dash == std::string_view::npos) return std::nullopt;
  std::string_view back = line.substr(dash + 3);
  const std::string_view type = cut(back, ' ');
  cut(back, ' ');  // the source, which is any text
  if (type != (version == Version::v2 ? "cgroup2" : "cgroup")) return std::nullopt;
  if (version == Version::v1 && !has_word(back, "cpu")) return std::nullopt;
  std::string_view front = line.substr(0, dash);
  for (int skipped = 0; skipped < 3; ++skipped) cut(front, ' ');
  const std::string_view root = cut(front, ' ');
  return Mount{unescape(cut(front, ' ')), unescape(root)};
}

// The mount that shows `group`, else any mount of the hierarchy, else the usual place.
Mount find_mount(std::string_view mountinfo, std::string_view group, Version version) {
  std::optional<Mount> other;
  while (!mountinfo.empty()) {
    auto mount = parse_mount(cut(mountinfo, '\n'), version);
    if (!mount) continue;
    if (below(mount->root, group)) return std::move(*mount);
    if (!other) other = std::move(mount);
  }
  if (other) return std::move(*other);
  return {version == Version::v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu", "/"};
}

// The smallest limit from the group's directory up to the mount point.
std::optional<unsigned> path_quota(const FileReader& read, const Mount& mount,
                                   std::string_view group, Version version) {
  // If the mount does not show the group ("/../x" in a cgroup namespace), use its visible root.
  std::string path(below(mount.root, group).value_or(std::string_view()));
  if ((path + '/').find("/../") != std::string::npos) path.clear();
  std::optional<unsigned> least;
  for (;;) {
    keep_least(least, directory_quota(read, mount.point + path, version));
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return least;
    path.resize(slash);
  }
}

}  // namespace

std::optional<std::string> read_file(const std::string& path) {
  if (base::inject("open") != 0) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text;
  char chunk[4096];
  // read() turns an exception of the buffer (EISDIR for a directory) into badbit.
  while (file.read(chunk, sizeof chunk), file.gcount() > 0) {
    text.append(chunk, static_cast<std::size_t>(file.gcount()));
  }
  return file.bad() ? std::nullopt : std::optional(std::move(text));
}

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
  const auto groups = read("/proc/self/cgroup");
  if (!groups) return std::nullopt;
  const std::string mountinfo = read("/proc/self/mountinfo").value_or(std::string());
  std::optional<unsigned> least;
  std::string_view lines(*groups);
  while (!lines.empty()) {
    std::string_view group = cut(lines, '\n');  // "4:cpu,cpuacct:/path" or, v2, "0::/path"
    const std::string_view id = cut(group, ':');
    const std::string_view controllers = cut(group, ':');
    const bool is_v2 = id == "0" && controllers.empty();
    if (!group.starts_with('/') || (!is_v2 && !has_word(controllers, "cpu"))) continue;
    const Version version = is_v2 ? Version::v2 : Version::v1;
    keep_least(least, path_quota(read, find_mount(mountinfo, group, version), group, version));
  }
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
