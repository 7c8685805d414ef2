// Replacements for std::atomic and related classes in code compiled with RAMIE_MODEL: the same
// interface, but every operation is a step of the model checker. Includes the other replacements.
#pragma once

#include "tests/model/cell.hpp"
#include "tests/model/location.hpp"
#include "tests/model/sync.hpp"

#include <atomic>
#include <cstring>
#include <type_traits>

namespace ramie::model {

using Order = std::memory_order;

// The order of the load in a failed compare-exchange, if only one order is given.
constexpr Order failure_order(Order order) {
  if (order == Order::acq_rel) return Order::acquire;
  return order == Order::release ? Order::relaxed : order;
}

template <class T>
class Atomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(Word));
  static constexpr bool kIsNumber = std::is_integral_v<T> && !std::is_same_v<T, bool>;

 public:
  using value_type = T;
  static constexpr bool is_always_lock_free = true;

  constexpr Atomic() noexcept : Atomic(T{}) {}
  constexpr Atomic(T value) noexcept : location_(to_word(value)) {}  // implicit, as std::atomic's
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  [[nodiscard]] T load(Order order = Order::seq_cst) const noexcept {
    return from_word(location_.load(order));
  }
  void store(T value, Order order = Order::seq_cst) noexcept {
    location_.store(to_word(value), order);
  }
  T exchange(T value, Order order = Order::seq_cst) noexcept {
    return update(order, "exchange", [value](T) { return value; });
  }

  bool compare_exchange_strong(T& expected, T desired, Order success, Order failure) noexcept {
    return compare_exchange(expected, desired, success, failure, false);
  }
  bool compare_exchange_strong(T& expected, T desired, Order order = Order::seq_cst) noexcept {
    return compare_exchange(expected, desired, order, failure_order(order), false);
  }
  bool compare_exchange_weak(T& expected, T desired, Order success, Order failure) noexcept {
    return compare_exchange(expected, desired, success, failure, true);
  }
  bool compare_exchange_weak(T& expected, T desired, Order order = Order::seq_cst) noexcept {
    return compare_exchange(expected, desired, order, failure_order(order), true);
  }

  T fetch_add(T value, Order order = Order::seq_cst) noexcept requires(kIsNumber) {
    return update(order, "fetch_add", [value](T old) { return static_cast<T>(old + value); });
  }
  T fetch_sub(T value, Order order = Order::seq_cst) noexcept requires(kIsNumber) {
    return update(order, "fetch_sub", [value](T old) { return static_cast<T>(old - value); });
  }
  T fetch_or(T value, Order order = Order::seq_cst) noexcept requires(kIsNumber) {
    return update(order, "fetch_or", [value](T old) { return static_cast<T>(old | value); });
  }
  T fetch_and(T value, Order order = Order::seq_cst) noexcept requires(kIsNumber) {
    return update(order, "fetch_and", [value](T old) { return static_cast<T>(old & value); });
  }
  T fetch_xor(T value, Order order = Order::seq_cst) noexcept requires(kIsNumber) {
    return update(order, "fetch_xor", [value](T old) { return static_cast<T>(old ^ value); });
  }

  // For futex_wait and futex_wake.
  [[nodiscard]] Location& location() const noexcept { return location_; }

 private:
  [[nodiscard]] static constexpr Word to_word(T value) noexcept {
    Word word = 0;
    if (!std::is_constant_evaluated()) std::memcpy(&word, &value, sizeof(T));
    return word;
  }
  [[nodiscard]] static T from_word(Word word) noexcept {
    T value;
    std::memcpy(&value, &word, sizeof(T));
    return value;
  }

  template <class Change>
  T update(Order order, const char* what, Change change) noexcept {
    const T old = from_word(location_.begin_update(order));
    location_.end_update(to_word(change(old)), order, what);
    return old;
  }

  bool compare_exchange(T& expected, T desired, Order success, Order failure,
                        bool weak) noexcept {
    Word seen = to_word(expected);
    if (location_.compare_exchange(seen, to_word(desired), success, failure, weak)) return true;
    expected = from_word(seen);
    return false;
  }

  mutable Location location_;
};

inline void fence(Order order) noexcept {
  const bool sequential = order == Order::seq_cst;
  const bool both = sequential || order == Order::acq_rel;
  Execution::current().fence(both || order == Order::acquire, both || order == Order::release,
                             sequential);
}

inline int futex_wake(const Atomic<std::uint32_t>& word, int count) noexcept {
  return futex_wake(static_cast<const void*>(&word), count);
}
inline void futex_wait(const Atomic<std::uint32_t>& word, std::uint32_t expected) noexcept {
  (void)futex_wait(static_cast<const void*>(&word), word.location(), expected, false);
}
// Returns false if the time is over. It may be over at any time once the thread sleeps.
inline bool futex_wait_for(const Atomic<std::uint32_t>& word, std::uint32_t expected) noexcept {
  return futex_wait(static_cast<const void*>(&word), word.location(), expected, true);
}

}  // namespace ramie::model
