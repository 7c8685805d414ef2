// What a RESP and an HTTP connection share: the socket, the memory, the timeouts, the close.
//
//   wait for bytes (no memory held) -> take buffers -> read, serve, write ... -> give back -> wait
//
// It is plain code in one fiber per connection. In a read or write the fiber parks, and its worker
// thread serves others.
#pragma once

#include <ramie/net.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "tools/demo/aof.hpp"
#include "tools/demo/buffers.hpp"
#include "tools/demo/clients.hpp"
#include "tools/demo/reply.hpp"
#include "tools/demo/stats.hpp"
#include "tools/demo/store.hpp"

namespace demo {

/// Everything that connections share; it outlives them.
struct Service {
  Store store;
  Stats stats;
  Clients clients;
  BufferPool buffers;
  std::unique_ptr<Aof> log;              // none without --aof
  std::chrono::seconds idle_timeout{0};  // 0: none
};

class Connection : public Client, protected Sink {
 public:
  Connection(Service& service, ramie::net::TcpStream stream, std::string peer_address,
             std::string own_address);

  void interrupt() noexcept override;

 protected:
  ~Connection();

  /// Parks until bytes or the end have arrived. False: timeout, cancel or a broken connection.
  bool wait_readable();
  /// Reads what has arrived into the input buffer, and takes a buffer if needed. False: no more
  /// data will come.
  bool read_more();
  bool write(std::string_view bytes) override;
  /// Gives the memory back if no request is half read.
  void release_buffers() noexcept;
  /// Closes our side first: sends FIN and reads what the peer still sends, for at most a second.
  /// Closing with unread bytes would reset the connection and destroy our last reply.
  void close_politely();

  bool is_draining() const noexcept { return service_.clients.is_draining(); }

  Service& service_;
  ramie::net::TcpStream stream_;
  std::unique_ptr<Buffers> buffers_;
};

}  // namespace demo
