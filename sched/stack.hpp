// Fiber stacks: address space in slabs, a guard below each stack, and LIFO caches, so that the
// stack that was used last is taken first.
//
//   slab:  |  moat  |  guard  | stack 0 ....... Stack |  guard  | stack 1 ....... Stack | ...
//            3 MiB     1 MiB    grows downwards  ^-- this object, in the top page: it needs no
//                                                    memory of its own
//
// The guard has two parts. Accesses to the upper 64 KiB fault, so code that probes its stack
// (-fstack-clash-protection) and deep recursion stop there. Code without probes touches only the
// far end of a large frame, and steps over 64 KiB (measured: 300 KiB). It lands in the lower part,
// which holds nothing, and whose memory goes back to the kernel with the stack's own. A larger
// frame reaches another stack of the slab, or the moat below the slab's last stack, but no other
// memory of the program. A fiber that parks with such a frame is stopped (is_overrun_at()). Making
// the whole guard fault would take 256 page table entries for each stack, and four times as long
// (34 us instead of 8 on a busy machine). This way costs address space and 2 KiB of page tables.
//
// MADV_GUARD_INSTALL (Linux 6.13) installs the guard. It splits no VMA, so a million guarded stacks
// are possible. Where it is impossible (an older kernel, a sandbox, memory locked by mlockall),
// mprotect guards all of it, which costs two VMAs for each stack. Then we stop at 45 % of
// vm.max_map_count with a clear error, because at the limit every mmap and every thread creation of
// the process would fail.
#pragma once

#include "sched/base/atomic.hpp"
#include "sched/base/intrusive_list.hpp"
#include "sched/base/mutex.hpp"

#include <cstddef>
#include <cstdint>

namespace ramie::inline v0::sched {

// How stacks are guarded. `automatic` is madvise where the kernel has it, else mprotect.
enum class GuardMethod : std::uint8_t { automatic, madvise, mprotect, off };

// Describes a stack, and lies at its upper end.
class Stack {
 public:
  void* top() noexcept { return reinterpret_cast<std::byte*>(this) - colour_; }
  std::size_t usable() const noexcept { return size_ - colour_; }
  const void* low() const noexcept { return reinterpret_cast<const std::byte*>(this) - size_; }
  std::size_t size() const noexcept { return size_; }

  // Is `address` in this stack's guard?
  bool guards(const void* address) const noexcept;

  // Has a frame at `address` left this stack at its lower end? Above the stack, and far below it,
  // are other stacks (a signal handler's, a generator's), on which a fiber may run.
  bool is_overrun_at(const void* address) const noexcept {
    const auto below = reinterpret_cast<std::uintptr_t>(low());
    return below - reinterpret_cast<std::uintptr_t>(address) - 1 < reach_;
  }

 private:
  friend class StackPool;
  friend class StackCache;

  Stack(std::size_t size, std::size_t guard, std::size_t colour, bool pooled, bool has_protected,
        std::size_t reach) noexcept
      : size_(size),
        guard_(guard),
        reach_(reach),
        colour_(colour),
        pooled_(pooled),
        has_protected_(has_protected) {}

  std::size_t size_;   // usable bytes below this object
  std::size_t guard_;  // bytes of guard below them
  std::size_t reach_;  // bytes below them that belong to the pool: guards, other stacks, the moat
  // The first frame starts this much lower, so that tops do not share cache sets.
  std::size_t colour_;
  base::Plain<Stack*> next_ = nullptr;
  bool pooled_;         // false: it has an unusual size, and is unmapped when it is given back
  bool has_protected_;  // the guard is mprotect's
  unsigned valgrind_id_ = 0;
};

struct StackOptions {
  std::size_t size = 256 * 1024;
  GuardMethod guard = GuardMethod::automatic;
  std::size_t cache_bytes = 64 * 1024 * 1024;
};

class StackCache;

// All stacks of one runtime.
class StackPool {
 public:
  static constexpr std::size_t kGuard = std::size_t{1} << 20;
  // Its upper part. GCC's probes on AArch64 are 64 KiB apart, so less would not do.
  static constexpr std::size_t kFaulting = std::size_t{64} << 10;
  static constexpr std::size_t kMoat = std::size_t{3} << 20;  // below a slab
  static constexpr std::size_t kLeastSize = 16 * 1024;
  static constexpr std::size_t kMostSize = std::size_t{1} << 30;

  // The stacks that mprotect may guard. Each takes two VMAs. We use at most 45 % of those that
  // vm.max_map_count allows; the rest belongs to the program.
  static constexpr std::int64_t most_protected(std::int64_t max_map_count) noexcept {
    return max_map_count * 45 / 100 / 2;
  }

  explicit StackPool(const StackOptions& options) noexcept;
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  // Returns a stack of at least `size` bytes (0: the default size), or null with -errno in `error`:
  // -EINVAL above kMostSize.
  Stack* take(std::size_t size, int& error) noexcept;
  void give_back(Stack* stack) noexcept;

  GuardMethod guard_method() const noexcept { return guard_.load(base::kRelaxed); }
  // Stacks taken and not given back. Zero when every fiber has ended.
  std::int64_t taken() const noexcept;

  // Past a shutdown deadline the stacks of the stragglers stay mapped on purpose (F6).
  void leak() noexcept { leaked_ = true; }

 private:
  friend class StackCache;
  struct Slab;

  Stack* carve(int& error) noexcept;
  Stack* map_odd(std::size_t size, int& error) noexcept;
  Stack* place(const std::byte* mapping, std::byte* low, std::size_t size, bool pooled,
               int& error) noexcept;
  std::size_t stride() const noexcept { return kGuard + options_.size; }
  int install_guard(std::byte* low, bool& has_protected) noexcept;
  int protect_guard(std::byte* low) noexcept;
  void explain_failure(int error) noexcept;
  // Moves up to `count` stacks between the depot and a cache's chain.
  Stack* withdraw(std::size_t count, std::size_t& got) noexcept;
  void deposit(Stack* chain, std::size_t count) noexcept;

  StackOptions options_;
  base::Atomic<GuardMethod> guard_;
  std::int64_t protect_limit_ = 0;  // stacks that mprotect may guard
  base::Atomic<std::int64_t> protected_{0};
  base::Atomic<std::int64_t> taken_{0};
  base::Atomic<std::uint32_t> next_colour_{0};
  bool leaked_ = false;

  mutable base::Mutex mutex_;
  base::List<StackCache> caches_;
  base::Plain<Stack*> depot_ = nullptr;
  base::Plain<std::size_t> depot_size_ = 0;
  Slab* slabs_ = nullptr;
  // Stacks in the next one; it starts small, since a small program has little address space.
  std::size_t next_slab_ = 4;
};

// A worker's own stacks, the one used last on top. Only its worker uses them.
class StackCache : public base::Link {
 public:
  explicit StackCache(StackPool& pool) noexcept;
  ~StackCache();
  StackCache(const StackCache&) = delete;
  StackCache& operator=(const StackCache&) = delete;

  Stack* take(std::size_t size, int& error) noexcept;
  void give_back(Stack* stack) noexcept;
  void flush() noexcept;

 private:
  friend class StackPool;
  static constexpr std::size_t kMax = base::kIsModel ? 2 : 64;

  void count(std::int64_t change) noexcept {
    lent_.store(lent_.load(base::kRelaxed) + change, base::kRelaxed);
  }

  StackPool& pool_;
  // Taken here minus given back here; only this worker writes it.
  base::Atomic<std::int64_t> lent_{0};
  Stack* top_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace ramie::inline v0::sched
