// Runs the scenario in a confined process, and prints the errors that it got.
//
//     confined [deny CALL=ERRNO] [late CALL=ERRNO] [limit WHAT=N] [plan TEXT] [lock] [small]
//              [alone] [pin] [no-names] [accept]
//
// Prints `where: ERROR` once for each kind, and `WRONG: ...` for a broken promise. Status 0 means
// that no promise was broken. `accept` runs only a listener and a client, for a second, and prints
// how often the listener tried.
#include "tests/faults/confine.hpp"
#include "tests/faults/scenario.hpp"
#include "tests/support/fault_plan.hpp"

#include <ramie/ramie.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::chrono_literals;

std::string name_of(std::error_code code) {
  if (code.category() == ramie::category()) return "ramie " + std::to_string(code.value());
  return std::string(ramie_test::errno_name(code.value()));
}

int tell(const faults::Findings& findings) {
  std::set<std::string> lines;
  for (const faults::Said& one : findings.errors())
    lines.insert(std::string(one.where) + ": " + name_of(one.code));
  for (const std::string& line : lines) std::printf("%s\n", line.c_str());
  if (findings.has_wrong()) std::printf("%s", findings.text().c_str());
  return findings.has_wrong() ? 1 : 0;
}

// A client connects. The listener tries for a second, while another fiber sleeps now and then.
int accept_for_a_second() {
  ramie::runtime::Builder builder;
  auto runtime = ramie::or_throw(builder.ignore_environment(true).workers(1).build());
  return runtime.block_on([] {
    auto listener = ramie::or_throw(ramie::net::TcpListener::bind("127.0.0.1:0"));
    const auto address = *listener.local_addr();
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)::connect(client, static_cast<const sockaddr*>(address.raw()),
                    static_cast<socklen_t>(address.raw_size()));
    const ramie_test::PlannedFaults counter("accept4 4000000000 EIO");
    auto accepted = ramie::timeout(1s, [&] { return listener.accept(); });
    std::printf("accept: %s\ntries: %u\n", accepted ? "success" : name_of(accepted.error()).c_str(),
                counter.calls());
    ::close(client);
    return 0;
  });
}

std::vector<std::string> late;

// Only root may lock more than the limit; a runtime maps more than the usual 8 MiB.
void lock_all_memory() {
  rlimit limit{};
  const bool is_small = ::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < (1U << 30U);
  if ((is_small && ::geteuid() != 0) || ::mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
    throw std::runtime_error("mlockall was refused");
}

int confined(int count, char** arguments) {
  faults::Scenario scenario;
  scenario.writes_to_nobody = true;
  std::string plan;
  bool only_accepts = false;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = arguments[i];
    const bool has_more = i + 1 < count;
    if (word == "deny" && has_more) faults::deny(arguments[++i]);
    else if (word == "late" && has_more) late.emplace_back(arguments[++i]);
    else if (word == "limit" && has_more) faults::limit(arguments[++i]);
    else if (word == "plan" && has_more) plan = arguments[++i];
    else if (word == "small") scenario.crowd = 80;
    else if (word == "alone") scenario.clients = 1;
    else if (word == "pin") scenario.is_pinned = true;
    else if (word == "no-names") scenario.looks_names_up = false;
    else if (word == "accept") only_accepts = true;
    else if (word == "lock") lock_all_memory();
    else throw std::invalid_argument("what is '" + std::string(word) + "'?");
  }
  if (!late.empty())
    scenario.once_started = [] {
      for (const std::string& rule : late) faults::deny(rule, faults::Whom::all_threads);
    };
  if (only_accepts) return accept_for_a_second();
  const auto findings = std::make_unique<faults::Findings>();
  {
    const ramie_test::PlannedFaults faults(plan);
    faults::run(scenario, *findings);
  }
  return tell(*findings);
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return confined(count, arguments);
  } catch (const std::exception& error) {
    std::printf("confined: %s\n", error.what());
    return 2;
  }
}
