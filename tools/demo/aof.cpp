// The writer and its failures; aof.hpp says what they mean for the clients.
#include "tools/demo/aof.hpp"

#include <ramie/scope.hpp>
#include <ramie/time.hpp>

#include <cstdio>
#include <new>
#include <utility>

namespace demo {

Aof::Aof(ramie::fs::File file, std::string name, std::uint64_t size, Fsync fsync,
         std::chrono::milliseconds period)
    : file_(std::move(file)), name_(std::move(name)), fsync_(fsync), period_(period), size_(size) {}

// ---- fibers that append and wait -------------------------------------------------------------

template <class Words>
Aof::Sequence Aof::append_words(Words words) {
  const std::lock_guard lock(mutex_);
  const std::size_t before = buffer_.size();
  try {
    append_record(buffer_, words);
  } catch (...) {
    // The store has changed and the log lacks the change: every later record would be wrong.
    buffer_.resize(before);
    error_ = std::make_error_code(std::errc::not_enough_memory);
    broken_ = failing_ = true;
    kick();
    throw;
  }
  const Sequence end = appended_.load() + buffer_.size() - before;
  appended_.store(end, std::memory_order_release);
  if (broken_.load()) buffer_.resize(before);
  return end;
}

template Aof::Sequence Aof::append_words(std::span<const std::string_view>);
template Aof::Sequence Aof::append_words(std::span<const Word>);

void Aof::expired(std::string_view key) noexcept {
  try {
    append({"DEL", key});
  } catch (...) {  // append() has broken the log
  }
  kick();
}

ramie::Result<Aof::Sequence> Aof::wait_safe(Sequence wanted) {
  Sequence safe = safe_.load(std::memory_order_acquire);
  if (safe >= wanted) return safe;
  kick();
  std::unique_lock lock(progress_);
  const auto waited = moved_.wait(lock, [&] {
    safe = safe_.load(std::memory_order_acquire);
    return safe >= wanted || is_failing();
  });
  if (!waited) return ramie::failure(waited.error());
  return safe;
}

std::string Aof::failure_text() const {
  const std::lock_guard lock(mutex_);
  return "MISCONF Errors writing to the AOF file: " + error_.message();
}

Aof::Status Aof::status() const noexcept {
  const Sequence written = written_.load();  // first: it never overtakes appended_
  return {!is_failing(), size_.load(), appended_.load() - written};
}

// ---- the writer --------------------------------------------------------------------------------

void Aof::run() {
  const ramie::Shield shield;  // only stop() ends it: a cancel must not cut a write in half
  ramie::Scope parts(ramie::on_failure::report);
  if (!is_always()) (void)parts.spawn({.name = "aof sync"}, [this] { run_sync(); });
  while (!stop_.is_canceled()) {
    const bool retries = is_failing() && !broken_.load();
    (void)ramie::until(stop_, [&] { return retries ? ramie::sleep_for(period_) : work_.wait(); });
    write_groups();
    if (broken_.load()) publish_safe();  // append() has broken the log
  }
  (void)parts.join();
  write_groups();
  sync_written();
}

void Aof::run_sync() {
  const ramie::Shield shield;
  while (!stop_.is_canceled()) {
    (void)ramie::until(stop_, [&] { return ramie::sleep_for(period_); });
    sync_written();
  }
}

void Aof::write_groups() {
  try {
    while (!broken_.load() && take_group() && write_group()) {
      if (is_always()) sync_written();
      publish_safe();
    }
  } catch (const std::bad_alloc&) {
    fail("write", std::make_error_code(std::errc::not_enough_memory), true);
  }
}

// False: there is nothing to write. It first writes what a failed write has left.
bool Aof::take_group() {
  constexpr std::size_t kKeep = 1 << 20;  // one burst must not keep its memory
  if (!group_.empty()) return true;
  if (group_.capacity() > kKeep) std::string().swap(group_);
  const std::lock_guard lock(mutex_);
  std::swap(group_, buffer_);
  return !group_.empty();
}

bool Aof::write_group() {
  const std::uint64_t size = size_.load();
  const auto written = file_.write_all_at(std::as_bytes(std::span(group_)), size);
  if (!written) {
    const bool is_cut = file_.set_len(size).has_value();
    fail("write", written.error(), !is_cut);
    return false;
  }
  size_.store(size + group_.size());
  written_.fetch_add(group_.size());
  group_.clear();
  if (is_failing()) recover();
  return true;
}

// Called by the writer with `always` and at the end, and by the syncing fiber with `everysec`.
void Aof::sync_written() {
  const Sequence written = written_.load();
  if (broken_.load() || written == synced_.load()) return;
  const auto synced = file_.sync_data();
  if (!synced) return fail("fdatasync", synced.error(), true);
  synced_.store(written);
}

// And wakes the fibers that wait. In a broken log nothing more becomes safe.
void Aof::publish_safe() {
  const Sequence safe = is_always() ? synced_.load() : written_.load();
  {
    const std::lock_guard lock(progress_);
    if (!broken_.load()) safe_.store(safe, std::memory_order_release);
  }
  moved_.notify_all();
}

void Aof::fail(const char* act, std::error_code error, bool for_good) {
  bool is_new = false;
  {
    const std::lock_guard lock(mutex_);
    is_new = !is_failing() || (for_good && !broken_.load());
    error_ = error;
    if (for_good) {
      broken_ = true;
      std::string().swap(buffer_);
    }
  }
  {
    const std::lock_guard lock(progress_);
    failing_.store(true, std::memory_order_release);
  }
  moved_.notify_all();
  if (!is_new) return;
  std::fprintf(stderr, "ramie demo: aof: %s %s: %s: writes are refused %s\n", act, name_.c_str(),
               error.message().c_str(), for_good ? "until a restart" : "until it works again");
}

void Aof::recover() {
  {
    const std::lock_guard lock(mutex_);
    if (broken_.load()) return;  // a sync broke it meanwhile; it sets failing_ after that
    failing_.store(false, std::memory_order_release);
  }
  std::fprintf(stderr, "ramie demo: aof: %s is written again: writes are accepted\n",
               name_.c_str());
}

}  // namespace demo
