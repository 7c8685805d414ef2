// See outcome.hpp.
#include "io/sys/outcome.hpp"

#include <cerrno>

namespace ramie::inline v0::io::sys {

[[gnu::noinline]] int outcome_of(int rc) noexcept { return rc < 0 ? -errno : rc; }

}  // namespace ramie::inline v0::io::sys
