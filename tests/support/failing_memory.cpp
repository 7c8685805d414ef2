// See failing_memory.hpp.
#include "tests/support/failing_memory.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

constinit std::atomic<bool> is_counting{false};
constinit std::atomic<std::uint64_t> counted{0};
constinit std::atomic<std::uint64_t> fails_at{0};
constinit std::atomic<bool> failed{false};

bool must_fail() noexcept {
  if (!is_counting.load(std::memory_order_acquire)) return false;
  const std::uint64_t number = counted.fetch_add(1) + 1;
  const std::uint64_t which = fails_at.load(std::memory_order_relaxed);
  if (number != which && which != ramie_test::Memory::kEach) return false;
  failed.store(true);
  return true;
}

}  // namespace

namespace ramie_test {

void Memory::begin(std::uint64_t k) noexcept {
  counted.store(0);
  failed.store(false);
  fails_at.store(k);
  is_counting.store(true, std::memory_order_release);
}

std::uint64_t Memory::end() noexcept {
  is_counting.store(false);
  return counted.load();
}

std::uint64_t Memory::count() noexcept { return counted.load(); }
bool Memory::has_failed() noexcept { return failed.load(); }

}  // namespace ramie_test

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REPLACES_NEW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define REPLACES_NEW 1
#endif
#endif

#if defined(REPLACES_NEW)

void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return must_fail() ? nullptr : std::malloc(size == 0 ? 1 : size);
}
void* operator new(std::size_t size, std::align_val_t align, const std::nothrow_t&) noexcept {
  const auto unit = static_cast<std::size_t>(align);
  return must_fail() ? nullptr : std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
}
void* operator new(std::size_t size) {
  void* memory = operator new(size, std::nothrow);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(std::size_t size, std::align_val_t align) {
  void* memory = operator new(size, align, std::nothrow);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new[](std::size_t size, std::align_val_t align) { return operator new(size, align); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

#else

// glibc's own allocator under its other names.
extern "C" {
void* __libc_malloc(std::size_t size);                           // NOLINT
void* __libc_calloc(std::size_t count, std::size_t size);        // NOLINT
void* __libc_realloc(void* memory, std::size_t size);            // NOLINT
void* __libc_memalign(std::size_t alignment, std::size_t size);  // NOLINT

void* malloc(std::size_t size) noexcept {
  if (!must_fail()) return __libc_malloc(size);
  errno = ENOMEM;
  return nullptr;
}
void* calloc(std::size_t count, std::size_t size) noexcept {
  if (!must_fail()) return __libc_calloc(count, size);
  errno = ENOMEM;
  return nullptr;
}
void* realloc(void* memory, std::size_t size) noexcept {
  if (!must_fail()) return __libc_realloc(memory, size);
  errno = ENOMEM;
  return nullptr;
}
void* memalign(std::size_t alignment, std::size_t size) noexcept {
  if (!must_fail()) return __libc_memalign(alignment, size);
  errno = ENOMEM;
  return nullptr;
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return memalign(alignment, size);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
  *memory = memalign(alignment, size);
  return *memory == nullptr ? ENOMEM : 0;
}
}

#endif
