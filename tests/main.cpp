// The main() of every test program: Catch2's own, without its signal handlers.
//
// Catch2 would take SIGINT and SIGTERM and an alternate stack around each test case, which are the
// very things that Ramie's tests look at. The distribution's prebuilt main has them compiled in.
#define CATCH_CONFIG_NO_POSIX_SIGNALS
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
