// The log at the start: found or made, replayed, cut back to what is whole.
//
//   [ record | record | ... | record | a piece of one ]
//     replayed in order, while the      cut off: a crash came in between
//     store's clock stands still
//
// An expired key is removed by the DEL that the log has of it, never by the clock: what came behind
// saw the store as it was then.
#pragma once

#include <ramie/fs.hpp>

#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include "tools/demo/aof.hpp"
#include "tools/demo/store.hpp"

namespace demo {

struct Replayed {
  std::uint64_t records = 0;
  std::uint64_t valid = 0;  // bytes of whole records
  std::uint64_t cut = 0;    // bytes behind them, which belong to nothing
};

/// Applies every record of `file` to `store`, which nobody else uses. The file stays as it is.
///
/// What is behind the last whole record counts as the trace of a crash, and as `cut`, if it is a
/// piece of a record, or zeros (space that was given to the file, and never filled), or damaged and
/// without a whole record behind it. Anything else is an error that names the offset: damage in the
/// middle, a command that fails, and a file that begins with no record, which is no log of ours.
std::expected<Replayed, std::string> replay(const ramie::fs::File& file, Store& store);

/// Opens or makes the log, locks it against a second server, replays and cuts it; then makes the
/// store tell it of expired keys. What was cut is told on stderr. The error is one line. Waits for
/// the lock: in a fiber three seconds, outside of one for ever.
std::expected<std::unique_ptr<Aof>, std::string> open_aof(
    const std::string& path, Aof::Fsync fsync, Store& store,
    std::chrono::milliseconds period = Aof::kPeriod);

}  // namespace demo
