// A worker with a ring, and operations of its fibers.
#pragma once

#include "tests/model/uring_kernel.hpp"
#include "tests/model/worker.hpp"

#include "sched/scheduler.hpp"
#include "uring/handle.hpp"

#include <ramie/sync/notify.hpp>

#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

namespace ramie::model {

// Stands for what is on a fiber's stack. It is on the heap, where the checker detects late
// accesses.
struct Frame {
  uring::Op op;
  Cell<int> memory{0};
};

// The sockets: each time that they become readable, one waiter is woken.
struct Shard final : ramie::sched::Driver {
  void turn(ramie::base::Nanos max_wait, ramie::sched::FiberList&) noexcept override {
    check(max_wait.count() == 0, "it sleeps here, and not in its ring");
    if (!Uring::current().clear_readable()) return;
    turns.fetch_add(1, Order::release);
    readable.notify_one();
  }
  void unpark() noexcept override {}
  int poll_fd() const noexcept override { return Uring::kShard; }

  ramie::sync::Notify readable;
  Atomic<int> turns{0};
};

struct Rig {
  explicit Rig(std::vector<Loop::Place> fibers, const Uring::Rules& rules = {},
               ramie::sched::Driver* shard = nullptr)
      : stage(1, shard), kernel(rules), loop(stage, std::move(fibers)) {}
  ~Rig() {
    const uring::Site* site = handle->driver().site(0);
    if (site == nullptr) return;
    check(site->live() == 0, "an operation is still counted");
    check(kernel.is_empty(), "an operation is still in flight");
    check(site->metrics().completed.get() == site->metrics().started.get(),
          "an operation did not end, or twice");
  }

  std::unique_ptr<Frame> make_frame(std::uint8_t code) {
    auto frame = std::make_unique<Frame>();
    frame->op.entry.opcode = code;
    frame->op.entry.address = reinterpret_cast<std::uintptr_t>(&frame->memory);
    frame->op.is_brief = code == kRead;
    if (code == kSend) frame->memory = kData;
    if (code == kRead) asked.push_back(&frame->memory);
    return frame;
  }

  // On a fiber. Returns the kernel's final result: kData, -ECANCELED, or 0 if it never got it.
  int operate(std::uint8_t code, bool is_patient = false) {
    auto frame = make_frame(code);
    const auto result = handle->run(frame->op);
    const int end = kernel.end_of(frame->memory);
    if (result) {
      check(result->result == kData && end == kData, "not the kernel's result");
      check(frame->memory == kData, "data is missing");
    } else {
      check(!is_patient, "nobody cancels it");
      const auto why = result.error();
      check(why == ramie::errc::canceled || why == ramie::errc::shutting_down, "it failed");
      check(end != kData, "data came, and was lost");
    }
    return end;
  }

  // On a fiber: an operation stays in the ring until `called` was notified.
  void operate_until(ramie::sync::Notify& called) {
    auto frame = make_frame(kDeaf);
    uring::Site& site = **handle->register_op(frame->op);
    check(called.wait().has_value(), "nobody cancels it");
    site.cancel(frame->op);
    while (!site.is_done(frame->op)) {
      sched::Wait last(frame->op.kind, frame->op.object, sched::Wait::Shield::yes);
      (void)site.await(frame->op, last);
    }
    check(kernel.end_of(frame->memory) == -ECANCELED, "not the kernel's result");
  }

  // On a thread of the model: another worker, which sees that the owner does not look at its ring.
  void visit() {
    set_worker(&loop.elsewhere());
    sched::FiberList woken;
    const uring::Site* site = handle->driver().site(0);
    if (site != nullptr) const_cast<uring::Site*>(site)->visit(woken);
    while (sched::Fiber* fiber = woken.pop_front()) fiber->scheduler->submit(*fiber);
    set_worker(nullptr);
  }

  Stage stage;
  Uring kernel;
  Loop loop;
  std::unique_ptr<uring::Handle> handle = *uring::Handle::create(2, {});
  std::vector<const Cell<int>*> asked;
};

}  // namespace ramie::model
