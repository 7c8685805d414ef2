// The `ramie` command: finds the subcommand and calls it.
#include <ramie/version.hpp>

#include <cstdio>
#include <string_view>
#include <vector>

#include "tools/demo/demo.hpp"
#include "tools/doctor_command.hpp"
#include "tools/env_command.hpp"

namespace {

constexpr std::string_view kUsage = R"(usage: ramie <command> [options]

  demo        a key-value server (Redis protocol and HTTP) under load; --serve keeps it running
  doctor      what this machine gives to Ramie, and what to do about it
  env         the environment variables and what they would set here
  help        this text
  --version   the version

`ramie <command> --help` tells more.
)";

int help() {
  std::fwrite(kUsage.data(), 1, kUsage.size(), stdout);
  return 0;
}

int version() {
  std::puts("ramie " RAMIE_VERSION);
  return 0;
}

int usage_error(std::string_view what, std::string_view word) {
  std::fprintf(stderr, "ramie: %.*s%.*s\n%.*s", static_cast<int>(what.size()), what.data(),
               static_cast<int>(word.size()), word.data(), static_cast<int>(kUsage.size()),
               kUsage.data());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return usage_error("no command given", "");
  const std::string_view command = argv[1];
  const std::vector<std::string_view> args(argv + 2, argv + argc);
  if (command == "demo") return demo::demo_command(args);
  if (command == "doctor") return doctor::doctor_command(args, RAMIE_VERSION);
  if (command == "env") return env_command(argc - 1, argv + 1);
  const bool is_help = command == "help" || command == "--help" || command == "-h";
  const bool is_version = command == "--version" || command == "version";
  if (!is_help && !is_version) return usage_error("unknown command: ", command);
  if (!args.empty()) return usage_error("this takes no argument: ", args.front());
  return is_help ? help() : version();
}
