// llhttp's callbacks and the limits around them.
#include "tools/demo/http_parser.hpp"

#include "tools/demo/text.hpp"

namespace demo {

struct HttpParser::Hooks {
  static HttpParser& self(llhttp_t* parser) { return *static_cast<HttpParser*>(parser->data); }

  static int on_message_begin(llhttp_t* parser) {
    self(parser).start_request();
    return HPE_OK;
  }
  static int on_url(llhttp_t* parser, const char* at, std::size_t size) {
    HttpParser& me = self(parser);
    if (me.request_.target.size() + size > me.limits_.target) return me.refuse(414);
    me.request_.target.append(at, size);
    return HPE_OK;
  }
  static int on_header_field(llhttp_t* parser, const char* at, std::size_t size) {
    HttpParser& me = self(parser);
    if ((me.header_bytes_ += size) > me.limits_.headers) return me.refuse(431);
    me.name_.append(at, size);
    return HPE_OK;
  }
  static int on_header_value(llhttp_t* parser, const char* at, std::size_t size) {
    HttpParser& me = self(parser);
    if ((me.header_bytes_ += size) > me.limits_.headers) return me.refuse(431);
    me.value_.append(at, size);
    return HPE_OK;
  }
  static int on_header_value_complete(llhttp_t* parser) { return self(parser).end_header(); }
  static int on_headers_complete(llhttp_t* parser) { return self(parser).headers_complete(); }
  static int on_body(llhttp_t* parser, const char* at, std::size_t size) {
    HttpParser& me = self(parser);
    if (me.request_.body.size() + size > me.limits_.body) return me.refuse(413);
    me.request_.body.append(at, size);
    return HPE_OK;
  }
  static int on_message_complete(llhttp_t* parser) {
    HttpParser& me = self(parser);
    me.request_.keep_alive = llhttp_should_keep_alive(parser) != 0;
    me.is_complete_ = true;
    return HPE_PAUSED;
  }

  static const llhttp_settings_t* settings() {
    static const llhttp_settings_t kCallbacks = [] {
      llhttp_settings_t hooks;
      llhttp_settings_init(&hooks);
      hooks.on_message_begin = on_message_begin;
      hooks.on_url = on_url;
      hooks.on_header_field = on_header_field;
      hooks.on_header_value = on_header_value;
      hooks.on_header_value_complete = on_header_value_complete;
      hooks.on_headers_complete = on_headers_complete;
      hooks.on_body = on_body;
      hooks.on_message_complete = on_message_complete;
      return hooks;
    }();
    return &kCallbacks;
  }
};

HttpParser::HttpParser(Limits limits) : limits_(limits) {
  llhttp_init(&parser_, HTTP_REQUEST, Hooks::settings());
  parser_.data = this;
}

void HttpParser::start_request() {
  request_ = HttpRequest{};  // gives the last body's memory back
  name_.clear();
  value_.clear();
  header_bytes_ = 0;
  hosts_ = 0;
  wants_continue_ = bad_expectation_ = is_complete_ = false;
  is_idle_ = false;
}

int HttpParser::refuse(int status) noexcept {
  error_status_ = status;
  return HPE_USER;
}

int HttpParser::end_header() {
  // We read trailers and drop them: a Host in them means nothing.
  if ((parser_.flags & F_TRAILING) == 0) {
    if (equals_ignoring_case(name_, "host")) ++hosts_;
    if (equals_ignoring_case(name_, "expect")) {
      wants_continue_ = equals_ignoring_case(value_, "100-continue");
      bad_expectation_ = !wants_continue_;
    }
  }
  name_.clear();
  value_.clear();
  return HPE_OK;
}

int HttpParser::headers_complete() {
  // We ignore an offer to upgrade, as the standard allows: we speak no other protocol.
  parser_.upgrade = 0;
  request_.method = static_cast<llhttp_method_t>(parser_.method);
  request_.is_http_1_0 = parser_.http_major == 1 && parser_.http_minor == 0;
  if (parser_.http_major != 1) return error_status_ = 505, -1;
  // -1, not HPE_USER: positive results of this hook have other meanings.
  if (!request_.is_http_1_0 && hosts_ != 1) return error_status_ = 400, -1;
  if (bad_expectation_) return error_status_ = 417, -1;
  const bool has_length = (parser_.flags & F_CONTENT_LENGTH) != 0;
  if (has_length && parser_.content_length > limits_.body) return error_status_ = 413, -1;
  const bool has_body =
      (parser_.flags & F_CHUNKED) != 0 || (has_length && parser_.content_length > 0);
  wants_continue_ = wants_continue_ && has_body && !request_.is_http_1_0;
  return wants_continue_ ? HPE_PAUSED : HPE_OK;
}

HttpParser::Status HttpParser::parse(std::string_view& input) {
  if (is_paused_) llhttp_resume(&parser_);
  is_paused_ = false;
  if (is_complete_) {
    is_complete_ = false;
    is_idle_ = true;
  }
  const llhttp_errno_t result = llhttp_execute(&parser_, input.data(), input.size());
  if (result == HPE_OK) {
    input = {};
    return Status::kMore;
  }
  if (result == HPE_PAUSED) {
    is_paused_ = true;
    const char* const stopped = llhttp_get_error_pos(&parser_);
    input.remove_prefix(static_cast<std::size_t>(stopped - input.data()));
    return is_complete_ ? Status::kRequest : Status::kContinue;
  }
  if (error_status_ == 0) error_status_ = result == HPE_INVALID_VERSION ? 505 : 400;
  return Status::kError;
}

}  // namespace demo
