// One value of a RAMIE_* variable on its way between text, raw form (see config_table.hpp) and its
// member of Config. Nothing here knows the environment or prints: config.cpp decides what a fault
// means, config_text.cpp what people read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/config_table.hpp"

namespace ramie {
inline namespace v0 {
namespace runtime {

using Raw = std::optional<std::uint64_t>;  // nothing: automatic

enum class Fault : std::uint8_t { none, malformed, too_small, too_large, not_whole_pages };

struct Parsed {
  Raw raw;  // meaningless if malformed
  Fault fault = Fault::none;
};

/// Strict: the whole text must be of the row's form. What 64 bits cannot hold is `too_large`.
[[nodiscard]] Parsed parse(const Row& row, std::string_view text);

/// The nearest usable value after a number with a fault other than `malformed`.
[[nodiscard]] std::uint64_t move_into_range(const Row& row, std::uint64_t raw);

/// A form that parse() accepts and reads as `raw` (but for nanoseconds, which only code can ask).
std::string format_raw(const Row& row, Raw raw);

/// `4K`: how messages name a page.
std::string format_page_size();

/// Between Config and raw. Rows without a member load 0 and store nothing.
[[nodiscard]] Raw load(const Row& row, const Config& config);
void store(const Row& row, Raw raw, Config& config);

/// Defined in config_text.cpp: the accepted form, for a message or the docs. After a number outside
/// its range it tells only the bound that was broken.
std::string accepted_form(const Row& row, Fault fault);

}  // namespace runtime
}  // namespace v0
}  // namespace ramie
