// What the threads of a model wait for: each other, locks, kernel events, futexes. The checker
// knows that they block, so it reports a missing wake-up as a deadlock.
#pragma once

#include "tests/model/execution.hpp"
#include "tests/model/location.hpp"

#include <cstdint>
#include <functional>

namespace ramie::model {

// A thread of the model. Joined when it goes out of scope.
class Thread {
 public:
  explicit Thread(std::function<void()> body);
  ~Thread() { join(); }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  void join();
  void detach() { joined_ = true; }
  void hear_from() const;  // orders what it has done so far before what we do next

 private:
  int id_;
  bool joined_ = false;
};

// Waits for another thread: the thread continues after another one has made a step, and then sees
// the newest stores. Every spin needs a yield().
inline void yield() { Execution::current().yield(); }
inline void pause() { yield(); }

class Mutex {
 public:
  Mutex() { footprint_.be_made(); }
  ~Mutex();
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  void lock();
  [[nodiscard]] bool try_lock();
  void unlock();

 private:
  void touch();

  Footprint footprint_;
  int owner_ = -1;
  View released_;
  Clock touched_;
};

// A kernel object with a counter, such as an eventfd: signals add up, and a wait takes them all.
class Event {
 public:
  Event() { footprint_.be_made(); }
  ~Event() { footprint_.be_destroyed(); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void signal();
  void wait() { (void)wait(false); }
  // Returns false if the time is over. It may be over at any time.
  [[nodiscard]] bool wait_for() { return wait(true); }

 private:
  [[nodiscard]] bool wait(bool timed);

  Footprint footprint_;
  int signals_ = 0;
  View sent_;
};

// The kernel's futex: reads the newest value of `word` and sleeps if it is `expected`, in one step.
// A wake-up orders nothing, so the woken thread must load what it needs. Returns true if it was
// woken or the value was not equal (or spuriously, with that option), false if the time was over.
// The waking side uses only the address: the word may be gone by then. The `Atomic` overloads are
// in atomic.hpp.
bool futex_wait(const void* address, Location& word, Word expected, bool timed,
                Word mask = ~Word{0});
int futex_wake(const void* address, int count);

}  // namespace ramie::model
