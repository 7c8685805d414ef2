// Every knob of a runtime, and how environment variables set them.
//
//   code (Builder) ----+
//   RAMIE_* variables -+--> Config --> the runtime's parts
//   automatic choice --+
//
// config_table.hpp holds one row for each knob: to add one, start there. The Builder decides which
// source wins: code, then environment, then automatic, or the first two exchanged. This file gives
// the Builder what it needs for that: the values, a bit for each field that the environment really
// set, and copy_fields(). Only config.cpp reads the process environment.
//
// Rejected: a configuration file (one more thing to find, parse and secure), and reading a variable
// where it is used (a setenv in another thread would then race with us).
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

namespace ramie::inline v0::runtime {

inline constexpr unsigned kMaxWorkers = 1024;

/// How the end of a fiber's stack is guarded. The order is that of the words in the table.
enum class StackGuard : std::uint8_t { automatic, madvise, mprotect, off };
/// What happens to an exception that leaves a detached fiber.
enum class Unhandled : std::uint8_t { report, abort };
/// Whether Ramie looks for waits in the wrong place; see sched/hold_check.hpp.
enum class Checks : std::uint8_t { automatic, on, off };
/// How the completions of a ring reach their worker; see uring::RingMode.
enum class UringMode : std::uint8_t { automatic, coop, none };

/// What RAMIE_HELP asks for. The caller acts on it: it prints the list or ends the program.
enum class Help : std::uint8_t { off, print, exit };

inline constexpr std::size_t kKiB = std::size_t{1} << 10;
inline constexpr std::size_t kMiB = kKiB << 10;
inline constexpr std::size_t kGiB = kMiB << 10;

/// The value of every knob. A default of 0 or nullopt means automatic or off; the row says which.
struct Config {
#define RAMIE_KNOB(variable, type, member, default_value, ...) type member = default_value;
#include "runtime/config_table.hpp"
};

/// One for each row of the table, in its order.
enum class Field : std::uint8_t {
#define RAMIE_KNOB(variable, type, member, ...) member,
#include "runtime/config_table.hpp"
};

/// A set of fields: bit(field) for each.
using Fields = std::uint64_t;
constexpr Fields bit(Field field) { return Fields{1} << static_cast<unsigned>(field); }

/// Finds a variable's text, or nullptr: secure_getenv, or a test's map.
using Reader = std::function<const char*(const char* name)>;

struct EnvResult {
  Config values;
  Fields set = 0;                     // the variables that gave a usable value
  std::vector<std::string> messages;  // for stderr, one line each, without a newline
  bool fatal = false;                 // RAMIE_STRICT is on, and something was wrong

  bool has(Field field) const { return (set & bit(field)) != 0; }
};

/// Starts with `base` and stores the variables that `reader` finds. A bad value changes nothing; a
/// value outside a clamped range moves to the bound. Messages say which value is used instead, so
/// `base` should hold what the code asked for. `all_names` is searched for unknown RAMIE_* names.
[[nodiscard]] EnvResult read_environment(const Config& base, const Reader& reader,
                                         std::span<const std::string> all_names);

/// The same for this process. A set-user-id process sees an empty environment.
/// Threads  no thread may call setenv meanwhile.
[[nodiscard]] EnvResult read_process_environment(const Config& base);

void copy_fields(Fields fields, const Config& from, Config& to);

/// The value in the form that its variable accepts: `256K`, `10s`, `auto`.
std::string format_value(Field field, const Config& config);

/// What RAMIE_HELP=1 prints.
std::string help_text();

/// The whole of docs/environment.md.
std::string markdown_table();

/// The whole of docs/man/ramie-env.7, in roff.
std::string man_page();

}  // namespace ramie::inline v0::runtime
