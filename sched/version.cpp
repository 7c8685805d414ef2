// Checks that the version's text and numbers agree.
#include <ramie/version.hpp>

namespace ramie::inline v0 {

namespace {

// "1.2.3" -> 10203
constexpr unsigned number_of(std::string_view text) {
  unsigned number = 0;
  unsigned part = 0;
  for (const char c : text) {
    if (c == '.') {
      number = (number + part) * 100;
      part = 0;
    } else {
      part = part * 10 + static_cast<unsigned>(c - '0');
    }
  }
  return number + part;
}
static_assert(number_of("1.2.3") == 10203);
static_assert(number_of(RAMIE_VERSION) == RAMIE_VERSION_NUMBER);

}  // namespace

std::string_view version() noexcept { return RAMIE_VERSION; }

}  // namespace ramie::inline v0
