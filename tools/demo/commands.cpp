// The table and its lookup.
//
// The index is an open-addressed hash table built by the compiler: a slot holds a command's number
// plus one. Names are hashed in lower case, so that no copy of the client's spelling is needed.
#include "tools/demo/commands.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "tools/demo/handlers.hpp"
#include "tools/demo/text.hpp"

namespace demo {
namespace {

constexpr std::array kCommands = std::to_array<Command>({
    {"append", 3, append, "write denyoom fast", 1, 1, 1},
    {"client", -2, client, ""},
    {"command", -1, command, "loading stale"},
    {"config", -2, config, ""},
    {"dbsize", 1, dbsize, "readonly fast"},
    {"decr", 2, decr, "write denyoom fast", 1, 1, 1},
    {"decrby", 3, decrby, "write denyoom fast", 1, 1, 1},
    {"del", -2, del, "write", 1, -1, 1},
    {"echo", 2, echo, "loading stale fast"},
    {"exists", -2, exists, "readonly fast", 1, -1, 1},
    {"expire", -3, expire, "write fast", 1, 1, 1},
    {"expireat", -3, expireat, "write fast", 1, 1, 1},
    {"flushall", -1, flush_all, "write"},
    {"flushdb", -1, flush_all, "write"},
    {"get", 2, get, "readonly fast", 1, 1, 1},
    {"incr", 2, incr, "write denyoom fast", 1, 1, 1},
    {"incrby", 3, incrby, "write denyoom fast", 1, 1, 1},
    {"info", -1, info, "loading stale"},
    {"llen", 2, llen, "readonly fast", 1, 1, 1},
    {"lpop", -2, lpop, "write fast", 1, 1, 1},
    {"lpush", -3, lpush, "write denyoom fast", 1, 1, 1},
    {"lrange", 4, lrange, "readonly", 1, 1, 1},
    {"mget", -2, mget, "readonly fast", 1, -1, 1},
    {"mset", -3, mset, "write denyoom", 1, -1, 2},
    {"persist", 2, persist, "write fast", 1, 1, 1},
    {"pexpire", -3, pexpire, "write fast", 1, 1, 1},
    {"pexpireat", -3, pexpireat, "write fast", 1, 1, 1},
    {"ping", -1, ping, "fast"},
    {"pttl", 2, pttl, "readonly fast", 1, 1, 1},
    {"quit", -1, quit, "noscript loading stale fast"},
    {"rpop", -2, rpop, "write fast", 1, 1, 1},
    {"rpush", -3, rpush, "write denyoom fast", 1, 1, 1},
    {"select", 2, select_db, "loading stale fast"},
    {"set", -3, set, "write denyoom", 1, 1, 1},
    {"strlen", 2, strlen, "readonly fast", 1, 1, 1},
    {"ttl", 2, ttl, "readonly fast", 1, 1, 1},
    {"type", 2, type, "readonly fast", 1, 1, 1},
});

constexpr std::size_t kSlots = 128;  // a power of two, at most a third full

constexpr std::size_t slot_of(std::string_view name) noexcept {
  std::uint32_t hash = 2166136261u;
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(to_lower(c))) * 16777619u;
  }
  return (hash ^ (hash >> 15)) % kSlots;
}

constexpr std::array<std::uint8_t, kSlots> make_index() {
  std::array<std::uint8_t, kSlots> index{};
  for (std::size_t i = 0; i < kCommands.size(); ++i) {
    std::size_t slot = slot_of(kCommands[i].name);
    while (index[slot] != 0) slot = (slot + 1) % kSlots;
    index[slot] = static_cast<std::uint8_t>(i + 1);
  }
  return index;
}

constexpr auto kIndex = make_index();
constexpr std::size_t kLongestName = 16;

bool fits(const Command& command, std::size_t count) noexcept {
  const auto arity = static_cast<std::size_t>(command.arity < 0 ? -command.arity : command.arity);
  return command.arity < 0 ? count >= arity : count == arity;
}

// Quotes what the client sent, as Redis does: 128 bytes of the name, about 128 of the arguments.
void unknown_command(Context& context, Args args) {
  constexpr std::size_t kQuoted = 128;
  std::string message = "ERR unknown command '";
  message.append(args[0].substr(0, kQuoted)).append("', with args beginning with: ");
  const std::size_t start = message.size();
  for (const std::string_view arg : args.subspan(1)) {
    const std::size_t used = message.size() - start;
    if (used >= kQuoted) break;
    message.append("'").append(arg.substr(0, kQuoted - used)).append("' ");
  }
  context.reply.error(message);
}

// With a log: refuses a change that it could not keep, and sends no reply before the change is
// safe.
void execute_logged(Context& context, const Command& command, Args args) {
  if (!command.flags.starts_with("write")) return command.handler(context, args);
  Journal& journal = *context.journal;
  if (const auto refusal = journal.log().refusal()) return context.reply.error(*refusal);
  const Aof::Sequence before = journal.last();
  const std::size_t begin = context.reply.size();
  command.handler(context, args);
  if (journal.last() != before) journal.hold(begin, context.reply.size());
}

}  // namespace

const Command* find_command(std::string_view name) noexcept {
  if (name.size() > kLongestName) return nullptr;
  for (std::size_t slot = slot_of(name); kIndex[slot] != 0; slot = (slot + 1) % kSlots) {
    const Command& command = kCommands[kIndex[slot] - 1u];
    if (equals_ignoring_case(command.name, name)) return &command;
  }
  return nullptr;
}

std::span<const Command> all_commands() noexcept { return kCommands; }

void wrong_arity(Context& context, std::string_view command) {
  std::string message = "ERR wrong number of arguments for '";
  context.reply.error(message.append(command).append("' command"));
}

void execute(Context& context, Args args) {
  if (args.empty()) return;
  ++context.commands;
  const Command* const found = find_command(args[0]);
  if (found == nullptr) [[unlikely]] {
    // A browser or proxy was tricked into this port: stop before its body runs as commands.
    if (equals_ignoring_case(args[0], "post") || equals_ignoring_case(args[0], "host:")) {
      context.client.closing = true;
      return;
    }
    return unknown_command(context, args);
  }
  if (!fits(*found, args.size())) [[unlikely]]
    return wrong_arity(context, found->name);
  if (context.journal != nullptr) [[unlikely]]
    return execute_logged(context, *found, args);
  found->handler(context, args);
}

void execute_subcommand(Context& context, Args args, std::span<const Command> table) {
  for (const Command& command : table) {
    const std::size_t bar = command.name.find('|');
    if (!equals_ignoring_case(command.name.substr(bar + 1), args[1])) continue;
    if (!fits(command, args.size())) return wrong_arity(context, command.name);
    return command.handler(context, args);
  }
  const Command* const container = find_command(args[0]);
  std::string upper(container->name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return static_cast<char>(c - 'a' + 'A'); });
  std::string message = "ERR unknown subcommand '";
  message.append(args[1].substr(0, 128)).append("'. Try ").append(upper).append(" HELP.");
  context.reply.error(message);
}

}  // namespace demo
