// Runtime, Handle and EnterGuard.
#include <ramie/runtime.hpp>

#include "runtime/state.hpp"
#include "sched/base/assert.hpp"
#include "sched/current.hpp"
#include "sched/dump.hpp"

namespace ramie {
inline namespace v0 {
namespace runtime {

namespace detail {

void check_may_block_on() {
  RAMIE_CHECK(sched::current_fiber() == nullptr,
              "block_on inside a fiber would block its worker: call the function directly, or "
              "spawn() and join()");
  RAMIE_CHECK(sched::current_worker() == nullptr,
              "block_on on a worker thread (in a hook?) would block it for ever");
}

std::size_t root_stack_size(RuntimeState& state) noexcept { return state.config().root_stack_size; }

bool is_running(RuntimeState& state) noexcept { return state.scheduler() != nullptr; }

void check_is_running(RuntimeState& state) {
  if (!is_running(state)) throw std::system_error(make_error_code(errc::runtime_gone));
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
  if (state_->is_parents()) {  // nothing of the parent's is entered here
    (void)sched::exchange_entered(nullptr);
    return;
  }
  void* found = sched::exchange_entered(static_cast<sched::Scheduler*>(before_));
  RAMIE_CHECK(found == own_,
              "EnterGuards must end in the reverse order of their start, on their own thread");
}

std::optional<Handle> Handle::try_current() noexcept {
  sched::Scheduler* scheduler = sched::current_scheduler();
  if (scheduler == nullptr || scheduler->env.runtime == nullptr) return std::nullopt;
  std::shared_ptr<RuntimeState> state = scheduler->env.runtime->weak_from_this().lock();
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
              "Handle::enter() inside a fiber: use Handle::spawn, which needs no guard");
  return EnterGuard(state_);
}

Metrics Handle::metrics() const { return state_->metrics(); }

std::string Handle::dump() const {
  sched::Scheduler* scheduler = state_->scheduler();
  return scheduler == nullptr ? std::string() : sched::dump(*scheduler);
}

Runtime::Runtime(Runtime&& other) noexcept = default;

Runtime& Runtime::operator=(Runtime&& other) noexcept {
  if (this != &other) {
    if (handle_.state_ != nullptr) handle_.state_->end();
    handle_ = std::move(other.handle_);
  }
  return *this;
}

Runtime::~Runtime() {
  if (handle_.state_ != nullptr) handle_.state_->end();
}

std::vector<std::string> Runtime::shutdown(std::chrono::nanoseconds deadline) {
  if (handle_.state_ == nullptr) return {};
  return handle_.state_->shut_down(deadline);
}

}  // namespace runtime
}  // namespace v0
}  // namespace ramie
