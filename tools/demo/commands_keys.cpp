// Commands on keys of any kind: DEL EXISTS TYPE, deadlines, and the whole key space.
#include "tools/demo/handlers.hpp"
#include "tools/demo/text.hpp"

namespace demo {

void del(Context& context, Args args) {
  const Args keys = args.subspan(1);
  Store::Locked locked = context.store.lock(keys);
  std::int64_t removed = 0;
  for (const std::string_view key : keys) {
    removed += locked.table(key).erase(key, locked.now()) ? 1 : 0;
  }
  if (removed != 0) record_args(context, args);
  context.reply.integer(removed);
}

void exists(Context& context, Args args) {
  const Args keys = args.subspan(1);
  Store::Locked locked = context.store.lock(keys);
  std::int64_t found = 0;
  for (const std::string_view key : keys) {
    found += look_up(context, locked, key) != nullptr ? 1 : 0;
  }
  context.reply.integer(found);
}

void type(Context& context, Args args) {
  Store::Locked locked = context.store.lock(args[1]);
  Table::Entry* const entry = look_up(context, locked, args[1]);
  if (entry == nullptr) return context.reply.simple("none");
  context.reply.simple(entry->string() != nullptr ? "string" : "list");
}

namespace {

struct ExpireOptions {
  bool only_without = false;  // NX
  bool only_with = false;     // XX
  bool only_later = false;    // GT
  bool only_sooner = false;   // LT
};

// Returns false if there is an error, after it has written it.
bool parse_expire_options(Context& context, Args words, ExpireOptions& out) {
  for (const std::string_view word : words) {
    if (equals_ignoring_case(word, "NX")) {
      out.only_without = true;
    } else if (equals_ignoring_case(word, "XX")) {
      out.only_with = true;
    } else if (equals_ignoring_case(word, "GT")) {
      out.only_later = true;
    } else if (equals_ignoring_case(word, "LT")) {
      out.only_sooner = true;
    } else {
      context.reply.error(std::string("ERR Unsupported option ").append(word));
      return false;
    }
  }
  if (out.only_without && (out.only_with || out.only_later || out.only_sooner)) {
    context.reply.error("ERR NX and XX, GT or LT options at the same time are not compatible");
    return false;
  }
  if (out.only_later && out.only_sooner) {
    context.reply.error("ERR GT and LT options at the same time are not compatible");
    return false;
  }
  return true;
}

// A key without a deadline lives for ever, so GT never holds for it and LT always does.
bool allows(const ExpireOptions& options, Milliseconds current, Milliseconds next) noexcept {
  const bool has = current != Table::kNever;
  if (options.only_without && has) return false;
  if (options.only_with && !has) return false;
  if (options.only_later && (!has || next <= current)) return false;
  return !(options.only_sooner && has && next >= current);
}

// The amount counts from `base`.
void set_expiry(Context& context, Args args, Milliseconds unit, Milliseconds base,
                std::string_view name) {
  ExpireOptions options;
  if (!parse_expire_options(context, args.subspan(3), options)) return;
  const auto amount = parse_integer(args[2]);
  if (!amount) return context.reply.error(kNotAnInteger);
  const auto deadline = deadline_from(*amount, unit, base);
  if (!deadline) {
    std::string message = "ERR invalid expire time in '";
    return context.reply.error(message.append(name).append("' command"));
  }
  Store::Locked locked = context.store.lock(args[1]);
  Table& table = locked.table(args[1]);
  const Table::Entry* const entry = table.find(args[1], locked.now());
  if (entry == nullptr || !allows(options, entry->deadline, *deadline)) {
    return context.reply.integer(0);
  }
  if (*deadline <= locked.now()) {
    table.erase(args[1], locked.now());
    record(context, {"DEL", args[1]});
  } else {
    table.set_deadline(args[1], *deadline);
    record(context, {"PEXPIREAT", args[1], *deadline});
  }
  context.reply.integer(1);
}

// -2: no such key, -1: no deadline.
std::int64_t remaining(Context& context, std::string_view key) {
  Store::Locked locked = context.store.lock(key);
  const Table::Entry* const entry = look_up(context, locked, key);
  if (entry == nullptr) return -2;
  return entry->deadline == Table::kNever ? -1 : entry->deadline - locked.now();
}

}  // namespace

void expire(Context& context, Args args) {
  set_expiry(context, args, 1000, context.store.now(), "expire");
}
void pexpire(Context& context, Args args) {
  set_expiry(context, args, 1, context.store.now(), "pexpire");
}
void expireat(Context& context, Args args) { set_expiry(context, args, 1000, 0, "expireat"); }
void pexpireat(Context& context, Args args) { set_expiry(context, args, 1, 0, "pexpireat"); }

void ttl(Context& context, Args args) {
  const std::int64_t ms = remaining(context, args[1]);
  context.reply.integer(ms < 0 ? ms : ms / 1000 + (ms % 1000 >= 500 ? 1 : 0));
}

void pttl(Context& context, Args args) { context.reply.integer(remaining(context, args[1])); }

void persist(Context& context, Args args) {
  Store::Locked locked = context.store.lock(args[1]);
  Table& table = locked.table(args[1]);
  const Table::Entry* const entry = table.find(args[1], locked.now());
  if (entry == nullptr || entry->deadline == Table::kNever) return context.reply.integer(0);
  table.set_deadline(args[1], Table::kNever);
  record_args(context, args);
  context.reply.integer(1);
}

void dbsize(Context& context, Args) {
  context.reply.integer(static_cast<std::int64_t>(context.store.count().keys));
}

void flush_all(Context& context, Args args) {
  const bool known =
      args.size() == 1 || (args.size() == 2 && (equals_ignoring_case(args[1], "SYNC") ||
                                                equals_ignoring_case(args[1], "ASYNC")));
  if (!known) return context.reply.error(kSyntaxError);
  context.store.clear([&] { record(context, {"FLUSHALL"}); });
  context.reply.ok();
}

}  // namespace demo
