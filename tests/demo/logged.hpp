// A server with a log and without sockets, for tests in a runtime. A Peer is one connection.
#pragma once

#include "tests/fs/support.hpp"

#include <ramie/scope.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/demo/aof_open.hpp"
#include "tools/demo/commands.hpp"
#include "tools/demo/resp.hpp"

namespace demo_test {

using namespace std::chrono_literals;
using demo::Aof;

/// What every one of `keys` holds, with its deadline.
inline std::string dump(demo::Store& store, const std::vector<std::string>& keys) {
  std::string out;
  for (const std::string& key : keys) {
    demo::Store::Locked locked = store.lock(key);
    demo::Table::Entry* const entry = locked.table(key).find(key, locked.now());
    if (entry == nullptr) continue;
    out += key + " " + std::to_string(entry->deadline) + ":";
    if (entry->string() != nullptr) out += " '" + *entry->string() + "'";
    if (entry->list() != nullptr)
      for (const std::string& item : *entry->list()) out += " [" + item + "]";
    out += "\n";
  }
  return out;
}

class LoggedServer {
 public:
  /// A short period, so that retries and the syncs of everysec come soon.
  LoggedServer(const std::string& path, Aof::Fsync fsync, std::chrono::milliseconds period = 20ms) {
    auto opened = demo::open_aof(path, fsync, store, period);
    if (!opened) throw std::runtime_error(opened.error());
    log = *std::move(opened);
    (void)writer_.spawn([this] { log->run(); });
  }
  ~LoggedServer() { (void)stop(); }

  /// Whether everything is on the disk.
  bool stop() {
    log->stop();
    (void)writer_.join();
    return log->is_complete();
  }

  demo::Store store;
  demo::Stats stats;
  demo::Clients clients;
  std::unique_ptr<Aof> log;

 private:
  ramie::Scope writer_{ramie::on_failure::report};
};

class Peer final : public demo::Client, private demo::Sink {
 public:
  explicit Peer(LoggedServer& server)
      : Client(1, "peer", "here"), server_(server), journal_(*server.log) {}

  /// Sends whole commands; returns the replies after they have left.
  std::string send(std::string_view bytes) {
    std::string out;
    demo::Replies replies(out, this, &journal_);
    demo::Context context{server_.store, server_.stats, server_.clients, *this, replies, &journal_};
    while (parser_.parse(bytes) == demo::RequestParser::Status::kCommand) {
      demo::execute(context, parser_.args());
      bytes.remove_prefix(parser_.consumed());
    }
    (void)replies.flush();
    errors += replies.errors();
    return std::exchange(sent_, {});
  }

  std::size_t errors = 0;

 private:
  bool write(std::string_view bytes) override {
    sent_.append(bytes);
    return true;
  }

  LoggedServer& server_;
  demo::Journal journal_;
  demo::RequestParser parser_;
  std::string sent_;
};

}  // namespace demo_test
