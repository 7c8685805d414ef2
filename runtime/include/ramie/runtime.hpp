// The runtime: build one, run a function in it, end it.
#pragma once

#include <ramie/detail/clamped.hpp>
#include <ramie/result.hpp>
#include <ramie/task.hpp>

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

namespace ramie {
inline namespace v0 {
namespace runtime {

class RuntimeState;

/// A parameter that takes any duration; what is too long to count becomes the longest.
template <class Unit>
using Time = ramie::detail::Clamped<Unit>;

/// Figures of a running runtime; sums over its workers, exact when nothing runs.
struct Metrics {
  std::size_t workers = 0;
  std::uint64_t spawned = 0, finished = 0;    // fibers and blocking jobs; the difference is alive
  std::uint64_t switches = 0;                 // fibers switched in
  std::uint64_t parks = 0, unparks = 0;       // sleeps of workers
  std::uint64_t notified = 0;                 // of these, ended by another thread
  std::uint64_t wakes = 0;                    // wake-ups of one worker by another
  std::uint64_t watches = 0;                  // bounded sleeps of the watcher that ran out
  std::uint64_t polls = 0;                    // looks at the driver
  std::uint64_t steals = 0, stolen = 0;       // successful attempts, fibers taken
  std::uint64_t overflows = 0, injected = 0;  // full local queues, fibers taken from the injector
  std::uint64_t lifo_runs = 0, yields = 0;
  std::uint64_t io_registered = 0, io_deregistered = 0, io_ready = 0, io_stale = 0, io_unparks = 0;
  std::uint64_t timers = 0;  // in the wheels now
  std::int64_t stacks = 0;   // in use now
  std::size_t blocking_threads = 0, blocking_queue = 0;
  std::uint64_t stalls = 0;  // reports of fibers that kept their worker (RAMIE_STALL_MS)
  std::uint64_t spins = 0;   // reports of fibers that pass through waits of which none waits
  // Waits that ended at once and brought nothing: refused to a cancelled fiber, a closed channel,
  // the end of a stream, an error of a socket. Millions a second: a loop ignores an error.
  std::uint64_t fruitless_waits = 0;
  std::uint64_t deadlocks = 0;  // times that all fibers waited for each other
  // Wake-ups that were lost and that the watchdog mended: not 0 is a bug of Ramie, unless
  // RAMIE_WATCH_US=0, where that is its duty.
  std::uint64_t rescues = 0;
  std::size_t rings = 0;                                 // workers that use io_uring
  std::uint64_t uring_started = 0, uring_completed = 0;  // operations
  std::uint64_t uring_enters = 0;           // system calls for them, and for sleeping in a ring
  std::uint64_t uring_cancels = 0;          // asked of the kernel
  std::uint64_t uring_queued = 0;           // operations that had to wait for room in a ring
  std::uint64_t fs_uring = 0, fs_pool = 0;  // file operations by ring, jobs for files in the pool
  int uring_refusal = 0;  // the errno that turned io_uring off for this process; 0: none so far
};

/// Lets a plain thread use the runtime (spawn, bind, ...) while it lives. End the latest first.
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
// What is no call gets a result all the same, so that the compiler comes to block_on()'s sentence.
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

// A task that was refused because the runtime ends says what one after the end says.
template <class T>
JoinHandle<T> name_refusal(RuntimeState& state, JoinHandle<T> task) noexcept {
  if (task.is_joinable() || is_running(state)) return task;
  return JoinHandle<T>(nullptr, make_error_code(errc::runtime_gone));
}

// This fiber is one that a block_on() waits for.
RAMIE_API void become_root() noexcept;
// Ends the runtime, if nobody did: a fiber of it does not end although it was drained.
RAMIE_API void end_without_root(RuntimeState& state);
[[noreturn]] RAMIE_API void throw_root_error(RuntimeState& state, std::error_code error);

// The function of a block_on(). The fiber may be left behind and block_on() gone, so it has one of
// its own, unless the caller has named it.
template <class F>
struct Root {
  using Kept =
      std::conditional_t<!std::is_lvalue_reference_v<F> && std::is_move_constructible_v<F>, F, F&>;
  explicit Root(std::remove_reference_t<F>& its) : function(static_cast<Kept&&>(its)) {}

  // Wrapped, so that a Result which the function returns is not confused with one of join().
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

/// A reference to a runtime, to be copied freely; it does not keep the runtime running.
class Handle {
 public:
  /// The runtime that this fiber or thread is in.
  /// Returns  its handle; stops the program with a message if there is none (see try_current()).
  /// Errors   none.
  /// Blocks   never.
  /// Threads  any.
  /// Cancel   not a wait.
  RAMIE_API static Handle current();
  RAMIE_API static std::optional<Handle> try_current() noexcept;

  Handle(const Handle&) noexcept = default;  // no move: one that was moved from is as good as new
  Handle& operator=(const Handle&) noexcept = default;
  ~Handle() = default;

  /// ramie::spawn() into this runtime, from any thread; join() says runtime_gone once its shutdown
  /// has begun.
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
  /// Returns  what `function` returned; throws what it threw, or std::system_error if it could not
  ///          be started.
  /// Errors   see above; runtime_gone once the runtime has ended or its end has left the function
  ///          behind, and in a forked child.
  /// Blocks   this thread. Inside a fiber the program stops with a message.
  /// Threads  any plain thread, several at a time.
  /// Cancel   shutdown of the runtime ends the waits inside.
  template <class F>
  [[gnu::noinline]] detail::CallResult<F> block_on(F&& function) const {
    return block_on_at(__builtin_return_address(0), std::forward<F>(function));
  }

  /// Inside a fiber the program stops with a message: the guard would stay with the thread.
  RAMIE_API EnterGuard enter() const noexcept;
  /// Of an ended runtime the last figures; in a forked child none.
  RAMIE_API Metrics metrics() const;

  /// What every fiber does: id, name, state, what it waits for and since when, where it was
  /// spawned, its stack; fibers with the same stack stand together. The format is for people and
  /// may change. Fibers go on meanwhile; a parked one is kept from running while its own stack
  /// is read. A worker that runs a fiber is interrupted by SIGURG for that fiber's stack.
  /// Returns  the text; empty once the runtime has ended.
  /// Errors   throws std::bad_alloc.
  /// Blocks   this thread: the first time for a while, since it reads the program's symbols. In a
  ///          fiber: call it in spawn_blocking().
  /// Threads  any.
  /// Cancel   not a wait.
  RAMIE_API std::string dump() const;

 private:
  friend class Runtime;
  using Where = ramie::detail::Where;
  explicit Handle(std::shared_ptr<RuntimeState> state) noexcept : state_(std::move(state)) {}

  // The site is where the user called (see ramie::detail::spawn_at).
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

/// A runtime. Destroying it ends it as shutdown() does, with RAMIE_DRAIN_TIMEOUT. One that was
/// moved from has none: spawn() and block_on() say `spent`, metrics() and dump() are empty, enter()
/// stops the program with a message.
class Runtime {
 public:
  RAMIE_API Runtime(Runtime&& other) noexcept;
  RAMIE_API Runtime& operator=(Runtime&& other) noexcept;
  RAMIE_API ~Runtime();

  const Handle& handle() const noexcept { return handle_; }
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

  /// Cancels every fiber (their waits return `shutting_down`) and waits until all have run to their
  /// end, at most `deadline`. Fibers that are left after that are named, and their stacks and
  /// threads leaked on purpose; joins of them say runtime_gone.
  /// Returns  the stragglers, one line each; empty if all ended.
  /// Errors   none.
  /// Blocks   this thread. Inside a fiber of this runtime the program stops with a message.
  /// Threads  any; a second one waits until the first has ended the runtime.
  /// Cancel   not a wait.
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

/// Where the workers run. The CPUs are those of the affinity mask of the thread that builds. A
/// thread or process that a fiber starts itself inherits its worker's CPU; spawn_blocking's do not.
enum class Affinity : std::uint8_t {
  none,    // where the kernel puts them
  spread,  // each on a CPU of its own, as far apart as their numbers allow
  compact  // each on a CPU of its own, the first ones
};

/// What happens when all fibers wait for each other, and no timer, descriptor, signal or thread of
/// the process can wake them. `report`: a dump and a message; `abort`: the end of the program, too.
enum class Deadlock : std::uint8_t { off, report, abort };

/// Which signal prints a dump to stderr: only if its disposition is the default when the runtime is
/// built (or what the program's parent ignored in its name), and until the program opens that
/// signal as a signal::Signal.
enum class DumpSignal : std::uint8_t { none, quit, usr1, usr2 };

/// What carries I/O. `automatic`: sockets by epoll, files by io_uring where the kernel allows it;
/// `epoll`: no io_uring, unless FileBackend::uring asks for it; `uring`: receives that must wait,
/// too.
enum class IoBackend : std::uint8_t { automatic, epoll, uring };

/// Where file operations run: io_uring if it is there, io_uring or an error from build(), the
/// blocking pool.
enum class FileBackend : std::uint8_t { automatic, uring, pool };

/// Every knob of a runtime. What the code sets wins over the environment (RAMIE_*), which wins over
/// the automatic choice; environment_wins(true) exchanges the first two. The ranges are those of
/// the variables (docs/environment.md): outside of them build() says invalid_argument; only a stack
/// may be asked for too small, and is the smallest then.
class Builder {
 public:
  RAMIE_API Builder();
  RAMIE_API Builder(Builder&&) noexcept;
  RAMIE_API Builder& operator=(Builder&&) noexcept;
  RAMIE_API ~Builder();

  RAMIE_API Builder& workers(std::size_t count);
  RAMIE_API Builder& affinity(Affinity where);
  RAMIE_API Builder& io_shards(std::size_t count);
  RAMIE_API Builder& event_interval(std::uint32_t switches);
  RAMIE_API Builder& global_interval(std::uint32_t switches);
  RAMIE_API Builder& budget(std::uint32_t operations);
  RAMIE_API Builder& lifo(std::uint32_t runs);
  RAMIE_API Builder& spin(Time<std::chrono::microseconds> time);
  RAMIE_API Builder& watch(Time<std::chrono::microseconds> bound);
  RAMIE_API Builder& notify_lazy(Time<std::chrono::microseconds> age);
  RAMIE_API Builder& stack_size(std::size_t bytes);
  RAMIE_API Builder& root_stack_size(std::size_t bytes);
  RAMIE_API Builder& stack_cache(std::size_t bytes);
  RAMIE_API Builder& blocking_threads(std::size_t limit);
  RAMIE_API Builder& blocking_keepalive(Time<std::chrono::nanoseconds> time);
  RAMIE_API Builder& drain_timeout(Time<std::chrono::nanoseconds> time);
  RAMIE_API Builder& seed(std::uint64_t seed);
  /// A fiber that keeps its worker so long is reported on stderr with its stack; 0: none is.
  RAMIE_API Builder& stall(Time<std::chrono::milliseconds> limit);
  RAMIE_API Builder& deadlock(Deadlock what);
  RAMIE_API Builder& dump_signal(DumpSignal signal);
  RAMIE_API Builder& io(IoBackend backend);
  RAMIE_API Builder& files(FileBackend backend);
  /// Submissions that a worker's io_uring holds: 8 to 32768.
  RAMIE_API Builder& uring_entries(unsigned count);
  /// Test mode: orders, queues, budgets and delays that would be rare, all the time (RAMIE_CHAOS).
  RAMIE_API Builder& chaos(std::uint64_t seed);
  /// A fiber that waits while it holds a std::mutex, in the initialiser of a static or in a signal
  /// handler stops the program with a message and both stacks (RAMIE_CHECKS). Locks and waits then
  /// cost microseconds. Once on, it stays on for all runtimes of the process.
  RAMIE_API Builder& checks(bool on);
  /// An exception that nobody joins stops the program instead of being reported: where it is thrown
  /// if the fiber was detached before it began, else where it would be reported.
  RAMIE_API Builder& abort_on_unhandled(bool on);
  /// Names the worker threads `name-0`, `name-1`, ...; at most 11 bytes.
  RAMIE_API Builder& thread_name(std::string name);
  RAMIE_API Builder& on_thread_start(std::function<void()> hook);
  RAMIE_API Builder& on_thread_stop(std::function<void()> hook);
  /// Signal dispositions and alternate stacks are left alone; signal::* then says `unsupported`, a
  /// stack overflow is a plain SIGSEGV, dumps have no stacks of fibers that run; and standard
  /// descriptors that are closed are not opened on /dev/null.
  RAMIE_API Builder& process_wide(bool on);
  RAMIE_API Builder& environment_wins(bool on);
  /// Ignores RAMIE_* altogether: for tests.
  RAMIE_API Builder& ignore_environment(bool on);

  /// Starts the runtime.
  /// Returns  it, running.
  /// Errors   invalid_argument (a knob out of range, or RAMIE_STRICT and a bad variable); what
  ///          epoll, eventfd or the creation of threads said, or io_uring if it was demanded;
  ///          not_enough_memory. Nothing is left behind.
  /// Blocks   never.
  /// Threads  any.
  /// Cancel   not a wait.
  [[nodiscard]] RAMIE_API Result<Runtime> build();

 private:
  struct Knobs;
  Knobs& knobs() const noexcept;  // stops the program if the builder was moved from
  template <auto Member, class V>
  Builder& set(V value);
  std::unique_ptr<Knobs> knobs_;
};

/// Runs `function()` in a new runtime made of the environment's settings: what a server's main()
/// calls. When the function has returned, detached fibers are cancelled and run to their end within
/// RAMIE_DRAIN_TIMEOUT; stragglers are named on stderr.
/// Returns  what `function` returned; throws what it threw.
/// Errors   throws std::system_error if the runtime could not be built.
/// Blocks   this thread. Inside a fiber the program stops with a message.
/// Threads  any plain thread.
/// Cancel   not a wait.
template <class F>
[[gnu::noinline]] detail::CallResult<F> block_on(F&& function) {
  detail::check_may_block_on();
  const Runtime runtime = or_throw(Builder().build());
  return detail::block_on_at(runtime, __builtin_return_address(0), std::forward<F>(function));
}

}  // namespace runtime

using runtime::block_on;

}  // namespace v0
}  // namespace ramie
