// Socket work shared by both protocols.
#include "tools/demo/connection.hpp"

#include <ramie/time.hpp>

#include <array>
#include <span>
#include <utility>

namespace demo {

using namespace std::chrono_literals;

namespace {

// One wait for a client that may be silent or slow to read, for at most `limit`; 0: no limit.
template <class F>
auto bounded(std::chrono::seconds limit, F&& wait) {
  return limit == 0s ? wait() : ramie::timeout(limit, std::forward<F>(wait));
}

}  // namespace

Connection::Connection(Service& service, ramie::net::TcpStream stream, std::string peer_address,
                       std::string own_address)
    : Client(service.stats.next_id(), std::move(peer_address), std::move(own_address)),
      service_(service),
      stream_(std::move(stream)) {
  // The session already collects replies; Nagle would only delay the last one of a batch.
  (void)stream_.set_nodelay(true);
}

Connection::~Connection() {
  if (buffers_) service_.buffers.give(id, std::move(buffers_));
}

// If it fails, the peer is already gone, and the read fails by itself.
void Connection::interrupt() noexcept { (void)stream_.shutdown(ramie::net::Shutdown::read); }

bool Connection::wait_readable() {
  return bounded(service_.idle_timeout, [&] { return stream_.readable(); }).has_value();
}

bool Connection::read_more() {
  if (!buffers_) {
    if (!wait_readable()) return false;
    buffers_ = service_.buffers.take(id);
  }
  const std::span<std::byte> room = buffers_->input.room();
  if (room.empty()) return false;  // a request beyond every limit
  const auto count = bounded(service_.idle_timeout, [&] { return stream_.read(room); });
  if (!count || *count == 0) return false;
  buffers_->input.received(*count);
  service_.stats.add(id, Count::kBytesRead, *count);
  return true;
}

bool Connection::write(std::string_view bytes) {
  const auto data = std::as_bytes(std::span(bytes));
  return bounded(service_.idle_timeout, [&] { return stream_.write_all(data); }).has_value();
}

void Connection::release_buffers() noexcept {
  if (buffers_->input.empty()) service_.buffers.give(id, std::move(buffers_));
}

void Connection::close_politely() {
  if (!stream_.shutdown(ramie::net::Shutdown::write)) return;
  (void)ramie::timeout(1s, [&] {
    std::array<std::byte, 4096> sink;
    for (;;) {
      const auto count = stream_.read(sink);
      if (!count || *count == 0) return;
    }
  });
}

}  // namespace demo
