// Tests short reads that do not mean that nothing is left (law I7): datagrams, descriptors that are
// passed with the bytes, urgent data.
#include "tests/support/in_runtime.hpp"
#include "tests/support/tcp_pair.hpp"

#include <ramie/net.hpp>

#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <cstring>

namespace {

using namespace ramie_test;
using ramie::net::Socket;

std::array<int, 2> socket_ends(int type) {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
  return ends;
}

// Sends bytes with a descriptor: the kernel ends a read where one comes.
void send_with_descriptor(int socket, const char* text) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
  iovec part{const_cast<char*>(text), std::strlen(text)};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space.data();
  message.msg_controllen = space.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int passed = STDERR_FILENO;
  std::memcpy(CMSG_DATA(header), &passed, sizeof passed);
  REQUIRE(::sendmsg(socket, &message, 0) == static_cast<ssize_t>(std::strlen(text)));
}

std::string receive(Socket& socket) {
  std::array<std::byte, 64> buffer{};
  const auto n = ramie::timeout(10s, [&] { return socket.receive(buffer); });
  return n ? std::string(reinterpret_cast<const char*>(buffer.data()), *n) : n.error().message();
}

}  // namespace

TEST_CASE("Socket: a short datagram does not hide the next one") {
  const int type = GENERATE(SOCK_DGRAM, SOCK_SEQPACKET);
  in_runtime(1, [type] {
    const auto ends = socket_ends(type);
    auto socket = ramie::or_throw(Socket::from_fd(ends[0]));
    for (const char* text : {"one", "two", "three"})
      REQUIRE(::send(ends[1], text, std::strlen(text), 0) > 0);
    CHECK(receive(socket) == "one");
    CHECK(receive(socket) == "two");
    CHECK(receive(socket) == "three");
    ::close(ends[1]);
  });
}

TEST_CASE("Socket: a read that a passed descriptor has cut short does not hide the rest") {
  in_runtime(1, [] {
    const auto ends = socket_ends(SOCK_STREAM);
    auto socket = ramie::or_throw(Socket::from_fd(ends[0]));
    send_with_descriptor(ends[1], "one");
    REQUIRE(::send(ends[1], "two", 3, 0) == 3);
    CHECK(receive(socket) == "one");
    CHECK(receive(socket) == "two");
    CHECK(socket.local_addr().error() == std::errc::address_family_not_supported);
    ::close(ends[1]);
  });
}

TEST_CASE("TcpStream: urgent data that has cut a read short does not hide the rest") {
  in_runtime(1, [] {
    RawPair pair = raw_pair();
    REQUIRE(pair.peer.send("one"));
    REQUIRE(::send(pair.peer.fd(), "!", 1, MSG_OOB) == 1);
    REQUIRE(pair.peer.send("two"));
    std::array<std::byte, 64> buffer{};
    std::string got;
    while (got.size() < 6) {
      const auto n = ramie::timeout(10s, [&] { return pair.stream.read(buffer); });
      REQUIRE(n.has_value());
      got.append(reinterpret_cast<const char*>(buffer.data()), *n);
    }
    CHECK(got == "onetwo");
  });
}
