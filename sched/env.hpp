// How code above this layer finds its own part of the runtime that a fiber belongs to. This layer
// keeps the pointers and does not know the classes: one of the three places where a lower layer
// refers to a higher one (the others are driver.hpp and park_site.hpp).
//
//   class Handle : public sched::EnvPart {          io, signal, uring, runtime
//     static constexpr Place kPlace = Place::...;   no two classes have the same place
//   };
//   scheduler->env.set(handle);                     the runtime, before the workers start
//   scheduler->env.find<Handle>();                  Handle::current()
//
// Rejected: forward declarations of the upper classes (each new layer would edit this one by name),
// and a map from types to pointers (a lookup on the way of every system call that waits).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace ramie::inline v0::sched {

enum class WaitKind : std::uint8_t;

class EnvPart {
 public:
  enum class Place : std::uint8_t { readiness, signals, rings, runtime, count };

 protected:
  EnvPart() noexcept = default;
  ~EnvPart() = default;
};

class Env {
 public:
  template <class Part>
  void set(Part& part) noexcept {
    parts_[static_cast<std::size_t>(Part::kPlace)] = &part;
  }
  // Null if this runtime has no such part.
  template <class Part>
  Part* find() const noexcept {
    return static_cast<Part*>(parts_[static_cast<std::size_t>(Part::kPlace)]);
  }

  // For dumps: what a fiber waits on, as text. Empty if the layers above do not know the object.
  std::string (*describe)(WaitKind kind, const void* object) = nullptr;
  // For the deadlock report: a signal of the process may still wake a fiber.
  bool (*expects_signals)() noexcept = nullptr;

 private:
  std::array<EnvPart*, static_cast<std::size_t>(EnvPart::Place::count)> parts_{};
};

}  // namespace ramie::inline v0::sched
