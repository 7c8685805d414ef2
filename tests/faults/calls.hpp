// Every system call that passes the fault injection, with the errors that Linux documents for it,
// and what the program gets for each.
#pragma once

#include <cerrno>
#include <string_view>
#include <vector>

namespace faults {

enum class Answer {
  reported,              // some call of the library returns this error
  absorbed,              // no error: retried, done in another way, or not essential
  either,                // depends on the use; others may see a connection end
  reported_if_it_lasts,  // once: either; the same call is also the other way
};

struct Call {
  std::string_view name;
  std::vector<int> errors;
  Answer answer;
  std::string_view with = {};  // what must fail too, so that the call is made
};

// Left out, because the kernel never returns it in our use, and code that believed it would hang:
// EAGAIN where there is data (edge-triggered), ENOTCONN of an open connection, EINPROGRESS without
// a beginning. Also left out: epoll_wait's EBADF, EFAULT and EINVAL, which stop the program.
inline std::vector<Call> other_calls() {
  using enum Answer;
  return {
      {"accept4", {EINTR, ECONNABORTED, EPROTO, EPERM, ENETDOWN, EHOSTUNREACH}, absorbed},
      {"accept4", {EMFILE, ENFILE}, either},  // one connection is closed for each
      {"accept4", {ENOBUFS, ENOMEM}, absorbed},
      {"accept4", {EINVAL, ENOTSOCK}, reported},
      {"bind", {EACCES, EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOMEM}, reported},
      {"clone", {EAGAIN}, either},  // the pool may have another thread
      {"connect", {EINTR}, absorbed},
      {"connect", {EACCES, EADDRNOTAVAIL, ECONNREFUSED, ENETUNREACH, EPERM, ETIMEDOUT}, reported},
      {"epoll_create1", {EMFILE, ENFILE, ENOMEM}, reported},
      {"epoll_ctl", {ENOMEM, ENOSPC}, either},  // accept pauses, connect returns it
      {"epoll_pwait2", {EINTR, ENOSYS, EPERM}, absorbed},
      {"epoll_wait", {EINTR}, absorbed},
      {"eventfd", {EMFILE, ENFILE, ENODEV, ENOMEM}, either},  // for a ring: the pool does it
      {"fcntl", {EBADF}, reported},
      {"futex_wait", {EINTR, EAGAIN, ETIMEDOUT}, absorbed},
      {"getaddrinfo", {EIO, EMFILE, ENOMEM}, reported},
      {"getpeername", {ENOBUFS}, reported},
      {"getrandom", {EAGAIN, EINTR, ENOSYS}, absorbed},
      {"getsockname", {ENOBUFS}, reported},
      {"getsockopt", {ENOPROTOOPT, ENOBUFS}, reported},
      {"if_nametoindex", {EMFILE, ENFILE, ENOMEM}, reported},
      {"listen", {EADDRINUSE, EOPNOTSUPP}, reported},
      {"madvise", {EINVAL}, absorbed},        // mprotect does it
      {"madvise", {EAGAIN, ENOMEM}, either},  // for the guard, or only as advice
      {"mmap", {EAGAIN, ENOMEM}, reported},
      {"mprotect", {EACCES, ENOMEM}, reported, "madvise 1.. EINVAL"},
      {"munmap", {EINVAL, ENOMEM}, absorbed},
      {"open", {EACCES, EINTR, EMFILE, ENFILE, ENOENT, ENOMEM}, absorbed},
      {"poll", {EINTR, EINVAL, ENOMEM}, either, "accept4 every=3 EMFILE"},
      {"prctl", {EINVAL, EPERM}, absorbed},
      {"read_eventfd", {EAGAIN, EINTR}, absorbed, "write_eventfd every=2 EAGAIN"},
      {"recv", {EINTR}, absorbed},
      {"recv", {ECONNRESET, EHOSTUNREACH, ENOMEM, ETIMEDOUT}, reported},
      {"recvmsg", {EINTR}, absorbed},
      {"recvmsg", {ECONNRESET, EHOSTUNREACH, ENOMEM, ETIMEDOUT}, reported},
      {"sched_getaffinity", {EFAULT, EINVAL, EPERM}, absorbed},
      {"sched_setaffinity", {EINVAL, EPERM}, absorbed},
      {"send", {EINTR}, absorbed},
      {"send", {ECONNRESET, ENOBUFS, ENOMEM, EPIPE}, reported},
      {"sendmsg", {EINTR}, absorbed},
      {"sendmsg", {ECONNRESET, ENOBUFS, ENOMEM, EPIPE}, reported},
      {"setsockopt", {EINVAL, ENOBUFS, ENOMEM, ENOPROTOOPT}, reported},
      {"shutdown", {EBADF, ENOTSOCK}, reported},
      {"sigaltstack", {ENOMEM, EPERM}, absorbed},
      {"socket", {EACCES, EAFNOSUPPORT, EMFILE, ENFILE, ENOBUFS, ENOMEM}, reported},
      {"write_eventfd", {EAGAIN, EINTR}, absorbed},
  };
}

inline std::vector<Call> file_calls() {
  using enum Answer;
  return {
      {"close_file", {EIO, ENOSPC}, either},  // a destructor drops it
      {"dup_stream", {EMFILE}, reported},
      {"fallocate", {EINTR}, absorbed},
      {"fallocate", {EFBIG, EIO, ENOSPC}, reported},
      {"fchmod", {EIO, EPERM, EROFS}, reported},
      {"fcntl_set", {EBADF}, reported},
      {"fcntl_file", {EBADF}, either},  // File::from_fd() ignores it
      {"fdatasync", {EIO, ENOSPC}, reported},
      {"flock", {EINTR}, absorbed},
      {"flock", {EAGAIN}, either},  // lock() asks again
      {"flock", {EBADF, ENOLCK}, reported},
      {"fstat", {EPERM}, absorbed},  // lseek() tells a pipe from a file
      {"fsync", {EIO, ENOSPC}, reported},
      {"ftruncate", {EINTR}, absorbed},
      {"ftruncate", {EIO, EFBIG, EPERM}, reported},
      {"futimens", {EACCES, EPERM, EROFS}, reported},
      {"lseek", {EINVAL}, reported},
      {"openat", {EINTR}, absorbed},
      {"openat", {EACCES, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSPC}, reported},
      {"openat2", {EAGAIN, EMFILE, ENOENT, ENOSYS, EPERM}, absorbed},  // then openat() decides
      {"poll_stream", {EINTR}, absorbed},
      {"poll_stream", {ENOMEM}, either},
      {"preadv2", {EINTR}, absorbed},
      {"preadv2", {EAGAIN}, either},  // a try without waiting is repeated with waiting
      {"preadv2", {EIO, ENOMEM}, reported},
      {"pwritev2", {EINTR}, absorbed},
      {"pwritev2", {EAGAIN}, either},
      {"pwritev2", {ENOSYS, EPERM}, reported_if_it_lasts},  // the second call may wait
      {"pwritev2", {EFBIG, EIO, ENOSPC}, reported},
      {"statx", {EINTR}, absorbed, "openat2 1.. ENOSYS; statx_known 1.. EIO"},
      {"statx", {EACCES, EIO, ENOMEM}, reported, "openat2 1.. ENOSYS; statx_known 1.. EIO"},
      {"statmount", {ENOSYS, EPERM}, absorbed},
      {"statx_known", {EIO}, absorbed},
      {"tee", {EMFILE, ENOSYS, EPERM}, absorbed},  // then the first byte or the end decides
      {"write_stream", {EINTR}, absorbed},
      {"write_stream", {ENOMEM, EPIPE}, reported},
  };
}

inline std::vector<Call> directory_calls() {
  using enum Answer;
  return {
      {"copy_file_range", {EINTR, EXDEV, EINVAL, EOPNOTSUPP, ENOSYS, EPERM}, absorbed},
      {"copy_file_range", {EIO, ENOMEM, ENOSPC}, reported},
      {"fchmodat", {EINTR}, absorbed},
      {"fchmodat", {EIO, EPERM, EROFS}, reported},
      {"getdents64", {EIO, ENOMEM}, reported},
      {"inotify_add_watch", {EACCES, ENOMEM, ENOSPC}, reported},
      {"inotify_init1", {EMFILE, ENFILE, ENOMEM}, reported},
      {"inotify_rm_watch", {EINVAL}, reported},
      {"io_uring_enter", {EAGAIN, EBUSY, EINTR}, absorbed},
      {"io_uring_setup", {EPERM, ENOSYS, EINVAL, ENOMEM, EMFILE}, absorbed},  // the pool does it
      {"linkat", {EINTR}, absorbed},
      {"linkat", {EACCES, EMLINK, ENOSPC, EPERM, EXDEV}, reported},
      {"mkdirat", {EINTR}, absorbed},
      {"mkdirat", {EACCES, EMLINK, ENOSPC, EROFS}, reported},
      {"read_inotify", {EINTR}, absorbed},
      {"read_inotify", {EIO}, reported},
      {"readlinkat", {EACCES, EIO}, reported},
      {"realpath", {EACCES, EIO, ELOOP}, reported},
      {"renameat2", {EINTR}, absorbed},
      {"renameat2", {EACCES, EBUSY, ENOSPC, EXDEV}, reported},
      {"symlinkat", {EINTR}, absorbed},
      {"symlinkat", {EACCES, ENOSPC, EROFS}, reported},
      {"uring_op", {EACCES, ECANCELED, EINTR, EPERM}, absorbed},  // the pool does it
      {"unlinkat", {EINTR}, absorbed},
      {"unlinkat", {EACCES, EBUSY, EIO, EPERM}, reported},
  };
}

inline const std::vector<Call>& calls() {
  static const std::vector<Call> all = [] {
    std::vector<Call> together = other_calls();
    for (const auto& more : {file_calls(), directory_calls()})
      together.insert(together.end(), more.begin(), more.end());
    return together;
  }();
  return all;
}

}  // namespace faults
