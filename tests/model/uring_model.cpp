// Goal: U1 to U5: an operation ends once, with the kernel's last result. Its frame belongs to the
// kernel until then, and nobody uses it afterwards. A wait that a cancel ended continues on another
// thread. Nothing waits for ever, whatever the kernel delays, misses or overflows.
// Method: the shipped uring::Site, Handle::run() and worker_sleep.cpp, on an io_uring of the model.
#include "tests/model/uring_rig.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

using namespace ramie::model;
using enum Loop::Place;
namespace uring = ramie::uring;

TEST_CASE("Uring model: an operation ends once, its data are there, its frame is free") {
  check_model("uring: one operation", [] {
    Rig rig({moves}, {.put_offs = 1, .interrupts = 1});
    FiberThread fiber([&] {
      rig.operate(choose(2) == 0 ? kRead : kSend, true);
    }, &rig.loop);
    rig.loop.run();
    fiber.join();
  }, Mutants{366, 367, 372, 381, 396, 397}, {.preemptions = -1});
}

TEST_CASE("Uring model: a cancel reaches the kernel from wherever the fiber went on") {
  check_model("uring: cancel", [] {
    Rig rig({moves});
    FiberThread fiber([&] { rig.operate(kRecv); }, &rig.loop);
    Thread canceller([&] { fiber.cancel(); });
    rig.loop.run();
    fiber.join();
    canceller.join();
  }, Mutants{355, 356, 369, 370, 371, 375, 385, 390, 391, 392, 393, 394, 398, 399},
     {.preemptions = 2});
}

TEST_CASE("Uring model: a cancel that passed its operation by is repeated") {
  check_model("uring: cancels that miss", [] {
    Rig rig({moves}, {.misses = 2});
    FiberThread fiber([&] { rig.operate(choose(2) == 0 ? kDeaf : kRead); }, &rig.loop);
    Thread canceller([&] { fiber.cancel(); });
    rig.loop.run();
    fiber.join();
    canceller.join();
  }, Mutants{360, 361, 362, 369}, {.preemptions = 1});
}

TEST_CASE("Uring model: what was put off is tried again, though nothing completes") {
  check_model("uring: put off", [] {
    Rig rig({stays, stays}, {.entries = 1, .put_offs = 4});
    FiberThread first([&] { rig.operate(kDeaf); }, &rig.loop);
    FiberThread second([&] {
      rig.operate(kRead, true);
      first.cancel();
    }, &rig.loop);
    rig.loop.run();
    first.join();
    second.join();
  }, Mutants{353, 377, 382}, {.preemptions = 2});
}

TEST_CASE("Uring model: a cancel that finds no room is sent later") {
  check_model("uring: cancels without room", [] {
    Rig rig({stays, stays}, {.entries = 1, .put_offs = 4});
    FiberThread first([&] { rig.operate(kDeaf); }, &rig.loop);
    FiberThread second([&] { first.cancel(); }, &rig.loop);
    rig.loop.run();
    first.join();
    second.join();
  }, Mutants{359, 376}, {.preemptions = 1});
}

TEST_CASE("Uring model: a worker that could not push its bell looks again soon") {
  check_model("uring: deaf", [] {
    Rig rig({stays}, {.entries = 1, .put_offs = 2, .parts = 1});
    FiberThread fiber([&] { rig.operate(kDeaf); }, &rig.loop);
    Thread canceller([&] { fiber.cancel(); });
    rig.loop.run();
    fiber.join();
    canceller.join();
  }, Mutants{378}, {.preemptions = 1});
}

TEST_CASE("Uring model: of those that end by themselves no more are in than have room, in order") {
  check_model("uring: the line", [] {
    Rig rig({stays, stays, stays}, {.completions = 2});
    const auto operate = [&] { rig.operate(kRead, true); };
    FiberThread first(operate, &rig.loop);
    FiberThread second(operate, &rig.loop);
    FiberThread third([&] { rig.operate(choose(2) == 0 ? kRead : kSend, true); }, &rig.loop);
    rig.loop.run();
    first.join();
    second.join();
    third.join();
    // Other operations need no room and pass them.
    auto taken = rig.kernel.taken();
    std::erase_if(taken, [&](const Cell<int>* memory) {
      return std::ranges::find(rig.asked, memory) == rig.asked.end();
    });
    check(taken == rig.asked, "one has overtaken another");
  }, Mutants{352, 354, 368}, {.preemptions = 2});
}

TEST_CASE("Uring model: what is cancelled in the queue never reaches the kernel, and is counted") {
  check_model("uring: cancelled in line", [] {
    Rig rig({stays, moves, stays}, {.completions = 2, .is_lazy = true});
    FiberThread first([&] { rig.operate(kRead, true); }, &rig.loop);
    FiberThread second([&] { rig.operate(kRead); }, &rig.loop);
    FiberThread third([&] { rig.operate(kRead, true); }, &rig.loop);
    Thread canceller([&] { second.cancel(); });
    rig.loop.run();
    first.join();
    second.join();
    third.join();
    canceller.join();
  }, Mutants{350, 357, 358, 384}, {.preemptions = 1});
}

// An operation that waits for others would end the program.
TEST_CASE("Uring model: once the ring is denied what it has ends, and the rest goes another way") {
  check_model("uring: denied", [] {
    Rig rig({stays, stays}, {.completions = 2, .denials = 1});
    const auto operate = [&rig] {
      auto frame = rig.make_frame(kRead);
      const auto result = rig.handle->run(frame->op);
      const int end = rig.kernel.end_of(frame->memory);
      if (result) check(result->result == (end == 0 ? -ECANCELED : kData), "not what happened");
      else check(result.error() == ramie::errc::unsupported && end == 0, "it failed");
    };
    FiberThread first([&] {
      operate();
      operate();
    }, &rig.loop);
    FiberThread second(operate, &rig.loop);
    rig.loop.run();
    first.join();
    second.join();
  }, Mutants{484, 485, 486, 487, 488}, {.preemptions = 1});
}

TEST_CASE("Uring model: a completion that nobody awaits is counted, and not followed") {
  check_model("uring: stale completions", [] {
    Rig rig({stays}, {.ghosts = 1});
    FiberThread fiber([&] {
      rig.operate(kRead, true);
      rig.operate(kSend, true);
      rig.operate(kRead, true);
    }, &rig.loop);
    rig.loop.run();
    fiber.join();
    const auto stale = rig.handle->driver().site(0)->metrics().stale.get();
    check(stale == rig.kernel.taken_ghosts(), "a stale completion was followed");
  }, Mutants{364, 365}, {.preemptions = 2});
}

TEST_CASE("Uring model: the bell is armed again after its last completion") {
  check_model("uring: the bell", [] {
    Rig rig({stays, stays}, {.bell_ends = 1, .is_lazy = true});
    FiberThread first([&] { rig.operate(kDeaf); }, &rig.loop);
    FiberThread second([&] { rig.operate(kDeaf); }, &rig.loop);
    Thread canceller([&] {
      first.cancel();
      second.cancel();
    });
    rig.loop.run();
    first.join();
    second.join();
    canceller.join();
  }, Mutants{363}, {.preemptions = 1});
}

TEST_CASE("Uring model: completions that found no room come later") {
  check_model("uring: overflow", [] {
    Rig rig({stays, stays}, {.completions = 1, .is_busy = true});
    FiberThread first([&] {
      rig.operate(kSend, true);
      rig.operate(kRead, true);
    }, &rig.loop);
    FiberThread second([&] { rig.operate(kSend, true); }, &rig.loop);
    rig.loop.run();
    first.join();
    second.join();
  }, Mutants{383}, {.preemptions = 2});
}

TEST_CASE("Uring model: a shutdown leaves nothing in flight") {
  check_model("uring: shutdown", [] {
    Rig rig({stays, moves}, {.completions = 2, .is_lazy = true});
    FiberThread first([&] { rig.operate(kRead); }, &rig.loop);
    FiberThread second([&] { rig.operate(choose(2) == 0 ? kRead : kDeaf); }, &rig.loop);
    Thread canceller([&] {
      first.request(ramie::sched::FiberWord::kShutdown);
      second.request(ramie::sched::FiberWord::kShutdown);
    });
    rig.loop.run();
    first.join();
    second.join();
    canceller.join();
  }, Mutants{390, 357}, {.preemptions = 0});
}

TEST_CASE("Uring model: a worker that sleeps in its ring with the baton hears the shard") {
  check_model("uring: the shard", [] {
    Shard shard;
    Rig rig({stays, stays}, {}, &shard);
    FiberThread first([&] { rig.operate(kDeaf); }, &rig.loop);
    FiberThread second([&] {
      check(shard.readable.wait().has_value(), "nobody cancels it");
      check(shard.readable.wait().has_value(), "nobody cancels it");
      first.cancel();
    }, &rig.loop);
    Thread peer([&] {
      rig.kernel.set_readable();
      while (shard.turns.load(Order::acquire) == 0) yield();
      rig.kernel.set_readable();
    });
    rig.loop.run();
    first.join();
    second.join();
    peer.join();
  }, Mutants{387, 388, 400}, {.preemptions = 1});
}

// As net::Acceptor: takes results until it has enough or ends.
TEST_CASE("Uring model: of an operation with several results none is lost, and its frame is free") {
  check_model("uring: several results", [] {
    Rig rig({moves});
    struct Many : uring::Op {
      Cell<int> memory{0};
      int taken = 0;  // under the Site's mutex
    };
    FiberThread fiber([&] {
      auto many = std::make_unique<Many>();
      many->entry.opcode = kMany;
      many->entry.address = reinterpret_cast<std::uintptr_t>(&many->memory);
      many->take_result = [](uring::Op& op, std::int32_t result) noexcept {
        auto& self = static_cast<Many&>(op);
        self.taken += result == kData ? 1 : 0;
        return self.taken == 2;
      };
      uring::Site& site = **rig.handle->register_op(*many);
      ramie::sched::Wait first(many->kind, many->object);
      (void)site.await(*many, first, [&] {
        return many->taken != 0 || many->state == uring::Op::State::done;
      });
      site.cancel(*many);
      while (!site.is_done(*many)) {
        ramie::sched::Wait last(many->kind, many->object, ramie::sched::Wait::Shield::yes);
        (void)site.await(*many, last);
      }
      (void)rig.kernel.end_of(many->memory);
      check(many->taken == rig.kernel.given(), "a result was lost");
    }, &rig.loop);
    Thread canceller([&] {
      if (choose(2) == 0) fiber.cancel();
    });
    rig.loop.run();
    fiber.join();
    canceller.join();
  }, Mutants{404, 405, 366}, {.preemptions = 1});
}
