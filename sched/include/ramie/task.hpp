// Fibers: spawn, join, cancel, yield, and work that must block a thread.
#pragma once

#include <ramie/result.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace ramie::inline v0 {

namespace sched {
class Fiber;
}

/// How to start a fiber.
struct SpawnOptions {
  std::string_view name = {};  // shown in messages; copied, at most 31 bytes
  bool pinned =
      false;  // never moves to another thread: for code that keeps thread-locals over a wait
  // In bytes. 0 is the runtime's default (RAMIE_STACK_SIZE). Less than 16 KiB is 16 KiB. With more
  // than
  // 1 GiB join() returns invalid_argument.
  std::size_t stack_size = 0;
};

namespace detail {

using Task = sched::Fiber;

// The typed half of a task, erased. `storage` holds first the closure, then the result.
struct TaskOps {
  // in the fiber: runs the closure and stores its result; throws what the closure throws
  void (*run)(void* storage);
  void (*drop_closure)(void* storage) noexcept;  // never ran
  // if nobody joined; null if there is nothing to destroy
  void (*drop_result)(void* storage) noexcept;
};

// TSan must see fresh memory for each closure and result, not a control block that was used before.
#if defined(__SANITIZE_THREAD__)
inline constexpr std::size_t kInlineStorage = 0;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr std::size_t kInlineStorage = 0;
#else
inline constexpr std::size_t kInlineStorage = 112;
#endif
#else
inline constexpr std::size_t kInlineStorage = 112;
#endif
inline constexpr std::size_t kTaskStorage = 112;

// A T in `storage`, or behind a pointer there if it is too large or may throw when moved.
template <class T>
struct Slot {
  static constexpr bool kIsInline = sizeof(T) <= kInlineStorage && alignof(T) <= 16;

  template <class Make>
  static void construct(void* storage, Make&& make) {
    if constexpr (kIsInline) {
      ::new (storage) T(std::forward<Make>(make)());
    } else {
      T* object = new T(std::forward<Make>(make)());
      pointer(storage).store(object, std::memory_order_relaxed);
    }
  }
  static T& get(void* storage) noexcept {
    if constexpr (kIsInline) return *std::launder(static_cast<T*>(storage));
    else return *static_cast<T*>(pointer(storage).load(std::memory_order_relaxed));
  }
  static void destroy(void* storage) noexcept {
    if constexpr (kIsInline) get(storage).~T();
    else delete &get(storage);
  }

 private:
  // Atomic for the race detector: the last fiber of a block and the next one need not be ordered.
  static std::atomic_ref<void*> pointer(void* storage) noexcept {
    return std::atomic_ref<void*>(*std::launder(static_cast<void**>(storage)));
  }
};

template <class F, class R>
struct TypedTask {
 public:
  using Stored = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

  static void run(void* storage) {
    F closure = take(storage);
    if constexpr (std::is_void_v<R>) std::move(closure)();
    else Slot<R>::construct(storage, [&]() -> R { return std::move(closure)(); });
  }
  static void drop_closure(void* storage) noexcept { Slot<F>::destroy(storage); }
  static void drop_result(void* storage) noexcept { Slot<Stored>::destroy(storage); }
  static constexpr bool kNeedsDrop =
      !std::is_void_v<R> && !(Slot<Stored>::kIsInline && std::is_trivially_destructible_v<Stored>);
  static constexpr TaskOps kOps{&run, &drop_closure, kNeedsDrop ? &drop_result : nullptr};

 private:
  // The stored closure is destroyed even if the move throws.
  static F take(void* storage) {
    struct Stored {
      void* storage;
      ~Stored() { Slot<F>::destroy(storage); }
    } stored{storage};
    return std::move(Slot<F>::get(storage));
  }
};

enum class Outcome : std::uint8_t { none, value, exception, canceled, error };

// Returns a new control block of the calling thread's runtime, or null with the reason. The caller
// owns it until it is submitted.
RAMIE_API Task* task_create(const TaskOps& ops, const SpawnOptions& options, const void* spawned_at,
                            std::error_code& error) noexcept;
RAMIE_API void* task_storage(Task& task) noexcept;
// Gives back a block whose closure could not be constructed.
RAMIE_API void task_abandon(Task& task) noexcept;
RAMIE_API void task_submit(Task& task) noexcept;
RAMIE_API void task_submit_blocking(Task& task) noexcept;

RAMIE_API Result<void> task_join(Task& task) noexcept;
RAMIE_API bool task_is_finished(const Task& task) noexcept;
RAMIE_API void task_cancel(Task& task) noexcept;
RAMIE_API Outcome task_outcome(Task& task) noexcept;
RAMIE_API std::exception_ptr task_take_exception(Task& task) noexcept;
RAMIE_API std::error_code task_error(Task& task) noexcept;
// The result was moved out, so the block must not destroy it.
RAMIE_API void task_consumed(Task& task) noexcept;
// Releases a handle's reference, whether the result was taken or not.
RAMIE_API void task_release(Task& task) noexcept;
RAMIE_API void task_detach(Task& task) noexcept;
RAMIE_API std::uint64_t task_id(const Task& task) noexcept;

// Gives a handle's reference back at its end. (A std::unique_ptr with a deleter would be one more
// class for each T, which takes time in every program that spawns.)
class TaskReference {
 public:
  explicit TaskReference(Task& task) noexcept : task_(task) {}
  ~TaskReference() { task_release(task_); }
  TaskReference(const TaskReference&) = delete;
  TaskReference& operator=(const TaskReference&) = delete;

 private:
  Task& task_;
};

// A closure with its arguments, called once.
template <class F, class... Args>
auto bind_once(F&& function, Args&&... arguments) {
  if constexpr (sizeof...(Args) == 0) {
    return std::forward<F>(function);
  } else {
    return [function = std::decay_t<F>(std::forward<F>(function)),
            arguments = std::tuple<std::decay_t<Args>...>(
                std::forward<Args>(arguments)...)]() mutable -> decltype(auto) {
      return std::apply(std::move(function), std::move(arguments));
    };
  }
}

// A call that cannot be spawned has a result type all the same. So the compiler comes to the
// messages of check_spawn(), and prints no list of candidates.
template <class F, class... Args>
struct SpawnResultOf {
  using type = void;
};
template <class F, class... Args>
  requires std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>
struct SpawnResultOf<F, Args...> {
  using Returned = std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>;
  using type = std::conditional_t<std::is_void_v<Returned> ||
                                      (std::is_object_v<Returned> && !std::is_const_v<Returned>),
                                  Returned, void>;
};
template <class F, class... Args>
using SpawnResult = typename SpawnResultOf<F, Args...>::type;

template <class T>
inline constexpr bool kIsOptions = std::is_base_of_v<SpawnOptions, std::remove_cvref_t<T>>;
// Not the overload that takes options: the first argument is none, const or not.
template <class F>
concept NoOptions = !kIsOptions<F>;

template <class T>
inline constexpr bool kCanBeTaken = std::is_constructible_v<std::decay_t<T>, T>;

// One message for each mistake in a call of spawn(). True: there is none.
template <class F, class... Args>
consteval bool check_spawn() {
  using Function = std::decay_t<F>;
  constexpr bool kTakes = kCanBeTaken<F> && (kCanBeTaken<Args> && ...);
  constexpr bool kCalls = std::is_invocable_v<Function, std::decay_t<Args>...>;
  static_assert(kCanBeTaken<F>,
                "spawn: the function object can only be moved: pass it with std::move()");
  static_assert((kCanBeTaken<Args> && ...),
                "spawn: an argument can only be moved into the fiber: pass it with std::move()");
  static_assert(!kTakes || kCalls,
                "spawn: function(arguments...) does not compile. The fiber keeps copies of the "
                "arguments and passes them as rvalues: let the function take them by value, pass "
                "std::ref(x) for a reference, or spawn a lambda");
  if constexpr (kTakes && kCalls) {
    using R = std::invoke_result_t<Function, std::decay_t<Args>...>;
    static_assert(!std::is_reference_v<R>,
                  "spawn: the function returns a reference: return a value or a pointer");
    static_assert(!std::is_const_v<R>, "spawn: the function returns a const value: drop the const");
    static_assert(std::is_void_v<R> || std::is_reference_v<R> || std::is_move_constructible_v<R>,
                  "spawn: the function's result must be movable, since join() moves it out");
    return !std::is_reference_v<R> && !std::is_const_v<R> &&
           (std::is_void_v<R> || std::is_move_constructible_v<R>);
  }
  return false;
}

}  // namespace detail

/// The right to wait for a fiber's end and to take its result. Dropping it detaches the fiber.
template <class T>
class [[nodiscard]] JoinHandle {
 public:
  JoinHandle() noexcept = default;
  JoinHandle(JoinHandle&& other) noexcept
      : task_(std::exchange(other.task_, nullptr)), error_(std::exchange(other.error_, {})) {}
  JoinHandle& operator=(JoinHandle&& other) noexcept {
    if (this != &other) {
      detach();
      task_ = std::exchange(other.task_, nullptr);
      error_ = std::exchange(other.error_, {});
    }
    return *this;
  }
  ~JoinHandle() { detach(); }

  /// Waits until the fiber has ended and takes its result. A Result that the fiber returned is not
  /// nested.
  /// Returns  what the fiber's function returned. An exception that left it is thrown here.
  /// Errors   task_canceled if its body never ran; spent if this handle was joined, detached or
  ///          moved from before; not_enough_memory if there was no stack; canceled, timed_out,
  ///          shutting_down if *this* wait was ended; runtime_gone if a shutdown left the fiber
  ///          behind: the fiber continues, and join() may be called again.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  any, one at a time.
  /// Cancel   safe: nothing is lost.
  [[nodiscard]] detail::Flat<T> join() {
    if (task_ == nullptr) return failure(error_ ? error_ : make_error_code(errc::spent));
    if (auto waited = detail::task_join(*task_); !waited) return failure(waited.error());
    detail::Task* task = std::exchange(task_, nullptr);
    error_ = {};
    const detail::TaskReference keep(*task);
    switch (detail::task_outcome(*task)) {
      case detail::Outcome::value: return take_value(*task);
      case detail::Outcome::exception: std::rethrow_exception(detail::task_take_exception(*task));
      case detail::Outcome::error: return failure(detail::task_error(*task));
      default: return failure(errc::task_canceled);
    }
  }

  /// Lets the fiber continue by itself. An exception that leaves it is then reported on stderr, or
  /// stops the program (RAMIE_UNHANDLED). If it never runs for want of memory, that is reported,
  /// too, at most once a second.
  /// Blocks   only as the destructor of a result that is already there does.
  /// Threads  any, one at a time.
  void detach() noexcept {
    if (task_ != nullptr) detail::task_detach(*std::exchange(task_, nullptr));
  }

  /// Asks the fiber to end: its current wait and every later one return `canceled`. Before its
  /// first run, its body never runs. After its end, nothing happens.
  /// Returns  at once; use join() to wait for the end.
  /// Threads  any, one at a time.
  void cancel() noexcept {
    if (task_ != nullptr) detail::task_cancel(*task_);
  }

  bool is_finished() const noexcept { return task_ == nullptr || detail::task_is_finished(*task_); }
  bool is_joinable() const noexcept { return task_ != nullptr; }
  std::uint64_t id() const noexcept { return task_ == nullptr ? 0 : detail::task_id(*task_); }

  // For spawn(): a started task, or the reason why there is none.
  JoinHandle(detail::Task* task, std::error_code error) noexcept : task_(task), error_(error) {}

 private:
  static detail::Flat<T> take_value(detail::Task& task) {
    detail::task_consumed(task);
    if constexpr (std::is_void_v<T>) {
      return {};
    } else {
      void* storage = detail::task_storage(task);
      struct Drop {
        void* storage;
        ~Drop() { detail::Slot<T>::destroy(storage); }
      } drop{storage};
      return std::move(detail::Slot<T>::get(storage));
    }
  }

  detail::Task* task_ = nullptr;
  std::error_code error_;
};

namespace detail {

enum class Where : bool { fiber, blocking };

template <class F>
auto start(Where where, const SpawnOptions& options, const void* spawned_at, F&& closure) {
  using Closure = std::decay_t<F>;
  using R = std::invoke_result_t<Closure>;
  std::error_code error;
  Task* task = task_create(TypedTask<Closure, R>::kOps, options, spawned_at, error);
  if (task == nullptr) return JoinHandle<R>(nullptr, error);
  try {
    Slot<Closure>::construct(task_storage(*task),
                             [&]() -> Closure { return std::forward<F>(closure); });
  } catch (...) {
    task_abandon(*task);
    throw;
  }
  where == Where::fiber ? task_submit(*task) : task_submit_blocking(*task);
  return JoinHandle<R>(task, {});
}

// `spawned_at` is an address in the code that called spawn(): the public functions are never
// inlined, so that each knows its caller.
template <class F, class... Args>
JoinHandle<SpawnResult<F, Args...>> spawn_at(Where where, const SpawnOptions& options,
                                             const void* spawned_at, F&& function,
                                             Args&&... arguments) {
  if constexpr (check_spawn<F, Args...>())
    return start(where, options, spawned_at,
                 bind_once(std::forward<F>(function), std::forward<Args>(arguments)...));
  else return {};
}

}  // namespace detail

/// Starts `function(arguments...)` in a new fiber of the current runtime. It runs soon, on any
/// worker.
/// Returns  the handle. Keep it, or call detach().
/// Errors   in join(): no_runtime outside a runtime, shutting_down while it ends,
///          not_enough_memory. Throws what copying the arguments throws, and std::bad_alloc.
/// Threads  any thread that runs fibers or has entered a runtime::Handle.
template <detail::NoOptions F, class... Args>
[[nodiscard, gnu::noinline]] JoinHandle<detail::SpawnResult<F, Args...>> spawn(
    F&& function, Args&&... arguments) {
  return detail::spawn_at(detail::Where::fiber, {}, __builtin_return_address(0),
                          std::forward<F>(function), std::forward<Args>(arguments)...);
}

/// The same with a name, a stack size, or pinned to one worker.
template <class F, class... Args>
[[nodiscard, gnu::noinline]] JoinHandle<detail::SpawnResult<F, Args...>> spawn(
    const SpawnOptions& options, F&& function, Args&&... arguments) {
  return detail::spawn_at(detail::Where::fiber, options, __builtin_return_address(0),
                          std::forward<F>(function), std::forward<Args>(arguments)...);
}

/// Runs `function(arguments...)` on a thread of the blocking pool (at most RAMIE_BLOCKING_THREADS).
/// For calls that would block a worker, such as getaddrinfo.
/// Returns  the handle, as spawn() does.
/// Errors   in join(): task_canceled if the runtime ended before it started;
///          resource_unavailable_try_again if there was no thread; else as spawn().
/// Threads  as spawn().
/// Cancel   before it started, it leaves the queue at once. A running call is not interrupted.
template <detail::NoOptions F, class... Args>
[[nodiscard, gnu::noinline]] JoinHandle<detail::SpawnResult<F, Args...>> spawn_blocking(
    F&& function, Args&&... arguments) {
  return detail::spawn_at(detail::Where::blocking, {}, __builtin_return_address(0),
                          std::forward<F>(function), std::forward<Args>(arguments)...);
}

/// The same with a name, for dumps. The thread belongs to the pool and has its own stack.
template <class F, class... Args>
[[nodiscard, gnu::noinline]] JoinHandle<detail::SpawnResult<F, Args...>> spawn_blocking(
    const SpawnOptions& options, F&& function, Args&&... arguments) {
  return detail::spawn_at(detail::Where::blocking, options, __builtin_return_address(0),
                          std::forward<F>(function), std::forward<Args>(arguments)...);
}

/// Lets other fibers run. This one continues after its worker has looked at the driver and its
/// queue.
/// Blocks   this fiber; on a plain thread it is std::this_thread::yield().
/// Cancel   does not refuse it.
RAMIE_API void yield_now() noexcept;

/// Spends one unit of this fiber's budget (RAMIE_BUDGET). Yields when the budget is spent, or when
/// the fiber has run for about 100 us. For loops that never wait.
/// Blocks   this fiber while others run; on a plain thread it does nothing.
/// Cancel   does not refuse it.
RAMIE_API void consume_budget() noexcept;

/// The fiber that calls these functions.
namespace current {
/// Its id, unique in the process; 0 outside fibers.
RAMIE_API std::uint64_t id() noexcept;
/// Its name; empty if it has none.
RAMIE_API std::string_view name() noexcept;
RAMIE_API void set_name(std::string_view name) noexcept;
RAMIE_API bool is_fiber() noexcept;
/// Returns the reason for which the next wait would be refused (canceled, timed_out,
/// shutting_down), or success.
RAMIE_API Result<void> check() noexcept;
/// The index of the worker that runs this fiber now, or -1.
RAMIE_API int worker_index() noexcept;
}  // namespace current

}  // namespace ramie::inline v0
