// How many CPUs this process may really use, which is the best number of workers.
//
//   affinity mask ------------------------------------------------+
//   /proc/self/cgroup     our group                               |
//   /proc/self/mountinfo  the directory of that group             +--> the smallest, at least 1
//   cpu.max or cpu.cfs_quota_us of the group and of its parents --+
//
// The limit of every ancestor applies, so the whole path counts, from the leaf to the mount's root.
// A quota is rounded up: 1.5 CPUs keep two workers busy most of the time, and one worker could use
// only two thirds of them.
//
// Rejected: the leaf group only (Go 1.25 does that, and misses a pod's limit above its container),
// and std::thread::hardware_concurrency (it does not know quotas).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <ramie/runtime.hpp>

namespace ramie::inline v0::runtime {

/// Returns a file's text, or nothing if it cannot be read. Tests give a map.
using FileReader = std::function<std::optional<std::string>(const std::string& path)>;

/// Reads the real file, whatever its length; nothing if it is missing, forbidden or a directory.
[[nodiscard]] std::optional<std::string> read_file(const std::string& path);

/// CPUs in the affinity mask of the calling thread, or of the machine if that is unknown; >= 1.
[[nodiscard]] unsigned affinity_count();

/// The numbers of the CPUs in that mask, in order; empty if it is unknown.
[[nodiscard]] std::vector<unsigned> allowed_cpus();

/// The CPU of each worker; empty if the kernel decides. If there are more workers than CPUs,
/// workers share CPUs.
[[nodiscard]] std::vector<unsigned> place_workers(Affinity how, std::size_t workers,
                                                  const std::vector<unsigned>& allowed);

/// The smallest CPU quota on our cgroup's path, v1 and v2, rounded up; nothing if there is no
/// limit.
[[nodiscard]] std::optional<unsigned> cgroup_quota(const FileReader& read);

/// The smaller of `affinity` and the quota, in 1..kMaxWorkers. Without `use_quota` it opens no
/// file.
[[nodiscard]] unsigned worker_count(bool use_quota, unsigned affinity, const FileReader& read);

/// The same for this process and the calling thread.
[[nodiscard]] unsigned worker_count(bool use_quota);

}  // namespace ramie::inline v0::runtime
