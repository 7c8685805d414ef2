// See mount.hpp. The kernel's structures are defined here, because Debian 12's headers lack them.
#include "runtime/fs/sys/mount.hpp"

#include "sched/base/atomic.hpp"
#include "sched/base/sys.hpp"

#include <linux/magic.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>

namespace ramie::inline v0::fs::sys {

namespace {

constexpr long kStatmount = 457;            // SYS_statmount
constexpr std::uint64_t kSuperblock = 0x1;  // STATMOUNT_SB_BASIC

struct Question {  // mnt_id_req
  std::uint32_t size;
  std::uint32_t spare;
  std::uint64_t mount;
  std::uint64_t mask;
};

struct Answer {  // statmount
  std::uint32_t size;
  std::uint32_t options;
  std::uint64_t mask;
  std::uint32_t major;
  std::uint32_t minor;
  std::uint64_t magic;
  std::array<std::byte, 480> rest;
};
static_assert(sizeof(Answer) == 512 && offsetof(Answer, magic) == 24);

// File systems in memory, or on a disk that only this kernel writes. (Layers under an overlay must
// not change.)
constexpr std::uint64_t kOwn[] = {
    EXT4_SUPER_MAGIC,      XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC,
    OVERLAYFS_SUPER_MAGIC, PROC_SUPER_MAGIC, RAMFS_MAGIC,       SYSFS_MAGIC,      SQUASHFS_MAGIC,
};

constexpr std::size_t kRemembered = 64;
// id * 2 + own; 0 means empty.
constinit std::array<base::Atomic<std::uint64_t>, kRemembered> remembered{};

[[gnu::noinline]] bool ask(std::uint64_t mount) noexcept {
  if (base::inject("statmount") != 0) return false;
  Question question{sizeof question, 0, mount, kSuperblock};
  Answer answer{};
  if (::syscall(kStatmount, &question, &answer, sizeof answer, 0) != 0) return false;
  return (answer.mask & kSuperblock) != 0 &&
         std::ranges::find(kOwn, answer.magic) != std::end(kOwn);
}

}  // namespace

bool is_kernels_own(std::uint64_t mount) noexcept {
  base::Atomic<std::uint64_t>& place = remembered[mount % kRemembered];
  const std::uint64_t known = place.load(base::kRelaxed);
  if (known >> 1 == mount) return (known & 1) != 0;
  const bool is_own = ask(mount);
  place.store(mount << 1 | (is_own ? 1 : 0), base::kRelaxed);
  return is_own;
}

void forget_mounts() noexcept {
  for (base::Atomic<std::uint64_t>& place : remembered) place.store(0, base::kRelaxed);
}

}  // namespace ramie::inline v0::fs::sys
