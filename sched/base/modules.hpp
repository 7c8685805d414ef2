// The list of loaded modules (dl_iterate_phdr), which we read under a lock of our own: fork() does
// not give back the C library's lock in the child, so a child that was forked while another thread
// read the list would wait for ever. Ours is held over each fork.
#pragma once

#include "sched/base/mutex.hpp"

namespace ramie {
inline namespace v0 {
namespace base {

class Modules {
 public:
  void lock() noexcept { mutex_.lock(); }
  void unlock() noexcept { mutex_.unlock(); }

 private:
  Mutex mutex_;
};
extern constinit Modules modules;

}  // namespace base
}  // namespace v0
}  // namespace ramie
