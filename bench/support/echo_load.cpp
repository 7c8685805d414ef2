// The client of echo.hpp. It needs no locks: there is one worker, and it leaves a fiber only where
// the fiber waits.
#include "bench/support/echo.hpp"

#include "bench/support/measure.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <span>
#include <vector>

namespace bench {

namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 10s;  // for answers after the end

class Load {
 public:
  explicit Load(const LoadPlan& plan) : plan_(plan) {}

  LoadResult run() {
    ramie::Scope fibers(ramie::on_failure::report);
    for (std::uint64_t c = 0; c < plan_.connections; ++c)
      if (!fibers.spawn([this, c] { client(c); })) fail("no memory for a fiber"), arrive();
    if (auto joined = fibers.join(); !joined) fail(joined.error().message());
    result_.seconds = plan_.seconds;
    return std::move(result_);
  }

 private:
  void client(std::uint64_t number) {
    auto stream = ramie::net::TcpStream::connect(plan_.server);
    if (!stream) return fail("connect: " + stream.error().message()), arrive();
    (void)stream->set_nodelay(true);
    arrive();
    if (!gate_.wait()) return;
    const bool burns = number < plan_.burners;
    std::string message(plan_.size, '.');
    message.front() = burns ? kBurning : kPlain;
    const auto done = ramie::timeout_at(end_ + kPatience, [&] {
      if (plan_.rate == 0) ask_and_wait(*stream, message, burns);
      else ask_in_time(*stream, message, burns, number);
    });
    if (!done) fail("no answer within ten seconds after the end");
  }

  // The last one that connects, or fails to, starts the clock for all.
  void arrive() {
    if (++arrived_ < plan_.connections) return;
    start_ = Clock::now() + 10ms;
    begin_ = start_ + seconds_of(plan_.warm_up);
    end_ = begin_ + seconds_of(plan_.seconds);
    gate_.cancel();
  }

  void ask_and_wait(ramie::net::TcpStream& stream, const std::string& message, bool burns) {
    std::vector<std::byte> answer(plan_.size);
    for (auto asked = Clock::now(); asked < end_;) {
      if (auto sent = stream.write_all(std::as_bytes(std::span(message))); !sent)
        return fail("write: " + sent.error().message());
      if (auto got = stream.read_exact(answer); !got) return fail("read: " + got.error().message());
      const auto now = Clock::now();
      if (!burns) count(asked, now, now);
      asked = now;
    }
  }

  void ask_in_time(ramie::net::TcpStream& stream, const std::string& message, bool burns,
                   std::uint64_t number) {
    const auto due = [&](std::uint64_t k) {
      const auto place = static_cast<double>(k * plan_.connections + number);
      return start_ + seconds_of(place / static_cast<double>(plan_.rate));
    };
    ramie::Scope writer(ramie::on_failure::report);
    const auto started = writer.spawn([&] {
      for (std::uint64_t k = 0; due(k) < end_; ++k) {
        if (!ramie::sleep_until(due(k))) return;
        if (auto sent = stream.write_all(std::as_bytes(std::span(message))); !sent)
          return fail("write: " + sent.error().message());
      }
    });
    if (!started) return fail("no memory for a fiber");
    std::vector<std::byte> answer(plan_.size);
    for (std::uint64_t k = 0; due(k) < end_; ++k) {
      if (auto got = stream.read_exact(answer); !got) return fail("read: " + got.error().message());
      if (!burns) count(due(k), Clock::now(), due(k));
    }
  }

  // `counts_at` decides whether it is in the measured seconds.
  void count(Clock::time_point asked, Clock::time_point answered, Clock::time_point counts_at) {
    if (counts_at < begin_ || counts_at >= end_) return;
    ++result_.requests;
    result_.latency.record(static_cast<std::uint64_t>((answered - asked).count()));
  }

  void fail(std::string why) {
    ++result_.errors;
    if (result_.first_error.empty()) result_.first_error = std::move(why);
  }

  static Clock::duration seconds_of(double seconds) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

  const LoadPlan& plan_;
  LoadResult result_;
  ramie::CancellationToken gate_;
  std::uint64_t arrived_ = 0;
  Clock::time_point start_, begin_, end_;
};

// Best effort: it needs root or CAP_SYS_NICE.
void hurry() {
  const sched_param first{.sched_priority = 10};
  (void)sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
}

}  // namespace

LoadResult run_load(const LoadPlan& plan, bool urgent) {
  ramie::runtime::Builder builder;
  builder.workers(1).thread_name("load");
  if (urgent) builder.on_thread_start(hurry);
  const auto runtime = ramie::or_throw(builder.build());
  return runtime.block_on([&] { return std::make_unique<Load>(plan)->run(); });
}

void allow_many_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace bench
