// Runtime, Handle and EnterGuard.
#include <ramie/runtime.hpp>

#include "runtime/state.hpp"
#include "sched/base/assert.hpp"
#include "sched/current.hpp"
#include "sched/dump.hpp"
#include "sched/fiber.hpp"

#include <algorithm>

namespace ramie::inline v0::runtime {

namespace detail {

void check_may_block_on() {
  RAMIE_CHECK(sched::current_fiber() == nullptr,
              "block_on inside a fiber would block its worker: call the function directly, or "
              "use spawn() and join()");
  RAMIE_CHECK(sched::current_worker() == nullptr,
              "block_on on a worker thread would block it for ever: in a hook (on_thread_start, "
              "on_thread_stop) use spawn()");
}

std::size_t root_stack_size(RuntimeState& state) noexcept { return state.config().root_stack_size; }

bool is_running(RuntimeState& state) noexcept { return state.is_running(); }

void check_is_running(RuntimeState* state) {
  if (state == nullptr) throw std::system_error(make_error_code(errc::spent));
  if (!is_running(*state)) throw std::system_error(make_error_code(errc::runtime_gone));
}

void become_root() noexcept {
  sched::current_fiber()->join_flags.fetch_or(sched::Fiber::kRoot, base::kAcqRel);
}

// The fibers that were drained have used up their time. The others get this time to end.
void end_without_root(RuntimeState& state) {
  const std::chrono::nanoseconds drain_timeout = state.config().drain_timeout;
  state.end_within(std::min<std::chrono::nanoseconds>(drain_timeout, std::chrono::seconds(1)));
}

void throw_root_error(RuntimeState& state, std::error_code error) {
  if (!is_running(state)) error = errc::runtime_gone;
  throw std::system_error(error, "block_on");
}

}  // namespace detail

EnterGuard::EnterGuard(std::shared_ptr<RuntimeState> state) noexcept : state_(std::move(state)) {
  own_ = state_->scheduler();
  before_ = sched::exchange_entered(static_cast<sched::Scheduler*>(own_));
}

EnterGuard::EnterGuard(EnterGuard&& other) noexcept
    : state_(std::move(other.state_)), before_(other.before_), own_(other.own_) {}

EnterGuard::~EnterGuard() {
  if (state_ == nullptr) return;
  if (state_->is_in_forked_child()) {  // in a forked child the thread has entered no runtime
    (void)sched::exchange_entered(nullptr);
    return;
  }
  void* found = sched::exchange_entered(static_cast<sched::Scheduler*>(before_));
  RAMIE_CHECK(found == own_,
              "destroy EnterGuards in the reverse order of their creation, on their own thread");
}

std::optional<Handle> Handle::try_current() noexcept {
  sched::Scheduler* scheduler = sched::current_scheduler();
  RuntimeState* entered = scheduler == nullptr ? nullptr : scheduler->env.find<RuntimeState>();
  if (entered == nullptr) return std::nullopt;
  std::shared_ptr<RuntimeState> state = entered->weak_from_this().lock();
  if (state == nullptr) return std::nullopt;
  return Handle(std::move(state));
}

Handle Handle::current() {
  auto handle = try_current();
  RAMIE_CHECK(handle.has_value(),
              "Handle::current() outside a runtime: call it inside ramie::block_on, or enter a "
              "Handle first");
  return *std::move(handle);
}

EnterGuard Handle::enter() const noexcept {
  RAMIE_CHECK(sched::current_fiber() == nullptr,
              "Handle::enter() inside a fiber: use Handle::spawn(), which needs no guard");
  RAMIE_CHECK(state_ != nullptr,
              "this Runtime was moved from: call enter() on the Runtime that it was moved to");
  return EnterGuard(state_);
}

Metrics Handle::metrics() const { return state_ == nullptr ? Metrics{} : state_->metrics(); }

std::string Handle::dump() const {
  const bool is_running = state_ != nullptr && state_->is_running();
  return is_running ? sched::dump(*state_->scheduler()) : std::string();
}

Runtime::Runtime(Runtime&& other) noexcept : handle_(std::move(other.handle_.state_)) {}

Runtime& Runtime::operator=(Runtime&& other) noexcept {
  if (this != &other) {
    if (handle_.state_ != nullptr) handle_.state_->end();
    handle_.state_ = std::move(other.handle_.state_);
  }
  return *this;
}

Runtime::~Runtime() {
  if (handle_.state_ != nullptr) handle_.state_->end();
}

std::vector<std::string> Runtime::shutdown(Time<std::chrono::nanoseconds> deadline) {
  if (handle_.state_ == nullptr) return {};
  return handle_.state_->shut_down(deadline);
}

}  // namespace ramie::inline v0::runtime
