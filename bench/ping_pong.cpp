// Two fibers that wake each other in turn: with Notify, and with a oneshot for each request and
// answer. With two workers or more also pinned to different workers: each wake then crosses
// threads.
#include "bench/support/measure.hpp"
#include "bench/support/options.hpp"

#include <ramie/ramie.hpp>

namespace {

using ramie::SpawnOptions;
using ramie::sync::Notify;
namespace oneshot = ramie::sync::oneshot;

// n round trips. The options say on which workers the two fibers run.
void by_notify(std::uint64_t n, const SpawnOptions& where) {
  Notify ping, pong;
  auto answers = ramie::spawn(where, [&] {
    for (std::uint64_t i = 0; i < n; ++i) {
      ramie::or_throw(ping.wait());
      pong.notify_one();
    }
  });
  auto asks = ramie::spawn(where, [&] {
    for (std::uint64_t i = 0; i < n; ++i) {
      ping.notify_one();
      ramie::or_throw(pong.wait());
    }
  });
  ramie::or_throw(asks.join());
  ramie::or_throw(answers.join());
}

struct Request {
  oneshot::Sender<std::uint64_t> answer;
};

// Each round trip sends a request that carries the sender of its answer.
void by_oneshot(std::uint64_t n) {
  auto channel = ramie::sync::mpsc::channel<Request>(1);
  auto requests = std::move(channel.first);
  auto answers = ramie::spawn([inbox = std::move(channel.second), n]() mutable {
    for (std::uint64_t i = 0; i < n; ++i) {
      Request request = ramie::or_throw(inbox.recv());
      ramie::or_throw(request.answer.send(i));
    }
  });
  for (std::uint64_t i = 0; i < n; ++i) {
    auto [sender, receiver] = oneshot::channel<std::uint64_t>();
    ramie::or_throw(requests.send(Request{std::move(sender)}));
    (void)ramie::or_throw(receiver.recv());
  }
  ramie::or_throw(answers.join());
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t workers = 1;
  double seconds = 1;
  bench::Options("ping_pong: ns per round trip between two fibers")
      .whole("--workers", workers, 1, 1024, "worker threads")
      .real("--seconds", seconds, 0.01, 60, "how long to measure each")
      .parse(argc, argv);
  bench::Line line("ping_pong");
  const auto runtime = bench::make_runtime(workers);
  runtime.block_on([&] {
    line.add("workers", workers);
    const auto anywhere = [](std::uint64_t n) { by_notify(n, {}); };
    const auto apart = [](std::uint64_t n) { by_notify(n, {.pinned = true}); };
    bench::measure(seconds, anywhere).add_to(line, "notify");
    bench::measure(seconds, by_oneshot).add_to(line, "oneshot");
    if (workers > 1) bench::measure(seconds, apart).add_to(line, "pinned_apart");
  });
  line.print();
  return 0;
}
