// Stands for the demo in a build without it (-Ddemo=false).
#include "tools/demo/demo.hpp"

#include <cstdio>

namespace demo {

int demo_command(std::span<const std::string_view> /*args*/) {
  (void)std::fputs(
      "ramie demo: this build has no demo, since it had no llhttp; `./dev demo` in the source tree "
      "builds one, and the package ramie-tools has it\n",
      stderr);
  return 2;
}

}  // namespace demo
