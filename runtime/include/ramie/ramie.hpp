// All of Ramie except <ramie/uring.hpp>, which runs any operation of io_uring.
#pragma once

#include <ramie/cancel.hpp>
#include <ramie/error.hpp>
#include <ramie/fs.hpp>
#include <ramie/io.hpp>
#include <ramie/net.hpp>
#include <ramie/result.hpp>
#include <ramie/runtime.hpp>
#include <ramie/scope.hpp>
#include <ramie/signal.hpp>
#include <ramie/sync.hpp>
#include <ramie/task.hpp>
#include <ramie/time.hpp>
#include <ramie/version.hpp>
