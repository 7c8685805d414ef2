// How many CPUs this process may really use: how many workers pay.
//
//   affinity mask ---------------------------------------------+
//   /proc/self/cgroup    which group are we in?                +--> the least of them, at least 1
//   /proc/self/mountinfo where is that group's directory? --+  |
//   <group>/cpu.max, cpu.cfs_quota_us, and of every parent --+-+
//
// A limit of any ancestor binds, so the whole path counts, from the leaf up to the mount's root.
// A quota is rounded up: 1.5 CPUs keep two workers busy most of the time, and a runtime of one
// worker could use only two thirds of what was paid for.
//
// Rejected: the leaf group only (Go 1.25 does that, and misses a pod's limit above its container),
// and std::thread::hardware_concurrency (it does not know quotas).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <ramie/runtime.hpp>

namespace ramie {
inline namespace v0 {
namespace runtime {

/// Returns a file's text, or nothing if it cannot be read. Tests give a map.
using FileReader = std::function<std::optional<std::string>(const std::string& path)>;

/// Reads the real file, whatever its length; nothing if it is missing, forbidden or a directory.
[[nodiscard]] std::optional<std::string> read_file(const std::string& path);

/// CPUs in the affinity mask of the calling thread; the machine's if that cannot be told; >= 1.
[[nodiscard]] unsigned affinity_count();

/// Their numbers, in order; empty if that cannot be told.
[[nodiscard]] std::vector<unsigned> allowed_cpus();

/// The CPU of each worker; empty: the kernel's choice. More workers than CPUs share them.
[[nodiscard]] std::vector<unsigned> place_workers(Affinity how, std::size_t workers,
                                                  const std::vector<unsigned>& allowed);

/// The tightest CPU quota on our cgroup's path, v1 and v2, rounded up; nothing: no limit found.
[[nodiscard]] std::optional<unsigned> cgroup_quota(const FileReader& read);

/// The least of `affinity` and the quota, in 1..kMaxWorkers. Without `use_quota` no file is opened.
[[nodiscard]] unsigned worker_count(bool use_quota, unsigned affinity, const FileReader& read);

/// The same for this process and the calling thread.
[[nodiscard]] unsigned worker_count(bool use_quota);

}  // namespace runtime
}  // namespace v0
}  // namespace ramie
