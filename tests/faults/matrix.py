#!/usr/bin/env python3
"""The capability matrix: the scenario where the system gives less. For each row the error that is
documented, or the fallback that nobody notices; the process ends by itself, its promises kept.

Usage: matrix.py path/to/confined [-v]. Closes with `N passed, N failed`.
"""
import re
import subprocess
import sys

LIMIT_SECONDS = 60
# What the other end hears.
LOST = {"ECONNRESET", "ECONNABORTED", "EPIPE", "ECONNREFUSED", "ENOTCONN"}


def deny(*calls):
    return [word for call in calls for word in ("deny", call)]


def unnoticed(lines):
    return not lines


def says(*expected):
    """Exactly these lines."""
    return lambda lines: sorted(lines) == sorted(expected)


def perhaps(*expected):
    """Exactly these lines, or none: as this machine has an io_uring, which no filter sees."""
    return lambda lines: not lines or sorted(lines) == sorted(expected)


def may_say(*errors):
    """Only these errors, wherever; or none."""
    allowed = set(errors) | LOST
    return lambda lines: all(line.rsplit(": ", 1)[-1] in allowed for line in lines)


def tries_rarely(outcome, most):
    def check(lines):
        found = dict(line.split(": ") for line in lines)
        return found.get("accept") == outcome and 0 < int(found.get("tries", "0")) <= most
    return check


# Calls of files that have an older sibling, or are for speed.
WITH_FALLBACK = ("copy_file_range", "fdatasync", "openat2", "preadv", "preadv2", "pwritev",
                 "pwritev2", "readv", "statmount", "statx", "tee", "writev", "io_uring_setup")


def late(*calls):
    return [word for call in calls for word in ("late", call)]


# A filter of system calls sees nothing of what goes through a ring.
NO_RING = deny("io_uring_setup=EPERM")


def denied_rows():
    """Of each call of files, from the start, and later."""
    for error in ("EPERM", "ENOSYS"):
        for how in (deny, late):
            for call in WITH_FALLBACK:
                yield f"{call}: {error} ({how.__name__})", how(f"{call}={error}"), unnoticed
            yield (f"all of them: {error} ({how.__name__})",
                   how(*[f"{call}={error}" for call in WITH_FALLBACK]), unnoticed)
            # renameat(2) does what has no flags; glibc says EINVAL of flags that no call takes.
            refused = "EINVAL" if error == "ENOSYS" else error
            renamed = f"fs::rename_no_replace: {refused}"
            yield (f"renameat2: {error} ({how.__name__})", how(f"renameat2={error}"),
                   perhaps(renamed))
            yield (f"renameat2, no io_uring: {error} ({how.__name__})",
                   [*NO_RING, *how(f"renameat2={error}")], says(renamed))
            yield (f"inotify_init1: {error} ({how.__name__})", how(f"inotify_init1={error}"),
                   says(f"Watcher::create: {error}"))
        yield f"io_uring_enter: {error}", deny(f"io_uring_enter={error}"), unnoticed
        yield f"io_uring_register: {error}", deny(f"io_uring_register={error}"), unnoticed
    # The scenario takes this word of a file system for granted.
    yield "fallocate: ENOSYS", deny("fallocate=ENOSYS"), unnoticed
    yield "fallocate, no io_uring: ENOSYS", [*NO_RING, *deny("fallocate=ENOSYS")], unnoticed
    yield "fallocate: EPERM", deny("fallocate=EPERM"), perhaps("File::allocate: EPERM")
    yield ("fallocate, no io_uring: EPERM", [*NO_RING, *deny("fallocate=EPERM")],
           says("File::allocate: EPERM"))


OUT_OF_THREADS = says("build: EAGAIN")
TIMED_OUT = "ramie 2"

# name, arguments of `confined`, what it must say
ROWS = [
    ("nothing is missing", [], unnoticed),
    # descriptors
    ("eventfd2: EMFILE", deny("eventfd2=EMFILE"), says("build: EMFILE")),
    ("eventfd2: ENOSYS", deny("eventfd2=ENOSYS"), says("build: ENOSYS")),
    ("epoll_create1: EMFILE", deny("epoll_create1=EMFILE"), says("build: EMFILE")),
    ("epoll_ctl: ENOSPC", deny("epoll_ctl=ENOSPC"), says("build: ENOSPC")),
    ("one descriptor left", ["limit", "nofile=+1"], says("build: EMFILE")),
    ("two descriptors left", ["limit", "nofile=+2"], says("build: EMFILE")),
    ("three descriptors left", ["limit", "nofile=+3"], may_say("EMFILE", "EADDRNOTAVAIL")),
    # One client at a time: two that open sockets while the listener gives its reserve away may take
    # it from each other, and then nobody is there to close one of them.
    *[(f"{n} descriptors left", ["alone", "limit", f"nofile=+{n}"],
       may_say("EMFILE", "EAGAIN", "EADDRNOTAVAIL")) for n in range(4, 15)],
    ("socket: EACCES", deny("socket=EACCES"), may_say("EACCES", "EADDRNOTAVAIL", "EAGAIN")),
    ("openat: EMFILE", deny("openat=EMFILE"), may_say("EADDRNOTAVAIL", "EAGAIN", "EMFILE")),
    # accept: 1.2 million tries in three seconds is what a naive loop makes
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
    # what is only for comfort, or has an older sibling
    ("epoll_pwait2: ENOSYS (before 5.11)", deny("epoll_pwait2=ENOSYS"), unnoticed),
    ("epoll_pwait2: EPERM (an old seccomp profile)", deny("epoll_pwait2=EPERM"), unnoticed),
    ("getrandom: ENOSYS", deny("getrandom=ENOSYS"), unnoticed),
    ("prctl: EPERM", deny("prctl=EPERM"), unnoticed),
    ("sigaltstack: EPERM", deny("sigaltstack=EPERM"), unnoticed),
    ("sched_setaffinity: EPERM", ["pin", *deny("sched_setaffinity=EPERM")], unnoticed),
    ("rt_sigaction: EINVAL", deny("rt_sigaction=EINVAL"), says("Signal::open: EINVAL")),
    ("the overflow reporter's sigaction fails", ["plan", "sigaction 1 EINVAL"], unnoticed),
    *denied_rows(),
    ("every sigaction fails", ["plan", "sigaction 1.. EINVAL"], says("Signal::open: EINVAL")),
]


def run(program, arguments):
    """(status or what happened, lines of stdout)"""
    try:
        result = subprocess.run([program, *arguments], capture_output=True, text=True,
                                timeout=LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "it hangs", []
    return result.returncode, result.stdout.splitlines()


def main():
    program, is_verbose = sys.argv[1], "-v" in sys.argv
    passed = failed = skipped = 0
    for name, arguments, expects in ROWS:
        status, lines = run(program, arguments)
        text = "; ".join(lines) or "unnoticed"
        if status == 2 and re.search("takes no seccomp|setresuid|mlockall was", text):
            skipped += 1
            print(f"skipped: {name} | {text}")
            continue
        is_right = status == 0 and expects(lines)
        passed += is_right
        failed += not is_right
        if is_verbose or not is_right:
            print(f"{'ok' if is_right else 'FAILED'}: {name} [{' '.join(arguments)}]: "
                  f"status {status}: {text}")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
