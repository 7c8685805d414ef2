// See symbols.hpp. Uses GCC's libbacktrace where it is installed, else the dynamic linker, which
// knows only exported functions.
#include "sched/base/symbols.hpp"

#include "sched/base/modules.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#if RAMIE_BACKTRACE
// Its header is in GCC's own folder, where Clang does not look.
extern "C" {
struct backtrace_state;
using backtrace_error = void (*)(void*, const char*, int);
using backtrace_full = int (*)(void*, std::uintptr_t, const char*, int, const char*);
using backtrace_symbol = void (*)(void*, std::uintptr_t, const char*, std::uintptr_t,
                                  std::uintptr_t);
backtrace_state* backtrace_create_state(const char*, int threaded, backtrace_error, void*);
int backtrace_pcinfo(backtrace_state*, std::uintptr_t, backtrace_full, backtrace_error, void*);
int backtrace_syminfo(backtrace_state*, std::uintptr_t, backtrace_symbol, backtrace_error, void*);
}
#endif

namespace ramie::inline v0::base {

namespace {

// Inline namespaces tell readers nothing.
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

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

// `operator<` and the like open no template arguments, and `->` closes none.
bool opens_list(std::string_view text, std::size_t at) noexcept {
  const std::string_view before = text.substr(0, at);
  return text[at] == '<' && !before.ends_with("operator") && !before.ends_with("operator<");
}
bool closes_list(std::string_view text, std::size_t at) noexcept {
  const std::string_view before = text.substr(0, at);
  return text[at] == '>' && !before.ends_with('-') && !before.ends_with("operator") &&
         !before.ends_with("operator>");
}

// Where the name begins: after the last space outside brackets, before the parameters. The name of
// a template has the type of its result in front.
std::size_t begin_of_name(std::string_view text) noexcept {
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (opens_list(text, at) || c == '{' || c == '[') ++depth;
    if (c == '(') {
      const bool is_parameters = depth == 0 && !text.substr(0, at).ends_with("decltype") &&
                                 !text.substr(at).starts_with("(anonymous") &&
                                 !text.substr(0, at).ends_with("operator");
      if (is_parameters) return begin;
      ++depth;
    }
    if ((closes_list(text, at) || c == ')' || c == '}' || c == ']') && depth > 0) --depth;
    const bool is_operator = text.substr(begin, at - begin).find("operator") != text.npos;
    if (c == ' ' && depth == 0 && !is_operator) begin = at + 1;
  }
  return begin;
}

// `f<int, g<long> >(h<int>)` becomes `f<...>(h<...>)`; lambdas keep their names.
std::string without_arguments(std::string_view text) {
  std::string plain;
  int depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool is_name = text.substr(at).starts_with("<lambda") && depth == 0;
    if (is_name) {
      plain += "<lambda>";
      int inner = 0;
      do {
        if (text[at] == '<') ++inner;
        else if (closes_list(text, at)) --inner;
      } while (inner != 0 && ++at < text.size());
      continue;
    }
    if (opens_list(text, at) && depth++ == 0) plain += "<...>";
    if (depth == 0) plain += text[at];
    if (closes_list(text, at) && depth > 0) --depth;
  }
  return plain;
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

// libbacktrace calls these functions. It is written in C, so they throw nothing.
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
  // Not a static object: a fork during its initialisation would leave it half initialised in the
  // child. Two threads may both make one; the loser's stays, too, since no call would free it.
  static constinit std::atomic<backtrace_state*> shared{nullptr};
  backtrace_state* state = shared.load(std::memory_order_acquire);
  if (state == nullptr) {
    backtrace_state* made = backtrace_create_state(nullptr, 1, &ignore, nullptr);
    if (shared.compare_exchange_strong(state, made, std::memory_order_acq_rel)) state = made;
  }
  Found found;
  std::vector<Place>& places = found.places;
  if (state == nullptr) return {};
  const std::lock_guard lock(modules);
  (void)backtrace_pcinfo(state, address, &add_line, &ignore, &found);
  // The line table has no name for code from an assembler. The symbol table may have one.
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

std::string shorten(std::string_view function, std::size_t most) {
  std::string text(function.substr(begin_of_name(function)));
  replace_all(text, "[abi:cxx11]", "");
  replace_all(text,
              "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >",
              "std::string");
  replace_all(text, "std::basic_string_view<char, std::char_traits<char> >", "std::string_view");
  if (text.size() > most) text = without_arguments(text);
  const std::size_t parameters = text.find('(', text.starts_with("(anonymous") ? 1 : 0);
  if (text.size() > most && parameters != std::string::npos && parameters != 0)
    text = text.substr(0, parameters) + "(...)";
  if (text.size() > most) text = text.substr(0, most) + "...";
  return text;
}

std::string Place::text() const {
  if (file.empty()) return shorten(function);
  return fmt::format("{} at {}:{}", shorten(function), last_part(file.c_str()), line);
}

std::vector<Place> places_of(std::uintptr_t address) {
  auto places = from_debug_information(address);
  if (places.empty()) places.push_back(from_dynamic_linker(address));
  return places;
}

}  // namespace ramie::inline v0::base
