// The descriptor that the process keeps for the time when it has no other left. With it a listener
// can accept a pending connection and close it (accept.cpp).
#pragma once

namespace ramie::inline v0::net {

// Whatever opens a listener calls this.
void keep_reserve() noexcept;

}  // namespace ramie::inline v0::net
