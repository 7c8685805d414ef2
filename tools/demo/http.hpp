// The answers of the HTTP side: the same store as the RESP side, and two pages for operators.
//
//   GET PUT DELETE HEAD /k/<key>     the key is percent-decoded; a body is the value
//   GET HEAD /metrics /healthz /
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "tools/demo/aof.hpp"
#include "tools/demo/http_parser.hpp"
#include "tools/demo/stats.hpp"
#include "tools/demo/store.hpp"

namespace demo {

/// The data of one HTTP connection. The session publishes the counters.
struct HttpContext {
  Store& store;
  Stats& stats;
  Aof* log = nullptr;          // none without --aof
  Aof::Sequence recorded = 0;  // the end of the last record
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::time_t date_second = 0;  // the Date header is made once per second
  std::string date = {};
};

/// Appends the response to `request`. `keep_alive` false adds "Connection: close".
void answer(HttpContext& context, HttpRequest& request, bool keep_alive, std::string& out);

/// Appends the last response of a connection whose request could not be understood.
void answer_error(HttpContext& context, int status, std::string& out);

/// Returns nothing if two hex digits do not follow a '%'.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace demo
