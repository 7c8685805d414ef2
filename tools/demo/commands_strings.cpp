// Commands on strings: GET SET MGET MSET APPEND STRLEN INCR and its family.
#include "tools/demo/handlers.hpp"
#include "tools/demo/resp.hpp"
#include "tools/demo/text.hpp"

namespace demo {

void get(Context& context, Args args) {
  Store::Locked locked = context.store.lock(args[1]);
  Table::Entry* const entry = look_up(context, locked, args[1]);
  if (entry == nullptr) return context.reply.nil();
  const std::string* const value = entry->string();
  if (value == nullptr) return context.reply.error(kWrongType);
  context.reply.bulk(*value);
}

namespace {

struct SetOptions {
  bool only_new = false;
  bool only_old = false;
  bool keep_deadline = false;
  bool want_old = false;
  std::string_view amount;  // of the deadline option, not yet parsed
  Milliseconds unit = 0;    // 1000 for EX and EXAT, 1 for PX and PXAT, 0 for none
  bool absolute = false;    // EXAT, PXAT
};

struct DeadlineOption {
  std::string_view name;
  Milliseconds unit;
  bool absolute;
};

constexpr DeadlineOption kDeadlineOptions[] = {
    {"EX", 1000, false}, {"PX", 1, false}, {"EXAT", 1000, true}, {"PXAT", 1, true}};

const DeadlineOption* find_deadline_option(std::string_view word) noexcept {
  for (const DeadlineOption& option : kDeadlineOptions) {
    if (equals_ignoring_case(option.name, word)) return &option;
  }
  return nullptr;
}

// False: a syntax error. An option may be repeated but not contradicted.
bool parse_set_options(Args words, SetOptions& out) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (equals_ignoring_case(words[i], "NX")) {
      out.only_new = true;
    } else if (equals_ignoring_case(words[i], "XX")) {
      out.only_old = true;
    } else if (equals_ignoring_case(words[i], "GET")) {
      out.want_old = true;
    } else if (equals_ignoring_case(words[i], "KEEPTTL")) {
      out.keep_deadline = true;
    } else if (const DeadlineOption* option = find_deadline_option(words[i])) {
      const bool other =
          out.unit != 0 && (out.unit != option->unit || out.absolute != option->absolute);
      if (other || i + 1 == words.size()) return false;
      out.amount = words[++i];
      out.unit = option->unit;
      out.absolute = option->absolute;
    } else {
      return false;
    }
  }
  return !(out.only_new && out.only_old) && !(out.keep_deadline && out.unit != 0);
}

// Leaves out the conditions: they held.
void record_set(Context& context, Args args, const SetOptions& options, Milliseconds deadline) {
  if (context.journal == nullptr) [[likely]]
    return;
  if (options.keep_deadline) {
    record(context, {"SET", args[1], args[2], "KEEPTTL"});
  } else if (deadline != Table::kNever) {
    record(context, {"SET", args[1], args[2], "PXAT", deadline});
  } else {
    record(context, {"SET", args[1], args[2]});
  }
}

}  // namespace

std::optional<Milliseconds> deadline_from(std::int64_t amount, Milliseconds unit,
                                          Milliseconds base) noexcept {
  Milliseconds span = 0, deadline = 0;
  if (__builtin_mul_overflow(amount, unit, &span)) return std::nullopt;
  if (__builtin_add_overflow(span, base, &deadline)) return std::nullopt;
  return deadline;
}

void set(Context& context, Args args) {
  SetOptions options;
  if (args.size() > 3 && !parse_set_options(args.subspan(3), options)) {
    return context.reply.error(kSyntaxError);
  }
  Milliseconds deadline = Table::kNever;
  if (options.unit != 0) {
    const auto amount = parse_integer(options.amount);
    if (!amount) return context.reply.error(kNotAnInteger);
    const Milliseconds base = options.absolute ? 0 : context.store.now();
    const auto when = deadline_from(*amount, options.unit, base);
    if (*amount <= 0 || !when) {
      return context.reply.error("ERR invalid expire time in 'set' command");
    }
    deadline = *when;
  }

  Store::Locked locked = context.store.lock(args[1]);
  Table& table = locked.table(args[1]);
  if (options.want_old || options.only_new || options.only_old) {
    Table::Entry* const old = table.find(args[1], locked.now());
    if (options.want_old) {
      if (old != nullptr && old->string() == nullptr) return context.reply.error(kWrongType);
      old != nullptr ? context.reply.bulk(*old->string()) : context.reply.nil();
    }
    if ((options.only_new && old != nullptr) || (options.only_old && old == nullptr)) {
      if (!options.want_old) context.reply.nil();
      return;
    }
  }
  const Table::Entry& entry = table.put(args[1], args[2], locked.now());
  if (!options.keep_deadline && entry.deadline != deadline) {
    table.set_deadline(args[1], deadline);
  }
  record_set(context, args, options, deadline);
  if (!options.want_old) context.reply.ok();
}

void mget(Context& context, Args args) {
  Args keys = args.subspan(1);
  context.reply.array(keys.size());
  // One lock for all keys, as in Redis, unless the values fill the reply buffer. Then the buffer is
  // sent first, without locks because that may park, and the rest is read at a later instant.
  while (!keys.empty()) {
    {
      Store::Locked locked = context.store.lock(keys);
      do {
        Table::Entry* const entry = look_up(context, locked, keys.front());
        const std::string* const value = entry == nullptr ? nullptr : entry->string();
        value != nullptr ? context.reply.bulk(*value) : context.reply.nil();
        keys = keys.subspan(1);
      } while (!keys.empty() && context.reply.size() < Replies::kFlushAt);
    }
    if (!context.reply.relieve()) {
      context.client.closing = true;
      return;
    }
  }
}

void mset(Context& context, Args args) {
  if (args.size() % 2 == 0) return wrong_arity(context, "mset");
  const Args pairs = args.subspan(1);
  Store::Locked locked = context.store.lock(pairs, 2);
  for (std::size_t i = 0; i < pairs.size(); i += 2) {
    Table& table = locked.table(pairs[i]);
    if (table.put(pairs[i], pairs[i + 1], locked.now()).deadline != Table::kNever) {
      table.set_deadline(pairs[i], Table::kNever);
    }
  }
  record_args(context, args);
  context.reply.ok();
}

void append(Context& context, Args args) {
  Store::Locked locked = context.store.lock(args[1]);
  std::string* const value = locked.table(args[1]).obtain(args[1], locked.now()).string();
  if (value == nullptr) return context.reply.error(kWrongType);
  if (value->size() + args[2].size() > static_cast<std::size_t>(RequestParser::kMaxBulk)) {
    return context.reply.error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
  }
  value->append(args[2]);
  record_args(context, args);
  context.reply.integer(static_cast<std::int64_t>(value->size()));
}

void strlen(Context& context, Args args) {
  Store::Locked locked = context.store.lock(args[1]);
  Table::Entry* const entry = look_up(context, locked, args[1]);
  if (entry == nullptr) return context.reply.integer(0);
  const std::string* const value = entry->string();
  if (value == nullptr) return context.reply.error(kWrongType);
  context.reply.integer(static_cast<std::int64_t>(value->size()));
}

namespace {

void add(Context& context, std::string_view key, std::int64_t delta) {
  Store::Locked locked = context.store.lock(key);
  Table& table = locked.table(key);
  Table::Entry* entry = table.find(key, locked.now());
  std::int64_t value = 0;
  if (entry != nullptr) {
    if (entry->string() == nullptr) return context.reply.error(kWrongType);
    const auto old = parse_integer(*entry->string());
    if (!old) return context.reply.error(kNotAnInteger);
    value = *old;
  }
  if (__builtin_add_overflow(value, delta, &value)) {
    return context.reply.error("ERR increment or decrement would overflow");
  }
  if (entry == nullptr) entry = &table.obtain(key, locked.now());
  entry->string()->clear();
  append_integer(*entry->string(), value);
  record(context, {"INCRBY", key, delta});
  context.reply.integer(value);
}

}  // namespace

void incr(Context& context, Args args) { add(context, args[1], 1); }
void decr(Context& context, Args args) { add(context, args[1], -1); }

void incrby(Context& context, Args args) {
  const auto delta = parse_integer(args[2]);
  if (!delta) return context.reply.error(kNotAnInteger);
  add(context, args[1], *delta);
}

void decrby(Context& context, Args args) {
  const auto delta = parse_integer(args[2]);
  if (!delta) return context.reply.error(kNotAnInteger);
  if (*delta == INT64_MIN) return context.reply.error("ERR decrement would overflow");
  add(context, args[1], -*delta);
}

}  // namespace demo
