// Feeds bytes to the parser and the commands as a session would, without a socket.
#pragma once

#include <string>
#include <string_view>

#include "tools/demo/commands.hpp"
#include "tools/demo/resp.hpp"

namespace demo_test {

/// One server with one connection at a time; the clock stands still unless a test moves it.
class Script {
 public:
  std::string send(std::string_view bytes) {
    pending_.append(bytes);
    std::string out;
    demo::Replies replies(out);
    demo::Context context{store, stats, clients, client, replies};
    std::string_view rest = pending_;
    while (!client.closing) {
      const auto status = parser_.parse(rest);
      if (status == demo::RequestParser::Status::kMore) break;
      if (status == demo::RequestParser::Status::kError) {
        replies.error(parser_.error());
        client.closing = true;
        break;
      }
      demo::execute(context, parser_.args());
      rest.remove_prefix(parser_.consumed());
    }
    hits += context.hits;
    misses += context.misses;
    pending_.erase(0, pending_.size() - rest.size());
    return out;
  }

  void reconnect() {
    parser_ = demo::RequestParser();
    pending_.clear();
    client.closing = false;
    client.name.clear();
  }

  demo::Milliseconds now = 1'700'000'000'000;
  demo::Store store{[this] { return now; }};
  demo::Stats stats;
  demo::Clients clients;
  struct Peer : demo::Client {
    using Client::Client;
  } client{7, "10.0.0.1:1234", "10.0.0.2:6379"};
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;

 private:
  demo::RequestParser parser_;
  std::string pending_;
};

}  // namespace demo_test
