// Reads the small texts of /proc and /sys, through a FileReader.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/cgroup.hpp"

namespace doctor {

using ramie::runtime::FileReader;

std::vector<std::string_view> lines_of(std::string_view text);

/// The number at the beginning of a text; nothing for "max", "unlimited" and garbage.
std::optional<std::uint64_t> number_in(std::string_view text);

/// The first line of a file; empty if there is none.
std::string first_line_of(const FileReader& read, const std::string& path);

/// The number that a file holds.
std::optional<std::uint64_t> number_of(const FileReader& read, const std::string& path);

/// The rest of the line that begins with `name` and a colon, as in /proc/self/status; trimmed.
std::optional<std::string> field_of(const FileReader& read, const std::string& path,
                                    std::string_view name);

/// Whether this process has the capability of that number.
bool has_capability(const FileReader& read, unsigned capability);
inline constexpr unsigned kIpcLock = 14;
inline constexpr unsigned kSysPtrace = 19;
inline constexpr unsigned kSysAdmin = 21;
inline constexpr unsigned kSysResource = 24;

/// A row of /proc/self/limits. kNoLimit stands for "unlimited".
inline constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};
struct Limit {
  std::uint64_t soft;
  std::uint64_t hard;
};
/// `name` as in that file, such as "Max open files".
std::optional<Limit> limit_of(const FileReader& read, std::string_view name);

/// Whether /proc/self/smaps shows the mapping with that address, and without the mark of
/// MADV_NOHUGEPAGE.
bool may_have_huge_pages(const FileReader& read, std::uintptr_t address);

/// Major and minor version.
struct KernelVersion {
  unsigned major = 0;
  unsigned minor = 0;
  auto operator<=>(const KernelVersion&) const = default;
};
std::optional<KernelVersion> kernel_version(std::string_view release);

}  // namespace doctor
