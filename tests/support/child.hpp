// Runs a function in a forked child and returns how the child ended and what it wrote to stderr. It
// is for tests whose expected result is the end of the program. Fork before the test starts
// threads.
#pragma once

#include "tests/support/emulated.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

namespace ramie_test {

struct ChildEnd {
  int exit_status = -1;  // -1: ended by a signal
  int signal = 0;
  std::string messages;

  bool says(const std::string& text) const { return messages.find(text) != std::string::npos; }
};

// The child runs `body`, then ends with status 0. An emulator's child can start threads only if a
// new thread forks it (emulated.hpp). So call this on the main thread: in the child the stacks of
// others are gone, and with them what `body` refers to.
template <class Body>
pid_t fork_to(Body&& body) {
  pid_t pid = -1;
  const auto run = [&pid, &body] {
    pid = ::fork();
    if (pid < 0) std::abort();
    if (pid > 0) return;
    body();
    ::_exit(0);
  };
  if (has_threads_in_forks()) run();
  else std::thread(run).join();
  return pid;
}

// The child ends with status 0 when `body` returns. It is killed after `seconds`.
template <class Body>
ChildEnd run_in_child(Body&& body, unsigned seconds = 30) {
  int ends[2];
  if (::pipe(ends) != 0) std::abort();
  const pid_t pid = fork_to([&] {
    ::alarm(seconds);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    body();
  });
  ::close(ends[1]);
  ChildEnd end;
  char buffer[4096];
  for (;;) {
    const ssize_t n = ::read(ends[0], buffer, sizeof buffer);
    if (n <= 0) break;
    end.messages.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  if (is_emulated()) {  // it adds this to the signals that end its program
    const std::size_t added = end.messages.find("qemu: uncaught target signal");
    if (added != std::string::npos)
      end.messages.erase(added, end.messages.find('\n', added) + 1 - added);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (WIFEXITED(status)) end.exit_status = WEXITSTATUS(status);
  else end.signal = WTERMSIG(status);
  return end;
}

}  // namespace ramie_test
