// See cgroup.hpp. A file that is missing or makes no sense names no directory: a confined or
// unusual system sets no limits, and is never an error.
#include "runtime/cgroup.hpp"

#include <charconv>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

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
std::optional<Mount> parse_mount(std::string_view line, std::string_view controller,
                                 CgroupVersion version) {
  const std::size_t dash = line.find(" - ");
  if (dash == std::string_view::npos) return std::nullopt;
  std::string_view back = line.substr(dash + 3);
  const std::string_view type = cut(back, ' ');
  cut(back, ' ');  // the source, which is any text
  if (type != (version == CgroupVersion::v2 ? "cgroup2" : "cgroup")) return std::nullopt;
  if (version == CgroupVersion::v1 && !has_word(back, controller)) return std::nullopt;
  std::string_view front = line.substr(0, dash);
  for (int skipped = 0; skipped < 3; ++skipped) cut(front, ' ');
  const std::string_view root = cut(front, ' ');
  return Mount{unescape(cut(front, ' ')), unescape(root)};
}

// The mount that shows `group`, else any mount of the hierarchy, else the usual place.
Mount find_mount(std::string_view mountinfo, std::string_view group, std::string_view controller,
                 CgroupVersion version) {
  std::optional<Mount> other;
  while (!mountinfo.empty()) {
    auto mount = parse_mount(cut(mountinfo, '\n'), controller, version);
    if (!mount) continue;
    if (below(mount->root, group)) return std::move(*mount);
    if (!other) other = std::move(mount);
  }
  if (other) return std::move(*other);
  std::string usual = "/sys/fs/cgroup";
  if (version == CgroupVersion::v1) usual.append("/").append(controller);
  return {std::move(usual), "/"};
}

// Every directory from the group's up to the mount point.
void visit_path(const Mount& mount, std::string_view group, CgroupVersion version,
                const DirectoryVisitor& visit) {
  // If the mount does not show the group ("/../x" in a cgroup namespace), use its visible root.
  std::string path(below(mount.root, group).value_or(std::string_view()));
  if ((path + '/').find("/../") != std::string::npos) path.clear();
  for (;;) {
    visit(mount.point + path, version);
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return;
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

void visit_cgroup(const FileReader& read, std::string_view controller,
                  const DirectoryVisitor& visit) {
  const auto groups = read("/proc/self/cgroup");
  if (!groups) return;
  const std::string mountinfo = read("/proc/self/mountinfo").value_or(std::string());
  std::string_view lines(*groups);
  while (!lines.empty()) {
    std::string_view group = cut(lines, '\n');  // "4:cpu,cpuacct:/path" or, v2, "0::/path"
    const std::string_view id = cut(group, ':');
    const std::string_view controllers = cut(group, ':');
    const bool is_v2 = id == "0" && controllers.empty();
    if (!group.starts_with('/') || (!is_v2 && !has_word(controllers, controller))) continue;
    const auto version = is_v2 ? CgroupVersion::v2 : CgroupVersion::v1;
    visit_path(find_mount(mountinfo, group, controller, version), group, version, visit);
  }
}

}  // namespace ramie::inline v0::runtime
