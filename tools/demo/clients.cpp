// The registry of connections; clients.hpp says what uses it.
#include "tools/demo/clients.hpp"

#include "tools/demo/text.hpp"

namespace demo {

void Clients::enter(Client& client) {
  const std::lock_guard lock(mutex_);
  clients_.emplace(client.id, &client);
  if (is_draining()) client.interrupt();  // it connected while drain() ran
}

void Clients::leave(Client& client) noexcept {
  const std::lock_guard lock(mutex_);
  clients_.erase(client.id);
}

void Clients::rename(Client& client, std::string_view name) {
  const std::lock_guard lock(mutex_);
  client.name = name;
}

std::string Clients::list(const Client* only) const {
  const std::lock_guard lock(mutex_);
  std::string lines;
  for (const auto& [id, client] : clients_) {
    if (only != nullptr && client != only) continue;
    lines.append("id=");
    append_integer(lines, id);
    lines.append(" addr=").append(client->peer).append(" laddr=").append(client->local);
    lines.append(" name=").append(client->name).append(" flags=N db=0 user=default resp=2\n");
  }
  return lines;
}

std::size_t Clients::size() const {
  const std::lock_guard lock(mutex_);
  return clients_.size();
}

void Clients::drain() {
  const std::lock_guard lock(mutex_);
  draining_.store(true, std::memory_order_release);
  for (const auto& [id, client] : clients_) client->interrupt();
}

}  // namespace demo
