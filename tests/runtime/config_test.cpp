// The RAMIE_* variables: every accepted form, every way to get one wrong, and the texts that are
// generated from the table. No test sets a variable of the process; a map replaces the environment.
#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include "runtime/config.hpp"
#include "runtime/config_value.hpp"

using namespace std::chrono_literals;
using namespace ramie::runtime;

namespace {

using Env = std::map<std::string, std::string>;

EnvResult read(const Env& env, const Config& base = {}) {
  std::vector<std::string> names;
  for (const auto& [name, value] : env) names.push_back(name);
  const auto reader = [&](const char* name) -> const char* {
    const auto found = env.find(name);
    return found == env.end() ? nullptr : found->second.c_str();
  };
  return read_environment(base, reader, names);
}

std::string only_message(const EnvResult& result) {
  REQUIRE(result.messages.size() == 1);
  return result.messages.front();
}

std::string message_for(const std::string& name, const std::string& value) {
  return only_message(read({{name, value}}));
}

constexpr Fields kAll = (Fields{1} << kFieldCount) - 1;

bool same(const Config& a, const Config& b) {
  return std::all_of(kTable.begin(), kTable.end(),
                     [&](const Row& row) { return load(row, a) == load(row, b); });
}

// A value for every variable that is not its default.
const Env& other_values() {
  static const Env env{{"RAMIE_WORKERS", "3"},
                       {"RAMIE_CPU_QUOTA", "off"},
                       {"RAMIE_AFFINITY", "spread"},
                       {"RAMIE_IO_SHARDS", "64"},
                       {"RAMIE_EVENT_INTERVAL", "1"},
                       {"RAMIE_GLOBAL_INTERVAL", "65536"},
                       {"RAMIE_BUDGET", "0"},
                       {"RAMIE_SPIN_US", "0"},
                       {"RAMIE_BLOCKING_THREADS", "7"},
                       {"RAMIE_BLOCKING_KEEPALIVE", "250ms"},
                       {"RAMIE_STACK_SIZE", "1M"},
                       {"RAMIE_STACK_GUARD", "mprotect"},
                       {"RAMIE_STACK_CACHE", "0"},
                       {"RAMIE_SEED", "0xffffffffffffffff"},
                       {"RAMIE_WATCH_US", "0"},
                       {"RAMIE_NOTIFY_LAZY_US", "75us"},
                       {"RAMIE_ROOT_STACK_SIZE", "64K"},
                       {"RAMIE_LIFO", "0"},
                       {"RAMIE_DRAIN_TIMEOUT", "3600s"},
                       {"RAMIE_UNHANDLED", "abort"},
                       {"RAMIE_STALL_MS", "50"},
                       {"RAMIE_DEADLOCK", "abort"},
                       {"RAMIE_DUMP_SIGNAL", "USR2"},
                       {"RAMIE_IO", "epoll"},
                       {"RAMIE_FS", "pool"},
                       {"RAMIE_URING_ENTRIES", "8"},
                       {"RAMIE_URING_FLAGS", "coop"},
                       {"RAMIE_CHAOS", "7"},
                       {"RAMIE_CHECKS", "on"},
                       {"RAMIE_STRICT", "1"},
                       {"RAMIE_HELP", "exit"}};
  return env;
}

}  // namespace

TEST_CASE("Config: an empty environment changes nothing and says nothing") {
  Config base;
  base.workers = 5;
  base.seed = 42;
  const EnvResult result = read({}, base);
  CHECK(same(result.values, base));
  CHECK(result.set == 0);
  CHECK(result.messages.empty());
  CHECK_FALSE(result.fatal);
  CHECK(result.values.help == Help::off);
}

TEST_CASE("Config: every variable reaches its own field") {
  const EnvResult result = read(other_values());
  const Config& c = result.values;
  CHECK(result.messages == std::vector<std::string>{});
  CHECK(result.set == kAll);
  CHECK(c.workers == 3);
  CHECK_FALSE(c.cpu_quota);
  CHECK(c.affinity == Affinity::spread);
  CHECK(c.io_shards == 64);
  CHECK(c.event_interval == 1);
  CHECK(c.global_interval == 65536);
  CHECK(c.budget == 0);
  CHECK(c.spin == std::optional(0us));
  CHECK(c.blocking_threads == 7);
  CHECK(c.blocking_keepalive == 250ms);
  CHECK(c.stack_size == std::size_t{1} << 20);
  CHECK(c.stack_guard == StackGuard::mprotect);
  CHECK(c.stack_cache == 0);
  CHECK(c.seed == ~std::uint64_t{0});
  CHECK(c.watch == 0us);
  CHECK(c.notify_lazy == std::optional(75us));
  CHECK(c.root_stack_size == std::size_t{64} << 10);
  CHECK(c.lifo == 0);
  CHECK(c.drain_timeout == 1h);
  CHECK(c.unhandled == Unhandled::abort);
  CHECK(c.stall_ms == 50);
  CHECK(c.deadlock == Deadlock::abort);
  CHECK(c.dump_signal == DumpSignal::usr2);
  CHECK(c.io == IoBackend::epoll);
  CHECK(c.fs == FileBackend::pool);
  CHECK(c.uring_entries == 8);
  CHECK(c.uring_mode == UringMode::coop);
  CHECK(c.chaos == std::optional<std::uint64_t>(7));
  CHECK(c.checks == Checks::on);
  CHECK(result.values.strict);
  CHECK_FALSE(result.fatal);
  CHECK(result.values.help == Help::exit);
}

TEST_CASE("Config: a variable sets its own bit and no other field") {
  for (const auto& [name, value] : other_values()) {
    INFO(name);
    const EnvResult result = read({{name, value}});
    const auto row =
        std::find_if(kTable.begin(), kTable.end(), [&](const Row& r) { return r.name == name; });
    REQUIRE(row != kTable.end());
    CHECK(result.set == bit(row->field));
    CHECK(result.has(row->field));
    for (const Row& other : kTable) {
      if (other.field == row->field) continue;
      CHECK(load(other, result.values) == load(other, Config{}));
    }
  }
}

TEST_CASE("Config: the automatic word takes the choice back from the code") {
  Config base;
  base.workers = 9;
  base.io_shards = 9;
  base.global_interval = 9;
  base.spin = 9us;
  base.notify_lazy = 9us;
  base.seed = 9;
  const EnvResult result = read({{"RAMIE_WORKERS", "auto"},
                                 {"RAMIE_IO_SHARDS", "auto"},
                                 {"RAMIE_GLOBAL_INTERVAL", "auto"},
                                 {"RAMIE_SPIN_US", "auto"},
                                 {"RAMIE_NOTIFY_LAZY_US", "auto"},
                                 {"RAMIE_SEED", "random"}},
                                base);
  CHECK(result.messages.empty());
  CHECK(same(result.values, Config{}));
  CHECK(result.has(Field::workers));
  CHECK(result.has(Field::seed));
}

TEST_CASE("Config: sizes, times and switches in all their spellings") {
  const auto size = [](const char* text) { return read({{"RAMIE_STACK_CACHE", text}}); };
  for (const char* text : {"2M", "2m", "2MiB", "2048K", "2048k", "2048KiB", "2097152"}) {
    INFO(text);
    CHECK(size(text).values.stack_cache == std::size_t{2} << 20);
    CHECK(size(text).messages.empty());
  }
  CHECK(size("16G").values.stack_cache == std::size_t{16} << 30);
  for (const char* text : {"2000us", "2ms"}) {
    INFO(text);
    CHECK(read({{"RAMIE_DRAIN_TIMEOUT", text}}).values.drain_timeout == 2ms);
    CHECK(read({{"RAMIE_WATCH_US", text}}).values.watch == 2ms);
  }
  CHECK(read({{"RAMIE_WATCH_US", "2000"}}).values.watch == 2ms);
  CHECK(read({{"RAMIE_DRAIN_TIMEOUT", "0"}}).values.drain_timeout == 0s);
  for (const char* text : {"1", "on", "true"}) {
    CHECK(read({{"RAMIE_STRICT", text}}).values.strict);
    CHECK(read({{"RAMIE_HELP", text}}).values.help == Help::print);
  }
  for (const char* text : {"0", "off", "false"}) {
    CHECK_FALSE(read({{"RAMIE_CPU_QUOTA", text}}).values.cpu_quota);
    CHECK(read({{"RAMIE_HELP", text}}).values.help == Help::off);
  }
  CHECK(read({{"RAMIE_SEED", "0x5EED"}}).values.seed == 0x5eed);
}

// 18014398509481985K is 1024 if the product wraps.
TEST_CASE("Config: a bad value is one line, and what the code said stays") {
  const std::map<std::string, std::vector<std::string>> bad{
      {"RAMIE_WORKERS", {"", " ", "-1", "+4", "4 ", " 4", "4x", "0x4", "4.0", "AUTO", "auto "}},
      {"RAMIE_CPU_QUOTA", {"", "yes", "ON", "2", "-1", "onn"}},
      {"RAMIE_BUDGET", {"", "-1", "1K", "65537", "99999999999999999999999999"}},
      {"RAMIE_STACK_SIZE", {"", "-16K", "16KB", "16T", "16 K", "K", "16Kx", "0x4000", "1e6"}},
      {"RAMIE_STACK_CACHE", {"17G", "18446744073709551616", "18014398509481985K"}},
      {"RAMIE_BLOCKING_KEEPALIVE", {"", "10", "s", "10m", "1h", "10 s", "1.5s", "-1s", "3601s"}},
      {"RAMIE_SPIN_US", {"", "-1", "10ns", "us", "10us "}},
      {"RAMIE_SEED", {"", "auto", "0x", "x5", "-1", "18446744073709551616", "0x1ffffffffffffffff"}},
      {"RAMIE_STACK_GUARD", {"", "madvice", "auto|madvise", "|", "Off"}},
      {"RAMIE_AFFINITY", {"", "0-3", "auto", "None"}},
      {"RAMIE_UNHANDLED", {"", "ignore", "report "}},
  };
  Config base;
  base.workers = 2;
  base.budget = 77;
  base.spin = 3us;
  base.seed = 4;
  base.stack_guard = StackGuard::off;
  base.affinity = Affinity::compact;
  base.unhandled = Unhandled::abort;
  for (const auto& [name, values] : bad) {
    for (const std::string& value : values) {
      INFO(name << "='" << value << "'");
      const EnvResult result = read({{name, value}}, base);
      CHECK(result.set == 0);
      CHECK(same(result.values, base));
      CHECK(only_message(result).starts_with(name + "=" + value + ": want "));
      CHECK_FALSE(result.fatal);
    }
  }
}

TEST_CASE("Config: a message names variable, value, accepted form and what is used") {
  CHECK(message_for("RAMIE_STACK_SIZE", "12") ==
        "RAMIE_STACK_SIZE=12: want a size of at least 16K such as 256K; using 16K");
  CHECK(message_for("RAMIE_STACK_SIZE", "12KB") ==
        "RAMIE_STACK_SIZE=12KB: want a size from 16K to 1G such as 256K; using 256K");
  CHECK(message_for("RAMIE_WORKERS", "many") ==
        "RAMIE_WORKERS=many: want auto or a number from 1 to 1024 such as 4; using auto");
  CHECK(message_for("RAMIE_WATCH_US", "3") ==
        "RAMIE_WATCH_US=3: want 0 (off) or a number of microseconds of at least 50 such as 500; "
        "using 50");
  CHECK(message_for("RAMIE_DRAIN_TIMEOUT", "30") ==
        "RAMIE_DRAIN_TIMEOUT=30: want a time in us, ms or s from 0s to 3600s such as 30s; "
        "using 30s");
  CHECK(message_for("RAMIE_STACK_GUARD", "on") ==
        "RAMIE_STACK_GUARD=on: want auto, madvise, mprotect or off; using auto");
  CHECK(message_for("RAMIE_CPU_QUOTA", "no") == "RAMIE_CPU_QUOTA=no: want on or off; using on");
  CHECK(message_for("RAMIE_HELP", "2") == "RAMIE_HELP=2: want on, off or exit; using off");
  CHECK(message_for("RAMIE_STRICT", "yes") == "RAMIE_STRICT=yes: want on or off; using off");
}

TEST_CASE("Config: numbers outside the range go where the table says") {
  struct Case {
    const char* name;
    const char* value;
    Field field;
    const char* used;
    bool is_set;
  };
  const char* least_stack = ::sysconf(_SC_PAGESIZE) > 16384 ? "64K" : "16K";  // a whole page
  const Case cases[] = {
      {"RAMIE_WORKERS", "0", Field::workers, "auto", false},
      {"RAMIE_WORKERS", "1025", Field::workers, "1024", true},
      {"RAMIE_WORKERS", "99999999999999999999999", Field::workers, "1024", true},
      {"RAMIE_IO_SHARDS", "65", Field::io_shards, "auto", false},
      {"RAMIE_EVENT_INTERVAL", "0", Field::event_interval, "61", false},
      {"RAMIE_SPIN_US", "1s", Field::spin, "1000", true},
      {"RAMIE_BLOCKING_THREADS", "0", Field::blocking_threads, "1", true},
      {"RAMIE_BLOCKING_THREADS", "4294967296", Field::blocking_threads, "32768", true},
      {"RAMIE_STACK_SIZE", "0", Field::stack_size, least_stack, true},
      {"RAMIE_STACK_SIZE", "18446744073709551615K", Field::stack_size, "1G", true},
      {"RAMIE_WATCH_US", "1", Field::watch, "50", true},
      {"RAMIE_WATCH_US", "100001", Field::watch, "100000", true},
      {"RAMIE_ROOT_STACK_SIZE", "4K", Field::root_stack_size, "64K", true},
      {"RAMIE_LIFO", "65", Field::lifo, "64", true},
      {"RAMIE_DRAIN_TIMEOUT", "3601s", Field::drain_timeout, "30s", false},
  };
  for (const Case& c : cases) {
    INFO(c.name << "=" << c.value);
    const EnvResult result = read({{c.name, c.value}});
    CHECK(format_value(c.field, result.values) == c.used);
    CHECK(result.has(c.field) == c.is_set);
    CHECK(only_message(result).ends_with(std::string("; using ") + c.used));
  }
}

TEST_CASE("Config: a stack is rounded up to whole pages, which is told but no error") {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t odd = 64 * page + 1;
  for (const char* name : {"RAMIE_STACK_SIZE", "RAMIE_ROOT_STACK_SIZE"}) {
    const EnvResult result = read({{name, std::to_string(odd)}, {"RAMIE_STRICT", "on"}});
    const Config& c = result.values;
    const bool is_root = result.has(Field::root_stack_size);
    CHECK((is_root ? c.root_stack_size : c.stack_size) == 65 * page);
    CHECK(only_message(result).find("whole pages") != std::string::npos);
    CHECK_FALSE(result.fatal);
  }
  CHECK(read({{"RAMIE_STACK_CACHE", "12345"}}).messages.empty());
}

TEST_CASE("Config: RAMIE_STRICT makes bad values, clamped values and unknown names fatal") {
  const std::string on = "on";
  CHECK_FALSE(read({{"RAMIE_STRICT", on}, {"RAMIE_WORKERS", "2"}}).fatal);
  for (const Env& env :
       {Env{{"RAMIE_BUDGET", "lots"}}, Env{{"RAMIE_LIFO", "1000"}}, Env{{"RAMIE_LIFT", "1"}}}) {
    INFO(env.begin()->first);
    CHECK_FALSE(read(env).fatal);
    Env strict = env;
    strict["RAMIE_STRICT"] = on;
    const EnvResult result = read(strict);
    CHECK(result.fatal);
    CHECK(only_message(result).find("refused by RAMIE_STRICT") != std::string::npos);
  }
}

TEST_CASE("Config: an unknown name gets the nearest known one, if one is near") {
  const std::pair<const char*, const char*> near[] = {
      {"RAMIE_WORKER", "RAMIE_WORKERS"},       {"RAMIE_WROKERS", "RAMIE_WORKERS"},
      {"RAMIE_STACKSIZE", "RAMIE_STACK_SIZE"}, {"RAMIE_stack_size", "RAMIE_STACK_SIZE"},
      {"RAMIE_SPIN", "RAMIE_SPIN_US"},         {"RAMIE_NOTIFY_LAZY", "RAMIE_NOTIFY_LAZY_US"},
      {"RAMIE_IO_SHARD", "RAMIE_IO_SHARDS"},   {"RAMIE_DRAIN_TIMOUT", "RAMIE_DRAIN_TIMEOUT"},
      {"RAMIE_WATCH_MS", "RAMIE_WATCH_US"},    {"RAMIE_LFIO", "RAMIE_LIFO"},
  };
  for (const auto& [wrong, right] : near) {
    CHECK(message_for(wrong, "1") ==
          std::string(wrong) + ": no such variable, ignored; did you mean " + right + "?");
  }
  for (const char* far : {"RAMIE_", "RAMIE_ADMIN", "RAMIE_COMPAT", "RAMIE_STACK_PAINT",
                          "RAMIE_TRACE", "RAMIE_COLOUR_OF_THE_SKY"}) {
    CHECK(message_for(far, "1") == std::string(far) +
                                       ": no such variable, ignored; "
                                       "RAMIE_HELP=1 lists those that exist");
  }
  CHECK(read({{"PATH", "/bin"}, {"RAMIEX", "1"}, {"XRAMIE_WORKERS", "1"}}).messages.empty());
}

TEST_CASE("Config: hostile text stays one short printable line") {
  const std::string hostile = "1\n\x1b[31mred\x7f\xc2\xb5" + std::string(100'000, 'x');
  for (const EnvResult& result :
       {read({{"RAMIE_WORKERS", hostile}}), read({{"RAMIE_" + hostile, "1"}})}) {
    const std::string line = only_message(result);
    CHECK(line.size() < 512);
    CHECK(std::all_of(line.begin(), line.end(), [](char c) { return c >= 0x20 && c < 0x7f; }));
  }
}

TEST_CASE("Config: what format_value writes, the parser reads back") {
  for (const Env& env : {Env{}, other_values()}) {
    const Config before = read(env).values;
    Env written;
    for (const Row& row : kTable) {
      written[std::string(row.name)] = format_value(row.field, before);
    }
    CHECK(written.size() == kFieldCount);
    const EnvResult after = read(written);
    CHECK(after.messages == std::vector<std::string>{});
    CHECK(same(after.values, before));
  }
  Config odd;
  odd.drain_timeout = 1500ns;
  CHECK(format_value(Field::drain_timeout, odd) == "1500ns");
}

TEST_CASE("Config: copy_fields moves the fields of the mask only") {
  const Config other = read(other_values()).values;
  for (const Row& row : kTable) {
    INFO(row.name);
    Config config;
    copy_fields(bit(row.field), other, config);
    CHECK(load(row, config) == load(row, other));
    copy_fields(bit(row.field), Config{}, config);
    CHECK(same(config, Config{}));
  }
  Config config;
  copy_fields(kAll, other, config);
  CHECK(same(config, other));
}

// Goal: no text crashes the parser or slips a value past the ranges. Method: random mixtures of
// the pieces that values are made of, for every variable; the seed is fixed.
TEST_CASE("Config: random text gives a value in range or a message") {
  std::mt19937 random(20240607);
  const std::vector<std::string> pieces{"0",  "1", "9",   "16", "4096", "99999999999999999999",
                                        "K",  "G", "us",  "ms", "s",    "KiB",
                                        "0x", "-", "+",   " ",  ".",    "auto",
                                        "on", "|", "off", "\n", "\xff", "random"};
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    const Row& row = kTable[random() % kFieldCount];
    std::string text;
    for (auto left = random() % 4; left > 0; --left) text += pieces[random() % pieces.size()];
    const EnvResult result = read({{std::string(row.name), text}});
    const Raw raw = load(row, result.values);
    const bool is_fine = result.set == bit(row.field) || result.set == 0;
    const bool has_message = result.messages.size() == 1;
    const bool in_range =
        !raw || (*raw >= row.min && *raw <= row.max) || (row.zero_is_off && *raw == 0);
    const bool is_told = has_message || (result.messages.empty() && result.set != 0);
    accepted += result.messages.empty() ? 1 : 0;
    if (is_fine && in_range && is_told) continue;
    FAIL(row.name << "='" << text << "'");
  }
  CHECK(accepted > 500);  // else the mixture tests refusals only
}

TEST_CASE("Config: the process environment is readable, and nothing there is misread") {
  const EnvResult result = read_process_environment(Config{});
  for (const Row& row : kTable) {
    const bool is_there = ::secure_getenv(row.name.data()) != nullptr;
    INFO(row.name);
    CHECK((is_there || !result.has(row.field)));
  }
}

TEST_CASE("Config: help lists every variable with its default") {
  const std::string help = help_text();
  for (const Row& row : kTable) {
    INFO(row.name);
    const std::string shown =
        std::string(row.name) + "=" + format_value(row.field, Config{}) + "\n";
    CHECK(help.find("\n" + shown) != std::string::npos);
  }
  CHECK(help.find('`') == std::string::npos);
}

TEST_CASE("Config: the committed pages are the generated ones") {
  // __FILE__ is relative to the build folder; the program is in its subfolder `tests`.
  const auto build = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
  const auto docs = (build / __FILE__).parent_path() / ".." / ".." / "docs";
  const auto text_of = [](const std::filesystem::path& path) {
    std::ifstream file(path);
    INFO(path << ": write it with `ramie env --markdown` or `--man`");
    REQUIRE(file.is_open());
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  };
  CHECK((text_of(docs / "environment.md") == markdown_table()));
  CHECK((text_of(docs / "man" / "ramie-env.7") == man_page()));
}

TEST_CASE("Config: the manual page is roff, with every variable and its default") {
  const std::string page = man_page();
  for (const Row& row : kTable) {
    INFO(row.name);
    const std::string shown = format_value(row.field, Config{});
    CHECK(page.find("\n.BR " + std::string(row.name) + " \" = " + shown + "\"\n") !=
          std::string::npos);
  }
  CHECK(page.find('`', page.find('\n')) == std::string::npos);  // after the first line's comment
  CHECK(page.find("\n\\fBauto\\fR: it does not poll.\n") != std::string::npos);
}
