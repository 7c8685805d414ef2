// See options.hpp.
#include "bench/support/options.hpp"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace bench {

namespace {

[[noreturn]] void refuse(const std::string& why) {
  (void)std::fprintf(stderr, "%s (--help shows the options)\n", why.c_str());
  std::exit(2);
}

std::string text_of(double number) {
  char text[32];
  (void)std::snprintf(text, sizeof text, "%g", number);
  return text;
}

// The whole text must be a number.
template <class T>
bool read(std::string_view text, T& value) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stop == end && !text.empty();
}

}  // namespace

Options& Options::whole(std::string_view name, std::uint64_t& value, std::uint64_t low,
                        std::uint64_t high, std::string_view help) {
  rows_.push_back(
      {name, help, &value, nullptr, static_cast<double>(low), static_cast<double>(high)});
  return *this;
}

Options& Options::real(std::string_view name, double& value, double low, double high,
                       std::string_view help) {
  rows_.push_back({name, help, nullptr, &value, low, high});
  return *this;
}

Options& Options::choice(std::string_view name, std::string& value,
                         std::vector<std::string_view> words, std::string_view help) {
  rows_.push_back({name, help, nullptr, nullptr, 0, 0, &value, std::move(words)});
  return *this;
}

const Options::Row* Options::find(std::string_view name) const noexcept {
  for (const Row& row : rows_)
    if (row.name == name) return &row;
  return nullptr;
}

void Options::explain() const {
  std::printf("%s\n\n", about_.c_str());
  for (const Row& row : rows_) {
    const std::string value = row.text != nullptr    ? *row.text
                              : row.whole != nullptr ? std::to_string(*row.whole)
                                                     : text_of(*row.real);
    std::printf("  %-16s %s (%s)\n", std::string(row.name).c_str(), std::string(row.help).c_str(),
                value.c_str());
  }
  std::exit(0);
}

void Options::set_number(const Row& row, std::string_view value) {
  std::uint64_t whole = 0;
  double number = 0;
  const bool is_number = row.whole != nullptr ? read(value, whole) : read(value, number);
  if (row.whole != nullptr) number = static_cast<double>(whole);
  if (!is_number || !(number >= row.low && number <= row.high))
    refuse(std::string(row.name) + " wants a " +
           (row.whole != nullptr ? "whole number" : "number") + " from " + text_of(row.low) +
           " to " + text_of(row.high) + ", not '" + std::string(value) + "'");
  if (row.whole != nullptr) *row.whole = whole;
  else *row.real = number;
}

void Options::set_text(const Row& row, std::string_view value) {
  bool is_known = row.words.empty() && !value.empty();
  std::string known;
  for (const std::string_view word : row.words) {
    is_known = is_known || word == value;
    known.append(known.empty() ? "" : ", ").append(word);
  }
  if (!is_known)
    refuse(std::string(row.name) + " wants " + (known.empty() ? "a text" : "one of " + known) +
           ", not '" + std::string(value) + "'");
  *row.text = value;
}

void Options::parse(int argc, char** argv) const {
  std::vector<const Row*> seen;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--help" || argument == "-h") explain();
    const std::size_t equals = argument.find('=');
    const std::string name(argument.substr(0, equals));
    const Row* const row = find(name);
    if (row == nullptr) refuse("unknown option '" + std::string(argument) + "'");
    for (const Row* earlier : seen)
      if (earlier == row) refuse(name + " is given twice");
    seen.push_back(row);
    if (equals == std::string_view::npos && i + 1 == argc) refuse(name + " wants a value");
    const bool is_joined = equals != std::string_view::npos;  // --name=VALUE
    const std::string_view value = is_joined ? argument.substr(equals + 1) : argv[++i];
    if (row->text != nullptr) set_text(*row, value);
    else set_number(*row, value);
  }
}

}  // namespace bench
