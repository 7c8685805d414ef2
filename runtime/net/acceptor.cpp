// Acceptor: takes the connections that one operation of the ring accepts.
#include "io/sys/fd.hpp"
#include "sched/base/assert.hpp"
#include "sched/current.hpp"
#include "uring/handle.hpp"
#include "uring/opcodes.hpp"

#include <ramie/net/uring.hpp>

#include <sys/socket.h>
#include <cerrno>
#include <mutex>
#include <vector>

namespace ramie::inline v0::net {

namespace {

constexpr std::size_t kRoom = 4096;
constexpr std::size_t kEnough = 512;  // the rest waits in the listener's own queue

}  // namespace

struct Acceptor::State : uring::Op {
  TcpListener* listener = nullptr;
  uring::Site* site = nullptr;  // where it was started last
  bool is_refused = false;      // the kernel or this worker cannot do it
  std::vector<int> came;        // under the Site's mutex, the newest at the end
  std::size_t taken = 0;        // number taken from its front

  static bool take(uring::Op& op, std::int32_t result) noexcept {
    auto& self = static_cast<State&>(op);
    if (result < 0) return false;
    if (self.came.size() < kRoom) self.came.push_back(result);
    else io::sys::close(result);  // the cancel has not reached the kernel yet
    return self.came.size() - self.taken >= kEnough;
  }

  // Returns the oldest descriptor, or -1.
  int pop() noexcept {
    if (site == nullptr) return -1;
    const std::lock_guard lock(site->mutex());
    if (taken == came.size()) return -1;
    const int fd = came[taken++];
    if (taken == came.size() || taken == kEnough) {
      came.erase(came.begin(), came.begin() + static_cast<std::ptrdiff_t>(taken));
      taken = 0;
    }
    return fd;
  }

  bool is_running() noexcept { return site != nullptr && !site->is_done(*this); }

  // Starts it in the ring of the current worker. Returns false if there is none.
  bool restart() noexcept {
    wants_cancel = false;
    result = -ECANCELED;
    auto started = uring::Handle::current()->register_op(*this);
    if (started) site = *started;
    return started.has_value();
  }
};

Acceptor::Acceptor(TcpListener& listener) : state_(std::make_unique<State>()) {
  state_->listener = &listener;
  state_->came.reserve(kRoom);
  state_->take_result = &State::take;
  state_->kind = sched::WaitKind::accept;
  state_->entry.opcode = uring::kAccept;
  state_->entry.priority = uring::kAcceptMultishot;
  state_->entry.fd = listener.fd();
  state_->entry.operation_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  state_->is_refused = !uring::has_opcode(uring::kAccept);
}

Acceptor::~Acceptor() {
  State& state = *state_;
  if (state.is_running()) {
    RAMIE_CHECK(sched::current_fiber() != nullptr,
                "a net::Acceptor must end in the fiber that made it");
    state.site->cancel(state);
    // Connections that still arrive wake us before the end does.
    while (state.is_running()) {
      sched::Wait final(state.kind, nullptr, sched::Wait::Shield::yes);
      (void)state.site->await(state, final);
    }
  }
  for (int fd = state.pop(); fd >= 0; fd = state.pop()) io::sys::close(fd);
}

Result<TcpStream> Acceptor::next() noexcept {
  State& state = *state_;
  while (!state.is_refused) {
    sched::Wait wait(state.kind, nullptr);
    if (auto entered = wait.enter(); !entered) return failure(entered.error());
    if (const int fd = state.pop(); fd >= 0) {
      auto socket = Socket::adopt(fd, true);
      if (!socket) return failure(socket.error());
      return TcpStream(std::move(*socket));
    }
    if (!state.is_running()) {
      const std::int32_t last = state.site == nullptr ? 0 : std::int32_t{state.result};
      if (last == -EINVAL || last == -EOPNOTSUPP || last == -EAGAIN) break;
      if (uring::may_be_denied(last)) {  // by a filter or a firewall; accept() finds out which
        state.is_refused = true;
        break;
      }
      const bool was_enough = last == -ECANCELED && state.wants_cancel;
      if (last < 0 && !was_enough) {  // accept() handles the error or returns it
        state.site = nullptr;
        break;
      }
      if (!state.restart()) break;
      continue;
    }
    const auto ended = state.site->await(state, wait, [&] {
      return state.taken != state.came.size() || state.state == uring::Op::State::done;
    });
    if (!ended) return failure(ended.error());
  }
  auto accepted = state.listener->accept();
  if (!accepted) return failure(accepted.error());
  return std::move(accepted->stream);
}

}  // namespace ramie::inline v0::net
