"""Every system call passes the seam of the tests, under a name that the fault plans and the sweep
know: no call can be added that never fails in a test."""
import glob
import os
import re
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
sys.dont_write_bytecode = True

import sources  # noqa: E402
import tidy  # noqa: E402

# Calls of the system, as they are written. What cannot fail, or is the end, needs no plan.
RAW = re.compile(r"(?<![\w>:])::(\w+)\s*\(|(?<![\w:>.])(std::fopen)\s*\(")
CANNOT_FAIL = {"clock_gettime", "strerrordesc_np", "pthread_self", "sigfillset", "pthread_sigmask",
               "sigemptyset", "sigaddset", "sigismember", "sigpending", "sigtimedwait",
               "getpagesize"}
# Tested on their own: memory_test, promises_test, matrix.py. (tgkill: the watchdog's samples.)
NOT_SWEPT = {"write", "sigaction", "tgkill", "mprotect_data"}


def files():
    yield os.path.join("sched", "base", "sys.cpp")
    for folder in ("io", "uring"):
        for path in sorted(glob.glob(os.path.join(ROOT, folder, "sys", "*.cpp"))):
            yield os.path.relpath(path, ROOT)


def names_in(path, pattern):
    return set(re.findall(pattern, sources.read(ROOT, path)))


def functions_without_plan(path):
    """Functions with a raw call of which neither they nor their caller in the file asks a plan."""
    text = sources.read(ROOT, path)
    code = sources.code_only(text).split("\n")
    lines = text.split("\n")
    for first, last in tidy.cpp_functions("\n".join(code)):
        body = "\n".join(code[first - 1:last])
        raw = {name for pair in RAW.findall(body) for name in pair if name} - CANNOT_FAIL
        raw -= {"new"}
        if raw and "inject(" not in "\n".join(lines[first - 1:last]):
            yield lines[first - 1].strip(), sorted(raw)


class Seam(unittest.TestCase):
    def test_every_raw_call_asks_the_plan(self):
        # Helpers, each called by one function that asks: the write of a message; the thread's id;
        # the calls that write a stream's parts (write_quietly asks for them).
        # And poll, for room in stderr: whatever it says but yes, the report is dropped.
        # pthread_atfork calls nobody; without memory a forked child keeps its parent's counts.
        allowed = {("write",), ("syscall",), ("poll",), ("pthread_atfork",),
                   ("pwritev2", "write", "writev")}
        for path in files():
            for head, raw in functions_without_plan(path):
                self.assertIn(tuple(raw), allowed, f"{path}: {head}")

    def test_plans_and_sweep_know_every_name(self):
        used = set()
        for folder in sources.LIBRARY_FOLDERS:
            for path in sources.walk(ROOT):
                if path.startswith(folder + "/") and path.endswith(sources.CPP_SUFFIXES):
                    used |= names_in(path, r'inject\("(\w+)"')
        self.assertGreater(len(used), 30)
        plan = sources.read(ROOT, "tests/support/fault_plan.hpp")
        never = set(re.findall(r'"(\w+)"', re.search(r"kNeverFails\[\] = {(.*?)}", plan, re.S)[1]))
        may = set(re.findall(r'"(\w+)"', re.search(r"kMayFail\[\] = {(.*?)}", plan, re.S)[1]))
        self.assertEqual(used, never | may)
        swept = names_in("tests/faults/calls.hpp", r'{"(\w+)", {')
        self.assertEqual(may - NOT_SWEPT, swept)


if __name__ == "__main__":
    unittest.main()
