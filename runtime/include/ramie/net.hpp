// Sockets: TCP, addresses, and what a socket of any kind can do.
#pragma once

#include <ramie/net/addr.hpp>
#include <ramie/net/socket.hpp>
#include <ramie/net/tcp.hpp>
#include <ramie/net/uring.hpp>
