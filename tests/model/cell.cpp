// The race detector of Cell: each access against the last ones of the other threads.
#include "tests/model/cell.hpp"

namespace ramie::model {
namespace {

// The access is a step of its own: one made after a release must not look released.
const Clock& next_step(Execution& run) {
  run.tick();
  return run.thread().now.clock;
}

}  // namespace

Accesses::Accesses() noexcept {
  if (Execution::active() != nullptr) note_write();
}

Accesses::~Accesses() {
  Execution* run = Execution::active();
  if (run == nullptr || born_ != Execution::run_number()) return;
  const Clock& now = next_step(*run);
  if (now.covers(reads_) && now.covers(writes_)) return;
  run->fail("data race: destroyed while another thread may still be using it");
}

void Accesses::note_read() const {
  Execution* run = Execution::active();
  if (run == nullptr) return;
  const Clock& now = next_step(*run);
  if (!now.covers(writes_)) run->fail("data race: a read is not ordered after a write");
  const auto self = static_cast<std::size_t>(run->self());
  reads_.at[self] = now.at[self];
}

void Accesses::note_write() {
  Execution* run = Execution::active();
  if (run == nullptr) return;
  const Clock& now = next_step(*run);
  if (!now.covers(writes_)) run->fail("data race: a write is not ordered after a write");
  if (!now.covers(reads_)) run->fail("data race: a write is not ordered after a read");
  const auto self = static_cast<std::size_t>(run->self());
  writes_.at[self] = now.at[self];
}

}  // namespace ramie::model
