// For tests of directories: a place for one test's files, looked at and filled with other means
// than the library's; running a test in fibers and on a plain thread; and acting at the nth system
// call of a kind.
#pragma once

#include "tests/support/in_runtime.hpp"
#include "tests/support/injection.hpp"
#include "tests/support/places.hpp"
#include "tests/support/skip.hpp"

#include <stdlib.h>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

namespace ramie_test {

namespace stdfs = std::filesystem;

class Scratch {
 public:
  explicit Scratch(const std::string& where = kDisk) : root_(where + "/ramie-test-XXXXXX") {
    if (::mkdtemp(root_.data()) == nullptr) throw std::runtime_error("mkdtemp in " + where);
  }
  ~Scratch() {
    std::error_code ignored;
    stdfs::remove_all(root_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::string& path() const { return root_; }
  std::string path(std::string_view name) const { return root_ + "/" + std::string(name); }

  std::string write(std::string_view name, std::string_view text = "text") const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  std::string read(std::string_view name) const {
    std::ifstream file(path(name), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return std::move(text).str();
  }
  std::string make_dir(std::string_view name) const {
    stdfs::create_directories(path(name));
    return path(name);
  }
  // Whatever it is, a link that leads nowhere included.
  bool has(std::string_view name) const {
    return stdfs::symlink_status(path(name)).type() != stdfs::file_type::not_found;
  }
  unsigned mode_of(std::string_view name) const {
    return static_cast<unsigned>(stdfs::status(path(name)).permissions());
  }
  bool is_empty() const { return stdfs::is_empty(root_); }

 private:
  std::string root_;
};

// `test()` on this thread, which no runtime knows, then in a fiber of each number of workers.
template <class F>
void everywhere(F&& test) {
  SECTION("on a plain thread") { test(); }
  for (const std::size_t workers : kWorkerCounts) {
    SECTION("in a fiber, of " + std::to_string(workers) + " workers") {
      in_runtime(workers, [&] { test(); });
    }
  }
}

// Acts just before the nth call of a kind, in the thread that makes it; once. What `act` returns
// the call returns, if it is not 0.
class AtCall final : public Injection {
 public:
  AtCall(const char* call, int nth, std::function<int()> act)
      : call_(call), left_(nth), act_(std::move(act)) {
    plug_in();
  }
  ~AtCall() { pull_out(); }

  bool has_acted() const { return left_.load() <= 0; }
  int calls_after() const { return -left_.load(); }

 private:
  int decide(const char* call) noexcept override {
    if (std::strcmp(call, call_) != 0) return 0;
    return left_.fetch_sub(1) == 1 ? act_() : 0;
  }

  const char* call_;
  std::atomic<int> left_;
  std::function<int()> act_;
};

}  // namespace ramie_test
