// Stacks and spawn sites as lines for people: without what every fiber's stack has, without the
// helpers of the C++ library through which a closure is called, and never more than a screen.
#pragma once

#include "sched/base/symbols.hpp"
#include "sched/unwind.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ramie {
inline namespace v0 {
namespace sched {

struct FiberIdentity;

// The same few addresses come again and again.
class Symbols {
 public:
  const std::vector<base::Place>& at(std::uintptr_t address) {
    const auto [it, is_new] = known_.try_emplace(address);
    if (is_new) it->second = base::places_of(address);
    return it->second;
  }

 private:
  std::unordered_map<std::uintptr_t, std::vector<base::Place>> known_;
};

// One line a frame.
std::string frames_text(std::span<const std::uintptr_t> stack, Symbols& symbols,
                        std::string_view indent);
std::string frames_text(const Frames& frames);

// Where a fiber was spawned: the innermost function that is neither ours nor the C++ library's.
std::string site_text(const void* site, Symbols& symbols);

// "fiber 12 'conn' (spawned in serve() at server.cpp:30)". For a fiber that reports itself: reading
// symbols takes more stack than it may have left, so a thread of its own does it, once for each
// site. Without one, or without memory, the address stands there.
std::string describe(const FiberIdentity& fiber);

}  // namespace sched
}  // namespace v0
}  // namespace ramie
