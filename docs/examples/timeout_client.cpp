// A client with deadlines: one for the whole exchange, and a shorter one for the connection. It
// asks an HTTP server for its status line.
//
//   ./example_timeout_client 127.0.0.1:8080
//   ./example_timeout_client example.org:80
#include <ramie/ramie.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

// Every wait in here ends with `timed_out` when a deadline around it passes.
ramie::Result<std::string> status_line(std::string_view server) {
  auto stream = ramie::timeout(2s, [&] { return ramie::net::TcpStream::connect(server); });
  if (!stream) return ramie::failure(stream.error());
  constexpr std::string_view kRequest = "HEAD / HTTP/1.0\r\n\r\n";
  if (auto sent = stream->write_all(std::as_bytes(std::span(kRequest))); !sent)
    return ramie::failure(sent.error());
  std::string answer;
  std::array<char, 1024> part;
  while (answer.find("\r\n") == std::string::npos && answer.size() < 8192) {
    auto n = stream->read(std::as_writable_bytes(std::span(part)));
    if (!n) return ramie::failure(n.error());
    if (*n == 0) return ramie::failure(make_error_code(std::errc::connection_aborted));
    answer.append(part.data(), *n);
  }
  return answer.substr(0, answer.find("\r\n"));
}

int main(int argc, char** argv) {
  if (argc != 2) {
    (void)std::fprintf(stderr, "usage: %s host:port\n", argv[0]);
    return 2;
  }
  return ramie::block_on([&]() -> int {
    const auto line = ramie::timeout(5s, [&] { return status_line(argv[1]); });
    if (!line) return ramie::report(argv[1], line.error());
    std::printf("%s\n", line->c_str());
    return 0;
  });
}
