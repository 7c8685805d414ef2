// Tests that our numbers of io_uring's opcodes are the kernel's.
#include "uring/opcodes.hpp"

#include <linux/io_uring.h>
#include <catch2/catch.hpp>

namespace uring = ramie::uring;

static_assert(uring::kReadv == IORING_OP_READV);
static_assert(uring::kWritev == IORING_OP_WRITEV);
static_assert(uring::kFsync == IORING_OP_FSYNC);
static_assert(uring::kFallocate == IORING_OP_FALLOCATE);
static_assert(uring::kOpenat == IORING_OP_OPENAT);
static_assert(uring::kStatx == IORING_OP_STATX);
static_assert(uring::kRead == IORING_OP_READ);
static_assert(uring::kWrite == IORING_OP_WRITE);
static_assert(uring::kRenameat == IORING_OP_RENAMEAT);
static_assert(uring::kUnlinkat == IORING_OP_UNLINKAT);
static_assert(uring::kMkdirat == IORING_OP_MKDIRAT);
static_assert(uring::kSymlinkat == IORING_OP_SYMLINKAT);
static_assert(uring::kLinkat == IORING_OP_LINKAT);
static_assert(uring::kFsyncDatasync == IORING_FSYNC_DATASYNC);

// Debian 12's header does not define it, so count in the kernel's list from an opcode that it has.
TEST_CASE("Opcodes: FTRUNCATE has the distance to SENDMSG_ZC that it has in Linux 6.9") {
  CHECK(uring::kFtruncate == IORING_OP_SENDMSG_ZC + 7);
}
