// See aof_open.hpp.
#include "tools/demo/aof_open.hpp"

#include <ramie/time.hpp>

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <utility>
#include <vector>

#include "tools/demo/buffers.hpp"
#include "tools/demo/clients.hpp"
#include "tools/demo/commands.hpp"
#include "tools/demo/stats.hpp"
#include "tools/demo/text.hpp"

namespace demo {
namespace {

using State = Record::State;

constexpr std::chrono::seconds kLockWait{3};

/// Runs the commands of the log as a client of its own.
class Replayer {
 public:
  Replayer(const ramie::fs::File& file, Store& store) : file_(file), store_(store) {
    clock_ = store_.exchange_clock([] { return Milliseconds{0}; });
  }
  ~Replayer() { (void)store_.exchange_clock(std::move(clock_)); }
  Replayer(const Replayer&) = delete;
  Replayer& operator=(const Replayer&) = delete;

  std::expected<Replayed, std::string> run();

 private:
  struct Itself final : Client {
    using Client::Client;
  };

  // False: there are no more bytes, or no room for them.
  std::expected<bool, std::string> read_more();
  std::expected<void, std::string> apply(const Record& record);
  std::expected<Replayed, std::string> judge_tail(State state);
  bool has_record_inside(std::string_view bytes);
  std::string at_offset(std::string_view what) const;

  const ramie::fs::File& file_;
  Store& store_;
  Store::Clock clock_;
  Stats stats_;
  Clients clients_;
  Itself client_{0, "aof", "aof"};
  InputBuffer input_;
  std::uint64_t read_ = 0;
  std::vector<std::string_view> args_;
  Replayed result_;
};

std::string Replayer::at_offset(std::string_view what) const {
  return "damaged at offset " + std::to_string(result_.valid) + ": " + std::string(what);
}

std::expected<bool, std::string> Replayer::read_more() {
  const std::span<std::byte> room = input_.room();
  if (room.empty()) return false;
  const auto count = file_.read_at(room, read_);
  if (!count) return std::unexpected("read: " + count.error().message());
  input_.received(*count);
  read_ += *count;
  return *count != 0;
}

std::expected<Replayed, std::string> Replayer::run() {
  for (;;) {
    Record record{State::kIncomplete};
    if (!input_.empty()) record = parse_record(input_.unparsed(), args_);
    if (record.state == State::kComplete) {
      if (auto applied = apply(record); !applied) return std::unexpected(applied.error());
      continue;
    }
    const auto more = read_more();
    if (!more) return std::unexpected(more.error());
    if (!*more) return judge_tail(record.state);
  }
}

std::expected<void, std::string> Replayer::apply(const Record& record) {
  std::string reply;
  Replies replies(reply);
  Context context{store_, stats_, clients_, client_, replies};
  execute(context, args_);
  if (reply.starts_with('-')) {
    reply.resize(reply.size() - 2);
    return std::unexpected(at_offset("its command says " + reply.substr(1)));
  }
  input_.consume(record.size);
  result_.valid += record.size;
  ++result_.records;
  return {};
}

std::expected<Replayed, std::string> Replayer::judge_tail(State state) {
  const std::string_view tail = input_.unparsed();
  const bool is_zeros = tail.find_first_not_of('\0') == std::string_view::npos;
  if (state == State::kDamaged && !is_zeros) {
    if (result_.records == 0) return std::unexpected(at_offset("this is no log of ours"));
    if (tail.size() == input_.capacity() || has_record_inside(tail.substr(1))) {
      return std::unexpected(at_offset("there are whole commands behind it"));
    }
  }
  result_.cut = tail.size();
  return result_;
}

bool Replayer::has_record_inside(std::string_view bytes) {
  for (std::size_t at = 0; (at = bytes.find('*', at)) != std::string_view::npos; ++at) {
    const Record record = parse_record(bytes.substr(at), args_);
    if (record.state == State::kComplete && find_command(args_[0]) != nullptr) return true;
  }
  return false;
}

// ---- opening -----------------------------------------------------------------------------------

ramie::Result<ramie::fs::File> open_or_make(const std::string& path) {
  auto options = ramie::fs::OpenOptions().read().write().mode(0644);
  auto file = options.open(path);
  if (file || file.error() != std::errc::no_such_file_or_directory) return file;
  file = options.create().open(path);
  if (!file) return file;
  // The name must survive a power failure as well as the content.
  const std::string parent = std::filesystem::path(path).parent_path();
  auto directory = ramie::fs::OpenOptions()
                       .read()
                       .custom_flags(O_DIRECTORY)
                       .open(parent.empty() ? std::string(".") : parent);
  if (!directory) return ramie::failure(directory.error());
  if (auto synced = directory->sync_all(); !synced) return ramie::failure(synced.error());
  return file;
}

}  // namespace

std::expected<Replayed, std::string> replay(const ramie::fs::File& file, Store& store) {
  return Replayer(file, store).run();
}

std::expected<std::unique_ptr<Aof>, std::string> open_aof(const std::string& path, Aof::Fsync fsync,
                                                          Store& store,
                                                          std::chrono::milliseconds period) {
  const auto fault = [&](std::string_view what) {
    return std::unexpected(std::string("aof ").append(path).append(": ").append(what));
  };
  auto file = open_or_make(path);
  if (!file) return fault(file.error().message());
  // The lock of a process that was killed outlives it for as long as its last operations run in
  // the kernel (measured with io_uring, on 6.18): until then they may still write.
  const auto locked = ramie::timeout(kLockWait, [&] { return file->lock(); });
  if (!locked && locked.error() == std::errc::timed_out) {
    return fault("another process holds its lock");
  }
  if (!locked) return fault(locked.error().message());
  const auto metadata = file->metadata();
  if (!metadata) return fault(metadata.error().message());
  Replayed replayed;
  if (metadata->is_file()) {
    const auto result = replay(*file, store);
    if (!result) return fault(result.error());
    replayed = *result;
  } else {
    std::fprintf(stderr, "ramie demo: aof %s: not a regular file: nothing is replayed\n",
                 path.c_str());
  }
  if (replayed.cut != 0) {
    if (auto cut = file->set_len(replayed.valid); !cut) return fault(cut.error().message());
    if (auto synced = file->sync_all(); !synced) return fault(synced.error().message());
    std::fprintf(stderr, "ramie demo: aof %s: cut off %llu bytes of an incomplete command\n",
                 path.c_str(), static_cast<unsigned long long>(replayed.cut));
  }
  auto log = std::make_unique<Aof>(*std::move(file), path, replayed.valid, fsync, period);
  store.observe_expiry(log.get());
  return log;
}

}  // namespace demo
