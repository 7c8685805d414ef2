// See ring.hpp. liburing 2.3 is enough: newer features are bits and numbers, and the kernel tells
// which ones it has.
#include "uring/ring.hpp"

#include "sched/base/annotate.hpp"
#include "sched/base/sys.hpp"

#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace ramie::inline v0::uring {

static_assert(sizeof(io_uring_sqe) == sizeof(Entry));
static_assert(Ring::kMore == IORING_CQE_F_MORE && Ring::kNotification == IORING_CQE_F_NOTIF);

namespace {

constexpr unsigned kAlways = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
constexpr unsigned kLeastEntries = 8;

// No completion is dropped (5.5); reads and writes at the file's own position (5.6); a wait with a
// time limit (5.11); completions that can be suppressed (5.17).
constexpr unsigned kNeeded =
    IORING_FEAT_NODROP | IORING_FEAT_RW_CUR_POS | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;

struct Step {
  RingMode mode;
  unsigned flags;
};

constexpr Step kSteps[] = {
    {RingMode::cooperative, kAlways | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN |
                                IORING_SETUP_TASKRUN_FLAG},  // 5.19
    {RingMode::plain, kAlways | IORING_SETUP_SUBMIT_ALL},    // 5.18
    {RingMode::plain, kAlways},
};

// No call here reads errno: liburing returns it, negative.
[[gnu::noinline]] int set_up(io_uring& ring, unsigned entries, unsigned completions,
                             unsigned flags) noexcept {
  if (int planned = base::inject("io_uring_setup"); planned != 0) return planned;
  io_uring_params params{};
  params.flags = flags;
  params.cq_entries = completions;
  return ::io_uring_queue_init_params(entries, &ring, &params);
}

bool is_tried(RingMode wanted, RingMode step) noexcept {
  return wanted == RingMode::automatic || step >= wanted;
}

// Returns 0 and sets the mode, or returns why the kernel refuses.
int set_up_best(io_uring& ring, const RingOptions& options, unsigned entries,
                RingMode& mode) noexcept {
  const unsigned completions = options.completions != 0 ? options.completions : entries * 4;
  int error = -EINVAL;
  for (const Step& step : kSteps) {
    if (!is_tried(options.mode, step.mode)) continue;
    error = set_up(ring, entries, std::max(completions, entries), step.flags);
    mode = step.mode;
    if (error != -EINVAL) break;
  }
  return error;
}

}  // namespace

struct Ring::Parts {
  io_uring ring{};
  bool is_open = false;

  ~Parts() {
    if (is_open) ::io_uring_queue_exit(&ring);
  }
};

Ring::Ring(std::unique_ptr<Parts> parts, RingMode mode) noexcept
    : parts_(std::move(parts)), mode_(mode) {
  if (io_uring_probe* probe = ::io_uring_get_probe_ring(&parts_->ring)) {
    for (unsigned opcode = 0; opcode < opcodes_.size(); ++opcode)
      opcodes_[opcode] = ::io_uring_opcode_supported(probe, static_cast<int>(opcode)) != 0;
    ::io_uring_free_probe(probe);
  }
}

Ring::~Ring() = default;

Result<std::unique_ptr<Ring>> Ring::create(const RingOptions& options) noexcept {
  std::unique_ptr<Parts> parts(new (std::nothrow) Parts);
  if (!parts) return failure(std::make_error_code(std::errc::not_enough_memory));
  RingMode mode = RingMode::plain;
  int error = -ENOMEM;
  for (unsigned entries = options.entries; error == -ENOMEM; entries /= 4) {
    if (entries < kLeastEntries && entries != options.entries) break;
    error = set_up_best(parts->ring, options, entries, mode);
  }
  if (error != 0) return failure(std::error_code(-error, std::system_category()));
  parts->is_open = true;
  if ((parts->ring.features & kNeeded) != kNeeded) return failure(errc::unsupported);
  (void)::io_uring_ring_dontfork(&parts->ring);  // a child must not write into our ring
  std::unique_ptr<Ring> ring(new (std::nothrow) Ring(std::move(parts), mode));
  if (!ring) return failure(std::make_error_code(std::errc::not_enough_memory));
  return ring;
}

bool Ring::push(const Entry& entry) noexcept {
  io_uring_sqe* place = ::io_uring_get_sqe(&parts_->ring);
  if (place == nullptr) return false;
  std::memcpy(place, &entry, sizeof entry);
  return true;
}

[[gnu::noinline]] int Ring::submit() noexcept {
  if (int planned = base::inject("io_uring_enter"); planned != 0) return planned;
  const int rc = ::io_uring_submit_and_get_events(&parts_->ring);
  return rc < 0 ? rc : 0;
}

[[gnu::noinline]] int Ring::wait(base::Nanos max_wait) noexcept {
  if (int planned = base::inject("io_uring_enter"); planned != 0) return planned;
  constexpr auto kSecond = std::chrono::nanoseconds(std::chrono::seconds(1)).count();
  __kernel_timespec limit{};
  __kernel_timespec* at_most = nullptr;
  if (max_wait.count() >= 0) {
    limit.tv_sec = max_wait.count() / kSecond;
    limit.tv_nsec = max_wait.count() % kSecond;
    at_most = &limit;
  }
  io_uring_cqe* first = nullptr;
  const int rc = ::io_uring_submit_and_wait_timeout(&parts_->ring, &first, 1, at_most, nullptr);
  return rc < 0 ? rc : 0;
}

// This is possible because the kernel reads the queue only when it is entered. liburing may have
// published the entry.
bool Ring::take_back(std::uint64_t& tag) noexcept {
  io_uring_sq& queue = parts_->ring.sq;
  if (::io_uring_sq_ready(&parts_->ring) == 0) return false;
  const unsigned tail = --queue.sqe_tail;
  tag = queue.sqes[tail & *queue.kring_mask].user_data;
  if (queue.sqe_head - tail == 1) {
    queue.sqe_head = tail;
    io_uring_smp_store_release(queue.ktail, tail);
  }
  return true;
}

bool Ring::needs_enter() const noexcept {
  const io_uring& ring = parts_->ring;
  const unsigned flags = IO_URING_READ_ONCE(*ring.sq.kflags);
  return ::io_uring_sq_ready(&ring) != 0 ||
         (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

bool Ring::has_news() const noexcept {
  return needs_enter() || ::io_uring_cq_ready(&parts_->ring) != 0;
}

std::size_t Ring::take(std::span<Event> events) noexcept {
  io_uring& ring = parts_->ring;
  std::size_t count = 0;
  io_uring_cqe* cqe = nullptr;
  unsigned head = 0;
  io_uring_for_each_cqe(&ring, head, cqe) {
    if (count == events.size()) break;
    events[count++] = {cqe->user_data, as_heard(cqe->res), cqe->flags};
  }
  ::io_uring_cq_advance(&ring, static_cast<unsigned>(count));
  return count;
}

std::size_t Ring::completions() const noexcept { return parts_->ring.cq.ring_entries; }

}  // namespace ramie::inline v0::uring
