// See detectors.hpp.
#include "sched/detectors.hpp"

#include "sched/base/annotate.hpp"
#include "sched/base/assert.hpp"
#include "sched/base/atomic.hpp"

#include <cstdlib>
#include <cstring>

// Each symbol exists if the program was built with its detector, and is null otherwise.
#if !RAMIE_TSAN
extern "C" [[gnu::weak]] void __tsan_acquire(void* address);
#endif
#if !RAMIE_ASAN
extern "C" [[gnu::weak]] void __asan_init();
#endif

namespace ramie::inline v0::sched {

namespace {

// Detects valgrind as its header does, without that header.
bool is_under_valgrind() noexcept {
  const char* preloaded = ::secure_getenv("LD_PRELOAD");
  return preloaded != nullptr && std::strstr(preloaded, "vgpreload") != nullptr;
}

}  // namespace

Detector unknown_detector() noexcept {
#if !RAMIE_TSAN
  if (&__tsan_acquire != nullptr) return Detector::tsan;
#endif
#if !RAMIE_ASAN
  if (&__asan_init != nullptr) return Detector::asan;
#endif
  if (RAMIE_VALGRIND == 0 && is_under_valgrind()) return Detector::valgrind;
  return Detector::none;
}

const char* hint_of(Detector detector) noexcept {
  switch (detector) {
    case Detector::none: return "";
    case Detector::tsan:
      return "this program was built with -fsanitize=thread, but this libramie was not: the race "
             "detector does not know fibers, so it reports false races and misses real ones. "
             "Build Ramie with Clang and -Dtsan=precise for it";
    case Detector::asan:
      return "this program was built with -fsanitize=address, but this libramie was not: the "
             "detector does not know the stacks of fibers and may report false errors. "
             "Build Ramie with -Db_sanitize=address for it";
    case Detector::valgrind:
      return "this program runs under valgrind, but this libramie does not tell it about the "
             "stacks of fibers, so it may report false errors. Build Ramie with "
             "-Dvalgrind=true for it";
  }
  return "";
}

void hint_at_detector() noexcept {
  static constinit base::Atomic<bool> has_looked{false};
  if (has_looked.exchange(true, base::kRelaxed)) return;
  if (const Detector detector = unknown_detector(); detector != Detector::none)
    base::warn("%s", hint_of(detector));
}

}  // namespace ramie::inline v0::sched
