// `ramie doctor [--json | --help]`.
#include "tools/doctor_command.hpp"

#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tools/doctor/checks.hpp"

namespace doctor {
namespace {

constexpr int kHasBad = 1;
constexpr int kWrongUsage = 2;

constexpr std::string_view kDoctorUsage =
    "usage: ramie doctor [--json | --help]\n"
    "  Tells what this machine gives to Ramie, and what to do about it.\n"
    "    ok    nothing to do\n"
    "    note  Ramie works, with less or at a higher cost\n"
    "    bad   Ramie builds no runtime here, or a server fails soon; exit status 1\n"
    "  --json  prints the same for programs\n"
    "  --help  prints this text\n";

}  // namespace

int doctor_command(std::span<const std::string_view> args, std::string_view version) {
  const bool is_json = args.size() == 1 && args.front() == "--json";
  if (args.size() == 1 && args.front() == "--help") {
    fmt::print("{}", kDoctorUsage);
    return 0;
  }
  if (!args.empty() && !is_json) {
    fmt::print(stderr, "{}", kDoctorUsage);
    return kWrongUsage;
  }
  const std::vector<Finding> findings = examine(this_machine(version));
  fmt::print("{}", is_json ? as_json(findings) : as_text(findings));
  return has_bad(findings) ? kHasBad : 0;
}

}  // namespace doctor
