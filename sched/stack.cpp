// See stack.hpp.
#include "sched/stack.hpp"

#include "sched/base/annotate.hpp"
#include "sched/base/assert.hpp"
#include "sched/base/sys.hpp"

#include <sys/mman.h>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <new>
#include <span>

namespace ramie::inline v0::sched {

namespace {

namespace sys = base::sys;

constexpr std::size_t kLargestPage = 64 * 1024;
constexpr std::size_t kStacksPerSlab = 64;
constexpr std::size_t kSlabBytes = std::size_t{256} << 20;  // at most, unless one stack is larger
constexpr std::size_t kColours = 16;
// The race detector must not take the frames of one fiber for those of another. So under it every
// fiber gets fresh memory.
constexpr bool kReuses = RAMIE_TSAN == 0;
constexpr std::size_t kRecord = (sizeof(Stack) + 63) / 64 * 64;

// Whole pages within the bounds, so no sum or product below can overflow. (The Stack object needs a
// page.)
std::size_t bounded(std::size_t bytes) noexcept {
  const std::size_t page = sys::page_size();
  bytes = std::clamp(bytes, StackPool::kLeastSize, StackPool::kMostSize);
  return (bytes + page - 1) / page * page;
}
static_assert(StackPool::kMostSize % kLargestPage == 0 && StackPool::kMoat % kLargestPage == 0 &&
              StackPool::kGuard % kLargestPage == 0 && StackPool::kFaulting % kLargestPage == 0);

// An emulator may answer yes to any advice (qemu-user 7.2 does), and then there is no guard.
bool is_guard(std::byte* low) noexcept {
  return sys::advise(low, StackPool::kFaulting, sys::kPopulateRead) == -EFAULT;
}

std::int64_t most_maps() noexcept {
  constexpr std::int64_t kUsual = 65530;
  char text[24] = {};
  const int n = sys::read_file("/proc/sys/vm/max_map_count", std::span(text, sizeof text - 1));
  const std::int64_t limit = n > 0 ? std::strtol(text, nullptr, 10) : 0;
  return limit > 0 && limit < INT32_MAX ? limit : kUsual;
}

}  // namespace

struct StackPool::Slab {
  std::byte* base;
  std::size_t bytes;
  std::size_t used;
  Slab* next;

  // Where the place of that number begins, with its guard. After the last one comes the slab's end.
  std::byte* place(std::size_t number, std::size_t stride) const noexcept {
    return base + kMoat + number * stride;
  }
};

bool Stack::guards(const void* address) const noexcept {
  const auto* first = static_cast<const std::byte*>(low()) - guard_;
  return address >= first && address < low();
}

StackPool::StackPool(const StackOptions& options) noexcept
    : options_(options), guard_(options.guard) {
  options_.size = bounded(options.size);
  if (options.guard == GuardMethod::automatic || options.guard == GuardMethod::mprotect)
    protect_limit_ = most_protected(most_maps());
}

StackPool::~StackPool() {
  if (leaked_) return;
  RAMIE_CHECK(taken() == 0, "%ld stacks are in use after their runtime ended", taken());
  while (slabs_ != nullptr) {
    Slab* slab = slabs_;
    slabs_ = slab->next;
    for (std::size_t i = 0; i < slab->used; ++i) {
      const std::byte* low = slab->place(i, stride()) + kGuard;
      base::lsan_root_end(low, options_.size - kRecord);
    }
    (void)sys::unmap(slab->base, slab->bytes);
    delete slab;
  }
}

int StackPool::install_guard(std::byte* low, bool& has_protected) noexcept {
  GuardMethod method = guard_.load(base::kRelaxed);
  if (method == GuardMethod::off) return 0;
  if (method == GuardMethod::automatic || method == GuardMethod::madvise) {
    std::byte* guard = low + kGuard - kFaulting;
    int error = sys::advise(guard, kFaulting, sys::kGuardInstall);
    if (error == 0 && method == GuardMethod::automatic && !is_guard(guard)) error = -EINVAL;
    if (error == 0) {
      guard_.store(GuardMethod::madvise, base::kRelaxed);
      return 0;
    }
    if (error == -ENOMEM || options_.guard == GuardMethod::madvise) return error;
    // The kernel lacks it, a sandbox refuses it, or (after the first time) this memory is locked.
    if (method == GuardMethod::automatic) guard_.store(GuardMethod::mprotect, base::kRelaxed);
  }
  has_protected = true;
  return protect_guard(low);
}

int StackPool::protect_guard(std::byte* low) noexcept {
  if (protected_.fetch_add(1, base::kRelaxed) >= protect_limit_) {
    protected_.fetch_sub(1, base::kRelaxed);
    return -ENOMEM;
  }
  const int error = sys::protect_none(low, kGuard);
  if (error != 0) protected_.fetch_sub(1, base::kRelaxed);
  return error;
}

// `low` is the first byte of the guard. The Stack object goes to the upper end.
Stack* StackPool::place(const std::byte* mapping, std::byte* low, std::size_t size, bool pooled,
                        int& error) noexcept {
  bool has_protected = false;
  error = install_guard(low, has_protected);
  if (error != 0) return nullptr;
  const std::size_t colour = next_colour_.fetch_add(1, base::kRelaxed) % kColours * 64;
  std::byte* record = low + kGuard + size - kRecord;
  const auto reach = static_cast<std::size_t>(low + kGuard - mapping);
  auto* stack = ::new (record) Stack(size - kRecord, kGuard, colour, pooled, has_protected, reach);
  stack->valgrind_id_ = base::valgrind_stack_begin(stack->low(), record);
  base::lsan_root_begin(stack->low(), stack->size());
  return stack;
}

// The next unused place of the newest slab. Called under the mutex.
Stack* StackPool::carve(int& error) noexcept {
  if (slabs_ == nullptr ||
      slabs_->place(slabs_->used + 1, stride()) > slabs_->base + slabs_->bytes) {
    const std::size_t most = std::clamp<std::size_t>(kSlabBytes / stride(), 1, kStacksPerSlab);
    const std::size_t bytes = kMoat + stride() * std::min(most, next_slab_);
    auto* base = static_cast<std::byte*>(sys::map(bytes, error));
    if (base == nullptr) return nullptr;
    (void)sys::advise(base, bytes,
                      MADV_NOHUGEPAGE);  // a huge page would commit 2 MiB for one frame
    auto* slab = new (std::nothrow) Slab{base, bytes, 0, slabs_};
    if (slab == nullptr) {
      (void)sys::unmap(base, bytes);
      error = -ENOMEM;
      return nullptr;
    }
    slabs_ = slab;
    next_slab_ = std::min(next_slab_ * 2, kStacksPerSlab);
  }
  std::byte* low = slabs_->place(slabs_->used, stride());
  Stack* stack = place(slabs_->base, low, options_.size, true, error);
  if (stack != nullptr) ++slabs_->used;
  return stack;
}

Stack* StackPool::map_odd(std::size_t size, int& error) noexcept {
  if (size > kMostSize) {
    error = -EINVAL;
    return nullptr;
  }
  size = bounded(size);
  auto* base = static_cast<std::byte*>(sys::map(kGuard + size, error));
  if (base == nullptr) return nullptr;
  Stack* stack = place(base, base, size, false, error);
  if (stack == nullptr) (void)sys::unmap(base, kGuard + size);
  return stack;
}

Stack* StackPool::take(std::size_t size, int& error) noexcept {
  Stack* stack = nullptr;
  if (!kReuses || (size != 0 && size != options_.size)) {
    stack = map_odd(size == 0 ? options_.size : size, error);
  } else {
    mutex_.lock();
    if (depot_ != nullptr) {
      stack = depot_;
      depot_ = stack->next_;
      depot_size_ = depot_size_ - 1;
    } else {
      stack = carve(error);
    }
    mutex_.unlock();
  }
  if (stack != nullptr) taken_.fetch_add(1, base::kRelaxed);
  else explain_failure(error);
  return stack;
}

// The error ("Cannot allocate memory") does not say which limit was reached.
void StackPool::explain_failure(int error) noexcept {
  static constinit std::atomic<bool> has_explained{false};  // for a message only
  if (error != -ENOMEM || has_explained.exchange(true, base::kRelaxed)) return;
  const std::int64_t guarded = protected_.load(base::kRelaxed);
  if (guarded > 0 && guarded >= protect_limit_) {
    base::warn(
        "no more stacks for fibers: %ld have a guard by mprotect, which is all that "
        "vm.max_map_count=%ld allows; set it to 5 for each fiber (sysctl -w "
        "vm.max_map_count=%ld for %ld fibers), or set RAMIE_STACK_GUARD=off",
        guarded, most_maps(), guarded * 4 * 5, guarded * 4);
  } else {
    base::warn(
        "no memory for another stack of a fiber, with %ld in use: look at the limits of "
        "memory and address space (cgroup, ulimit -v, vm.overcommit_memory) and at "
        "vm.max_map_count=%ld",
        taken(), most_maps());
  }
}

void StackPool::give_back(Stack* stack) noexcept {
  base::asan_unpoison(stack->low(), stack->size());
  taken_.fetch_sub(1, base::kRelaxed);
  if (stack->pooled_) {
    stack->next_ = nullptr;
    deposit(stack, 1);
    return;
  }
  base::valgrind_stack_end(stack->valgrind_id_);
  base::lsan_root_end(stack->low(), stack->size());
  if (stack->has_protected_) protected_.fetch_sub(1, base::kRelaxed);
  auto* base = reinterpret_cast<std::byte*>(stack) - stack->size_ - stack->guard_;
  (void)sys::unmap(base, stack->guard_ + stack->size_ + kRecord);
}

Stack* StackPool::withdraw(std::size_t count, std::size_t& got) noexcept {
  const std::lock_guard lock(mutex_);
  Stack* chain = nullptr;
  for (got = 0; got < count && depot_ != nullptr; ++got) {
    Stack* stack = depot_;
    depot_ = stack->next_;
    stack->next_ = chain;
    chain = stack;
  }
  depot_size_ = depot_size_ - got;
  return chain;
}

// Beyond the cache limit a stack keeps its top page, with the Stack object, and gives the rest to
// the kernel, including what a frame may have left below the guard. The guard itself stays.
void StackPool::deposit(Stack* chain, std::size_t count) noexcept {
  const std::size_t page = sys::page_size();
  mutex_.lock();
  const bool is_full = (depot_size_ + count) * options_.size > options_.cache_bytes;
  mutex_.unlock();
  Stack* last = nullptr;
  for (Stack* stack = chain; stack != nullptr; last = stack, stack = stack->next_) {
    if (!is_full) continue;
    auto* low = static_cast<std::byte*>(const_cast<void*>(stack->low())) - stack->guard_;
    (void)sys::advise(low, stack->guard_ + stack->size_ / page * page, MADV_DONTNEED);
  }
  mutex_.lock();
  last->next_ = depot_;
  depot_ = chain;
  depot_size_ = depot_size_ + count;
  mutex_.unlock();
}

std::int64_t StackPool::taken() const noexcept {
  std::int64_t sum = taken_.load(base::kRelaxed);
  const std::lock_guard lock(mutex_);
  for (const StackCache* cache = caches_.front(); cache != nullptr; cache = caches_.next(*cache))
    sum += cache->lent_.load(base::kRelaxed);
  return sum;
}

StackCache::StackCache(StackPool& pool) noexcept : pool_(pool) {
  const std::lock_guard lock(pool_.mutex_);
  pool_.caches_.push_back(*this);
}

StackCache::~StackCache() {
  flush();
  const std::lock_guard lock(pool_.mutex_);
  pool_.caches_.erase(*this);
  pool_.taken_.fetch_add(lent_.load(base::kRelaxed), base::kRelaxed);
}

Stack* StackCache::take(std::size_t size, int& error) noexcept {
  if (!kReuses || (size != 0 && size != pool_.options_.size)) return pool_.take(size, error);
  if (top_ == nullptr) {
    top_ = pool_.withdraw(kMax / 2, size_);
    if (top_ == nullptr) return pool_.take(0, error);
  }
  Stack* stack = top_;
  top_ = stack->next_;
  --size_;
  count(1);
  return stack;
}

void StackCache::give_back(Stack* stack) noexcept {
  if (!stack->pooled_) {
    pool_.give_back(stack);
    return;
  }
  base::asan_unpoison(stack->low(), stack->size());
  count(-1);
  stack->next_ = top_;
  top_ = stack;
  if (++size_ <= kMax) return;
  // Keeps the half that was used last.
  Stack* last = top_;
  for (std::size_t i = 1; i < kMax / 2; ++i) last = last->next_;
  Stack* cold = last->next_;
  last->next_ = nullptr;
  pool_.deposit(cold, size_ - kMax / 2);
  size_ = kMax / 2;
}

void StackCache::flush() noexcept {
  if (top_ != nullptr) pool_.deposit(top_, size_);
  top_ = nullptr;
  size_ = 0;
}

}  // namespace ramie::inline v0::sched
