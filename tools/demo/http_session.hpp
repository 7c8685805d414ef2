// One HTTP connection.
#pragma once

#include "tools/demo/connection.hpp"
#include "tools/demo/http.hpp"

#include <string>
#include <string_view>

namespace demo {

class HttpSession final : public Connection {
 public:
  static constexpr std::string_view kProtocol = "http";  // in the names of its fibers

  HttpSession(Service& service, ramie::net::TcpStream stream, std::string peer_address,
              std::string own_address);
  ~HttpSession();

  /// Serves until the client leaves, asks to close, breaks the protocol, or the server drains.
  void run();

 private:
  /// Feeds what was read to the parser; false: the connection is over.
  bool serve_buffered();

  HttpParser parser_;
  HttpContext context_;
};

}  // namespace demo
