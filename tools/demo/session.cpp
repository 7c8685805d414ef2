// The life of a RESP connection, top to bottom.
//
//   read -> parse and execute all complete requests -> write all replies at once -> ...
//
// The session also writes replies when it has 64 KiB of them, and executes nothing until they are
// sent. So a client that sends and does not read stops itself, not the server.
#include "tools/demo/session.hpp"

#include <utility>

namespace demo {

RespSession::RespSession(Service& service, ramie::net::TcpStream stream, std::string peer_address,
                         std::string own_address)
    : Connection(service, std::move(stream), std::move(peer_address), std::move(own_address)) {
  service_.stats.add(id, Count::kRespConnections);
  if (service_.log) journal_.emplace(*service_.log);
}

RespSession::~RespSession() { service_.stats.add(id, Count::kRespClosed); }

void RespSession::run() {
  const Presence present(service_.clients, *this);
  while (read_more()) {
    if (!serve_buffered()) return;
    release_buffers();
    if (is_draining() && !buffers_) return;
  }
}

bool RespSession::serve_buffered() {
  InputBuffer& input = buffers_->input;
  Journal* const journal = journal_ ? &*journal_ : nullptr;
  Replies replies(buffers_->output, this, journal);
  Context context{service_.store, service_.stats, service_.clients, *this, replies, journal};
  bool connected = true;
  auto status = RequestParser::Status::kCommand;
  while (connected && !closing) {
    status = parser_.parse(input.unparsed());
    if (status != RequestParser::Status::kCommand) break;
    execute(context, parser_.args());
    input.consume(parser_.consumed());
    connected = replies.relieve();
  }
  const bool malformed = status == RequestParser::Status::kError;
  if (malformed) {
    replies.error(parser_.error());
    service_.stats.add(id, Count::kProtocolErrors);
  }
  connected = connected && replies.flush();
  publish(context, replies);
  input.compact();
  if (connected && (closing || malformed)) close_politely();
  return connected && !closing && !malformed;
}

void RespSession::publish(const Context& context, const Replies& replies) {
  Stats& stats = service_.stats;
  stats.add(id, Count::kCommands, context.commands);
  stats.add(id, Count::kBytesWritten, replies.bytes_sent());
  if (replies.errors() != 0) stats.add(id, Count::kCommandErrors, replies.errors());
  if (context.hits != 0) stats.add(id, Count::kHits, context.hits);
  if (context.misses != 0) stats.add(id, Count::kMisses, context.misses);
}

}  // namespace demo
