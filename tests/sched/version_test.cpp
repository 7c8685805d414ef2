// Tests which versions of headers and library fit together.
#include <ramie/version.hpp>

#include <catch2/catch.hpp>

using ramie::detail::fits;

TEST_CASE("Version: headers fit a library of the same minor version that is not older") {
  CHECK(fits(100, 100));
  CHECK(fits(100, 105));
  CHECK_FALSE(fits(105, 100));
  CHECK_FALSE(fits(100, 200));
  CHECK_FALSE(fits(200, 100));
  CHECK_FALSE(fits(10'100, 100));
}

TEST_CASE("Version: the library tells the version that the headers name") {
  CHECK(ramie::version() == RAMIE_VERSION);
  CHECK(RAMIE_VERSION_NUMBER ==
        RAMIE_VERSION_MAJOR * 10'000 + RAMIE_VERSION_MINOR * 100 + RAMIE_VERSION_PATCH);
}
