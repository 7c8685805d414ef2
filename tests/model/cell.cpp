// The race detector of Cell compares each access with the last ones of the other threads.
#include "tests/model/cell.hpp"

namespace ramie::model {
namespace {

// The access is a separate step, so that one made after a release does not look released.
const Clock& next_step(Execution& run) {
  run.tick();
  return run.thread().now.clock;
}

// Detects an access to a destroyed object (on the heap its memory stays until the run ends).
constexpr std::uint32_t kGone = ~std::uint32_t{0};

void be_there(Execution& run, std::uint32_t born) {
  if (born == kGone) run.fail("data is used that was destroyed");
}

}  // namespace

Accesses::Accesses() noexcept {
  if (Execution::active() != nullptr) note_write();
}

Accesses::~Accesses() {
  Execution* run = Execution::active();
  if (run == nullptr || born_ != Execution::run_number()) return;
  const Clock& now = next_step(*run);
  if (!now.covers(reads_) || !now.covers(writes_))
    run->fail("data race: destroyed while another thread may still be using it");
  const_cast<volatile std::uint32_t&>(born_) = kGone;  // the detector reads it
}

void Accesses::note_read() const {
  Execution* run = Execution::active();
  if (run == nullptr) return;
  be_there(*run, born_);
  const Clock& now = next_step(*run);
  if (!now.covers(writes_)) run->fail("data race: a read is not ordered after a write");
  const auto self = static_cast<std::size_t>(run->self());
  reads_.at[self] = now.at[self];
}

void Accesses::note_write() {
  Execution* run = Execution::active();
  if (run == nullptr) return;
  be_there(*run, born_);
  const Clock& now = next_step(*run);
  if (!now.covers(writes_)) run->fail("data race: a write is not ordered after a write");
  if (!now.covers(reads_)) run->fail("data race: a write is not ordered after a read");
  const auto self = static_cast<std::size_t>(run->self());
  writes_.at[self] = now.at[self];
}

}  // namespace ramie::model
