// The server: two listeners, a fiber per connection, a sweeper, a clean shutdown.
//
//   serve --+-- accept RESP --- a fiber per connection
//           +-- accept HTTP --- a fiber per connection
//           +-- sweep expired keys
//           +-- write the log, if there is one; it ends last
//   stop:   no more accepts -> idle connections end, busy ones answer what they have received
//           -> after kGrace the rest is cancelled -> serve() returns
#pragma once

#include <ramie/cancel.hpp>
#include <ramie/net.hpp>

#include <chrono>
#include <optional>

#include "tools/demo/connection.hpp"
#include "tools/demo/options.hpp"

namespace demo {

struct Listeners {
  ramie::net::TcpListener resp;
  ramie::net::TcpListener http;
};

/// Prints errors on stderr.
std::optional<Listeners> bind_listeners(const Options& options);

/// Opens and replays the file of --aof, before serve(). False: it failed, and stderr says why.
bool open_log(Service& service, const Options& options);

inline constexpr std::chrono::seconds kGrace{5};

/// Serves until `stop` is cancelled. Returns the exit status; it has printed errors on stderr.
int serve(Service& service, Listeners& listeners, const ramie::CancellationToken& stop);

}  // namespace demo
