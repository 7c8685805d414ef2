// Reads the RAMIE_* variables that config_table.hpp lists. It accepts a value as a whole or not at
// all. For a value that it does not accept it writes one line, which names the variable, the value,
// the accepted form and the value that is used instead.
//
//   text --parse()--> Parsed{raw, fault} --Pass::read()--> stored, clamped, or left + message
//
// No other file of Ramie reads the environment. This one uses secure_getenv and lists names only if
// the process is not privileged: the user of a set-user-id program must not control its runtime.
#include "runtime/config.hpp"

#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "runtime/config_value.hpp"

namespace ramie::inline v0::runtime {
namespace {

// Text from outside must not break the line, control the terminal or flood it.
std::string printable(std::string_view text) {
  constexpr std::size_t kLongest = 64;
  std::string out;
  for (const char c : text.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) out += c;
    else out += fmt::format("\\x{:02x}", static_cast<unsigned>(byte));
  }
  if (text.size() > kLongest) out += "...";
  return out;
}

// ---- did you mean ------------------------------------------------------------------------------

constexpr std::string_view kPrefix = "RAMIE_";

// The Levenshtein distance, where exchanging two neighbours counts as one edit.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

// The known name most similar to an unknown one, or "" if none is similar. A name is similar after
// one edit in three letters, or if its end is missing (RAMIE_SPIN), the most common mistake.
std::string_view nearest_name(std::string_view name) {
  constexpr std::size_t kLongest = 48;
  std::string wrong(name.substr(kPrefix.size()));
  if (wrong.size() > kLongest) return {};
  for (char& c : wrong) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(wrong.size() / 3, 1) + 1;
  for (const Row& row : kTable) {
    const std::string_view right = row.name.substr(kPrefix.size());
    const bool is_cut = wrong.size() >= 3 && right.starts_with(wrong + "_");
    const std::size_t distance = is_cut ? 1 : edit_distance(wrong, right);
    if (distance < best_distance) {
      best_distance = distance;
      best = row.name;
    }
  }
  return best;
}

bool is_known(std::string_view name) {
  const auto is_it = [&](const Row& row) { return row.name == name; };
  return std::any_of(kTable.begin(), kTable.end(), is_it);
}

// ---- one pass over the environment -------------------------------------------------------------

constexpr const char* kRefused = "refused by RAMIE_STRICT";

class Pass {
 public:
  Pass(const Config& base, const Reader& reader) : reader_(reader) {
    result_.values = base;
    read(row_of(Field::strict));  // first, because the messages of the others depend on it
  }

  void read_table() {
    for (const Row& row : kTable)
      if (row.field != Field::strict) read(row);
  }

  void check_name(std::string_view name) {
    if (!name.starts_with(kPrefix) || is_known(name)) return;
    const std::string_view best = nearest_name(name);
    const std::string hint = best.empty() ? "RAMIE_HELP=1 lists those that exist"
                                          : fmt::format("did you mean {}?", best);
    result_.messages.push_back(fmt::format("{}: no such variable, {}; {}", printable(name),
                                           result_.values.strict ? kRefused : "ignored", hint));
    result_.fatal |= result_.values.strict;
  }

  EnvResult take() { return std::move(result_); }

 private:
  void read(const Row& row) {
    const char* text = reader_(row.name.data());
    if (text == nullptr) return;
    const Parsed parsed = parse(row, text);
    const bool is_usable = parsed.fault == Fault::none || is_mended(row, parsed.fault);
    Raw raw = is_usable ? parsed.raw : load(row, result_.values);
    if (parsed.fault != Fault::none) {
      if (is_usable) raw = move_into_range(row, *parsed.raw);
      report(row, text, parsed.fault, raw);
    }
    if (is_usable) {
      store(row, raw, result_.values);
      result_.set |= bit(row.field);
    }
  }

  static bool is_mended(const Row& row, Fault fault) {
    return fault == Fault::not_whole_pages ||
           (fault == Fault::too_small && row.below == Outside::clamp) ||
           (fault == Fault::too_large && row.above == Outside::clamp);
  }

  // Rounding up to a page is reported but is no error: the program gets at least what it asked for.
  void report(const Row& row, std::string_view text, Fault fault, Raw used) {
    const bool is_refused = result_.values.strict && fault != Fault::not_whole_pages;
    std::string line =
        fmt::format("{}={}: want {}", row.name, printable(text), accepted_form(row, fault));
    if (!row.example.empty()) line += fmt::format(" such as {}", row.example);
    line += "; " + (is_refused ? std::string(kRefused) : "using " + format_raw(row, used));
    result_.messages.push_back(std::move(line));
    result_.fatal |= is_refused;
  }

  const Reader& reader_;
  EnvResult result_;
};

}  // namespace

EnvResult read_environment(const Config& base, const Reader& reader,
                           std::span<const std::string> all_names) {
  Pass pass(base, reader);
  pass.read_table();
  for (const std::string& name : all_names) pass.check_name(name);
  return pass.take();
}

EnvResult read_process_environment(const Config& base) {
  std::vector<std::string> names;
  if (::getauxval(AT_SECURE) == 0 && environ != nullptr) {
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string_view text(*entry);
      if (text.starts_with(kPrefix)) names.emplace_back(text.substr(0, text.find('=')));
    }
  }
  return read_environment(base, [](const char* name) { return ::secure_getenv(name); }, names);
}

void copy_fields(Fields fields, const Config& from, Config& to) {
  for (const Row& row : kTable) {
    if ((fields & bit(row.field)) != 0) store(row, load(row, from), to);
  }
}

std::string format_value(Field field, const Config& config) {
  const Row& row = row_of(field);
  return format_raw(row, load(row, config));
}

}  // namespace ramie::inline v0::runtime
