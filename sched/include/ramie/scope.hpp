// Scope: fibers that end before the block that started them.
#pragma once

#include <ramie/detail/clamped.hpp>
#include <ramie/task.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace ramie::inline v0 {

namespace sched {
class ScopeCore;
}

/// What a Scope does when an exception leaves one of its fibers.
enum class on_failure : bool {
  cancel,  // cancels the others; join() throws the exception
  report,  // prints it, and the others continue: for servers
};

/// A group of fibers that is joined when it ends. Children inherit the deadline that applies where
/// the Scope was opened.
///
/// Children may use variables that were declared *before* the Scope. Variables declared after it in
/// the same block are destroyed before ~Scope waits for the children: `Scope s; std::string text;
/// s.spawn([&] { use text });` reads a string that is gone. So declare the Scope last, or use
/// scope(), where this cannot happen.
class Scope {
 public:
  RAMIE_API explicit Scope(on_failure policy = on_failure::cancel);
  /// Waits for all children. Cancels them first if this fiber was or is cancelled, or if an
  /// exception passes. Reports an exception that no join() has thrown.
  RAMIE_API ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  /// Starts `function(arguments...)` as a child. Its result is dropped; use spawn() and a
  /// JoinHandle if you need it.
  /// Returns  success if it was queued. If there is no memory for its stack, its body never runs;
  ///          then join() returns the error, and with `report` a line is printed on stderr.
  /// Errors   shutting_down, not_enough_memory, no_runtime. Throws what copying the arguments
  ///          throws, and std::bad_alloc.
  /// Threads  any fiber or thread, while the Scope lives.
  /// Cancel   a child of a cancelled Scope never runs its body.
  template <detail::NoOptions F, class... Args>
  [[nodiscard, gnu::noinline]] Result<void> spawn(F&& function, Args&&... arguments) {
    return spawn_at({}, __builtin_return_address(0), std::forward<F>(function),
                    std::forward<Args>(arguments)...);
  }
  template <class F, class... Args>
  [[nodiscard, gnu::noinline]] Result<void> spawn(const SpawnOptions& options, F&& function,
                                                  Args&&... arguments) {
    return spawn_at(options, __builtin_return_address(0), std::forward<F>(function),
                    std::forward<Args>(arguments)...);
  }

  /// Waits until all children have ended.
  /// Returns  success; throws the first exception of a child unless the policy is `report`.
  /// Errors   canceled, timed_out, shutting_down if this wait was ended; the children continue.
  ///          not_enough_memory if the first failure was a child that never ran for want of a
  ///          stack, unless the policy is `report`. On a plain thread runtime_gone, if a shutdown
  ///          has left the children behind.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  the fiber or thread that opened the Scope.
  /// Cancel   safe: may be called again.
  [[nodiscard]] RAMIE_API Result<void> join();

  /// Waits at most `grace` for the children, then cancels the rest and waits for them, too.
  /// Children that do not end are named on stderr with their waits after one second, after two,
  /// four and so on. After RAMIE_DRAIN_TIMEOUT the runtime ends as by shutdown(): fibers that still
  /// do not end are left behind, this fiber with them, and block_on() throws runtime_gone.
  /// Returns  how many children had to be cancelled.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  the fiber or thread that opened the Scope.
  /// Cancel   ends the grace; the final wait is shielded.
  RAMIE_API std::size_t drain(detail::Clamped<std::chrono::nanoseconds> grace) noexcept;

  /// Cancels every child, including later ones.
  RAMIE_API void cancel() noexcept;
  /// The number of children that have not ended.
  RAMIE_API std::size_t size() const noexcept;

 private:
  template <class F, class... Args>
  Result<void> spawn_at(const SpawnOptions& options, const void* spawned_at, F&& function,
                        Args&&... arguments) {
    if constexpr (detail::check_spawn<F, Args...>())
      return start(options, spawned_at,
                   detail::bind_once(std::forward<F>(function), std::forward<Args>(arguments)...));
    else return {};
  }
  template <class F>
  Result<void> start(const SpawnOptions& options, const void* spawned_at, F&& closure) {
    using R = std::invoke_result_t<std::decay_t<F>>;
    std::error_code error;
    detail::Task* task = detail::task_create(detail::TypedTask<std::decay_t<F>, R>::kOps, options,
                                             spawned_at, error);
    if (task == nullptr) return failure(error);
    try {
      detail::Slot<std::decay_t<F>>::construct(
          detail::task_storage(*task),
          [&]() -> std::decay_t<F> { return std::forward<F>(closure); });
    } catch (...) {
      detail::task_abandon(*task);
      throw;
    }
    adopt(*task);
    return {};
  }
  RAMIE_API void adopt(detail::Task& task) noexcept;
  // For scope(): calls join(). If that wait is ended, cancels the children and waits for them.
  RAMIE_API void finish();
  template <class G>
  friend auto scope(on_failure policy, G&& function);

  std::unique_ptr<sched::ScopeCore> core_;
  const int unwinding_ = std::uncaught_exceptions();
};

/// Opens a Scope for `function(scope)` and waits for its children before it returns. So what the
/// caller has declared outlives every child.
/// Returns  what `function` returned, once all children have ended.
/// Errors   throws what `function` threw (the children are cancelled then), else the first
///          exception of a child unless the policy is `report`; std::system_error if a child never
///          ran for want of memory. If a cancel ends the wait, the children are cancelled and
///          waited for; their results and that of `function` tell what was done.
/// Blocks   this fiber; outside a fiber, this thread.
/// Threads  any that may open a Scope.
/// Cancel   cancels the children, and waits for them.
template <class F>
auto scope(on_failure policy, F&& function) {
  static_assert(std::is_invocable_v<F, Scope&>,
                "scope: pass a function that takes a Scope&: scope([&](ramie::Scope& s) { ... })");
  if constexpr (std::is_invocable_v<F, Scope&>) {
    using R = std::invoke_result_t<F, Scope&>;
    static_assert(std::is_void_v<R> || !std::is_reference_v<R>,
                  "scope: the function returns a reference: return a value or a pointer");
    Scope children(policy);
    if constexpr (std::is_void_v<R>) {
      std::invoke(std::forward<F>(function), children);
      children.finish();
    } else if constexpr (!std::is_reference_v<R>) {
      R result = std::invoke(std::forward<F>(function), children);
      children.finish();
      return result;
    }
  }
}
template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, on_failure>)
auto scope(F&& function) {
  return scope(on_failure::cancel, std::forward<F>(function));
}

}  // namespace ramie::inline v0
