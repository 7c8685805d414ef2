// CLIENT: what connection pools and redis-cli say about themselves.
#include <algorithm>

#include "tools/demo/handlers.hpp"
#include "tools/demo/text.hpp"

namespace demo {
namespace {

void client_setname(Context& context, Args args) {
  const bool plain =
      std::all_of(args[2].begin(), args[2].end(), [](char c) { return c >= '!' && c <= '~'; });
  if (!plain) {
    return context.reply.error(
        "ERR Client names cannot contain spaces, newlines or special characters.");
  }
  context.clients.rename(context.client, args[2]);
  context.reply.ok();
}

void client_getname(Context& context, Args) {
  const std::string& name = context.client.name;
  name.empty() ? context.reply.nil() : context.reply.bulk(name);
}

void client_id(Context& context, Args) {
  context.reply.integer(static_cast<std::int64_t>(context.client.id));
}

void client_list(Context& context, Args args) {
  if (args.size() != 2) return context.reply.error(kSyntaxError);
  context.reply.bulk(context.clients.list());
}

void client_info(Context& context, Args) {
  context.reply.bulk(context.clients.list(&context.client));
}

// Nothing is ever evicted and nothing tracks recency, so both answers are true.
void client_switch(Context& context, Args args) {
  if (!equals_ignoring_case(args[2], "on") && !equals_ignoring_case(args[2], "off")) {
    return context.reply.error(kSyntaxError);
  }
  context.reply.ok();
}

// Redis 7.2; newer libraries send it on every connection and accept any answer.
void client_setinfo(Context& context, Args args) {
  if (!equals_ignoring_case(args[2], "lib-name") && !equals_ignoring_case(args[2], "lib-ver")) {
    return context.reply.error(
        std::string("ERR Unrecognized option '").append(args[2].substr(0, 128)).append("'"));
  }
  context.reply.ok();
}

constexpr auto kClient = std::to_array<Command>({
    {"client|getname", 2, client_getname, ""},
    {"client|id", 2, client_id, ""},
    {"client|info", 2, client_info, ""},
    {"client|list", -2, client_list, ""},
    {"client|no-evict", 3, client_switch, ""},
    {"client|no-touch", 3, client_switch, ""},
    {"client|setinfo", 4, client_setinfo, ""},
    {"client|setname", 3, client_setname, ""},
});

}  // namespace

void client(Context& context, Args args) { execute_subcommand(context, args, kClient); }

}  // namespace demo
