// The log of a running server: which replies wait for the disk, what clients see when the disk
// fails, and that the log has the order of the store. Peers without sockets, in a runtime.
#include <catch2/catch.hpp>

#include "logged.hpp"
#include "tests/support/fault.hpp"
#include "tools/demo/http.hpp"

#include <atomic>
#include <random>
#include <string>
#include <thread>

using demo_test::dump;
using demo_test::LoggedServer;
using demo_test::Peer;
using ramie_test::Fault;
using ramie_test::Folder;
using Fsync = demo::Aof::Fsync;
using namespace std::chrono_literals;

namespace {

constexpr auto kNoSpace = "-MISCONF Errors writing to the AOF file: No space left on device\r\n";
constexpr auto kInputOutput = "-MISCONF Errors writing to the AOF file: Input/output error\r\n";

// Every call with one name blocks its thread until open().
class Held final : private ramie_test::Injection {
 public:
  explicit Held(const char* call) : call_(call) { plug_in(); }
  ~Held() {
    open();
    pull_out();
  }
  bool is_reached() const { return calls_.load() != 0; }
  int calls() const { return calls_.load(); }
  void open() { is_open_ = true; }

 private:
  int decide(const char* call) noexcept override {
    if (std::string_view(call) != call_) return 0;
    ++calls_;
    while (!is_open_) std::this_thread::sleep_for(1ms);
    return 0;
  }

  const std::string_view call_;
  std::atomic<bool> is_open_{false};
  std::atomic<int> calls_{0};
};

// The state of a new store that was made from the log.
std::string replayed(const std::string& path, const std::vector<std::string>& keys) {
  demo::Store store;
  const auto file = ramie::or_throw(ramie::fs::File::open(path));
  const auto result = demo::replay(file, store);
  if (!result) return result.error();
  return dump(store, keys);
}

// Files on the ring, if there is one, and on the pool.
template <class F>
void with_files(std::size_t workers, F&& test) {
  for (const auto files :
       {ramie::runtime::FileBackend::automatic, ramie::runtime::FileBackend::pool}) {
    INFO("files " << (files == ramie::runtime::FileBackend::pool ? "on the pool" : "as they come"));
    auto builder = ramie_test::quiet_builder(workers);
    builder.files(files);
    ramie_test::in_runtime_of(std::move(builder), test);
  }
}

}  // namespace

TEST_CASE("Aof: with always no reply leaves while the sync is held, a reader's neither") {
  with_files(4, [] {
    const Folder folder;
    LoggedServer server(folder / "log", Fsync::kAlways);
    Held sync("fdatasync");
    std::atomic<int> answers{0};
    std::string set, get;
    ramie::Scope peers;
    (void)peers.spawn([&] {
      set = Peer(server).send("SET k v\r\nGET k\r\nINCR n\r\n");
      ++answers;
    });
    CHECK(ramie_test::eventually([&] { return sync.is_reached(); }));
    (void)peers.spawn([&] {
      get = Peer(server).send("GET k\r\n");
      ++answers;
    });
    (void)ramie::sleep_for(50ms);
    CHECK(answers.load() == 0);
    CHECK_FALSE(ramie_test::content_of(folder / "log").empty());  // it is written
    sync.open();
    (void)peers.join();
    CHECK(set == "+OK\r\n$1\r\nv\r\n:1\r\n");
    CHECK(get == "$1\r\nv\r\n");
    CHECK(server.stop());
  });
}

TEST_CASE("Aof: with everysec a reply waits for the write and not for the sync") {
  with_files(4, [] {
    const Folder folder;
    LoggedServer server(folder / "log", Fsync::kEverySecond, 5ms);
    Peer peer(server);
    Held sync("fdatasync");
    CHECK(peer.send("SET k v\r\n") == "+OK\r\n");
    CHECK(ramie_test::eventually([&] { return sync.is_reached(); }));
    CHECK(peer.send("SET k w\r\n") == "+OK\r\n");
    CHECK(replayed(folder / "log", {"k"}) == "k -1: 'w'\n");
    sync.open();
    CHECK(server.stop());
  });
}

TEST_CASE("Aof: all writes that arrive while a sync runs share the next one") {
  with_files(4, [] {
    const Folder folder;
    LoggedServer server(folder / "log", Fsync::kAlways);
    Held sync("fdatasync");
    ramie::Scope peers;
    const auto add_peer = [&] {
      (void)peers.spawn([&] { (void)Peer(server).send("INCR n\r\nINCR n\r\n"); });
    };
    add_peer();
    CHECK(ramie_test::eventually([&] { return sync.is_reached(); }));
    const demo::Aof::Sequence one = server.log->appended();
    for (int i = 1; i < 50; ++i) add_peer();
    CHECK(ramie_test::eventually([&] { return server.log->appended() == 50 * one; }));
    sync.open();
    (void)peers.join();
    CHECK(sync.calls() == 2);
    CHECK(server.stop());
    CHECK(replayed(folder / "log", {"n"}) == "n -1: '100'\n");
  });
}

TEST_CASE("Aof: a write that fails is an error to its client, and writes stop until it works") {
  for (const Fsync fsync : {Fsync::kAlways, Fsync::kEverySecond}) {
    for (const int error : {ENOSPC, EIO}) {
      with_files(2, [&] {
        const std::string refused = error == EIO ? kInputOutput : kNoSpace;
        const Folder folder;
        LoggedServer server(folder / "log", fsync);
        Peer peer(server);
        CHECK(peer.send("SET k v\r\n") == "+OK\r\n");
        const std::string before = ramie_test::content_of(folder / "log");
        {
          const Fault fault({.calls = {"pwritev2"}, .error = error, .times = Fault::kAlways});
          CHECK(peer.send("GET k\r\nINCR n\r\nPING\r\nSET k w\r\nGET k\r\n") ==
                "$1\r\nv\r\n" + refused + "+PONG\r\n" + refused + "$1\r\nw\r\n");
          CHECK(peer.errors == 2);
          CHECK(peer.send("SET z z\r\nGET z\r\n") == refused + "$-1\r\n");  // not done at all
          const std::string info = peer.send("INFO persistence\r\n");
          CHECK(info.find("aof_last_write_status:err\r\n") != std::string::npos);
          CHECK(ramie_test::content_of(folder / "log") == before);
        }
        CHECK(ramie_test::eventually([&] { return peer.send("INCR n\r\n") == ":2\r\n"; }));
        const std::string info = peer.send("INFO persistence\r\n");
        CHECK(info.find("aof_last_write_status:ok\r\n") != std::string::npos);
        CHECK(server.stop());
        CHECK(replayed(folder / "log", {"k", "n", "z"}) == "k -1: 'w'\nn -1: '2'\n");
      });
    }
  }
}

TEST_CASE("Aof: a sync that fails ends the acknowledgements for good; reads go on") {
  for (const Fsync fsync : {Fsync::kAlways, Fsync::kEverySecond}) {
    for (const int error : {ENOSPC, EIO}) {
      with_files(2, [&] {
        const std::string refused = error == EIO ? kInputOutput : kNoSpace;
        const Folder folder;
        LoggedServer server(folder / "log", fsync);
        Peer peer(server);
        {
          const Fault fault({.calls = {"fdatasync"}, .error = error});
          const std::string first = peer.send("SET k v\r\nGET x\r\n");
          CHECK(first == (fsync == Fsync::kAlways ? refused : "+OK\r\n") + "$-1\r\n");
          CHECK(ramie_test::eventually([&] { return server.log->refusal().has_value(); }));
        }
        (void)ramie::sleep_for(100ms);  // five periods without a fault
        CHECK(peer.send("SET k w\r\nINCR n\r\nDEL k\r\n") == refused + refused + refused);
        CHECK(peer.send("GET k\r\nTTL k\r\n") == "$1\r\nv\r\n:-1\r\n");
        CHECK_FALSE(server.stop());
      });
    }
  }
}

TEST_CASE("Aof: a log that cannot be cut back after a failed write is given up") {
  with_files(2, [] {
    const Folder folder;
    LoggedServer server(folder / "log", Fsync::kEverySecond);
    Peer peer(server);
    {
      const Fault fault({.calls = {"pwritev2", "ftruncate"}, .error = EIO, .times = 2});
      CHECK(peer.send("SET k v\r\n") == kInputOutput);
    }
    (void)ramie::sleep_for(100ms);
    CHECK(peer.send("SET k v\r\n") == kInputOutput);
    CHECK_FALSE(server.stop());
  });
}

TEST_CASE("Aof: changes by HTTP are logged, wait, and are refused") {
  with_files(2, [] {
    const Folder folder;
    LoggedServer server(folder / "log", Fsync::kAlways);
    demo::HttpContext context{server.store, server.stats, server.log.get()};
    const auto ask = [&](llhttp_method_t method, std::string_view target, std::string_view body) {
      demo::HttpRequest request;
      request.method = method;
      request.target = target;
      request.body = body;
      std::string out;
      demo::answer(context, request, true, out);
      return out.substr(9, 3);
    };
    CHECK(ask(HTTP_PUT, "/k/a", "1") == "201");
    CHECK(ask(HTTP_PUT, "/k/b", "2") == "201");
    CHECK(ask(HTTP_DELETE, "/k/a", "") == "204");
    CHECK(replayed(folder / "log", {"a", "b"}) == "b -1: '2'\n");
    {
      const Fault fault({.calls = {"fdatasync"}, .error = EIO});
      CHECK(ask(HTTP_PUT, "/k/a", "1") == "503");
    }
    CHECK(ask(HTTP_DELETE, "/k/b", "") == "503");
    CHECK(ask(HTTP_GET, "/k/b", "") == "200");
    CHECK_FALSE(server.stop());
  });
}

TEST_CASE("Aof: a key that expires is deleted in the log before what comes behind") {
  ramie_test::in_runtime(2, [] {
    const Folder folder;
    LoggedServer server(folder / "log", Fsync::kEverySecond);
    Peer peer(server);
    CHECK(peer.send("SET n 10 PX 30\r\nSET m 10 PX 30\r\nRPUSH l a\r\nPEXPIRE l 30\r\n") ==
          "+OK\r\n+OK\r\n:1\r\n:1\r\n");
    (void)ramie::sleep_for(60ms);
    CHECK(peer.send("INCR n\r\nRPUSH l b\r\nEXPIREAT l 1\r\n") == ":1\r\n:1\r\n:1\r\n");
    CHECK(server.store.sweep() == 1);
    CHECK(server.stop());
    CHECK(replayed(folder / "log", {"n", "m", "l"}) == "n -1: '1'\n");
  });
}

// Many fibers and few keys give every order of locks. The replay must equal the store at the end.
TEST_CASE("Aof: a replay gives the store that the commands made, whatever their order was") {
  std::vector<std::string> keys;
  for (int i = 0; i < 12; ++i) keys.push_back("k" + std::to_string(i));
  const std::vector<std::string> commands = {
      "SET K V",     "SET K V PX 3", "SET K V KEEPTTL", "SET K V NX GET", "SET K V EX 100",
      "APPEND K V",  "INCR K",       "DECRBY K 7",      "DEL K J",        "MSET K V J V",
      "EXPIRE K 50", "PEXPIRE K 2",  "PEXPIRE K -1",    "EXPIRE K 9 GT",  "PERSIST K",
      "RPUSH K V V", "LPUSH K V",    "LPOP K",          "RPOP K 2",       "GET K",
      "DEL K",       "DEL J"};
  with_files(4, [&] {
    const Folder folder;
    LoggedServer server(folder / "log", Fsync::kEverySecond);
    ramie::Scope peers;
    for (unsigned seed = 0; seed < 8; ++seed) {
      (void)peers.spawn([&, seed] {
        std::mt19937 random(seed);
        Peer peer(server);
        for (int i = 0; i < 400; ++i) {
          std::string text = commands[random() % commands.size()];
          if (random() % 100 == 0) text = "FLUSHALL";
          for (std::size_t at; (at = text.find_first_of("KJV")) != std::string::npos &&
                               (at == 0 || text[at - 1] == ' ') &&
                               (at + 1 == text.size() || text[at + 1] == ' ');)
            text.replace(
                at, 1,
                text[at] == 'V' ? std::to_string(random() % 50) : keys[random() % keys.size()]);
          (void)peer.send(text + "\r\n");
          if (i % 50 == 0) (void)ramie::sleep_for(2ms);
        }
      });
    }
    (void)peers.join();
    (void)ramie::sleep_for(5ms);
    server.store.sweep();
    const std::string truth = dump(server.store, keys);
    CHECK(server.stop());
    CHECK(replayed(folder / "log", keys) == truth);
  });
}
