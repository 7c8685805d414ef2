// Parses HTTP/1.1 requests, one at a time, from the pieces that the socket delivers (uses llhttp).
//
//   parse(input) -> kContinue   headers are in and the client waits for "100 Continue"
//                -> kRequest    request() is complete; input starts behind it (pipelining)
//                -> kMore       input is used up
//                -> kError      answer error_status(), then close: the position is lost
//
// Every part has a limit. The memory grows with received bytes, never with announced ones.
#pragma once

#include <llhttp.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace demo {

struct HttpRequest {
  llhttp_method_t method = HTTP_GET;
  std::string target;
  std::string body;
  bool keep_alive = true;
  bool is_http_1_0 = false;
};

class HttpParser {
 public:
  struct Limits {
    std::size_t target = 8 * 1024;        // else 414
    std::size_t headers = 16 * 1024;      // names and values, trailers too; else 431
    std::size_t body = 64 * 1024 * 1024;  // announced or received; else 413
  };
  enum class Status { kMore, kContinue, kRequest, kError };

  explicit HttpParser(Limits limits);
  HttpParser() : HttpParser(Limits{}) {}
  HttpParser(const HttpParser&) = delete;  // llhttp points back at us
  HttpParser& operator=(const HttpParser&) = delete;

  [[nodiscard]] Status parse(std::string_view& input);
  /// After kRequest, until the next parse().
  HttpRequest& request() noexcept { return request_; }
  int error_status() const noexcept { return error_status_; }
  /// Nothing of a next request has arrived.
  bool is_idle() const noexcept { return is_idle_; }

 private:
  struct Hooks;  // the C callbacks

  void start_request();
  int refuse(int status) noexcept;
  int headers_complete();
  int end_header();

  Limits limits_;
  llhttp_t parser_;
  HttpRequest request_;
  std::string name_;   // of the header being read
  std::string value_;  // kept for the headers that matter
  std::size_t header_bytes_ = 0;
  int hosts_ = 0;
  int error_status_ = 0;
  bool wants_continue_ = false;
  bool bad_expectation_ = false;
  bool is_paused_ = false;
  bool is_idle_ = true;
  bool is_complete_ = false;
};

}  // namespace demo
