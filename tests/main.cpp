// The main() of every test program: Catch2's own, but for three things.
//
// Catch2 would take SIGINT and SIGTERM and an alternate stack around each test case, which are the
// very things that Ramie's tests look at. (The distribution's prebuilt main has them compiled in.)
//
// Cases with the tag [uring] need io_uring, which many containers and administrators deny: they
// are skipped there, and counted (see support/skip.hpp).
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "tests/support/uring.hpp"

#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

constexpr const char* kTag = "[uring]";

// "a,b" -> "~[uring]a,~[uring]b": the parts of a specification are alternatives.
std::string without_uring(const std::string& specification) {
  const std::string without = std::string("~") + kTag;
  std::string result = without;
  bool is_quoted = false;
  for (std::size_t i = 0; i < specification.size(); ++i) {
    const char c = specification[i];
    if (c == '"') is_quoted = !is_quoted;
    result += c;
    if (c == ',' && !is_quoted && (i == 0 || specification[i - 1] != '\\')) result += without;
  }
  return result;
}

void skip_uring(Catch::Session& session, int error) {
  const auto& config = session.config();
  const auto& all = Catch::getAllTestCasesSorted(config);
  const auto wanted =
      config.hasTestFilters() ? Catch::filterTests(all, config.testSpec(), config) : all;
  for (const auto& one : wanted)
    if (one.getTestCaseInfo().tagsAsString().find(kTag) != std::string::npos)
      (void)std::fprintf(stderr, "skipped: %s | needs io_uring: %s\n",
                         std::string(one.getTestCaseInfo().name).c_str(), std::strerror(error));
  auto changed = session.configData();
  if (changed.testsOrTags.empty()) changed.testsOrTags.emplace_back("~[.]");
  for (std::string& specification : changed.testsOrTags)
    specification = without_uring(specification);
  session.useConfigData(changed);
}

// As a filter that means just this name.
std::string escaped(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (c == ',' || c == '[' || c == '*' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

// TEST_SHARD=0/2: every other test case, from the first one on; not in programs that a test starts.
void take_shard(Catch::Session& session) {
  const char* shard = std::getenv("TEST_SHARD");
  unsigned number = 0;
  unsigned count = 0;
  if (shard == nullptr || std::sscanf(shard, "%u/%u", &number, &count) != 2 || count == 0) return;
  (void)::unsetenv("TEST_SHARD");
  auto changed = session.configData();
  if (changed.testsOrTags.empty()) changed.testsOrTags.emplace_back("~[.]");
  session.useConfigData(changed);
  const auto& all = Catch::getAllTestCasesSorted(session.config());
  const auto wanted = Catch::filterTests(all, session.config().testSpec(), session.config());
  if (wanted.empty()) return;
  std::string names;
  std::size_t chosen = 0;
  for (std::size_t i = number; i < wanted.size(); i += count, ++chosen)
    names += (chosen == 0 ? "" : ",") + escaped(wanted[i].getTestCaseInfo().name);
  changed.testsOrTags = {names};
  session.useConfigData(changed);
  const auto found = Catch::filterTests(all, session.config().testSpec(), session.config());
  if (found.size() == chosen) return;
  (void)std::fprintf(stderr, "TEST_SHARD: %zu of %zu cases are found\n", found.size(), chosen);
  std::exit(1);
}

// What a script starts with & ignores these; the tests begin as on a terminal, but for the one that
// looks at just that.
void listen_to_the_terminal(char** arguments) {
  if (std::getenv("RAMIE_TEST_INHERITS") != nullptr) return;
  const bool is_deaf = std::signal(SIGQUIT, SIG_DFL) == SIG_IGN;
  (void)std::signal(SIGINT, SIG_DFL);
  if (is_deaf) (void)::execv("/proc/self/exe", arguments);  // what is inherited is read very early
}

}  // namespace

int main(int count, char** arguments) {
  listen_to_the_terminal(arguments);
  Catch::Session session;
  if (const int wrong = session.applyCommandLine(count, arguments); wrong != 0) return wrong;
  const int error = ramie_test::uring_error();
  if (error != 0 && !session.configData().listTests) skip_uring(session, error);
  if (!session.configData().listTests) take_shard(session);
  return session.run();
}
