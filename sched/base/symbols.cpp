// See symbols.hpp. By GCC's libbacktrace where it is installed, else by the dynamic linker, which
// knows exported functions only.
#include "sched/base/symbols.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#if RAMIE_BACKTRACE
// Its header lies in GCC's own folder, where Clang does not look.
extern "C" {
struct backtrace_state;
using backtrace_error = void (*)(void*, const char*, int);
using backtrace_full = int (*)(void*, std::uintptr_t, const char*, int, const char*);
using backtrace_symbol =
    void (*)(void*, std::uintptr_t, const char*, std::uintptr_t, std::uintptr_t);
backtrace_state* backtrace_create_state(const char*, int threaded, backtrace_error, void*);
int backtrace_pcinfo(backtrace_state*, std::uintptr_t, backtrace_full, backtrace_error, void*);
int backtrace_syminfo(backtrace_state*, std::uintptr_t, backtrace_symbol, backtrace_error, void*);
}
#endif

namespace ramie {
inline namespace v0 {
namespace base {

namespace {

// Inline namespaces say nothing to readers.
std::string demangle(const char* name) {
  if (name == nullptr) return {};
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> plain(
      abi::__cxa_demangle(name, nullptr, nullptr, &status), &std::free);
  std::string text = status == 0 && plain != nullptr ? plain.get() : name;
  constexpr std::string_view kInline = "ramie::v0::";
  for (std::size_t at = 0; (at = text.find(kInline, at)) != std::string::npos;)
    text.replace(at, kInline.size(), "ramie::");
  return text;
}

std::string last_part(const char* path) {
  const std::string_view whole = path == nullptr ? std::string_view() : path;
  return std::string(whole.substr(whole.rfind('/') + 1));
}

#if RAMIE_BACKTRACE

void ignore(void*, const char*, int) {}

struct Found {
  std::vector<Place> places;
  std::string symbol;
  bool has_memory = true;
};

// The library calls these, and is C: nothing is thrown through it.
int add_line(void* to, std::uintptr_t, const char* file, int line, const char* function) {
  Found& found = *static_cast<Found*>(to);
  try {
    if (file != nullptr || function != nullptr)
      found.places.push_back({demangle(function), file == nullptr ? "" : file, line});
  } catch (const std::bad_alloc&) {
    found.has_memory = false;
  }
  return 0;
}

void set_symbol(void* to, std::uintptr_t, const char* name, std::uintptr_t, std::uintptr_t) {
  Found& found = *static_cast<Found*>(to);
  try {
    found.symbol = demangle(name);
  } catch (const std::bad_alloc&) {
    found.has_memory = false;
  }
}

std::vector<Place> from_debug_information(std::uintptr_t address) {
  static backtrace_state* const state = backtrace_create_state(nullptr, 1, &ignore, nullptr);
  Found found;
  std::vector<Place>& places = found.places;
  if (state == nullptr) return {};
  (void)backtrace_pcinfo(state, address, &add_line, &ignore, &found);
  // The line table has no name for code from an assembler, the symbol table may have one.
  if (places.empty() || places.back().function.empty()) {
    (void)backtrace_syminfo(state, address, &set_symbol, &ignore, &found);
    if (places.empty() && !found.symbol.empty()) places.emplace_back();
    if (!places.empty()) places.back().function = std::move(found.symbol);
  }
  if (!found.has_memory) throw std::bad_alloc();
  return std::move(places);
}

#else

std::vector<Place> from_debug_information(std::uintptr_t) { return {}; }

#endif

Place from_dynamic_linker(std::uintptr_t address) {
  Dl_info info{};
  Place place;
  if (::dladdr(reinterpret_cast<void*>(address), &info) == 0) {
    place.function = fmt::format("{:#x}", address);
  } else if (info.dli_sname != nullptr) {
    place.function = demangle(info.dli_sname);
  } else {
    const auto base = reinterpret_cast<std::uintptr_t>(info.dli_fbase);
    place.function = fmt::format("{}+{:#x}", last_part(info.dli_fname), address - base);
  }
  return place;
}

}  // namespace

std::string Place::text() const {
  if (file.empty()) return function;
  return fmt::format("{} at {}:{}", function, last_part(file.c_str()), line);
}

std::vector<Place> places_of(std::uintptr_t address) {
  auto places = from_debug_information(address);
  if (places.empty()) places.push_back(from_dynamic_linker(address));
  return places;
}

}  // namespace base
}  // namespace v0
}  // namespace ramie
