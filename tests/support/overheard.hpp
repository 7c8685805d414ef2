// Captures what this process writes to stderr while the object lives. It still passes the text on,
// and a thread can wait for a part of it. For a child of run_in_child(); declare it before the
// runtime.
#pragma once

#include "tests/support/eventually.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace ramie_test {

class Overheard {
 public:
  Overheard() : before_(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0 || ::dup2(ends[1], STDERR_FILENO) < 0) std::abort();
    ::close(ends[1]);
    thread_ = std::thread([this, from = ends[0]] { pass_on(from); });
  }
  ~Overheard() {
    (void)::dup2(before_, STDERR_FILENO);  // closes the only writing end
    thread_.join();
    ::close(before_);
  }
  Overheard(const Overheard&) = delete;
  Overheard& operator=(const Overheard&) = delete;

  std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }
  bool says(std::string_view part) const { return text().find(part) != std::string::npos; }
  // On a thread: returns false if the text has not come after ten seconds.
  [[nodiscard]] bool comes(std::string_view part) const {
    return comes_true([&] { return says(part); });
  }

 private:
  void pass_on(int from) {
    std::array<char, 4096> buffer;
    for (;;) {
      const ssize_t n = ::read(from, buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      const std::string_view part(buffer.data(), static_cast<std::size_t>(n));
      (void)!::write(before_, part.data(), part.size());
      const std::lock_guard lock(mutex_);
      text_ += part;
    }
    ::close(from);
  }

  const int before_;
  mutable std::mutex mutex_;
  std::string text_;
  std::thread thread_;
};

}  // namespace ramie_test
