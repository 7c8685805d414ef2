// See unhandled.hpp.
#include "sched/unhandled.hpp"

#include "sched/base/assert.hpp"
#include "sched/base/clock.hpp"
#include "sched/base/sys.hpp"
#include "sched/fiber.hpp"
#include "sched/scheduler.hpp"

#include <exception>

namespace ramie {
inline namespace v0 {
namespace sched {

void report_exception(const Fiber& fiber) noexcept {
  const auto id = static_cast<unsigned long>(fiber.id);
  try {
    std::rethrow_exception(fiber.exception);
  } catch (const std::exception& error) {
    base::warn("fiber %lu '%s' (spawned at %p) ended with an exception that nobody joins: %s", id,
               fiber.name, fiber.spawn_site, error.what());
  } catch (...) {
    base::warn(
        "fiber %lu '%s' (spawned at %p) ended with an exception that nobody joins, not a "
        "std::exception",
        id, fiber.name, fiber.spawn_site);
  }
}

void report_lost_exception(const std::exception_ptr& exception) noexcept {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    base::warn("a Scope ended with an exception of a child that join() did not ask for: %s",
               error.what());
  } catch (...) {
    base::warn("a Scope ended with an exception of a child that join() did not ask for");
  }
}

namespace {

// A process without memory refuses thousands: one line a second says it.
void report_refusal(const Fiber& fiber) noexcept {
  static base::Atomic<std::int64_t> next_report{0};
  const std::int64_t now = std::chrono::nanoseconds(base::now().time_since_epoch()).count();
  std::int64_t due = next_report.load(base::kRelaxed);
  if (now < due || !next_report.compare_exchange_strong(due, now + 1'000'000'000, base::kRelaxed))
    return;
  base::warn("fiber %lu '%s' (spawned at %p) never ran, and nobody joins it: %s",
             static_cast<unsigned long>(fiber.id), fiber.name, fiber.spawn_site,
             base::sys::describe_error(fiber.error.value()));
}

}  // namespace

bool was_refused(const Fiber& fiber) noexcept {
  return fiber.outcome.load(base::kRelaxed) == detail::Outcome::error &&
         fiber.error.category() != category();
}

bool has_result(const Fiber& fiber) noexcept {
  if (was_refused(fiber)) return true;
  switch (fiber.outcome.load(base::kRelaxed)) {
    case detail::Outcome::value: return fiber.ops->drop_result != nullptr;
    case detail::Outcome::exception: return true;
    default: return false;
  }
}

void drop_task_result(Fiber& fiber) noexcept {
  const bool is_refusal = was_refused(fiber);
  switch (fiber.outcome.exchange(detail::Outcome::none, base::kAcqRel)) {
    case detail::Outcome::value:
      if (fiber.ops->drop_result != nullptr) fiber.ops->drop_result(fiber.storage);
      return;
    case detail::Outcome::exception: {
      report_exception(fiber);
      if (fiber.scheduler->options().abort_on_unhandled) base::fatal("RAMIE_UNHANDLED=abort");
      fiber.exception = nullptr;
      return;
    }
    case detail::Outcome::error:
      if (is_refusal) report_refusal(fiber);
      return;
    default: return;
  }
}

}  // namespace sched
}  // namespace v0
}  // namespace ramie
