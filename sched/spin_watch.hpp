// Finds fibers that pass through waits that do not wait: each is refused (the fiber was cancelled
// and ignores it), or brings nothing (a closed channel, the end of a stream, an error). Such a loop
// burns a CPU and looks alive: it yields, so it is no stall.
//
//   the fiber      counts such waits in a row; a wait that was armed begins a new row
//   every 8192nd   looks at the clock; after `stall`, if no two looks were that far apart, the
//                  fiber offers its stack here, once in a row
//   the watchdog   prints it at its next look
//
// A fiber that reads, writes, locks or receives something is never counted, however busy it is.
#pragma once

#include "sched/base/clock.hpp"
#include "sched/base/mutex.hpp"
#include "sched/unwind.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace ramie::inline v0::sched {

class Fiber;

// Belongs to one fiber, and only that fiber uses it.
struct FruitlessWaits {
  static constexpr std::uint32_t kRow = 8192;

  std::uint32_t epoch = 0;  // of the last wait that was armed
  bool is_reported = false;
  std::uint64_t count = 0;
  base::Instant first{};  // when the first 8192 of this row were over
  base::Instant last{};
};

// A wait of this fiber has ended at once and brought nothing.
#if defined(RAMIE_MODEL)
inline void note_fruitless(Fiber&) noexcept {}
inline void note_fruitless() noexcept {}
#else
void note_fruitless(Fiber& fiber) noexcept;
void note_fruitless() noexcept;  // the same for the current fiber; does nothing on a plain thread
#endif

struct Spin {
  std::uint64_t fiber = 0;
  std::array<char, 32> name{};
  std::uint64_t waits = 0;
  base::Nanos time{};
  Frames frames;
};

// At most one report on its way from a fiber to the watchdog.
class SpinWatch {
 public:
  // Returns false if another report is on its way.
  [[nodiscard]] bool offer(const Spin& spin) noexcept;
  std::optional<Spin> take() noexcept;

 private:
  base::Mutex mutex_;
  std::optional<Spin> spin_;
};

}  // namespace ramie::inline v0::sched
