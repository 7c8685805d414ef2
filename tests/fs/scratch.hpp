// Helpers for tests of directories: a folder for one test's files, accessed without the library; a
// way to run a test in fibers and on a plain thread; and a way to act at the nth call of a system
// call.
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
  // Whether the name exists, of any type, also as a link that leads nowhere.
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

// Runs `test()` on this thread, which no runtime knows, then in a fiber for each number of workers.
template <class F>
void everywhere(F&& test) {
  SECTION("on a plain thread") { test(); }
  for (const std::size_t workers : kWorkerCounts) {
    SECTION("in a fiber, of " + std::to_string(workers) + " workers") {
      in_runtime(workers, [&] { test(); });
    }
  }
}

// Acts once, just before the nth call of a system call, in the thread that makes it. If `act` does
// not return 0, the call returns that value.
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
