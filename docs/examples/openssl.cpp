// TLS with OpenSSL over a TcpStream: OpenSSL reads and writes the socket, Ramie waits. A server and
// a client in one program, which makes its own certificate.
#include <ramie/ramie.hpp>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace {

using namespace std::chrono_literals;
using ramie::Result;

template <auto free>
struct Free {
  template <class T>
  void operator()(T* object) const {
    free(object);
  }
};
using Context = std::unique_ptr<SSL_CTX, Free<&SSL_CTX_free>>;

class Tls {
 public:
  Tls(SSL_CTX& context, ramie::net::TcpStream stream)
      : stream_(std::move(stream)), ssl_(SSL_new(&context)) {
    SSL_set_fd(ssl_.get(), stream_.fd());
  }

  Result<int> accept() {
    return drive([&] { return SSL_accept(ssl_.get()); });
  }
  Result<int> connect() {
    return drive([&] { return SSL_connect(ssl_.get()); });
  }
  // Bytes, or 0 at the end of the stream.
  Result<int> read(std::span<char> buffer) {
    return drive([&] { return SSL_read(ssl_.get(), buffer.data(), size_of(buffer)); });
  }
  Result<int> write(std::span<const char> data) {
    return drive([&] { return SSL_write(ssl_.get(), data.data(), size_of(data)); });
  }
  int waits() const { return waits_; }

 private:
  static int size_of(std::span<const char> data) { return static_cast<int>(data.size()); }

  // The error queue belongs to the thread, so there must be no wait between the call and the check.
  template <class Call>
  Result<int> drive(Call&& call) {
    for (;;) {
      ERR_clear_error();
      const int done = call();
      if (done > 0) return done;
      const int why = SSL_get_error(ssl_.get(), done);
      if (why == SSL_ERROR_ZERO_RETURN) return 0;
      Result<void> waited = ramie::failure(std::make_error_code(std::errc::protocol_error));
      if (why == SSL_ERROR_WANT_READ) waited = stream_.readable();
      if (why == SSL_ERROR_WANT_WRITE) waited = stream_.writable();
      if (!waited) return ramie::failure(waited.error());
      ++waits_;
    }
  }

  ramie::net::TcpStream stream_;
  std::unique_ptr<SSL, Free<&SSL_free>> ssl_;
  int waits_ = 0;
};

// Only for this example: a server reads its certificate from files.
bool certify(SSL_CTX& context) {
  const std::unique_ptr<EVP_PKEY, Free<&EVP_PKEY_free>> key(EVP_EC_gen("P-256"));
  const std::unique_ptr<X509, Free<&X509_free>> certificate(X509_new());
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  return X509_sign(certificate.get(), key.get(), EVP_sha256()) != 0 &&
         SSL_CTX_use_certificate(&context, certificate.get()) == 1 &&
         SSL_CTX_use_PrivateKey(&context, key.get()) == 1;
}

void echo(SSL_CTX& context, ramie::net::TcpStream stream) {
  Tls tls(context, std::move(stream));
  if (!tls.accept()) return;
  char buffer[4096];
  for (;;) {
    auto n = tls.read(buffer);
    if (!n || *n == 0) return;
    if (!tls.write(std::span(buffer).first(static_cast<std::size_t>(*n)))) return;
  }
}

}  // namespace

int main() {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes with write(2)
  const Context server(SSL_CTX_new(TLS_server_method()));
  const Context client(SSL_CTX_new(TLS_client_method()));
  if (!certify(*server)) return 1;
  return ramie::block_on([&]() -> int {
    auto listener = ramie::or_throw(ramie::net::TcpListener::bind("127.0.0.1:0"));
    ramie::Scope connections;
    (void)connections.spawn([&] {
      if (auto accepted = listener.accept()) echo(*server, std::move(accepted->stream));
    });
    auto stream = ramie::net::TcpStream::connect(ramie::or_throw(listener.local_addr()));
    if (!stream) return ramie::report("connect", stream.error());
    Tls tls(*client, std::move(*stream));
    if (auto greeted = tls.connect(); !greeted) return ramie::report("TLS", greeted.error());
    char buffer[4096];
    auto written = tls.write(std::string_view("hello"));
    auto n = written ? tls.read(buffer) : written;
    if (!n) return ramie::report("echo", n.error());
    const int before = tls.waits();
    const std::clock_t began = std::clock();
    auto silent = ramie::timeout(1s, [&] { return tls.read(buffer); });
    const auto used = (std::clock() - began) * 1000 / CLOCKS_PER_SEC;
    std::printf("echoed %.*s; silence: %s, %d waits, %ld ms of CPU\n", *n, buffer,
                silent ? "no" : silent.error().message().c_str(), tls.waits() - before,
                static_cast<long>(used));
    return 0;
  });
}
