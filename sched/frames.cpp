// See frames.hpp.
#include "sched/frames.hpp"

#include "sched/base/mutex.hpp"
#include "sched/base/sys.hpp"
#include "sched/base/thread.hpp"
#include "sched/fiber.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>

#include <fmt/format.h>

namespace ramie::inline v0::sched {

namespace {

constexpr std::size_t kMostLines = 40;
constexpr std::size_t kLastLines = 8;  // of these, from the outer end
constexpr std::size_t kMostKnown = 4096;

template <std::size_t N>
bool ends_with_any(std::string_view text, const std::array<std::string_view, N>& ends) noexcept {
  return std::any_of(ends.begin(), ends.end(),
                     [text](std::string_view end) { return text.ends_with(end); });
}
template <std::size_t N>
bool starts_with_any(std::string_view text,
                     const std::array<std::string_view, N>& starts) noexcept {
  return std::any_of(starts.begin(), starts.end(),
                     [text](std::string_view start) { return text.starts_with(start); });
}

struct Line {
  const base::Place* place;
  std::string name;  // shortened
};

// The frames through which a fiber comes to its body and parks. They are the same in every stack.
bool is_plumbing(const Line& line) noexcept {
  static constexpr std::array<std::string_view, 9> kFiles{
      "sched/context.cpp", "sched/fiber.cpp",     "sched/wait.cpp",
      "sched/wait.hpp",    "sync/wait_queue.hpp", "ramie/task.hpp",
      "ramie/runtime.hpp", "ramie/scope.hpp",     "sched/hold_check.cpp"};
  return line.name.starts_with("ramie::sched::") || ends_with_any(line.place->file, kFiles);
}

// The frames through which the C++ library, timeout() and until() call a closure.
bool is_call_helper(const Line& line) noexcept {
  static constexpr std::array<std::string_view, 8> kFiles{
      "bits/invoke.h",       "/tuple",
      "bits/std_function.h", "/functional",
      "bits/mofunc_impl.h",  "bits/move_only_function.h",
      "bits/funcwrap.h",     "bits/cpyfunc_impl.h"};
  static constexpr std::array<std::string_view, 8> kNames{"std::__invoke",
                                                          "std::invoke<",
                                                          "std::apply<",
                                                          "std::__apply_impl",
                                                          "std::_Function_handler<",
                                                          "std::function<",
                                                          "std::move_only_function<",
                                                          "std::_Mofunc_base"};
  return ends_with_any(line.place->file, kFiles) || starts_with_any(line.name, kNames) ||
         line.name.starts_with("run_guarded") ||
         line.name.starts_with("ramie::detail::run_guarded");
}

// The function belongs to this library or to C++'s; the user did not write it.
bool is_foreign(const base::Place& place) {
  const Line line{&place, base::shorten(place.function)};
  return is_plumbing(line) || is_call_helper(line) || line.name.starts_with("ramie::") ||
         line.name.starts_with("std::") || place.file.find("include/ramie/") != std::string::npos ||
         place.file.find("/include/c++/") != std::string::npos;
}

std::vector<Line> lines_of(std::span<const std::uintptr_t> stack, Symbols& symbols) {
  std::vector<Line> lines;
  for (const std::uintptr_t address : stack)
    for (const base::Place& place : symbols.at(address))
      lines.push_back({&place, base::shorten(place.function)});
  if (std::all_of(lines.begin(), lines.end(), is_plumbing)) return lines;
  lines.erase(lines.begin(), std::find_if_not(lines.begin(), lines.end(), is_plumbing));
  while (is_plumbing(lines.back()) || is_call_helper(lines.back())) lines.pop_back();
  std::erase_if(lines, is_call_helper);
  return lines;
}

// --- on a thread of its own ----------------------------------------------------------------------

constinit base::Mutex mutex;
using KnownTexts = std::map<const void*, std::string>;  // by address

KnownTexts& known_texts() {
  static KnownTexts* const known = new KnownTexts;  // never destroyed: fibers may be left behind
  return *known;
}

// Called under the mutex. Returns an empty text if there is no thread, or no memory.
std::string look_up(const void* spawned_at) noexcept {
  std::string text;
  try {
    base::Thread thread = base::start_thread([&text, spawned_at]() noexcept {
      base::sys::block_signals();
      try {
        Symbols symbols;
        text = spawn_text(spawned_at, symbols);
      } catch (const std::bad_alloc&) {
        text.clear();
      }
    });
    thread.join();
  } catch (const std::exception&) {
    text.clear();
  }
  return text;
}

std::string spawn_text_apart(const void* spawned_at) {
  [[maybe_unused]] static const bool is_forgotten_in_children =
      base::sys::in_forked_child([]() noexcept { std::construct_at(&mutex); });
  const std::lock_guard lock(mutex);
  KnownTexts& known = known_texts();
  if (const auto found = known.find(spawned_at); found != known.end()) return found->second;
  std::string text = look_up(spawned_at);
  if (!text.empty() && known.size() < kMostKnown) known.emplace(spawned_at, text);
  return text;
}

}  // namespace

std::string frames_text(std::span<const std::uintptr_t> stack, Symbols& symbols,
                        std::string_view indent) {
  const auto lines = lines_of(stack, symbols);
  std::string text;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines.size() > kMostLines && i == kMostLines - kLastLines) {
      const std::size_t left_out = lines.size() - kMostLines;
      text += fmt::format("{}... {} more\n", indent, left_out);
      i += left_out;
    }
    const bool is_signal = lines[i].name == "__restore_rt";
    text += fmt::format(
        "{}{}\n", indent,
        is_signal ? "(a signal came here; its handler is above)" : lines[i].place->text());
  }
  return text;
}

std::string frames_text(const Frames& frames) {
  Symbols symbols;
  return frames_text(frames.view(), symbols, "      ");
}

std::string spawn_text(const void* spawned_at, Symbols& symbols) {
  const auto& places = symbols.at(reinterpret_cast<std::uintptr_t>(spawned_at) - 1);
  const auto users = std::find_if_not(places.begin(), places.end(), is_foreign);
  return (users == places.end() ? places.front() : *users).text();
}

std::string describe(const FiberIdentity& fiber) {
  const std::string who = fmt::format("fiber {} '{}'", fiber.id, fiber.name.data());
  if (fiber.spawned_at == nullptr) return who;
  const std::string spawned_in = spawn_text_apart(fiber.spawned_at);
  if (spawned_in.empty()) return fmt::format("{} (spawned at {})", who, fiber.spawned_at);
  return fmt::format("{} (spawned in {})", who, spawned_in);
}

}  // namespace ramie::inline v0::sched
