// Builder: merges code, environment and automatic choice.
#include <ramie/runtime.hpp>

#include "runtime/config.hpp"
#include "runtime/config_table.hpp"
#include "runtime/state.hpp"
#include "sched/base/assert.hpp"
#include "sched/base/atomic.hpp"
#include "sched/base/sys.hpp"

#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>

namespace ramie {
inline namespace v0 {
namespace runtime {

namespace {

// `value` in the unit of the row: counts, bytes, micro- or nanoseconds. A stack may be asked for
// too small: it gets the least that there is.
template <class V>
bool is_in_range(const Row& row, V value) {
  if constexpr (std::is_enum_v<V>) {
    return true;
  } else if constexpr (requires { value.count(); }) {
    return is_in_range(row, value.count());
  } else {
    if (std::cmp_less(value, 0) || std::cmp_greater(value, row.max)) return false;
    const bool may_be_less = row.kind == Kind::stack || (row.zero_is_off && value == 0);
    return may_be_less || std::cmp_greater_equal(value, row.min);
  }
}

}  // namespace

struct Builder::Knobs {
  Config config;
  std::uint32_t set = 0;  // bit(field) of what the code asked for
  RuntimeState::Hooks hooks;
  bool environment_wins = false;
  bool ignores_environment = false;
  bool is_invalid = false;

  // What is out of its variable's range makes build() fail, whatever the cast would make of it.
  template <class T, class V>
  void put(T Config::* member, V value, Field field) {
    is_invalid |= !is_in_range(row_of(field), value);
    config.*member = static_cast<T>(value);
    set |= bit(field);
  }
};

namespace {

// Says what the environment's reader had to say, once a process: several runtimes read the same
// variables.
void print_messages(const EnvResult& environment) {
  static constinit base::Atomic<bool> has_printed{false};
  if (has_printed.exchange(true, base::kRelaxed)) return;
  for (const std::string& message : environment.messages) base::warn("%s", message.c_str());
  if (environment.help == Help::off) return;
  const std::string text = help_text();
  base::sys::write_stderr(text.data(), text.size());
  if (environment.help == Help::exit) std::exit(0);
}

}  // namespace

Builder::Builder() : knobs_(std::make_unique<Knobs>()) {}
Builder::Builder(Builder&&) noexcept = default;
Builder& Builder::operator=(Builder&&) noexcept = default;
Builder::~Builder() = default;

Builder::Knobs& Builder::knobs() const noexcept {
  RAMIE_CHECK(knobs_ != nullptr,
              "a knob of a Builder that was moved from: set it on the one that it was moved to");
  return *knobs_;
}

Builder& Builder::workers(std::size_t count) {
  knobs().put(&Config::workers, count, Field::workers);
  return *this;
}
Builder& Builder::io_shards(std::size_t count) {
  knobs().put(&Config::io_shards, count, Field::io_shards);
  return *this;
}
Builder& Builder::affinity(Affinity where) {
  knobs().put(&Config::affinity, where, Field::affinity);
  return *this;
}
Builder& Builder::event_interval(std::uint32_t switches) {
  knobs().put(&Config::event_interval, switches, Field::event_interval);
  return *this;
}
Builder& Builder::global_interval(std::uint32_t switches) {
  knobs().put(&Config::global_interval, switches, Field::global_interval);
  return *this;
}
Builder& Builder::budget(std::uint32_t operations) {
  knobs().put(&Config::budget, operations, Field::budget);
  return *this;
}
Builder& Builder::lifo(std::uint32_t runs) {
  knobs().put(&Config::lifo, runs, Field::lifo);
  return *this;
}
Builder& Builder::spin(Time<std::chrono::microseconds> time) {
  knobs().put(&Config::spin, std::chrono::microseconds(time), Field::spin);
  return *this;
}
Builder& Builder::watch(Time<std::chrono::microseconds> bound) {
  knobs().put(&Config::watch, std::chrono::microseconds(bound), Field::watch);
  return *this;
}
Builder& Builder::notify_lazy(Time<std::chrono::microseconds> age) {
  knobs().put(&Config::notify_lazy, std::chrono::microseconds(age), Field::notify_lazy);
  return *this;
}
Builder& Builder::stack_size(std::size_t bytes) {
  knobs().put(&Config::stack_size, bytes, Field::stack_size);
  return *this;
}
Builder& Builder::root_stack_size(std::size_t bytes) {
  knobs().put(&Config::root_stack_size, bytes, Field::root_stack_size);
  return *this;
}
Builder& Builder::stack_cache(std::size_t bytes) {
  knobs().put(&Config::stack_cache, bytes, Field::stack_cache);
  return *this;
}
Builder& Builder::blocking_threads(std::size_t limit) {
  knobs().put(&Config::blocking_threads, limit, Field::blocking_threads);
  return *this;
}
Builder& Builder::blocking_keepalive(Time<std::chrono::nanoseconds> time) {
  knobs().put(&Config::blocking_keepalive, std::chrono::nanoseconds(time),
              Field::blocking_keepalive);
  return *this;
}
Builder& Builder::drain_timeout(Time<std::chrono::nanoseconds> time) {
  knobs().put(&Config::drain_timeout, std::chrono::nanoseconds(time), Field::drain_timeout);
  return *this;
}
Builder& Builder::seed(std::uint64_t seed) {
  knobs().put(&Config::seed, seed, Field::seed);
  return *this;
}
Builder& Builder::stall(Time<std::chrono::milliseconds> limit) {
  knobs().put(&Config::stall_ms, std::chrono::milliseconds(limit).count(), Field::stall_ms);
  return *this;
}
Builder& Builder::deadlock(Deadlock what) {
  knobs().put(&Config::deadlock, what, Field::deadlock);
  return *this;
}
Builder& Builder::dump_signal(DumpSignal signal) {
  knobs().put(&Config::dump_signal, signal, Field::dump_signal);
  return *this;
}
Builder& Builder::io(IoBackend backend) {
  knobs().put(&Config::io, backend, Field::io);
  return *this;
}
Builder& Builder::files(FileBackend backend) {
  knobs().put(&Config::fs, backend, Field::fs);
  return *this;
}
Builder& Builder::uring_entries(unsigned count) {
  knobs().put(&Config::uring_entries, count, Field::uring_entries);
  return *this;
}
Builder& Builder::chaos(std::uint64_t seed) {
  knobs().put(&Config::chaos, seed, Field::chaos);
  return *this;
}
Builder& Builder::checks(bool on) {
  knobs().put(&Config::checks, on ? Checks::on : Checks::off, Field::checks);
  return *this;
}
Builder& Builder::abort_on_unhandled(bool on) {
  knobs().put(&Config::unhandled, on ? Unhandled::abort : Unhandled::report, Field::unhandled);
  return *this;
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

}  // namespace runtime
}  // namespace v0
}  // namespace ramie
