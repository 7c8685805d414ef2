// The command line: which arguments are accepted, and the one-line error for the others.
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "tools/demo/options.hpp"

namespace {

demo::Options good(const std::vector<std::string_view>& args) {
  const auto options = demo::parse_options(args);
  REQUIRE(options.has_value());
  return *options;
}

std::string bad(const std::vector<std::string_view>& args) {
  const auto options = demo::parse_options(args);
  return options ? "accepted" : options.error();
}

}  // namespace

TEST_CASE("Options: defaults drive on free ports; --serve takes the well-known ones") {
  const demo::Options drive = good({});
  CHECK_FALSE(drive.serve);
  CHECK(drive.port == 0);
  CHECK(drive.http_port == 0);
  CHECK(drive.seconds == 10);
  CHECK(drive.connections == 1000);
  const demo::Options serve = good({"--serve"});
  CHECK(serve.serve);
  CHECK(serve.port == 6379);
  CHECK(serve.http_port == 8080);
  CHECK(good({"--serve", "--port", "0"}).port == 0);
  CHECK(good({"--serve", "--port=0", "--http-port=65535"}).http_port == 65535);
}

TEST_CASE("Options: every value form, the last one wins") {
  const demo::Options options = good({"--seconds=2", "--connections", "50", "--workers", "3",
                                      "--seconds", "4", "--host", "::1", "--no-redis-benchmark"});
  CHECK(options.seconds == 4);
  CHECK(options.connections == 50);
  CHECK(options.workers == 3);
  CHECK(options.host == "::1");
  CHECK_FALSE(options.redis_benchmark);
  CHECK(good({"--help", "--seconds", "5"}).help);
}

TEST_CASE("Options: errors say what would be right") {
  CHECK(bad({"--prot", "1"}) == "unknown option '--prot'");
  CHECK(bad({"serve"}) == "unknown option 'serve'");
  CHECK(bad({""}) == "unknown option ''");
  CHECK(bad({"--port"}) == "--port wants a value");
  CHECK(bad({"--port", "65536"}) == "--port wants a number from 0 to 65535, not '65536'");
  CHECK(bad({"--port", "-1"}) == "--port wants a number from 0 to 65535, not '-1'");
  CHECK(bad({"--port=80x"}) == "--port wants a number from 0 to 65535, not '80x'");
  CHECK(bad({"--port="}) == "--port wants a number from 0 to 65535, not ''");
  CHECK(bad({"--workers", "0"}) == "--workers wants a number from 1 to 1024, not '0'");
  CHECK(bad({"--seconds", "1.5"}) == "--seconds wants a number from 1 to 3600, not '1.5'");
  CHECK(bad({"--serve=yes"}) == "--serve takes no value");
  CHECK(bad({"--host", ""}) == "--host wants an address, such as 127.0.0.1");
  CHECK(bad({"--serve", "--seconds", "5"}) == "--seconds does not go with --serve");
  CHECK(bad({"--idle-timeout", "5"}) == "--idle-timeout needs --serve");
}

TEST_CASE("Options: the log and when it is synced") {
  CHECK(good({}).aof.empty());
  CHECK(good({"--serve", "--aof", "x"}).aof == "x");
  CHECK_FALSE(good({"--aof=x"}).fsync_always);
  CHECK_FALSE(good({"--aof=x", "--fsync=everysec"}).fsync_always);
  CHECK(good({"--fsync", "always", "--aof=x"}).fsync_always);
  CHECK(bad({"--aof="}) == "--aof wants a file");
  CHECK(bad({"--aof=x", "--fsync=no"}) == "--fsync wants always or everysec, not 'no'");
  CHECK(bad({"--fsync=always"}) == "--fsync needs --aof");
}

TEST_CASE("Options: an IPv6 host gets its brackets") {
  CHECK(demo::address("127.0.0.1", 80) == "127.0.0.1:80");
  CHECK(demo::address("::1", 80) == "[::1]:80");
  CHECK(demo::address("[::1]", 80) == "[::1]:80");
}
