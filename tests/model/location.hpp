// One atomic location: the stores that a load may still return by the rules of C++20.
//
//     oldest                                   newest = modification order = execution order
//     [store][store][store][store] ... [store]          (at most kWindow; older ones are forgotten)
//        ^ a load may not go past the youngest store that
//          - happens before it, or was read by something that happens before it    (coherence)
//          - a seq_cst fence has seen that comes before one that we have passed     (fences)
//          - a seq_cst access wrote or read, before a fence that we have passed
//          and, if the load itself is seq_cst, before now
//
// Values are words here; Atomic<T> (atomic.hpp) converts.
#pragma once

#include "tests/model/execution.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <type_traits>

namespace ramie::model {

using Word = std::uint64_t;

class Location {
 public:
  // Constexpr, so that shipped constant-initialised globals compile. Only a run can use one.
  constexpr explicit Location(Word value) noexcept {
    if (!std::is_constant_evaluated()) make(value);
  }
  ~Location();
  Location(const Location&) = delete;
  Location& operator=(const Location&) = delete;

  [[nodiscard]] Word load(std::memory_order order);
  void store(Word value, std::memory_order order);
  // A read-modify-write in two halves. Nothing can come between them.
  [[nodiscard]] Word begin_update(std::memory_order order);
  void end_update(Word value, std::memory_order order, const char* what);
  [[nodiscard]] bool compare_exchange(Word& expected, Word desired, std::memory_order success,
                                      std::memory_order failure, bool weak);
  // Reads the newest value without any ordering, as the kernel reads a futex word.
  [[nodiscard]] Word peek() const noexcept { return newest().value; }
  [[nodiscard]] Footprint& footprint() noexcept { return footprint_; }

 private:
  struct Store {
    Word value;
    View published;  // what an acquire load of it synchronises with
    Clock known;     // tick at which each thread wrote or first read it; kNever: not yet
    std::uint16_t sequential;  // fences before its first seq_cst access; kNever: none
  };
  struct Reader {  // per thread, to make stale stores end
    std::uint16_t yields = 0;
    std::uint16_t last = kNever;  // the store it read last, and how often in a row
    std::uint8_t repeats = 0;
  };

  void make(Word value) noexcept;
  [[nodiscard]] const Store& newest() const noexcept { return stores_[count_ - 1U]; }
  void announce(Access access, std::memory_order order);
  void append(Word value, const View& published, std::memory_order order);
  [[nodiscard]] std::size_t oldest_visible(std::memory_order order);
  void take(std::size_t index, std::memory_order order);
  void stamp(Store& store, std::memory_order order);

  Footprint footprint_;
  std::array<Store, kWindow> stores_;
  std::array<Reader, kMaxThreads> readers_{};
  Clock touched_;  // the last tick of each thread's access
  std::uint16_t forgotten_ = 0;
  std::uint8_t count_ = 1;
};

}  // namespace ramie::model
