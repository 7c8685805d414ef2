// Writes what people read about the variables from the rows of the table: the accepted form in a
// message, RAMIE_HELP and docs/environment.md.
#include <algorithm>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "runtime/config_value.hpp"

namespace ramie::inline v0::runtime {
namespace {

// `a, b or c` out of `a|b|c`.
std::string list_words(std::string_view words) {
  std::string list(words);
  const std::size_t last = list.rfind('|');
  if (last != std::string::npos) list.replace(last, 1, " or ");
  for (std::size_t bar; (bar = list.find('|')) != std::string::npos;) list.replace(bar, 1, ", ");
  return list;
}

std::string_view noun(Kind kind) {
  switch (kind) {
    case Kind::size: return "a size";
    case Kind::micros: return "a number of microseconds";
    case Kind::duration: return "a time in us, ms or s";
    case Kind::seed: return "a number of up to 64 bits, decimal or 0x hex";
    case Kind::number:
    case Kind::flag:
    case Kind::choice: break;
  }
  return "a number";
}

bool has_range(const Row& row) {
  return row.kind != Kind::choice && row.kind != Kind::flag && row.kind != Kind::seed;
}

std::string default_of(const Row& row) { return format_raw(row, load(row, Config{})); }

std::string without(std::string_view text, char unwanted) {
  std::string out(text);
  std::erase(out, unwanted);
  return out;
}

std::string_view outside_text(const Row& row) {
  if (!has_range(row)) return "-";
  const bool low = row.below == Outside::clamp;
  const bool high = row.above == Outside::clamp;
  if (low && high) return "nearest bound";
  if (high) return "upper bound if too large, else default";
  return "default";
}

constexpr std::string_view kPageHead =
    R"(# Environment variables

<!-- Generated from runtime/config_table.hpp: `ramie env --markdown > docs/environment.md`. -->

Set a variable for one run of a program:

    RAMIE_WORKERS=4 RAMIE_STACK_SIZE=64K ./server

`ramie env` shows the values that are in force; `RAMIE_HELP=1 ./server` prints this list.

- A process reads the variables once, when it builds its first runtime. A set-user-id process
  ignores them.
- A value that the code sets through `Builder` wins over the environment, and the environment wins
  over the automatic choice. `Builder::environment_wins(true)` exchanges the first two.
- If Ramie cannot read a value, it prints one line on stderr and keeps the default, or the value
  that the code set. The last column says what happens to a number outside the range.
- If a `RAMIE_*` name does not exist, Ramie prints one line with the most similar name.
- With `RAMIE_STRICT=on`, both are errors and Ramie builds no runtime.

How to write values:

- **Numbers** are decimal, without a sign or blanks.
- **Sizes** are bytes, or use `K`, `M` or `G` (also `k`, `KiB` and so on), which are powers of 1024.
  Ramie rounds stack sizes up to whole pages.
- **Times** need `us`, `ms` or `s`, except 0. In a variable that ends in `_US`, a plain number means
  microseconds.
- **Switches** are `on`, `1` or `true`, and `off`, `0` or `false`.

| Name | Default | Accepts | Effect | Outside the range |
|---|---|---|---|---|
)";

}  // namespace

std::string accepted_form(const Row& row, Fault fault) {
  if (row.kind == Kind::choice) return list_words(row.words);
  if (row.kind == Kind::flag) {
    return row.words.empty() ? "on or off" : fmt::format("on, off or {}", list_words(row.words));
  }
  std::string text;
  if (!row.automatic.empty()) text += fmt::format("{} or ", row.automatic);
  if (row.zero_is_off) text += "0 (off) or ";
  text += noun(row.kind);
  if (row.kind == Kind::seed) return text;
  const std::string least = format_raw(row, row.min);
  const std::string most = format_raw(row, row.max);
  if (fault == Fault::too_small) return text + " of at least " + least;
  if (fault == Fault::too_large) return text + " of at most " + most;
  if (fault == Fault::not_whole_pages) {
    return text + fmt::format(" of whole pages of {}", format_page_size());
  }
  return text + fmt::format(" from {} to {}", least, most);
}

std::string help_text() {
  std::string text = "Environment variables of Ramie (name=default, accepted form, effect):\n";
  for (const Row& row : kTable) {
    text += fmt::format("\n{}={}\n  {}\n  {}\n", row.name, default_of(row),
                        accepted_form(row, Fault::malformed), without(row.effect, '`'));
  }
  return text;
}

std::string markdown_table() {
  std::string text(kPageHead);
  for (const Row& row : kTable) {
    text += fmt::format("| `{}` | `{}` | {} | {} | {} |\n", row.name, default_of(row),
                        accepted_form(row, Fault::malformed), row.effect, outside_text(row));
  }
  return text;
}

}  // namespace ramie::inline v0::runtime
