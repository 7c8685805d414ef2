// A worker of the model: the shipped sleep (worker_sleep.cpp), with the model's queue and switches.
//
//     shipped   park(), poll(), sleep_in_site(), unpark(), ParkWord, IdleSet
//     ours      one queue, the worker's inbox, as submit_pinned() and next_local() keep it; a fiber
//               is a thread of the model, and the worker stands still while one has its turn
//
// A woken fiber that `moves` continues either here or at once on a separate thread, as if another
// worker had stolen it; the checker tries both. One that `leaves` always continues elsewhere.
#pragma once

#include "sched/worker.hpp"
#include "tests/model/stage.hpp"

#include <memory>
#include <vector>

namespace ramie::model {

class Loop final : public Runner {
 public:
  enum Place : std::uint8_t { stays, moves, leaves };

  // For this many fibers, in the order in which they are made. One in each run.
  Loop(Stage& stage, std::vector<Place> fibers);
  ~Loop() override;

  void run();  // called by the worker's thread; ends after the last fiber
  void run_one(sched::Fiber& fiber);
  [[nodiscard]] static Loop& current() { return *current_; }
  [[nodiscard]] sched::Worker& worker() noexcept { return *worker_; }
  [[nodiscard]] sched::Worker& elsewhere() noexcept { return *elsewhere_; }
  [[nodiscard]] Stage& stage() noexcept { return stage_; }

  void queue(Seat& seat) override;
  void on_run(Seat& seat) override;
  void on_parked(Seat& seat, bool had_turn) override;
  void on_ended(Seat& seat) override;

 private:
  static Loop* current_;

  Stage& stage_;
  std::unique_ptr<sched::Worker> worker_, elsewhere_;
  const std::vector<Place> fibers_;
  std::vector<Seat*> seats_;
  Event gave_way_;
  Atomic<int> left_;
};

}  // namespace ramie::model
