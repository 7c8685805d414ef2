// See unhandled.hpp.
#include "sched/unhandled.hpp"

#include "sched/base/assert.hpp"
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

bool has_result(const Fiber& fiber) noexcept {
  switch (fiber.outcome.load(base::kRelaxed)) {
    case detail::Outcome::value: return fiber.ops->drop_result != nullptr;
    case detail::Outcome::exception: return true;
    default: return false;
  }
}

void drop_task_result(Fiber& fiber) noexcept {
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
    default: return;
  }
}

}  // namespace sched
}  // namespace v0
}  // namespace ramie
