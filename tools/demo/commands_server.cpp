// Commands about the connection and the server: what redis-cli and redis-benchmark ask first.
#include <array>
#include <vector>

#include "tools/demo/handlers.hpp"
#include "tools/demo/text.hpp"

namespace demo {

void ping(Context& context, Args args) {
  if (args.size() > 2) return wrong_arity(context, "ping");
  args.size() == 2 ? context.reply.bulk(args[1]) : context.reply.simple("PONG");
}

void echo(Context& context, Args args) { context.reply.bulk(args[1]); }

void quit(Context& context, Args) {
  context.client.closing = true;
  context.reply.ok();
}

// The demo has one key space; Redis' default of sixteen is a legacy of its early days.
void select_db(Context& context, Args args) {
  const auto index = parse_integer(args[1]);
  if (!index) return context.reply.error(kNotAnInteger);
  if (*index < INT32_MIN || *index > INT32_MAX) {
    return context.reply.error(
        "ERR value is out of range, value must between -2147483648 and 2147483647");
  }
  if (*index != 0) return context.reply.error("ERR DB index is out of range");
  context.reply.ok();
}

void info(Context& context, Args args) {
  const Aof* const log = context.journal != nullptr ? &context.journal->log() : nullptr;
  context.reply.bulk(info_text(context.stats, context.store, log, args.subspan(1)));
}

namespace {

struct Setting {
  std::string_view name;
  std::string_view value;
};

// Fixed values that clients read before they start.
constexpr auto kSettings = std::to_array<Setting>({
    {"appendfsync", "everysec"},
    {"appendonly", "no"},
    {"databases", "1"},
    {"maxmemory", "0"},
    {"maxmemory-policy", "noeviction"},
    {"proto-max-bulk-len", "536870912"},
    {"save", ""},
    {"timeout", "0"},
});

std::string_view value_of(const Context& context, const Setting& setting) noexcept {
  if (context.journal == nullptr) return setting.value;
  if (setting.name == "appendonly") return "yes";
  const bool is_fsync = setting.name == "appendfsync";
  return is_fsync && context.journal->log().is_always() ? "always" : setting.value;
}

void config_get(Context& context, Args args) {
  std::vector<const Setting*> hits;
  for (const Setting& setting : kSettings) {
    for (const std::string_view pattern : args.subspan(2)) {
      if (!glob_matches(pattern, setting.name)) continue;
      hits.push_back(&setting);
      break;
    }
  }
  context.reply.array(hits.size() * 2);
  for (const Setting* setting : hits) {
    context.reply.bulk(setting->name);
    context.reply.bulk(value_of(context, *setting));
  }
}

constexpr auto kConfig = std::to_array<Command>({{"config|get", -3, config_get, ""}});

}  // namespace

void config(Context& context, Args args) { execute_subcommand(context, args, kConfig); }

namespace {

void describe(Context& context, const Command& command) {
  Replies& reply = context.reply;
  reply.array(10);
  reply.bulk(command.name);
  reply.integer(command.arity);
  std::size_t flags = 0;
  std::string list;
  for (std::string_view rest = command.flags; !rest.empty(); ++flags) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    list.append("+").append(word).append("\r\n");
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
  }
  reply.array(flags);
  reply.raw(list);
  reply.integer(command.first_key);
  reply.integer(command.last_key);
  reply.integer(command.step);
  for (int i = 0; i < 4; ++i) reply.array(0);  // ACL categories, tips, key specs, subcommands
}

void command_count(Context& context, Args) {
  context.reply.integer(static_cast<std::int64_t>(all_commands().size()));
}

// redis-cli asks for hints; an empty list makes it use the ones it was built with.
void command_docs(Context& context, Args) { context.reply.array(0); }

void command_info(Context& context, Args args) {
  if (args.size() == 2) return command(context, args.first(1));
  context.reply.array(args.size() - 2);
  for (const std::string_view name : args.subspan(2)) {
    const Command* const found = find_command(name);
    found != nullptr ? describe(context, *found) : context.reply.nil();
  }
}

void command_list(Context& context, Args) {
  context.reply.array(all_commands().size());
  for (const Command& command : all_commands()) context.reply.bulk(command.name);
}

constexpr auto kCommandTable = std::to_array<Command>({
    {"command|count", 2, command_count, ""},
    {"command|docs", -2, command_docs, ""},
    {"command|info", -2, command_info, ""},
    {"command|list", 2, command_list, ""},
});

}  // namespace

void command(Context& context, Args args) {
  if (args.size() > 1) return execute_subcommand(context, args, kCommandTable);
  context.reply.array(all_commands().size());
  for (const Command& each : all_commands()) describe(context, each);
}

}  // namespace demo
