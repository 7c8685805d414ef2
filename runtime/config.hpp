// Every knob of a runtime, and how environment variables turn them.
//
//   code (Builder) ----+
//   RAMIE_* variables -+--> Config --> the runtime's parts
//   automatic choice --+
//
// The Builder owns the precedence: code, then environment, then automatic, or the first two
// exchanged. This file gives it what that needs: the values read, a bit for each field that the
// environment really set, and copy_fields(). The variables themselves (name, range, meaning) stand
// in config_table.hpp, once. Only config.cpp touches the process environment.
//
// Rejected: a configuration file (one more thing to find, parse and secure), and reading a variable
// where it is used (a setenv in some thread would then be a data race with us).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ramie/runtime.hpp>

namespace ramie {
inline namespace v0 {
namespace runtime {

inline constexpr unsigned kMaxWorkers = 1024;

/// How the end of a fiber's stack is guarded. The order is that of the words in the table.
enum class StackGuard : std::uint8_t { automatic, madvise, mprotect, off };
/// What happens to an exception that leaves a detached fiber.
enum class Unhandled : std::uint8_t { report, abort };
/// Whether waits in the wrong place are looked for; see sched/hold_check.hpp.
enum class Checks : std::uint8_t { automatic, on, off };
/// How the completions of a ring reach their worker; see uring::RingMode.
enum class UringMode : std::uint8_t { automatic, coop, none };

/// Every knob, with its value after code, environment and automatic choice were merged.
struct Config {
  unsigned workers = 0;  // 0: automatic
  bool cpu_quota = true;
  Affinity affinity = Affinity::none;
  unsigned io_shards = 0;  // 0: automatic
  unsigned event_interval = 61;
  unsigned global_interval = 0;                   // 0: automatic
  unsigned budget = 128;                          // 0: off
  std::optional<std::chrono::microseconds> spin;  // nullopt: automatic
  unsigned blocking_threads = 512;
  std::chrono::nanoseconds blocking_keepalive = std::chrono::seconds(10);
  std::size_t stack_size = std::size_t{256} << 10;
  StackGuard stack_guard = StackGuard::automatic;
  std::size_t stack_cache = std::size_t{64} << 20;
  std::optional<std::uint64_t> seed;                                 // nullopt: random
  std::chrono::microseconds watch = std::chrono::microseconds(500);  // 0: off
  std::optional<std::chrono::microseconds> notify_lazy;              // nullopt: automatic
  std::size_t root_stack_size = std::size_t{1} << 20;
  unsigned lifo = 3;  // 0: off
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(30);
  Unhandled unhandled = Unhandled::report;
  unsigned stall_ms = 1000;  // 0: off
  Deadlock deadlock = Deadlock::report;
  DumpSignal dump_signal = DumpSignal::quit;
  IoBackend io = IoBackend::automatic;
  FileBackend fs = FileBackend::automatic;
  unsigned uring_entries = 256;
  UringMode uring_mode = UringMode::automatic;
  std::optional<std::uint64_t> chaos;  // nullopt: off
  Checks checks = Checks::automatic;
};

/// One per variable, in the order of the table. `strict` and `help` have no place in Config.
enum class Field : std::uint8_t {
  workers,
  cpu_quota,
  affinity,
  io_shards,
  event_interval,
  global_interval,
  budget,
  spin,
  blocking_threads,
  blocking_keepalive,
  stack_size,
  stack_guard,
  stack_cache,
  seed,
  watch,
  notify_lazy,
  root_stack_size,
  lifo,
  drain_timeout,
  unhandled,
  stall_ms,
  deadlock,
  dump_signal,
  io,
  fs,
  uring_entries,
  uring_mode,
  chaos,
  checks,
  strict,
  help
};
inline constexpr std::size_t kFieldCount = 31;

constexpr std::uint32_t bit(Field field) {
  return std::uint32_t{1} << static_cast<unsigned>(field);
}

/// What RAMIE_HELP asks for. Acting on it (printing, exiting) is the caller's business.
enum class Help : std::uint8_t { off, print, exit };

/// Finds a variable's text, or nullptr: secure_getenv, or a test's map.
using Reader = std::function<const char*(const char* name)>;

struct EnvResult {
  Config values;
  std::uint32_t set = 0;              // bit(field) for each variable that gave a usable value
  std::vector<std::string> messages;  // for stderr, one line each, without a newline
  bool is_strict = false;             // RAMIE_STRICT is on
  bool fatal = false;                 // ... and something was wrong
  Help help = Help::off;

  bool has(Field field) const { return (set & bit(field)) != 0; }
};

/// Parses the variables that `reader` finds over `base`; `all_names` are searched for RAMIE_* names
/// that do not exist. A bad value leaves what `base` says; one outside a clamped range moves to
/// its bound. Messages name what is used instead, so `base` should hold what the code asked for.
[[nodiscard]] EnvResult read_environment(const Config& base, const Reader& reader,
                                         std::span<const std::string> all_names);

/// The same for this process. A set-user-id process sees an empty environment.
/// Threads  call it once, when the first runtime is built: nobody may call setenv meanwhile.
[[nodiscard]] EnvResult read_process_environment(const Config& base);

/// Copies the fields whose bit(field) is in `fields`.
void copy_fields(std::uint32_t fields, const Config& from, Config& to);

/// The value in the form in which its variable accepts it: `256K`, `10s`, `auto`.
/// Empty for `strict` and `help`.
std::string format_value(Field field, const Config& config);

/// What RAMIE_HELP=1 prints.
std::string help_text();

/// The whole of docs/environment.md.
std::string markdown_table();

}  // namespace runtime
}  // namespace v0
}  // namespace ramie
