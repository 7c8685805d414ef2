// The operations of io_uring that Ramie uses, for people. tests/tool/doctor_test.py compares the
// list with uring/opcodes.hpp.
#pragma once

#include <array>
#include <string_view>

#include "uring/opcodes.hpp"

namespace doctor {

struct Operation {
  ramie::uring::Opcode opcode;
  std::string_view name;
  std::string_view since;    // the kernel that has it
  std::string_view instead;  // what happens without it
};

inline constexpr std::string_view kPool = "the blocking pool does it";

namespace operations {
using namespace ramie::uring;

inline constexpr auto kList = std::to_array<Operation>({
    {kPollAdd, "POLL_ADD", "Linux 5.1", "no ring works"},
    {kAsyncCancel, "ASYNC_CANCEL", "Linux 5.5", "no ring works"},
    {kAccept, "ACCEPT", "Linux 5.5", "net::Acceptor uses epoll"},
    {kSendZeroCopy, "SEND_ZC", "Linux 6.0", "net::send_zero_copy copies"},
    {kReadv, "READV", "Linux 5.1", kPool},
    {kWritev, "WRITEV", "Linux 5.1", kPool},
    {kFsync, "FSYNC", "Linux 5.1", kPool},
    {kFallocate, "FALLOCATE", "Linux 5.6", kPool},
    {kOpenat, "OPENAT", "Linux 5.6", kPool},
    {kStatx, "STATX", "Linux 5.6", kPool},
    {kRead, "READ", "Linux 5.6", kPool},
    {kWrite, "WRITE", "Linux 5.6", kPool},
    {kRenameat, "RENAMEAT", "Linux 5.11", kPool},
    {kUnlinkat, "UNLINKAT", "Linux 5.11", kPool},
    {kMkdirat, "MKDIRAT", "Linux 5.15", kPool},
    {kSymlinkat, "SYMLINKAT", "Linux 5.15", kPool},
    {kLinkat, "LINKAT", "Linux 5.15", kPool},
    {kFtruncate, "FTRUNCATE", "Linux 6.9", kPool},
});
}  // namespace operations

inline constexpr auto& kOperations = operations::kList;

}  // namespace doctor
