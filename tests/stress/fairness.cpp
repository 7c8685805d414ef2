// Runs 1,000 busy connections on one worker, four times what its queue holds. Those that overflow
// must get their turn: every connection gets nearly the mean number of replies.
#include "tests/stress/stress.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <vector>

namespace {

using namespace stress;
using ramie::net::SocketAddr;
using ramie::net::TcpListener;
using ramie::net::TcpStream;

constexpr std::size_t kConnections = 1000;

void serve(TcpStream stream) {
  std::array<std::byte, 256> buffer;
  for (;;) {
    const auto n = stream.read(buffer);
    if (!n || *n == 0 || !stream.write_all(std::span(buffer).first(*n))) return;
  }
}

struct Client {
  std::atomic<std::uint64_t> replies{0};
  std::chrono::nanoseconds longest{0};
};

// All start together, so a client that connects first does not count more.
struct Race {
  explicit Race(const SocketAddr& address) : server(address) {}

  SocketAddr server;
  ramie::CancellationToken start;
  std::atomic<std::size_t> connected{0};
  std::atomic<bool> is_over{false};
};

void ask(Race& race, Client& client) {
  auto stream = TcpStream::connect(race.server);
  if (!stream) return;
  ++race.connected;
  (void)race.start.wait();
  std::array<std::byte, 64> message{};
  while (!race.is_over.load(std::memory_order_relaxed)) {
    const auto begin = Clock::now();
    if (!stream->write_all(message) || !stream->read_exact(message)) return;
    client.longest = std::max<std::chrono::nanoseconds>(client.longest, Clock::now() - begin);
    ++client.replies;
  }
}

std::uint64_t total_replies(const std::vector<Client>& clients) {
  std::uint64_t total = 0;
  for (const Client& client : clients) total += client.replies;
  return total;
}

void judge(const std::vector<Client>& clients, double seconds) {
  const std::uint64_t total = total_replies(clients);
  std::vector<std::uint64_t> sorted;
  std::chrono::nanoseconds longest{0};
  for (const Client& client : clients) {
    sorted.push_back(client.replies);
    longest = std::max(longest, client.longest);
  }
  std::sort(sorted.begin(), sorted.end());
  const double mean = static_cast<double>(total) / static_cast<double>(clients.size());
  const auto at = [&](std::size_t i) { return static_cast<double>(sorted[i]); };
  std::printf(
      "%zu connections, %.0f replies/s; each: mean %.0f, least %.0f, p1 %.0f, most %.0f; "
      "longest wait %.1f ms\n",
      clients.size(), static_cast<double>(total) / seconds, mean, at(0), at(clients.size() / 100),
      at(clients.size() - 1), std::chrono::duration<double, std::milli>(longest).count());
  check(mean >= 20, "too few replies to judge: %.0f each", mean);
  check(at(0) * 3 >= mean, "a connection got %.0f replies, the mean is %.0f", at(0), mean);
  const double p99 = at(clients.size() * 99 / 100);  // a few may get more, at others' cost
  check(p99 <= 3 * mean, "ten connections got %.0f replies or more, the mean is %.0f", p99, mean);
}

}  // namespace

int main() {
  must_end_within(120s);
  if (!ramie_test::raise_descriptor_limit(2 * kConnections + 100)) {
    std::puts("skipped: fairness | needs two descriptors for each of its connections");
    return 77;  // meson's status for a skip
  }
  const auto server = make_runtime(1);
  const auto driver = make_runtime(1);
  auto listener = server.block_on([] { return ramie::or_throw(TcpListener::bind("127.0.0.1:0")); });
  Race race(ramie::or_throw(listener.local_addr()));
  auto serving = server.spawn([&] {
    ramie::Scope connections(ramie::on_failure::report);
    while (auto accepted = listener.accept())
      (void)connections.spawn(serve, std::move(accepted->stream));
  });
  std::vector<Client> clients(kConnections);
  driver.block_on([&] {
    ramie::Scope scope;
    for (Client& client : clients) (void)scope.spawn([&] { ask(race, client); });
    while (race.connected < kConnections) (void)ramie::sleep_for(1ms);
    const auto begin = Clock::now();
    race.start.cancel();
    (void)ramie::sleep_for(std::chrono::seconds(scaled(3, 15)));
    // A loaded or sanitized machine needs longer for enough replies.
    while (total_replies(clients) < 40 * kConnections && seconds_since(begin) < 60)
      (void)ramie::sleep_for(100ms);
    race.is_over = true;
    (void)scope.join();
    judge(clients, seconds_since(begin));
  });
  serving.cancel();
  (void)serving.join();
  listener = TcpListener();
  const auto metrics = server.metrics();
  std::printf("server: %lu overflows of the local queue, %lu runs\n",
              static_cast<unsigned long>(metrics.overflows),
              static_cast<unsigned long>(metrics.switches));
  check_balance(server);
  return failures == 0 ? 0 : 1;
}
