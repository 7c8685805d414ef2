// Tests the fault plans: what a text means, the error of a bad text, and the effect of a planned
// fault on a call.
#include "tests/support/fault_plan.hpp"
#include "tests/support/in_runtime.hpp"
#include "tests/support/tcp_pair.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <string>

namespace {

using namespace ramie_test;
using ramie::base::inject;

std::string complaint(std::string_view text) {
  try {
    (void)FaultText::parse(text);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "none";
}

// Returns which of the first `calls` calls fail.
std::string pattern(std::string_view text, const char* call, int calls, std::uint64_t seed = 1) {
  const PlannedFaults faults(text, seed);
  std::string struck;
  for (int i = 0; i < calls; ++i) struck += inject(call) == 0 ? '.' : '!';
  return struck;
}

}  // namespace

TEST_CASE("Fault plan: which calls a rule hits") {
  CHECK(pattern("recv 3 EINTR", "recv", 6) == "..!...");
  CHECK(pattern("recv 2..4 EINTR", "recv", 6) == ".!!!..");
  CHECK(pattern("recv 5.. EINTR", "recv", 7) == "....!!!");
  CHECK(pattern("recv every=3 EINTR", "recv", 7) == "!..!..!");
  CHECK(pattern("recv p=1 EINTR", "recv", 3) == "!!!");
  CHECK(pattern("send 1.. EPIPE", "recv", 3) == "...");
  CHECK(pattern("recv 1 EINTR; recv 3 EIO # and so on\n\n;recv 4 short=2", "recv", 5) == "!.!!.");
}

TEST_CASE("Fault plan: a probability holds, and the same seed hits the same calls") {
  const std::string first = pattern("recv p=0.25 EINTR", "recv", 4000, 7);
  CHECK(first == pattern("recv p=0.25 EINTR", "recv", 4000, 7));
  CHECK(first != pattern("recv p=0.25 EINTR", "recv", 4000, 8));
  const auto struck = std::count(first.begin(), first.end(), '!');
  CHECK(struck > 850);
  CHECK(struck < 1150);
}

TEST_CASE("Fault plan: a call returns the errno, moves fewer bytes, or is late") {
  const PlannedFaults faults("accept4 1 EMFILE; recv 1 short=7; recv 2 delay=3ms; recv 3 EIO");
  CHECK(inject("accept4") == -EMFILE);
  std::size_t bytes = 100;
  CHECK(inject("recv", bytes) == 0);
  CHECK(bytes == 7);
  const auto begin = std::chrono::steady_clock::now();
  CHECK(inject("recv", bytes) == 0);
  CHECK(std::chrono::steady_clock::now() - begin >= 3ms);
  CHECK(inject("recv", bytes) == -EIO);
  CHECK(faults.hits(0) == 1);
  CHECK(faults.hits(1) == 1);
  CHECK(faults.calls(1) == 3);
}

TEST_CASE("Fault plan: the error of a bad text is reported") {
  CHECK(complaint("accept4 1..20 EMFILE; recv p=0.05 short=1; epoll_pwait2 3 EINTR\n"
                  "mmap 2 ENOMEM # the second\nrecv 5 delay=1ms") == "none");
  CHECK(complaint("acept 1 EMFILE").find("no call is named 'acept'") != std::string::npos);
  CHECK(complaint("recv 1").find("want: call, which ones, what") != std::string::npos);
  CHECK(complaint("recv 1 EWHAT").find("no errno is named 'EWHAT'") != std::string::npos);
  CHECK(complaint("recv 0 EINTR").find("counted from 1") != std::string::npos);
  CHECK(complaint("recv 4..2 EINTR").find("the range is empty") != std::string::npos);
  CHECK(complaint("recv x EINTR").find("'x' is no number") != std::string::npos);
  CHECK(complaint("recv p=1.5 EINTR").find("want 0 < p <= 1") != std::string::npos);
  CHECK(complaint("recv every=0 EINTR").find("want every >= 1") != std::string::npos);
  CHECK(complaint("accept4 1 short=1").find("only calls that move bytes") != std::string::npos);
  CHECK(complaint("recv 1 short=0").find("want short >= 1") != std::string::npos);
  CHECK(complaint("recv 1 delay=5").find("want a time such as") != std::string::npos);
  CHECK(complaint("close 1 EIO").find("cannot fail, only come late") != std::string::npos);
  CHECK(complaint("recv 1 EINTR; oops").find("' oops'") != std::string::npos);
}

// The plan lowers the number of bytes that is requested and does not fake a result. So no byte is
// lost or repeated, and readiness stays while there is more (I7).
TEST_CASE("I7 a short transfer by plan leaves the rest in the socket, and no edge is needed") {
  for (const std::string_view plan :
       {"recv 1.. short=1; recvmsg 1.. short=3", "send 1.. short=2; sendmsg 1.. short=5",
        "recv p=0.5 short=1; send p=0.5 short=3; recvmsg p=0.3 short=1; sendmsg p=0.3 short=1"}) {
    CAPTURE(plan);
    in_runtime(2, [&] {
      TcpPair pair = tcp_pair();
      std::string sent(1600, '\0');
      for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>('a' + i % 26);
      std::string got(sent.size(), '\0');
      const PlannedFaults faults(plan);
      auto writer = ramie::spawn([&] {
        for (std::size_t at = 0; at < sent.size();) {
          const auto left = bytes(sent).subspan(at, std::min<std::size_t>(16, sent.size() - at));
          const std::array parts{left.first(left.size() / 2), left.subspan(left.size() / 2)};
          auto n = at % 3 == 0 ? pair.near.write(left) : pair.near.write_vectored(parts);
          if (!n) return false;
          at += *n;
        }
        return true;
      });
      bool is_right = true;
      for (std::size_t at = 0; at < got.size() && is_right;) {
        const auto left =
            writable_bytes(got).subspan(at, std::min<std::size_t>(16, got.size() - at));
        const std::array parts{left.first(left.size() / 2), left.subspan(left.size() / 2)};
        auto n = ramie::timeout(
            10s, [&] { return at % 2 == 0 ? pair.far.read(left) : pair.far.read_vectored(parts); });
        is_right = n.has_value();
        if (n) at += *n;
      }
      CHECK(is_right);
      CHECK(got == sent);
      CHECK(writer.join().value_or(false));
      CHECK(faults.all_hits() > 40);
    });
  }
}
