// Both directions of a descriptor.
#pragma once

#include <ramie/io.hpp>

namespace ramie_test {

inline constexpr ramie::io::Interest kBoth =
    ramie::io::Interest::readable | ramie::io::Interest::writable;

}  // namespace ramie_test
