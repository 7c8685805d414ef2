// Routes and the shape of responses; http.hpp lists them.
#include "tools/demo/http.hpp"

#include <algorithm>
#include <array>

#include "tools/demo/text.hpp"

namespace demo {
namespace {

struct Response {
  int status = 200;
  std::string body = {};
  std::string_view type = "text/plain; charset=utf-8";
  std::string_view allow = {};
};

std::string_view reason(int status) noexcept {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 417: return "Expectation Failed";
    case 503: return "Service Unavailable";
    case 431: return "Request Header Fields Too Large";
    case 505: return "HTTP Version Not Supported";
    default: return "Error";
  }
}

Response plain(int status, std::string_view message) {
  return {.status = status, .body = std::string(message).append("\n")};
}

Response not_allowed(std::string_view allow) {
  Response response = plain(405, "method not allowed here");
  response.allow = allow;
  return response;
}

std::string_view date_header(HttpContext& context) {
  const std::time_t now = std::time(nullptr);
  if (now != context.date_second || context.date.empty()) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[64];
    const std::size_t size =
        std::strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
    context.date.assign(text, size);
    context.date_second = now;
  }
  return context.date;
}

void append_response(HttpContext& context, const Response& response, bool keep_alive,
                     bool is_http_1_0, bool with_body, std::string& out) {
  out.append("HTTP/1.1 ");
  append_integer(out, response.status);
  out.append(" ").append(reason(response.status)).append("\r\n").append(date_header(context));
  if (response.status != 204) {  // 204 has no body and so no length
    out.append("Content-Type: ").append(response.type).append("\r\nContent-Length: ");
    append_integer(out, response.body.size());
    out.append("\r\n");
  }
  if (!response.allow.empty()) out.append("Allow: ").append(response.allow).append("\r\n");
  if (!keep_alive) out.append("Connection: close\r\n");
  if (keep_alive && is_http_1_0) out.append("Connection: keep-alive\r\n");
  out.append("\r\n");
  if (with_body) out.append(response.body);
  ++context.requests;
  context.errors += response.status >= 400 ? 1u : 0u;
}

bool reads(const HttpRequest& request) noexcept {
  return request.method == HTTP_GET || request.method == HTTP_HEAD;
}

Response get_key(HttpContext& context, std::string_view key) {
  Store::Locked locked = context.store.lock(key);
  Table::Entry* const entry = locked.table(key).find(key, locked.now());
  ++(entry != nullptr ? context.hits : context.misses);
  if (entry == nullptr) return plain(404, "no such key");
  const std::string* const value = entry->string();
  if (value == nullptr) return plain(409, "the key holds a list");
  return {.body = *value, .type = "application/octet-stream"};
}

Response put_key(HttpContext& context, std::string_view key, std::string&& value) {
  Store::Locked locked = context.store.lock(key);
  Table& table = locked.table(key);
  const bool is_new = table.find(key, locked.now()) == nullptr;
  if (context.log != nullptr) context.recorded = context.log->append({"SET", key, value});
  Table::Entry& entry = table.obtain(key, locked.now());
  entry.value = std::move(value);
  if (entry.deadline != Table::kNever) table.set_deadline(key, Table::kNever);
  return is_new ? plain(201, "created") : Response{.status = 204};
}

Response delete_key(HttpContext& context, std::string_view key) {
  Store::Locked locked = context.store.lock(key);
  if (!locked.table(key).erase(key, locked.now())) return plain(404, "no such key");
  if (context.log != nullptr) context.recorded = context.log->append({"DEL", key});
  return {.status = 204};
}

Response serve_key(HttpContext& context, HttpRequest& request, std::string_view encoded) {
  const auto key = percent_decode(encoded);
  if (!key) return plain(400, "bad percent-encoding in the key");
  if (key->empty()) return plain(404, "the path is /k/<key>");
  if (reads(request)) return get_key(context, *key);
  const auto refusal = context.log != nullptr ? context.log->refusal() : std::nullopt;
  if (refusal) return plain(503, *refusal);
  if (request.method == HTTP_PUT) return put_key(context, *key, std::move(request.body));
  if (request.method == HTTP_DELETE) return delete_key(context, *key);
  return not_allowed("GET, HEAD, PUT, DELETE");
}

// Path of an origin-form ("/k/a?x") or absolute-form ("http://host/k/a?x") target.
std::string_view path_of(std::string_view target) noexcept {
  const std::size_t scheme = target.find("://");
  if (!target.empty() && target.front() != '/' && scheme != std::string_view::npos) {
    const std::size_t slash = target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  return target.substr(0, target.find_first_of("?#"));
}

Response route(HttpContext& context, HttpRequest& request) {
  const std::string_view path = path_of(request.target);
  if (path.starts_with("/k/")) return serve_key(context, request, path.substr(3));
  if (path != "/" && path != "/healthz" && path != "/metrics") return plain(404, "no such page");
  if (!reads(request)) return not_allowed("GET, HEAD");
  if (path == "/healthz") return plain(200, "ok");
  if (path == "/") return plain(200, "ramie demo: GET PUT DELETE /k/<key>, /metrics, /healthz");
  return {.body = metrics_text(context.stats, context.store, context.log),
          .type = "text/plain; version=0.0.4; charset=utf-8"};
}

// A response leaves after everything that it shows is safe in the log.
void wait_for_log(HttpContext& context, Response& response) {
  const auto safe = context.log->wait_safe(context.log->appended());
  if (!safe || *safe < context.recorded) response = plain(503, context.log->failure_text());
  context.recorded = 0;
}

int hex_digit(char c) noexcept {
  const char lower = to_lower(c);
  if (c >= '0' && c <= '9') return c - '0';
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

void answer(HttpContext& context, HttpRequest& request, bool keep_alive, std::string& out) {
  const bool with_body = request.method != HTTP_HEAD;
  Response response = route(context, request);
  if (context.log != nullptr) [[unlikely]]
    wait_for_log(context, response);
  append_response(context, response, keep_alive, request.is_http_1_0, with_body, out);
}

void answer_error(HttpContext& context, int status, std::string& out) {
  append_response(context, plain(status, reason(status)), false, false, true, out);
}

}  // namespace demo
