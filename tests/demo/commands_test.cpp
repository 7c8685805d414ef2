// The commands answer byte for byte as redis-server 7.0.15. Further tests move the clock, or show
// where the demo differs on purpose.
#include <catch2/catch.hpp>

#include <string>

#include "redis_corpus.hpp"
#include "script.hpp"
#include "tools/demo/text.hpp"

using demo_test::Script;

TEST_CASE("Commands: every exchange recorded from Redis gives the same bytes") {
  Script script;
  for (const demo_test::Exchange& exchange : demo_test::kRedisCorpus) {
    INFO("request: " << exchange.request);
    CHECK(script.send(exchange.request) == exchange.reply);
    CHECK(script.client.closing == exchange.closes);
    if (exchange.closes) script.reconnect();
    script.now += 50;  // the pace of the recording
  }
}

TEST_CASE("Commands: a key is gone at its deadline, not before") {
  Script script;
  script.send("SET k v PX 100\r\nSET l v EX 1\r\n");
  script.now += 99;
  CHECK(script.send("GET k\r\nPTTL k\r\nTTL l\r\n") == "$1\r\nv\r\n:1\r\n:1\r\n");
  script.now += 1;
  CHECK(script.send("GET k\r\nTTL k\r\nEXISTS k\r\n") == "$-1\r\n:-2\r\n:0\r\n");
  CHECK(script.send("DBSIZE\r\n") == ":1\r\n");
  script.now += 900;
  CHECK(script.send("DBSIZE\r\n") == ":0\r\n");
  CHECK(script.store.expired() == 2);
}

TEST_CASE("Commands: SET takes a deadline away, INCR APPEND and KEEPTTL keep it") {
  Script script;
  script.send("SET n 1 EX 100\r\nINCR n\r\nAPPEND n 3\r\nSET n 5 KEEPTTL\r\n");
  CHECK(script.send("TTL n\r\n") == ":100\r\n");
  CHECK(script.send("SET n 6\r\nTTL n\r\n") == "+OK\r\n:-1\r\n");
  script.send("SET n 1 EX 100\r\nMSET n 2\r\n");
  CHECK(script.send("TTL n\r\n") == ":-1\r\n");
}

TEST_CASE("Commands: a web page that is made to talk RESP is cut off before its body") {
  Script script;
  const std::string reply = script.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nFLUSHALL\r\n");
  CHECK(reply == "-ERR wrong number of arguments for 'get' command\r\n");
  CHECK(script.client.closing);
  script.reconnect();
  CHECK(script.send("POST / HTTP/1.1\r\nFLUSHALL\r\n").empty());
  CHECK(script.client.closing);
}

TEST_CASE("Commands: QUIT ends the pipeline behind it") {
  Script script;
  CHECK(script.send("SET k v\r\nQUIT\r\nSET k w\r\n") == "+OK\r\n+OK\r\n");
  script.reconnect();
  CHECK(script.send("GET k\r\n") == "$1\r\nv\r\n");
}

TEST_CASE("Commands: the first questions of clients are answered") {
  Script script;
  const auto count = std::to_string(demo::all_commands().size());
  CHECK(script.send("COMMAND COUNT\r\n") == ":" + count + "\r\n");
  CHECK(script.send("COMMAND DOCS\r\n") == "*0\r\n");
  CHECK(script.send("COMMAND\r\n").starts_with("*" + count + "\r\n*10\r\n$6\r\nappend\r\n:3\r\n"));
  CHECK(script.send("COMMAND INFO get\r\n") ==
        "*1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"
        "*0\r\n*0\r\n*0\r\n*0\r\n");
  CHECK(script.send("CLIENT SETINFO LIB-NAME x\r\n") == "+OK\r\n");
  CHECK(script.send("CLIENT ID\r\n") == ":7\r\n");
  CHECK(script.send("SELECT 1\r\n") == "-ERR DB index is out of range\r\n");
  const std::string info = script.send("INFO\r\n");
  CHECK(info.find("redis_version:7.0.15\r\n") != std::string::npos);
  CHECK(info.find("# Keyspace\r\n") != std::string::npos);
  const std::string memory = script.send("INFO memory clients\r\n");
  CHECK(memory.find("# Memory\r\n") != std::string::npos);
  CHECK(memory.find("# Clients\r\n") != std::string::npos);
  CHECK(memory.find("# Server") == std::string::npos);
  CHECK(script.send("INFO nosuchsection\r\n") == "$0\r\n\r\n");
}

TEST_CASE("Commands: CLIENT LIST names the connections that are entered") {
  Script script;
  script.clients.enter(script.client);
  script.send("CLIENT SETNAME bob\r\n");
  const std::string line =
      "id=7 addr=10.0.0.1:1234 laddr=10.0.0.2:6379 name=bob flags=N db=0 user=default resp=2\n";
  const std::string reply = "$" + std::to_string(line.size()) + "\r\n" + line + "\r\n";
  CHECK(script.send("CLIENT LIST\r\n") == reply);
  CHECK(script.send("CLIENT INFO\r\n") == reply);
  script.clients.leave(script.client);
  CHECK(script.send("CLIENT LIST\r\n") == "$0\r\n\r\n");
}

TEST_CASE("Clients: drain ends the waits of present clients and of later ones") {
  struct Peer : demo::Client {
    using Client::Client;
    void interrupt() noexcept override { ++interrupted; }
    int interrupted = 0;
  } early{1, "a", "b"}, gone{2, "a", "b"}, late{3, "a", "b"};
  demo::Clients clients;
  const demo::Presence here(clients, early);
  {
    const demo::Presence briefly(clients, gone);
  }
  CHECK_FALSE(clients.is_draining());
  clients.drain();
  CHECK(clients.is_draining());
  const demo::Presence after(clients, late);
  CHECK(early.interrupted == 1);
  CHECK(gone.interrupted == 0);
  CHECK(late.interrupted == 1);
  CHECK(clients.size() == 2);
}

TEST_CASE("Commands: every command is found in any case, and nothing else is") {
  for (const demo::Command& command : demo::all_commands()) {
    std::string upper(command.name);
    for (char& c : upper) c = static_cast<char>(c - 'a' + 'A');
    CHECK(demo::find_command(command.name) == &command);
    CHECK(demo::find_command(upper) == &command);
    CHECK(demo::find_command(upper + "x") == nullptr);
  }
  CHECK(demo::find_command("") == nullptr);
  CHECK(demo::find_command(std::string(1000, 'g')) == nullptr);
}

TEST_CASE("Commands: lookups count as hits and misses") {
  Script script;
  script.send("SET k v\r\nGET k\r\nGET x\r\nMGET k k x\r\n");
  CHECK(script.hits == 3);
  CHECK(script.misses == 2);
}

TEST_CASE("Commands: APPEND stops at the bulk limit") {
  Script script;
  {
    demo::Store::Locked locked = script.store.lock("big");
    locked.table("big").obtain("big", 0).string()->resize(512u << 20);
  }
  CHECK(script.send("APPEND big x\r\n") ==
        "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
  CHECK(script.send("STRLEN big\r\n") == ":536870912\r\n");
}

TEST_CASE("Glob: patterns of CONFIG GET, without exponential cost") {
  CHECK(demo::glob_matches("*", ""));
  CHECK(demo::glob_matches("s?v[a-f]", "SAVE"));
  CHECK(demo::glob_matches("[^a]x", "bx"));
  CHECK(demo::glob_matches("a\\*b", "a*b"));
  CHECK_FALSE(demo::glob_matches("a\\*b", "axb"));
  CHECK_FALSE(demo::glob_matches("[^a]x", "ax"));
  CHECK_FALSE(demo::glob_matches("abc", "abcd"));
  CHECK_FALSE(demo::glob_matches("abcd", "abc"));
  CHECK(demo::glob_matches("a*c*e", "abcde"));
  std::string stars;
  for (int i = 0; i < 40; ++i) stars += "a*";
  CHECK_FALSE(demo::glob_matches(stars + "b", std::string(3000, 'a')));
}
