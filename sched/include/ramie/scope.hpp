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

namespace ramie {
inline namespace v0 {

namespace sched {
class ScopeCore;
}

/// What a Scope does when an exception leaves one of its fibers.
enum class on_failure : bool {
  cancel,  // cancels the others; join() throws the exception
  report,  // prints it, and the others run on: for servers
};

/// A group of fibers that is joined when it ends. Children inherit the deadline in force when the
/// Scope was opened.
///
/// Children may use what was declared *before* the Scope. What is declared after it in the same
/// block is destroyed before ~Scope waits for them: `Scope s; std::string text; s.spawn([&] { use
/// text });` reads a string that is gone. So declare the Scope last, or take scope(), where this
/// cannot happen.
class Scope {
 public:
  RAMIE_API explicit Scope(on_failure policy = on_failure::cancel);
  /// Cancels the children if this fiber was or is cancelled or an exception passes, and waits for
  /// all of them. An exception that no join() asked for is reported.
  RAMIE_API ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  /// Starts `function(arguments...)` as a child. Its result is dropped; use JoinHandle where one is
  /// wanted.
  /// Returns  success if it was queued. Without memory for its stack it ends before it began; then
  ///          join() says so, and with `report` a line on stderr.
  /// Errors   shutting_down, not_enough_memory, no_runtime. Throws what copying the arguments
  ///          throws, and std::bad_alloc.
  /// Blocks   never.
  /// Threads  any fiber or thread, while the Scope lives.
  /// Cancel   not a wait; a child of a cancelled Scope never runs its body.
  template <detail::NoOptions F, class... Args>
  [[gnu::noinline]] Result<void> spawn(F&& function, Args&&... arguments) {
    return spawn_at({}, __builtin_return_address(0), std::forward<F>(function),
                    std::forward<Args>(arguments)...);
  }
  template <class F, class... Args>
  [[gnu::noinline]] Result<void> spawn(const SpawnOptions& options, F&& function,
                                       Args&&... arguments) {
    return spawn_at(options, __builtin_return_address(0), std::forward<F>(function),
                    std::forward<Args>(arguments)...);
  }

  /// Waits until no child is left.
  /// Returns  success; throws the first exception of a child unless the policy is `report`.
  /// Errors   canceled, timed_out, shutting_down if this wait was ended; the children run on.
  ///          not_enough_memory if a child never ran, for want of a stack, and that was the first
  ///          failure; unless the policy is `report`. On a plain thread runtime_gone, if a shutdown
  ///          has left the children behind.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  the fiber or thread that opened the Scope.
  /// Cancel   safe: may be called again.
  [[nodiscard]] RAMIE_API Result<void> join();

  /// Waits at most `grace` for the children, then cancels the rest and waits for them too. Those
  /// that do not end are named on stderr with their waits after one second, after two, four and so
  /// on. After RAMIE_DRAIN_TIMEOUT the runtime ends as by shutdown(): who still does not end is
  /// left behind, this fiber with it, and block_on() throws runtime_gone.
  /// Returns  how many had to be cancelled.
  /// Errors   none.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Threads  the fiber or thread that opened the Scope.
  /// Cancel   ends the grace; the final wait is shielded.
  RAMIE_API std::size_t drain(detail::Clamped<std::chrono::nanoseconds> grace) noexcept;

  /// Cancels every child, now and later ones.
  RAMIE_API void cancel() noexcept;
  /// Children that have not ended.
  RAMIE_API std::size_t size() const noexcept;

 private:
  template <class F, class... Args>
  Result<void> spawn_at(const SpawnOptions& options, const void* site, F&& function,
                        Args&&... arguments) {
    if constexpr (detail::check_spawn<F, Args...>())
      return start(options, site,
                   detail::bind_once(std::forward<F>(function), std::forward<Args>(arguments)...));
    else return {};
  }
  template <class F>
  Result<void> start(const SpawnOptions& options, const void* site, F&& closure) {
    using R = std::invoke_result_t<std::decay_t<F>>;
    std::error_code error;
    detail::Task* task =
        detail::task_create(detail::TypedTask<std::decay_t<F>, R>::kOps, options, site, error);
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
  // For scope(): join(); if that is refused, cancel, and wait all the same.
  RAMIE_API void finish();
  template <class G>
  friend auto scope(on_failure policy, G&& function);

  std::unique_ptr<sched::ScopeCore> core_;
  const int unwinding_ = std::uncaught_exceptions();
};

/// Opens a Scope for `function(scope)` and waits for its children before it returns: whatever the
/// caller has declared is there as long as any child runs.
/// Returns  what `function` returned, once no child is left.
/// Errors   throws what `function` threw (the children are cancelled then), else the first
///          exception of a child unless the policy is `report`; std::system_error if a child never
///          ran for want of memory. If the wait is ended by a cancel, the children are cancelled
///          and waited for: their results and `function`'s tell what became of the work.
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

}  // namespace v0
}  // namespace ramie
