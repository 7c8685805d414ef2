// Opens, uses and closes a million connections. Nothing may be left, and memory stays flat. They
// end with a RST (linger 0) and use all of 127.0.0.0/8, so that no port lingers.
#include "tests/stress/stress.hpp"

#include <array>
#include <atomic>
#include <string>

namespace {

using namespace stress;
using ramie::net::SocketAddr;
using ramie::net::TcpListener;
using ramie::net::TcpStream;

constexpr std::size_t kClients = 64;

void serve(TcpStream stream) {
  std::array<std::byte, 64> buffer;
  for (;;) {
    const auto n = ramie::timeout(10s, [&] { return stream.read(buffer); });
    if (!n || *n == 0) return;
    if (!stream.write_all(std::span(buffer).first(*n))) return;
  }
}

bool use_one(const SocketAddr& address) {
  std::array<std::byte, 8> buffer{};
  return ramie::timeout(10s,
                        [&]() -> bool {
                          auto stream = TcpStream::connect(address);
                          if (!stream || !stream->set_linger(0s)) return false;
                          return stream->write_all(buffer) && stream->read_exact(buffer);
                        })
      .value_or(false);
}

// Makes some thousands of connections. Returns how many worked.
std::size_t churn(std::size_t count) {
  auto listener = ramie::or_throw(TcpListener::bind("0.0.0.0:0"));
  const std::string port = ":" + std::to_string(listener.local_addr()->port());
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> good{0};
  ramie::Scope servers(ramie::on_failure::report);
  auto acceptor = ramie::spawn([&] {
    while (auto accepted = listener.accept())
      (void)servers.spawn(serve, std::move(accepted->stream));
  });
  {
    ramie::Scope clients;
    for (std::size_t i = 0; i < kClients; ++i) {
      (void)clients.spawn([&] {
        for (std::size_t n = next++; n < count; n = next++) {
          const std::string host = "127." + std::to_string(n % 251 + 1) + "." +
                                   std::to_string(n / 251 % 251) + "." + std::to_string(n % 7 + 1);
          if (use_one(ramie::or_throw(SocketAddr::parse(host + port)))) ++good;
        }
      });
    }
  }
  acceptor.cancel();
  (void)acceptor.join();
  return good;
}

}  // namespace

int main() {
  const std::size_t rounds = 10;
  const std::size_t each = scaled(kCountsMemory ? 10'000 : 500, 100'000);
  must_end_within(is_long() ? 900s : 120s);
  const auto runtime = make_runtime(2);
  runtime.block_on([] { check(churn(1000) == 1000, "the warm-up lost connections"); });
  const std::size_t descriptors = ramie_test::open_descriptors();
  std::size_t good = 0;
  std::size_t memory = 0;
  const auto begin = Clock::now();
  for (std::size_t round = 0; round < rounds; ++round) {
    good += runtime.block_on([&] { return churn(each); });
    if (round == 0) memory = ramie_test::resident_bytes();
  }
  const double seconds = seconds_since(begin);
  const std::size_t after = ramie_test::resident_bytes();
  std::printf("%zu connections in %.1f s (%.0f/s); resident %.2f MiB, then %.2f MiB\n", good,
              seconds, static_cast<double>(good) / seconds, mebibytes(memory), mebibytes(after));
  check(good == rounds * each, "%zu of %zu connections failed", rounds * each - good,
        rounds * each);
  check(!kCountsMemory || after < memory + (1U << 20U), "memory grows: %.2f MiB to %.2f MiB",
        mebibytes(memory), mebibytes(after));
  check(ramie_test::open_descriptors() == descriptors, "%zu descriptors, %zu before",
        ramie_test::open_descriptors(), descriptors);
  check_balance(runtime);
  return failures == 0 ? 0 : 1;
}
