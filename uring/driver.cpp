// See driver.hpp.
#include "uring/driver.hpp"

#include "io/sys/event_fd.hpp"
#include "sched/base/sys.hpp"
#include "sched/worker.hpp"
#include "uring/opcodes.hpp"

#include <cerrno>
#include <new>

namespace ramie::inline v0::uring {

namespace {

constexpr base::Nanos kAskAgain = std::chrono::seconds(1);
constexpr std::uint32_t kWritable = 4;  // POLLOUT
constexpr int kTries = 10;

constinit base::Atomic<int> refusal{0};
constinit base::Atomic<bool> has_said{false};
constinit base::Atomic<bool> has_said_for_now{false};
constinit std::array<base::Atomic<bool>, 256> denied{};

std::error_code code_of(int error) noexcept { return {error, std::system_category()}; }

// These errors may pass, when memory or descriptors become free.
bool is_for_now(std::error_code why) noexcept {
  return why == std::errc::not_enough_memory || why == std::errc::too_many_files_open ||
         why == std::errc::too_many_files_open_in_system ||
         why == std::errc::resource_unavailable_try_again;
}

const char* likely_cause(int error) noexcept {
  switch (error) {
    case EPERM:
    case EACCES: return "seccomp, or kernel.io_uring_disabled";
    case ENOSYS: return "the kernel is built without it, or seccomp";
    case ENOMEM: return "RLIMIT_MEMLOCK is used up, or there is no memory";
    case EMFILE:
    case ENFILE: return "no descriptor is left";
    default: return "the kernel's io_uring is older than 5.17, or a sandbox";
  }
}

// Tries what a worker needs to sleep in its ring: entering it, a poll, by which others wake it, and
// a cancel. A sandbox, or a filter of io_uring's operations, may deny each alone. `bell` is ready
// to be written to, so the poll ends at once. Returns 0 or -errno.
int try_out(Ring& ring, int bell) noexcept {
  Entry poll;
  poll.opcode = kPollAdd;
  poll.fd = bell;
  poll.operation_flags = kWritable;
  Entry cancel;  // finds nothing
  cancel.opcode = kAsyncCancel;
  cancel.address = ~std::uint64_t{0};
  for (const Entry& entry : {poll, cancel})
    if (!ring.push(entry)) return -ENOMEM;
  int error = -EINTR;
  for (int tries = 0; tries < kTries && (error == -EINTR || error == -EBUSY || error == -EAGAIN);
       ++tries)
    error = ring.submit();
  if (error != 0) return error;
  std::array<Event, 2> events;
  while (const std::size_t count = ring.take(events))
    for (std::size_t i = 0; i < count; ++i)
      if (may_be_denied(events[i].result)) error = events[i].result;
  return error;
}

}  // namespace

int process_refusal() noexcept { return refusal.load(base::kRelaxed); }

void forget_refusal() noexcept {
  refusal.store(0, base::kRelaxed);
  has_said.store(false, base::kRelaxed);
  has_said_for_now.store(false, base::kRelaxed);
  for (base::Atomic<bool>& one : denied) one.store(false, base::kRelaxed);
}

bool is_denied(std::uint8_t opcode) noexcept { return denied[opcode].load(base::kRelaxed); }

void deny_opcode(std::uint8_t opcode, int error) noexcept {
  if (denied[opcode].exchange(true, base::kRelaxed)) return;
  base::warn(
      "io_uring's operation %u is denied (%s), but the same system call works: a filter of "
      "io_uring's operations; Ramie uses the system call from now on",
      unsigned{opcode}, base::sys::describe_error(error));
}

void say_refused(std::error_code why) noexcept {
  const bool is_passing = is_for_now(why);
  if ((is_passing ? has_said_for_now : has_said).exchange(true, base::kRelaxed)) return;
  const bool is_ours = why.category() == category();
  const int error = is_ours ? EOPNOTSUPP : why.value();
  base::warn("io_uring is off%s (%s): %s; files use the blocking pool",
             is_passing ? " for now" : "", base::sys::describe_error(error), likely_cause(error));
}

Driver::Driver(std::size_t workers, const RingOptions& options, bool is_on)
    : options_(options), is_on_(is_on), homes_(workers) {}

Driver::~Driver() {
  for (Home& home : homes_) delete home.site.load(base::kRelaxed);
}

Result<Site*> Driver::check_and_init(sched::Worker& worker) noexcept {
  Home& home = homes_[worker.index()];
  if (Site* site = home.site.load(base::kRelaxed)) [[likely]] {
    if (const int denial = site->denial(); denial != 0) [[unlikely]]
      return refuse(denial);
    return site;
  }
  if (!is_on_) return failure(errc::unsupported);
  if (const int error = process_refusal(); error != 0)
    return failure(error == EOPNOTSUPP ? make_error_code(errc::unsupported) : code_of(error));
  if (home.refusal && base::now() < home.ask_again) return failure(home.refusal);
  auto made = make_site(worker);
  if (made) {
    home.refusal.clear();
    home.site.store(*made, base::kRelease);
    worker.set_park_site(*made);
    return made;
  }
  say_refused(made.error());
  home.refusal = made.error();
  home.ask_again = base::now() + kAskAgain;
  if (is_for_now(made.error())) return made;
  const bool is_ours = made.error().category() != std::system_category();
  refusal.store(is_ours ? EOPNOTSUPP : made.error().value(), base::kRelaxed);
  return made;
}

Result<Site*> Driver::refuse(int error) noexcept {
  say_refused(code_of(error));
  refusal.store(error, base::kRelaxed);
  return failure(code_of(error));
}

Result<TriedRing> make_tried_ring(const RingOptions& options) noexcept {
  auto ring = Ring::create(options);
  if (!ring) return failure(ring.error());
  io::sys::UniqueFd bell(io::sys::open_event());
  if (!bell.is_open()) return failure(code_of(-bell.get()));
  if (const int error = try_out(**ring, bell.get()); error != 0) return failure(code_of(-error));
  return TriedRing{std::move(*ring), std::move(bell)};
}

Result<Site*> Driver::make_site(sched::Worker& worker) noexcept {
  auto tried = make_tried_ring(options_);
  if (!tried) return failure(tried.error());
  try {
    return new Site(worker, std::move(tried->ring), std::move(tried->bell));
  } catch (const std::bad_alloc&) {
    return failure(std::make_error_code(std::errc::not_enough_memory));
  }
}

}  // namespace ramie::inline v0::uring
