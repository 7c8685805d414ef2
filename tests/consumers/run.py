#!/usr/bin/env python3
"""Other people's projects build the README's echo server on Ramie, and it answers.

    run.py BUILD CXX...    BUILD is our build folder, from which the library is installed

The projects are the guide's: pkg-config, CMake with an installed library, and CMake or meson with
our source as a part of theirs. Each compiler builds those of the installed library. Some tests
only: ONLY="Consumers.test_pkg_config Library".
"""
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../tools/package"))
import make  # pylint: disable=wrong-import-position

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = None
COMPILERS = ["g++"]
PLACE = None  # a folder of this run
STAGE = None  # the prefix of what is installed there
LIBRARY = None  # and its library folder


def run(*command, cwd=None, **environment):
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}\n{done.stdout[-4000:]}")
    return done.stdout


def free_port():
    with contextlib.closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def project(name):
    """A copy of the project, with the README's server; returns its folder and the port."""
    folder = tempfile.mkdtemp(prefix=name + "-", dir=PLACE)
    if os.path.isdir(os.path.join(HERE, name)):
        shutil.copytree(os.path.join(HERE, name), folder, dirs_exist_ok=True)
    with open(os.path.join(ROOT, "docs/examples/echo.cpp"), encoding="utf-8") as file:
        text = file.read()
    port = free_port()
    assert text.count('"127.0.0.1:7000"') == 1
    with open(os.path.join(folder, "server.cpp"), "w", encoding="utf-8") as file:
        file.write(text.replace("127.0.0.1:7000", f"127.0.0.1:{port}"))
    return folder, port


def archive():
    """Our source as an archive."""
    made = run(sys.executable, os.path.join(ROOT, "tools/package/make.py"), "source", PLACE)
    return made.strip()


def installed(**more):
    """The environment in which the installed library is found."""
    return {"PKG_CONFIG_PATH": os.path.join(LIBRARY, "pkgconfig"), "CMAKE_PREFIX_PATH": STAGE,
            "LD_LIBRARY_PATH": LIBRARY, **more}


def pkg_config(*options):
    return run("pkg-config", f"--define-variable=prefix={STAGE}", *options, "ramie",
               **installed()).split()


class Consumers(unittest.TestCase):
    def answers(self, program, port, **environment):
        with subprocess.Popen([program], env={**os.environ, **environment}) as server:
            try:
                peer = self.connect(server, port)
                with peer:
                    peer.sendall(b"hello\n")
                    self.assertEqual(peer.recv(100), b"hello\n")
            finally:
                server.terminate()
            self.assertEqual(server.wait(timeout=30), 0)

    def connect(self, server, port):
        while server.poll() is None:
            with contextlib.suppress(ConnectionRefusedError):
                peer = socket.create_connection(("127.0.0.1", port))
                peer.settimeout(30)
                return peer
            time.sleep(0.01)
        return self.fail(f"the server ended with {server.returncode}")

    def test_pkg_config(self):
        for compiler in COMPILERS:
            for static in ([], ["--static"]):
                folder, port = project("pkg-config")
                flags = pkg_config(*static, "--cflags", "--libs")
                with self.subTest(compiler=compiler, static=static):
                    run(compiler, "server.cpp", *flags, *(["-static"] if static else []), "-o",
                        "server", cwd=folder)
                    self.answers(folder + "/server", port, **({} if static else installed()))

    def test_headers_of_another_version_are_told(self):
        folder, _ = project("pkg-config")
        shutil.copytree(os.path.join(STAGE, "include"), folder + "/include")
        header = os.path.join(folder, "include/ramie/version.hpp")
        with open(header, encoding="utf-8") as file:
            text = file.read()
        with open(header, "w", encoding="utf-8") as file:
            file.write(re.sub(r"(RAMIE_VERSION_MINOR) \d+", r"\1 99", text))
        flags = pkg_config("--libs")
        run(COMPILERS[0], "-std=c++23", "-Iinclude", "server.cpp", *flags, "-o", "server",
            cwd=folder)
        done = subprocess.run([folder + "/server"], env={**os.environ, **installed()}, text=True,
                              capture_output=True, check=False)
        self.assertRegex(done.stderr, r"compiled with Ramie 0\.99\.0 and runs with the library of "
                         r"Ramie 0\.\d+\.\d+: install the library of that version, or compile")
        self.assertNotEqual(done.returncode, 0)

    def test_cmake_finds_the_installed_library(self):
        for compiler in COMPILERS:
            folder, port = project("cmake")
            with self.subTest(compiler=compiler):
                run("cmake", "-B", "build", cwd=folder, **installed(CXX=compiler))
                run("cmake", "--build", "build", cwd=folder)
                self.answers(folder + "/build/server", port)

    def test_cmake_refuses_another_minor_version(self):
        folder, _ = project("cmake")
        path = os.path.join(folder, "CMakeLists.txt")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("ramie 0.1", "ramie 0.9"))
        with self.assertRaisesRegex(AssertionError, r"compatible\s+with requested version"):
            run("cmake", "-B", "build", cwd=folder, **installed())

    def test_cmake_find_package(self):
        for mode, wanted in (("EXIST", "ramie found"), ("COMPILE", f"-I{STAGE}/include"),
                             ("LINK", "libramie.so")):
            text = run("cmake", "--find-package", "-DNAME=ramie", "-DCOMPILER_ID=GNU",
                       f"-DCMAKE_LIBRARY_ARCHITECTURE={os.path.basename(LIBRARY)}",
                       "-DLANGUAGE=CXX", f"-DMODE={mode}", cwd=PLACE, **installed())
            self.assertIn(wanted, text)

    def test_fetch_content(self):
        folder, port = project("fetch")
        shutil.move(archive(), folder)
        run("cmake", "-B", "build", *launcher(), "-DCMAKE_BUILD_TYPE=Debug",
            "-DCMAKE_CXX_FLAGS_DEBUG=-O0", cwd=folder)
        run("cmake", "--build", "build", "-j", str(os.cpu_count()), cwd=folder)
        self.answers(folder + "/build/server", port)

    def test_meson_wrap(self):
        folder, port = project("meson")
        run("tar", "-xf", archive(), "-C", os.path.join(folder, "subprojects"))
        run("meson", "setup", "build", "-Doptimization=0", "-Ddebug=false", cwd=folder,
            PKG_CONFIG_PATH="")
        steps = run("ninja", "-C", "build", "-n", cwd=folder)
        others = [step for step in re.findall(r"(?m)^\[\d+/\d+\] (.*)$", steps)
                  if not any(word in step for word in ("libramie", "server", "pch/std.hpp"))]
        self.assertEqual(others, [], "a subproject builds the library only")
        run("ninja", "-C", "build", cwd=folder)
        self.answers(folder + "/build/server", port)


def launcher():
    return ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []


class Library(unittest.TestCase):
    def test_it_is_small_and_its_debug_information_is_apart(self):
        shared = os.path.realpath(os.path.join(LIBRARY, "libramie.so"))
        self.assertTrue(os.path.exists(f"{LIBRARY}/.debug/{os.path.basename(shared)}.debug"))
        stripped = os.path.join(PLACE, "stripped.so")
        run("strip", "-o", stripped, shared)
        self.assertLess(os.path.getsize(stripped), 1_500_000)
        self.assertLess(os.path.getsize(os.path.join(LIBRARY, "libramie.a")), 3_000_000)

    def test_all_files_name_this_version(self):
        now = make.version()
        minor = now.rsplit(".", 1)[0]
        for path, text in (("tests/consumers/cmake/CMakeLists.txt", f"ramie {minor} REQUIRED"),
                           ("tests/consumers/fetch/CMakeLists.txt", f"ramie-{now}.tar.gz"),
                           ("tests/consumers/meson/subprojects/ramie.wrap", f"ramie-{now}\n"),
                           ("tools/package/vcpkg/vcpkg.json", f'"version": "{now}"'),
                           ("CHANGELOG.md", f"## [{now}] - ")):
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                self.assertIn(text, file.read(), path)

    def test_every_symbol_has_the_version_and_is_ours(self):
        text = run("nm", "-D", "--defined-only", "-C", f"{LIBRARY}/libramie.so")
        # gold lists a thread-local of ours as well, which stays local: a small letter.
        symbols = [line[19:] for line in text.splitlines() if line[17] not in "bd"]
        self.assertGreater(len(symbols), 200)
        for symbol in symbols:
            self.assertRegex(symbol, r"^(RAMIE_0|.*ramie::v0.*@@RAMIE_0)")


def option(name):
    """An option of the build."""
    known = json.loads(run("meson", "introspect", "--buildoptions", BUILD))
    return next(one["value"] for one in known if one["name"] == name)


@unittest.skipIf(shutil.which("abidiff") is None, "abigail-tools is not installed")
class Interface(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.now = make.interface_of(os.path.join(BUILD, "libramie.so"))

    def test_programs_linked_with_the_last_release_still_run(self):
        make.abi(os.path.join(BUILD, "libramie.so"))  # fails with the differences

    def test_planted_breaks_are_found(self):
        for old, new in ((r"<elf-symbol name='_ZN5ramie2v09yield_nowEv'.*\n", ""),
                         (r"(<class-decl name='TcpStream' size-in-bits=')64", r"\g<1>128"),
                         (r"(<enumerator name='spread' value=')1", r"\g<1>7")):
            changed, count = re.subn(old, new, self.now)
            with self.subTest(old=old):
                self.assertGreater(count, 0)
                self.assertIsNotNone(make.difference(self.now, changed))


def main():
    global BUILD, COMPILERS, PLACE, STAGE, LIBRARY
    BUILD, COMPILERS = sys.argv[1], [one for one in sys.argv[2:] if shutil.which(one)]
    with tempfile.TemporaryDirectory(prefix="ramie-consumers-") as PLACE:
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", PLACE + "/root")
        STAGE = PLACE + "/root" + option("prefix")
        LIBRARY = os.path.join(STAGE, option("libdir"))
        unittest.main(argv=sys.argv[:1] + os.environ.get("ONLY", "").split())


if __name__ == "__main__":
    main()
