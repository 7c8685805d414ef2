// See unhandled.hpp.
#include "sched/unhandled.hpp"

#include "sched/base/assert.hpp"
#include "sched/base/clock.hpp"
#include "sched/base/sys.hpp"
#include "sched/fiber.hpp"
#include "sched/frames.hpp"
#include "sched/scheduler.hpp"

#include <cstdio>
#include <exception>

namespace ramie::inline v0::sched {

namespace {

// Bounded, so that it fits into a message. Without memory it is as short as it must be.
struct Who {
  char text[256];
  explicit Who(const FiberIdentity& fiber) noexcept {
#if !defined(RAMIE_MODEL)
    try {
      (void)std::snprintf(text, sizeof text, "%s", describe(fiber).c_str());
      return;
    } catch (const std::bad_alloc&) {
    }
#endif
    (void)std::snprintf(text, sizeof text, "fiber %lu '%s' (spawned at %p)",
                        static_cast<unsigned long>(fiber.id), fiber.name.data(), fiber.spawned_at);
  }
};

// `end` says what happened. It stands before the text of the exception.
void warn_of_exception(const FiberIdentity& fiber, const std::exception_ptr& exception,
                       const char* end) noexcept {
  const Who who(fiber);
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    base::warn("%s %s: %s", who.text, end, error.what());
  } catch (...) {
    base::warn("%s %s; it is no std::exception, so it has no text", who.text, end);
  }
}

}  // namespace

void report_exception(const Fiber& fiber) noexcept {
  warn_of_exception(fiber.identity(), fiber.exception, "ended with an exception that nobody joins");
}

void report_lost_exception(const FiberIdentity& child,
                           const std::exception_ptr& exception) noexcept {
  warn_of_exception(child, exception,
                    "ended with an exception, and its Scope ended without a join() that would "
                    "have thrown it");
}

void report_lost_refusal(const FiberIdentity& child, std::error_code error) noexcept {
  base::warn("%s never ran, and its Scope ended without a join() that would have said so: %s",
             Who(child).text, base::sys::describe_error(error.value()));
}

namespace {

// A process without memory refuses thousands of tasks, so it prints at most one line a second.
void report_refusal(const Fiber& fiber) noexcept {
  static base::Atomic<std::int64_t> next_report{0};
  const std::int64_t now = std::chrono::nanoseconds(base::now().time_since_epoch()).count();
  std::int64_t due = next_report.load(base::kRelaxed);
  if (now < due || !next_report.compare_exchange_strong(due, now + 1'000'000'000, base::kRelaxed))
    return;
  base::warn("%s never ran, and nobody joins it: %s", Who(fiber.identity()).text,
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
      if (fiber.scheduler->options().abort_on_unhandled)
        base::fatal("nobody joins the fiber of that exception, and RAMIE_UNHANDLED is abort");
      fiber.exception = nullptr;
      return;
    }
    case detail::Outcome::error:
      if (is_refusal) report_refusal(fiber);
      return;
    default: return;
  }
}

}  // namespace ramie::inline v0::sched
