// The directories that may limit this process: those of its cgroup and of every ancestor.
//
//   /proc/self/cgroup     our group in each hierarchy
//   /proc/self/mountinfo  the directory of that group
//
// The limit of every ancestor applies, so the whole path counts, from the leaf to the mount's root.
// A hybrid system has hierarchies of both versions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace ramie::inline v0::runtime {

/// Returns a file's text, or nothing if it cannot be read. Tests give a map.
using FileReader = std::function<std::optional<std::string>(const std::string& path)>;

/// Reads the real file, whatever its length; nothing if it is missing, forbidden or a directory.
[[nodiscard]] std::optional<std::string> read_file(const std::string& path);

enum class CgroupVersion : std::uint8_t { v1, v2 };

using DirectoryVisitor = std::function<void(const std::string& directory, CgroupVersion version)>;

/// Calls `visit` for each directory that may have files of `controller` ("cpu", "memory", "pids"),
/// the leaf first. In v2 a directory may lack them.
void visit_cgroup(const FileReader& read, std::string_view controller,
                  const DirectoryVisitor& visit);

}  // namespace ramie::inline v0::runtime
