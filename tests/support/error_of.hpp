// The error of a Result.
#pragma once

#include <ramie/result.hpp>

#include <system_error>

namespace ramie_test {

// Success if there is none: a CHECK that expects an error must not look into a value.
template <class T>
std::error_code error_of(const ramie::Result<T>& result) {
  return result ? std::error_code() : result.error();
}

}  // namespace ramie_test
