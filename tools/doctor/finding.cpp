// See finding.hpp.
#include "tools/doctor/finding.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace doctor {
namespace {

std::string_view word_of(Kind kind) {
  switch (kind) {
    case Kind::ok: return "ok";
    case Kind::note: return "note";
    case Kind::bad: break;
  }
  return "bad";
}

// Files of the system may hold any bytes, so what is not printable ASCII is escaped, too.
std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out.append({'\\', c});
    else if (byte >= 0x20 && byte < 0x7f) out += c;
    else out += fmt::format("\\u{:04x}", static_cast<unsigned>(byte));
  }
  return out + '"';
}

std::string terminal_string(std::string_view text) {
  std::string out(text);
  std::replace_if(
      out.begin(), out.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return out;
}

void append_word(std::string& list, std::string_view word) {
  if (!list.empty()) list += ", ";
  list += word;
}

}  // namespace

void Report::ok(std::string_view subject, std::string fact) {
  findings_.push_back({Kind::ok, subject, std::move(fact), {}});
}

void Report::note(std::string_view subject, std::string fact, std::string advice) {
  findings_.push_back({Kind::note, subject, std::move(fact), std::move(advice)});
}

void Report::bad(std::string_view subject, std::string fact, std::string advice) {
  findings_.push_back({Kind::bad, subject, std::move(fact), std::move(advice)});
}

void Report::room_for(std::uint64_t fibers, std::string_view subject, std::string fact,
                      std::string advice) {
  if (fibers >= 100'000) ok(subject, std::move(fact));
  else if (fibers >= 1'000) note(subject, std::move(fact), std::move(advice));
  else bad(subject, std::move(fact), std::move(advice));
}

void Report::unknown(std::string_view subject, std::string_view path) {
  append_word(unknown_subjects_, subject);
  if (unknown_paths_.find(path) == std::string::npos) append_word(unknown_paths_, path);
}

std::vector<Finding> Report::take() {
  if (!unknown_subjects_.empty()) {
    note("unknown",
         fmt::format("no answer about {}: cannot read {}", unknown_subjects_, unknown_paths_),
         "mount /proc and /sys in the container, or run the doctor outside of it");
  }
  return std::move(findings_);
}

bool has_bad(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.kind == Kind::bad; });
}

std::string as_text(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += fmt::format("{:<6}{:<15}{}\n", word_of(finding.kind), finding.subject,
                        terminal_string(finding.fact));
    if (!finding.advice.empty())
      text += fmt::format("{:<21}-> {}\n", "", terminal_string(finding.advice));
  }
  return text;
}

std::string as_json(const std::vector<Finding>& findings) {
  std::string text = "{\n  \"findings\": [";
  std::string_view separator = "\n";
  for (const Finding& finding : findings) {
    text += separator;
    text += fmt::format("    {{\"kind\": {}, \"subject\": {}, \"fact\": {}, \"advice\": {}}}",
                        json_string(word_of(finding.kind)), json_string(finding.subject),
                        json_string(finding.fact), json_string(finding.advice));
    separator = ",\n";
  }
  return text + fmt::format("\n  ],\n  \"bad\": {}\n}}\n", has_bad(findings));
}

std::string in_bytes(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  auto value = static_cast<double>(bytes);
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return fmt::format("{:.4g} {}", value, kUnits[unit]);
}

}  // namespace doctor
