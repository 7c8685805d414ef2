// Converts one value of a RAMIE_* variable between text, its raw form (config_row.hpp) and its
// member of Config. Nothing here reads the environment or prints: config.cpp decides what a fault
// means, and config_text.cpp writes what people read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/config_row.hpp"

namespace ramie::inline v0::runtime {

enum class Fault : std::uint8_t { none, malformed, too_small, too_large, not_whole_pages };

struct Parsed {
  Raw raw;  // meaningless if malformed
  Fault fault = Fault::none;
};

/// The whole text must have the row's form. A number that 64 bits cannot hold is `too_large`.
[[nodiscard]] Parsed parse(const Row& row, std::string_view text);

/// The usable value nearest to a number whose fault is not `malformed`.
[[nodiscard]] std::uint64_t move_into_range(const Row& row, std::uint64_t raw);

/// A text that parse() reads as `raw`. Only a number of nanoseconds that is not a whole number of
/// microseconds, which only code can set, has no such text: it is shown as `1500ns`.
std::string format_raw(const Row& row, Raw raw);

/// `4K`: the size of a page, for messages.
std::string format_page_size();

/// From Config to raw and back. If a member is not optional but has an automatic word, 0 means
/// automatic.
[[nodiscard]] Raw load(const Row& row, const Config& config);
void store(const Row& row, Raw raw, Config& config);

/// The accepted form, for a message or the docs (in config_text.cpp). For a number outside its
/// range it names only the bound that was crossed.
std::string accepted_form(const Row& row, Fault fault);

}  // namespace ramie::inline v0::runtime
