// The one table of environment variables. The parser, RAMIE_HELP, `ramie env` and the docs page are
// generated from it, so none of them can disagree with another; defaults come from Config itself.
//
//   text --parse--> raw (64 bits, or nothing: automatic) --store--> Config::member
//   text <-format-- raw                                  <--load---
//
// A raw value is a count, bytes (size, stack), microseconds (micros), nanoseconds (duration), an
// index into the words (choice), or 0, 1 and then the words (flag). A new variable is a member of
// Config, a Field and a row.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <variant>

#include "runtime/config.hpp"

namespace ramie {
inline namespace v0 {
namespace runtime {

enum class Kind : std::uint8_t { number, flag, choice, size, stack, micros, duration, seed };

/// What becomes of a number outside its range.
enum class Outside : std::uint8_t { fall_back, clamp };

using Slot =
    std::variant<std::monostate, unsigned Config::*, bool Config::*, std::size_t Config::*,
                 std::chrono::nanoseconds Config::*, std::chrono::microseconds Config::*,
                 std::optional<std::chrono::microseconds> Config::*,
                 std::optional<std::uint64_t> Config::*, StackGuard Config::*, Unhandled Config::*,
                 Affinity Config::*, Deadlock Config::*, DumpSignal Config::*, IoBackend Config::*,
                 FileBackend Config::*, UringMode Config::*, Checks Config::*>;

struct Row {
  std::string_view name;
  Field field = Field::workers;
  Slot slot{};
  Kind kind = Kind::number;
  std::uint64_t min = 0;  // raw
  std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
  Outside below = Outside::fall_back;
  Outside above = Outside::fall_back;
  bool zero_is_off = false;      // 0 is accepted although it is below `min`
  std::string_view automatic{};  // the word for "choose for me", if there is one
  std::string_view words{};      // choice: split by '|', in the enum's order; flag: more words
  std::string_view example{};    // a sensible value, for messages
  std::string_view effect{};
};

inline constexpr std::uint64_t kKiB = std::uint64_t{1} << 10;
inline constexpr std::uint64_t kMiB = kKiB << 10;
inline constexpr std::uint64_t kGiB = kMiB << 10;
inline constexpr std::uint64_t kHour = 3'600'000'000'000;  // ns

inline constexpr std::array<Row, kFieldCount> kTable{{
    {.name = "RAMIE_WORKERS",
     .field = Field::workers,
     .slot = &Config::workers,
     .min = 1,
     .max = kMaxWorkers,
     .above = Outside::clamp,
     .automatic = "auto",
     .example = "4",
     .effect = "Worker threads. `auto`: the CPUs of the affinity mask, or the cgroup's CPU quota "
               "rounded up if that is less."},
    {.name = "RAMIE_CPU_QUOTA",
     .field = Field::cpu_quota,
     .slot = &Config::cpu_quota,
     .kind = Kind::flag,
     .effect = "Whether `auto` looks at the cgroup's CPU quota. `off` opens no file in `/proc` or "
               "`/sys` for it, which confined programs may need."},
    {.name = "RAMIE_AFFINITY",
     .field = Field::affinity,
     .slot = &Config::affinity,
     .kind = Kind::choice,
     .words = "none|spread|compact",
     .effect = "Pins each worker to a CPU of the process's affinity mask: far apart, or the first "
               "ones. It keeps the kernel from queueing one worker behind another that computes; "
               "not for machines whose CPUs other programs use, too."},
    {.name = "RAMIE_IO_SHARDS",
     .field = Field::io_shards,
     .slot = &Config::io_shards,
     .min = 1,
     .max = 64,
     .automatic = "auto",
     .example = "2",
     .effect = "epoll instances. `auto`: one up to 8 workers, then one for every 8."},
    {.name = "RAMIE_EVENT_INTERVAL",
     .field = Field::event_interval,
     .slot = &Config::event_interval,
     .min = 1,
     .max = 65536,
     .example = "61",
     .effect = "A busy worker looks for I/O events and timers at least once in so many switches, "
               "and about every 100 us in any case."},
    {.name = "RAMIE_GLOBAL_INTERVAL",
     .field = Field::global_interval,
     .slot = &Config::global_interval,
     .min = 1,
     .max = 65536,
     .automatic = "auto",
     .example = "31",
     .effect = "A busy worker takes a fiber from the shared injection queue once in so many "
               "switches, and after about 100 us in any case, but never twice in a row while "
               "others wait."},
    {.name = "RAMIE_BUDGET",
     .field = Field::budget,
     .slot = &Config::budget,
     .max = 65536,
     .example = "128",
     .effect = "Operations that a fiber may complete without waiting before it has to yield; after "
               "about 100 us it yields in any case. 0: no limit but the time."},
    {.name = "RAMIE_SPIN_US",
     .field = Field::spin,
     .slot = &Config::spin,
     .kind = Kind::micros,
     .max = 1000,
     .below = Outside::clamp,
     .above = Outside::clamp,
     .automatic = "auto",
     .example = "20",
     .effect = "How long an idle worker polls before it sleeps. `auto`: not at all; a number helps "
               "only where cores are idle and the microseconds of a wake-up count."},
    {.name = "RAMIE_BLOCKING_THREADS",
     .field = Field::blocking_threads,
     .slot = &Config::blocking_threads,
     .min = 1,
     .max = 32768,
     .below = Outside::clamp,
     .above = Outside::clamp,
     .example = "512",
     .effect = "Most threads of the pool for blocking calls."},
    {.name = "RAMIE_BLOCKING_KEEPALIVE",
     .field = Field::blocking_keepalive,
     .slot = &Config::blocking_keepalive,
     .kind = Kind::duration,
     .max = kHour,
     .example = "10s",
     .effect = "How long an idle thread of that pool lives."},
    {.name = "RAMIE_STACK_SIZE",
     .field = Field::stack_size,
     .slot = &Config::stack_size,
     .kind = Kind::stack,
     .min = 16 * kKiB,
     .max = kGiB,
     .below = Outside::clamp,
     .above = Outside::clamp,
     .example = "256K",
     .effect = "Address space of a fiber's stack; memory is taken only where it is touched."},
    {.name = "RAMIE_STACK_GUARD",
     .field = Field::stack_guard,
     .slot = &Config::stack_guard,
     .kind = Kind::choice,
     .words = "auto|madvise|mprotect|off",
     .effect = "How the end of a stack is guarded. `madvise` needs Linux 6.13; `mprotect` costs "
               "two mappings a stack, about 14,700 fibers with the usual `vm.max_map_count`."},
    {.name = "RAMIE_STACK_CACHE",
     .field = Field::stack_cache,
     .slot = &Config::stack_cache,
     .kind = Kind::size,
     .max = 16 * kGiB,
     .example = "64M",
     .effect = "Free stacks that are kept for reuse; more go back to the kernel."},
    {.name = "RAMIE_SEED",
     .field = Field::seed,
     .slot = &Config::seed,
     .kind = Kind::seed,
     .automatic = "random",
     .example = "0x5eed",
     .effect = "Seed of the scheduler's random choices."},
    {.name = "RAMIE_WATCH_US",
     .field = Field::watch,
     .slot = &Config::watch,
     .kind = Kind::micros,
     .min = 50,
     .max = 100'000,
     .below = Outside::clamp,
     .above = Outside::clamp,
     .zero_is_off = true,
     .example = "500",
     .effect = "While others run, one sleeping worker looks for unattended work and I/O this "
               "often."},
    {.name = "RAMIE_NOTIFY_LAZY_US",
     .field = Field::notify_lazy,
     .slot = &Config::notify_lazy,
     .kind = Kind::micros,
     .max = 10'000,
     .below = Outside::clamp,
     .above = Outside::clamp,
     .automatic = "auto",
     .example = "50",
     .effect = "Age at which waiting work wakes another worker. 0: at once."},
    {.name = "RAMIE_ROOT_STACK_SIZE",
     .field = Field::root_stack_size,
     .slot = &Config::root_stack_size,
     .kind = Kind::stack,
     .min = 64 * kKiB,
     .max = kGiB,
     .below = Outside::clamp,
     .above = Outside::clamp,
     .example = "1M",
     .effect = "Address space of the stack on which `block_on` runs its function."},
    {.name = "RAMIE_LIFO",
     .field = Field::lifo,
     .slot = &Config::lifo,
     .max = 64,
     .below = Outside::clamp,
     .above = Outside::clamp,
     .example = "3",
     .effect = "Fibers that a worker takes in a row from its last-in slot before its queue has "
               "its turn. 0: no such slot."},
    {.name = "RAMIE_DRAIN_TIMEOUT",
     .field = Field::drain_timeout,
     .slot = &Config::drain_timeout,
     .kind = Kind::duration,
     .max = kHour,
     .example = "30s",
     .effect = "How long a graceful shutdown waits for fibers to end."},
    {.name = "RAMIE_UNHANDLED",
     .field = Field::unhandled,
     .slot = &Config::unhandled,
     .kind = Kind::choice,
     .words = "report|abort",
     .effect = "What happens to an exception that leaves a detached fiber."},
    {.name = "RAMIE_STALL_MS",
     .field = Field::stall_ms,
     .slot = &Config::stall_ms,
     .min = 10,
     .max = 60'000,
     .below = Outside::clamp,
     .above = Outside::clamp,
     .zero_is_off = true,
     .example = "1000",
     .effect = "A fiber that has kept its worker for so many milliseconds is reported with its "
               "stack and the system call that it is in, and again after twice as long."},
    {.name = "RAMIE_DEADLOCK",
     .field = Field::deadlock,
     .slot = &Config::deadlock,
     .kind = Kind::choice,
     .words = "off|report|abort",
     .effect = "What happens when all fibers wait for each other and no timer, descriptor, signal "
               "or thread can wake them: a dump and a message, or the end of the program, too."},
    {.name = "RAMIE_DUMP_SIGNAL",
     .field = Field::dump_signal,
     .slot = &Config::dump_signal,
     .kind = Kind::choice,
     .words = "none|QUIT|USR1|USR2",
     .effect = "This signal prints every fiber with its state and stack to stderr, unless the "
               "program itself has set a handler for it, or ignores it, when its first runtime is "
               "built. (That a script ignores it in the program's name does not count.)"},
    {.name = "RAMIE_IO",
     .field = Field::io,
     .slot = &Config::io,
     .kind = Kind::choice,
     .words = "auto|epoll|uring",
     .effect = "`auto`: sockets by epoll, files by io_uring if the kernel allows it. `epoll`: no "
               "io_uring at all, unless RAMIE_FS asks for it. `uring`: a receive that must wait "
               "goes through io_uring, too; an error where that is impossible."},
    {.name = "RAMIE_FS",
     .field = Field::fs,
     .slot = &Config::fs,
     .kind = Kind::choice,
     .words = "auto|uring|pool",
     .effect = "Where file operations run that the kernel's caches cannot answer: on io_uring if "
               "it is there; on io_uring, or an error at the start; or on threads of the blocking "
               "pool, where also goes what io_uring has no operation for."},
    {.name = "RAMIE_URING_ENTRIES",
     .field = Field::uring_entries,
     .slot = &Config::uring_entries,
     .min = 8,
     .max = 32'768,
     .below = Outside::clamp,
     .above = Outside::clamp,
     .example = "256",
     .effect = "Submissions that a worker's ring holds, rounded up to a power of two; completions: "
               "four times as many. Less if RLIMIT_MEMLOCK demands it."},
    {.name = "RAMIE_URING_FLAGS",
     .field = Field::uring_mode,
     .slot = &Config::uring_mode,
     .kind = Kind::choice,
     .words = "auto|coop|none",
     .effect = "How completions reach their worker: the best that the kernel takes, or at most "
               "this."},
    {.name = "RAMIE_CHAOS",
     .field = Field::chaos,
     .slot = &Config::chaos,
     .kind = Kind::seed,
     .automatic = "off",
     .example = "42",
     .effect = "Test mode, with this seed: fibers migrate at every park, queues look full, workers "
               "dawdle and wake for nothing, budgets are tiny. A program that is right stays so, "
               "only slower."},
    {.name = "RAMIE_CHECKS",
     .field = Field::checks,
     .slot = &Config::checks,
     .kind = Kind::choice,
     .words = "auto|on|off",
     .effect = "`on`: a fiber that waits while it holds a `std::mutex`, in the initialiser of a "
               "static or in a signal handler stops the program with a message and both stacks; "
               "every lock and every wait then costs microseconds. `auto`: only in builds of "
               "Ramie with assertions. It stays on in all runtimes of the process."},
    {.name = "RAMIE_STRICT",
     .field = Field::strict,
     .kind = Kind::flag,
     .effect = "Makes bad values and unknown `RAMIE_*` names errors instead of warnings."},
    {.name = "RAMIE_HELP",
     .field = Field::help,
     .kind = Kind::flag,
     .words = "exit",
     .effect = "Prints this list to stderr and goes on (`on`) or ends the program (`exit`)."},
}};

constexpr const Row& row_of(Field field) { return kTable[static_cast<std::size_t>(field)]; }

namespace detail {
constexpr bool is_table_sound() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    const Row& row = kTable[i];
    if (row.field != static_cast<Field>(i) || !row.name.starts_with("RAMIE_")) return false;
    if (row.min > row.max || row.effect.empty()) return false;
    if (row.kind == Kind::choice && row.words.empty()) return false;
    if (row.kind != Kind::choice && row.kind != Kind::flag && row.example.empty()) return false;
  }
  return true;
}
static_assert(is_table_sound(), "rows stand in the order of Field and are complete");
static_assert(kFieldCount == static_cast<std::size_t>(Field::help) + 1 && kFieldCount <= 32);
}  // namespace detail

}  // namespace runtime
}  // namespace v0
}  // namespace ramie
