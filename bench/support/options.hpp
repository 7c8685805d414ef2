// Command lines of the benchmark programs: `--name VALUE` or `--name=VALUE`, nothing else.
//
// A mistake is one line on stderr and exit status 2: a benchmark must not guess what to measure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

class Options {
 public:
  /// `about` is the first line of --help.
  explicit Options(std::string_view about) : about_(about) {}

  /// A whole number from `low` to `high`; `value` holds the default.
  Options& whole(std::string_view name, std::uint64_t& value, std::uint64_t low, std::uint64_t high,
                 std::string_view help);
  /// A number from `low` to `high`, such as 0.5.
  Options& real(std::string_view name, double& value, double low, double high,
                std::string_view help);
  /// One of `words`; `value` holds the default.
  Options& choice(std::string_view name, std::string& value, std::vector<std::string_view> words,
                  std::string_view help);
  /// Any text that is not empty.
  Options& text(std::string_view name, std::string& value, std::string_view help) {
    return choice(name, value, {}, help);
  }

  /// Reads the command line. Ends the program after --help (0) and after a mistake (2).
  void parse(int argc, char** argv) const;

 private:
  struct Row {
    std::string_view name, help;
    std::uint64_t* whole;
    double* real;
    double low, high;
    std::string* text = nullptr;
    std::vector<std::string_view> words = {};  // the allowed texts; empty: any text
  };

  const Row* find(std::string_view name) const noexcept;
  static void set_number(const Row& row, std::string_view value);
  static void set_text(const Row& row, std::string_view value);
  [[noreturn]] void explain() const;

  std::string about_;
  std::vector<Row> rows_;
};

}  // namespace bench
