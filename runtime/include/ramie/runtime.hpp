// Build a runtime, run a function in it, and shut it down.
//
//   int main() {
//     return ramie::block_on([] { return serve(); });       // a runtime with the default settings
//   }
//
//   auto runtime = ramie::or_throw(ramie::runtime::Builder().workers(4).build());
//   runtime.block_on(serve);                               // a runtime with your own settings
#pragma once

#include <ramie/detail/clamped.hpp>
#include <ramie/result.hpp>
#include <ramie/task.hpp>
#include <ramie/version.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace ramie::inline v0 {
namespace runtime {

class RuntimeState;

/// A parameter that accepts any duration. A duration that is too long becomes the longest one.
template <class Unit>
using Time = ramie::detail::Clamped<Unit>;

/// Counters of a runtime, summed over its workers. They are exact when no fiber runs.
struct Metrics {
  std::size_t workers = 0;
  std::uint64_t spawned = 0, finished = 0;    // fibers and blocking jobs; the difference is alive
  std::uint64_t switches = 0;                 // a worker switched to a fiber
  std::uint64_t parks = 0, unparks = 0;       // a worker went to sleep, woke up
  std::uint64_t notified = 0;                 // of the unparks, those that another thread caused
  std::uint64_t wakes = 0;                    // a worker woke another worker
  std::uint64_t watches = 0;                  // the watcher slept for its whole interval
  std::uint64_t polls = 0;                    // a worker asked the driver for events
  std::uint64_t steals = 0, stolen = 0;       // successful attempts, fibers that they took
  std::uint64_t overflows = 0, injected = 0;  // a local queue was full; fibers from the injector
  std::uint64_t lifo_runs = 0, yields = 0;
  std::uint64_t io_registered = 0, io_deregistered = 0, io_ready = 0, io_stale = 0, io_unparks = 0;
  std::uint64_t timers = 0;  // pending now
  std::int64_t stacks = 0;   // in use now
  std::size_t blocking_threads = 0, blocking_queue = 0;
  std::uint64_t stalls = 0;  // reports of fibers that kept their worker (RAMIE_STALL_MS)
  std::uint64_t spins = 0;   // reports of fibers that loop over waits that all end at once
  // Waits that ended at once without a result: the fiber was cancelled, the channel closed, the
  // stream at its end, the socket in error. Millions in a second mean: a loop ignores an error.
  std::uint64_t fruitless_waits = 0;
  std::uint64_t deadlocks = 0;  // all fibers waited for each other
  // The watchdog repaired a lost wake-up. If it is not 0, Ramie has a bug. (With RAMIE_WATCH_US=0
  // it may be more than 0, because the watchdog then does the watcher's work.)
  std::uint64_t rescues = 0;
  std::size_t rings = 0;                                 // workers that use io_uring
  std::uint64_t uring_started = 0, uring_completed = 0;  // operations
  std::uint64_t uring_enters = 0;           // io_uring_enter calls, also those that slept
  std::uint64_t uring_cancels = 0;          // cancels that Ramie sent to the kernel
  std::uint64_t uring_queued = 0;           // operations that waited for room in a ring
  std::uint64_t fs_uring = 0, fs_pool = 0;  // file operations on a ring, file jobs on the pool
  int uring_refusal = 0;  // the errno that turned io_uring off for this process; 0: none
};

/// While it lives, its thread may use the runtime (spawn, bind, ...). Destroy the latest one first.
class [[nodiscard]] EnterGuard {
 public:
  RAMIE_API EnterGuard(EnterGuard&& other) noexcept;
  EnterGuard& operator=(EnterGuard&&) = delete;
  RAMIE_API ~EnterGuard();

 private:
  friend class Handle;
  RAMIE_API explicit EnterGuard(std::shared_ptr<RuntimeState> state) noexcept;
  std::shared_ptr<RuntimeState> state_;
  void* before_ = nullptr;
  void* own_ = nullptr;
};

class Runtime;

namespace detail {
// If F cannot be called, the result is void, so that the compiler reaches the static_assert in
// block_on_at(), which explains the mistake.
template <class F>
struct CallResultOf {
  using type = void;
};
template <class F>
  requires std::is_invocable_v<F>
struct CallResultOf<F> {
  using type = std::invoke_result_t<F>;
};
template <class F>
using CallResult = typename CallResultOf<F>::type;

template <class F>
CallResult<F> block_on_at(const Runtime& runtime, const void* spawned_at, F&& function);

RAMIE_API void check_may_block_on();
RAMIE_API void check_is_running(RuntimeState* state);  // throws runtime_gone, spent
RAMIE_API std::size_t root_stack_size(RuntimeState& state) noexcept;
RAMIE_API bool is_running(RuntimeState& state) noexcept;

// Makes a task that the runtime refused during its end fail with the same error as one after it.
template <class T>
JoinHandle<T> name_refusal(RuntimeState& state, JoinHandle<T> task) noexcept {
  if (task.is_joinable() || is_running(state)) return task;
  return JoinHandle<T>(nullptr, make_error_code(errc::runtime_gone));
}

// Marks this fiber as one that a block_on() waits for.
RAMIE_API void become_root() noexcept;
// Ends the runtime if it still runs. For a drain that did not end: a fiber does not return.
RAMIE_API void end_without_root(RuntimeState& state);
[[noreturn]] RAMIE_API void throw_root_error(RuntimeState& state, std::error_code error);

// The function of a block_on(). The fiber may outlive block_on(), so it owns the function, unless
// the caller passed an lvalue.
template <class F>
struct Root {
  using Kept =
      std::conditional_t<!std::is_lvalue_reference_v<F> && std::is_move_constructible_v<F>, F, F&>;
  explicit Root(std::remove_reference_t<F>& its) : function(static_cast<Kept&&>(its)) {}

  // Wraps the value, so that a Result that the function returns differs from a Result of join().
  using R = std::invoke_result_t<F>;
  struct Box {
    R value;
  };

  auto operator()() {
    become_root();
    if constexpr (std::is_void_v<R>) std::invoke(std::forward<F>(function));
    else return Box{std::invoke(std::forward<F>(function))};
  }

  Kept function;
};

template <class T>
T join_root(RuntimeState& state, JoinHandle<T> root) {
  auto ended = root.join();
  if (!ended && root.is_joinable()) {
    end_without_root(state);
    ended = root.join();
  }
  if (!ended) throw_root_error(state, ended.error());
  if constexpr (!std::is_void_v<T>) return *std::move(ended);
}
}  // namespace detail

/// A reference to a runtime. Copies are cheap. It does not keep the runtime running.
class Handle {
 public:
  /// Returns  the handle of the runtime that this fiber or thread is in. If there is none, it stops
  ///          the program with a message.
  RAMIE_API static Handle current();
  /// Returns  the same, or nothing if this fiber or thread is in no runtime.
  RAMIE_API static std::optional<Handle> try_current() noexcept;

  Handle(const Handle&) noexcept = default;  // also moves: a moved-from Handle works
  Handle& operator=(const Handle&) noexcept = default;
  ~Handle() = default;

  /// ramie::spawn() into this runtime, from any thread. After its shutdown has begun, join()
  /// returns runtime_gone.
  template <ramie::detail::NoOptions F, class... Args>
  [[nodiscard, gnu::noinline]] auto spawn(F&& function, Args&&... arguments) const {
    return spawn_at(Where::fiber, {}, __builtin_return_address(0), std::forward<F>(function),
                    std::forward<Args>(arguments)...);
  }
  template <class F, class... Args>
  [[nodiscard, gnu::noinline]] auto spawn(const SpawnOptions& options, F&& function,
                                          Args&&... arguments) const {
    return spawn_at(Where::fiber, options, __builtin_return_address(0), std::forward<F>(function),
                    std::forward<Args>(arguments)...);
  }
  template <ramie::detail::NoOptions F, class... Args>
  [[nodiscard, gnu::noinline]] auto spawn_blocking(F&& function, Args&&... arguments) const {
    return spawn_at(Where::blocking, {}, __builtin_return_address(0), std::forward<F>(function),
                    std::forward<Args>(arguments)...);
  }
  template <class F, class... Args>
  [[nodiscard, gnu::noinline]] auto spawn_blocking(const SpawnOptions& options, F&& function,
                                                   Args&&... arguments) const {
    return spawn_at(Where::blocking, options, __builtin_return_address(0),
                    std::forward<F>(function), std::forward<Args>(arguments)...);
  }

  /// Runs `function()` in a fiber of this runtime with a large stack, and waits for it.
  /// Returns  the result of `function`; it throws what `function` throws.
  /// Errors   throws std::system_error: runtime_gone after the runtime has ended, if its end left
  ///          the function behind, and in a forked child; the error of spawn() if the fiber did not
  ///          start.
  /// Blocks   this thread. Inside a fiber it stops the program with a message.
  /// Threads  plain threads, several at a time.
  /// Cancel   a shutdown of the runtime ends the waits of `function`.
  template <class F>
  [[gnu::noinline]] detail::CallResult<F> block_on(F&& function) const {
    return block_on_at(__builtin_return_address(0), std::forward<F>(function));
  }

  /// Makes this thread a guest of the runtime while the guard lives.
  /// Threads  plain threads. Inside a fiber it stops the program with a message: the fiber may move
  ///          to another thread, and the guard would stay behind.
  RAMIE_API EnterGuard enter() const noexcept;
  /// Returns  the counters; the last ones if the runtime has ended; all 0 in a forked child.
  RAMIE_API Metrics metrics() const;

  /// Describes every fiber: id, name, state, what it waits for and since when, where it was
  /// spawned, and its stack. Fibers with the same stack form a group. The format is for people and
  /// may change. Other fibers go on; a parked fiber cannot run while the dump reads its stack. For
  /// the stack of a running fiber the dump interrupts its worker with SIGURG.
  /// Returns  the text; empty after the runtime has ended.
  /// Errors   throws std::bad_alloc.
  /// Blocks   this thread; the first call takes longer, because it reads the program's symbols. In
  ///          a fiber, call it through spawn_blocking().
  RAMIE_API std::string dump() const;

 private:
  friend class Runtime;
  using Where = ramie::detail::Where;
  explicit Handle(std::shared_ptr<RuntimeState> state) noexcept : state_(std::move(state)) {}

  // `site` is the address of the user's call (see ramie::detail::spawn_at).
  template <class F, class... Args>
  auto spawn_at(Where where, const SpawnOptions& options, const void* spawned_at, F&& function,
                Args&&... arguments) const {
    using Joined = JoinHandle<ramie::detail::SpawnResult<F, Args...>>;
    if (state_ == nullptr) return Joined(nullptr, errc::spent);
    if (!detail::is_running(*state_)) return Joined(nullptr, errc::runtime_gone);
    const EnterGuard entered(state_);
    return detail::name_refusal(
        *state_, ramie::detail::spawn_at(where, options, spawned_at, std::forward<F>(function),
                                         std::forward<Args>(arguments)...));
  }
  template <class F>
  detail::CallResult<F> block_on_at(const void* spawned_at, F&& function) const {
    static_assert(std::is_invocable_v<F>,
                  "block_on: pass a function without parameters: block_on([&] { ... })");
    if constexpr (std::is_invocable_v<F>) {
      detail::check_may_block_on();
      detail::check_is_running(state_.get());
      auto entered = enter();
      SpawnOptions options;
      options.name = "block_on";
      options.stack_size = detail::root_stack_size(*state_);
      using Root = detail::Root<F>;
      auto root = ramie::detail::spawn_at(Where::fiber, options, spawned_at, Root(function));
      if constexpr (std::is_void_v<std::invoke_result_t<F>>)
        detail::join_root(*state_, std::move(root));
      else return detail::join_root(*state_, std::move(root)).value;
    }
  }

  std::shared_ptr<RuntimeState> state_;
};

/// Owns a runtime. The destructor shuts it down with RAMIE_DRAIN_TIMEOUT as the deadline. A Runtime
/// that was moved from owns none: spawn() and block_on() fail with `spent`, metrics() and dump()
/// are empty, and enter() stops the program with a message.
class Runtime {
 public:
  RAMIE_API Runtime(Runtime&& other) noexcept;
  RAMIE_API Runtime& operator=(Runtime&& other) noexcept;
  RAMIE_API ~Runtime();

  const Handle& handle() const noexcept { return handle_; }
  // These work as in Handle.
  template <class F>
  [[gnu::noinline]] detail::CallResult<F> block_on(F&& function) const {
    return block_on_at(__builtin_return_address(0), std::forward<F>(function));
  }
  template <ramie::detail::NoOptions F, class... Args>
  [[nodiscard, gnu::noinline]] auto spawn(F&& function, Args&&... arguments) const {
    return handle_.spawn_at(Handle::Where::fiber, {}, __builtin_return_address(0),
                            std::forward<F>(function), std::forward<Args>(arguments)...);
  }
  template <class F, class... Args>
  [[nodiscard, gnu::noinline]] auto spawn(const SpawnOptions& options, F&& function,
                                          Args&&... arguments) const {
    return handle_.spawn_at(Handle::Where::fiber, options, __builtin_return_address(0),
                            std::forward<F>(function), std::forward<Args>(arguments)...);
  }
  EnterGuard enter() const noexcept { return handle_.enter(); }
  Metrics metrics() const { return handle_.metrics(); }

  /// Cancels every fiber, so that its waits return `shutting_down`, and waits until all fibers have
  /// run to their end, for at most `deadline`. Ramie leaks the stacks and threads of the fibers
  /// that are left, on purpose; a join() of such a fiber returns runtime_gone.
  /// Returns  one line for each fiber or blocking call that is left; empty if all ended.
  /// Blocks   this thread. Inside a fiber of this runtime it stops the program with a message.
  /// Threads  any; a second call waits until the first one has ended the runtime.
  RAMIE_API std::vector<std::string> shutdown(Time<std::chrono::nanoseconds> deadline);

 private:
  friend class Builder;
  template <class F>
  friend detail::CallResult<F> detail::block_on_at(const Runtime& runtime, const void* spawned_at,
                                                   F&& function);
  template <class F>
  detail::CallResult<F> block_on_at(const void* spawned_at, F&& function) const {
    return handle_.block_on_at(spawned_at, std::forward<F>(function));
  }
  explicit Runtime(std::shared_ptr<RuntimeState> state) noexcept : handle_(std::move(state)) {}

  Handle handle_;
};

namespace detail {
template <class F>
CallResult<F> block_on_at(const Runtime& runtime, const void* spawned_at, F&& function) {
  return runtime.block_on_at(spawned_at, std::forward<F>(function));
}
}  // namespace detail

/// On which CPUs the workers run. Ramie uses the affinity mask of the thread that calls build(). A
/// thread or process that a fiber starts inherits the CPU of its worker; the threads of
/// spawn_blocking() do not.
enum class Affinity : std::uint8_t {
  none,    // the kernel decides
  spread,  // each worker has its own CPU, as far apart as their numbers allow
  compact  // each worker has its own CPU, the first ones of the mask
};

/// What Ramie does when all fibers wait for each other and no timer, descriptor, signal or thread
/// of the process can wake them. `report` prints a dump and a message; `abort` then aborts the
/// program.
enum class Deadlock : std::uint8_t { off, report, abort };

/// The signal that prints a dump to stderr. It does so only if its disposition is the default when
/// the runtime is built (or if the program's parent started it with the signal ignored), and until
/// the program opens the signal as a signal::Signal.
enum class DumpSignal : std::uint8_t { none, quit, usr1, usr2 };

/// Whether files and uring::submit() use io_uring. `automatic`: if the kernel allows it. `epoll`:
/// never, unless FileBackend::uring asks for it. `uring`: as `automatic`, but build() fails if it
/// is not available. Sockets always use epoll.
enum class IoBackend : std::uint8_t { automatic, epoll, uring };

/// Where file operations run that the kernel cannot answer from its caches. `automatic`: on
/// io_uring if it is available, else on the blocking pool. `uring`: on io_uring; build() fails if
/// it is not available. `pool`: on the blocking pool.
enum class FileBackend : std::uint8_t { automatic, uring, pool };

/// Sets the knobs of a runtime and builds it.
///
/// A value that the code sets wins over the environment variable that each setter names, and the
/// variable wins over the automatic choice; environment_wins(true) exchanges the first two. If a
/// value is outside the range of its variable (docs/environment.md), build() returns
/// invalid_argument; only a stack size below the range becomes the smallest one.
class Builder {
 public:
  /// Stops the program with a message if the library has another version than these headers, unless
  /// only its patch version is higher (version.hpp).
  Builder() : Builder(RAMIE_VERSION_NUMBER) {}
  RAMIE_API Builder(Builder&&) noexcept;
  RAMIE_API Builder& operator=(Builder&&) noexcept;
  RAMIE_API ~Builder();

  // --- workers

  /// The number of worker threads. Default: the CPUs that the process may use (RAMIE_WORKERS).
  RAMIE_API Builder& workers(std::size_t count);
  /// The CPUs on which the workers run. Default: Affinity::none (RAMIE_AFFINITY).
  RAMIE_API Builder& affinity(Affinity where);
  /// The number of epoll instances. Default: one for every 8 workers (RAMIE_IO_SHARDS).
  RAMIE_API Builder& io_shards(std::size_t count);
  /// Names the worker threads `name-0`, `name-1`, ...; at most 11 bytes. Default: "ramie".
  RAMIE_API Builder& thread_name(std::string name);
  /// Each worker thread calls `hook` when it starts. Default: no hook.
  RAMIE_API Builder& on_thread_start(std::function<void()> hook);
  /// Each worker thread calls `hook` before it ends. Default: no hook.
  RAMIE_API Builder& on_thread_stop(std::function<void()> hook);

  // --- scheduling: the order of fibers, and when a worker sleeps

  /// A busy worker checks I/O events and timers after this many fiber switches. Default: 61
  /// (RAMIE_EVENT_INTERVAL).
  RAMIE_API Builder& event_interval(std::uint32_t switches);
  /// A busy worker takes a fiber from the shared injection queue after this many switches. Default:
  /// automatic (RAMIE_GLOBAL_INTERVAL).
  RAMIE_API Builder& global_interval(std::uint32_t switches);
  /// A fiber yields after it has completed this many operations without waiting; 0: only after
  /// about 100 us. Default: 128 (RAMIE_BUDGET).
  RAMIE_API Builder& budget(std::uint32_t operations);
  /// The most fibers that a worker runs in a row from its last-in slot. Default: 3 (RAMIE_LIFO).
  RAMIE_API Builder& lifo(std::uint32_t runs);
  /// How long an idle worker polls before it sleeps. Default: it does not poll (RAMIE_SPIN_US).
  RAMIE_API Builder& spin(Time<std::chrono::microseconds> time);
  /// While some workers run fibers, one sleeping worker wakes at this interval and looks for
  /// unattended fibers and I/O; 0: none does. Default: 500 us (RAMIE_WATCH_US).
  RAMIE_API Builder& watch(Time<std::chrono::microseconds> bound);
  /// A worker wakes another one when a fiber has waited in its queue for this time. 0: at once.
  /// Default: automatic (RAMIE_NOTIFY_LAZY_US).
  RAMIE_API Builder& notify_lazy(Time<std::chrono::microseconds> age);
  /// The seed of the scheduler's random choices. Default: random (RAMIE_SEED).
  RAMIE_API Builder& seed(std::uint64_t seed);

  // --- stacks

  /// The address space of a fiber's stack, in bytes. Default: 256 KiB (RAMIE_STACK_SIZE).
  RAMIE_API Builder& stack_size(std::size_t bytes);
  /// The same for the stack of block_on(). Default: 1 MiB (RAMIE_ROOT_STACK_SIZE).
  RAMIE_API Builder& root_stack_size(std::size_t bytes);
  /// The most bytes of free stacks that Ramie keeps for reuse. Default: 64 MiB (RAMIE_STACK_CACHE).
  RAMIE_API Builder& stack_cache(std::size_t bytes);

  // --- blocking calls and I/O

  /// The most threads for spawn_blocking(). Default: 512 (RAMIE_BLOCKING_THREADS).
  RAMIE_API Builder& blocking_threads(std::size_t limit);
  /// An idle thread of that pool ends after this time. Default: 10 s (RAMIE_BLOCKING_KEEPALIVE).
  RAMIE_API Builder& blocking_keepalive(Time<std::chrono::nanoseconds> time);
  /// Default: IoBackend::automatic (RAMIE_IO).
  RAMIE_API Builder& io(IoBackend backend);
  /// Default: FileBackend::automatic (RAMIE_FS).
  RAMIE_API Builder& files(FileBackend backend);
  /// The number of submissions in a worker's ring. Default: 256 (RAMIE_URING_ENTRIES).
  RAMIE_API Builder& uring_entries(unsigned count);

  // --- shutdown and errors

  /// How long the end of a runtime waits for fibers to end. Default: 30 s (RAMIE_DRAIN_TIMEOUT).
  RAMIE_API Builder& drain_timeout(Time<std::chrono::nanoseconds> time);
  /// With `true`, an exception that no join() takes aborts the program: at the throw if the fiber
  /// was detached before it began, else where Ramie prints it. Default: false (RAMIE_UNHANDLED).
  RAMIE_API Builder& abort_on_unhandled(bool on);

  // --- finding bugs

  /// Ramie reports a fiber on stderr that keeps its worker for this time; 0: it reports none.
  /// Default: 1 s (RAMIE_STALL_MS).
  RAMIE_API Builder& stall(Time<std::chrono::milliseconds> limit);
  /// Default: Deadlock::report (RAMIE_DEADLOCK).
  RAMIE_API Builder& deadlock(Deadlock what);
  /// Default: DumpSignal::quit (RAMIE_DUMP_SIGNAL).
  RAMIE_API Builder& dump_signal(DumpSignal signal);
  /// A test mode that makes rare orders, full queues, small budgets and delays frequent. Default:
  /// off (RAMIE_CHAOS).
  RAMIE_API Builder& chaos(std::uint64_t seed);
  /// With `true`, a fiber that waits while it holds a std::mutex, in the initializer of a static or
  /// in a signal handler stops the program with a message and both stacks. Locks and waits then
  /// cost microseconds. It stays on for all runtimes of the process. Default: only in builds of
  /// Ramie with assertions (RAMIE_CHECKS).
  RAMIE_API Builder& checks(bool on);

  // --- the process and its environment

  /// With `false`, Ramie changes nothing that belongs to the whole process: signal dispositions,
  /// alternate stacks, and closed standard descriptors, which it otherwise opens on /dev/null. Then
  /// signal::* returns `unsupported`, a stack overflow is a plain SIGSEGV, and a dump has no stacks
  /// of running fibers. Default: true.
  RAMIE_API Builder& process_wide(bool on);
  /// With `true`, the environment wins over the code. Default: false.
  RAMIE_API Builder& environment_wins(bool on);
  /// With `true`, Ramie reads no RAMIE_* variable; for tests. Default: false.
  RAMIE_API Builder& ignore_environment(bool on);

  /// Builds the runtime and starts its workers.
  /// Errors   invalid_argument: a knob is out of range, or RAMIE_STRICT is on and a variable is
  ///          bad; the errors of epoll, eventfd and thread creation; the error of io_uring if the
  ///          backend must be io_uring; not_enough_memory. After an error nothing is left behind.
  [[nodiscard]] RAMIE_API Result<Runtime> build();

 private:
  struct Knobs;
  RAMIE_API explicit Builder(unsigned headers);  // the version that the program was compiled with
  Knobs& knobs() const noexcept;  // stops the program if the builder was moved from
  template <auto Member, class V>
  Builder& set(V value);
  std::unique_ptr<Knobs> knobs_;
};

/// Runs `function()` in a new runtime with the settings of the environment. A server calls it in
/// main(). After the function has returned, it cancels the detached fibers, waits for them up to
/// RAMIE_DRAIN_TIMEOUT, and names those that are left on stderr.
/// Returns  the result of `function`; it throws what `function` throws.
/// Errors   throws std::system_error if it cannot build the runtime.
/// Blocks   this thread. Inside a fiber it stops the program with a message.
/// Threads  plain threads.
template <class F>
[[gnu::noinline]] detail::CallResult<F> block_on(F&& function) {
  detail::check_may_block_on();
  const Runtime runtime = or_throw(Builder().build());
  return detail::block_on_at(runtime, __builtin_return_address(0), std::forward<F>(function));
}

}  // namespace runtime

using runtime::block_on;

}  // namespace ramie::inline v0
