// `ramie env [--markdown | --man | --help]`; argv[0] is the word "env".
#include "tools/env_command.hpp"

#include <cstdio>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "runtime/config.hpp"
#include "runtime/config_row.hpp"
#include "runtime/cpus.hpp"

namespace {

namespace runtime = ramie::runtime;

constexpr int kBadUsage = 2;
constexpr int kBadConfig = 78;  // EX_CONFIG

constexpr std::string_view kUsage =
    "usage: ramie env [--markdown | --man | --help]\n"
    "  Shows the value that is in force for every RAMIE_* variable, and its source.\n"
    "  --markdown  prints docs/environment.md\n"
    "  --man       prints docs/man/ramie-env.7\n"
    "  --help      explains every variable\n";

// For workers it also shows the number that `auto` means here.
std::string value_in_force(const runtime::Row& row, const runtime::EnvResult& env) {
  std::string value = runtime::format_value(row.field, env.values);
  if (row.field == runtime::Field::workers && env.values.workers == 0) {
    value += fmt::format(" ({})", runtime::worker_count(env.values.cpu_quota));
  }
  return value;
}

int print_values() {
  const runtime::EnvResult env = runtime::read_process_environment(runtime::Config{});
  for (const std::string& message : env.messages) fmt::print(stderr, "ramie: {}\n", message);
  if (env.values.help != runtime::Help::off) fmt::print(stderr, "{}", runtime::help_text());
  fmt::print("{:<26}{:<12}{}\n", "VARIABLE", "VALUE", "FROM");
  for (const runtime::Row& row : runtime::kTable) {
    fmt::print("{:<26}{:<12}{}\n", row.name, value_in_force(row, env),
               env.has(row.field) ? "environment" : "default");
  }
  return env.fatal ? kBadConfig : 0;
}

}  // namespace

int env_command(int argc, char** argv) {
  if (argc <= 1) return print_values();
  const std::string_view option(argv[1]);
  if (argc == 2 && option == "--markdown") {
    fmt::print("{}", runtime::markdown_table());
    return 0;
  }
  if (argc == 2 && option == "--man") {
    fmt::print("{}", runtime::man_page());
    return 0;
  }
  if (argc == 2 && option == "--help") {
    fmt::print("{}\n{}", kUsage, runtime::help_text());
    return 0;
  }
  fmt::print(stderr, "{}", kUsage);
  return kBadUsage;
}
