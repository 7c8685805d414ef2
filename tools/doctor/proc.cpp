// See proc.hpp.
#include "tools/doctor/proc.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace doctor {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// Removes the first word from `text` and returns it.
std::string_view next_word(std::string_view& text) {
  text = trimmed(text);
  const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

std::optional<std::uint64_t> limit_in(std::string_view word) {
  return word == "unlimited" ? kNoLimit : number_in(word);
}

}  // namespace

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  const std::string_view word = next_word(text);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return number;
}

std::string first_line_of(const FileReader& read, const std::string& path) {
  const auto text = read(path);
  return text ? text->substr(0, text->find('\n')) : std::string();
}

std::optional<std::uint64_t> number_of(const FileReader& read, const std::string& path) {
  const auto text = read(path);
  return text ? number_in(*text) : std::nullopt;
}

std::optional<std::string> field_of(const FileReader& read, const std::string& path,
                                    std::string_view name) {
  const auto text = read(path);
  if (!text) return std::nullopt;
  for (const std::string_view line : lines_of(*text)) {
    if (line.starts_with(name) && line.substr(name.size()).starts_with(':'))
      return std::string(trimmed(line.substr(name.size() + 1)));
  }
  return std::nullopt;
}

bool has_capability(const FileReader& read, unsigned capability) {
  const auto text = field_of(read, "/proc/self/status", "CapEff");
  if (!text) return false;
  std::uint64_t bits = 0;
  std::from_chars(text->data(), text->data() + text->size(), bits, 16);
  return ((bits >> capability) & 1U) != 0;
}

std::optional<Limit> limit_of(const FileReader& read, std::string_view name) {
  const auto text = read("/proc/self/limits");
  if (!text) return std::nullopt;
  for (std::string_view line : lines_of(*text)) {
    if (!line.starts_with(name)) continue;
    line.remove_prefix(name.size());
    const auto soft = limit_in(next_word(line));
    const auto hard = limit_in(next_word(line));
    if (soft && hard) return Limit{*soft, *hard};
  }
  return std::nullopt;
}

bool may_have_huge_pages(const FileReader& read, std::uintptr_t address) {
  const auto maps = read("/proc/self/smaps");
  if (!maps) return false;
  bool is_in_it = false;
  for (const std::string_view line : lines_of(*maps)) {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    const char* end = line.data() + line.size();
    const auto first = std::from_chars(line.data(), end, from, 16);
    if (first.ec == std::errc() && first.ptr != end && *first.ptr == '-') {  // "7f0000-7f1000 rw-p"
      std::from_chars(first.ptr + 1, end, to, 16);
      is_in_it = from <= address && address < to;
    } else if (is_in_it && line.starts_with("VmFlags:")) {
      return line.find(" nh") == std::string_view::npos;
    }
  }
  return false;
}

std::optional<KernelVersion> kernel_version(std::string_view release) {
  KernelVersion version;
  const char* end = release.data() + release.size();
  const auto major = std::from_chars(release.data(), end, version.major);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return std::nullopt;
  const auto minor = std::from_chars(major.ptr + 1, end, version.minor);
  if (minor.ec != std::errc()) return std::nullopt;
  return version;
}

}  // namespace doctor
