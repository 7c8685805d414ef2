#!/usr/bin/env python3
"""Tries what the README promises, to the letter, in Debian 12 roots that debootstrap has just made.

    bare.py                  every trial; takes half an hour, needs root and the network
    bare.py NAME...          some: pkg-config cmake fetch meson deb test

Each trial gets a root of its own with our source archive unpacked in /root/ramie, and counts its
commands: at most three, and what they need they install themselves. Then the echo server of the
README answers. The installed ones are removed again, and no file stays.
"""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BASE = "/var/tmp/ramie-bare"  # the root that the others are copies of
ANSWER = r"""
python3 - <<'END'
import socket, subprocess, time
server = subprocess.Popen(["%s"])
for _ in range(500):
    try:
        peer = socket.create_connection(("127.0.0.1", 7000))
        break
    except ConnectionRefusedError:
        assert server.poll() is None, "the server ended"
        time.sleep(0.01)
peer.sendall(b"hello\n")
assert peer.recv(100) == b"hello\n"
peer.close()
server.terminate()
assert server.wait(30) == 0
END
"""
COMPILE = "g++ -O2 server.cpp $(pkg-config --cflags --libs ramie) -o server"


def host(*command, **options):
    subprocess.run(command, check=True, **options)


class Place:
    """A root of its own, with a network of its own, so that port 7000 is free."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, command, where="/root/ramie"):
        done = subprocess.run(
            ["chroot", self.folder, "/bin/bash", "-c", f"cd {where} && {command}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                 "HOME": "/root", "LANG": "C.UTF-8", **proxies()})
        if done.returncode:
            raise SystemExit(f"failed: {command}\n{done.stdout[-6000:]}")
        return done.stdout

    def files(self):
        """What stands where we install."""
        found = set()
        for top in ("usr/local", "usr/include", "usr/lib/x86_64-linux-gnu", "usr/share", "usr/bin"):
            for folder, _, names in os.walk(os.path.join(self.folder, top)):
                found |= {os.path.join(folder, name)[len(self.folder):] for name in names}
        return {path for path in found if "ramie" in path}


def proxies():
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


def make_base():
    """Debian's smallest root, with the package sources of this machine."""
    if os.path.exists(BASE + "/etc/debian_version"):
        return
    shutil.rmtree(BASE, ignore_errors=True)
    policy = subprocess.run(["apt-cache", "policy"], capture_output=True, text=True, check=True)
    mirror = re.search(r"(http\S+) bookworm/main", policy.stdout).group(1)
    host("debootstrap", "--variant=minbase", "bookworm", BASE, mirror, stdout=subprocess.DEVNULL)
    for path in ("/etc/apt/sources.list", "/etc/apt/sources.list.d", "/etc/apt/apt.conf.d",
                 "/etc/apt/trusted.gpg.d", "/usr/share/keyrings", "/etc/ssl/certs",
                 "/usr/local/share/ca-certificates"):
        if os.path.isdir(path):
            shutil.copytree(path, BASE + path, dirs_exist_ok=True, symlinks=True)
        elif os.path.exists(path):
            shutil.copy(path, BASE + path)
    if os.path.exists("/etc/apt/sources.list.d/debian.sources"):
        os.remove(BASE + "/etc/apt/sources.list")  # the mirror twice


@contextlib.contextmanager
def place(name, source):
    folder = tempfile.mkdtemp(prefix=f"ramie-{name}-", dir="/var/tmp")
    host("cp", "-a", BASE + "/.", folder)
    shutil.copy("/etc/resolv.conf", folder + "/etc/resolv.conf")
    os.makedirs(folder + "/root/ramie")
    host("tar", "-xf", source, "--strip-components=1", "-C", folder + "/root/ramie")
    mounts = [("proc", "proc"), ("sysfs", "sys"), ("devtmpfs", "dev"), ("devpts", "dev/pts"),
              ("tmpfs", "dev/shm")]
    for kind, where in mounts:
        os.makedirs(os.path.join(folder, where), exist_ok=True)
        host("mount", "-t", kind, "none", os.path.join(folder, where))
    try:
        yield Place(folder)
    finally:
        for _, where in reversed(mounts):
            host("umount", "-l", os.path.join(folder, where))
        shutil.rmtree(folder)


def commands(here, *lines, where="/root/project"):
    """The user's commands, at most three; then the server answers."""
    assert len(lines) <= 3
    for line in lines:
        start = time.monotonic()
        here.run(line, where)
        print(f"    {time.monotonic() - start:5.0f} s  {line}")


def project(here, name):
    folder = os.path.join(here.folder, "root/project")
    os.makedirs(folder)
    if os.path.isdir(os.path.join(HERE, name)):
        shutil.copytree(os.path.join(HERE, name), folder, dirs_exist_ok=True)
    shutil.copy(os.path.join(ROOT, "docs/examples/echo.cpp"), folder + "/server.cpp")


def answers(here, program):
    here.run("apt-get install -y -qq python3 >/dev/null" + ANSWER % program, "/root/project")


def try_installed(here, name, *lines, program):
    project(here, name)
    before = here.files()
    commands(here, "/root/ramie/dev install", *lines)
    answers(here, program)
    here.run("./dev uninstall")
    left = here.files() - before
    assert not left, f"left behind: {sorted(left)}"


def try_pkg_config(here, _):
    try_installed(here, "pkg-config", COMPILE, program="./server")


def try_cmake(here, _):
    try_installed(here, "cmake", "apt-get install -y cmake",
                  "cmake -B build && cmake --build build", program="build/server")


def try_fetch(here, source):
    project(here, "fetch")
    shutil.copy(source, here.folder + "/root/project")
    commands(here, "/root/ramie/dev setup library", "apt-get install -y cmake",
             "cmake -B build -DCMAKE_BUILD_TYPE=Release && cmake --build build -j2")
    answers(here, "build/server")


def try_meson(here, source):
    project(here, "meson")
    host("tar", "-xf", source, "-C", here.folder + "/root/project/subprojects")
    commands(here, "/root/ramie/dev setup library", "meson setup build && ninja -C build")
    answers(here, "build/server")


def try_deb(here, _):
    project(here, "deb")
    here.run("apt-get update -qq && ./dev deb")  # what a download would bring
    before = here.files()
    commands(here, "apt-get install -y /root/ramie/build/deb/libramie*.deb g++ pkg-config", COMPILE)
    answers(here, "./server")
    here.run("apt-get install -y /root/ramie/build/deb/ramie-tools_*.deb && ramie --version && "
             "ramie doctor --json >/dev/null; test $? -le 1")
    here.run("apt-get install -y --no-install-recommends lintian")
    text = here.run("lintian --fail-on error build/deb/*.deb || echo LINTIAN FAILED")
    print("    " + text.strip().replace("\n", "\n    "))
    assert "LINTIAN FAILED" not in text
    here.run("apt-get purge -y $(dpkg-query -W -f '${Package} ' '*ramie*')")
    left = here.files() - before
    assert not left, f"left behind: {sorted(left)}"


def try_test(here, _):
    commands(here, "./dev test 2>&1 | tee /root/test.log | tail -1", where="/root/ramie")
    print("    " + here.run("tail -1 /root/test.log").strip())


def main(names):
    trials = {name[4:].replace("_", "-"): trial for name, trial in globals().items()
              if name.startswith("try_") and name != "try_installed"}
    make_base()
    with tempfile.TemporaryDirectory() as folder:
        source = subprocess.run(
            [sys.executable, os.path.join(ROOT, "tools/package/make.py"), "source", folder],
            capture_output=True, text=True, check=True).stdout.strip()
        for name in names or trials:
            print(f"{name}: ", flush=True)
            with place(name, source) as here:
                here.run("apt-get update -qq")
                trials[name](here, source)
            print(f"    ok {name}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
