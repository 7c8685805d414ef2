// Goal: U1 to U5: an operation ends once, with what the kernel said last; its frame is left to the
// kernel until then, and by nobody touched afterwards; a wait that a cancel ended continues on
// another thread; nothing waits for ever, whatever the kernel puts off, passes by or overflows.
// Method: the shipped uring::Site, Handle::run() and worker_sleep.cpp, on an io_uring of the model.
#include "tests/model/uring_kernel.hpp"
#include "tests/model/worker.hpp"

#include "io/handle.hpp"
#include "uring/handle.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <vector>

using namespace ramie::model;
namespace uring = ramie::uring;

namespace {

// What stands on a fiber's stack; here on the heap, where the checker sees late touches.
struct Frame {
  uring::Op op;
  Cell<int> memory{0};
};

struct Rig {
  explicit Rig(int fibers, Loop::Moves moves, const Uring::Rules& rules)
      : kernel(rules), loop(stage, fibers, moves) {}
  ~Rig() {
    const uring::Site* site = handle->driver().site(0);
    if (site == nullptr) return;
    check(site->live() == 0, "an operation is still counted");
    check(kernel.is_empty(), "an operation is still in flight");
    check(site->metrics().completed.get() + canceled_in_line == site->metrics().started.get(),
          "an operation did not end, or twice");
  }

  // On a fiber. Returns the kernel's last word: kData, -ECANCELED, or 0 if it never heard of us.
  int operate(std::uint8_t code, bool is_patient = false) {
    auto frame = std::make_unique<Frame>();
    frame->op.entry.opcode = code;
    frame->op.entry.address = reinterpret_cast<std::uintptr_t>(&frame->memory);
    frame->op.is_brief = code == kRead;
    if (code == kSend) frame->memory = kData;
    asked.push_back(&frame->memory);
    const auto result = handle->run(frame->op);
    const int end = kernel.end_of(frame->memory);
    if (result) {
      check(result->result == kData && end == kData, "not the kernel's result");
      check(frame->memory == kData, "data is missing");
    } else {
      check(!is_patient, "nobody cancels it");
      check(result.error() == ramie::errc::canceled, "why did it end?");
      check(end != kData, "data came, and was lost");
      if (end == 0 && frame->op.state == uring::Op::State::done) ++canceled_in_line;
    }
    return end;
  }

  Stage stage;
  Uring kernel;
  Loop loop;
  std::unique_ptr<ramie::io::Handle> io = *ramie::io::Handle::create(1);
  std::unique_ptr<uring::Handle> handle = *uring::Handle::create(*io, 2, {});
  std::uint64_t canceled_in_line = 0;
  std::vector<const Cell<int>*> asked;
};

}  // namespace

TEST_CASE("Uring model: an operation ends once, its data are there, its frame is free") {
  check_model("uring: one operation", [] {
    Rig rig(1, Loop::Moves::yes, {.put_offs = 1});
    FiberThread fiber([&] { rig.operate(choose(2) == 0 ? kRead : kSend, true); }, &rig.loop);
    rig.loop.run();
    fiber.join();
  }, {{353, "what could not be pushed is taken for pushed"},
      {366, "the slot is free at the first of two completions"},
      {367, "the notification's result counts"},
      {370, "completions are settled outside the mutex"},
      {371, "the waiter runs before DONE is set"},
      {372, "nobody wakes who waits"},
      {381, "completions are not taken after the sleep"},
      {396, "who slept in the site does not look what came"},
      {397, "a worker with operations sleeps on the futex"}}, {.preemptions = 2});
}

TEST_CASE("Uring model: a cancel reaches the kernel from wherever the fiber went on") {
  check_model("uring: cancel", [] {
    Rig rig(1, Loop::Moves::yes, {});
    FiberThread fiber([&] { rig.operate(kRecv); }, &rig.loop);
    Thread canceller([&] { fiber.cancel(); });
    rig.loop.run();
    fiber.join();
    canceller.join();
  }, {{355, "a cancel from elsewhere does not wake the owner"},
      {356, "a cancel from elsewhere uses the ring itself"},
      {369, "DONE leaves it among the cancels"},
      {370, "completions are settled outside the mutex"},
      {371, "the waiter runs before DONE is set"},
      {375, "the bell is not armed"},
      {385, "what is DONE is cancelled"},
      {390, "the fiber does not wait for the kernel"},
      {391, "a cancel ends the wait for the kernel"},
      {392, "the kernel is not asked"},
      {393, "the cancel wins over data"},
      {394, "what was given up is a success"},
      {398, "unpark does not ring the bell"}}, {.preemptions = 2});
}

TEST_CASE("Uring model: a cancel that passed its operation by is repeated") {
  check_model("uring: cancels that miss", [] {
    Rig rig(1, Loop::Moves::yes, {.misses = 2});
    FiberThread fiber([&] { rig.operate(choose(2) == 0 ? kDeaf : kRead); }, &rig.loop);
    Thread canceller([&] { fiber.cancel(); });
    rig.loop.run();
    fiber.join();
    canceller.join();
  }, {{360, "it is not repeated"},
      {361, "when it is due, nobody sends it"},
      {362, "nobody wakes when it is due"},
      {369, "DONE leaves it among the repeats"}}, {.preemptions = 1});
}

TEST_CASE("Uring model: what was put off is tried again, though nothing completes") {
  check_model("uring: put off", [] {
    Rig rig(2, Loop::Moves::no, {.entries = 1, .put_offs = 2});
    FiberThread first([&] { rig.operate(kDeaf); }, &rig.loop);
    FiberThread second([&] {
      rig.operate(kRead, true);
      first.cancel();
    }, &rig.loop);
    rig.loop.run();
    first.join();
    second.join();
  }, {{353, "what could not be pushed is taken for pushed"},
      {377, "nobody wakes to try it again"},
      {382, "only a completion makes room"}}, {.preemptions = 2});
}

TEST_CASE("Uring model: no cancel is lost when there is no room, and no unpark") {
  check_model("uring: cancels without room", [] {
    Rig rig(2, Loop::Moves::yes, {.entries = 1, .put_offs = 2, .parts = 1});
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
  }, {{359, "what cannot be pushed is dropped"},
      {376, "nobody wakes to try it again"},
      {378, "without its bell the worker sleeps on"}}, {.preemptions = 0});
}

TEST_CASE("Uring model: of those that end by themselves no more are in than have room, in order") {
  check_model("uring: the line", [] {
    Rig rig(3, Loop::Moves::no, {.completions = 2});
    const auto operate = [&] { rig.operate(kRead, true); };
    FiberThread first(operate, &rig.loop);
    FiberThread second(operate, &rig.loop);
    FiberThread third([&] { rig.operate(choose(2) == 0 ? kRead : kSend, true); }, &rig.loop);
    rig.loop.run();
    first.join();
    second.join();
    third.join();
    check(rig.kernel.taken() == rig.asked, "one has overtaken another");
  }, {{351, "who comes new overtakes the line"},
      {352, "nobody stands in line"},
      {354, "those in the kernel are not counted"},
      {368, "those that ended are still counted"}}, {.preemptions = 2});
}

TEST_CASE("Uring model: who is cancelled in line never reaches the kernel, and all are counted") {
  check_model("uring: cancelled in line", [] {
    Rig rig(3, Loop::Moves::yes, {.completions = 2});
    FiberThread first([&] { rig.operate(kRead, true); }, &rig.loop);
    FiberThread second([&] { rig.operate(kRead); }, &rig.loop);
    FiberThread third([&] { rig.operate(kSend, true); }, &rig.loop);
    Thread canceller([&] { second.cancel(); });
    rig.loop.run();
    first.join();
    second.join();
    third.join();
    canceller.join();
  }, {{350, "the count is a load and a store"},
      {357, "who was cancelled stands in line still"},
      {358, "who was cancelled in line is still counted"}}, {.preemptions = 1});
}

TEST_CASE("Uring model: a completion that nobody awaits is counted, and not followed") {
  check_model("uring: stale completions", [] {
    Rig rig(1, Loop::Moves::no, {.ghosts = 1});
    FiberThread fiber([&] {
      rig.operate(kRead, true);
      rig.operate(kSend, true);
      rig.operate(kRead, true);
    }, &rig.loop);
    rig.loop.run();
    fiber.join();
    const auto stale = rig.handle->driver().site(0)->metrics().stale.get();
    check(stale <= 1, "one came that did not come");
  }, {{364, "a completion of the slot is one of the operation"},
      {365, "the generation stays"}}, {.preemptions = 2});
}

TEST_CASE("Uring model: the bell is armed again after its last completion") {
  check_model("uring: the bell", [] {
    Rig rig(2, Loop::Moves::yes, {.bell_ends = 1});
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
  }, {{363, "it is taken for armed"}}, {.preemptions = 0});
}

TEST_CASE("Uring model: completions that found no room come later, and all end") {
  check_model("uring: overflow and shutdown", [] {
    Rig rig(2, Loop::Moves::no, {.completions = 1, .is_busy = true});
    FiberThread first([&] { rig.operate(kDeaf); }, &rig.loop);
    FiberThread second([&] { rig.operate(kSend); }, &rig.loop);
    Thread canceller([&] {
      first.cancel();
      second.cancel();
    });
    rig.loop.run();
    first.join();
    second.join();
    canceller.join();
  }, {{383, "EBUSY ends the process"}}, {.preemptions = 1});
}
