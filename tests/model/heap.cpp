// Memory that a run deletes stays until the run ends. So a use after the delete finds destroyed
// atomics and fails the run, whatever the allocator would do with the memory.
#include "tests/model/execution.hpp"

#include <array>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define RAMIE_OWN_HEAP 0  // the sanitizer has its own
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RAMIE_OWN_HEAP 0
#endif
#endif

namespace ramie::model {
namespace {

constinit std::array<void*, 4096> deleted{};
constinit std::size_t deleted_count = 0;

}  // namespace

void Execution::free_deleted() noexcept {
  while (deleted_count != 0) std::free(deleted[--deleted_count]);
}

// Returns false if this run does not keep it.
bool Execution::keep_deleted(void* memory) noexcept {
  if (active_ == nullptr || active_->failed()) return false;
  for (std::size_t i = deleted_count; i-- > 0;) {
    if (deleted[i] == memory) active_->fail("an object is deleted twice");
  }
  if (deleted_count == deleted.size()) return false;
  deleted[deleted_count++] = memory;
  return true;
}

}  // namespace ramie::model

#if !defined(RAMIE_OWN_HEAP)

void* operator new(std::size_t size) {
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto unit = static_cast<std::size_t>(alignment);
  if (void* memory = std::aligned_alloc(unit, (size + unit - 1) / unit * unit)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  if (memory != nullptr && !ramie::model::Execution::keep_deleted(memory)) std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { operator delete(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  operator delete(memory);
}

#endif
