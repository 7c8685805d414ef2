#!/usr/bin/env python3
"""`ramie doctor` on this machine, and under what tests/support/deny.cpp and tests/ordinary/place.py
take away:

    doctor_test.py path/to/ramie path/to/deny [unittest arguments]
"""
import json
import os
import re
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLACE = [sys.executable, os.path.join(ROOT, "tests", "ordinary", "place.py")]
RAMIE, DENY = (os.path.abspath(path) for path in sys.argv[1:3])


def run(*command, **variables):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("RAMIE_")}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60,
                          env={**environment, **variables})


class Doctor(unittest.TestCase):
    def findings(self, *before, **variables):
        """{subject: finding}, from `ramie doctor --json` behind the words `before`."""
        ran = run(*before, RAMIE, "doctor", "--json", **variables)
        self.assertIn(ran.returncode, (0, 1), ran)
        answer = json.loads(ran.stdout)
        found = answer["findings"]
        self.assertEqual(answer["bad"], any(one["kind"] == "bad" for one in found))
        self.assertEqual(ran.returncode, 1 if answer["bad"] else 0)
        for one in found:
            self.assertEqual(set(one), {"kind", "subject", "fact", "advice"})
            self.assertEqual(one["kind"] == "ok", one["advice"] == "", one)
        return {one["subject"]: one for one in found}

    def check(self, finding, kind, fact):
        self.assertEqual(finding["kind"], kind, finding)
        self.assertIn(fact, finding["fact"])

    def test_text_and_json_say_the_same(self):
        found = self.findings()
        lines = run(RAMIE, "doctor").stdout.split("\n")
        shown = [line.split()[0] for line in lines if line[:1].strip()]
        self.assertEqual(shown, [one["kind"] for one in found.values()])

    def test_wrong_usage(self):
        for words in (["x"], ["--json", "--json"], [""]):
            ran = run(RAMIE, "doctor", *words)
            self.assertEqual((ran.returncode, ran.stdout), (2, ""), ran)
            self.assertIn("usage: ramie doctor", ran.stderr)
        ran = run(RAMIE, "doctor", "--help")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""), ran)

    def test_io_uring_is_denied(self):
        found = self.findings(DENY, "io_uring_setup=EPERM", "--")
        self.check(found["io_uring"], "note", "Operation not permitted")
        if run("cat", "/proc/sys/kernel/io_uring_disabled").stdout in ("", "0\n"):
            self.assertIn("seccomp", found["io_uring"]["fact"])
        self.assertNotIn("operations", found)

    def test_entering_a_ring_is_denied(self):
        found = self.findings(DENY, "io_uring_enter=EACCES", "--")
        self.check(found["io_uring"], "note", "refused")

    def test_little_memory_may_be_locked(self):
        if run(*PLACE, "memlock=0", "user", "--check").returncode == 77:
            self.skipTest("this machine denies memlock=0 user")
        if self.findings()["io_uring"]["kind"] != "ok":
            self.skipTest("io_uring is denied")
        finding = self.findings(*PLACE, "memlock=0", "user", "--")["io_uring"]
        if finding["kind"] == "ok":
            self.skipTest("this kernel does not count rings as locked memory")
        self.check(finding, "note", "RLIMIT_MEMLOCK is 0 bytes")

    def test_a_demanded_io_uring_is_denied(self):
        found = self.findings(DENY, "io_uring_setup=ENOSYS", "--", RAMIE_IO="uring")
        self.check(found["io_uring"], "bad", "RAMIE_IO=uring builds no runtime")

    def test_operations_are_not_told(self):
        if self.findings()["io_uring"]["kind"] != "ok":
            self.skipTest("io_uring is denied")
        found = self.findings(DENY, "io_uring_register=EPERM", "--")
        self.check(found["operations"], "note", "does not say")

    def test_calls_of_newer_kernels_are_denied(self):
        self.check(self.findings(DENY, "epoll_pwait2=ENOSYS", "--")["timers"], "note",
                   "whole milliseconds")
        self.check(self.findings(DENY, "epoll_create1=EPERM", "--")["timers"], "bad", "denied")
        found = self.findings(DENY, "madvise=EINVAL", "--")
        self.check(found["guards"], "note", "mprotect")
        self.assertRegex(found["mappings"]["fact"], r"allows [\d,]+ fibers")

    def test_the_environment(self):
        self.check(self.findings(RAMIE_WORKER="2")["environment"], "note",
                   "did you mean RAMIE_WORKERS?")
        self.check(self.findings(RAMIE_STACK_SIZE="x", RAMIE_STRICT="on")["environment"], "bad",
                   "RAMIE_STACK_SIZE=x")
        self.check(self.findings(RAMIE_STACK_GUARD="mprotect")["guards"], "note",
                   "RAMIE_STACK_GUARD=mprotect")

    def test_other_machines(self):
        for condition, subject, kind, fact in (
                ("files=99", "descriptors", "bad", "RLIMIT_NOFILE is 99"),
                ("hard-files=1000", "descriptors", "note", "hard limit 1,000"),
                ("cpus=1", "cpus", "note", "workers: 1"),
                ("proc-sys=none", "unknown", "note", "/proc/sys/net/core/somaxconn"),
                ("user", "descriptors", None, "RLIMIT_NOFILE")):
            with self.subTest(condition):
                if run(*PLACE, condition, "--check").returncode == 77:
                    self.skipTest(f"this machine denies {condition}")
                finding = self.findings(*PLACE, condition, "--")[subject]
                self.check(finding, kind or finding["kind"], fact)

    def test_the_list_of_operations_has_each_opcode_once(self):
        def names(path, pattern):
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                return sorted(re.findall(pattern, file.read()))
        used = names("uring/opcodes.hpp", r"constexpr Opcode (k\w+) =")
        self.assertGreater(len(used), 10)
        self.assertEqual(names("tools/doctor/operations.hpp", r"\{(k\w+), \""), used)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
