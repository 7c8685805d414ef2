// One shard of the store: a hash table of values and an index of the keys that expire.
// Not thread-safe: Store gives access to it only under the shard's lock.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>

namespace demo {

using Milliseconds = std::int64_t;
using List = std::deque<std::string>;

/// A list is behind a pointer: an empty deque takes 600 bytes, and most values are strings.
using Value = std::variant<std::string, std::unique_ptr<List>>;

/// Called for each key that is removed at its deadline, under the lock of its shard.
class ExpiryObserver {
 public:
  virtual void expired(std::string_view key) noexcept = 0;

 protected:
  ~ExpiryObserver() = default;
};

class Table {
 public:
  static constexpr Milliseconds kNever = -1;

  struct Entry {
    Value value;
    Milliseconds deadline = kNever;

    std::string* string() noexcept { return std::get_if<std::string>(&value); }
    List* list() noexcept {
      auto* list = std::get_if<std::unique_ptr<List>>(&value);
      return list == nullptr ? nullptr : list->get();
    }
  };

  static std::size_t hash(std::string_view key) noexcept {
    return std::hash<std::string_view>{}(key);
  }

  /// The live entry of `key`, or null. An expired one is removed on the way.
  Entry* find(std::string_view key, Milliseconds now);
  /// Finds or makes the entry; a new one holds an empty string.
  Entry& obtain(std::string_view key, Milliseconds now);
  /// Replaces whatever `key` holds, keeping the memory of an old string. The deadline stays.
  Entry& put(std::string_view key, std::string_view value, Milliseconds now);
  bool erase(std::string_view key, Milliseconds now);
  /// kNever removes the deadline. The entry must be alive.
  void set_deadline(std::string_view key, Milliseconds deadline);

  std::size_t sweep(Milliseconds now, std::size_t limit);
  std::size_t size() const noexcept { return entries_.size(); }
  std::size_t expiring() const noexcept { return deadlines_.size(); }
  std::uint64_t expired() const noexcept { return expired_; }
  /// Moves every entry to `into`, which must be empty.
  void take_all(Table& into);
  void observe_expiry(ExpiryObserver* observer) noexcept { observer_ = observer; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const noexcept { return Table::hash(key); }
  };
  using Entries = std::unordered_map<std::string, Entry, Hash, std::equal_to<>>;
  // The key is a pointer into the table: nodes of an unordered_map never move.
  using Deadline = std::pair<Milliseconds, const std::string*>;

  void remove(Entries::iterator at);
  void expire(Entries::iterator at);
  void index(Entries::iterator at, Milliseconds deadline);

  Entries entries_;
  std::set<Deadline> deadlines_;
  std::uint64_t expired_ = 0;
  ExpiryObserver* observer_ = nullptr;
};

}  // namespace demo
