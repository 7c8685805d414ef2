// How many CPUs this process may really use, which is the best number of workers.
//
//   affinity mask ------------------------------------------------+
//                                                                 +--> the smallest, at least 1
//   cpu.max or cpu.cfs_quota_us of the group and of its parents --+
//
// A quota is rounded up: 1.5 CPUs keep two workers busy most of the time, and one worker could use
// only two thirds of them.
//
// Rejected: the leaf group only (Go 1.25 does that, and misses a pod's limit above its container),
// and std::thread::hardware_concurrency (it does not know quotas).
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include <ramie/runtime.hpp>

#include "runtime/cgroup.hpp"

namespace ramie::inline v0::runtime {

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
