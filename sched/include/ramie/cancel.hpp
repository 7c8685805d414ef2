// Cancellation: tokens, deadlines and shields. They are all forms of one mechanism, the cancel
// scope.
//
// A cancel is an error, not an unwinding. The current wait and every later one inside the cancelled
// part return `canceled` (`timed_out`, `shutting_down`), so destructors run in order, in the fiber.
#pragma once

#include <ramie/detail/atomic.hpp>
#include <ramie/result.hpp>

#include <chrono>
#include <functional>
#include <type_traits>
#include <utility>

namespace ramie::inline v0 {

namespace detail {
class TokenState;
}

/// A shared flag that ends waits. Copy it freely. Child tokens are cancelled with their parent, but
/// not the other way round.
class CancellationToken {
 public:
  RAMIE_API CancellationToken();
  RAMIE_API CancellationToken(const CancellationToken& other) noexcept;
  RAMIE_API CancellationToken(CancellationToken&& other) noexcept;
  RAMIE_API CancellationToken& operator=(CancellationToken other) noexcept;
  RAMIE_API ~CancellationToken();

  /// Returns a token that is cancelled when this one is.
  /// Errors   throws std::bad_alloc.
  [[nodiscard]] RAMIE_API CancellationToken child() const;

  /// Ends every wait inside until(*this, ...), now and later. A second call does nothing.
  /// Returns  when all waiters are made runnable.
  RAMIE_API void cancel() const noexcept;

  RAMIE_API bool is_canceled() const noexcept;

  /// Waits until the token is cancelled.
  /// Returns  success once it is.
  /// Errors   canceled, timed_out, shutting_down if the *waiting* fiber was ended.
  /// Blocks   this fiber; outside a fiber, this thread.
  /// Cancel   safe.
  [[nodiscard]] RAMIE_API Result<void> wait() const noexcept;

 private:
  friend class CancelGuard;
  explicit CancellationToken(detail::TokenState* state) noexcept : state_(state) {}

  detail::TokenState* state_;
};

/// A part of a fiber's work that can be ended on its own. timeout() and until() are made of it; use
/// those.
class CancelGuard {
 public:
  using Clock = std::chrono::steady_clock;

  RAMIE_API explicit CancelGuard(Clock::time_point deadline) noexcept;
  RAMIE_API explicit CancelGuard(const CancellationToken& token) noexcept;
  RAMIE_API ~CancelGuard();
  CancelGuard(const CancelGuard&) = delete;
  CancelGuard& operator=(const CancelGuard&) = delete;

  /// Why this guard ended a wait inside it; success if it ended none.
  RAMIE_API Result<void> verdict() const noexcept;

 protected:
  struct Shielded {};
  RAMIE_API explicit CancelGuard(Shielded) noexcept;

 private:
  static constexpr std::size_t kSpace = 15 * sizeof(void*) * detail::kRoom;
  alignas(void*) unsigned char space_[kSpace];
};

/// While one lives, no cancel, deadline or shutdown from outside ends a wait of this fiber. For
/// clean-up that must wait.
class Shield : private CancelGuard {
 public:
  Shield() noexcept : CancelGuard(Shielded{}) {}
};

namespace detail {
// One message for each mistake in a call of timeout() or until(). True: there is none.
template <class F>
consteval bool check_guarded() {
  constexpr bool kCalls = std::is_invocable_v<F>;
  static_assert(kCalls,
                "timeout, until: pass a function without parameters, not its result: "
                "timeout(1s, [&] { return stream.read(buffer); })");
  if constexpr (kCalls) {
    constexpr bool kIsReference = std::is_reference_v<std::invoke_result_t<F>>;
    static_assert(!kIsReference,
                  "timeout, until: the function returns a reference: return a value or a pointer");
    return !kIsReference;
  }
  return false;
}

template <class F>
auto run_guarded(CancelGuard& guard, F&& function) {
  if constexpr (check_guarded<F>()) {
    using U = std::invoke_result_t<F>;
    using Answer = Flat<U>;
    if constexpr (kIsResult<U>) {
      return Answer(std::invoke(std::forward<F>(function)));
    } else if constexpr (std::is_void_v<U>) {
      std::invoke(std::forward<F>(function));
      return guard.verdict();
    } else {
      U value = std::invoke(std::forward<F>(function));
      if (auto ended = guard.verdict(); !ended) return Answer(failure(ended.error()));
      return Answer(std::move(value));
    }
  } else {
    return Result<void>();
  }
}
}  // namespace detail

/// Runs `function()`; waits inside it end at `deadline`. Nests: the earliest deadline wins.
/// Returns  what `function` returned; a Result is not nested.
/// Errors   timed_out if a wait inside was ended by this deadline and `function` does not return a
///          Result itself.
/// Blocks   as `function` does.
/// Threads  a fiber; outside one the deadline has no effect.
/// Cancel   as `function`.
template <class F>
[[nodiscard]] auto timeout_at(std::chrono::steady_clock::time_point deadline, F&& function) {
  CancelGuard guard(deadline);
  return detail::run_guarded(guard, std::forward<F>(function));
}

/// Runs `function()`; waits inside it end when `token` is cancelled.
/// Returns  what `function` returned; a Result is not nested.
/// Errors   canceled, as timeout_at().
/// Blocks   as `function` does.
/// Threads  a fiber; outside one the token has no effect.
/// Cancel   as `function`.
template <class F>
[[nodiscard]] auto until(const CancellationToken& token, F&& function) {
  CancelGuard guard(token);
  return detail::run_guarded(guard, std::forward<F>(function));
}

}  // namespace ramie::inline v0
