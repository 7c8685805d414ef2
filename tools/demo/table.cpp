// Lookup and expiry of one shard.
#include "tools/demo/table.hpp"

namespace demo {

Table::Entry* Table::find(std::string_view key, Milliseconds now) {
  const auto at = entries_.find(key);
  if (at == entries_.end()) return nullptr;
  const Milliseconds deadline = at->second.deadline;
  if (deadline != kNever && deadline <= now) [[unlikely]] {
    expire(at);
    return nullptr;
  }
  return &at->second;
}

Table::Entry& Table::obtain(std::string_view key, Milliseconds now) {
  if (Entry* const entry = find(key, now)) return *entry;
  return entries_.try_emplace(std::string(key)).first->second;
}

Table::Entry& Table::put(std::string_view key, std::string_view value, Milliseconds now) {
  Entry& entry = obtain(key, now);
  std::string* const old = entry.string();
  if (old == nullptr) {
    entry.value.emplace<std::string>(value);
  } else if (old->capacity() <= 2 * value.size() + 64) {
    old->assign(value);
  } else {
    // It shrank a lot: the memory of one big SET must not stay. (Assigning would keep the buffer.)
    std::string(value).swap(*old);
  }
  return entry;
}

bool Table::erase(std::string_view key, Milliseconds now) {
  if (find(key, now) == nullptr) return false;
  remove(entries_.find(key));
  return true;
}

void Table::set_deadline(std::string_view key, Milliseconds deadline) {
  const auto at = entries_.find(key);
  if (at->second.deadline != deadline) index(at, deadline);
}

void Table::index(Entries::iterator at, Milliseconds deadline) {
  Milliseconds& current = at->second.deadline;
  if (current == kNever) {
    deadlines_.emplace(deadline, &at->first);
  } else {
    auto node = deadlines_.extract({current, &at->first});  // reuses the node: SET EX in a loop
    if (deadline != kNever) {
      node.value().first = deadline;
      deadlines_.insert(std::move(node));
    }
  }
  current = deadline;
}

void Table::remove(Entries::iterator at) {
  if (at->second.deadline != kNever) deadlines_.erase({at->second.deadline, &at->first});
  entries_.erase(at);
}

void Table::expire(Entries::iterator at) {
  if (observer_ != nullptr) observer_->expired(at->first);
  remove(at);
  ++expired_;
}

std::size_t Table::sweep(Milliseconds now, std::size_t limit) {
  std::size_t removed = 0;
  while (removed < limit && !deadlines_.empty() && deadlines_.begin()->first <= now) {
    const std::string& key = *deadlines_.begin()->second;
    expire(entries_.find(key));
    ++removed;
  }
  return removed;
}

void Table::take_all(Table& into) {
  std::swap(entries_, into.entries_);
  std::swap(deadlines_, into.deadlines_);
}

}  // namespace demo
