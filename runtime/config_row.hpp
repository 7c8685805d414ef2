// What a row of config_table.hpp means, and the table itself.
//
//   text --parse--> raw (64 bits, or nothing: automatic) --store--> Config::member
//   text <-format-- raw                                  <--load---
//
// The raw value is a count (number, seed), bytes (size), microseconds (micros), nanoseconds
// (duration) or an index into the words (choice). A flag is 0 (off), 1 (on), or 2 and more for the
// words that its row adds.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>

#include "runtime/config.hpp"

namespace ramie::inline v0::runtime {

using Raw = std::optional<std::uint64_t>;  // nothing: automatic

/// The accepted form of a value.
enum class Kind : std::uint8_t { number, flag, choice, size, micros, duration, seed };

/// What happens to a number outside its range: Ramie ignores it, or takes the nearest bound.
enum class Outside : std::uint8_t { fall_back, clamp };

struct Row {
  std::string_view name{};
  Field field{};
  Kind kind{};
  Raw (*load)(const Config& config){};
  void (*store)(Config& config, Raw raw){};
  bool is_optional = false;  // the member is a std::optional: nothing means automatic
  std::uint64_t min = 0;     // raw
  std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
  Outside below = Outside::fall_back;
  Outside above = Outside::fall_back;
  bool zero_is_off = false;      // 0 is accepted although it is below `min`
  bool whole_pages = false;      // a size: rounded up to whole pages
  std::string_view automatic{};  // the word for "choose for me", if there is one
  std::string_view words{};      // choice: split by '|', in the enum's order; flag: more words
  std::string_view example{};    // a sensible value, for messages
  std::string_view effect{};     // for people; Markdown
};

inline constexpr std::uint64_t kHour = 3'600'000'000'000;  // ns

namespace detail {

template <class T>
struct Unwrapped {
  using type = T;
  static constexpr bool is_optional = false;
};
template <class T>
struct Unwrapped<std::optional<T>> {
  using type = T;
  static constexpr bool is_optional = true;
};

template <class T>
consteval Kind kind_of() {
  using Value = typename Unwrapped<T>::type;
  if constexpr (std::is_same_v<Value, bool> || std::is_same_v<Value, Help>) return Kind::flag;
  else if constexpr (std::is_enum_v<Value>) return Kind::choice;
  else if constexpr (std::is_same_v<Value, std::chrono::microseconds>) return Kind::micros;
  else if constexpr (std::is_same_v<Value, std::chrono::nanoseconds>) return Kind::duration;
  else if constexpr (std::is_same_v<T, std::optional<std::uint64_t>>) return Kind::seed;
  else if constexpr (std::is_same_v<Value, std::size_t>) return Kind::size;
  else {
    static_assert(std::is_same_v<Value, unsigned>, "give this type an accepted form in kind_of()");
    return Kind::number;
  }
}

template <class T>
std::uint64_t to_raw(T value) {
  if constexpr (requires { value.count(); }) {
    return static_cast<std::uint64_t>(std::max(value.count(), typename T::rep{0}));
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

// Between a member of Config and raw. A member that is not optional has no "automatic": see load().
template <auto Member>
Raw load_member(const Config& config) {
  using T = std::remove_cvref_t<decltype(config.*Member)>;
  if constexpr (Unwrapped<T>::is_optional) {
    return config.*Member ? Raw(to_raw(*(config.*Member))) : std::nullopt;
  } else {
    return to_raw(config.*Member);
  }
}

template <auto Member>
void store_member(Config& config, Raw raw) {
  using T = std::remove_cvref_t<decltype(config.*Member)>;
  if constexpr (Unwrapped<T>::is_optional) {
    config.*Member = raw ? T(from_raw<typename Unwrapped<T>::type>(*raw)) : std::nullopt;
  } else {
    config.*Member = from_raw<T>(raw.value_or(0));
  }
}

}  // namespace detail

inline constexpr auto kTable = std::to_array<Row>({
#define RAMIE_KNOB(variable, type, member, default_value, ...) \
  {.name = variable,                                           \
   .field = Field::member,                                     \
   .kind = detail::kind_of<type>(),                            \
   .load = &detail::load_member<&Config::member>,              \
   .store = &detail::store_member<&Config::member>,            \
   .is_optional = detail::Unwrapped<type>::is_optional,        \
   __VA_ARGS__},
#include "runtime/config_table.hpp"
});
inline constexpr std::size_t kFieldCount = kTable.size();

constexpr const Row& row_of(Field field) { return kTable[static_cast<std::size_t>(field)]; }

/// The row of `Member`, such as &Config::workers.
template <auto Member>
constexpr const Row& row_of_member() {
  constexpr const auto* row =
      std::find_if(kTable.data(), kTable.data() + kTable.size(),
                   [](const Row& its) { return its.store == &detail::store_member<Member>; });
  return *row;
}

namespace detail {
constexpr bool is_table_sound() {
  for (const Row& row : kTable) {
    if (!row.name.starts_with("RAMIE_") || row.min > row.max || row.effect.empty()) return false;
    if (row.kind == Kind::choice && row.words.empty()) return false;
    if (row.kind != Kind::choice && row.kind != Kind::flag && row.example.empty()) return false;
  }
  return true;
}
static_assert(is_table_sound(), "a row lacks its RAMIE_ name, range, words, example or effect");
static_assert(kFieldCount <= std::numeric_limits<Fields>::digits, "Fields needs more bits");
}  // namespace detail

}  // namespace ramie::inline v0::runtime
