// See handle.hpp.
#include "uring/handle.hpp"

#include "io/sys/outcome.hpp"
#include "sched/current.hpp"
#include "sched/scheduler.hpp"

#include <cerrno>
#include <new>

namespace ramie::inline v0::uring {

namespace {

constexpr std::uint8_t kAsync = 1U << 4U;  // IOSQE_ASYNC

// What the kernel reports for an operation that it ended because we asked.
bool is_given_up(std::int32_t result) noexcept { return result == -ECANCELED || result == -EINTR; }

}  // namespace

Result<std::unique_ptr<Handle>> Handle::create(std::size_t workers,
                                               const HandleOptions& options) noexcept {
  try {
    auto driver = std::make_unique<Driver>(workers, options.ring, options.is_on);
    return std::unique_ptr<Handle>(new Handle(std::move(driver), options.has_files));
  } catch (const std::bad_alloc&) {
    return failure(std::make_error_code(std::errc::not_enough_memory));
  }
}

Handle* Handle::current() noexcept {
  const sched::Fiber* fiber = sched::current_fiber();
  return fiber == nullptr ? nullptr : fiber->scheduler->env.find<Handle>();
}

Result<Site*> Handle::check_and_init() noexcept {
  const base::TsanInternal internal;
  return driver_->check_and_init(*sched::current_fiber()->worker.load(base::kRelaxed));
}

Result<Site*> Handle::register_op(Op& op) noexcept {
  auto site = check_and_init();
  if (site) (*site)->start(op);
  return site;
}

Result<Completion> Handle::finish(Site& site, Op& op, sched::Wait& wait) noexcept {
  if (const auto ended = site.await(op, wait); !ended) {
    cancel_op(site, op);
    sched::Wait final(op.kind, op.object, sched::Wait::Shield::yes);
    (void)site.await(op, final);
    if (is_given_up(op.result)) return failure(ended.error());
  }
  return Completion{op.result, op.flags};
}

std::string describe_wait(const void* op) {
  const Entry& entry = static_cast<const Op*>(op)->entry;
  return "operation " + std::to_string(entry.opcode) + " of descriptor " + std::to_string(entry.fd);
}

// --- the public face -----------------------------------------------------------------------------

Result<void> check() noexcept {
  Handle* handle = Handle::current();
  if (handle == nullptr) return failure(errc::no_runtime);
  auto site = handle->check_and_init();
  if (!site) return failure(site.error());
  return {};
}

bool has_opcode(std::uint8_t opcode) noexcept {
  Handle* handle = Handle::current();
  if (handle == nullptr) return false;
  auto site = handle->check_and_init();
  return site && (*site)->ring().opcodes()[opcode] && !is_denied(opcode);
}

Result<Completion> detail::submit(const Entry& entry) noexcept {
  Handle* handle = Handle::current();
  if (handle == nullptr) return failure(errc::no_runtime);
  if ((entry.flags & ~kAsync) != 0)
    return failure(std::make_error_code(std::errc::invalid_argument));
  Op op;
  op.entry = entry;
  auto completion = handle->run(op);
  const bool is_refused =
      completion ? completion->result == -ECANCELED : completion.error() == errc::unsupported;
  if (is_refused)
    if (auto usable = check(); !usable) return failure(usable.error());
  if (!completion) return completion;
  if (completion->result < 0) return failure(io::system_error(completion->result));
  return completion;
}

}  // namespace ramie::inline v0::uring
