// The RESP2 parser: any cut of the input gives the same commands, announced sizes cost nothing, and
// malformed input is refused at the limit with the messages of Redis.
#include <catch2/catch.hpp>

#include <random>
#include <string>
#include <vector>

#include "tools/demo/reply.hpp"
#include "tools/demo/resp.hpp"

using demo::RequestParser;
using Status = RequestParser::Status;
using Commands = std::vector<std::vector<std::string>>;

namespace {

// Delivers `input` in pieces of the given sizes (the last one repeats) as a session would.
Commands parse_in_pieces(std::string_view input, const std::vector<std::size_t>& pieces) {
  RequestParser parser;
  Commands commands;
  std::string buffer;
  std::size_t at = 0, turn = 0;
  while (at < input.size()) {
    const std::size_t size =
        std::min(pieces[std::min(turn++, pieces.size() - 1)], input.size() - at);
    buffer.append(input.substr(at, size));
    at += size;
    std::string fresh(buffer);  // at another address each time: nothing may point into the old one
    std::string_view rest = fresh;
    while (parser.parse(rest) == Status::kCommand) {
      commands.emplace_back(parser.args().begin(), parser.args().end());
      rest.remove_prefix(parser.consumed());
    }
    buffer = std::string(rest);
  }
  CHECK(buffer.empty());
  return commands;
}

std::string error_of(std::string_view input) {
  RequestParser parser;
  return parser.parse(input) == Status::kError ? parser.error() : "no error";
}

std::string encode(const std::vector<std::string>& args) {
  std::string out;
  demo::Replies writer(out);  // a request is an array of bulks, too
  writer.array(args.size());
  for (const std::string& arg : args) writer.bulk(arg);
  return out;
}

}  // namespace

TEST_CASE("RESP: every cut of a pipeline gives the same commands") {
  using namespace std::string_literals;
  const std::string stream =
      "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nv\r\n\0x\r\n"
      "PING\r\n*1\r\n$0\r\n\r\n  set  k \"a \\x41\\n\" 'it\\'s'  \n\r\n*0\r\n*-1\r\n"
      "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"s;
  const Commands expected = {{"SET", "k", "v\r\n\0x"s},
                             {"PING"},
                             {""},
                             {"set", "k", "a A\n", "it's"},
                             {},
                             {},
                             {},
                             {"GET", "k"}};
  CHECK(parse_in_pieces(stream, {stream.size()}) == expected);
  for (std::size_t size = 1; size < stream.size(); ++size) {
    INFO("pieces of " << size);
    CHECK(parse_in_pieces(stream, {size}) == expected);
    CHECK(parse_in_pieces(stream, {size, stream.size()}) == expected);
  }
}

TEST_CASE("RESP: random commands survive random cuts") {
  std::mt19937 random(42);
  Commands expected;
  std::string stream;
  for (int i = 0; i < 300; ++i) {
    std::vector<std::string> args(1 + random() % 5);
    for (std::string& arg : args) {
      arg.resize(random() % 300);
      for (char& c : arg) c = static_cast<char>(random());
    }
    stream += encode(args);
    expected.push_back(args);
  }
  for (int round = 0; round < 20; ++round) {
    std::vector<std::size_t> pieces(2000);
    for (std::size_t& piece : pieces) piece = 1 + random() % 200;
    CHECK(parse_in_pieces(stream, pieces) == expected);
  }
}

TEST_CASE("RESP: arguments are views into the input, not copies") {
  const std::string input = encode({"SET", "key", "value"});
  RequestParser parser;
  REQUIRE(parser.parse(input) == Status::kCommand);
  for (const std::string_view arg : parser.args()) {
    CHECK(arg.data() > input.data());
    CHECK(arg.data() + arg.size() < input.data() + input.size());
  }
}

TEST_CASE("RESP: malformed requests are refused in Redis' words") {
  const std::string head = "ERR Protocol error: ";
  CHECK(error_of("*1\r\n$abc\r\n") == head + "invalid bulk length");
  CHECK(error_of("*1\r\n$536870913\r\n") == head + "invalid bulk length");
  CHECK(error_of("*1\r\n$99999999999999999999\r\n") == head + "invalid bulk length");
  CHECK(error_of("*x\r\n") == head + "invalid multibulk length");
  CHECK(error_of("*1048577\r\n") == head + "invalid multibulk length");
  CHECK(error_of("*1\r\n:3\r\n") == head + "expected '$', got ':'");
  CHECK(error_of("set \"a\r\n") == head + "unbalanced quotes in request");
  CHECK(error_of(std::string(65537, 'x')) == head + "too big inline request");
  CHECK(error_of(std::string(65537, 'x') + "\n") == head + "too big inline request");
  CHECK(error_of("*" + std::string(65537, '1')) == head + "too big mbulk count string");
  CHECK(error_of("*1\r\n$" + std::string(65537, '1')) == head + "too big bulk count string");
}

TEST_CASE("RESP: requests at the limits are accepted") {
  CHECK(error_of("*1048576\r\n$536870912\r\n") == "no error");
  CHECK(error_of(std::string(65535, 'x')) == "no error");
  RequestParser parser;
  CHECK(parser.parse(std::string(65536, 'x') + "\n") == Status::kCommand);
  CHECK(parser.args().front().size() == 65536);
}

TEST_CASE("RESP: a large announced bulk is only wanted, and parsing resumes in constant time") {
  RequestParser parser;
  std::string input = "*2\r\n$4\r\nECHO\r\n$100000000\r\n";
  const std::size_t header = input.size();
  REQUIRE(parser.parse(input) == Status::kMore);
  CHECK(parser.wanted() == header + 100000000 + 2);
  // 100,000 more calls on a growing input: a parser that rescans would need 10^10 steps.
  input.reserve(header + 100002);
  for (int i = 0; i < 100000; ++i) {
    input.push_back('x');
    if (parser.parse(input) != Status::kMore) FAIL("complete too early");
  }
  CHECK(parser.wanted() == header + 100000000 + 2);
}

TEST_CASE("RESP: a long inline command in single bytes is scanned once") {
  RequestParser parser;
  std::string input;
  for (int i = 0; i < 60000; ++i) {
    input.push_back('x');
    if (parser.parse(input) != Status::kMore) FAIL("complete too early");
  }
  input.push_back('\n');
  CHECK(parser.parse(input) == Status::kCommand);
}

TEST_CASE("Replies: encodings, and no forged line in an error") {
  std::string out;
  demo::Replies replies(out);
  replies.simple("PONG");
  replies.ok();
  replies.error("ERR a\r\n+OK\r\nb");
  replies.integer(-42);
  replies.bulk(std::string_view("a\0b", 3));
  replies.bulk("");
  replies.bulk_integer(INT64_MIN);
  replies.nil();
  replies.nil_array();
  replies.array(2);
  CHECK(out == std::string("+PONG\r\n+OK\r\n-ERR a  +OK  b\r\n:-42\r\n$3\r\na\0b\r\n$0\r\n\r\n"
                           "$20\r\n-9223372036854775808\r\n$-1\r\n*-1\r\n*2\r\n",
                           out.size()));
  CHECK(replies.errors() == 1);
}

TEST_CASE("Replies: relieve() sends at 64 KiB and not before; it reports a gone peer") {
  struct Socket : demo::Sink {
    bool write(std::string_view bytes) override {
      sent += bytes.size();
      return alive;
    }
    std::size_t sent = 0;
    bool alive = true;
  } socket;
  std::string out;
  demo::Replies replies(out, &socket);
  replies.bulk(std::string(60000, 'x'));
  CHECK(replies.relieve());
  CHECK(socket.sent == 0);
  replies.bulk(std::string(10000, 'x'));
  const std::size_t size = replies.size();
  CHECK(replies.relieve());
  CHECK(socket.sent == size);
  CHECK(replies.size() == 0);
  CHECK(replies.bytes_sent() == size);
  socket.alive = false;
  replies.ok();
  CHECK_FALSE(replies.flush());
}
