// See scenario.hpp.
#include "tests/faults/scenario.hpp"

#include "runtime/fs/sys/mount.hpp"
#include "tests/faults/directories.hpp"
#include "uring/driver.hpp"

#include <ramie/ramie.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace faults {
namespace {

using namespace std::chrono_literals;
using ramie::net::SocketAddr;
using ramie::net::TcpListener;
using ramie::net::TcpStream;

// A wait of the scenario takes this long only if a wake was lost.
constexpr auto kHang = 8s;

const std::error_code kNoMemory = std::make_error_code(std::errc::not_enough_memory);

// A deadline that must not pass.
template <class F>
auto within(Findings& findings, const char* where, F&& function) {
  auto result = ramie::timeout(kHang, std::forward<F>(function));
  if (!result && result.error() == ramie::errc::timed_out) findings.wrong(where, kHang.count());
  return result;
}

// Notes the error of a Result. Returns true if there is none.
template <class T>
bool is_good(Findings& findings, const char* where, const ramie::Result<T>& result) {
  if (!result) findings.said(where, result.error());
  return result.has_value();
}

// Runs code that may throw documented exceptions: bad_alloc, or system_error from or_throw.
template <class F>
void guarded(Findings& findings, const char* where, F&& function) noexcept {
  try {
    function();
  } catch (const std::bad_alloc&) {
    findings.said(where, kNoMemory);
  } catch (const std::system_error& error) {
    findings.said(where, error.code());
  }
}

template <class F>
void part(Findings& findings, const char* where, F&& function) noexcept {
  findings.begin(where);
  guarded(findings, where, std::forward<F>(function));
}

// Starts a fiber. Returns null after noting the error.
template <class F>
std::optional<ramie::JoinHandle<void>> start(Findings& findings, const char* where, F&& function) {
  std::optional<ramie::JoinHandle<void>> handle;
  guarded(findings, where, [&] {
    handle = ramie::spawn([&findings, where, function = std::forward<F>(function)]() mutable {
      guarded(findings, where, function);
    });
  });
  return handle;
}

void join(Findings& findings, const char* where,
          std::optional<ramie::JoinHandle<void>>& handle) noexcept {
  if (handle) is_good(findings, where, handle->join());
}

// Joins a fiber that may have been cancelled before it began.
void join_cancelled(Findings& findings, const char* where, ramie::JoinHandle<void>& handle) {
  if (auto ended = handle.join(); !ended && ended.error() != ramie::errc::task_canceled)
    findings.said(where, ended.error());
}

// --- sockets -------------------------------------------------------------------------------------

constexpr std::size_t kMessage = 64;
void echo(Findings& findings, TcpStream stream) {
  std::array<std::byte, 256> buffer;
  for (;;) {
    auto n = within(findings, "a session's read hangs", [&] { return stream.read(buffer); });
    if (!is_good(findings, "session read", n) || *n == 0) return;
    auto written = within(findings, "a session's write hangs",
                          [&] { return stream.write_all(std::span(buffer).first(*n)); });
    if (!is_good(findings, "session write", written)) return;
  }
}

// Owns the listener: if it ends too early, the waiting clients see it.
void serve(Findings& findings, TcpListener listener, const ramie::CancellationToken& stop) {
  std::array<std::optional<ramie::JoinHandle<void>>, 32> sessions;
  std::size_t accepted_so_far = 0;
  for (int failures = 0; failures < 100 && accepted_so_far < sessions.size();) {
    auto accepted = ramie::until(stop, [&] { return listener.accept(); });
    if (accepted) {
      sessions[accepted_so_far++] = start(
          findings, "spawn a session", [&findings, stream = std::move(accepted->stream)]() mutable {
            echo(findings, std::move(stream));
          });
    } else if (accepted.error() == ramie::errc::canceled && stop.is_canceled()) {
      break;
    } else {  // also if the stop came meanwhile
      findings.said("accept", accepted.error());
      ++failures;
    }
  }
  listener = {};
  for (auto& session : sessions) join(findings, "join a session", session);
}

bool exchange(Findings& findings, TcpStream& stream, int round) {
  std::array<std::byte, kMessage> sent;
  sent.fill(static_cast<std::byte>(round + 1));
  std::array<std::byte, kMessage> got{};
  const auto all = std::span<const std::byte>(sent);
  if (round % 2 == 0) {
    if (!is_good(findings, "write_all", stream.write_all(all))) return false;
  } else {
    const std::array parts{all.first(10), all.subspan(10)};
    auto n = stream.write_vectored(parts);
    if (!is_good(findings, "write_vectored", n)) return false;
    if (!is_good(findings, "write_all", stream.write_all(all.subspan(*n)))) return false;
  }
  if (round == 0) {
    auto seen = within(findings, "peek hangs", [&] { return stream.peek(got); });
    if (!is_good(findings, "peek", seen)) return false;
  }
  std::size_t begun = 0;
  if (round % 2 == 1) {
    const auto room = std::span(got);
    const std::array parts{room.first(5), room.subspan(5)};
    auto n = within(findings, "read_vectored hangs", [&] { return stream.read_vectored(parts); });
    if (!is_good(findings, "read_vectored", n)) return false;
    if (*n == 0) {
      findings.said("read_vectored: end", std::make_error_code(std::errc::connection_aborted));
      return false;
    }
    begun = *n;
  }
  auto rest = within(findings, "read_exact hangs",
                     [&] { return stream.read_exact(std::span(got).subspan(begun)); });
  if (!is_good(findings, "read_exact", rest)) return false;
  findings.expect(sent == got, "other bytes came back", round);
  return true;
}

void be_client(Findings& findings, const SocketAddr& address) {
  auto stream = within(findings, "connect hangs", [&] { return TcpStream::connect(address); });
  if (!is_good(findings, "connect", stream)) return;
  if (int twin = ::dup(stream->fd()); twin >= 0)
    is_good(findings, "from_fd", TcpStream::from_fd(twin));
  is_good(findings, "set_nodelay", stream->set_nodelay(true));
  if (auto on = stream->nodelay(); is_good(findings, "nodelay", on)) (void)*on;
  is_good(findings, "peer_addr", stream->peer_addr());
  for (int round = 0; round < 4; ++round)
    if (!exchange(findings, *stream, round)) return;
  if (!is_good(findings, "shutdown", stream->shutdown(ramie::net::Shutdown::write))) return;
  std::byte one{};
  auto end = within(findings, "the end hangs", [&] { return stream->read(std::span(&one, 1)); });
  if (is_good(findings, "read the end", end)) findings.expect(*end == 0, "bytes after the end");
}

void cancel_a_reader(Findings& findings, const SocketAddr& address) {
  auto idle = within(findings, "connect hangs", [&] { return TcpStream::connect(address); });
  if (!is_good(findings, "connect", idle)) return;
  auto reader = start(findings, "spawn a reader", [&] {
    std::byte one{};
    auto n = idle->read(std::span(&one, 1));
    findings.expect(!n || *n == 0, "an idle connection had bytes");
    if (!n && n.error() != ramie::errc::canceled) findings.said("idle read", n.error());
  });
  if (!reader) return;
  for (int i = 0; i < 3; ++i) ramie::yield_now();
  reader->cancel();
  join_cancelled(findings, "join a cancelled reader", *reader);
}

void sockets(Findings& findings, std::size_t clients) {
  auto listener = TcpListener::bind("127.0.0.1:0");
  if (!is_good(findings, "bind", listener)) return;
  auto address = listener->local_addr();
  if (!is_good(findings, "local_addr", address)) return;
  const ramie::CancellationToken stop;
  auto server = start(findings, "spawn the server",
                      [&findings, &stop, listener = std::move(*listener)]() mutable {
                        serve(findings, std::move(listener), stop);
                      });
  if (!server) return;
  {
    std::array<std::optional<ramie::JoinHandle<void>>, 16> fibers;
    for (std::size_t i = 0; i < clients; ++i)
      fibers[i] = start(findings, "spawn a client", [&] { be_client(findings, *address); });
    for (auto& fiber : fibers) join(findings, "join a client", fiber);
  }
  if (!server->is_finished()) cancel_a_reader(findings, *address);
  stop.cancel();
  join(findings, "join the server", server);
}

// --- the rest ------------------------------------------------------------------------------------

void hear_a_signal(Findings& findings, pid_t self) {
  if (self <= 0) return findings.wrong("no process id", self);
  auto usr1 = ramie::signal::Signal::open(ramie::signal::Kind::user1());
  if (!is_good(findings, "Signal::open", usr1)) return;
  auto listening = start(findings, "spawn a listener for signals", [&] {
    is_good(findings, "Signal::recv",
            within(findings, "Signal::recv hangs", [&] { return usr1->recv(); }));
  });
  ramie::yield_now();
  (void)::kill(self, SIGUSR1);
  join(findings, "join the listener for signals", listening);
}

void sleep_and_time_out(Findings& findings) {
  std::array<std::optional<ramie::JoinHandle<void>>, 5> sleepers;
  for (auto& sleeper : sleepers) {
    sleeper = start(findings, "spawn a sleeper", [&findings] {
      const auto begin = std::chrono::steady_clock::now();
      is_good(findings, "sleep_for", ramie::sleep_for(1ms));
      findings.expect(std::chrono::steady_clock::now() - begin >= 1ms, "woke too early");
    });
  }
  auto [sender, receiver] = ramie::sync::mpsc::channel<int>(4);
  auto late = ramie::timeout(2ms, [&] { return receiver.recv(); });
  findings.expect(!late && late.error() == ramie::errc::timed_out, "no deadline of ours passed");
  for (auto& sleeper : sleepers) join(findings, "join a sleeper", sleeper);
}

void block(Findings& findings, bool looks_names_up) {
  std::array<ramie::JoinHandle<int>, 3> jobs;
  for (int i = 0; i < 3; ++i)
    jobs[static_cast<std::size_t>(i)] = ramie::spawn_blocking([i] { return i; });
  for (int i = 0; i < 3; ++i) {
    auto result = jobs[static_cast<std::size_t>(i)].join();
    if (is_good(findings, "spawn_blocking", result))
      findings.expect(*result == i, "another job's result");
  }
  if (!looks_names_up) return;
  const auto scoped = ramie::net::SocketAddr::parse("[fe80::1%lo]:80");
  if (is_good(findings, "SocketAddr::parse", scoped))
    findings.expect(scoped->port() == 80, "another port");
  auto found =
      within(findings, "lookup_host hangs", [] { return ramie::net::lookup_host(kName + ":80"); });
  if (is_good(findings, "lookup_host", found)) findings.expect(!found->empty(), "no address");
}

void gather_a_crowd(Findings& findings, std::size_t size) {
  ramie::sync::Semaphore gate(0);
  ramie::sync::Mutex mutex;
  long through = 0;
  long missing = 0;
  {
    std::vector<ramie::JoinHandle<void>> crowd;
    crowd.reserve(size);
    for (std::size_t i = 0; i < size; ++i) {
      try {
        crowd.push_back(ramie::spawn([&] {
          if (!is_good(findings, "acquire", gate.acquire())) return;
          gate.release();
          const std::lock_guard lock(mutex);
          ++through;
        }));
      } catch (const std::bad_alloc&) {
        findings.said("spawn one of a crowd", kNoMemory);
        ++missing;
      }
    }
    ramie::yield_now();
    gate.release();
    for (auto& one : crowd)
      if (!is_good(findings, "join one of a crowd", one.join())) ++missing;
  }
  findings.expect(through + missing == static_cast<long>(size), "a started fiber did not end",
                  through);
}

void talk(Findings& findings) {
  auto [sender, receiver] = ramie::sync::mpsc::channel<int>(2);
  auto producer = start(findings, "spawn a producer", [to = std::move(sender)]() mutable {
    for (int i = 0; i < 20; ++i)
      if (!to.send(i)) return;
  });
  int expected = 0;
  while (auto value = receiver.recv())
    findings.expect(*value == expected++, "lost a value", *value);
  join(findings, "join a producer", producer);
}

// --- files ---------------------------------------------------------------------------------------

void use_whole_files(Findings& findings, const char* path) {
  if (!is_good(findings, "fs::write", ramie::fs::write(path, "content"))) return;
  if (is_good(findings, "fs::append", ramie::fs::append(path, " and more"))) {
    const auto text = ramie::fs::read_to_string(path);
    if (is_good(findings, "fs::read_to_string", text))
      findings.expect(*text == "content and more", "a file holds another text");
  }
  const auto nothing = ramie::fs::read("/dev/null");
  if (is_good(findings, "fs::read", nothing))
    findings.expect(nothing->empty(), "nothing has a content");
  const auto data = ramie::fs::metadata(path);
  if (is_good(findings, "fs::metadata", data))
    findings.expect(data->is_file(), "a file is no file");
}

void use_a_file(Findings& findings, const char* path) {
  auto file = ramie::fs::OpenOptions().read().write().create().truncate().open(path);
  if (!is_good(findings, "OpenOptions::open", file)) return;
  std::array<std::byte, 300> sent;
  sent.fill(std::byte{7});
  std::array<std::byte, 300> got{};
  bool is_written = is_good(findings, "File::write_all", file->write_all(sent));
  is_written = is_good(findings, "File::write_all_at", file->write_all_at(sent, 300)) && is_written;
  const bool is_back = is_good(findings, "File::seek", file->seek(0));
  if (is_written && is_back && is_good(findings, "File::read_exact", file->read_exact(got)))
    findings.expect(got == sent, "other bytes were read");
  got = {};
  if (is_written && is_good(findings, "File::read_exact_at", file->read_exact_at(got, 300)))
    findings.expect(got == sent, "other bytes were read at an offset");
  is_good(findings, "File::sync_all", file->sync_all());
  is_good(findings, "File::sync_data", file->sync_data());
  const auto room = file->allocate(0, 1000);
  if (!room && room.error() != std::errc::operation_not_supported)
    findings.said("File::allocate", room.error());
  is_good(findings, "File::set_len", file->set_len(10));
  is_good(findings, "File::set_permissions", file->set_permissions(0600));
  is_good(findings, "File::set_times", file->set_times({.modified = {}}));
  is_good(findings, "File::lock", within(findings, "lock hangs", [&] { return file->lock(); }));
  is_good(findings, "File::unlock", file->unlock());
  is_good(findings, "File::metadata", file->metadata());
  is_good(findings, "File::close", file->close());
}

void pass_on(Findings& findings, ramie::fs::File& file) {
  const std::array sent{std::byte{3}, std::byte{4}, std::byte{5}};
  std::array<std::byte, 3> got{};
  if (!is_good(findings, "File::write_all to a pipe", file.write_all(sent))) return;
  const auto read = within(findings, "a pipe hangs", [&] { return file.read_exact(got); });
  if (is_good(findings, "File::read_exact of a pipe", read))
    findings.expect(got == sent, "other bytes came out of a pipe");
}

// A FIFO that is ours and is in the epoll already, one that is not ours, one without another end.
void use_a_pipe(Findings& findings, const char* path) {
  if (::unlink(path) != 0 || ::mkfifo(path, 0600) != 0) return;
  auto ours = ramie::fs::OpenOptions().read().write().open(path);
  if (is_good(findings, "OpenOptions::open of a pipe", ours)) {
    pass_on(findings, *ours);
    const auto taken = ramie::io::Registration::create(ours->fd(), ramie::io::Interest::readable);
    auto reader = start(findings, "spawn", [&, room = std::array<std::byte, 1>{}]() mutable {
      const auto n = within(findings, "a pipe's reader hangs", [&] { return ours->read(room); });
      if (!n && n.error() != ramie::errc::canceled) findings.said("File::read", n.error());
    });
    (void)ramie::sleep_for(1ms);
    const bool is_written = is_good(findings, "File::write", ours->write(std::array{std::byte{}}));
    if (reader && !is_written) reader->cancel();
    if (reader) join_cancelled(findings, "join a pipe's reader", *reader);
  }
  ours = ramie::fs::File();  // the last end takes the rest of the FIFO along
  ours = ramie::fs::File::from_fd(::open(path, O_RDWR | O_CLOEXEC));  // not ours
  if (ours->is_open()) pass_on(findings, *ours);
  ours = ramie::fs::File();
  const auto lonely = ramie::timeout(3ms, [&] { return ramie::fs::File::open(path); });
  if (!lonely && lonely.error() != ramie::errc::timed_out) findings.said("open", lonely.error());
}

void write_to_nobody(Findings& findings) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return;
  ::close(ends[0]);
  auto file = ramie::fs::File::from_fd(ends[1]);
  const auto written = file.write(std::array{std::byte{6}});
  if (written) findings.wrong("a pipe without a reader took something");
  else if (written.error() != std::errc::broken_pipe)
    findings.said("File::write to nobody", written.error());
}

void use_files(Findings& findings) {
  Folder folder;
  if (!folder.is_there) return;
  use_whole_files(findings, folder.file());
  use_a_file(findings, folder.file());
  use_a_pipe(findings, folder.file());
}

// Objects that allocate.
void make_objects(Findings& findings) {
  auto [sender, receiver] = ramie::sync::oneshot::channel<int>();
  std::array<char, 500> large{};
  large.back() = 7;
  auto sending = start(
      findings, "spawn with a large closure",
      [large, to = std::move(sender)]() mutable { (void)std::move(to).send(int{large.back()}); });
  auto received = within(findings, "oneshot hangs", [&] { return receiver.recv(); });
  if (received) findings.expect(*received == 7, "another value came");
  join(findings, "join a sender", sending);
  auto result = ramie::spawn([] { return std::array<char, 500>{}; });
  is_good(findings, "a large result", result.join());
  const ramie::CancellationToken parent;
  const ramie::CancellationToken child = parent.child();
  ramie::Scope scope;
  is_good(findings, "Scope::spawn", scope.spawn([&] { (void)child.wait(); }));
  parent.cancel();
  is_good(findings, "Scope::join", scope.join());
}

void connect_by_name(Findings& findings) {
  auto listener = TcpListener::bind("127.0.0.1:0");
  if (!is_good(findings, "bind", listener)) return;
  auto address = listener->local_addr();
  if (!is_good(findings, "local_addr", address)) return;
  auto stream = within(findings, "connect by name hangs", [&] {
    return TcpStream::connect(kName + ":" + std::to_string(address->port()));
  });
  is_good(findings, "connect by name", stream);
}

// A joined fiber may not have counted itself yet.
void check_balance(Findings& findings, const ramie::runtime::Runtime& runtime) {
  auto metrics = runtime.metrics();
  const auto end = std::chrono::steady_clock::now() + kHang;
  while ((metrics.spawned != metrics.finished || metrics.stacks != 0) &&
         std::chrono::steady_clock::now() < end) {
    (void)::usleep(100);
    metrics = runtime.metrics();
  }
  findings.expect(metrics.spawned == metrics.finished, "fibers are left",
                  static_cast<long>(metrics.spawned - metrics.finished));
  findings.expect(metrics.stacks == 0, "stacks are left", static_cast<long>(metrics.stacks));
  findings.expect(metrics.timers == 0, "timers are left", static_cast<long>(metrics.timers));
  findings.expect(metrics.io_registered == metrics.io_deregistered, "registrations are left",
                  static_cast<long>(metrics.io_registered - metrics.io_deregistered));
}

void live(const Scenario& scenario, Findings& findings) noexcept {
  if (scenario.once_started != nullptr) {
    part(findings, "files before", [&] { use_files(findings); });
    scenario.once_started();
  }
  part(findings, "sockets", [&] { sockets(findings, scenario.clients); });
  if (scenario.is_process_wide)
    part(findings, "signals", [&] { hear_a_signal(findings, scenario.self); });
  part(findings, "timers", [&] { sleep_and_time_out(findings); });
  part(findings, "blocking", [&] { block(findings, scenario.looks_names_up); });
  part(findings, "files", [&] { use_files(findings); });
  if (scenario.writes_to_nobody)
    part(findings, "a pipe without a reader", [&] { write_to_nobody(findings); });
  part(findings, "directories", [&] { Directories(findings).use(); });
  part(findings, "crowd", [&] { gather_a_crowd(findings, scenario.crowd); });
  part(findings, "channel", [&] { talk(findings); });
  part(findings, "objects", [&] { make_objects(findings); });
  if (scenario.looks_names_up) part(findings, "names", [&] { connect_by_name(findings); });
}

}  // namespace

void run(const Scenario& scenario, Findings& findings) noexcept {
  ramie::uring::forget_refusal();  // from an earlier run's plan
  ramie::fs::sys::forget_mounts();
  part(findings, "build", [&] {
    ramie::runtime::Builder builder;
    builder.ignore_environment(true).process_wide(scenario.is_process_wide);
    builder.workers(scenario.workers).io_shards(scenario.shards);
    if (scenario.is_pinned) builder.affinity(ramie::runtime::Affinity::spread);
    auto runtime = builder.build();
    if (!is_good(findings, "build", runtime)) return;
    part(findings, "block_on", [&] { runtime->block_on([&] { live(scenario, findings); }); });
    check_balance(findings, *runtime);
    findings.begin("shutdown");
    findings.expect(runtime->shutdown(kHang).empty(), "stragglers at shutdown");
  });
  findings.begin("end");
}

void open_reserve() noexcept {
  ramie::runtime::Builder builder;
  auto runtime = builder.ignore_environment(true).process_wide(true).workers(1).build();
  if (runtime) runtime->block_on([] { (void)TcpListener::bind("127.0.0.1:0"); });
}

}  // namespace faults
