// Parses, formats, loads and stores one value, by the kind of its row.
#include "runtime/config_value.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <span>
#include <system_error>

#include <fmt/format.h>

namespace ramie::inline v0::runtime {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

// ---- text -> raw -------------------------------------------------------------------------------

struct Unit {
  std::string_view suffix;
  std::uint64_t factor;
};
// format_units() needs this order: the plain number first, the largest unit last.
constexpr Unit kPlain[] = {{"", 1}};
constexpr Unit kSizes[] = {{"", 1},       {"k", kKiB},   {"m", kMiB}, {"g", kGiB}, {"KiB", kKiB},
                           {"MiB", kMiB}, {"GiB", kGiB}, {"K", kKiB}, {"M", kMiB}, {"G", kGiB}};
constexpr Unit kMicros[] = {{"", 1}, {"us", 1}, {"ms", 1000}, {"s", 1'000'000}};
constexpr Unit kDurations[] = {{"us", 1000}, {"ms", 1'000'000}, {"s", 1'000'000'000}};

// Accepts digits and one of the units, nothing else. A number that 64 bits cannot hold becomes the
// largest number, so the range check calls it too large.
Raw parse_units(std::string_view text, std::span<const Unit> units) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc::invalid_argument) return std::nullopt;
  if (error == std::errc::result_out_of_range) number = kMost;
  const std::string_view suffix(rest, static_cast<std::size_t>(end - rest));
  for (const Unit& unit : units) {
    if (unit.suffix != suffix) continue;
    return number > kMost / unit.factor ? kMost : number * unit.factor;
  }
  return std::nullopt;
}

// A time without a unit is a mistake, except 0, which needs none.
Raw parse_duration(std::string_view text) {
  return text == "0" ? Raw(0) : parse_units(text, kDurations);
}

Raw parse_seed(std::string_view text) {
  const bool is_hex = text.starts_with("0x");
  if (is_hex) text.remove_prefix(2);
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, is_hex ? 16 : 10);
  return error == std::errc() && rest == end ? Raw(number) : std::nullopt;
}

Raw parse_word(std::string_view text, std::string_view words) {
  if (words.empty()) return std::nullopt;
  for (std::uint64_t index = 0;; ++index) {
    const std::size_t bar = words.find('|');
    if (text == words.substr(0, bar)) return index;
    if (bar == std::string_view::npos) return std::nullopt;
    words.remove_prefix(bar + 1);
  }
}

Raw parse_flag(std::string_view text, std::string_view more_words) {
  if (text == "on" || text == "1" || text == "true") return 1;
  if (text == "off" || text == "0" || text == "false") return 0;
  const Raw word = parse_word(text, more_words);
  return word ? Raw(*word + 2) : std::nullopt;
}

Raw parse_raw(const Row& row, std::string_view text) {
  switch (row.kind) {
    case Kind::number: return parse_units(text, kPlain);
    case Kind::flag: return parse_flag(text, row.words);
    case Kind::choice: return parse_word(text, row.words);
    case Kind::size: return parse_units(text, kSizes);
    case Kind::micros: return parse_units(text, kMicros);
    case Kind::duration: return parse_duration(text);
    case Kind::seed: return parse_seed(text);
  }
  return std::nullopt;
}

std::uint64_t page_size() { return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)); }

// ---- raw -> text -------------------------------------------------------------------------------

// Uses the largest unit that leaves no remainder.
std::string format_units(std::uint64_t raw, std::span<const Unit> units) {
  for (std::size_t i = units.size(); i-- > 0;) {
    const Unit& unit = units[i];
    const bool fits = raw % unit.factor == 0 && raw != 0;
    if (fits) return fmt::format("{}{}", raw / unit.factor, unit.suffix);
  }
  return fmt::format("{}", raw);
}

std::string format_duration(std::uint64_t raw) {
  if (raw % 1000 != 0) return fmt::format("{}ns", raw);  // only code can set that
  return raw == 0 ? "0s" : format_units(raw, kDurations);
}

std::string format_word(std::uint64_t index, std::string_view words) {
  for (; index > 0; --index) words.remove_prefix(words.find('|') + 1);
  return std::string(words.substr(0, words.find('|')));
}

}  // namespace

Parsed parse(const Row& row, std::string_view text) {
  if (!row.automatic.empty() && text == row.automatic) return {std::nullopt, Fault::none};
  const Raw raw = parse_raw(row, text);
  if (!raw) return {raw, Fault::malformed};
  if (row.zero_is_off && *raw == 0) return {raw, Fault::none};
  if (*raw < row.min) return {raw, Fault::too_small};
  if (*raw > row.max) return {raw, Fault::too_large};
  if (row.whole_pages && *raw % page_size() != 0) return {raw, Fault::not_whole_pages};
  return {raw, Fault::none};
}

std::uint64_t move_into_range(const Row& row, std::uint64_t raw) {
  raw = std::clamp(raw, row.min, row.max);
  // Also after a clamp: the smallest stack is less than a page on a machine with 64 KiB pages.
  if (row.whole_pages) raw = (raw + page_size() - 1) / page_size() * page_size();
  return raw;
}

std::string format_raw(const Row& row, Raw raw) {
  if (!raw) return std::string(row.automatic);
  switch (row.kind) {
    case Kind::flag:
      if (*raw > 1) return format_word(*raw - 2, row.words);
      return *raw == 1 ? "on" : "off";
    case Kind::choice: return format_word(*raw, row.words);
    case Kind::size: return format_units(*raw, kSizes);
    case Kind::duration: return format_duration(*raw);
    case Kind::number:
    case Kind::micros:
    case Kind::seed: break;
  }
  return fmt::format("{}", *raw);
}

std::string format_page_size() { return format_units(page_size(), kSizes); }

Raw load(const Row& row, const Config& config) {
  const Raw raw = row.load(config);
  const bool zero_is_automatic = !row.is_optional && !row.automatic.empty();
  return zero_is_automatic && raw == std::uint64_t{0} ? std::nullopt : raw;
}

void store(const Row& row, Raw raw, Config& config) { row.store(config, raw); }

}  // namespace ramie::inline v0::runtime
