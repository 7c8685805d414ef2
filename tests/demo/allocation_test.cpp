// The promise of the hot path: a GET, and a SET that fits into the old value, allocate nothing.
//
// Method: this program's operator new counts while a test asks for it. (One thread.)
#include <catch2/catch.hpp>

#include <cstdlib>
#include <new>
#include <string>

#include "tools/demo/commands.hpp"
#include "tools/demo/resp.hpp"

// The sanitizers replace operator new themselves.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RAMIE_DEMO_COUNTS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RAMIE_DEMO_COUNTS 0
#endif
#endif
#ifndef RAMIE_DEMO_COUNTS
#define RAMIE_DEMO_COUNTS 1
#endif

#if RAMIE_DEMO_COUNTS
namespace {
std::size_t allocations = 0;
}

void* operator new(std::size_t size) {
  __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

TEST_CASE("Commands: GET and an overwriting SET allocate nothing") {
  demo::Store store([] { return demo::Milliseconds{1}; });
  demo::Stats stats;
  demo::Clients clients;
  struct Peer : demo::Client {
    using Client::Client;
  } client{1, "peer", "here"};
  std::string out;
  out.reserve(64 * 1024);
  demo::Replies replies(out);
  demo::Context context{store, stats, clients, client, replies};
  demo::RequestParser parser;
  const std::string value(500, 'v');
  const std::string batch =
      "*3\r\n$3\r\nSET\r\n$20\r\nkkkkkkkkkkkkkkkkkkkk\r\n$500\r\n" + value + "\r\n" +
      "*2\r\n$3\r\nget\r\n$20\r\nkkkkkkkkkkkkkkkkkkkk\r\n" +
      "*5\r\n$3\r\nSET\r\n$20\r\neeeeeeeeeeeeeeeeeeee\r\n$1\r\nv\r\n$2\r\nEX\r\n$2\r\n10\r\n";
  const auto run = [&] {
    std::string_view rest = batch;
    while (parser.parse(rest) == demo::RequestParser::Status::kCommand) {
      demo::execute(context, parser.args());
      rest.remove_prefix(parser.consumed());
    }
    out.clear();
  };
  run();  // the first SET makes the entries, and the parser's vectors grow
  const std::size_t before = allocations;
  for (int i = 0; i < 100; ++i) run();
  CHECK(allocations - before == 0);
  CHECK(before > 0);
}
#endif
