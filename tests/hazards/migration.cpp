// Tests thread-locals and errno over a switch that changes threads. It includes the library's
// sources, so the compiler sees everything at once, as with link-time optimisation.
//
// `ours` must be right with every compiler at every level. `naive` shows that the hazard is real.
#include "tests/hazards/alternate.hpp"

#include "io/sys/event_fd.cpp"
#include "runtime/net/sys/socket.cpp"
#include "sched/base/assert.cpp"
#include "sched/base/sys.cpp"
#include "sched/context.cpp"
#include "sched/current.cpp"
#include "sched/stack.cpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <array>
#include <cstdint>

namespace {

namespace base = ramie::base;
namespace io_sys = ramie::io::sys;
namespace net_sys = ramie::net::sys;
using namespace hazards;

int sockets[2];
int workers[3];  // only their addresses are used
thread_local int my_number = 0;

sched::Worker* worker(int number) { return reinterpret_cast<sched::Worker*>(&workers[number]); }
sched::Scheduler* scheduler(int number) {
  return reinterpret_cast<sched::Scheduler*>(&workers[number]);
}

// --- ours -------------------------------------------------------------------------------------

void accessors() {
  {
    sched::Worker* before = sched::current_worker();
    hop();
    sched::Worker* after = sched::current_worker();
    report("ours", "current_worker", before == worker(1) && after == worker(2));
    hop();
  }
  bool is_right = true;
  for (int i = 0; i < 6; ++i) {
    is_right = is_right && sched::current_worker() == worker(i % 2 + 1);
    hop();
  }
  report("ours", "current_worker in a loop", is_right);
  {
    sched::Sleeper* before = &sched::current_sleeper();
    hop();
    sched::Sleeper* after = &sched::current_sleeper();
    hop();
    report("ours", "current_sleeper", before != after && &sched::current_sleeper() == before);
  }
  {
    int one = 0;
    auto* mine = reinterpret_cast<sched::Fiber*>(&one);
    sched::current_fiber_slot() = mine;
    hop();
    const bool is_other_empty = sched::current_fiber() == nullptr;
    hop();
    const bool is_kept = sched::current_fiber() == mine;
    sched::current_fiber_slot() = nullptr;
    report("ours", "current_fiber", is_other_empty && is_kept);
  }
  {
    sched::set_current_worker(nullptr);
    hop();
    sched::set_current_worker(nullptr);
    sched::Scheduler* before = sched::exchange_entered(scheduler(1));
    const bool is_second = before == scheduler(2) && sched::current_scheduler() == scheduler(1);
    hop();
    sched::Scheduler* first = sched::exchange_entered(scheduler(2));
    report("ours", "exchange_entered",
           is_second && first == scheduler(1) && sched::current_scheduler() == scheduler(2));
  }
}

// The typical case: try, EAGAIN, suspend, try again. The new thread has another errno.
void retries() {
  std::array<std::byte, 1> byte{};
  std::size_t one = 1;
  bool is_right = true;
  for (int i = 0; i < 8; ++i) {
    is_right = is_right && net_sys::receive(sockets[0], byte, one, false) == -EAGAIN;
    hop();
  }
  report("ours", "receive", is_right);
  is_right = true;
  const std::array<std::span<std::byte>, 1> parts{byte};
  for (int i = 0; i < 8; ++i) {
    is_right = is_right && net_sys::receive_vectored(sockets[0], parts, one) == -EAGAIN;
    hop();
  }
  report("ours", "receive_vectored", is_right);
  is_right = true;
  for (int i = 0; i < 8; ++i) {
    is_right = is_right && net_sys::send(-1, byte, one) == -EBADF &&
               net_sys::stream_socket(-1) == -EAFNOSUPPORT && net_sys::is_nonblocking(-1) == -EBADF;
    hop();
    std::size_t size = 0;
    is_right = is_right && net_sys::accept(sockets[0], nullptr, size) == -EINVAL &&
               net_sys::connect(-1, &size, 0) == -EBADF;
    hop();
  }
  report("ours", "send, socket, accept, connect, fcntl", is_right);
  is_right = true;
  const std::uint32_t word = 1;
  for (int i = 0; i < 8; ++i) {
    is_right = is_right && base::sys::futex_wait(&word, 0, std::chrono::nanoseconds(0)) == -EAGAIN;
    hop();
    is_right = is_right && base::sys::unmap(nullptr, 0) == -EINVAL;
    hop();
  }
  report("ours", "futex_wait, munmap", is_right);
  const int before = base::sys::thread_id();
  hop();
  const int after = base::sys::thread_id();
  report("ours", "thread_id", before != after);
  errno = 4711;
  io_sys::ring(-1);  // as in a signal handler
  report("ours", "ring keeps errno", errno == 4711);
}

// --- naive ------------------------------------------------------------------------------------

void naive_thread_local() {
  int* before = &my_number;
  __asm__ __volatile__("" ::"r"(before));
  raw_hop();
  int* after = &my_number;
  __asm__ __volatile__("" : "+r"(after));
  report("naive", "address of a thread_local", *after == 2 && after != before);
}

inline int naive_receive() {
  char byte = 0;
  ssize_t n = ::recv(sockets[0], &byte, 1, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) {
    raw_hop();
    n = ::recv(sockets[0], &byte, 1, MSG_DONTWAIT);
  }
  return n < 0 ? -errno : static_cast<int>(n);
}

void naive_errno() { report("naive", "errno after a retry", naive_receive() == -EAGAIN); }

void naive_self() {
  const pthread_t before = ::pthread_self();
  raw_hop();
  const pthread_t after = ::pthread_self();
  report("naive", "pthread_self", ::pthread_equal(before, after) == 0);
}

}  // namespace

int main() {
  (void)std::setvbuf(stdout, nullptr, _IONBF, 0);
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets) != 0) return 2;
  const auto ours = [](int number) {
    sched::current_fiber_slot() = nullptr;
    sched::set_current_worker(worker(number));
    (void)sched::exchange_entered(scheduler(number));
  };
  const auto naive = [](int number) { my_number = number; };
  alternate_ours(accessors, ours);
  alternate_ours(retries, ours);
  alternate_raw(naive_thread_local, naive);
  alternate_raw(naive_errno, naive);
  alternate_raw(naive_self, naive);
  std::printf("end\n");
  return 0;
}
