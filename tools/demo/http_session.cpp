// The life of an HTTP connection: the same loop as RESP, with llhttp in the place of the parser.
#include "tools/demo/http_session.hpp"

#include <utility>

namespace demo {

HttpSession::HttpSession(Service& service, ramie::net::TcpStream stream, std::string peer_address,
                         std::string own_address)
    : Connection(service, std::move(stream), std::move(peer_address), std::move(own_address)),
      context_{service_.store, service_.stats, service_.log.get()} {
  service_.stats.add(id, Count::kHttpConnections);
}

HttpSession::~HttpSession() { service_.stats.add(id, Count::kHttpClosed); }

void HttpSession::run() {
  const Presence present(service_.clients, *this);
  while (read_more()) {
    if (!serve_buffered()) return;
    release_buffers();  // llhttp keeps what it needs of a half-read request
    if (is_draining() && parser_.is_idle()) return;
  }
}

bool HttpSession::serve_buffered() {
  InputBuffer& input = buffers_->input;
  Replies replies(buffers_->output, this);
  std::string_view rest = input.unparsed();
  bool connected = true, ending = false;
  while (connected && !ending) {
    const HttpParser::Status status = parser_.parse(rest);
    if (status == HttpParser::Status::kMore) break;
    if (status == HttpParser::Status::kContinue) {
      replies.raw("HTTP/1.1 100 Continue\r\n\r\n");
    } else if (status == HttpParser::Status::kRequest) {
      ending = !parser_.request().keep_alive || is_draining();
      answer(context_, parser_.request(), !ending, buffers_->output);
    } else {
      ending = true;
      service_.stats.add(id, Count::kProtocolErrors);
      answer_error(context_, parser_.error_status(), buffers_->output);
    }
    connected = replies.relieve();
  }
  input.consume(input.unparsed().size());
  connected = connected && replies.flush();
  Stats& stats = service_.stats;
  stats.add(id, Count::kHttpRequests, std::exchange(context_.requests, 0));
  stats.add(id, Count::kHttpErrors, std::exchange(context_.errors, 0));
  stats.add(id, Count::kHits, std::exchange(context_.hits, 0));
  stats.add(id, Count::kMisses, std::exchange(context_.misses, 0));
  stats.add(id, Count::kBytesWritten, replies.bytes_sent());
  if (connected && ending) close_politely();
  return connected && !ending;
}

}  // namespace demo
