// Commands on lists. A list that becomes empty is removed with its key.
#include <algorithm>

#include "tools/demo/handlers.hpp"
#include "tools/demo/text.hpp"

namespace demo {
namespace {

enum class End { kFront, kBack };

void push(Context& context, Args args, End end) {
  Store::Locked locked = context.store.lock(args[1]);
  Table& table = locked.table(args[1]);
  Table::Entry* entry = table.find(args[1], locked.now());
  if (entry == nullptr) {
    entry = &table.obtain(args[1], locked.now());
    entry->value = std::make_unique<List>();
  }
  List* const list = entry->list();
  if (list == nullptr) return context.reply.error(kWrongType);
  for (const std::string_view value : args.subspan(2)) {
    end == End::kFront ? list->emplace_front(value) : list->emplace_back(value);
  }
  record_args(context, args);
  context.reply.integer(static_cast<std::int64_t>(list->size()));
}

void pop_one(Context& context, List& list, End end) {
  context.reply.bulk(end == End::kFront ? list.front() : list.back());
  end == End::kFront ? list.pop_front() : list.pop_back();
}

void pop(Context& context, Args args, End end, std::string_view name) {
  if (args.size() > 3) return wrong_arity(context, name);
  const bool counted = args.size() == 3;
  const auto wanted = counted ? parse_integer(args[2]) : 1;
  if (!wanted || *wanted < 0) {
    return context.reply.error("ERR value is out of range, must be positive");
  }
  Store::Locked locked = context.store.lock(args[1]);
  Table& table = locked.table(args[1]);
  Table::Entry* const entry = table.find(args[1], locked.now());
  if (entry == nullptr) return counted ? context.reply.nil_array() : context.reply.nil();
  List* const list = entry->list();
  if (list == nullptr) return context.reply.error(kWrongType);
  const std::size_t count = std::min(list->size(), static_cast<std::size_t>(*wanted));
  if (counted) context.reply.array(count);
  for (std::size_t i = 0; i < count; ++i) pop_one(context, *list, end);
  if (count != 0) record(context, {args[0], args[1], static_cast<std::int64_t>(count)});
  if (list->empty()) table.erase(args[1], locked.now());
}

}  // namespace

void lpush(Context& context, Args args) { push(context, args, End::kFront); }
void rpush(Context& context, Args args) { push(context, args, End::kBack); }
void lpop(Context& context, Args args) { pop(context, args, End::kFront, "lpop"); }
void rpop(Context& context, Args args) { pop(context, args, End::kBack, "rpop"); }

void llen(Context& context, Args args) {
  Store::Locked locked = context.store.lock(args[1]);
  Table::Entry* const entry = look_up(context, locked, args[1]);
  if (entry == nullptr) return context.reply.integer(0);
  const List* const list = entry->list();
  if (list == nullptr) return context.reply.error(kWrongType);
  context.reply.integer(static_cast<std::int64_t>(list->size()));
}

void lrange(Context& context, Args args) {
  const auto first = parse_integer(args[2]);
  const auto last = parse_integer(args[3]);
  if (!first || !last) return context.reply.error(kNotAnInteger);
  Store::Locked locked = context.store.lock(args[1]);
  Table::Entry* const entry = look_up(context, locked, args[1]);
  if (entry == nullptr) return context.reply.array(0);
  const List* const list = entry->list();
  if (list == nullptr) return context.reply.error(kWrongType);
  // Negative positions count from the end; what lies outside is cut off.
  const auto size = static_cast<std::int64_t>(list->size());
  const std::int64_t from = std::max<std::int64_t>(*first < 0 ? *first + size : *first, 0);
  const std::int64_t to = std::min(*last < 0 ? *last + size : *last, size - 1);
  if (from > to) return context.reply.array(0);
  context.reply.array(static_cast<std::size_t>(to - from + 1));
  for (std::int64_t i = from; i <= to; ++i) {
    context.reply.bulk((*list)[static_cast<std::size_t>(i)]);
  }
}

}  // namespace demo
