// See outcome.hpp.
#include "io/sys/outcome.hpp"

#include <cerrno>

namespace ramie {
inline namespace v0 {
namespace io {
namespace sys {

[[gnu::noinline]] int outcome_of(int rc) noexcept { return rc < 0 ? -errno : rc; }

}  // namespace sys
}  // namespace io
}  // namespace v0
}  // namespace ramie
