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
};

}  // namespace

TEST_CASE("Uring model: an operation ends once, its data are there, its frame is free") {
  check_model("uring: one operation", [] {
    Rig rig(1, Loop::Moves::no, {});
    FiberThread fiber([&] { rig.operate(choose(2) == 0 ? kRead : kSend, true); }, &rig.loop);
    rig.loop.run();
    fiber.join();
  }, {}, {.preemptions = 2});
}

TEST_CASE("Uring model: a cancel reaches the kernel from wherever the fiber went on") {
  check_model("uring: cancel", [] {
    Rig rig(1, Loop::Moves::yes, {});
    FiberThread fiber([&] { rig.operate(choose(2) == 0 ? kRecv : kDeaf); }, &rig.loop);
    Thread canceller([&] { fiber.cancel(); });
    rig.loop.run();
    fiber.join();
    canceller.join();
  }, {}, {.preemptions = 2});
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
  }, {}, {.preemptions = 2});
}
