// The command table: name -> arity, flags, handler. Adding a command is one line here in
// commands.cpp and one function in the commands_*.cpp of its kind.
//
//   args --lower case--> constexpr hash index --> Command --arity--> handler(Context, args)
//
// None of these steps allocates; GET and SET allocate at most the memory of a new value.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "tools/demo/clients.hpp"
#include "tools/demo/journal.hpp"
#include "tools/demo/reply.hpp"
#include "tools/demo/stats.hpp"
#include "tools/demo/store.hpp"

namespace demo {

using Args = std::span<const std::string_view>;

/// What one connection gives to every handler. The session publishes the counters.
struct Context {
  Store& store;
  Stats& stats;
  Clients& clients;
  Client& client;
  Replies& reply;
  Journal* journal = nullptr;  // none without --aof
  std::uint64_t commands = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
};

struct Command {
  using Handler = void (*)(Context&, Args);

  std::string_view name;  // lower case; "client|list" for a subcommand
  int arity;              // argument count with the name; negative: at least that many
  Handler handler;
  std::string_view flags;  // blank-separated, as COMMAND INFO lists them
  int first_key = 0;
  int last_key = 0;
  int step = 0;
};

/// Runs one request and writes exactly one reply (none for an empty request).
void execute(Context& context, Args args);

/// Ignores case. Null if there is no such command.
const Command* find_command(std::string_view name) noexcept;
std::span<const Command> all_commands() noexcept;

/// Runs args[1] as a subcommand out of `table`, or writes the error that Redis writes.
void execute_subcommand(Context& context, Args args, std::span<const Command> table);

void wrong_arity(Context& context, std::string_view command);

}  // namespace demo
