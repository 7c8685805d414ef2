#!/usr/bin/env python3
"""Makes what a build for AArch64 needs, on a machine of another kind: arm64.py [FOLDER]

    FOLDER/arm64-root/   the libraries that Ramie links, and what they need: Debian's packages for
                         arm64, unpacked. Compiler and emulator take it for the root of a system
    FOLDER/arm64.ini     meson's cross file: the compiler, the root, pkg-config, the emulator

FOLDER is `build` beside this folder. `./dev build arm64` and `./dev test arm64` call this first;
they install the compiler and the emulator, which are packages of this machine's own kind. By hand:

    python3 tools/arm64.py
    meson setup build/arm64 --cross-file build/arm64.ini -Dbench=false
    ninja -C build/arm64 tests/sched_tests && meson test -C build/arm64 --suite unit

The machine's own packages stay as they are: apt gets a state, a cache and a list of installed
packages (an empty one) of its own, in FOLDER/arm64-apt, and dpkg only unpacks. The packages come
from the machine's own sources (/etc/apt), which on Debian have every architecture. Nothing is done
if the root is there already and was made of the same list.
"""
import glob
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TRIPLET = "aarch64-linux-gnu"
EMULATOR = "qemu-aarch64"
# What the library and its tests link. Their own needs, such as libc6, come with them.
PACKAGES = ["libboost-context-dev", "libfmt-dev", "liburing-dev", "libconcurrentqueue-dev",
            "catch2"]

# Read before the machine's own configuration, which would win; so APT::Architecture and the like
# are repeated on the command line.
SETTINGS = {
    "APT::Architecture": "arm64",
    "APT::Architectures": "arm64",
    "APT::Install-Recommends": "false",
    "APT::Sandbox::User": "",  # else apt wants to write as a user who may not enter this folder
    "Acquire::Languages": "none",
    "Debug::NoLocking": "true",
}

CROSS_FILE = """\
# Written by tools/arm64.py.
[binaries]
c = {c}
cpp = {cpp}
cpp_ld = 'gold'
ar = '{triplet}-ar'
strip = '{triplet}-strip'
pkgconfig = 'pkg-config'
# A program that was started in the background would start itself anew (tests/main.cpp).
exe_wrapper = ['env', '--default-signal=INT,QUIT', 'QEMU_LD_PREFIX={root}', '{emulator}']

[properties]
sys_root = '{root}'
pkg_config_libdir = '{root}/usr/lib/{triplet}/pkgconfig:{root}/usr/share/pkgconfig'
needs_exe_wrapper = true

[built-in options]
c_args = ['--sysroot={root}']
cpp_args = ['--sysroot={root}']
c_link_args = ['--sysroot={root}']
cpp_link_args = ['--sysroot={root}']

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'armv8-a'
endian = 'little'
"""


NO_PACKAGES = 77  # the exit status if this machine's package sources cannot give them


def fail(text, status=1):
    print(f"tools/arm64.py: {text}", file=sys.stderr)
    sys.exit(status)


class Apt:
    """apt-get with a world of its own."""

    def __init__(self, folder):
        self.folder = folder
        for part in ("state/lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(folder, part), exist_ok=True)
        settings = {**SETTINGS, "Dir::State": os.path.join(folder, "state"),
                    "Dir::State::status": os.path.join(folder, "status"),
                    "Dir::Cache": os.path.join(folder, "cache")}
        self.options = [word for name, value in settings.items() for word in
                        ("-o", f"{name}={value}")]
        open(settings["Dir::State::status"], "w", encoding="utf-8").close()

    def run(self, *arguments):
        done = subprocess.run(["apt-get", "-y", "-q", *self.options, *arguments], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            fail(f"apt-get {arguments[0]} failed; do the sources of this machine have arm64?\n"
                 + done.stdout[-3000:], NO_PACKAGES)

    def download(self, packages):
        """The paths of the packages, and of all that they depend on."""
        self.run("update")
        self.run("install", "--download-only", *packages)
        return sorted(glob.glob(os.path.join(self.folder, "cache", "archives", "*.deb")))


def make_root(root, apt_folder):
    """Unpacks the packages into `root`, unless it was made of the same ones."""
    stamp, wanted = os.path.join(root, ".packages"), " ".join(PACKAGES)
    if os.path.exists(stamp):
        with open(stamp, encoding="utf-8") as file:
            if file.read() == wanted:
                return
    shutil.rmtree(root, ignore_errors=True)
    archives = Apt(apt_folder).download(PACKAGES)
    if not archives:
        fail("apt-get has loaded nothing")
    os.makedirs(root)
    for archive in archives:
        subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
    shutil.rmtree(os.path.join(root, "usr", "share", "doc"), ignore_errors=True)
    shutil.rmtree(apt_folder)
    with open(stamp, "w", encoding="utf-8") as file:
        file.write(wanted)


def write_cross_file(path, root):
    """With ccache where it is installed, as ./dev does for the other builds."""
    def compiler(name):
        words = ["ccache"] if shutil.which("ccache") else []
        return repr(words + [f"{TRIPLET}-{name}"])
    text = CROSS_FILE.format(c=compiler("gcc"), cpp=compiler("g++"), triplet=TRIPLET, root=root,
                             emulator=EMULATOR)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main(arguments):
    folder = os.path.abspath(arguments[0] if arguments else os.path.join(HERE, "..", "build"))
    for program in (f"{TRIPLET}-g++", EMULATOR, "apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            fail(f"{program} is missing: apt-get install g++-{TRIPLET} qemu-user")
    os.makedirs(folder, exist_ok=True)
    root = os.path.join(folder, "arm64-root")
    make_root(root, os.path.join(folder, "arm64-apt"))
    write_cross_file(os.path.join(folder, "arm64.ini"), root)


if __name__ == "__main__":
    main(sys.argv[1:])
