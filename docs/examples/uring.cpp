// Operations of io_uring for which Ramie has no function: you fill in the kernel's request, and
// uring::submit() parks the fiber until it is done. The request may point to the fiber's stack.
#include <ramie/ramie.hpp>
#include <ramie/uring.hpp>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <span>

namespace {

// Numbers that Debian 12's header does not have yet; has_opcode() asks the kernel.
constexpr std::uint8_t kWaitId = 50;     // Linux 6.7
constexpr std::uint8_t kFutexWait = 51;  // Linux 6.7
constexpr std::uint8_t kCommand = 46;
constexpr std::uint32_t kQueuedBytes = 0;  // SOCKET_URING_OP_SIOCINQ, Linux 6.7
constexpr std::uint32_t kFutex32 = 2;      // FUTEX2_SIZE_U32
constexpr std::uint64_t kAnyBit = 0xffff'ffff;

std::uint64_t address_of(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

// Waits for the end of a child process: waitid(2).
ramie::Result<int> exit_status_of(pid_t child) {
  siginfo_t info{};
  const auto done = ramie::uring::submit([&](ramie::uring::Entry& entry) {
    entry.opcode = kWaitId;
    entry.fd = child;
    entry.length = P_PID;
    entry.file_index = WEXITED;
    entry.offset = address_of(&info);
  });
  if (!done) return ramie::failure(done.error());
  return info.si_status;
}

// Waits until `word` is no longer `value`. Any process or thread may change it.
ramie::Result<void> wait_while(const std::atomic<std::uint32_t>& word, std::uint32_t value) {
  while (word.load() == value) {
    const auto woken = ramie::uring::submit([&](ramie::uring::Entry& entry) {
      entry.opcode = kFutexWait;
      entry.fd = kFutex32;
      entry.address = address_of(&word);
      entry.offset = value;
      entry.address3 = kAnyBit;
    });
    if (!woken && woken.error() != std::errc::resource_unavailable_try_again)  // changed already
      return ramie::failure(woken.error());
  }
  return {};
}

// A device command: how many bytes wait in a socket.
ramie::Result<int> queued_in(int socket) {
  const auto answer = ramie::uring::submit([&](ramie::uring::Entry& entry) {
    entry.opcode = kCommand;
    entry.fd = socket;
    entry.offset = kQueuedBytes;
  });
  if (!answer) return ramie::failure(answer.error());
  return answer->result;
}

int run() {
  if (auto usable = ramie::uring::check(); !usable)
    return ramie::report("io_uring", usable.error());
  if (!ramie::uring::has_opcode(kWaitId) || !ramie::uring::has_opcode(kFutexWait)) {
    std::puts("this kernel is older than 6.7");
    return 0;
  }

  const pid_t child = fork();
  if (child == 0) _exit(7);
  std::printf("the child ended with %d\n", ramie::or_throw(exit_status_of(child)));

  std::atomic<std::uint32_t> word{0};
  auto waiter = ramie::spawn([&] { return wait_while(word, 0); });
  (void)ramie::sleep_for(std::chrono::milliseconds(1));
  word.store(1);
  syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  ramie::or_throw(waiter.join());
  std::printf("the word is %u\n", word.load());

  auto listener = ramie::or_throw(ramie::net::TcpListener::bind("127.0.0.1:0"));
  const auto address = ramie::or_throw(listener.local_addr());
  auto near = ramie::or_throw(ramie::net::TcpStream::connect(address));
  auto far = ramie::or_throw(listener.accept());
  ramie::or_throw(near.write_all(std::as_bytes(std::span("hello", 5))));
  ramie::or_throw(far.stream.readable());
  std::printf("%d bytes wait\n", ramie::or_throw(queued_in(far.stream.fd())));
  return 0;
}

}  // namespace

int main() { return ramie::block_on(run); }
