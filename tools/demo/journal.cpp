// See journal.hpp.
#include "tools/demo/journal.hpp"

namespace demo {

// The client left before its replies could wait; its changes are still written.
Journal::~Journal() {
  if (!held_.empty()) log_.kick();
}

Passed Journal::pass(std::string& replies) {
  const auto safe = log_.wait_safe(log_.appended());
  if (!safe) return {.is_open = false};
  std::size_t errors = 0;
  if (*safe < last_) [[unlikely]]
    errors = replace_unsafe(replies, *safe);
  held_.clear();
  constexpr std::size_t kKeep = 1024;
  if (held_.capacity() > kKeep) held_.shrink_to_fit();
  return {.is_open = true, .errors = errors};
}

std::size_t Journal::replace_unsafe(std::string& replies, Aof::Sequence safe) const {
  const std::string error = "-" + log_.failure_text() + "\r\n";
  std::string out;
  std::size_t at = 0, replaced = 0;
  for (const Held& held : held_) {
    if (held.sequence <= safe) continue;
    out.append(replies, at, held.begin - at).append(error);
    at = held.end;
    ++replaced;
  }
  out.append(replies, at);
  replies = std::move(out);
  return replaced;
}

}  // namespace demo
