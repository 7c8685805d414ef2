// Tests the readiness word: every transition, and what each must keep.
#include "io/io_state.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdint>
#include <thread>

namespace {

using ramie::io::Direction;
using ramie::io::Interest;
using ramie::io::IoState;

constexpr IoState::Bits kAllReady = IoState::kReadyMask;

}  // namespace

TEST_CASE("IoState: a clear with an old tick keeps the newer edge") {
  IoState state;
  state.publish(IoState::kReadable);
  const IoState::Snapshot seen = state.load();
  state.publish(IoState::kReadable);  // data arrived after the snapshot
  state.clear(Direction::read, IoState::kReadable, seen);
  CHECK(state.load().ready() == IoState::kReadable);
  state.clear(Direction::read, IoState::kReadable, state.load());
  CHECK(state.load().ready() == 0);
}

TEST_CASE("IoState: a report steps only the ticks of its directions") {
  struct Case {
    IoState::Bits ready;
    bool steps_read, steps_write;
  };
  const Case cases[] = {
      {IoState::kReadable, true, false},
      {IoState::kWritable, false, true},
      {IoState::kReadClosed, true, false},
      {IoState::kWriteClosed, false, true},
      {IoState::kPriority, true, false},
      {IoState::kError, true, false},
      {IoState::kReadNews, true, false},
      {IoState::kErrorNews, true, false},
      {IoState::kPriorityClosed, true, false},
      {IoState::kWriteNews, false, true},
      {IoState::kReadable | IoState::kWritable, true, true},
  };
  for (const Case& one : cases) {
    CAPTURE(int{one.ready});
    IoState state;
    CHECK(state.load().may_be_ready(Interest::readable));
    CHECK(state.load().may_be_ready(Interest::writable));
    state.publish(one.ready);
    CHECK((state.load().tick(Direction::read) != 0) == one.steps_read);
    CHECK((state.load().tick(Direction::write) != 0) == one.steps_write);
    CHECK(state.load().ready() == one.ready);
  }
}

TEST_CASE("IoState: an edge of one direction does not prevent a clear of the other") {
  IoState state;
  state.publish(IoState::kReadable | IoState::kWritable);
  const IoState::Snapshot seen = state.load();
  state.publish(IoState::kReadable);
  state.clear(Direction::write, IoState::kWritable, seen);
  state.clear(Direction::read, IoState::kReadable, seen);
  CHECK(state.load().ready() == IoState::kReadable);
}

TEST_CASE("IoState: every transition keeps GONE and SHUTDOWN, and no readiness is permanent") {
  const auto transitions = {
      +[](IoState& state) { state.publish(IoState::kReadable); },
      +[](IoState& state) { state.publish(kAllReady); },
      +[](IoState& state) { state.clear(IoState::kReadSide, state.load()); },
      +[](IoState& state) { state.clear(IoState::kWriteSide, state.load()); },
      +[](IoState& state) { state.shut_down(); },
      +[](IoState& state) { state.close(); },
  };
  for (const auto first : transitions) {
    for (const auto second : transitions) {
      IoState state;
      state.publish(IoState::kReadClosed | IoState::kWriteClosed);
      state.shut_down();
      state.close();
      first(state);
      second(state);
      CHECK(state.load().is_shut_down());
      CHECK(state.load().is_gone());
      state.clear(kAllReady, state.load());
      CHECK(state.load().ready() == 0);
    }
  }
}

TEST_CASE(
    "IoState: the directions share no bit, and EAGAIN of one kind of waiter keeps the others' "
    "bits") {
  CHECK((IoState::kReadSide & IoState::kWriteSide) == 0);
  CHECK((IoState::kReadSide | IoState::kWriteSide) == IoState::kReadyMask);
  unsigned together = 0;
  for (const auto one :
       {Interest::readable, Interest::writable, Interest::priority, Interest::error}) {
    const IoState::Bits bits = IoState::noted_for(one);
    CHECK((together & bits) == 0);
    together |= bits;
    CHECK((IoState::waited_for(one) & ~unsigned{bits}) == 0);
  }
  CHECK(together == IoState::kReadyMask);
}

TEST_CASE("IoState: a reset clears everything") {
  IoState state;
  state.publish(kAllReady);
  state.shut_down();
  state.close();
  state.reset();
  CHECK(state.load().word == 0);
}

// A driver reports one edge for each unit of data. A reader takes what there is, then clears. In
// every order the last unit must stay visible.
TEST_CASE("IoState: no edge is lost between a driver and a reader") {
  constexpr std::uint32_t kEdges = 200'000;
  IoState state;
  std::atomic<std::uint32_t> arrived{0};
  std::thread driver([&] {
    for (std::uint32_t i = 0; i < kEdges; ++i) {
      arrived.fetch_add(1);
      state.publish(IoState::kReadable);
    }
  });
  std::uint32_t taken = 0;
  std::uint64_t idle = 0;
  while (taken < kEdges && idle < 2'000'000'000) {
    const IoState::Snapshot seen = state.load();
    if ((seen.ready() & IoState::kReadable) == 0) {
      ++idle;
      if (arrived.load() == kEdges && driver.joinable()) driver.join();
      if (!driver.joinable() && (state.load().ready() & IoState::kReadable) == 0) break;
      continue;
    }
    taken = arrived.load();
    state.clear(Direction::read, IoState::kReadable, seen);
  }
  if (driver.joinable()) driver.join();
  CHECK(taken == kEdges);
}
