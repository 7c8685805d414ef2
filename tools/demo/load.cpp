// One SET for four GETs on 10,000 keys. A key's value follows from the key, so that every reply can
// be checked: a GET gives that value or nothing.
//
// The fibers share data without a lock: this runtime has one worker, and it leaves a fiber only
// where the fiber waits.
#include "tools/demo/load.hpp"

#include <ramie/cancel.hpp>
#include <ramie/net.hpp>
#include <ramie/runtime.hpp>
#include <ramie/scope.hpp>
#include <ramie/time.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tools/demo/report.hpp"
#include "tools/demo/text.hpp"

namespace demo {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kKeys = 10000;

std::uint32_t next_random(std::uint32_t& state) noexcept {  // xorshift32; the seed is not 0
  state ^= state << 13;
  state ^= state >> 17;
  return state ^= state << 5;
}

/// The request and the replies that are right for it.
struct Question {
  std::string request;
  std::string expected;
  bool may_be_nil = false;

  void ask(std::uint32_t random) {
    std::array<char, 16> key{};
    const int length = std::snprintf(key.data(), key.size(), "key:%06u", random % kKeys);
    const std::string_view name(key.data(), static_cast<std::size_t>(length));
    may_be_nil = random / kKeys % 5 != 0;
    request = may_be_nil ? "*2\r\n$3\r\nGET\r\n$10\r\n" : "*3\r\n$3\r\nSET\r\n$10\r\n";
    request.append(name).append("\r\n");
    if (may_be_nil) {
      expected.assign("$32\r\nvalue-of-").append(name).append(13, '.').append("\r\n");
    } else {
      request.append("$32\r\nvalue-of-").append(name).append(13, '.').append("\r\n");
      expected = "+OK\r\n";
    }
  }
};

constexpr std::string_view kNil = "$-1\r\n";

class Load {
 public:
  explicit Load(const LoadPlan& plan) : plan_(plan) {}

  LoadResult run() {
    ramie::Scope fibers(ramie::on_failure::report);
    for (unsigned i = 0; i < plan_.connections; ++i) {
      const std::string name = "client " + std::to_string(i);
      if (!fibers.spawn({.name = name}, [this, i] { client(i); }))
        fail("no memory for a fiber"), arrive();
    }
    if (gate_.wait()) show_progress();
    (void)fibers.join();
    result_.latency.merge(second_);
    result_.seconds = std::chrono::duration<double>(last_ - begin_).count();
    return std::move(result_);
  }

 private:
  void client(unsigned number) {
    auto address = ramie::net::SocketAddr::parse(plan_.address);
    if (!address) return fail(address.error().message()), arrive();
    auto stream = ramie::net::TcpStream::connect(*address);
    if (!stream) return fail("connect: " + stream.error().message()), arrive();
    (void)stream->set_nodelay(true);
    ++result_.connected;
    arrive();
    if (!gate_.wait()) return;
    // A server that stops answering must not block us for ever.
    const auto done = ramie::timeout_at(end_ + 10s, [&] { converse(*stream, number + 1); });
    if (!done) fail("no reply within ten seconds after the end");
  }

  void converse(ramie::net::TcpStream& stream, std::uint32_t seed) {
    seed *= 2654435761u;  // neighbours start far apart
    Question question;
    std::array<char, 256> reply;
    for (auto sent = Clock::now(); sent < end_;) {
      question.ask(next_random(seed));
      if (!stream.write_all(std::as_bytes(std::span(question.request)))) {
        return fail("the server closed a connection");
      }
      if (!receive(stream, question, reply)) return;
      const auto received = Clock::now();
      second_.record(static_cast<std::uint64_t>((received - sent).count()));
      last_ = sent = received;
    }
  }

  // Reads exactly one reply and compares it. False: the connection is no longer usable.
  bool receive(ramie::net::TcpStream& stream, const Question& question,
               std::array<char, 256>& reply) {
    std::size_t have = 0;
    for (;;) {
      const auto room = std::as_writable_bytes(std::span(reply).subspan(have));
      const auto count = stream.read(room);
      if (!count) return fail(count.error().message()), false;
      if (*count == 0) return fail("the server closed a connection"), false;
      have += *count;
      const std::string_view text(reply.data(), have);
      if (text == question.expected || (question.may_be_nil && text == kNil)) return true;
      const bool unfinished =
          question.expected.starts_with(text) || (question.may_be_nil && kNil.starts_with(text));
      if (!unfinished) return fail("a wrong reply: " + std::string(text)), false;
    }
  }

  // The last one that connects, or fails to, starts the clock for all.
  void arrive() {
    if (++arrived_ < plan_.connections) return;
    begin_ = last_ = Clock::now();
    end_ = begin_ + std::chrono::seconds(plan_.seconds);
    gate_.cancel();
  }

  void fail(std::string_view why) {
    ++result_.errors;
    if (result_.first_error.empty()) result_.first_error = why;
  }

  void show_progress() {
    for (unsigned second = 1; second <= plan_.seconds; ++second) {
      if (!ramie::sleep_until(begin_ + std::chrono::seconds(second))) return;
      const std::string rate = with_commas(second_.count());
      std::printf("  %3u s  %9s requests/s   p99 %s\n", second, rate.c_str(),
                  milliseconds(second_.quantile(0.99)).c_str());
      std::fflush(stdout);
      result_.latency.merge(second_);
      second_.clear();
    }
  }

  const LoadPlan& plan_;
  LoadResult result_;
  Histogram second_;  // of the running second; merged into the result at its end
  ramie::CancellationToken gate_;
  unsigned arrived_ = 0;
  Clock::time_point begin_, end_, last_;
};

}  // namespace

LoadResult run_load(const LoadPlan& plan) {
  auto runtime = ramie::runtime::Builder().workers(1).build();
  if (!runtime) {
    LoadResult failed;
    failed.errors = 1;
    failed.first_error = "no runtime for the load: " + runtime.error().message();
    return failed;
  }
  return runtime->block_on([&] { return std::make_unique<Load>(plan)->run(); });
}

}  // namespace demo
