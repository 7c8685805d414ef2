#!/usr/bin/env python3
"""The capability matrix: runs the scenario where the system offers less. For each row it checks
that the documented error is returned, or that a fallback is used; the process must end by itself
with its promises kept.

Usage: matrix.py path/to/confined [-v] [part of a row's name ...]. Ends with `N passed, N failed`.
"""
import concurrent.futures
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile

LIMIT_SECONDS = 60
# Most rows mostly wait.
AT_ONCE = 4
# What the other end of a connection may see.
LOST = {"ECONNRESET", "ECONNABORTED", "EPIPE", "ECONNREFUSED", "ENOTCONN"}


def deny(*calls):
    return [word for call in calls for word in ("deny", call)]


def late(*calls):
    """The program enters a sandbox after the server has started."""
    return [word for call in calls for word in ("late", call)]


def unnoticed(lines):
    return not lines


def says(*expected):
    """Exactly these lines."""
    return lambda lines: sorted(lines) == sorted(expected)


def perhaps(*expected):
    """These lines, or none where there is io_uring, which no filter sees."""
    return lambda lines: not lines or sorted(lines) == sorted(expected)


def may_say(*errors):
    """Only these errors, in any place; or none."""
    allowed = set(errors) | LOST
    return lambda lines: all(line.rsplit(": ", 1)[-1] in allowed for line in lines)


def tells(error, *places):
    """At least this error; others may see a connection end."""
    return lambda lines: (may_say(error)(lines) and
                          {f"{place}: {error}" for place in places} <= set(lines))


def tells_somewhere(error, *places):
    """The same if the program enters the sandbox after some of the places."""
    return lambda lines: may_say(error)(lines) and any(f"{p}: {error}" in lines for p in places)


class Ends:
    """The program ends with this message."""

    def __init__(self, pattern):
        self.pattern = pattern

    def fits(self, status, messages):
        return status == -signal.SIGABRT and re.search(self.pattern, messages) is not None


def tries_rarely(outcome, most):
    def check(lines):
        found = dict(line.split(": ") for line in lines)
        return found.get("accept") == outcome and 0 < int(found.get("tries", "0")) <= most
    return check


# --- calls that a sandbox denies, from the start and later ---------------------------------------
#
# Every call that the library makes, except close(2), and except what libc uses for itself: brk,
# mmap
# and munmap for threads, rseq, rt_sigreturn, exit. A process that is denied these cannot go on.

# No effect: there is another call, or it is only for speed or comfort.
ABSORBED = (
    "clock_gettime", "clock_nanosleep", "clone", "epoll_pwait", "epoll_pwait2", "epoll_wait",
    "getpid", "getrandom", "gettid", "io_uring_enter", "io_uring_register", "io_uring_setup",
    "madvise", "madvise@2:102", "prctl", "rt_sigpending", "rt_sigprocmask", "rt_sigtimedwait",
    "sched_getaffinity", "sched_setaffinity", "sched_yield", "sigaltstack", "tgkill", "write@2:8")
# The same for files, with or without io_uring: these together, or one of the others.
NEWER_ONES_OF_FILES = (
    "copy_file_range", "fdatasync", "openat2", "preadv", "preadv2", "pwritev", "pwritev2", "readv",
    "statmount", "statx", "tee", "writev")
ABSORBED_BY_FILES = (*NEWER_ONES_OF_FILES, "newfstatat", "pipe2")
# The places that return it, at least.
REPORTED = {
    "accept4": ("accept",),
    "bind": ("bind",),
    "connect": ("connect", "connect by name"),
    "fcntl": ("from_fd",),
    "getpeername": ("connect", "connect by name"),
    "getsockname": ("local_addr",),
    "getsockopt": ("connect", "connect by name"),
    "ioctl": ("SocketAddr::parse",),
    "listen": ("bind",),
    "poll": ("File::write_all to a pipe",),
    "recvfrom": ("session read", "peek"),
    "recvmsg": ("read_vectored",),
    "rt_sigaction": ("Signal::open",),
    "sendmsg": ("write_vectored",),
    "sendto": ("write_all",),
    "setsockopt": ("bind",),
    "shutdown": ("shutdown",),
    "socket": ("bind", "SocketAddr::parse"),
}
# The only places that return it, where there is no io_uring.
REPORTED_BY_FILES = {
    "fchmod": ("File::set_permissions",),
    "fchmodat": ("fs::set_permissions",),
    "flock": ("File::lock", "File::unlock"),
    "fsync": ("File::sync_all",),
    "ftruncate": ("File::set_len", "fs::copy"),
    "getdents64": ("ReadDir::next", "fs::remove_dir_all"),
    "inotify_add_watch": ("Watcher::add",),
    "inotify_init1": ("Watcher::create",),
    "inotify_rm_watch": ("Watcher::remove",),
    "linkat": ("TempFile::persist", "fs::hard_link"),
    "lseek": ("File::seek",),
    "mkdirat": ("TempDir::create_in", "fs::create_dir", "fs::create_dir_all"),
    "openat": ("OpenOptions::open", "fs::write"),
    "pwrite64": ("File::write_all_at",),
    "readlink": ("TempDir::create_in", "TempFile::create_in", "fs::canonicalize"),
    "readlinkat": ("fs::read_link",),
    "renameat": ("TempFile::persist", "fs::rename"),
    "symlinkat": ("fs::symlink",),
    "unlinkat": ("fs::remove_dir_all", "fs::remove_file"),
    "utimensat": ("File::set_times",),
}
# Used where preadv2 does not work; some file systems refuse a read that does not wait.
READS = ("pread64", "read")
# No runtime can be built. Afterwards nothing needs it, or its user returns the error.
NEEDED_TO_BUILD = ("clone3", "epoll_create1", "epoll_ctl", "eventfd2", "mmap", "mprotect")
# The process cannot go on.
ENDS = {
    ("epoll_wait", "epoll_pwait"): "fatal: a sandbox denies epoll_wait and epoll_pwait",
    ("futex",): "fatal: a sandbox denies futex",
    ("write@2:8", "writev@2:1"): "fatal: a sandbox denies write and writev",
}
# A filter of system calls does not see operations of a ring.
NO_RING = deny("io_uring_setup=EPERM")


def denied_together(error, how):
    """Calls with the same task that are denied together."""
    def row(*calls):
        name = f"{', '.join(calls)}: {error} ({how.__name__})"
        return name, how(*[f"{call}={error}" for call in calls])
    name, arguments = row(*NEWER_ONES_OF_FILES)
    yield name, arguments, unnoticed
    yield f"{name}, no io_uring", [*NO_RING, *arguments], unnoticed
    yield *row("epoll_pwait2", "epoll_wait"), unnoticed
    yield *row("pwritev2", "rt_sigtimedwait"), unnoticed
    # SIGPIPE cannot be blocked, so nothing is written to a pipe.
    yield (*row("pwritev2", "rt_sigprocmask"),
           says(*[f"{place}: {error}" for place in
                  ("File::write", "File::write to nobody", "File::write_all to a pipe")]))
    yield *row("getpid", "tgkill"), unnoticed
    for calls, pattern in ENDS.items():
        yield *row(*calls), Ends(pattern)


def denied_rows():
    for error, how in itertools.product(("EPERM", "ENOSYS"), (deny, late)):
        def name(call):
            return f"{call}: {error} ({how.__name__})"
        for call in ABSORBED:
            yield name(call), how(f"{call}={error}"), unnoticed
        for call in ABSORBED_BY_FILES:
            yield name(call), how(f"{call}={error}"), unnoticed
            yield name(call + ", no io_uring"), [*NO_RING, *how(f"{call}={error}")], unnoticed
        for call, places in REPORTED.items():
            if (call, error) != ("accept4", "EPERM"):  # accept pauses: see below
                expects = tells if how is deny else tells_somewhere
                yield name(call), how(f"{call}={error}"), expects(error, *places)
        for call, places in REPORTED_BY_FILES.items():
            yield (name(call + ", no io_uring"), [*NO_RING, *how(f"{call}={error}")],
                   says(*[f"{place}: {error}" for place in places]))
            yield name(call), how(f"{call}={error}"), may_say(error)
        for call in READS:
            places = ("File::read", "Watcher::next", "fs::read") if call == "read" else ()
            yield (name(call + ", no io_uring"), [*NO_RING, *how(f"{call}={error}")],
                   tells(error, *places))
            yield name(call), how(f"{call}={error}"), may_say(error)
        for call in NEEDED_TO_BUILD:
            if (call, error) == ("clone3", "ENOSYS"):  # an old container: see below
                continue
            expects = says(f"build: {error}") if how is deny else may_say(error, "ENOMEM", "EAGAIN")
            yield name(call), how(f"{call}={error}"), expects
        yield from denied_together(error, how)
        # Without flags renameat(2) is used. glibc returns EINVAL for flags that no call supports.
        renamed = f"fs::rename_no_replace: {'EINVAL' if error == 'ENOSYS' else error}"
        yield name("renameat2"), how(f"renameat2={error}"), perhaps(renamed)
        yield (name("renameat2, no io_uring"), [*NO_RING, *how(f"renameat2={error}")],
               says(renamed))
        # The scenario accepts ENOSYS, which file systems return too.
        allocated = says("File::allocate: EPERM") if error == "EPERM" else unnoticed
        yield name("fallocate, no io_uring"), [*NO_RING, *how(f"fallocate={error}")], allocated


OUT_OF_THREADS = says("build: EAGAIN")
TIMED_OUT = "ramie 2"

# name, arguments of `confined`, expected output
ROWS = [
    ("nothing is missing", [], unnoticed),
    # descriptors
    ("eventfd2: EMFILE", deny("eventfd2=EMFILE"), says("build: EMFILE")),
    ("epoll_create1: EMFILE", deny("epoll_create1=EMFILE"), says("build: EMFILE")),
    ("epoll_ctl: ENOSPC", deny("epoll_ctl=ENOSPC"), says("build: ENOSPC")),
    ("one descriptor left", ["limit", "nofile=+1"], says("build: EMFILE")),
    ("two descriptors left", ["limit", "nofile=+2"], says("build: EMFILE")),
    ("three descriptors left", ["limit", "nofile=+3"], may_say("EMFILE", "EADDRNOTAVAIL")),
    # One client at a time. While the listener gives its reserve away, two that open sockets may
    # take
    # it from each other, and then no descriptor is left to close one of them.
    *[(f"{n} descriptors left", ["alone", "limit", f"nofile=+{n}"],
       may_say("EMFILE", "EAGAIN", "EADDRNOTAVAIL")) for n in range(4, 15)],
    ("socket: EACCES", deny("socket=EACCES"), may_say("EACCES", "EADDRNOTAVAIL", "EAGAIN")),
    ("openat: EMFILE", deny("openat=EMFILE"), may_say("EADDRNOTAVAIL", "EAGAIN", "EMFILE")),
    # accept: a naive loop makes 1.2 million tries in three seconds
    ("accept4: always EMFILE", ["accept", *deny("accept4=EMFILE")], tries_rarely(TIMED_OUT, 40)),
    ("accept4: always ENOMEM", ["accept", *deny("accept4=ENOMEM")], tries_rarely(TIMED_OUT, 40)),
    ("accept4: always EPERM", ["accept", *deny("accept4=EPERM")], tries_rarely(TIMED_OUT, 3000)),
    ("accept4: EINVAL", ["accept", *deny("accept4=EINVAL")], tries_rarely("EINVAL", 1)),
    # threads
    ("no threads: clone, clone3", deny("clone=EAGAIN", "clone3=EAGAIN"), OUT_OF_THREADS),
    ("clone3: ENOSYS (an old container)", deny("clone3=ENOSYS"), unnoticed),
    ("no process more (RLIMIT_NPROC)", ["limit", "nproc=1"], OUT_OF_THREADS),
    # memory
    ("RLIMIT_MEMLOCK 0", ["limit", "memlock=0"], unnoticed),
    ("all memory is locked", ["small", "lock"], unnoticed),
    ("madvise has no guards: EINVAL", deny("madvise@2:102=EINVAL"), unnoticed),
    ("no guards at all", deny("madvise@2:102=EINVAL", "mprotect=ENOMEM"),
     may_say("ENOMEM", "EAGAIN")),
    *[(f"{n} MiB of address space left", ["small", "limit", f"as=+{n}"],
       may_say("ENOMEM", "EAGAIN", "EADDRNOTAVAIL")) for n in
      (0, 1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256)],
    ("sched_setaffinity: EPERM", ["pin", *deny("sched_setaffinity=EPERM")], unnoticed),
    ("rt_sigaction: EINVAL", deny("rt_sigaction=EINVAL"), says("Signal::open: EINVAL")),
    ("the overflow reporter's sigaction fails", ["plan", "sigaction 1 EINVAL"], unnoticed),
    *denied_rows(),
    ("every sigaction fails", ["plan", "sigaction 1.. EINVAL"], says("Signal::open: EINVAL")),
]


def run(program, row, folder):
    """Returns (status or what happened, lines of stdout, stderr)."""
    try:
        result = subprocess.run([program, *row[1]], capture_output=True, text=True,
                                timeout=LIMIT_SECONDS, check=False,
                                env={**os.environ, "TMPDIR": folder})
    except subprocess.TimeoutExpired:
        return "it hangs", [], ""
    return result.returncode, result.stdout.splitlines(), result.stderr


def is_as_expected(expects, status, lines, messages):
    if isinstance(expects, Ends):
        return expects.fits(status, messages)
    return status == 0 and expects(lines)


def main():
    program = sys.argv[1]
    is_verbose = "-v" in sys.argv
    wanted = [word for word in sys.argv[2:] if word != "-v"]
    rows = [row for row in ROWS if not wanted or any(word in row[0] for word in wanted)]
    passed = failed = skipped = 0
    # A run cannot remove files if it is denied that.
    with tempfile.TemporaryDirectory(prefix="ramie-matrix-") as folder, \
            concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        results = pool.map(lambda row: run(program, row, folder), rows)
        for (name, arguments, expects), (status, lines, messages) in zip(rows, results):
            text = "; ".join(lines) or "unnoticed"
            if status == 2 and re.search("takes no seccomp|setresuid|mlockall was", text):
                skipped += 1
                print(f"skipped: {name} | {text}")
                continue
            is_right = is_as_expected(expects, status, lines, messages)
            passed += is_right
            failed += not is_right
            if is_verbose or not is_right:
                print(f"{'ok' if is_right else 'FAILED'}: {name} [{' '.join(arguments)}]: "
                      f"status {status}: {text} | {messages.strip()}")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
