// What the layer of sockets asks of the rings: see io/ring_reads.hpp.
#pragma once

#include "io/ring_reads.hpp"

namespace ramie {
inline namespace v0 {
namespace uring {

const io::RingReads& ring_reads() noexcept;

}  // namespace uring
}  // namespace v0
}  // namespace ramie
