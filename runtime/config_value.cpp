// Parsing, formatting, loading and storing of one value, by the kind that its row names.
#include "runtime/config_value.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <span>
#include <system_error>
#include <type_traits>

#include <fmt/format.h>

namespace ramie {
inline namespace v0 {
namespace runtime {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

// ---- text -> raw -------------------------------------------------------------------------------

struct Unit {
  std::string_view suffix;
  std::uint64_t factor;
};
// The largest unit stands last; format_units() relies on it. A plain number comes first.
constexpr Unit kPlain[] = {{"", 1}};
constexpr Unit kSizes[] = {{"", 1},       {"k", kKiB},   {"m", kMiB}, {"g", kGiB}, {"KiB", kKiB},
                           {"MiB", kMiB}, {"GiB", kGiB}, {"K", kKiB}, {"M", kMiB}, {"G", kGiB}};
constexpr Unit kMicros[] = {{"", 1}, {"us", 1}, {"ms", 1000}, {"s", 1'000'000}};
constexpr Unit kDurations[] = {{"us", 1000}, {"ms", 1'000'000}, {"s", 1'000'000'000}};

// Digits and one of the units, nothing else. What is too big for 64 bits becomes the most that
// they hold, so that the range check calls it too large.
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
    case Kind::size:
    case Kind::stack: return parse_units(text, kSizes);
    case Kind::micros: return parse_units(text, kMicros);
    case Kind::duration: return parse_duration(text);
    case Kind::seed: return parse_seed(text);
  }
  return std::nullopt;
}

std::uint64_t page_size() { return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)); }

// ---- raw -> text -------------------------------------------------------------------------------

// The largest unit that leaves no rest.
std::string format_units(std::uint64_t raw, std::span<const Unit> units) {
  for (std::size_t i = units.size(); i-- > 0;) {
    const Unit& unit = units[i];
    const bool fits = raw % unit.factor == 0 && raw != 0;
    if (fits) return fmt::format("{}{}", raw / unit.factor, unit.suffix);
  }
  return fmt::format("{}", raw);
}

std::string format_duration(std::uint64_t raw) {
  if (raw % 1000 != 0) return fmt::format("{}ns", raw);  // only code can ask for that
  return raw == 0 ? "0s" : format_units(raw, kDurations);
}

std::string format_word(std::uint64_t index, std::string_view words) {
  for (; index > 0; --index) words.remove_prefix(words.find('|') + 1);
  return std::string(words.substr(0, words.find('|')));
}

// ---- raw <-> members of Config -----------------------------------------------------------------

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <class T>
std::uint64_t to_raw(T value) {
  if constexpr (requires { value.count(); }) {
    return static_cast<std::uint64_t>(std::max(value.count(), decltype(value.count()){0}));
  } else {
    return static_cast<std::uint64_t>(value);
  }
}

template <class T>
T from_raw(std::uint64_t raw) {
  if constexpr (requires(T value) { value.count(); }) {
    return T(static_cast<typename T::rep>(raw));
  } else {
    return static_cast<T>(raw);
  }
}

// Calls `act` with the member that belongs to `row`, if there is one.
template <class C, class Act>
void with_member(const Row& row, C& config, const Act& act) {
  std::visit(
      [&](auto member) {
        if constexpr (!std::is_same_v<decltype(member), std::monostate>) act(config.*member);
      },
      row.slot);
}

}  // namespace

Parsed parse(const Row& row, std::string_view text) {
  if (!row.automatic.empty() && text == row.automatic) return {std::nullopt, Fault::none};
  const Raw raw = parse_raw(row, text);
  if (!raw) return {raw, Fault::malformed};
  if (row.zero_is_off && *raw == 0) return {raw, Fault::none};
  if (*raw < row.min) return {raw, Fault::too_small};
  if (*raw > row.max) return {raw, Fault::too_large};
  if (row.kind == Kind::stack && *raw % page_size() != 0) return {raw, Fault::not_whole_pages};
  return {raw, Fault::none};
}

std::uint64_t move_into_range(const Row& row, std::uint64_t raw) {
  raw = std::clamp(raw, row.min, row.max);
  // Also after a clamp: the least stack is less than a page where pages have 64 KiB.
  if (row.kind == Kind::stack) raw = (raw + page_size() - 1) / page_size() * page_size();
  return raw;
}

std::string format_raw(const Row& row, Raw raw) {
  if (!raw) return std::string(row.automatic);
  switch (row.kind) {
    case Kind::flag:
      if (*raw > 1) return format_word(*raw - 2, row.words);
      return *raw == 1 ? "on" : "off";
    case Kind::choice: return format_word(*raw, row.words);
    case Kind::size:
    case Kind::stack: return format_units(*raw, kSizes);
    case Kind::duration: return format_duration(*raw);
    case Kind::number:
    case Kind::micros:
    case Kind::seed: break;
  }
  return fmt::format("{}", *raw);
}

std::string format_page_size() { return format_units(page_size(), kSizes); }

Raw load(const Row& row, const Config& config) {
  Raw raw = 0;
  with_member(row, config, [&](const auto& member) {
    if constexpr (IsOptional<std::remove_cvref_t<decltype(member)>>::value) {
      raw = member ? Raw(to_raw(*member)) : std::nullopt;
    } else {
      raw = to_raw(member);
      if (!row.automatic.empty() && *raw == 0) raw.reset();
    }
  });
  return raw;
}

void store(const Row& row, Raw raw, Config& config) {
  with_member(row, config, [&](auto& member) {
    using Member = std::remove_cvref_t<decltype(member)>;
    if constexpr (IsOptional<Member>::value) {
      member = raw ? Member(from_raw<typename Member::value_type>(*raw)) : std::nullopt;
    } else {
      member = from_raw<Member>(raw.value_or(0));
    }
  });
}

}  // namespace runtime
}  // namespace v0
}  // namespace ramie
