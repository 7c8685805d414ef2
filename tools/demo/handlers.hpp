// Every command handler, and helpers that several of them use. Only commands*.cpp include it.
#pragma once

#include "tools/demo/commands.hpp"

namespace demo {

inline constexpr std::string_view kWrongType =
    "WRONGTYPE Operation against a key holding the wrong kind of value";
inline constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";
inline constexpr std::string_view kSyntaxError = "ERR syntax error";

// commands_strings.cpp
void get(Context&, Args);
void set(Context&, Args);
void mget(Context&, Args);
void mset(Context&, Args);
void append(Context&, Args);
void strlen(Context&, Args);
void incr(Context&, Args);
void decr(Context&, Args);
void incrby(Context&, Args);
void decrby(Context&, Args);

// commands_keys.cpp
void del(Context&, Args);
void exists(Context&, Args);
void expire(Context&, Args);
void pexpire(Context&, Args);
void expireat(Context&, Args);
void pexpireat(Context&, Args);
void ttl(Context&, Args);
void pttl(Context&, Args);
void persist(Context&, Args);
void type(Context&, Args);
void dbsize(Context&, Args);
void flush_all(Context&, Args);

// commands_lists.cpp
void lpush(Context&, Args);
void rpush(Context&, Args);
void lpop(Context&, Args);
void rpop(Context&, Args);
void llen(Context&, Args);
void lrange(Context&, Args);

// commands_server.cpp
void ping(Context&, Args);
void echo(Context&, Args);
void quit(Context&, Args);
void select_db(Context&, Args);
void info(Context&, Args);
void config(Context&, Args);
void command(Context&, Args);

// commands_client.cpp
void client(Context&, Args);

/// `unit` is 1000 for seconds, 1 for milliseconds; a deadline that does not fit is no deadline.
std::optional<Milliseconds> deadline_from(std::int64_t amount, Milliseconds unit,
                                          Milliseconds base) noexcept;

/// A lookup on behalf of a reading command: counts as hit or miss.
inline Table::Entry* look_up(Context& context, Store::Locked& locked, std::string_view key) {
  Table::Entry* const entry = locked.table(key).find(key, locked.now());
  ++(entry != nullptr ? context.hits : context.misses);
  return entry;
}

/// Records a change in the log, if there is one, as a command that repeats it at any later time.
/// Call it under the locks of the change.
inline void record(Context& context, std::initializer_list<Word> words) {
  if (context.journal != nullptr) [[unlikely]]
    context.journal->record(words);
}
inline void record_args(Context& context, Args args) {
  if (context.journal != nullptr) [[unlikely]]
    context.journal->record(args);
}

}  // namespace demo
