// What the server counts, for INFO and /metrics.
//
// A session counts in its own plain integers and publishes them once per batch of requests. The
// shared counters are striped, so that two workers seldom touch one cache line. Sums need no lock:
// each counter is exact, but two counters may be from different instants.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace demo {

enum class Count : std::size_t {
  kRespConnections,
  kRespClosed,
  kHttpConnections,
  kHttpClosed,
  kCommands,
  kCommandErrors,
  kProtocolErrors,
  kHits,
  kMisses,
  kHttpRequests,
  kHttpErrors,
  kBytesRead,
  kBytesWritten,
  kSize_,
};

class Stats {
 public:
  void add(std::uint64_t connection, Count what, std::uint64_t n = 1) noexcept {
    auto& stripe = stripes_[connection % kStripes];
    stripe.values[static_cast<std::size_t>(what)].fetch_add(n, std::memory_order_relaxed);
  }
  std::uint64_t sum(Count what) const noexcept;
  std::uint64_t resp_open() const noexcept;
  std::uint64_t http_open() const noexcept;
  std::chrono::seconds uptime() const noexcept;
  /// A new connection's number: unique, from 1.
  std::uint64_t next_id() noexcept { return ids_.fetch_add(1, std::memory_order_relaxed) + 1; }

 private:
  static constexpr std::size_t kStripes = 16;
  static constexpr std::size_t kCounts = static_cast<std::size_t>(Count::kSize_);
  struct alignas(64) Stripe {
    std::array<std::atomic<std::uint64_t>, kCounts> values{};
  };

  std::uint64_t open(Count opened, Count closed) const noexcept;

  std::array<Stripe, kStripes> stripes_;
  std::atomic<std::uint64_t> ids_{0};
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

class Aof;
class Store;
/// Resident memory of this process in bytes; 0 if /proc does not tell.
std::uint64_t resident_bytes();
/// The text of INFO; `sections` as the client named them (none, "all", "server", ...). `log` may be
/// null, here and below.
std::string info_text(const Stats& stats, Store& store, const Aof* log,
                      std::span<const std::string_view> sections);
/// The Prometheus exposition of /metrics.
std::string metrics_text(const Stats& stats, Store& store, const Aof* log);

}  // namespace demo
