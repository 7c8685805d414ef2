// One rule per option; parsing and help come from the rule.
#include "tools/demo/options.hpp"

#include <array>
#include <optional>

#include "tools/demo/text.hpp"

namespace demo {
namespace {

enum class When { kAlways, kServe, kDrive };

struct Rule {
  std::string_view name;
  When when;
  std::int64_t low = 0, high = 0;  // of its number
  void (*set)(Options&, std::int64_t) = nullptr;
  void (*set_flag)(Options&) = nullptr;
  bool (*set_text)(Options&, std::string_view) = nullptr;  // false: not one of
  std::string_view texts = {};                             // these
};

constexpr auto kRules = std::to_array<Rule>({
    {.name = "--help", .when = When::kAlways, .set_flag = [](Options& o) { o.help = true; }},
    {.name = "-h", .when = When::kAlways, .set_flag = [](Options& o) { o.help = true; }},
    {.name = "--serve", .when = When::kAlways, .set_flag = [](Options& o) { o.serve = true; }},
    {.name = "--host",
     .when = When::kAlways,
     .set_text = [](Options& o, std::string_view text) { return !(o.host = text).empty(); },
     .texts = "an address, such as 127.0.0.1"},
    {.name = "--port",
     .when = When::kAlways,
     .high = 65535,
     .set = [](Options& o, std::int64_t n) { o.port = static_cast<std::uint16_t>(n); }},
    {.name = "--http-port",
     .when = When::kAlways,
     .high = 65535,
     .set = [](Options& o, std::int64_t n) { o.http_port = static_cast<std::uint16_t>(n); }},
    {.name = "--workers",
     .when = When::kAlways,
     .low = 1,
     .high = 1024,
     .set = [](Options& o, std::int64_t n) { o.workers = static_cast<unsigned>(n); }},
    {.name = "--aof",
     .when = When::kAlways,
     .set_text = [](Options& o, std::string_view text) { return !(o.aof = text).empty(); },
     .texts = "a file"},
    {.name = "--fsync",
     .when = When::kAlways,
     .set_text =
         [](Options& o, std::string_view text) {
           o.fsync_always = text == "always";
           return o.fsync_always || text == "everysec";
         },
     .texts = "always or everysec"},
    {.name = "--idle-timeout",
     .when = When::kServe,
     .high = 86400,
     .set = [](Options& o, std::int64_t n) { o.idle_timeout = static_cast<unsigned>(n); }},
    {.name = "--seconds",
     .when = When::kDrive,
     .low = 1,
     .high = 3600,
     .set = [](Options& o, std::int64_t n) { o.seconds = static_cast<unsigned>(n); }},
    {.name = "--connections",
     .when = When::kDrive,
     .low = 1,
     .high = 100000,
     .set = [](Options& o, std::int64_t n) { o.connections = static_cast<unsigned>(n); }},
    {.name = "--no-redis-benchmark",
     .when = When::kDrive,
     .set_flag = [](Options& o) { o.redis_benchmark = false; }},
});

const Rule* find(std::string_view name) noexcept {
  for (const Rule& rule : kRules) {
    if (rule.name == name) return &rule;
  }
  return nullptr;
}

std::string bad_number(const Rule& rule, std::string_view text) {
  std::string message(rule.name);
  message.append(" wants a number from ").append(std::to_string(rule.low)).append(" to ");
  return message.append(std::to_string(rule.high)).append(", not '").append(text).append("'");
}

// An option that was given and needs the other mode.
std::optional<std::string> misplaced(const Options& options, std::span<const Rule* const> seen) {
  for (const Rule* rule : seen) {
    if (rule == nullptr || rule->when == When::kAlways) continue;
    if ((rule->when == When::kServe) == options.serve) continue;
    const char* const why = options.serve ? " does not go with --serve" : " needs --serve";
    return std::string(rule->name).append(why);
  }
  return std::nullopt;
}

bool is_given(std::span<const Rule* const> seen, std::string_view name) noexcept {
  return seen[static_cast<std::size_t>(find(name) - kRules.data())] != nullptr;
}

std::optional<std::string> apply(Options& options, const Rule& rule, std::string_view value) {
  if (rule.set_text != nullptr) {
    if (rule.set_text(options, value)) return std::nullopt;
    std::string message(rule.name);
    message.append(" wants ").append(rule.texts);
    if (!value.empty()) message.append(", not '").append(value).append("'");
    return message;
  }
  const auto number = parse_integer(value);
  if (!number || *number < rule.low || *number > rule.high) return bad_number(rule, value);
  rule.set(options, *number);
  return std::nullopt;
}

}  // namespace

std::expected<Options, std::string> parse_options(std::span<const std::string_view> args) {
  Options options;
  std::array<const Rule*, kRules.size()> seen{};
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::size_t equals = args[i].find('=');
    const std::string_view name = args[i].substr(0, equals);
    const Rule* const rule = find(name);
    if (rule == nullptr) {
      return std::unexpected(std::string("unknown option '").append(args[i]).append("'"));
    }
    seen[static_cast<std::size_t>(rule - kRules.data())] = rule;
    if (rule->set_flag != nullptr) {
      if (equals != std::string_view::npos) {
        return std::unexpected(std::string(name).append(" takes no value"));
      }
      rule->set_flag(options);
      continue;
    }
    if (equals == std::string_view::npos && i + 1 == args.size()) {
      return std::unexpected(std::string(name).append(" wants a value"));
    }
    const std::string_view value =
        equals == std::string_view::npos ? args[++i] : args[i].substr(equals + 1);
    if (auto error = apply(options, *rule, value)) return std::unexpected(*std::move(error));
  }
  if (options.help) return options;
  if (auto error = misplaced(options, seen)) return std::unexpected(*std::move(error));
  if (is_given(seen, "--fsync") && options.aof.empty()) {
    return std::unexpected(std::string("--fsync needs --aof"));
  }
  if (options.serve && !is_given(seen, "--port")) options.port = 6379;
  if (options.serve && !is_given(seen, "--http-port")) options.http_port = 8080;
  return options;
}

std::string_view usage() noexcept {
  return R"(usage: ramie demo [options]            serve, drive and measure; prints one table
       ramie demo --serve [options]    serve until SIGTERM or SIGINT, then drain

A key-value server that speaks Redis' protocol and HTTP/1.1, with one fiber per connection.

  --host ADDRESS         address to listen on                     (127.0.0.1)
  --port N               port of the Redis protocol, 0: any free  (any; --serve: 6379)
  --http-port N          port of HTTP, 0: any free                (any; --serve: 8080)
  --workers N            worker threads of the server             (the CPUs of the machine)
  --aof FILE             append every change to FILE, replay it at the start
  --fsync WHEN           always: a reply leaves after its change is on the disk
                         everysec: after it is written; sync once a second (everysec)
with --serve:
  --idle-timeout SEC     close a connection after SEC silent seconds (0: never)
without --serve:
  --seconds N            run the built-in client for N seconds    (10)
  --connections N        open N connections                       (1000)
  --no-redis-benchmark   do not run redis-benchmark, even if it is installed

Try: redis-cli -p 6379 set k v     curl http://127.0.0.1:8080/k/k     curl .../metrics
)";
}

std::string address(std::string_view host, std::uint16_t port) {
  const bool bare_v6 = host.find(':') != std::string_view::npos && !host.starts_with('[');
  std::string text;
  if (bare_v6) text.push_back('[');
  text.append(host);
  if (bare_v6) text.push_back(']');
  text.push_back(':');
  append_integer(text, port);
  return text;
}

}  // namespace demo
