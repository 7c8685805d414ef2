// Catch2 version 3 under the header name of version 2, for machines that have only the newer one.
#pragma once

#include <catch2/catch_all.hpp>

using Catch::Approx;
