// One atomic location: the stores that a load may still return, as C++20 has it.
//
//   oldest                                   newest = modification order = execution order
//   [store][store][store][store] ... [store]          (at most kWindow; older ones are forgotten)
//      ^ a load may not go past the youngest store that
//        - happens before it, or was read by something that happens before it    (coherence)
//        - a seq_cst fence has heard of that comes before one that we have passed   (fences)
//        - a seq_cst access wrote or read, before a fence that we have passed
//        and, if the load itself is seq_cst, before now
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
  // Constexpr, so that what ships as a constant-initialised global compiles; but made in a run.
  constexpr explicit Location(Word value) noexcept {
    if (!std::is_constant_evaluated()) make(value);
  }
  ~Location();
  Location(const Location&) = delete;
  Location& operator=(const Location&) = delete;

  [[nodiscard]] Word load(std::memory_order order);
  void store(Word value, std::memory_order order);
  // A read-modify-write in two halves: nothing can come between them.
  [[nodiscard]] Word begin_update(std::memory_order order);
  void end_update(Word value, std::memory_order order, const char* what);
  [[nodiscard]] bool compare_exchange(Word& expected, Word desired, std::memory_order success,
                                      std::memory_order failure, bool weak);
  // The kernel's look at a futex word: the newest value, without any ordering.
  [[nodiscard]] Word peek() const noexcept { return newest().value; }
  [[nodiscard]] Footprint& footprint() noexcept { return footprint_; }

 private:
  struct Store {
    Word value;
    View published;  // what an acquire load of it synchronises with
    Clock known;     // tick at which each thread wrote or first read it; kNever: not yet
    std::uint16_t sequential;  // fences that came before its first seq_cst access; kNever: none
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
