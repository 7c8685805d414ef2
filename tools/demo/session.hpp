// One RESP connection.
#pragma once

#include "tools/demo/commands.hpp"
#include "tools/demo/connection.hpp"
#include "tools/demo/resp.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace demo {

class RespSession final : public Connection {
 public:
  static constexpr std::string_view kProtocol = "resp";  // in the names of its fibers

  RespSession(Service& service, ramie::net::TcpStream stream, std::string peer_address,
              std::string own_address);
  ~RespSession();

  /// Serves until the client leaves, breaks the protocol, says QUIT, or the server drains.
  void run();

 private:
  /// Answers every complete request in the buffer; false: the connection is over.
  bool serve_buffered();
  void publish(const Context& context, const Replies& replies);

  RequestParser parser_;
  std::optional<Journal> journal_;
};

}  // namespace demo
