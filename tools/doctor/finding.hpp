// What `ramie doctor` has found, and how it is printed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/numbers.hpp"

namespace doctor {

enum class Kind : std::uint8_t {
  ok,    // nothing to do
  note,  // Ramie works, with less or for more
  bad    // no runtime can be built here, or a server fails soon
};

struct Finding {
  Kind kind;
  std::string_view subject;  // a literal, the same in every version: programs look for it
  std::string fact;
  std::string advice;  // empty: nothing to do
};

/// Collects findings in the order in which people read them.
class Report {
 public:
  void ok(std::string_view subject, std::string fact);
  void note(std::string_view subject, std::string fact, std::string advice);
  void bad(std::string_view subject, std::string fact, std::string advice);
  /// For what allows `fibers` fibers: ok from 100,000, bad below 1,000.
  void room_for(std::uint64_t fibers, std::string_view subject, std::string fact,
                std::string advice);
  /// There is no answer about `subject`, because `path` cannot be read.
  void unknown(std::string_view subject, std::string_view path);

  /// All findings, then one line for what is unknown.
  std::vector<Finding> take();

 private:
  std::vector<Finding> findings_;
  std::string unknown_subjects_;
  std::string unknown_paths_;
};

bool has_bad(const std::vector<Finding>& findings);

/// A line for each finding, and a second one for its advice.
std::string as_text(const std::vector<Finding>& findings);

/// One JSON object: `findings`, an array of objects, and `bad`, whether one of them is bad.
std::string as_json(const std::vector<Finding>& findings);

// --- how numbers are written

using tool::with_commas;
/// 1610612736 -> "1.5 GiB"
std::string in_bytes(std::uint64_t bytes);

}  // namespace doctor
