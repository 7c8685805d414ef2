// Sums, as two texts: INFO for redis-cli, /metrics for Prometheus.
#include "tools/demo/stats.hpp"

#include <unistd.h>

#include <fstream>
#include <string_view>
#include <utility>

#include "tools/demo/aof.hpp"
#include "tools/demo/store.hpp"
#include "tools/demo/text.hpp"

namespace demo {

std::uint64_t Stats::sum(Count what) const noexcept {
  std::uint64_t sum = 0;
  for (const Stripe& stripe : stripes_) {
    sum += stripe.values[static_cast<std::size_t>(what)].load(std::memory_order_relaxed);
  }
  return sum;
}

std::uint64_t Stats::open(Count opened, Count closed) const noexcept {
  const std::uint64_t ended = sum(closed);  // first: a connection closes after it opened
  const std::uint64_t begun = sum(opened);
  return begun - ended;
}

std::uint64_t Stats::resp_open() const noexcept {
  return open(Count::kRespConnections, Count::kRespClosed);
}

std::uint64_t Stats::http_open() const noexcept {
  return open(Count::kHttpConnections, Count::kHttpClosed);
}

std::chrono::seconds Stats::uptime() const noexcept {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() -
                                                          start_);
}

std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  if (!(statm >> size >> resident)) return 0;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

namespace {

class InfoWriter {
 public:
  explicit InfoWriter(std::span<const std::string_view> wanted) : wanted_(wanted) {}

  /// Opens a section; false if the client did not ask for it.
  bool section(std::string_view name) {
    bool wanted = wanted_.empty();
    for (const std::string_view w : wanted_) {
      wanted = wanted || equals_ignoring_case(w, name) || equals_ignoring_case(w, "all") ||
               equals_ignoring_case(w, "everything") || equals_ignoring_case(w, "default");
    }
    if (!wanted) return false;
    if (!text_.empty()) text_.append("\r\n");
    text_.append("# ").append(name).append("\r\n");
    return true;
  }
  void field(std::string_view name, std::string_view value) {
    text_.append(name).append(":").append(value).append("\r\n");
  }
  void field(std::string_view name, std::uint64_t value) {
    text_.append(name).append(":");
    append_integer(text_, value);
    text_.append("\r\n");
  }
  std::string take() { return std::move(text_); }

 private:
  std::span<const std::string_view> wanted_;
  std::string text_;
};

void write_persistence(InfoWriter& info, const Aof* log) {
  info.field("loading", std::uint64_t{0});
  info.field("aof_enabled", std::uint64_t{log != nullptr});
  const Aof::Status status = log != nullptr ? log->status() : Aof::Status{};
  info.field("aof_last_write_status", status.is_good ? "ok" : "err");
  if (log == nullptr) return;
  info.field("aof_current_size", status.size);
  info.field("aof_buffer_length", status.buffer);
}

}  // namespace

std::string info_text(const Stats& stats, Store& store, const Aof* log,
                      std::span<const std::string_view> sections) {
  InfoWriter info(sections);
  if (info.section("Server")) {
    info.field("redis_version", "7.0.15");  // we match its replies and wording
    info.field("server_name", "ramie-demo");
    info.field("redis_mode", "standalone");
    info.field("multiplexing_api", "epoll");
    info.field("process_id", static_cast<std::uint64_t>(getpid()));
    info.field("uptime_in_seconds", static_cast<std::uint64_t>(stats.uptime().count()));
  }
  if (info.section("Clients")) info.field("connected_clients", stats.resp_open());
  if (info.section("Memory")) {
    info.field("used_memory", resident_bytes());
    info.field("used_memory_rss", resident_bytes());
    info.field("maxmemory", std::uint64_t{0});
  }
  if (info.section("Persistence")) write_persistence(info, log);
  if (info.section("Stats")) {
    info.field("total_connections_received", stats.sum(Count::kRespConnections));
    info.field("total_commands_processed", stats.sum(Count::kCommands));
    info.field("total_net_input_bytes", stats.sum(Count::kBytesRead));
    info.field("total_net_output_bytes", stats.sum(Count::kBytesWritten));
    info.field("expired_keys", store.expired());
    info.field("keyspace_hits", stats.sum(Count::kHits));
    info.field("keyspace_misses", stats.sum(Count::kMisses));
    info.field("total_error_replies", stats.sum(Count::kCommandErrors));
  }
  if (info.section("Replication")) {
    info.field("role", "master");
    info.field("connected_slaves", std::uint64_t{0});
  }
  if (info.section("Keyspace")) {
    const Store::Count count = store.count();
    if (count.keys != 0) {
      std::string line = "keys=";
      append_integer(line, count.keys);
      line.append(",expires=");
      append_integer(line, count.expiring);
      info.field("db0", line.append(",avg_ttl=0"));
    }
  }
  return info.take();
}

namespace {

class MetricsWriter {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_.append("# HELP ").append(name).append(" ").append(help).append("\n");
    text_.append("# TYPE ").append(name).append(" ").append(type).append("\n");
  }
  void sample(std::uint64_t value, std::string_view labels = {}) {
    text_.append(name_).append(labels).append(" ");
    append_integer(text_, value);
    text_.append("\n");
  }
  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    family(name, "counter", help);
    sample(value);
  }
  void gauge(std::string_view name, std::string_view help, std::uint64_t value) {
    family(name, "gauge", help);
    sample(value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string_view name_;
  std::string text_;
};

}  // namespace

std::string metrics_text(const Stats& stats, Store& store, const Aof* log) {
  constexpr std::string_view kResp = "{protocol=\"resp\"}";
  constexpr std::string_view kHttp = "{protocol=\"http\"}";
  const Store::Count count = store.count();
  MetricsWriter out;
  out.family("ramie_demo_connections_total", "counter", "Connections accepted.");
  out.sample(stats.sum(Count::kRespConnections), kResp);
  out.sample(stats.sum(Count::kHttpConnections), kHttp);
  out.family("ramie_demo_connections_open", "gauge", "Connections open now.");
  out.sample(stats.resp_open(), kResp);
  out.sample(stats.http_open(), kHttp);
  out.family("ramie_demo_requests_total", "counter", "Requests answered.");
  out.sample(stats.sum(Count::kCommands), kResp);
  out.sample(stats.sum(Count::kHttpRequests), kHttp);
  out.family("ramie_demo_request_errors_total", "counter", "Requests answered by an error.");
  out.sample(stats.sum(Count::kCommandErrors), kResp);
  out.sample(stats.sum(Count::kHttpErrors), kHttp);
  out.counter("ramie_demo_protocol_errors_total", "Connections closed for a malformed request.",
              stats.sum(Count::kProtocolErrors));
  out.counter("ramie_demo_received_bytes_total", "Bytes read from clients.",
              stats.sum(Count::kBytesRead));
  out.counter("ramie_demo_sent_bytes_total", "Bytes written to clients.",
              stats.sum(Count::kBytesWritten));
  out.counter("ramie_demo_keyspace_hits_total", "Lookups that found their key.",
              stats.sum(Count::kHits));
  out.counter("ramie_demo_keyspace_misses_total", "Lookups that did not find their key.",
              stats.sum(Count::kMisses));
  out.counter("ramie_demo_expired_keys_total", "Keys removed at their deadline.", store.expired());
  out.gauge("ramie_demo_keys", "Keys alive.", count.keys);
  out.gauge("ramie_demo_keys_with_expiry", "Keys alive that have a deadline.", count.expiring);
  if (log != nullptr) {
    const Aof::Status status = log->status();
    out.gauge("ramie_demo_aof_size_bytes", "Size of the append-only log.", status.size);
    out.gauge("ramie_demo_aof_good", "0: the log cannot be written, writes are refused.",
              std::uint64_t{status.is_good});
  }
  out.gauge("process_resident_memory_bytes", "Resident memory.", resident_bytes());
  out.gauge("ramie_demo_uptime_seconds", "Seconds since start.",
            static_cast<std::uint64_t>(stats.uptime().count()));
  return out.take();
}

}  // namespace demo
