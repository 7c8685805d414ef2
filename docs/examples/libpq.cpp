// PostgreSQL's client library in fibers: libpq reads and writes, Ramie waits. While the database
// works, the thread runs other fibers.
//
//   libpq "host=127.0.0.1 dbname=postgres"
#include <ramie/ramie.hpp>

#include <libpq-fe.h>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>

namespace {

using namespace std::chrono_literals;
using ramie::Result;
using ramie::io::AsyncFd;
using ramie::io::Interest;
using ramie::io::Registration;

struct Finish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using Connection = std::unique_ptr<PGconn, Finish>;
using Database = AsyncFd<Connection>;

std::unexpected<std::error_code> broken(PGconn* connection) {
  std::fputs(PQerrorMessage(connection), stderr);
  return ramie::failure(std::make_error_code(std::errc::connection_aborted));
}

// libpq may change its socket while it connects, so each wait there has its own registration.
Result<Database> connect_to(const std::string& where) {
  Connection connection(PQconnectStart(where.c_str()));
  PGconn* raw = connection.get();
  if (raw == nullptr || PQstatus(raw) == CONNECTION_BAD) return broken(raw);
  for (auto next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK; next = PQconnectPoll(raw)) {
    if (next == PGRES_POLLING_FAILED) return broken(raw);
    const auto interest = next == PGRES_POLLING_READING ? Interest::readable : Interest::writable;
    auto registration = Registration::create(PQsocket(raw), interest);
    if (!registration) return ramie::failure(registration.error());
    if (auto ready = registration->readiness(interest); !ready)
      return ramie::failure(ready.error());
  }
  if (PQsetnonblocking(raw, 1) != 0) return broken(raw);
  return Database::create(std::move(connection), PQsocket(raw));
}

int waits = 0;

// The first field of the answer.
Result<std::string> ask(Database& database, const std::string& query) {
  PGconn* raw = database.get().get();
  if (PQsendQuery(raw, query.c_str()) == 0) return broken(raw);
  for (int left = 1; left != 0;) {
    left = PQflush(raw);
    if (left < 0) return broken(raw);
    if (left == 0) break;
    auto guard = database.ready(Interest::readable | Interest::writable);
    if (!guard) return ramie::failure(guard.error());
    if (guard->ready().is_readable() && PQconsumeInput(raw) == 0) return broken(raw);
  }
  while (PQisBusy(raw) != 0) {
    auto guard = database.readable();
    if (!guard) return ramie::failure(guard.error());
    if (PQconsumeInput(raw) == 0) return broken(raw);
    ++waits;
  }
  std::string field;
  while (PGresult* result = PQgetResult(raw)) {
    const bool is_good = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0;
    if (is_good) field = PQgetvalue(result, 0, 0);
    PQclear(result);
    if (!is_good) return broken(raw);
  }
  return field;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string where = argc > 1 ? argv[1] : "";
  return ramie::block_on([&]() -> int {
    auto database = ramie::timeout(10s, [&] { return connect_to(where); });
    if (!database) return ramie::report("connect", database.error());
    const std::clock_t before = std::clock();
    int ticks = 0;  // what another fiber does meanwhile
    auto ticking = ramie::spawn([&] {
      while (ramie::sleep_for(10ms)) ++ticks;
    });
    auto answer = ramie::timeout(10s, [&] { return ask(*database, "select 42 from pg_sleep(1)"); });
    ticking.cancel();
    (void)ticking.join();
    if (!answer) return ramie::report("select", answer.error());
    const auto used = (std::clock() - before) * 1000 / CLOCKS_PER_SEC;
    std::printf("answer %s, %d waits, %d ticks, %ld ms of CPU\n", answer->c_str(), waits, ticks,
                static_cast<long>(used));
    auto large = ask(*database, "select repeat('x', 3000000)");
    if (!large) return ramie::report("select", large.error());
    std::printf("and %zu bytes\n", large->size());
    auto late = ramie::timeout(100ms, [&] { return ask(*database, "select 1 from pg_sleep(5)"); });
    std::printf("late: %s\n", late ? "no" : late.error().message().c_str());
    return 0;
  });
}
