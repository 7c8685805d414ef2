// Builder: merges what the code set, what the environment sets, and the automatic choice.
#include <ramie/runtime.hpp>

#include "runtime/config.hpp"
#include "runtime/config_row.hpp"
#include "runtime/state.hpp"
#include "sched/base/assert.hpp"
#include "sched/base/atomic.hpp"
#include "sched/base/sys.hpp"

#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>

namespace ramie::inline v0::runtime {

namespace {

// `value` has the unit of the row: a count, bytes, microseconds or nanoseconds. A stack size below
// the range is accepted: the fiber gets the smallest stack.
template <class V>
bool is_in_range(const Row& row, V value) {
  if constexpr (std::is_enum_v<V>) {
    return true;
  } else if constexpr (requires { value.count(); }) {
    return is_in_range(row, value.count());
  } else {
    if (std::cmp_less(value, 0) || std::cmp_greater(value, row.max)) return false;
    const bool may_be_less = row.whole_pages || (row.zero_is_off && value == 0);
    return may_be_less || std::cmp_greater_equal(value, row.min);
  }
}

}  // namespace

struct Builder::Knobs {
  Config config;
  Fields set = 0;  // what the code set
  RuntimeState::Hooks hooks;
  bool environment_wins = false;
  bool ignores_environment = false;
  bool is_invalid = false;
};

// A value outside the range of its variable makes build() fail, even if the cast would change it to
// a value in the range.
template <auto Member, class V>
Builder& Builder::set(V value) {
  const Row& row = row_of_member<Member>();
  Knobs& its = knobs();
  its.is_invalid |= !is_in_range(row, value);
  auto& member = its.config.*Member;
  member = static_cast<std::remove_reference_t<decltype(member)>>(value);
  its.set |= bit(row.field);
  return *this;
}

namespace {

// Prints the messages about the environment once in a process, because all its runtimes read the
// same variables.
void print_messages(const EnvResult& environment) {
  static constinit base::Atomic<bool> has_printed{false};
  if (has_printed.exchange(true, base::kRelaxed)) return;
  for (const std::string& message : environment.messages) base::warn("%s", message.c_str());
  if (environment.values.help == Help::off) return;
  const std::string text = help_text();
  base::sys::write_stderr(text.data(), text.size());
  if (environment.values.help == Help::exit) std::exit(0);
}

}  // namespace

Builder::Builder(unsigned headers) : knobs_(std::make_unique<Knobs>()) {
  if (!ramie::detail::fits(headers, RAMIE_VERSION_NUMBER)) {
    base::fatal("this program was compiled with Ramie %u.%u.%u and runs with the library of Ramie "
                "%s: install the library of that version, or compile the program again",
                headers / 10000, headers / 100 % 100, headers % 100, RAMIE_VERSION);
  }
}
Builder::Builder(Builder&&) noexcept = default;
Builder& Builder::operator=(Builder&&) noexcept = default;
Builder::~Builder() = default;

Builder::Knobs& Builder::knobs() const noexcept {
  RAMIE_CHECK(knobs_ != nullptr,
              "this Builder was moved from: call the setter of the Builder that it was moved to");
  return *knobs_;
}

Builder& Builder::workers(std::size_t count) { return set<&Config::workers>(count); }
Builder& Builder::io_shards(std::size_t count) { return set<&Config::io_shards>(count); }
Builder& Builder::affinity(Affinity where) { return set<&Config::affinity>(where); }
Builder& Builder::event_interval(std::uint32_t switches) {
  return set<&Config::event_interval>(switches);
}
Builder& Builder::global_interval(std::uint32_t switches) {
  return set<&Config::global_interval>(switches);
}
Builder& Builder::budget(std::uint32_t operations) { return set<&Config::budget>(operations); }
Builder& Builder::lifo(std::uint32_t runs) { return set<&Config::lifo>(runs); }
Builder& Builder::spin(Time<std::chrono::microseconds> time) {
  return set<&Config::spin>(std::chrono::microseconds(time));
}
Builder& Builder::watch(Time<std::chrono::microseconds> bound) {
  return set<&Config::watch>(std::chrono::microseconds(bound));
}
Builder& Builder::notify_lazy(Time<std::chrono::microseconds> age) {
  return set<&Config::notify_lazy>(std::chrono::microseconds(age));
}
Builder& Builder::stack_size(std::size_t bytes) { return set<&Config::stack_size>(bytes); }
Builder& Builder::root_stack_size(std::size_t bytes) {
  return set<&Config::root_stack_size>(bytes);
}
Builder& Builder::stack_cache(std::size_t bytes) { return set<&Config::stack_cache>(bytes); }
Builder& Builder::blocking_threads(std::size_t limit) {
  return set<&Config::blocking_threads>(limit);
}
Builder& Builder::blocking_keepalive(Time<std::chrono::nanoseconds> time) {
  return set<&Config::blocking_keepalive>(std::chrono::nanoseconds(time));
}
Builder& Builder::drain_timeout(Time<std::chrono::nanoseconds> time) {
  return set<&Config::drain_timeout>(std::chrono::nanoseconds(time));
}
Builder& Builder::seed(std::uint64_t seed) { return set<&Config::seed>(seed); }
Builder& Builder::stall(Time<std::chrono::milliseconds> limit) {
  return set<&Config::stall_ms>(std::chrono::milliseconds(limit).count());
}
Builder& Builder::deadlock(Deadlock what) { return set<&Config::deadlock>(what); }
Builder& Builder::dump_signal(DumpSignal signal) { return set<&Config::dump_signal>(signal); }
Builder& Builder::io(IoBackend backend) { return set<&Config::io>(backend); }
Builder& Builder::files(FileBackend backend) { return set<&Config::fs>(backend); }
Builder& Builder::uring_entries(unsigned count) { return set<&Config::uring_entries>(count); }
Builder& Builder::chaos(std::uint64_t seed) { return set<&Config::chaos>(seed); }
Builder& Builder::checks(bool on) { return set<&Config::checks>(on ? Checks::on : Checks::off); }
Builder& Builder::abort_on_unhandled(bool on) {
  return set<&Config::unhandled>(on ? Unhandled::abort : Unhandled::report);
}
Builder& Builder::thread_name(std::string name) {
  knobs().hooks.thread_name = std::move(name);
  return *this;
}
Builder& Builder::on_thread_start(std::function<void()> hook) {
  knobs().hooks.on_thread_start = std::move(hook);
  return *this;
}
Builder& Builder::on_thread_stop(std::function<void()> hook) {
  knobs().hooks.on_thread_stop = std::move(hook);
  return *this;
}
Builder& Builder::process_wide(bool on) {
  knobs().hooks.is_process_wide = on;
  return *this;
}
Builder& Builder::environment_wins(bool on) {
  knobs().environment_wins = on;
  return *this;
}
Builder& Builder::ignore_environment(bool on) {
  knobs().ignores_environment = on;
  return *this;
}

Result<Runtime> Builder::build() try {
  const auto invalid = failure(std::make_error_code(std::errc::invalid_argument));
  if (knobs_ == nullptr) return failure(errc::spent);
  if (knobs_->is_invalid) return invalid;
  Config config = knobs_->config;
  if (!knobs_->ignores_environment) {
    const EnvResult environment = read_process_environment(config);
    print_messages(environment);
    if (environment.fatal) return invalid;
    config = environment.values;
    if (!knobs_->environment_wins) copy_fields(knobs_->set, knobs_->config, config);
  }
  auto state = RuntimeState::create(config, knobs_->hooks);
  if (!state) return failure(state.error());
  return Runtime(std::move(*state));
} catch (const std::bad_alloc&) {
  return failure(std::make_error_code(std::errc::not_enough_memory));
}

}  // namespace ramie::inline v0::runtime
