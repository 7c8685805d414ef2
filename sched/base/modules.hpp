// The list of loaded modules (dl_iterate_phdr), read under a lock of our own. fork() does not
// release the C library's lock in the child, so a child that was forked while another thread read
// the list would wait for ever. Our lock is held over each fork.
#pragma once

#include "sched/base/mutex.hpp"

namespace ramie::inline v0::base {

class Modules {
 public:
  void lock() noexcept { mutex_.lock(); }
  void unlock() noexcept { mutex_.unlock(); }

 private:
  Mutex mutex_;
};
extern constinit Modules modules;

}  // namespace ramie::inline v0::base
