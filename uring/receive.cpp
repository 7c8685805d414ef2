// See io/ring_reads.hpp: a receive that waits in the worker's ring, into the fiber's own buffer.
#include "uring/receive.hpp"

#include "io/scheduled_io.hpp"
#include "io/sys/fd.hpp"
#include "sched/current.hpp"
#include "uring/handle.hpp"
#include "uring/opcodes.hpp"

#include <cerrno>
#include <mutex>

namespace ramie {
inline namespace v0 {
namespace uring {

namespace {

constexpr std::uint32_t kReadable = 0x2001;  // POLLIN | POLLRDHUP
constexpr std::int32_t kError = 0x8;         // POLLERR

struct Receive : Op, io::RingRead {
  Site* site = nullptr;  // under the registration's lock, as the next
  bool is_given_up = false;
};

// By whoever ends the registration, under its lock.
void give_up_on(io::RingRead& read) noexcept {
  auto& receive = static_cast<Receive&>(read);
  receive.is_given_up = true;
  if (receive.site != nullptr) receive.site->cancel_later(receive);
}

void prepare(Entry& entry, int fd, std::span<std::byte> buffer) noexcept {
  entry.fd = fd;
  if (buffer.empty()) {
    entry.opcode = kPollAdd;
    entry.operation_flags = kReadable;
    return;
  }
  entry.opcode = kReceive;
  entry.priority = kPollFirst;
  entry.address = reinterpret_cast<std::uintptr_t>(buffer.data());
  entry.length = static_cast<std::uint32_t>(std::min<std::size_t>(buffer.size(), 1U << 30U));
}

Result<Completion> wait_in_ring(Handle& handle, io::ScheduledIo& io, Receive& receive) noexcept {
  return handle.run(receive, [&](Site& site) {
    const std::lock_guard lock(io.mutex());
    receive.site = &site;
    if (receive.is_given_up) site.cancel_later(receive);
  });
}

Result<std::size_t> receive(io::ScheduledIo& io, std::uint16_t generation, int fd,
                            std::span<std::byte> buffer) noexcept {
  Handle* handle = Handle::current();
  if (handle == nullptr || !handle->check_and_init()) return failure(errc::unsupported);
  if (is_denied(kReceive)) return failure(errc::unsupported);
  Receive receive;
  receive.give_up = &give_up_on;
  receive.may_batch = true;
  receive.kind = sched::WaitKind::readable;
  receive.object = &io;
  prepare(receive.entry, fd, buffer);
  if (auto begun = io.begin(receive, generation); !begun) return failure(begun.error());
  const auto done = wait_in_ring(*handle, io, receive);
  io.end(receive);
  if (receive.descriptor >= 0) io::sys::close(receive.descriptor);
  const bool has_data = done && done->result >= 0 && (!buffer.empty() || done->result != kError);
  if (receive.is_given_up && !has_data)
    return failure(io.state().load().is_shut_down() ? errc::shutting_down : errc::canceled);
  if (!done) return failure(done.error());
  if (has_data) return static_cast<std::size_t>(done->result);
  // An error queue that is not empty stays so: only edges can wait beside it. Older kernels do not
  // wait with O_NONBLOCK; before 5.19 they know no kPollFirst.
  if (done->result >= 0 || done->result == -EAGAIN || done->result == -EINVAL)
    return failure(errc::unsupported);
  // Not of a socket's own: a filter's, or for want of a thread, or a signal came.
  if (may_be_denied(done->result)) deny_opcode(receive.entry.opcode, -done->result);
  if (may_be_denied(done->result) || done->result == -ECANCELED || done->result == -EINTR)
    return failure(errc::unsupported);
  return failure(std::error_code(-done->result, std::system_category()));
}

}  // namespace

const io::RingReads& ring_reads() noexcept {
  static constexpr io::RingReads kReads{&receive};
  return kReads;
}

}  // namespace uring
}  // namespace v0
}  // namespace ramie
