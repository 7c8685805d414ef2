// Connection memory: it follows the bytes that arrive, and goes back when they are served.
#include <catch2/catch.hpp>

#include <algorithm>
#include <string>

#include "tools/demo/buffers.hpp"
#include "tools/demo/resp.hpp"

using demo::BufferPool;
using demo::Buffers;
using demo::InputBuffer;

namespace {

// Fills the room with as many bytes as there are, as a socket does.
void receive(InputBuffer& input, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto room = input.room();
    REQUIRE(!room.empty());
    const std::size_t size = std::min(room.size(), bytes.size());
    std::copy_n(reinterpret_cast<const std::byte*>(bytes.data()), size, room.begin());
    input.received(size);
    bytes.remove_prefix(size);
  }
}

}  // namespace

TEST_CASE("InputBuffer: an announced 512 MiB takes no memory before its bytes arrive") {
  InputBuffer input;
  demo::RequestParser parser;
  receive(input, "*2\r\n$4\r\nECHO\r\n$536870912\r\n");
  CHECK(parser.parse(input.unparsed()) == demo::RequestParser::Status::kMore);
  CHECK(!input.room().empty());
  CHECK(input.capacity() == InputBuffer::kUsual);
  receive(input, std::string(100000, 'x'));
  CHECK(input.capacity() <= 2 * 100100);
}

TEST_CASE("InputBuffer: a large request is kept whole, then the buffer shrinks") {
  InputBuffer input;
  demo::RequestParser parser;
  const std::string value(1 << 20, 'v');
  std::string request = "*2\r\n$4\r\nECHO\r\n$" + std::to_string(value.size()) + "\r\n" + value;
  receive(input, "PING\r\n");
  REQUIRE(parser.parse(input.unparsed()) == demo::RequestParser::Status::kCommand);
  input.consume(parser.consumed());
  for (std::size_t at = 0; at < request.size(); at += 5000) {
    receive(input, std::string_view(request).substr(at, 5000));
    REQUIRE(parser.parse(input.unparsed()) == demo::RequestParser::Status::kMore);
    input.compact();
  }
  receive(input, "\r\nPI");
  REQUIRE(parser.parse(input.unparsed()) == demo::RequestParser::Status::kCommand);
  CHECK(parser.args()[1] == value);
  input.consume(parser.consumed());
  CHECK(input.unparsed() == "PI");
  input.consume(2);
  input.compact();
  CHECK(input.capacity() == InputBuffer::kUsual);
}

TEST_CASE("InputBuffer: consumed bytes make room before the buffer grows") {
  InputBuffer input;
  for (int i = 0; i < 1000; ++i) {
    receive(input, std::string(1000, 'x'));
    input.consume(999);
    input.consume(i < 999 ? 1 : 0);
  }
  CHECK(input.capacity() == InputBuffer::kUsual);
  CHECK(input.unparsed() == "x");
}

TEST_CASE("BufferPool: buffers come back clean, grown ones do not come back") {
  BufferPool pool;
  auto first = pool.take(1);
  const Buffers* const address = first.get();
  receive(first->input, "left over");
  first->output = "left over";
  pool.give(1, std::move(first));
  auto again = pool.take(1);
  CHECK(again.get() == address);
  CHECK(again->input.empty());
  CHECK(again->output.empty());
  CHECK(again->input.room().size() == InputBuffer::kUsual);
  receive(again->input, std::string(100000, 'x'));
  pool.give(1, std::move(again));
  CHECK(pool.take(1)->input.capacity() == InputBuffer::kUsual);
}
