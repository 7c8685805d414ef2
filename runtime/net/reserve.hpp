// The descriptor that the process keeps for the moment when it has no other: with it a listener can
// take a pending connection and close it (accept.cpp).
#pragma once

namespace ramie {
inline namespace v0 {
namespace net {

// By whoever opens a listener.
void keep_reserve() noexcept;

}  // namespace net
}  // namespace v0
}  // namespace ramie
