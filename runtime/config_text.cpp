// Writes what people read about the variables from the rows of the table: the accepted form in a
// message, RAMIE_HELP, docs/environment.md and docs/man/ramie-env.7.
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

constexpr std::string_view kManHead =
    R"(.\" Generated from runtime/config_table.hpp: `ramie env --man > docs/man/ramie-env.7`.
.TH RAMIE\-ENV 7 2026-11-29 Ramie "Ramie manual"
.SH NAME
ramie\-env \- environment variables of programs that use Ramie
.SH SYNOPSIS
.B RAMIE_WORKERS=4 RAMIE_STACK_SIZE=64K ./server
.SH DESCRIPTION
These variables set the knobs of Ramie's runtime for one run of a program.
.BR "ramie env" " (see " ramie\-env (1))
shows the values that are in force, and
.B RAMIE_HELP=1 ./server
prints this list.
.PP
A process reads the variables once, when it builds its first runtime.
A set-user-id process ignores them.
.PP
A value that the code sets through
.B Builder
wins over the environment, and the environment wins over the automatic choice.
.B Builder::environment_wins(true)
exchanges the first two.
.PP
If Ramie cannot read a value, it prints one line on stderr and keeps the default, or the value that
the code set.
If a number is outside its range, Ramie does what the entry of the variable says.
If a
.B RAMIE_*
name does not exist, Ramie prints one line with the most similar name.
With
.BR RAMIE_STRICT=on ,
both are errors and Ramie builds no runtime.
.SS How to write values
.TP
Numbers
are decimal, without a sign or blanks.
.TP
Sizes
are bytes, or use
.BR K ", " M " or " G
(also
.BR k ", " KiB
and so on), which are powers of 1024.
Ramie rounds stack sizes up to whole pages.
.TP
Times
need
.BR us ", " ms " or " s ,
except 0.
In a variable that ends in
.BR _US ,
a plain number means microseconds.
.TP
Switches
are
.BR on ", " 1 " or " true ,
and
.BR off ", " 0 " or " false .
.SH ENVIRONMENT
)";

constexpr std::string_view kManTail = R"(.SH SEE ALSO
.BR ramie (1),
.BR ramie\-env (1),
.BR ramie\-doctor (1)
)";

// Text between backticks becomes bold. There a hyphen is escaped, because people copy it; in prose
// roff may print another sign for it.
std::string roff(std::string_view markdown) {
  std::string out;
  bool is_bold = false;
  for (const char c : markdown) {
    if (c == '`') {
      is_bold = !is_bold;
      out += is_bold ? "\\fB" : "\\fR";
    } else if (c == '\\') {
      out += "\\e";
    } else {
      if (c == '-' && is_bold) out += '\\';
      out += c;
    }
  }
  return out;
}

// A line of its own for each sentence, as roff wants it. A line never begins with a dot or a
// quote, because a sentence does not.
std::string roff_sentences(std::string_view markdown) {
  std::string out = roff(markdown);
  for (std::size_t at = 0; (at = out.find(". ", at)) != std::string::npos; ++at) out[at + 1] = '\n';
  return out + "\n";
}

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

std::string man_page() {
  std::string text(kManHead);
  for (const Row& row : kTable) {
    text += fmt::format(".TP\n.BR {} \" = {}\"\n{}", row.name, roff(default_of(row)),
                        roff_sentences(row.effect));
    text += fmt::format(".br\nAccepts {}.\n", roff(accepted_form(row, Fault::malformed)));
    if (has_range(row)) {
      text += fmt::format("Outside the range: {}.\n", roff(outside_text(row)));
    }
  }
  return text + std::string(kManTail);
}

}  // namespace ramie::inline v0::runtime
