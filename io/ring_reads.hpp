// Receives that wait in a worker's io_uring instead of for readiness (RAMIE_IO=uring). This layer
// knows only these functions; the layer above has the rings.
//
//   recv says EAGAIN -> receive(): the kernel fills the fiber's own buffer when data comes
//
// Such a socket is registered for writing only: each packet would wake the epoll, too. A thread or
// worker without a ring turns that round (Driver::listen_to_reads) and waits for readiness.
//
// It goes to the kernel with others, when the worker looks or sleeps. A read that took all that was
// there says so (set_drained), and the next one does not try recv() first.
//
// While it waits, a RingRead is linked in the ScheduledIo, so that the end of the registration
// finds it.
#pragma once

#include <ramie/result.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace ramie {
inline namespace v0 {
namespace io {

class ScheduledIo;

struct RingRead {
  // Under the registration's lock: asks the kernel to give the operation up.
  void (*give_up)(RingRead&) noexcept = nullptr;
  // Who gives it up may leave the descriptor to it: to be closed when the operation has ended. Else
  // the number could be another's before the kernel has seen the operation.
  int descriptor = -1;
};

struct RingReads {
  // Bytes; or, with an empty buffer, success as soon as something is there. Errors: `unsupported`
  // if the fiber's worker has no ring; already_waiting; canceled once deregistered, also if the
  // slot is another's by now; the wait's own.
  Result<std::size_t> (*receive)(ScheduledIo& io, std::uint16_t generation, int fd,
                                 std::span<std::byte> buffer) noexcept;
};

}  // namespace io
}  // namespace v0
}  // namespace ramie
