// The connected clients: for CLIENT LIST, and for the drain at shutdown, which has to end waits.
//
//   session: Presence { serve ... }               server at SIGTERM: drain() -> interrupt() of each
//
// interrupt() ends a session that is parked in a read: it shuts the receiving side of the socket.
// The session still serves what the peer has already sent; then its read reports the end. (A cancel
// would work, too, but could cut a reply in half.)
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace demo {

/// What the server knows of one connection. `name` changes under the Clients lock only.
class Client {
 public:
  Client(std::uint64_t number, std::string peer_address, std::string own_address)
      : id(number), peer(std::move(peer_address)), local(std::move(own_address)) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Makes the session's reads end. Called under the Clients lock, from any fiber: must not park.
  virtual void interrupt() noexcept {}

  const std::uint64_t id;
  const std::string peer;
  const std::string local;
  std::string name;
  bool closing = false;  // the session ends after this batch of replies (QUIT); its own fiber only

 protected:
  ~Client() = default;
};

class Clients {
 public:
  /// From here until leave() the client may be interrupted.
  void enter(Client& client);
  void leave(Client& client) noexcept;
  void rename(Client& client, std::string_view name);
  /// Lines as CLIENT LIST gives them; `only` restricts to one client.
  std::string list(const Client* only = nullptr) const;
  std::size_t size() const;

  /// Ends every wait for a request, now and for clients that enter later. Idempotent.
  void drain();
  bool is_draining() const noexcept { return draining_.load(std::memory_order_acquire); }

 private:
  mutable std::mutex mutex_;  // held for list work only; no fiber parks under it
  std::map<std::uint64_t, Client*> clients_;
  std::atomic<bool> draining_{false};
};

/// The client is in the registry while this lives: after its construction, before its destruction.
class Presence {
 public:
  Presence(Clients& clients, Client& client) : clients_(clients), client_(client) {
    clients_.enter(client_);
  }
  ~Presence() { clients_.leave(client_); }
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;

 private:
  Clients& clients_;
  Client& client_;
};

}  // namespace demo
