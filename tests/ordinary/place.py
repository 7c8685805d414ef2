#!/usr/bin/env python3
"""Runs a command under the conditions of another machine; for the lane `ordinary`, and by hand.

    tests/ordinary/place.py CONDITION... -- COMMAND...

    user         without privileges; as `nobody` if this is root
    hosts=both   /etc/hosts has 127.0.0.1 and ::1 for localhost; hosts=none: there is no such file
    no-ipv6      a separate network, with a loopback that has no IPv6
    tmp=elsewhere    /tmp is read-only, and TMPDIR is another place, in memory
    proc-sys=none    /proc/sys is empty
    shm=N            /dev/shm has N MiB, such as the 64 of a container
    devices=few      /dev has only null, zero, full, random, urandom and tty; there is no /dev/shm
    files=N      the soft limit of descriptors; hard-files=N: both limits
    memlock=N    the limit of locked memory, in KiB; processes=N: of processes of this user
    cpus=1       the first CPU that this process may use
    stdin=none   descriptor 0 is closed; stdout=none: descriptor 1 is a pipe without a reader
    sigpipe=ignored    nice=N    umask=0NN    home=none    NAME=value (in the environment)
    background   SIGINT and SIGQUIT are ignored, as in a program that a script starts with &

Status 77: this machine does not allow a condition. `--check` instead of `-- COMMAND...` only tests
that.
"""
import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct
import subprocess
import sys

INSIDE = "RAMIE_PLACE"  # environment variable of the second start, in the namespaces: the user's id
NOBODY = 65534
NEEDS_MOUNTS = ("hosts=", "tmp=", "proc-sys=", "devices=", "shm=")
DENIED = 77


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def change_hosts(which):
    """Mounts a copy of /etc over it, because a missing file cannot be mounted."""
    shelf = "/mnt"
    mount("-t", "tmpfs", "-o", "mode=755", "shelf", shelf)
    subprocess.run(["cp", "-a", "--no-preserve=ownership", "/etc/.", shelf],
                   stderr=subprocess.DEVNULL, check=False)  # except secret files
    hosts = os.path.join(shelf, "hosts")
    if os.path.lexists(hosts):
        os.remove(hosts)
    if which == "both":
        with open(hosts, "w", encoding="ascii") as file:
            file.write("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
    mount("--bind", shelf, "/etc")


def change_tmp():
    mount("-t", "tmpfs", "-o", "mode=1777", "elsewhere", "/var/tmp")
    os.environ["TMPDIR"] = "/var/tmp"
    mount("--bind", "/tmp", "/tmp")
    mount("-o", "remount,bind,ro", "/tmp")


def change_devices():
    kept = ("null", "zero", "full", "random", "urandom", "tty")
    mount("-t", "tmpfs", "-o", "mode=755", "devices", "/mnt")
    for name in kept:
        with open(f"/mnt/{name}", "w", encoding="ascii"):
            pass
        mount("--bind", f"/dev/{name}", f"/mnt/{name}")
    os.symlink("/proc/self/fd", "/mnt/fd")
    mount("--rbind", "/mnt", "/dev")


def open_the_way():
    """Lets `nobody` reach this checkout below a folder that only root may read, such as /root."""
    checkout = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    ancestor = ""
    for name in checkout.split("/")[1:]:
        ancestor += "/" + name
        if os.stat(ancestor).st_mode & 0o5 != 0o5:
            break
    else:
        return
    if ancestor == checkout:
        raise OSError(f"others may not read {checkout}")
    mount("--bind", checkout, "/mnt")
    mount("-t", "tmpfs", "-o", "mode=755", "way", ancestor)
    os.makedirs(checkout, 0o755)
    mount("--bind", "/mnt", checkout)
    subprocess.run(["umount", "/mnt"], check=True)


def change_network():
    with socket.socket() as sock:
        name = struct.pack("16sh", b"lo", 1 | 0x40)  # IFF_UP, IFF_RUNNING
        fcntl.ioctl(sock, 0x8914, name)  # SIOCSIFFLAGS
    with open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w", encoding="ascii") as file:
        file.write("1")


def change_place(conditions):
    """Runs as root of our own namespaces."""
    mount("--make-rprivate", "/")
    if "user" in conditions and os.environ.get(INSIDE) == "0":
        open_the_way()
    if "no-ipv6" in conditions:
        change_network()
    for condition in conditions:
        name, _, value = condition.partition("=")
        if name == "hosts":
            change_hosts(value)
        elif name == "tmp":
            change_tmp()
        elif name == "devices":
            change_devices()
        elif name == "shm":
            mount("-t", "tmpfs", "-o", f"mode=1777,size={value}m", "shm", "/dev/shm")
        elif name == "proc-sys":
            mount("-t", "tmpfs", "-o", "ro,mode=555", "none", "/proc/sys")


def set_limit(which, soft, hard=None):
    try:
        resource.setrlimit(which, (soft, resource.getrlimit(which)[1] if hard is None else hard))
    except ValueError:
        pass  # the machine's own limit is lower


def change_process(condition):
    name, _, value = condition.partition("=")
    if name == "files":
        set_limit(resource.RLIMIT_NOFILE, int(value))
    elif name == "hard-files":
        set_limit(resource.RLIMIT_NOFILE, int(value), int(value))
    elif name == "memlock":
        set_limit(resource.RLIMIT_MEMLOCK, int(value) * 1024, int(value) * 1024)
    elif name == "processes":
        set_limit(resource.RLIMIT_NPROC, int(value), int(value))
    elif name == "cpus":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(value)])
    elif name == "sigpipe":
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    elif name == "background":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    elif name == "nice":
        os.nice(int(value))
    elif name == "umask":
        os.umask(int(value, 8))
    elif name == "home":
        os.environ.pop("HOME", None)
    elif name.isupper():
        os.environ[name] = value
    elif name not in ("user", "no-ipv6", "stdin", "stdout") and f"{name}=" not in NEEDS_MOUNTS:
        sys.exit(f"place.py: no condition is called '{condition}'")


def needs_namespaces(conditions):
    return "no-ipv6" in conditions or any(c.startswith(NEEDS_MOUNTS) for c in conditions) or (
        "user" in conditions and os.getuid() == 0)


def namespaces(conditions):
    """Returns the command that enters the needed namespaces."""
    words = ["unshare", "--mount"]
    if "no-ipv6" in conditions:
        words.append("--net")
    if os.getuid() != 0:
        words += ["--user", "--map-root-user"]
    return words


def drop_privileges(outer_user):
    """`outer_user`: the user outside that is root in these namespaces; None without them."""
    if outer_user not in (None, 0):
        # Root of a user namespace: enter another one, in which we are the user again.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x10000000) != 0:  # CLONE_NEWUSER
            sys.exit(DENIED)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{outer_user} 0 1"),
                           ("gid_map", f"{outer_user} 0 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
        libc.prctl(24, 0, 0, 0, 0)
    elif os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def main(arguments):
    if "--" in arguments:
        at = arguments.index("--")
        conditions, command = arguments[:at], arguments[at + 1:]
    elif "--check" in arguments:
        conditions, command = [a for a in arguments if a != "--check"], ["true"]
    else:
        sys.exit(__doc__)
    outer_user = os.environ.get(INSIDE)
    if outer_user is None and needs_namespaces(conditions):
        entering = namespaces(conditions)
        if subprocess.run([*entering, "true"], capture_output=True, check=False).returncode != 0:
            return DENIED
        os.environ[INSIDE] = str(os.getuid())
        os.execvp(entering[0], [*entering, sys.executable, os.path.abspath(__file__), *arguments])
    if outer_user is not None:
        outer_user = int(outer_user)
        try:
            change_place(conditions)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"place.py: {error}", file=sys.stderr)
            return DENIED
        del os.environ[INSIDE]
    if "user" in conditions:
        drop_privileges(outer_user)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them
    for condition in conditions:
        change_process(condition)
    if "stdin=none" in conditions:
        os.close(0)
    if "stdout=none" in conditions:
        reading, writing = os.pipe()
        os.dup2(writing, 1)
        for fd in (reading, writing):
            os.close(fd)
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
