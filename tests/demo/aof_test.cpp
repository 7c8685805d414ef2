// The bytes of the log: which records count as whole, cut or damaged, and that a replay makes the
// same store. On a plain thread, with files.
#include <catch2/catch.hpp>

#include <string>
#include <string_view>
#include <vector>

#include "logged.hpp"
#include "tools/demo/aof_record.hpp"

using demo_test::dump;
using ramie_test::Folder;
using State = demo::Record::State;

namespace {

using Words = std::vector<std::string_view>;

std::string record(const Words& words) {
  std::string out;
  demo::append_record(out, std::span(words));
  return out;
}

const std::vector<std::string> kKeys = {"a", "b", "n", "l", "e", "x"};
const std::string kNested = "*1\r\n$8\r\nFLUSHALL\r\n";

// One value looks like a command.
std::vector<std::string> some_records() {
  return {record({"SET", "a", "one"}),
          record({"MSET", "b", "two", "x", kNested}),
          record({"INCRBY", "n", "-41"}),
          record({"RPUSH", "l", "1", "", "3"}),
          record({"LPOP", "l", "1"}),
          record({"SET", "e", "v", "PXAT", "1000"}),
          record({"PEXPIREAT", "a", "99999999999999"}),
          record({"APPEND", "b", "\r\n"}),
          record({"DEL", "e"}),
          record({"INCRBY", "e", "5"}),
          record({"PERSIST", "a"})};
}

struct Outcome {
  demo::Replayed replayed;
  std::string error;
  std::string keys;
};

Outcome replay_of(const std::string& path) {
  demo::Store store;
  const auto file = ramie::or_throw(ramie::fs::File::open(path));
  const auto replayed = demo::replay(file, store);
  if (!replayed) return {{}, replayed.error(), {}};
  return {*replayed, "", dump(store, kKeys)};
}

Outcome replay_text(std::string_view text) {
  const Folder folder;
  ramie_test::put(folder / "log", text);
  return replay_of(folder / "log");
}

State state_of(std::string_view bytes) {
  Words args;
  return demo::parse_record(bytes, args).state;
}

}  // namespace

TEST_CASE("Aof record: each prefix is incomplete, each change of its structure is damage") {
  const std::string text = record({"SET", "key", std::string(12, 'v')});
  Words args;
  const std::string more = text + "*1";
  const demo::Record whole = demo::parse_record(more, args);
  CHECK(whole.state == State::kComplete);
  CHECK(whole.size == text.size());
  CHECK(args == Words{"SET", "key", std::string(12, 'v')});
  for (std::size_t size = 0; size < text.size(); ++size) {
    INFO("prefix of " << size);
    CHECK(state_of(text.substr(0, size)) == State::kIncomplete);
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (std::string_view("*$\r\n").find(text[i]) == std::string_view::npos) continue;
    std::string changed = text;
    changed[i] = '?';
    INFO("changed at " << i);
    CHECK(state_of(changed) == State::kDamaged);
  }
  for (const std::string_view damaged :
       {"*0\r\n", "*-1\r\n", "* a list\n", "*01\r\n", "*1\r\n$-1\r\n", "*1\r\n$536870913\r\n",
        "*1048577", "PING\r\n", "*1\r\n$4\r\nPINGxx", "*99999999999999999999"}) {
    INFO(damaged);
    CHECK(state_of(damaged) == State::kDamaged);
  }
}

TEST_CASE("Aof replay: a log cut at every byte gives its whole commands") {
  const Folder folder;
  std::string text;
  std::vector<std::string> expected = {""};  // after so many records
  std::vector<std::size_t> ends = {0};
  for (const std::string& one : some_records()) {
    text += one;
    ends.push_back(text.size());
    ramie_test::put(folder / "whole", text);
    const Outcome outcome = replay_of(folder / "whole");
    REQUIRE(outcome.error == "");
    REQUIRE(outcome.replayed.cut == 0);
    expected.push_back(outcome.keys);
  }
  CHECK(expected.back() ==
        "a -1: 'one'\nb -1: 'two\r\n'\nn -1: '-41'\nl -1: [] [3]\ne -1: '5'\nx -1: '" + kNested +
            "'\n");
  std::size_t whole = 0;
  for (std::size_t size = 0; size <= text.size(); ++size) {
    if (whole + 1 < ends.size() && ends[whole + 1] == size) ++whole;
    ramie_test::put(folder / "cut", std::string_view(text).substr(0, size));
    const Outcome outcome = replay_of(folder / "cut");
    INFO("cut at " << size << ": " << outcome.error);
    CHECK(outcome.keys == expected[whole]);
    CHECK(outcome.replayed.records == whole);
    CHECK(outcome.replayed.valid == ends[whole]);
    CHECK(outcome.replayed.cut == size - ends[whole]);
  }
}

TEST_CASE("Aof replay: what a crash leaves behind is cut, damage elsewhere refuses") {
  const std::string a = record({"SET", "a", "1"}), b = record({"SET", "b", "2"});
  const std::string zeros(5000, '\0');
  CHECK(replay_text("").error == "");
  CHECK(replay_text(zeros).replayed.cut == 5000);
  CHECK(replay_text(a + zeros).replayed.cut == 5000);
  CHECK(replay_text(a + "garbage").replayed.cut == 7);
  CHECK(replay_text(a + "*3\r\n$3\r\nSEX").keys == "a -1: '1'\n");
  const std::string at = "damaged at offset " + std::to_string(a.size());
  CHECK(replay_text(a + "garbage" + b).error == at + ": there are whole commands behind it");
  CHECK(replay_text(a + zeros + b).error == at + ": there are whole commands behind it");
  std::string bit = a + b + a;
  bit[a.size()] ^= 1;
  CHECK(replay_text(bit).error == at + ": there are whole commands behind it");
  CHECK(replay_text("root:x:0:0\n").error == "damaged at offset 0: this is no log of ours");
  CHECK(replay_text("* an item\n* another\n").error ==
        "damaged at offset 0: this is no log of ours");
  CHECK(replay_text(a + record({"LPUSH", "a", "x"}) + b)
            .error.starts_with(at + ": its command says WRONGTYPE "));
  CHECK(replay_text(a + record({"NOSUCH"})).error ==
        at + ": its command says ERR unknown command 'NOSUCH', with args beginning with: ");
}

TEST_CASE("Aof replay: a log larger than the buffer, with a value larger than that") {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += record({"INCRBY", "n", "1"});
  const std::string big(300'000, 'x');
  text += record({"SET", "a", big});
  for (int i = 0; i < 5000; ++i) text += record({"INCRBY", "n", "1"});
  const Outcome outcome = replay_text(text + text.substr(0, 9));
  CHECK(outcome.replayed.records == 10001);
  CHECK(outcome.replayed.cut == 9);
  CHECK(ramie_test::same(outcome.keys, "a -1: '" + big + "'\nn -1: '10000'\n"));
}

TEST_CASE("Aof open: makes the file, cuts what a crash left, leaves what is no log") {
  const Folder folder;
  const std::string path = folder / "log", a = record({"SET", "a", "1"});
  demo::Store store;
  {
    const auto log = demo::open_aof(path, demo::Aof::Fsync::kAlways, store);
    REQUIRE(log.has_value());
    CHECK(ramie_test::is_there(path));
  }
  ramie_test::put(path, a + "*2\r\n");
  CHECK(demo::open_aof(path, demo::Aof::Fsync::kAlways, store).has_value());
  CHECK(ramie_test::content_of(path) == a);
  ramie_test::put(path, "hello");
  CHECK_FALSE(demo::open_aof(path, demo::Aof::Fsync::kAlways, store).has_value());
  CHECK(ramie_test::content_of(path) == "hello");
  CHECK(demo::open_aof(folder / "no/log", demo::Aof::Fsync::kAlways, store).error() ==
        "aof " + (folder / "no/log") + ": No such file or directory");
}
