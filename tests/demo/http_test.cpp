// HTTP/1.1: the parser with every cut and every limit, and the answers of each route.
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "tools/demo/http.hpp"

using demo::HttpParser;
using Status = HttpParser::Status;

namespace {

/// A connection without a socket: answers each complete request.
class Connection {
 public:
  explicit Connection(demo::Store& store, HttpParser::Limits limits = {})
      : context{store, stats}, parser(limits) {
    context.date_second = std::time(nullptr) + 1000;  // wrong on purpose: see strip_date
  }

  std::string send(std::string_view bytes) {
    std::string out;
    while (!closed) {
      const Status status = parser.parse(bytes);
      if (status == Status::kMore) break;
      if (status == Status::kContinue) {
        out += "HTTP/1.1 100 Continue\r\n\r\n";
      } else if (status == Status::kError) {
        demo::answer_error(context, parser.error_status(), out);
        closed = true;
      } else {
        closed = !parser.request().keep_alive;
        demo::answer(context, parser.request(), !closed, out);
      }
    }
    return strip_date(out);
  }

  demo::Stats stats;
  demo::HttpContext context;
  HttpParser parser;
  bool closed = false;

 private:
  // The only line that differs between runs. Checks that it is there.
  static std::string strip_date(std::string text) {
    for (std::size_t at; (at = text.find("Date: ")) != std::string::npos;) {
      CHECK(text.substr(at + 31, 6) == " GMT\r\n");
      text.erase(at, 37);
    }
    return text;
  }
};

const std::string kHost = "Host: x\r\n";

std::string get(const std::string& target) {
  return "GET " + target + " HTTP/1.1\r\n" + kHost + "\r\n";
}

std::string put(const std::string& target, const std::string& body) {
  return "PUT " + target + " HTTP/1.1\r\n" + kHost +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string value_reply(const std::string& value) {
  return "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: " +
         std::to_string(value.size()) + "\r\n\r\n" + value;
}

int status_of(const std::string& reply) {
  return reply.size() < 12 ? 0 : std::stoi(reply.substr(9, 3));
}

int status_of_request(const std::string& request, HttpParser::Limits limits = {}) {
  demo::Store store;
  Connection connection(store, limits);
  return status_of(connection.send(request));
}

}  // namespace

TEST_CASE("HTTP: put, get, replace, delete") {
  demo::Store store;
  Connection connection(store);
  CHECK(status_of(connection.send(get("/k/a"))) == 404);
  CHECK(status_of(connection.send(put("/k/a", "one"))) == 201);
  CHECK(connection.send(put("/k/a", "two")) == "HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(connection.send(get("/k/a")) == value_reply("two"));
  const std::string del = "DELETE /k/a HTTP/1.1\r\n" + kHost + "\r\n";
  CHECK(status_of(connection.send(del)) == 204);
  CHECK(status_of(connection.send(del)) == 404);
  CHECK_FALSE(connection.closed);
  CHECK(connection.context.requests == 6);
  CHECK(connection.context.errors == 2);
}

TEST_CASE("HTTP: every cut of a pipeline gives the same responses") {
  const std::string body("bin\0\r\n\r\nary", 12);
  const std::string stream =
      put("/k/x", body) + get("/k/x") + "PUT /k/y HTTP/1.1\r\n" + kHost +
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5;ext=1\r\ndefgh\r\n0\r\nTrailer: t\r\n\r\n" +
      get("/k/y") + "HEAD /k/y HTTP/1.1\r\n" + kHost + "\r\n" + get("/healthz");
  std::string expected;
  for (std::size_t size = stream.size(); size > 0; --size) {
    demo::Store store;
    Connection connection(store);
    std::string out;
    for (std::size_t at = 0; at < stream.size(); at += size) {
      out += connection.send(std::string(stream.substr(at, size)));
    }
    if (expected.empty()) {
      expected = out;
      CHECK(out.find(value_reply(body)) != std::string::npos);
      CHECK(out.find(value_reply("abcdefgh")) != std::string::npos);
      CHECK(out.ends_with("Content-Length: 3\r\n\r\nok\n"));
    }
    INFO("pieces of " << size);
    CHECK(out == expected);
  }
}

TEST_CASE("HTTP: HEAD has the length and no body") {
  demo::Store store;
  Connection connection(store);
  connection.send(put("/k/a", "four"));
  CHECK(connection.send("HEAD /k/a HTTP/1.1\r\n" + kHost + "\r\n") ==
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 4\r\n\r\n");
}

TEST_CASE("HTTP: keys are percent-decoded, any byte, slashes included") {
  demo::Store store;
  Connection connection(store);
  connection.send(put("/k/a%20b%2Fc/d%00%ff?query", "v"));
  {
    const std::string key("a b/c/d\0\xff", 9);
    demo::Store::Locked locked = store.lock(key);
    CHECK(locked.table(key).find(key, locked.now()) != nullptr);
  }
  CHECK(connection.send(get("http://any.host:80/k/a%20b/c%2fd%00%FF")) == value_reply("v"));
  CHECK(status_of(connection.send(get("/k/%zz"))) == 400);
  CHECK(status_of(connection.send(get("/k/%4"))) == 400);
  CHECK(status_of(connection.send(get("/k/"))) == 404);
  CHECK_FALSE(connection.closed);
}

TEST_CASE("HTTP: unknown pages, wrong methods, wrong types") {
  demo::Store store;
  Connection connection(store);
  CHECK(status_of(connection.send(get("/nope"))) == 404);
  const std::string post =
      connection.send("POST /k/a HTTP/1.1\r\n" + kHost + "Content-Length: 1\r\n\r\nx");
  CHECK(status_of(post) == 405);
  CHECK(post.find("Allow: GET, HEAD, PUT, DELETE\r\n") != std::string::npos);
  const std::string wrong = connection.send("DELETE /metrics HTTP/1.1\r\n" + kHost + "\r\n");
  CHECK(status_of(wrong) == 405);
  CHECK(wrong.find("Allow: GET, HEAD\r\n") != std::string::npos);
  {
    demo::Store::Locked locked = store.lock("l");
    locked.table("l").obtain("l", 0).value = std::make_unique<demo::List>();
  }
  CHECK(status_of(connection.send(get("/k/l"))) == 409);
  CHECK(status_of(connection.send("CONNECT a:1 HTTP/1.1\r\n" + kHost + "\r\n")) == 404);
  CHECK(status_of(connection.send(get("/"))) == 200);
}

TEST_CASE("HTTP: keep-alive as the version and the Connection header say") {
  demo::Store store;
  {
    Connection connection(store);
    const std::string reply = connection.send("GET /healthz HTTP/1.1\r\n" + kHost +
                                              "Connection: close\r\n\r\n" + get("/healthz"));
    CHECK(connection.closed);
    CHECK(reply.find("Connection: close\r\n") != std::string::npos);
    CHECK(reply.find("HTTP/1.1", 1) == std::string::npos);  // the second was not answered
  }
  {
    Connection connection(store);
    connection.send("GET /healthz HTTP/1.0\r\n\r\n");
    CHECK(connection.closed);
  }
  {
    Connection connection(store);
    const std::string reply =
        connection.send("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK_FALSE(connection.closed);
    CHECK(reply.find("Connection: keep-alive\r\n") != std::string::npos);
  }
}

TEST_CASE("HTTP: Expect: 100-continue is answered before the body, and only when one follows") {
  demo::Store store;
  Connection connection(store);
  const std::string head = "PUT /k/a HTTP/1.1\r\n" + kHost + "Expect: 100-Continue\r\n";
  CHECK(connection.send(head + "Content-Length: 3\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(status_of(connection.send("abc")) == 201);
  CHECK(connection.send(get("/k/a")) == value_reply("abc"));
  CHECK(status_of(connection.send(head + "Content-Length: 0\r\n\r\n")) == 204);
  CHECK(status_of_request("PUT /k/a HTTP/1.1\r\n" + kHost +
                          "Expect: miracles\r\nContent-Length: 1\r\n\r\nx") == 417);
}

TEST_CASE("HTTP: an offer to upgrade is ignored") {
  demo::Store store;
  Connection connection(store);
  const std::string reply = connection.send(
      "GET /healthz HTTP/1.1\r\n" + kHost +
      "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n" +
      get("/healthz"));
  CHECK(status_of(reply) == 200);
  CHECK(reply.find("HTTP/1.1 200", 1) != std::string::npos);
}

TEST_CASE("HTTP: each limit has its status and closes") {
  const HttpParser::Limits small{.target = 20, .headers = 100, .body = 10};
  CHECK(status_of_request(put("/k/a", "0123456789"), small) == 201);
  CHECK(status_of_request(put("/k/a", "0123456789x"), small) == 413);
  const std::string chunked =
      "PUT /k/a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\n";
  CHECK(status_of_request(chunked + "8\r\n01234567\r\n3\r\nabc\r\n", small) == 413);
  CHECK(status_of_request(get("/k/" + std::string(17, 'a')), small) == 404);
  CHECK(status_of_request(get("/k/" + std::string(18, 'a')), small) == 414);
  CHECK(status_of_request("GET / HTTP/1.1\r\n" + kHost + "A: " + std::string(90, 'x'), small) == 0);
  CHECK(status_of_request("GET / HTTP/1.1\r\n" + kHost + "A: " + std::string(100, 'x'), small) ==
        431);
  CHECK(status_of_request(chunked + "1\r\na\r\n0\r\nT: " + std::string(100, 'x'), small) == 431);
}

TEST_CASE("HTTP: a refused body is refused before it is sent") {
  const HttpParser::Limits small{.body = 10};
  CHECK(status_of_request(
            "PUT /k/a HTTP/1.1\r\n" + kHost + "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n",
            small) == 413);
}

TEST_CASE("HTTP: malformed requests get 400 and a close") {
  for (const std::string& request : {
           std::string("garbage\r\n\r\n"),
           std::string("\x16\x03\x01\x02\x00\x01", 6),
           std::string("GET / HTTP/1.1\r\n\r\n"),
           "GET / HTTP/1.1\r\n" + kHost + kHost + "\r\n",
           "GET / HTTP/1.1\r\n" + kHost + "bad header\r\n\r\n",
           "PUT /k/a HTTP/1.1\r\n" + kHost + "Content-Length: x\r\n\r\n",
           "PUT /k/a HTTP/1.1\r\n" + kHost + "Content-Length: -1\r\n\r\n",
           "PUT /k/a HTTP/1.1\r\n" + kHost + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
           "PUT /k/a HTTP/1.1\r\n" + kHost +
               "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "PUT /k/a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
           std::string("*1\r\n$4\r\nPING\r\n"),
       }) {
    INFO(request);
    demo::Store store;
    Connection connection(store);
    const std::string reply = connection.send(request);
    CHECK(status_of(reply) == 400);
    CHECK(reply.find("Connection: close\r\n") != std::string::npos);
    CHECK(connection.closed);
  }
}

TEST_CASE("HTTP: versions that we do not speak get 505") {
  CHECK(status_of_request("GET /\r\n\r\n") == 505);
  CHECK(status_of_request("GET / HTTP/2.0\r\n" + kHost + "\r\n") == 505);
  CHECK(status_of_request("GET / HTTP/9.9\r\n" + kHost + "\r\n") == 505);
}

TEST_CASE("HTTP: /metrics is an exposition that counts") {
  demo::Store store;
  Connection connection(store);
  connection.stats.add(3, demo::Count::kRespConnections, 5);
  connection.stats.add(4, demo::Count::kRespClosed, 2);
  connection.send(put("/k/a", "v"));
  const std::string text = connection.send(get("/metrics"));
  CHECK(text.find("ramie_demo_connections_open{protocol=\"resp\"} 3\n") != std::string::npos);
  CHECK(text.find("ramie_demo_connections_total{protocol=\"resp\"} 5\n") != std::string::npos);
  CHECK(text.find("# TYPE ramie_demo_keys gauge\nramie_demo_keys 1\n") != std::string::npos);
}
