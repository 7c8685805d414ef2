// The quoting rules of inline_command.hpp.
#include "tools/demo/inline_command.hpp"

namespace demo {
namespace {

bool is_blank(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f' || c == '\0';
}

// The characters that end an unquoted argument: fewer than the blanks between arguments, as in
// Redis.
bool is_separator(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0';
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char unescape(char c) noexcept {
  switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
  }
}

class Splitter {
 public:
  Splitter(std::string_view line, std::string& out) : line_(line), out_(out) {}

  bool skip_blanks() {
    while (at_ < line_.size() && is_blank(line_[at_])) ++at_;
    return at_ < line_.size();
  }

  // One argument, unescaped behind what `out_` holds. False: malformed.
  bool take() {
    while (at_ < line_.size() && !is_separator(line_[at_])) {
      const char c = line_[at_++];
      if (c != '"' && c != '\'') {
        out_.push_back(c);
        continue;
      }
      if (!(c == '"' ? double_quoted() : single_quoted())) return false;
      // A closing quote must end the argument.
      return at_ == line_.size() || is_blank(line_[at_]);
    }
    return true;
  }

 private:
  bool double_quoted() {
    while (at_ < line_.size()) {
      const char c = line_[at_++];
      if (c == '"') return true;
      if (c != '\\' || at_ == line_.size()) {
        out_.push_back(c);
      } else if (line_[at_] == 'x' && at_ + 2 < line_.size() && hex_digit(line_[at_ + 1]) >= 0 &&
                 hex_digit(line_[at_ + 2]) >= 0) {
        out_.push_back(
            static_cast<char>(hex_digit(line_[at_ + 1]) * 16 + hex_digit(line_[at_ + 2])));
        at_ += 3;
      } else {
        out_.push_back(unescape(line_[at_++]));
      }
    }
    return false;
  }

  bool single_quoted() {
    while (at_ < line_.size()) {
      const char c = line_[at_++];
      if (c == '\'') return true;
      if (c == '\\' && at_ < line_.size() && line_[at_] == '\'') {
        out_.push_back('\'');
        ++at_;
      } else {
        out_.push_back(c);
      }
    }
    return false;
  }

  std::string_view line_;
  std::string& out_;
  std::size_t at_ = 0;
};

}  // namespace

bool split_inline(std::string_view line, std::string& scratch,
                  std::vector<std::string_view>& args) {
  scratch.clear();
  scratch.reserve(line.size());
  Splitter splitter(line, scratch);
  while (splitter.skip_blanks()) {
    const std::size_t start = scratch.size();
    if (!splitter.take()) return false;
    args.push_back(std::string_view(scratch).substr(start));
  }
  // Each view was cut from `scratch` as it was then; its end is where the next one starts.
  for (std::size_t i = 0; i + 1 < args.size(); ++i) {
    args[i] = args[i].substr(0, static_cast<std::size_t>(args[i + 1].data() - args[i].data()));
  }
  return true;
}

}  // namespace demo
