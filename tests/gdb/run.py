#!/usr/bin/env python3
"""Tests tools/gdb/ramie.py on a live process and on its core file: run.py PROGRAM.

PROGRAM (parked.cpp) parks fibers in known functions, computes in one, and leaves one in a queue.
"""
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools", "gdb", "ramie.py")
PROGRAM = None
LIMIT = 120
INDEX = tempfile.TemporaryDirectory(prefix="gdb-index-")  # what gdb has read once


def gdb(*commands, arguments=(), of=-1):
    """Returns gdb's output for the commands; with of=0, the output before them."""
    line = ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off",
            "-iex", f"set index-cache directory {INDEX.name}", "-iex", "set index-cache enabled on",
            *arguments, "-ex", "set width 0", "-ex", f"source {SCRIPT}", "-ex", "echo BEGIN\\n"]
    for command in commands:
        line += ["-ex", command]
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=LIMIT, check=False)
    return done.stdout.split("BEGIN\n", 1)[of]


class Fibers:
    """The checks for both; `look` runs gdb's commands on the process or the core."""

    def test_info_fibers_tells_state_and_wait(self):
        text = self.look("info fibers")
        self.assertEqual(len(re.findall(r"(?m)^ +\d+  [a-z]", text)), 5, text)
        self.assertRegex(text, r"(?m)^ +\d+  parked +notify +''$")
        self.assertRegex(text, r"(?m)^ +\d+  parked +sleep +''$")
        self.assertRegex(text, r"(?m)^ +\d+  parked +join +''$")
        self.assertRegex(text, r"(?m)^ +\d+  running  +thread \d+  'computing'$")
        self.assertRegex(text, r"(?m)^ +\d+  live +''$")

    def id_of(self, pattern):
        cls = type(self)
        if "listing" not in cls.__dict__:
            cls.listing = self.look("info fibers")
        text = cls.listing
        found = re.search(r"(?m)^ +(\d+)  " + pattern, text)
        self.assertIsNotNone(found, text)
        return found.group(1)

    def test_a_parked_fiber_has_its_whole_stack_with_arguments(self):
        text = self.look(f"fiber {self.id_of('parked +notify')} bt")
        frames = re.findall(r"(?m)^#(\d+) ", text)
        self.assertEqual(frames, [str(i) for i in range(len(frames))], text)
        self.assertIn("ramie::v0::sync::Notify::wait", text)
        self.assertRegex(text, r"gdb_test::wait_deeper \(notify=.*parked\.cpp:\d+")
        self.assertRegex(text, r"gdb_test::wait_inside \(notify=.*depth=\S+\) at .*parked\.cpp:\d+")
        last = [line for line in text.splitlines() if line.startswith("#")][-1]
        self.assertIn("first_frame", last)

    def test_a_running_fiber_is_shown_by_its_thread(self):
        text = self.look(f"fiber {self.id_of('running')} bt")
        self.assertIn("gdb_test::compute", text)
        self.assertIn("first_frame", text)

    def test_all_at_once_and_a_limit(self):
        text = self.look("fiber apply all bt 3")
        self.assertEqual(len(re.findall(r"(?m)^Fiber +\d+", text)), 5, text)
        parked = text[text.index("notify"):]
        self.assertRegex(parked, r"(?s)^[^#]*#0 .*\n#1 .*\n#2 ")
        self.assertIn("(in a queue: no stack to show)", text)

    def test_the_selected_thread_is_as_before(self):
        text = self.look("thread 1", "fiber apply all bt 1", "bt 2")
        self.assertIn("pause", text[text.rindex("\n#0"):], text)

    def test_mistakes_are_told(self):
        self.assertIn("no fiber 99999 lives", self.look("fiber 99999 bt"))
        self.assertIn("`info fibers` lists them", self.look("fiber"))


def is_in_pause(pid):
    with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
        return file.read().startswith("34 ")


def why_not_attach():
    """Why gdb may not attach to a process that is not its child; None if it may."""
    process = subprocess.Popen([PROGRAM], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        try:
            is_in_pause(process.pid)
        except OSError as error:
            return f"/proc/PID/syscall: {error.strerror}"
        found = re.search(r"(?m)^.*\bptrace: .*$", gdb(arguments=["-p", str(process.pid)], of=0))
        return found and found.group(0)
    finally:
        stop(process)


def start(folder=None, **environment):
    def allow_core():
        most = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (most, most))

    process = subprocess.Popen([PROGRAM], stdout=subprocess.PIPE, text=True, cwd=folder,
                               env={**os.environ, **environment}, preexec_fn=allow_core)
    assert process.stdout.readline() == "ready\n"
    while not is_in_pause(process.pid):  # it may still be writing that line
        time.sleep(0.01)
    return process


def stop(process, number=signal.SIGKILL):
    process.send_signal(number)
    process.wait()
    process.stdout.close()


class Live(Fibers, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.process = start()

    @classmethod
    def tearDownClass(cls):
        stop(cls.process)

    def look(self, *commands):
        return gdb(*commands, arguments=["-p", str(self.process.pid)])

    def test_the_process_goes_on_afterwards(self):
        self.look("fiber apply all bt")
        self.assertIsNone(self.process.poll())


# gdb cannot read guards that madvise has installed, and then omits the whole mapping.
class CoreOfGdb(Fibers, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.process = start(RAMIE_STACK_GUARD="mprotect")
        cls.folder = tempfile.TemporaryDirectory(prefix="core-")
        cls.core = os.path.join(cls.folder.name, "core")
        text = gdb(f"generate-core-file {cls.core}", arguments=["-p", str(cls.process.pid)])
        stop(cls.process)
        assert os.path.exists(cls.core), text

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def look(self, *commands):
        return gdb(*commands, arguments=[PROGRAM, self.core])


class CoreOfKernel(CoreOfGdb):
    """As after a crash, if the kernel writes cores into the current folder."""

    @classmethod
    def setUpClass(cls):
        with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as file:
            pattern = file.read().strip()
        if not re.fullmatch(r"core[\w.%]*", pattern):
            raise unittest.SkipTest(f"cores go to {pattern}")
        if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
            raise unittest.SkipTest("the limit of cores (ulimit -Hc)")
        cls.folder = tempfile.TemporaryDirectory(prefix="core-")
        stop(start(cls.folder.name), signal.SIGABRT)
        cls.core = os.path.join(cls.folder.name, os.listdir(cls.folder.name)[0])


def main(program):
    global PROGRAM
    PROGRAM = os.path.abspath(program)
    if reason := why_not_attach():
        print(f"skipped: gdb | {reason}")
        return 0
    suite = unittest.TestSuite()
    for case in (Live, CoreOfGdb, CoreOfKernel):
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors)
    for test, reason in result.skipped:
        print(f"skipped: {test} | {reason}")
    skipped = len(result.skipped)
    print(f"{result.testsRun - failed} passed, {failed} failed" +
          (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
