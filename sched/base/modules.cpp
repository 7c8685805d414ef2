// See modules.hpp.
#include "sched/base/modules.hpp"

#include "sched/base/sys.hpp"

namespace ramie::inline v0::base {

constinit Modules modules;

namespace {

[[maybe_unused]] const bool is_whole_in_children = [] {
  const auto unlock = []() noexcept { modules.unlock(); };
  sys::around_forks([]() noexcept { modules.lock(); }, unlock, unlock);
  return true;
}();

}  // namespace

}  // namespace ramie::inline v0::base
