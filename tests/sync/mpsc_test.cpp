// Laws of sync::mpsc: sending, receiving, counting; waiting, closing, cancelling.
#include "sched/base/annotate.hpp"
#include "tests/support/process.hpp"
#include "tests/sync/counted.hpp"
#include "tests/sync/support.hpp"

#include <array>
#include <cstddef>
#include <map>
#include <utility>
#include <vector>

using namespace ramie_test;
namespace mpsc = ramie::sync::mpsc;
using ramie::errc;
using ramie::sched::WaitKind;

namespace {

// A value consists of its sender's number and a running number.
struct Item {
  int sender;
  int number;
};

// The values of each sender must come in order, and none may be missing.
bool is_in_order(const std::vector<Item>& items, int senders, int each) {
  std::map<int, int> next;
  for (const Item& item : items)
    if (item.number != next[item.sender]++) return false;
  for (int i = 0; i < senders; ++i)
    if (next[i] != each) return false;
  return true;
}

// Four fibers and two threads send `each` values. They have the last references to the sender.
void start_senders(Crowd& crowd, mpsc::Sender<Item> sender, int each) {
  auto body = [sender = std::move(sender), each](int id) mutable {
    for (int i = 0; i < each; ++i) (void)sender.send(Item{id, i});
  };
  crowd.add_fibers(4, body);
  crowd.add_threads(2, [body](int id) mutable { body(id + 4); });
}

std::vector<Item> receive_all(mpsc::Receiver<Item>& receiver, bool in_batches) {
  std::vector<Item> items;
  if (in_batches) {
    while (receiver.recv_many(items, 10)) {
    }
  } else {
    while (auto item = receiver.recv()) items.push_back(*item);
  }
  return items;
}

}  // namespace

TEST_CASE("mpsc: every value arrives once, each sender's in its order", "[sync]") {
  constexpr int kEach = 600;
  with_workers([](MiniRuntime&) {
    for (const std::size_t capacity : {1U, 2U, 7U, 1024U}) {
      for (const int way : {0, 1, 2, 3}) {
        CAPTURE(capacity, way);
        auto [sender, receiver] = mpsc::channel<Item>(capacity);
        Crowd crowd;
        start_senders(crowd, std::move(sender), kEach);
        std::vector<Item> items;
        if (way < 2) {
          items = receive_all(receiver, way == 1);
        } else {
          auto fiber = ramie::spawn([&] { items = receive_all(receiver, way == 3); });
          (void)fiber.join();
        }
        crowd.join();
        REQUIRE(is_in_order(items, 6, kEach));
        REQUIRE(receiver.len() == 0);
      }
    }
  });
}

#if RAMIE_ASAN == 0 && RAMIE_TSAN == 0  // sanitizers use memory of their own for ours
// Goal: the capacity of a channel costs address space; only its use costs memory.
TEST_CASE("mpsc: an idle channel with a large bound takes next to no memory", "[sync]") {
  struct Message {
    std::array<std::byte, 256> body{};
  };
  using Pair = std::pair<mpsc::Sender<Message>, mpsc::Receiver<Message>>;
  constexpr int kChannels = 300;
  std::vector<Pair> idle;
  idle.reserve(kChannels);
  for (int round = 0; round < 2; ++round) {  // also when malloc has free pieces of this size
    const std::size_t before = ramie_test::resident_bytes();
    for (int i = 0; i < kChannels; ++i) idle.push_back(mpsc::channel<Message>(1024));
    for (auto& [sender, receiver] : idle) {
      for (int i = 0; i < 4; ++i) CHECK(sender.try_send(Message{}).has_value());
      CHECK(receiver.try_recv().has_value());
    }
    const std::size_t after = ramie_test::resident_bytes();
    CHECK((after < before || (after - before) / kChannels < 16 * 1024));
    idle.clear();
  }
}
#endif

TEST_CASE("mpsc: values of any alignment and bounds of any size", "[sync]") {
  struct alignas(128) Wide {
    int value = 0;
  };
  for (const std::size_t capacity : {std::size_t{1}, std::size_t{3}, std::size_t{5000}}) {
    auto [sender, receiver] = mpsc::channel<Wide>(capacity);
    for (std::size_t i = 0; i < 3 * capacity; ++i) {
      REQUIRE(sender.try_send(Wide{static_cast<int>(i)}).has_value());
      auto wide = receiver.try_recv();
      REQUIRE(wide.has_value());
      CHECK(wide->value == static_cast<int>(i));
    }
  }
}

TEST_CASE("mpsc: len and capacity tell the truth, and full is full", "[sync]") {
  auto [sender, receiver] = mpsc::channel<Counted>(3);
  REQUIRE(sender.capacity() == 3);
  for (int i = 0; i < 3; ++i) REQUIRE(sender.try_send(Counted(i)));
  REQUIRE(sender.len() == 3);
  Counted value(9);
  REQUIRE(code_of(sender.try_send(std::move(value))) == errc::full);
  REQUIRE(value.value() == 9);
  REQUIRE(receiver.try_recv()->value() == 0);
  REQUIRE(receiver.len() == 2);
  {
    auto permit = sender.try_reserve();
    REQUIRE(permit);
    REQUIRE(receiver.len() == 2);
    REQUIRE(code_of(sender.try_reserve()) == errc::full);
    REQUIRE(code_of(sender.try_send(std::move(value))) == errc::full);
  }
  REQUIRE(sender.try_send(std::move(value)));
  for (const int expected : {1, 2, 9}) REQUIRE(receiver.recv()->value() == expected);
  REQUIRE(code_of(receiver.try_recv()) == errc::empty);
  sender = {};
  REQUIRE(code_of(receiver.try_recv()) == errc::closed);
  REQUIRE(code_of(receiver.recv()) == errc::closed);
  receiver = {};
  REQUIRE(Counted::alive == 1);
}

TEST_CASE("mpsc: the positions wrap round the ring many times", "[sync]") {
  auto [sender, receiver] = mpsc::channel<int>(5);
  int received = 0;
  for (int i = 0; i < 1000; ++i) {
    for (int k = 0; k <= i % 5; ++k) REQUIRE(sender.try_send(i * 10 + k));
    for (int k = 0; k <= i % 5; ++k) received += *receiver.try_recv() == i * 10 + k ? 1 : 0;
  }
  REQUIRE(received == 3000);
}

TEST_CASE("mpsc: values sent before close() are received, later ones stay with their sender",
          "[sync]") {
  auto [sender, receiver] = mpsc::channel<Counted>(8);
  REQUIRE(sender.send(Counted(1)));
  auto permit = sender.reserve();
  REQUIRE(permit);
  receiver.close();
  REQUIRE(sender.is_closed());
  REQUIRE(sender.closed());
  Counted late(3);
  REQUIRE(code_of(sender.send(std::move(late))) == errc::closed);
  REQUIRE(code_of(sender.try_send(std::move(late))) == errc::closed);
  REQUIRE(code_of(sender.reserve()) == errc::closed);
  REQUIRE(late.value() == 3);
  REQUIRE(receiver.recv()->value() == 1);
  REQUIRE(code_of(receiver.try_recv()) == errc::empty);  // the permit may still be used
  REQUIRE(permit->send(Counted(2)));
  REQUIRE(receiver.recv()->value() == 2);
  REQUIRE(code_of(receiver.recv()) == errc::closed);
}

TEST_CASE("mpsc: the last permit of a closed channel ends the receiver's wait", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    auto [sender, receiver] = mpsc::channel<int>(2);
    mpsc::Permit<int> permit = *sender.reserve();
    receiver.close();
    auto receiving = ramie::spawn([&] { return receiver.recv(); });
    REQUIRE(park_comes_true(runtime, WaitKind::channel, 1));
    permit = {};
    REQUIRE(code_of(receiving.join()) == errc::closed);
  });
}

TEST_CASE("mpsc: close wakes every waiting sender, whatever their number", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    for (const int threads : {1, 31, 32, 33, 65}) {
      auto [sender, receiver] = mpsc::channel<Counted>(1);
      REQUIRE(sender.send(Counted(0)));
      std::atomic<int> closed{0};
      Crowd crowd;
      const auto body = [&](int id) {
        Counted value(id);
        if (code_of(sender.send(std::move(value))) == errc::closed && value.value() == id)
          closed.fetch_add(1);
      };
      crowd.add_threads(threads, body);
      crowd.add_fibers(6, body);
      auto watching = ramie::spawn([&] { return sender.closed(); });
      REQUIRE(park_comes_true(runtime, WaitKind::channel, 7));
      if (threads % 2 == 0) receiver = {};
      else receiver.close();
      crowd.join();
      REQUIRE(watching.join());
      REQUIRE(closed.load() == threads + 6);
    }
    REQUIRE(Counted::alive == 0);
  });
}

TEST_CASE("mpsc: a receiver that goes drops what was not received", "[sync]") {
  // An answer channel inside a dropped request must end the wait of its receiver.
  with_workers([](MiniRuntime& runtime) {
    auto [sender, receiver] = mpsc::channel<ramie::sync::oneshot::Sender<int>>(4);
    auto [answer, answered] = ramie::sync::oneshot::channel<int>();
    REQUIRE(sender.send(std::move(answer)));
    auto waiting = ramie::spawn([&] { return answered.recv(); });
    REQUIRE(park_comes_true(runtime, WaitKind::channel, 1));
    receiver = {};
    REQUIRE(code_of(waiting.join()) == errc::closed);
    auto permit = sender.try_reserve();
    REQUIRE(code_of(permit) == errc::closed);
  });
}

TEST_CASE("mpsc: waiting senders are let in first come, first served", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    auto [sender, receiver] = mpsc::channel<int>(1);
    REQUIRE(sender.send(-1));
    Crowd crowd;
    for (int i = 0; i < 20; ++i) {
      crowd.add_fibers(1, [&, i](int) { (void)sender.send(i); });
      REQUIRE(park_comes_true(runtime, WaitKind::channel, static_cast<std::size_t>(i) + 1));
    }
    REQUIRE(*receiver.recv() == -1);
    REQUIRE(code_of(sender.try_send(99)) == errc::full);  // the room goes to the first sender
    std::vector<int> order;
    for (int i = 0; i < 20; ++i) order.push_back(*receiver.recv());
    crowd.join();
    REQUIRE(order == numbers(0, 20));
  });
}

TEST_CASE("mpsc: a sender that leaves the line takes no room with it", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    for (int round = 0; round < 50; ++round) {
      auto [sender, receiver] = mpsc::channel<Counted>(1);
      REQUIRE(sender.send(Counted(0)));
      Counted kept(1);
      auto first = ramie::spawn([&] { return sender.send(std::move(kept)); });
      REQUIRE(park_comes_true(runtime, WaitKind::channel, 1));
      auto second = ramie::spawn([&] { return sender.send(Counted(2)); });
      REQUIRE(park_comes_true(runtime, WaitKind::channel, 2));
      std::thread canceller([&] { first.cancel(); });
      REQUIRE(receiver.recv()->value() == 0);
      canceller.join();
      const bool is_sent = first.join().has_value();
      REQUIRE(is_sent == (kept.value() == -1));
      if (is_sent) REQUIRE(receiver.recv()->value() == 1);
      REQUIRE(second.join());
      REQUIRE(receiver.recv()->value() == 2);
      REQUIRE(sender.try_send(Counted(3)));
    }
    REQUIRE(Counted::alive == 0);
  });
}

TEST_CASE("mpsc: a permit that is dropped lets the next in line in", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    auto [sender, receiver] = mpsc::channel<int>(1);
    mpsc::Permit<int> permit = *sender.reserve();
    auto waiting = ramie::spawn([&] { return sender.send(4); });
    REQUIRE(park_comes_true(runtime, WaitKind::channel, 1));
    permit = {};
    REQUIRE(waiting.join());
    REQUIRE(*receiver.recv() == 4);
  });
}

TEST_CASE("mpsc: a cancelled recv() loses no value", "[sync]") {
  with_workers([](MiniRuntime& runtime) {
    auto [sender, receiver] = mpsc::channel<int>(4);
    for (int round = 0; round < 100; ++round) {
      auto receiving = ramie::spawn([&] { return receiver.recv(); });
      REQUIRE(park_comes_true(runtime, WaitKind::channel, 1));
      std::thread canceller([&] { receiving.cancel(); });
      REQUIRE(sender.send(round));
      canceller.join();
      auto value = receiving.join();
      if (!value) value = receiver.recv();
      REQUIRE(value == round);
    }
  });
}

TEST_CASE("mpsc: under deadlines on both sides what was sent is what was received", "[sync]") {
  with_workers([](MiniRuntime&) {
    auto [sender, receiver] = mpsc::channel<Counted>(3);
    std::atomic<long> sent{0};
    long received = 0;
    Crowd senders;
    senders.add_fibers(10, [&](int id) {
      for (int i = 0; i < 120; ++i) {
        const auto patience = std::chrono::microseconds((id * 7 + i * 13) % 60);
        const bool use_permit = i % 3 == 0;
        auto done = ramie::timeout(patience, [&]() -> ramie::Result<void> {
          if (!use_permit) return sender.send(Counted(i));
          auto permit = sender.reserve();
          if (!permit) return ramie::failure(permit.error());
          if (i % 2 == 0) return ramie::failure(errc::canceled);  // and drops it
          return permit->send(Counted(i));
        });
        if (done) sent.fetch_add(1);
      }
    });
    auto receiving = ramie::spawn([&] {
      for (int i = 0;; ++i) {
        const auto patience = std::chrono::microseconds(i % 50);
        auto value = ramie::timeout(patience, [&] { return receiver.recv(); });
        if (value) ++received;
        else if (value.error() == errc::closed) return;
      }
    });
    senders.join();
    sender = {};
    (void)receiving.join();
    REQUIRE(received == sent.load());
    REQUIRE(Counted::alive == 0);
  });
}

TEST_CASE("mpsc: the receiver may go while senders send", "[sync]") {
  with_workers([](MiniRuntime&) {
    for (int round = 0; round < 60; ++round) {
      auto [sender, receiver] = mpsc::channel<Counted>(2);
      Crowd crowd;
      const auto body = [mine = std::move(sender)](int) mutable {
        for (int i = 0; mine.send(Counted(i)); ++i) {
        }
      };
      crowd.add_fibers(3, body);
      crowd.add_threads(1, body);
      for (int i = 0; i < round; ++i) (void)receiver.recv();
      receiver = {};
      crowd.join();
    }
    REQUIRE(Counted::alive == 0);
  });
}

TEST_CASE("mpsc: recv_many takes what is there, up to its limit", "[sync]") {
  auto [sender, receiver] = mpsc::channel<int>(16);
  std::vector<int> values{-1};
  for (int i = 0; i < 10; ++i) REQUIRE(sender.send(i));
  REQUIRE(*receiver.recv_many(values, 0) == 0);
  REQUIRE(*receiver.recv_many(values, 4) == 4);
  REQUIRE(*receiver.recv_many(values, 100) == 6);
  REQUIRE(values == numbers(-1, 10));
  sender = {};
  REQUIRE(code_of(receiver.recv_many(values, 1)) == errc::closed);
}
