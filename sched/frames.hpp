// Stacks and spawn addresses as lines for people. Frames that every fiber has, and the C++
// library's helpers that call closures, are left out. A stack takes at most one screen.
#pragma once

#include "sched/base/symbols.hpp"
#include "sched/unwind.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ramie::inline v0::sched {

struct FiberIdentity;

// Keeps what it has looked up, since the same few addresses come again and again.
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

// One line for each frame.
std::string frames_text(std::span<const std::uintptr_t> stack, Symbols& symbols,
                        std::string_view indent);
std::string frames_text(const Frames& frames);

// Where a fiber was spawned: the innermost function that belongs neither to us nor to the C++
// library.
std::string spawn_text(const void* spawned_at, Symbols& symbols);

// Returns "fiber 12 'conn' (spawned in serve() at server.cpp:30)". For a fiber that reports itself:
// reading symbols takes more stack than it may have left, so a separate thread does it, once for
// each address. Without a thread or without memory, the text has the address instead.
std::string describe(const FiberIdentity& fiber);

}  // namespace ramie::inline v0::sched
