#!/usr/bin/env python3
"""Compiles the hazard programs with every compiler at -O0, -O2 and -O3, runs them, and judges.

    run.py LIBRARY CXX [CXX...]     LIBRARY is libramie.a, for the stack overflow

Lines that begin with `ours` must be ok everywhere. Lines that begin with `naive` show that the
hazard is real: each must be stale at least once with optimisation, otherwise these tests prove
nothing. A stack overflow must end the process, with a message that names the fiber.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LEVELS = ("-O0", "-O2", "-O3")
FLAGS = ["-std=c++23", "-g0", "-pthread", "-iquote", ROOT] + [
    flag for folder in ("sched", "io", "signal", "uring", "runtime")
    for flag in ("-I", os.path.join(ROOT, folder, "include"))]
LIBRARIES = ["-lboost_context", "-lfmt", "-luring", "-pthread"]
LIBRARIES += os.environ.get("RAMIE_LIBRARIES", "").split()  # what else this build links


class Build:
    """One program, one compiler, one level; compiled when it is first asked for."""

    def __init__(self, folder, compiler, level, name, library=None):
        self.title = f"{name} {os.path.basename(compiler)} {level}"
        self.path = os.path.join(folder, self.title.replace(" ", "_"))
        self.command = [compiler, level] + FLAGS + [os.path.join(HERE, name + ".cpp")]
        self.command += ["-o", self.path] + ([library] if library else []) + LIBRARIES
        self.error = None

    def run(self, *arguments, **environment):
        if not os.path.exists(self.path) and self.error is None:
            done = subprocess.run(self.command, capture_output=True, text=True, check=False)
            self.error = done.stderr if done.returncode else None
        if self.error is not None:
            raise AssertionError(f"{self.title} does not compile:\n{self.error[-3000:]}")
        return subprocess.run([self.path, *arguments], capture_output=True, text=True, timeout=60,
                              check=False, env={**os.environ, **environment})


def judge(build, naive_stale):
    """Tests that every line of `ours` is ok; notes which `naive` ones were stale."""
    def test(self):
        done = build.run()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[-1], "end")
        self.assertGreater(sum(line.startswith("ours ok ") for line in lines), 5)
        for line in lines:
            if line.startswith("ours"):
                self.assertTrue(line.startswith("ours ok "), line)
            elif line.startswith("naive"):
                _, outcome, what = line.split(" ", 2)
                caught = naive_stale.setdefault(what, set())
                if outcome == "STALE" and not build.title.endswith("-O0"):
                    caught.add(build.title)
    return test


def overflows(build, mode, guard):
    def test(self):
        done = build.run(mode, RAMIE_STACK_GUARD=guard, RAMIE_WORKERS="1")
        self.assertIn(done.returncode, (-signal.SIGSEGV, -signal.SIGABRT), done.stdout)
        self.assertIn("stack overflow", done.stderr)
        self.assertIn("victim-42", done.stderr)
    return test


def fits(build, guard):
    def test(self):
        done = build.run("fits", RAMIE_STACK_GUARD=guard, RAMIE_WORKERS="1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "returned 403\n")
    return test


class Hazards(unittest.TestCase):
    """Filled below: one test for each program, compiler and level."""


class NaiveIsCaught(unittest.TestCase):
    """After Hazards, in the order of the names."""


def add_tests(folder, library, compilers):
    naive_stale = {}
    for compiler in compilers:
        for level in LEVELS:
            for name in ("migration", "exceptions"):
                build = Build(folder, compiler, level, name)
                setattr(Hazards, f"test {build.title}", judge(build, naive_stale))
            build = Build(folder, compiler, level, "overflow", library)
            for guard in ("madvise", "mprotect"):
                setattr(Hazards, f"test {build.title} fits {guard}", fits(build, guard))
                for mode in ("deep", "big"):
                    setattr(Hazards, f"test {build.title} {mode} {guard}",
                            overflows(build, mode, guard))

    def test(self):
        self.assertEqual(len(naive_stale), 4, naive_stale.keys())
        for what, caught in naive_stale.items():
            self.assertTrue(caught, f"{what} was never stale: this hazard test cannot fail")
    setattr(NaiveIsCaught, "test the naive variants are stale somewhere", test)


def main(library, *compilers):
    found = [compiler for compiler in compilers if shutil.which(compiler)]
    with tempfile.TemporaryDirectory(prefix="hazards-") as folder:
        add_tests(folder, os.path.abspath(library), found)
        suite = unittest.TestSuite()
        for case in (Hazards, NaiveIsCaught):
            suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(case))
        result = unittest.TextTestRunner(verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors)
    missing = [compiler for compiler in compilers if compiler not in found]
    for compiler in missing:
        print(f"skipped: all with {compiler} | it is not installed")
    print(f"{result.testsRun - failed} passed, {failed} failed" +
          (f", {len(missing)} skipped" if missing else ""))
    return 1 if failed or not found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
