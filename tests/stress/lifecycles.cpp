// Makes and ends runtimes thousands of times, with fibers parked in every kind of wait. Each wait
// ends, each fiber runs to its end, and nothing is left.
#include "tests/stress/stress.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace stress;
using ramie::net::SocketAddr;
using ramie::net::TcpListener;
using ramie::net::TcpStream;

// A plain listener whose queue is full: connecting to it never ends.
class FullListener {
 public:
  FullListener() {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof any;
    (void)::bind(fd_, reinterpret_cast<const sockaddr*>(&any), size);
    (void)::listen(fd_, 0);
    (void)::getsockname(fd_, reinterpret_cast<sockaddr*>(&any), &size);
    (void)::connect(queued_, reinterpret_cast<const sockaddr*>(&any), size);
    address_ = SocketAddr::from_raw(&any, size);
  }
  ~FullListener() {
    ::close(queued_);
    ::close(fd_);
  }
  const SocketAddr& address() const { return address_; }

 private:
  int fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int queued_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  SocketAddr address_;
};

constexpr int kFibers = 21;  // that park() starts in each runtime

// State that the fibers of one runtime share. It outlives them, because the runtime ends first.
struct Things {
  ramie::sync::Mutex mutex, condvar_mutex;
  ramie::sync::Condvar condvar;
  ramie::sync::Semaphore semaphore{0};
  ramie::sync::Notify notify;
  ramie::CancellationToken token;
  std::optional<ramie::sync::mpsc::Sender<int>> sender;
  std::optional<ramie::sync::mpsc::Receiver<int>> receiver;
  std::atomic<int> started{0};
  std::atomic<int> ended{0};
};

// Counts the start and the end of a fiber.
struct Counted {
  explicit Counted(Things& things) : things_(things) { ++things_.started; }
  ~Counted() { ++things_.ended; }
  Things& things_;
};

template <class F>
void park(Things& things, F&& function) {
  ramie::spawn([&things, function = std::forward<F>(function)]() mutable {
    const Counted counted(things);
    try {
      function();
    } catch (const std::system_error& error) {  // too late to open its sockets
      check(error.code() == ramie::errc::shutting_down, "%s", error.what());
    }
  }).detach();
}

void park_in_sockets(Things& things, const SocketAddr& full) {
  park(things, [] {
    auto listener = ramie::or_throw(TcpListener::bind("127.0.0.1:0"));
    auto near = ramie::or_throw(TcpStream::connect(ramie::or_throw(listener.local_addr())));
    auto far = ramie::or_throw(listener.accept());
    (void)near.set_send_buffer_size(65536);
    const std::array<std::byte, 65536> block{};
    auto writer = ramie::spawn([&] {
      while (near.write_all(block)) {
      }
    });
    std::array<std::byte, 16> buffer;
    auto reader = ramie::spawn([&] { (void)near.read(buffer); });
    auto accepting = ramie::spawn([&] { (void)listener.accept(); });
    (void)far.stream.writable();
    const ramie::Shield shield;  // the streams stay until the others have ended
    (void)writer.join();
    (void)reader.join();
    (void)accepting.join();
  });
  park(things, [full] { (void)TcpStream::connect(full); });
  park(things, [] {
    std::array<int, 2> pair{};
    (void)::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data());
    {
      auto registration =
          ramie::or_throw(ramie::io::Registration::create(pair[0], ramie::io::Interest::readable));
      (void)registration.readiness(ramie::io::Interest::readable);
    }
    for (const int fd : pair) ::close(fd);
  });
}

void park_in_primitives(Things& things) {
  park(things, [&] {
    const std::lock_guard lock(things.mutex);  // two more fibers wait for it, one of them shielded
    (void)ramie::sleep_for(1h);
  });
  park(things, [&] { const std::lock_guard lock(things.mutex); });
  park(things, [&] {
    if (things.mutex.lock_cancelable()) things.mutex.unlock();
  });
  park(things, [&] {
    std::unique_lock lock(things.condvar_mutex);
    (void)things.condvar.wait(lock);
  });
  park(things, [&] { (void)things.semaphore.acquire(3); });
  park(things, [&] { (void)things.notify.wait(); });
  park(things, [&] { (void)things.token.wait(); });
  park(things, [&] { (void)things.receiver->recv(); });
  park(things, [] {
    auto [sender, receiver] = ramie::sync::mpsc::channel<int>(1);
    while (sender.send(1)) {
    }
  });
  park(things, [] {
    auto [sender, receiver] = ramie::sync::oneshot::channel<int>();
    (void)receiver.recv();
  });
}

void park_in_the_rest(Things& things) {
  park(things, [] { (void)ramie::sleep_for(1h); });
  park(things, [] { (void)ramie::timeout(1h, [] { return ramie::sleep_for(2h); }); });
  park(things, [] { (void)ramie::spawn([] { (void)ramie::sleep_for(1h); }).join(); });
  park(things, [] { (void)ramie::spawn_blocking([] { ::usleep(300); }).join(); });
  park(things, [] {
    ramie::Scope scope;
    for (int i = 0; i < 3; ++i) (void)scope.spawn([] { (void)ramie::sleep_for(1h); });
    (void)scope.join();
  });
  park(things, [] {
    auto hangups = ramie::or_throw(ramie::signal::Signal::open(ramie::signal::Kind::hangup()));
    (void)hangups.recv();
  });
  park(things, [] {
    while (ramie::current::check()) ramie::yield_now();
  });
  ramie::spawn({.pinned = true}, [&things] {
    const Counted counted(things);
    (void)ramie::sleep_for(1h);
  }).detach();
}

void live_and_end(std::size_t workers, const SocketAddr& full, bool is_hasty) {
  Things things;
  auto [sender, receiver] = ramie::sync::mpsc::channel<int>(1);
  things.sender.emplace(std::move(sender));
  things.receiver.emplace(std::move(receiver));
  int parked = 0;
  {
    auto runtime = make_runtime(workers, true);
    runtime.block_on([&] {
      park_in_sockets(things, full);
      park_in_primitives(things);
      park_in_the_rest(things);
      if (is_hasty) return;  // some have not even started
      while (things.started < kFibers) (void)ramie::sleep_for(100us);
      (void)ramie::sleep_for(1ms);
    });
    const auto stragglers = runtime.shutdown(20s);
    for (const std::string& one : stragglers) check(false, "straggler: %s", one.c_str());
    parked = things.started;
  }
  check(is_hasty || parked == kFibers, "%d fibers started, not %d", parked, kFibers);
  check(things.ended == parked, "%d of %d fibers ended", things.ended.load(), parked);
}

bool is_gone(const ramie::Result<void>& joined) {
  return !joined && joined.error() == ramie::errc::runtime_gone;
}

// Runtimes end while some of their fibers and jobs do not, and other threads keep calling them. No
// call waits for ever, and the process goes on when the jobs end.
void end_without_stragglers(std::size_t workers) {
  auto& may_end = *new std::atomic<bool>(false);  // stragglers use it, so it stays
  auto& in = *new std::atomic<int>(0);
  auto runtime = make_runtime(workers, true);
  const auto handle = runtime.handle();
  const auto stay = [&in] {
    const ramie::Shield shield;
    ++in;
    (void)ramie::sleep_for(1h);
  };
  auto parked = handle.spawn(stay);
  std::vector<ramie::JoinHandle<void>> jobs;
  for (int i = 0; i < 3; ++i)
    jobs.push_back(handle.spawn_blocking([&] {
      ++in;
      while (!may_end) ::usleep(100);
    }));
  while (in != 4) ::usleep(50);
  std::atomic<int> gone{0};
  std::vector<std::thread> others;
  others.emplace_back([&] { gone += is_gone(parked.join()); });
  others.emplace_back([&] { gone += is_gone(jobs[0].join()); });
  others.emplace_back([&gone, handle] {
    while (!is_gone(handle.spawn([] {}).join())) (void)handle.metrics();
    ++gone;
  });
  const auto stragglers = runtime.shutdown(std::chrono::milliseconds(workers - 1));
  check(stragglers.size() >= 4, "%zu stragglers", stragglers.size());
  for (std::thread& other : others) other.join();
  check(gone == 3, "%d of 3 heard of the end", gone.load());
  may_end = true;
  for (auto& job : jobs)
    while (!job.is_finished()) ::usleep(50);
  for (auto& job : jobs) check(job.join().has_value(), "a job that ended late has no result");
}

}  // namespace

int main() {
  must_end_within(is_long() ? 900s : 200s);
  const std::size_t cycles = scaled(kCountsMemory ? 1'000 : 60, 10'000);
  const FullListener full;
  for (std::size_t i = 0; i < 30; ++i) live_and_end(i % 4 + 1, full.address(), i % 3 == 0);
  const std::size_t descriptors = ramie_test::open_descriptors();
  const std::size_t memory = ramie_test::resident_bytes();
  const std::size_t maps = ramie_test::mappings();
  const auto begin = Clock::now();
  for (std::size_t i = 0; i < cycles && failures == 0; ++i)
    live_and_end(i % 4 + 1, full.address(), i % 3 == 0);
  const std::size_t after = ramie_test::resident_bytes();
  std::printf("%zu runtimes in %.1f s; resident %.2f MiB, then %.2f MiB; %zu mappings, then %zu\n",
              cycles, seconds_since(begin), mebibytes(memory), mebibytes(after), maps,
              ramie_test::mappings());
  check(ramie_test::open_descriptors() == descriptors, "%zu descriptors, %zu before",
        ramie_test::open_descriptors(), descriptors);
  check(!kCountsMemory || after < memory + (4U << 20U), "memory grows: %.2f MiB to %.2f MiB",
        mebibytes(memory), mebibytes(after));
  check(!kCountsMemory || ramie_test::mappings() < maps + 50, "%zu mappings, %zu before",
        ramie_test::mappings(), maps);
  for (std::size_t i = 0; i < scaled(20, 200) && failures == 0; ++i)
    end_without_stragglers(i % 4 + 1);
  return failures == 0 ? 0 : 1;
}
