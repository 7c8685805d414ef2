// Every (state, transition) pair of the three atomic words, as tables. "-" stands for a pair that
// is not allowed (the class asserts).
#include "io/io_state.hpp"
#include "sched/fiber_word.hpp"
#include "sched/park_word.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstdint>
#include <string>

using ramie::io::Direction;
using ramie::io::IoState;
using ramie::sched::FiberWord;
using ramie::sched::ParkWord;

namespace {

using Shield = FiberWord::Shield;

// --- FiberWord

const std::array<std::string, 8> kFiberStates{"done",   "live",     "armed",   "shielded",
                                              "parked", "parked-s", "claimed", "woken"};

// Brings a new word into `state`. Returns the epoch of its wait.
std::uint32_t put(FiberWord& word, const std::string& state) {
  if (state == "done") return word.epoch();
  word.reset();
  if (state == "live") return word.epoch();
  const bool shielded = state == "shielded" || state == "parked-s";
  const FiberWord::Armed wait = word.arm(shielded ? Shield::yes : Shield::no);
  if (state == "parked" || state == "parked-s" || state == "woken") (void)word.commit();
  if (state == "claimed" || state == "woken") (void)word.claim(wait.epoch, 7);
  return wait.epoch;
}

// The state with its cancel bits. It probes the shield, so it must be the last question.
std::string look(FiberWord& word) {
  const std::uint64_t bits = word.cancel_bits();
  const std::string suffix = (bits & FiberWord::kCancel) != 0 ? "+c" : "";
  const bool armed = word.is_armed();
  const auto state = word.state();
  (void)word.request(FiberWord::kShutdown);
  const bool shielded = armed && word.is_armed();
  switch (state) {
    case FiberWord::kDone: return "done" + suffix;
    case FiberWord::kWoken: return (armed ? "woken-armed" : "woken") + suffix;
    case FiberWord::kParked: return (shielded ? "parked-s" : armed ? "parked" : "lost") + suffix;
    case FiberWord::kLive: break;
  }
  if (armed) return (shielded ? "shielded" : "armed") + suffix;
  return "live" + suffix;
}

std::string apply(FiberWord& word, const std::string& name, std::uint32_t epoch) {
  if (name == "start") return word.start(), "";
  if (name == "commit") return word.commit() == FiberWord::Commit::parked ? "parked" : "queue";
  if (name == "finish") return word.finish(), "";
  if (name == "reset") return word.reset(), "";
  if (name == "arm") return word.arm(Shield::no).armed ? "armed" : "refused";
  if (name == "arm-s") return word.arm(Shield::yes).armed ? "armed" : "refused";
  if (name == "arm-k") return word.arm(Shield::no, FiberWord::kCancel).armed ? "armed" : "refused";
  if (name == "disarm") return word.disarm() ? "ours" : "theirs";
  if (name == "cancel") return word.request(FiberWord::kCancel) ? "queue" : "no";
  const auto wanted = name == "claim" ? epoch : epoch - 1;
  switch (word.claim(wanted, 9)) {
    case FiberWord::Claim::lost: return "lost";
    case FiberWord::Claim::won: return "won";
    case FiberWord::Claim::won_and_queue: return "queue";
  }
  return "?";
}

struct FiberRow {
  const char* transition;
  std::array<const char*, 8> outcome;  // per state: "answer -> state afterwards"
};

// clang-format off
const FiberRow kFiberTable[] = {
  // done               live                armed               shielded
  // parked             parked-s            claimed             woken
  {"commit",  {"-", "queue -> live", "parked -> parked", "parked -> parked-s",
               "-", "-", "queue -> live", "queue -> woken"}},
  {"finish",  {"-", " -> done", "-", "-",
               "-", "-", " -> done", " -> done"}},
  {"reset",   {" -> live", "-", "-", "-",
               "-", "-", "-", "-"}},
  {"start",   {"-", "-", "-", "-",
               "-", "-", "-", " -> live"}},
  {"arm",     {"-", "armed -> armed", "-", "-",
               "-", "-", "armed -> armed", "armed -> armed"}},
  {"arm-s",   {"-", "armed -> shielded", "-", "-",
               "-", "-", "armed -> shielded", "armed -> shielded"}},
  {"disarm",  {"-", "theirs -> live", "ours -> live", "ours -> live",
               "-", "-", "theirs -> live", "theirs -> woken"}},
  {"claim",   {"lost -> done", "lost -> live", "won -> live", "won -> live",
               "queue -> woken", "queue -> woken", "lost -> live", "lost -> woken"}},
  {"late",    {"lost -> done", "lost -> live", "lost -> armed", "lost -> shielded",
               "lost -> parked", "lost -> parked-s", "lost -> live", "lost -> woken"}},
  {"cancel",  {"no -> done", "no -> live+c", "no -> live+c", "no -> shielded+c",
               "queue -> woken+c", "no -> parked-s+c", "no -> live+c", "no -> woken+c"}},
};

// The same with the cancel bit turned on before (so a wait that is open then is shielded).
const FiberRow kCancelledTable[] = {
  {"commit",  {"-", "queue -> live+c", "-", "parked -> parked-s+c",
               "-", "-", "queue -> live+c", "queue -> woken+c"}},
  {"finish",  {"-", " -> done+c", "-", "-", "-", "-", " -> done+c", " -> done+c"}},
  {"start",   {"-", "-", "-", "-", "-", "-", "-", " -> live+c"}},
  {"arm",     {"-", "refused -> live+c", "-", "-",
               "-", "-", "refused -> live+c", "refused -> woken+c"}},
  {"arm-k",   {"-", "armed -> armed+c", "-", "-",
               "-", "-", "armed -> armed+c", "armed -> armed+c"}},
  {"arm-s",   {"-", "armed -> shielded+c", "-", "-",
               "-", "-", "armed -> shielded+c", "armed -> shielded+c"}},
  {"disarm",  {"-", "theirs -> live+c", "-", "ours -> live+c",
               "-", "-", "theirs -> live+c", "theirs -> woken+c"}},
  {"claim",   {"-", "lost -> live+c", "-", "won -> live+c",
               "-", "queue -> woken+c", "lost -> live+c", "lost -> woken+c"}},
  {"cancel",  {"-", "no -> live+c", "-", "no -> shielded+c",
               "-", "no -> parked-s+c", "no -> live+c", "no -> woken+c"}},
};
// clang-format on

template <std::size_t n>
std::size_t walk(const FiberRow (&table)[n], bool cancelled) {
  std::size_t pairs = 0;
  for (const FiberRow& row : table) {
    for (std::size_t i = 0; i < kFiberStates.size(); ++i) {
      if (std::string(row.outcome[i]) == "-") continue;
      FiberWord word;
      const std::uint32_t epoch = put(word, kFiberStates[i]);
      if (cancelled) (void)word.request(FiberWord::kCancel);
      INFO(row.transition << " in " << kFiberStates[i] << (cancelled ? "+c" : ""));
      const std::string answer = apply(word, row.transition, epoch);
      CHECK(answer + " -> " + look(word) == row.outcome[i]);
      ++pairs;
    }
  }
  return pairs;
}

// --- IoState

std::string show(IoState::Snapshot seen) {
  std::string text;
  if ((seen.ready() & IoState::kReadable) != 0) text += 'r';
  if ((seen.ready() & IoState::kWritable) != 0) text += 'w';
  if ((seen.ready() & IoState::kReadClosed) != 0) text += 'R';
  if ((seen.ready() & IoState::kWriteClosed) != 0) text += 'W';
  if (seen.is_shut_down()) text += '!';
  if (seen.is_gone()) text += 'g';
  return text + ' ' + std::to_string(seen.tick(Direction::read)) +
         std::to_string(seen.tick(Direction::write));
}

struct IoRow {
  const char* state;  // letters are published one by one, so that ticks differ
  std::array<const char*, 9> outcome;
};

// clang-format off
const std::array<const char*, 9> kIoTransitions{
  "publish r", "publish w", "publish R", "clear r", "clear r late", "clear w", "shut_down", "go",
  "reset"};
const IoRow kIoTable[] = {
  {"",    {"r 10", "w 01", "R 10", " 00", "r 10", " 00", "! 00", "g 00", " 00"}},
  {"r",   {"r 20", "rw 11", "rR 20", " 10", "r 20", "r 10", "r! 10", "rg 10", " 00"}},
  {"w",   {"rw 11", "w 02", "wR 11", "w 01", "rw 11", " 01", "w! 01", "wg 01", " 00"}},
  {"rw",  {"rw 21", "rw 12", "rwR 21", "w 11", "rw 21", "r 11", "rw! 11", "rwg 11", " 00"}},
  {"rR",  {"rR 30", "rwR 21", "rR 30", " 20", "rR 30", "rR 20", "rR! 20", "rRg 20", " 00"}},
  {"wW",  {"rwW 12", "wW 03", "wRW 12", "wW 02", "rwW 12", " 02", "wW! 02", "wWg 02", " 00"}},
  {"r!",  {"r! 20", "rw! 11", "rR! 20", "! 10", "r! 20", "r! 10", "r! 10", "r!g 10", " 00"}},
  {"rg",  {"rg 20", "rwg 11", "rRg 20", "g 10", "rg 20", "rg 10", "r!g 10", "rg 10", " 00"}},
};
// clang-format on

IoState::Bits bit_of(char letter) {
  switch (letter) {
    case 'r': return IoState::kReadable;
    case 'w': return IoState::kWritable;
    case 'R': return IoState::kReadClosed;
    default: return IoState::kWriteClosed;
  }
}

void apply(IoState& state, const std::string& name) {
  constexpr IoState::Bits kRead = IoState::kReadable | IoState::kReadClosed;
  constexpr IoState::Bits kWrite = IoState::kWritable | IoState::kWriteClosed;
  const IoState::Snapshot seen = state.load();
  if (name.starts_with("publish ")) state.publish(bit_of(name.back()));
  if (name == "clear r late") state.publish(IoState::kReadable);  // after the snapshot
  if (name.starts_with("clear r")) state.clear(Direction::read, kRead, seen);
  if (name == "clear w") state.clear(Direction::write, kWrite, seen);
  if (name == "shut_down") state.shut_down();
  if (name == "go") state.close();
  if (name == "reset") state.reset();
}

}  // namespace

// Goal: each transition does in each state what the header says. Method: two tables; one is for
// words with the cancel bit.
TEST_CASE("FiberWord: every transition in every state", "[sched][word]") {
  CHECK(walk(kFiberTable, false) == 45);
  CHECK(walk(kCancelledTable, true) == 31);
}

TEST_CASE("FiberWord: the claim's number stays readable, the epoch only grows", "[sched][word]") {
  FiberWord word;
  std::uint32_t last = 0;
  for (int life = 0; life < 3; ++life) {
    word.reset();
    for (std::uint8_t by : {std::uint8_t{0}, std::uint8_t{7}, FiberWord::kByTimer}) {
      const FiberWord::Armed wait = word.arm(Shield::no);
      CHECK(wait.epoch > last);
      CHECK(word.open_wait().epoch == wait.epoch);
      CHECK(word.claim(last, 3) == FiberWord::Claim::lost);
      last = wait.epoch;
      CHECK(word.claim(wait.epoch, by) == FiberWord::Claim::won);
      CHECK(word.claimed_by() == by);
    }
    const FiberWord::Armed wait = word.arm(Shield::no);
    CHECK_FALSE(word.request(FiberWord::kScope));
    CHECK(word.claimed_by() == FiberWord::kByCancel);
    CHECK(word.claim(wait.epoch, 1) == FiberWord::Claim::lost);
    word.clear_scope();
    CHECK(word.cancel_bits() == 0);
    word.finish();
    last = wait.epoch;
  }
}

TEST_CASE("FiberWord: a hold is for parked fibers, and outlasts what wakes them", "[sched][word]") {
  for (const std::string& state : kFiberStates) {
    INFO(state);
    for (const bool is_canceled : {false, true}) {
      FiberWord word;
      const std::uint32_t epoch = put(word, state);
      const bool is_parked = state.starts_with("parked");
      CHECK(word.try_hold() == is_parked);
      CHECK(word.is_held() == is_parked);
      if (!is_parked) continue;
      CHECK_FALSE(word.try_hold());
      if (is_canceled) (void)word.request(FiberWord::kCancel);
      else (void)word.claim(epoch, 9);
      CHECK(word.is_held());
      CHECK(word.claimed_by() == (word.is_armed() ? 0 : is_canceled ? FiberWord::kByCancel : 9));
      word.let_go();
      CHECK_FALSE(word.is_held());
    }
  }
}

// BF01 for one word: a claim between the arming and the commit leaves the fiber to its worker, so
// no second thread can have it.
TEST_CASE("FiberWord: a wake between arm and switch leaves the fiber to its worker",
          "[sched][word]") {
  FiberWord word;
  const std::uint32_t epoch = put(word, "armed");
  CHECK(word.claim(epoch, 0) == FiberWord::Claim::won);
  CHECK(word.state() == FiberWord::kLive);
  CHECK(word.commit() == FiberWord::Commit::queue);
  CHECK_FALSE(word.was_woken());  // its waker may still hold the lock
}

TEST_CASE("ParkWord: every transition in every state", "[sched][word]") {
  const std::array<ParkWord::Place, 3> places{ParkWord::kFutex, ParkWord::kRing, ParkWord::kEpoll};
  for (const ParkWord::Place place : places) {
    const std::uint32_t shard = place == ParkWord::kEpoll ? 5 : 0;
    {  // EMPTY
      ParkWord word;
      CHECK_FALSE(word.leave());
      CHECK(word.enter(place, shard));
      CHECK_FALSE(word.is_notified());
    }
    {  // asleep
      ParkWord word;
      REQUIRE(word.enter(place, shard));
      CHECK_FALSE(word.leave());
      REQUIRE(word.enter(place, shard));
      const ParkWord::Was was = word.unpark();
      CHECK(was.place == place);
      CHECK(was.shard == shard);
      CHECK(word.is_notified());
      CHECK(word.leave());
      CHECK_FALSE(word.leave());
    }
    {  // NOTIFIED: an early unpark refuses one sleep, once
      ParkWord word;
      CHECK(word.unpark().place == ParkWord::kEmpty);
      CHECK(word.unpark().place == ParkWord::kNotified);
      CHECK_FALSE(word.enter(place, shard));
      CHECK_FALSE(word.is_notified());
      CHECK(word.enter(place, shard));
    }
  }
}

TEST_CASE("IoState: every transition in every state", "[sched][word]") {
  for (const IoRow& row : kIoTable) {
    for (std::size_t i = 0; i < kIoTransitions.size(); ++i) {
      IoState state;
      for (const char letter : std::string(row.state)) {
        if (letter == '!') state.shut_down();
        else if (letter == 'g') state.close();
        else state.publish(bit_of(letter));
      }
      INFO(kIoTransitions[i] << " in '" << row.state << "'");
      apply(state, kIoTransitions[i]);
      CHECK(show(state.load()) == row.outcome[i]);
    }
  }
}
