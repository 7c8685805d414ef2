// Opens or makes the log at the start, replays it, and cuts off an incomplete record.
//
//   [ record | record | ... | record | a piece of one ]
//     replayed in order, while the      cut off: a crash interrupted it
//     store's clock stands still
//
// The replay removes an expired key at the DEL in the log, never by the clock: later records saw
// the store as it was then.
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
  std::uint64_t cut = 0;    // bytes behind them, which are no record
};

/// Applies every record of `file` to `store`, which no other fiber may use meanwhile. It does not
/// change the file.
///
/// The bytes behind the last whole record count as `cut` if a crash may have left them: a piece of
/// a record, zeros (space that the file got and that was never filled), or damage without a whole
/// record behind it. Anything else is an error that names the offset: damage in the middle, a
/// command that fails, or a file that does not begin with a record, which is no log of ours.
std::expected<Replayed, std::string> replay(const ramie::fs::File& file, Store& store);

/// Opens or makes the log, locks it against a second server, replays and cuts it; then makes the
/// store report expired keys to it. Prints on stderr what it cut. The error is one line. It waits
/// for the lock: three seconds in a fiber, without a limit outside of one.
std::expected<std::unique_ptr<Aof>, std::string> open_aof(
    const std::string& path, Aof::Fsync fsync, Store& store,
    std::chrono::milliseconds period = Aof::kPeriod);

}  // namespace demo
