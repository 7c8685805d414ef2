// See uring_kernel.hpp. The model's version of uring/ring.hpp and io/sys/event_fd.hpp, and of the
// part of uring::Driver that finds a worker's ring.
#include "tests/model/uring_kernel.hpp"

#include "tests/model/worker.hpp"

#include "io/sys/event_fd.hpp"
#include "sched/current.hpp"
#include "uring/driver.hpp"
#include "uring/opcodes.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace ramie::model {

using uring::Entry;
using Cqe = uring::Event;
using uring::Ring;

namespace {
using uring::kAsyncCancel;
using uring::kPollAdd;
constexpr int kGhost = 1000;
}  // namespace

Uring* Uring::current_ = nullptr;

Uring::Uring(const Rules& rules) : rules_(rules) { current_ = this; }
Uring::~Uring() { current_ = nullptr; }

int Uring::end_of(const Cell<int>& memory) const {
  const auto is_same = [&](const auto& it) { return it.memory == &memory; };
  const auto waits = std::ranges::find_if(submissions_, [&](const Entry& entry) {
    return entry.address == reinterpret_cast<std::uintptr_t>(&memory);
  });
  check(waits == submissions_.end() && std::ranges::none_of(running_, is_same),
        "the frame is left while the kernel has its operation");
  const auto end = std::ranges::find_if(ends_, is_same);
  return end == ends_.end() ? 0 : end->result;
}

bool Uring::push(const Entry& entry) {
  user_ = 1;
  if (submissions_.size() == rules_.entries) return false;
  submissions_.push_back(entry);
  return true;
}

bool Uring::take_back(std::uint64_t& tag) {
  user_ = 1;
  if (submissions_.empty()) return false;
  tag = submissions_.back().user_data;
  submissions_.pop_back();
  return true;
}

bool Uring::is_denied() {
  check(!is_denied_, "U9: it is entered again");
  return is_denied_ = may(rules_.denials);
}

int Uring::enter() {
  user_ = 1;
  if (is_denied()) return -EPERM;
  const int error = take_submissions();
  touch_all();
  if (error == 0) make_progress();
  flush();
  return error;
}

int Uring::enter_and_wait(std::int64_t max_wait) {
  user_ = 1;
  if (is_denied()) return -EPERM;
  const bool is_partial = submissions_.size() > 1;
  int result = take_submissions();
  touch_all();
  flush();
  if (result != 0 || (is_partial && !submissions_.empty())) return result;
  make_progress();
  if (may(rules_.interrupts)) return -EINTR;
  if (completions_.empty()) sleep(max_wait, result);
  flush();
  return result;
}

bool Uring::needs_enter() const { return !submissions_.empty() || !overflow_.empty(); }

bool Uring::has_news() const { return needs_enter() || !completions_.empty(); }

std::size_t Uring::take(std::span<Cqe> events) {
  user_ = 1;
  const bool is_visited = sched::current_worker() == &Loop::current().elsewhere();
  if (rules_.is_free && is_visited) pass_time();
  if (is_denied_ && std::exchange(is_looked_for_, true)) pass_time();  // not at the first look
  std::size_t count = 0;
  for (; count < events.size() && !completions_.empty(); ++count) {
    events[count] = completions_.front();
    taken_ghosts_ += events[count].result == kGhost ? 1U : 0U;
    completions_.pop_front();
  }
  return count;
}

// --- in ------------------------------------------------------------------------------------------

int Uring::take_submissions() {
  flush();
  if (rules_.is_busy && !overflow_.empty() && !submissions_.empty()) return -EBUSY;
  if (may(rules_.put_offs)) return -EAGAIN;
  std::size_t count = submissions_.size();
  if (count > 1 && may(rules_.parts)) count = 1;
  for (; count > 0; --count) {
    const Entry entry = submissions_.front();
    submissions_.pop_front();
    switch (entry.opcode) {
      case kPollAdd: arm(entry); break;
      case kAsyncCancel: cancel(entry); break;
      default: start(entry); break;
    }
  }
  return 0;
}

void Uring::start(const Entry& entry) {
  auto* memory = reinterpret_cast<Cell<int>*>(entry.address);
  running_.push_back({entry, memory});
  taken_.push_back(memory);
  const auto is_brief = [](const Running& it) { return it.entry.opcode == kRead; };
  const auto briefs = static_cast<std::size_t>(std::ranges::count_if(running_, is_brief));
  check(briefs <= std::max<std::size_t>(rules_.completions / 2, 1), "U2: too many are in here");
}

void Uring::arm(const Entry& entry) {
  std::uint64_t& tag = entry.fd == kShard ? shard_tag_ : bell_tag_;
  check(tag == 0, "it is armed twice");
  tag = entry.user_data;
  (void)wire_.wait_for();
  is_rung_ = is_rung_ || (entry.fd != kShard && was_rung_);
  (void)tell_polls();
}

void Uring::cancel(const Entry& entry) {
  const auto target = std::ranges::find(running_, entry.address,
                                        [](const Running& it) { return it.entry.user_data; });
  if (target == running_.end()) return post({entry.user_data, -ENOENT, 0});
  const bool is_deaf = target->entry.opcode == kRead || target->entry.opcode == kSend;
  if (is_deaf || target->is_doomed) return post({entry.user_data, -EALREADY, 0});
  const auto which = static_cast<std::size_t>(target - running_.begin());
  switch (choose(rules_.misses > 0 ? 4 : 3)) {
    case 0: post({entry.user_data, 0, 0}); return end(which, -ECANCELED);
    case 1: end(which, -ECANCELED); return post({entry.user_data, 0, 0});
    case 2: target->is_doomed = true; return post({entry.user_data, 0, 0});
    default: --rules_.misses; return post({entry.user_data, -ENOENT, 0});
  }
}

// --- on ------------------------------------------------------------------------------------------

void Uring::touch_all() {
  for (const Running& it : running_) {
    if (it.entry.opcode == kSend) (void)it.memory->get();
    else *it.memory = kData;
  }
}

// The operations that could make a step now.
std::vector<std::size_t> Uring::able() const {
  std::vector<std::size_t> able;
  for (std::size_t i = 0; i < running_.size(); ++i)
    if (running_[i].entry.opcode != kDeaf || running_[i].is_doomed) able.push_back(i);
  return able;
}

bool Uring::must_go_on(const Running& it) const {
  const auto code = it.entry.opcode;
  return it.is_doomed || code == kRead || code == kSend || (code == kMany && given_ == 0);
}

bool Uring::must_end() const {
  return std::ranges::any_of(running_, [this](const Running& it) { return must_go_on(it); });
}

void Uring::make_progress() {
  while (rules_.ghosts > 0 && !ghosts_.empty() && may(rules_.ghosts))
    post({ghosts_.front(), kGhost, 0});
  while (!rules_.is_lazy) {
    const auto candidates = able();
    if (candidates.empty()) return;
    const int chosen = choose(static_cast<int>(candidates.size()) + 1);
    if (chosen == 0) return;
    go_on(candidates[static_cast<std::size_t>(chosen) - 1]);
  }
}

// No thread is in the kernel, but the kernel still works.
void Uring::pass_time() {
  touch_all();
  (void)wire_.wait_for();
  (void)tell_polls();
  if (must_end())
    for (const std::size_t which : able())
      if (must_go_on(running_[which])) {
        go_on(which);
        break;
      }
  flush();
}

void Uring::go_on(std::size_t which) {
  Running& it = running_[which];
  if (it.entry.opcode == kSend && !it.is_half_done) {
    it.is_half_done = true;
    return post({it.entry.user_data, kData, Ring::kMore});
  }
  if (it.is_half_done) return end(which, 0);
  if (it.entry.opcode == kMany && !it.is_doomed && given_ < rules_.many) {
    ++given_;
    return post({it.entry.user_data, kData, Ring::kMore});
  }
  const bool is_given_up = it.is_doomed && (it.entry.opcode == kDeaf || choose(2) == 0);
  if (it.entry.opcode == kMany && !is_given_up) ++given_;
  end(which, is_given_up ? -ECANCELED : kData);
}

void Uring::end(std::size_t which, int result) {
  const Running it = running_[which];
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(which));
  if (it.entry.opcode == kSend) (void)it.memory->get();
  else *it.memory = result == kData ? kData : 0;
  ends_.push_back({it.memory, it.is_half_done ? kData : result});
  ghosts_.push_back(it.entry.user_data);
  post({it.entry.user_data, result, it.is_half_done ? Ring::kNotification : 0});
}

// --- out -----------------------------------------------------------------------------------------

void Uring::post(const Cqe& event) {
  if (completions_.size() < rules_.completions && overflow_.empty()) completions_.push_back(event);
  else overflow_.push_back(event);
}

void Uring::flush() {
  while (!overflow_.empty() && completions_.size() < rules_.completions) {
    completions_.push_back(overflow_.front());
    overflow_.pop_front();
  }
}

void Uring::ring_bell() {
  wire_.signal();
  is_rung_ = true;
}

void Uring::set_readable() {
  wire_.signal();
  is_readable_ = true;
}

bool Uring::clear_readable() {
  (void)wire_.wait_for();
  return std::exchange(is_readable_, false);
}

// Reports the bell at each edge, the shard once. Returns true if there was something to report.
bool Uring::tell_polls() {
  const std::size_t before = completions_.size() + overflow_.size();
  was_rung_ = was_rung_ || is_rung_;
  if (bell_tag_ != 0 && std::exchange(is_rung_, false)) {
    const bool is_last = may(rules_.bell_ends);
    post({bell_tag_, 1, is_last ? 0 : Ring::kMore});
    if (is_last) bell_tag_ = 0;
  }
  if (is_readable_ && shard_tag_ != 0) post({std::exchange(shard_tag_, 0U), 1, 0});
  return completions_.size() + overflow_.size() != before;
}

void Uring::sleep(std::int64_t max_wait, int& result) {
  if (!must_end() && max_wait < 0) {  // no operation must end, so only a poll can wake us
    do wire_.wait();
    while (!tell_polls());
    return;
  }
  (void)wire_.wait_for();
  if (tell_polls()) return;
  if (must_end()) {
    for (const std::size_t which : able())
      if (must_go_on(running_[which])) return go_on(which);
  }
  Loop::current().stage().let_pass(max_wait);
  result = -ETIME;
}

}  // namespace ramie::model

namespace ramie::inline v0 {

namespace io::sys {
void ring(int) noexcept { model::Uring::current().ring_bell(); }
}  // namespace io::sys

namespace uring {

using model::Uring;

struct Ring::Parts {
  Uring& kernel = Uring::current();
};

Ring::Ring(std::unique_ptr<Parts> parts, RingMode mode) noexcept
    : parts_(std::move(parts)), mode_(mode) {}
Ring::~Ring() = default;

Result<std::unique_ptr<Ring>> Ring::create(const RingOptions& options) noexcept {
  return std::unique_ptr<Ring>(new Ring(std::make_unique<Parts>(), options.mode));
}

bool Ring::push(const Entry& entry) noexcept { return parts_->kernel.push(entry); }
int Ring::submit() noexcept { return parts_->kernel.enter(); }
int Ring::wait(base::Nanos max_wait) noexcept {
  return parts_->kernel.enter_and_wait(max_wait.count());
}
bool Ring::take_back(std::uint64_t& tag) noexcept { return parts_->kernel.take_back(tag); }
bool Ring::needs_enter() const noexcept { return parts_->kernel.needs_enter(); }
bool Ring::has_news() const noexcept { return parts_->kernel.has_news(); }
std::size_t Ring::take(std::span<Event> events) noexcept { return parts_->kernel.take(events); }
std::size_t Ring::completions() const noexcept { return parts_->kernel.completions(); }

// ---- driver.cpp; it refuses only what was denied later

bool is_denied(std::uint8_t) noexcept { return false; }

Driver::Driver(std::size_t workers, const RingOptions& options, bool is_on)
    : options_(options), is_on_(is_on), homes_(workers) {}

Driver::~Driver() {
  for (Home& home : homes_) delete home.site.load(base::kRelaxed);
}

Result<Site*> Driver::check_and_init(sched::Worker& worker) noexcept {
  Home& home = homes_[worker.index()];
  if (Site* site = home.site.load(base::kRelaxed)) {
    if (site->denial() != 0) return failure(errc::unsupported);
    return site;
  }
  auto made = make_site(worker);
  home.site.store(*made, base::kRelease);
  worker.set_park_site(*made);
  return made;
}

Result<Site*> Driver::make_site(sched::Worker& worker) noexcept {
  return new Site(worker, std::move(*Ring::create(options_)), io::sys::UniqueFd(0));
}

}  // namespace uring
}  // namespace ramie::inline v0
