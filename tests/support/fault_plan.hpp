// Fault plans as text. A rule is a line or ends with a semicolon; `#` begins a comment:
//
//     accept4       1..20   EMFILE       the first twenty return EMFILE
//     recv          p=0.05  short=1      one in twenty moves a single byte; the rest stays there
//     epoll_pwait2  3       EINTR        the third
//     recv          5       delay=1ms    the fifth is late
//     send          4..     EPIPE        the fourth and all after it
//     mmap          every=3 ENOMEM       the 1st, 4th, 7th ...
//
// Each rule counts its own calls; the first rule that matches decides. A probability is computed
// from the seed and the call's number, so the same seed hits the same calls.
#pragma once

#include "tests/support/injection.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <deque>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ramie_test {

struct Errno {
  std::string_view name;
  int number;
};
inline constexpr Errno kErrnos[] = {
    {"EACCES", EACCES},
    {"EADDRINUSE", EADDRINUSE},
    {"EADDRNOTAVAIL", EADDRNOTAVAIL},
    {"EAFNOSUPPORT", EAFNOSUPPORT},
    {"EAGAIN", EAGAIN},
    {"EBADF", EBADF},
    {"EBUSY", EBUSY},
    {"ECANCELED", ECANCELED},
    {"ECONNABORTED", ECONNABORTED},
    {"ECONNREFUSED", ECONNREFUSED},
    {"ECONNRESET", ECONNRESET},
    {"EEXIST", EEXIST},
    {"EFAULT", EFAULT},
    {"EFBIG", EFBIG},
    {"EHOSTDOWN", EHOSTDOWN},
    {"EHOSTUNREACH", EHOSTUNREACH},
    {"EINTR", EINTR},
    {"EINVAL", EINVAL},
    {"EIO", EIO},
    {"ELOOP", ELOOP},
    {"EMFILE", EMFILE},
    {"EMLINK", EMLINK},
    {"EMSGSIZE", EMSGSIZE},
    {"ENETDOWN", ENETDOWN},
    {"ENETUNREACH", ENETUNREACH},
    {"ENFILE", ENFILE},
    {"ENOBUFS", ENOBUFS},
    {"ENODEV", ENODEV},
    {"ENOENT", ENOENT},
    {"ENOLCK", ENOLCK},
    {"ENOMEM", ENOMEM},
    {"ENOPROTOOPT", ENOPROTOOPT},
    {"ENOSPC", ENOSPC},
    {"ENOSYS", ENOSYS},
    {"ENOTCONN", ENOTCONN},
    {"ENOTSOCK", ENOTSOCK},
    {"EOPNOTSUPP", EOPNOTSUPP},
    {"EPERM", EPERM},
    {"EPIPE", EPIPE},
    {"EPROTO", EPROTO},
    {"EPROTONOSUPPORT", EPROTONOSUPPORT},
    {"EROFS", EROFS},
    {"ETIMEDOUT", ETIMEDOUT},
    {"EXDEV", EXDEV},
};
inline constexpr std::string_view kMovesBytes[] = {
    "copy_file_range", "preadv2", "pwritev2", "recv", "recvmsg", "send", "sendmsg", "write"};
// The library ignores errors of these calls, so a plan may only delay them.
inline constexpr std::string_view kNeverFails[] = {"close", "futex_wake"};
// Every name that passes the fault injection and may fail.
inline constexpr std::string_view kMayFail[] = {
    "accept4",
    "bind",
    "clone",
    "close_file",
    "connect",
    "copy_file_range",
    "dup_stream",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "fallocate",
    "fchmod",
    "fchmodat",
    "fcntl",
    "fcntl_file",
    "fcntl_set",
    "fdatasync",
    "flock",
    "fstat",
    "fsync",
    "ftruncate",
    "futex_wait",
    "futimens",
    "getaddrinfo",
    "getdents64",
    "getpeername",
    "getrandom",
    "getsockname",
    "getsockopt",
    "if_nametoindex",
    "inotify_add_watch",
    "inotify_init1",
    "inotify_rm_watch",
    "io_uring_enter",
    "io_uring_setup",
    "linkat",
    "listen",
    "lseek",
    "madvise",
    "mkdirat",
    "mmap",
    "mprotect",
    "mprotect_data",
    "munmap",
    "poll",
    "poll_stream",
    "open",
    "openat",
    "openat2",
    "prctl",
    "preadv2",
    "pwritev2",
    "read_eventfd",
    "read_inotify",
    "readlinkat",
    "realpath",
    "recv",
    "recvmsg",
    "renameat2",
    "sched_getaffinity",
    "sched_setaffinity",
    "send",
    "sendmsg",
    "setsockopt",
    "shutdown",
    "sigaction",
    "sigaltstack",
    "socket",
    "statmount",
    "statx",
    "statx_known",
    "symlinkat",
    "tee",
    "tgkill",
    "unlinkat",
    "uring_op",
    "write",
    "write_eventfd",
    "write_stream",
};

inline bool is_among(std::span<const std::string_view> names, std::string_view name) noexcept {
  for (const std::string_view one : names)
    if (one == name) return true;
  return false;
}

inline std::string_view errno_name(int number) noexcept {
  for (const Errno& one : kErrnos)
    if (one.number == number) return one.name;
  return "E?";
}

struct FaultRule {
  static constexpr unsigned kForEver = std::numeric_limits<unsigned>::max();

  std::string call;
  unsigned first = 1;
  unsigned last = kForEver;
  unsigned every = 1;
  double probability = 1;
  int error = 0;    // errno
  int at_most = 0;  // bytes
  std::chrono::nanoseconds delay{0};
};

// Throws std::invalid_argument with the rule and its error.
class FaultText {
 public:
  static std::vector<FaultRule> parse(std::string_view text) {
    std::vector<FaultRule> rules;
    while (!text.empty()) {
      const std::size_t end = text.find_first_of(";\n");
      std::string_view rule = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      rule = rule.substr(0, rule.find('#'));
      std::vector<std::string_view> words = split(rule);
      if (!words.empty()) rules.push_back(FaultText(rule).rule(words));
    }
    return rules;
  }

 private:
  explicit FaultText(std::string_view rule) : rule_(rule) {}

  static std::vector<std::string_view> split(std::string_view text) {
    std::vector<std::string_view> words;
    for (std::size_t at = 0; (at = text.find_first_not_of(" \t", at)) != std::string_view::npos;) {
      const std::size_t end = std::min(text.find_first_of(" \t", at), text.size());
      words.push_back(text.substr(at, end - at));
      at = end;
    }
    return words;
  }

  [[noreturn]] void reject(const std::string& why) const {
    throw std::invalid_argument("fault plan: '" + std::string(rule_) + "': " + why);
  }

  FaultRule rule(std::span<const std::string_view> words) const {
    if (words.size() != 3) reject("want: call, which ones, what (as in `accept4 1..20 EMFILE`)");
    FaultRule rule;
    rule.call = words[0];
    if (!is_among(kMayFail, words[0]) && !is_among(kNeverFails, words[0]))
      reject("no call is named '" + rule.call + "'");
    read_which(words[1], rule);
    read_what(words[2], rule);
    return rule;
  }

  void read_which(std::string_view which, FaultRule& rule) const {
    if (which.starts_with("p=")) {
      rule.probability = number<double>(which.substr(2));
      if (!(rule.probability > 0 && rule.probability <= 1)) reject("want 0 < p <= 1");
    } else if (which.starts_with("every=")) {
      rule.every = number<unsigned>(which.substr(6));
      if (rule.every == 0) reject("want every >= 1");
    } else {
      const std::size_t dots = which.find("..");
      rule.first = number<unsigned>(which.substr(0, dots));
      if (dots == std::string_view::npos) rule.last = rule.first;
      else if (dots + 2 != which.size()) rule.last = number<unsigned>(which.substr(dots + 2));
      if (rule.first == 0) reject("calls are counted from 1");
      if (rule.last < rule.first) reject("the range is empty");
    }
  }

  void read_what(std::string_view what, FaultRule& rule) const {
    if (what.starts_with("short=")) {
      rule.at_most = number<int>(what.substr(6));
      if (rule.at_most <= 0) reject("want short >= 1");
      if (!is_among(kMovesBytes, rule.call)) reject("only calls that move bytes can be short");
    } else if (what.starts_with("delay=")) {
      rule.delay = duration(what.substr(6));
    } else {
      for (const Errno& one : kErrnos)
        if (one.name == what) rule.error = one.number;
      if (rule.error == 0) reject("no errno is named '" + std::string(what) + "'");
      if (is_among(kNeverFails, rule.call)) reject("this call cannot fail, only come late");
    }
  }

  template <class T>
  T number(std::string_view text) const {
    T value{};
    const char* end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stopped != end)
      reject("'" + std::string(text) + "' is no number here");
    return value;
  }

  std::chrono::nanoseconds duration(std::string_view text) const {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto count = number<std::int64_t>(text.substr(0, digits));
    const std::string_view unit = text.substr(digits);
    if (unit == "ns") return std::chrono::nanoseconds(count);
    if (unit == "us") return std::chrono::microseconds(count);
    if (unit == "ms") return std::chrono::milliseconds(count);
    if (unit == "s") return std::chrono::seconds(count);
    reject("want a time such as 200us, 1ms or 2s");
  }

  std::string_view rule_;
};

// An active plan.
class PlannedFaults final : private Injection {
 public:
  explicit PlannedFaults(std::string_view text, std::uint64_t seed = 1)
      : PlannedFaults(FaultText::parse(text), seed) {}
  explicit PlannedFaults(const std::vector<FaultRule>& rules, std::uint64_t seed = 1)
      : seed_(seed) {
    for (const FaultRule& rule : rules) rules_.emplace_back(rule);
    plug_in();
  }
  ~PlannedFaults() { pull_out(); }

  // How often rule `i` matched, and how many calls of its name it saw.
  unsigned hits(std::size_t i = 0) const noexcept { return rules_[i].hits.load(); }
  unsigned calls(std::size_t i = 0) const noexcept { return rules_[i].calls.load(); }
  unsigned all_hits() const noexcept {
    unsigned sum = 0;
    for (const Active& each : rules_) sum += each.hits.load();
    return sum;
  }

 private:
  struct Active {
    explicit Active(FaultRule rule_) : rule(std::move(rule_)) {}
    const FaultRule rule;
    std::atomic<unsigned> calls{0};
    std::atomic<unsigned> hits{0};
  };

  int decide(const char* call) noexcept override {
    const Active* striking = nullptr;
    for (Active& each : rules_) {
      if (each.rule.call != call) continue;
      const unsigned number = each.calls.fetch_add(1) + 1;
      if (striking != nullptr || !strikes(each.rule, number)) continue;
      each.hits.fetch_add(1);
      striking = &each;
    }
    if (striking == nullptr) return 0;
    const FaultRule& rule = striking->rule;
    if (rule.delay.count() > 0) sleep(rule.delay);
    return rule.error != 0 ? -rule.error : rule.at_most;
  }

  bool strikes(const FaultRule& rule, unsigned number) const noexcept {
    if (number < rule.first || number > rule.last) return false;
    if ((number - rule.first) % rule.every != 0) return false;
    if (rule.probability >= 1) return true;
    std::uint64_t x = seed_ + number * 0x9E3779B97F4A7C15U;  // splitmix64
    x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
    x ^= x >> 31U;
    return static_cast<double>(x >> 11U) * 0x1p-53 < rule.probability;
  }

  static void sleep(std::chrono::nanoseconds time) noexcept {
    timespec left{};
    left.tv_sec = time.count() / 1'000'000'000;
    left.tv_nsec = time.count() % 1'000'000'000;
    while (::nanosleep(&left, &left) != 0) {
    }
  }

  std::deque<Active> rules_;
  const std::uint64_t seed_;
};

}  // namespace ramie_test
