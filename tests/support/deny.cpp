// deny RULE... -- PROGRAM ARGUMENT...: runs a program with the calls denied that the rules name;
// see tests/faults/confine.hpp.
#include "tests/faults/confine.hpp"

#include <unistd.h>
#include <cstdio>
#include <exception>
#include <string_view>

int main(int argc, char** argv) {
  int at = 1;
  try {
    for (; at < argc && std::string_view(argv[at]) != "--"; ++at) faults::deny(argv[at]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "deny: %s\n", error.what());
    return 2;
  }
  if (at + 1 >= argc) {
    std::fputs("usage: deny CALL=ERRNO... -- PROGRAM ARGUMENT...\n", stderr);
    return 2;
  }
  ::execvp(argv[at + 1], argv + at + 1);
  std::perror("deny");
  return 2;
}
