// What the threads of a model wait on: each other, locks, kernel events, futexes. All of them
// block in the checker's eyes, so a wake-up that nobody sends is a deadlock it reports.
#pragma once

#include "tests/model/execution.hpp"
#include "tests/model/location.hpp"

#include <cstdint>
#include <functional>

namespace ramie::model {

// A thread of the model; joined when it goes out of scope.
class Thread {
 public:
  explicit Thread(std::function<void()> body);
  ~Thread() { join(); }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  void join();
  void detach() { joined_ = true; }
  void hear_from() const;  // what it has done so far happened before what we do next

 private:
  int id_;
  bool joined_ = false;
};

// Something that others must let happen first: the thread runs on after another one has made a
// step, and sees the newest stores then. Every spin needs one.
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

// A kernel object with a counter, such as an eventfd: signals add up, a wait takes them all.
class Event {
 public:
  Event() { footprint_.be_made(); }
  ~Event() { footprint_.be_destroyed(); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void signal();
  void wait() { (void)wait(false); }
  // False: the time was over. It may be over at any time.
  [[nodiscard]] bool wait_for() { return wait(true); }

 private:
  [[nodiscard]] bool wait(bool timed);

  Footprint footprint_;
  int signals_ = 0;
  View sent_;
};

// The kernel's futex: looks at the newest value of `word` and sleeps if it is `expected`, in one
// step. A wake-up orders nothing: the woken thread must load what it wants to know. True: woken
// or not equal (or spuriously, with that option); false: the time was over. The wake side takes
// only the address: the word may be gone by then. `Atomic` overloads stand in atomic.hpp.
bool futex_wait(const void* address, Location& word, Word expected, bool timed,
                Word mask = ~Word{0});
int futex_wake(const void* address, int count);

}  // namespace ramie::model
