// See redirect.hpp.
#include "sched/base/redirect.hpp"

#include "sched/base/modules.hpp"
#include "sched/base/sys.hpp"

#include <elf.h>
#include <link.h>
#include <unistd.h>
#include <cstdint>
#include <cstring>
#include <mutex>

namespace ramie::inline v0::base {

namespace {

// The relocations that leave a function's address in a slot.
#if defined(__x86_64__)
constexpr unsigned kCallSlot = R_X86_64_JUMP_SLOT;
constexpr unsigned kDataSlot = R_X86_64_GLOB_DAT;
#elif defined(__aarch64__)
constexpr unsigned kCallSlot = R_AARCH64_JUMP_SLOT;
constexpr unsigned kDataSlot = R_AARCH64_GLOB_DAT;
#else
#error "the relocations of calls are known for x86-64 and AArch64 only"
#endif

struct Object {
  std::uintptr_t base = 0;
  const ElfW(Sym) * symbols = nullptr;
  const char* names = nullptr;
  const ElfW(Rela) * relocations[2] = {};  // of data, and of calls
  std::size_t counts[2] = {};
  std::uintptr_t read_only = 0;  // read-only from here on, after the dynamic linker has finished
  std::size_t read_only_size = 0;
};

Object read(const dl_phdr_info& info) noexcept {
  Object object;
  object.base = info.dlpi_addr;
  const ElfW(Dyn)* dynamic = nullptr;
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const auto& header = info.dlpi_phdr[i];
    if (header.p_type == PT_DYNAMIC)
      dynamic = reinterpret_cast<const ElfW(Dyn)*>(object.base + header.p_vaddr);
    if (header.p_type == PT_GNU_RELRO) {
      object.read_only = object.base + header.p_vaddr;
      object.read_only_size = header.p_memsz;
    }
  }
  for (; dynamic != nullptr && dynamic->d_tag != DT_NULL; ++dynamic) {
    const auto value = static_cast<std::uintptr_t>(dynamic->d_un.d_val);
    switch (dynamic->d_tag) {
      case DT_SYMTAB: object.symbols = reinterpret_cast<const ElfW(Sym)*>(value); break;
      case DT_STRTAB: object.names = reinterpret_cast<const char*>(value); break;
      case DT_RELA: object.relocations[0] = reinterpret_cast<const ElfW(Rela)*>(value); break;
      case DT_RELASZ: object.counts[0] = value / sizeof(ElfW(Rela)); break;
      case DT_JMPREL: object.relocations[1] = reinterpret_cast<const ElfW(Rela)*>(value); break;
      case DT_PLTRELSZ: object.counts[1] = value / sizeof(ElfW(Rela)); break;
      default: break;
    }
  }
  return object;
}

// The C library and the dynamic linker call their own functions directly, and must keep doing so.
// The kernel's object has addresses that nobody has relocated.
bool is_left_alone(const char* path) noexcept {
  if (path == nullptr) return false;
  for (const char* name : {"linux-vdso", "/libc.so", "/ld-linux", "/libpthread", "/libasan",
                           "/libtsan", "/libclang_rt"})
    if (std::strstr(path, name) != nullptr) return true;
  return false;
}

bool write_slot(const Object& object, std::uintptr_t slot, void* to) noexcept {
  if (__atomic_load_n(reinterpret_cast<void**>(slot), __ATOMIC_ACQUIRE) == to) return true;
  const bool is_guarded =
      slot >= object.read_only && slot < object.read_only + object.read_only_size;
  const auto page_size = static_cast<std::uintptr_t>(::getpagesize());
  auto* page = reinterpret_cast<void*>(slot / page_size * page_size);
  if (is_guarded && sys::protect_data(page, page_size, true) != 0) return false;
  __atomic_store_n(reinterpret_cast<void**>(slot), to, __ATOMIC_RELEASE);
  // A page that the region shares with writable data was never made read-only.
  const std::uintptr_t end = (object.read_only + object.read_only_size) / page_size * page_size;
  if (is_guarded && slot < end) (void)sys::protect_data(page, page_size, false);
  return true;
}

struct Walk {
  std::span<const Redirection> all;
  std::size_t changed = 0;
};

void redirect_in(const Object& object, Walk& walk) noexcept {
  if (object.symbols == nullptr || object.names == nullptr) return;
  for (int table = 0; table < 2; ++table) {
    for (std::size_t i = 0; i < object.counts[table]; ++i) {
      const ElfW(Rela)& entry = object.relocations[table][i];
      const auto type = ELF64_R_TYPE(entry.r_info);
      if (type != kCallSlot && type != kDataSlot) continue;
      const char* name = object.names + object.symbols[ELF64_R_SYM(entry.r_info)].st_name;
      for (const Redirection& one : walk.all)
        if (one.to != nullptr && std::strcmp(one.name, name) == 0)
          walk.changed += write_slot(object, object.base + entry.r_offset, one.to) ? 1U : 0U;
    }
  }
}

int visit(dl_phdr_info* info, std::size_t, void* argument) noexcept {
  if (!is_left_alone(info->dlpi_name)) redirect_in(read(*info), *static_cast<Walk*>(argument));
  return 0;
}

}  // namespace

std::size_t redirect_calls(std::span<const Redirection> all) noexcept {
  Walk walk{all};
  const std::lock_guard lock(modules);
  (void)::dl_iterate_phdr(&visit, &walk);
  return walk.changed;
}

}  // namespace ramie::inline v0::base
