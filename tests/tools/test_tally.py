"""tally.py: what each kind of program prints is counted, and no failure is lost."""
import json
import os
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
sys.dont_write_bytecode = True

import tally  # noqa: E402

PASSED = "====\nAll tests passed (7 assertions in 3 test cases)\n"
MIXED = "====\ntest cases:  4 |  3 passed | 1 failed\nassertions: 9 | 8 passed | 1 failed\n"


class Count(unittest.TestCase):
    def test_catch_programs(self):
        self.assertEqual(tally.count(PASSED, True), (3, 0, 0))
        self.assertEqual(
            tally.count("All tests passed (1 assertion in 1 test case)", True), (1, 0, 0))
        self.assertEqual(tally.count(MIXED, False), (3, 1, 0))
        self.assertEqual(
            tally.count("test cases: 2 | 1 passed | 1 failed as expected\n", True), (2, 0, 0))

    def test_the_last_summary_counts(self):
        self.assertEqual(tally.count(PASSED + "inner run printed that\n" + MIXED, False)[1], 1)

    def test_a_program_without_tests_fails(self):
        self.assertEqual(tally.count("====\nNo tests ran\n", True), (0, 1, 0))
        self.assertEqual(tally.count("\nRan 0 tests in 0.000s\n\nOK\n", True), (0, 1, 0))

    def test_a_program_that_died_fails_whatever_it_printed(self):
        self.assertEqual(tally.count("", False), (0, 1, 0))
        self.assertEqual(tally.count(PASSED + "==1==ERROR: LeakSanitizer", False), (3, 1, 0))

    def test_a_program_that_says_nothing_is_one_test(self):
        self.assertEqual(tally.count("fine\n", True), (1, 0, 0))

    def test_unittest_programs(self):
        self.assertEqual(tally.count("...\nRan 3 tests in 0.1s\n\nOK\n", True), (3, 0, 0))
        self.assertEqual(
            tally.count("Ran 5 tests in 0.1s\n\nFAILED (failures=1, errors=1)\n", False), (3, 2, 0))
        self.assertEqual(tally.count("Ran 2 tests in 0.1s\n\nOK (skipped=1)\n", True), (1, 0, 1))

    def test_skipped_cases_have_not_passed(self):
        line = "skipped: A: law | needs IPv6\n"
        self.assertEqual(tally.count(line + PASSED, True), (2, 0, 1))
        self.assertEqual(tally.count(line + line + PASSED, True), (2, 0, 1))  # in two sections
        self.assertEqual(tally.count(line + MIXED, False), (2, 1, 1))
        self.assertEqual(tally.count(line + "24 passed, 0 failed, 1 skipped\n", True), (24, 0, 1))
        self.assertEqual(tally.count("skipped: all of it | no gdb\n", True), (0, 0, 1))
        self.assertEqual(tally.count(line + "====\nNo tests ran\n", True), (0, 0, 1))
        self.assertEqual(tally.count(line + "====\nNo tests ran\n", False), (0, 1, 1))
        self.assertEqual(tally.count("skipped: without a reason\n" + PASSED, True), (3, 0, 0))
        self.assertEqual(tally.reasons(line), {"A: law": "needs IPv6"})


class Log(unittest.TestCase):
    def test_programs_of_our_own(self):
        self.assertEqual(tally.count("ok test_a 0.1 s\n24 passed, 0 failed\n", True), (24, 0, 0))
        self.assertEqual(tally.count("FAIL test_a\n23 passed, 1 failed\n", False), (23, 1, 0))
        self.assertEqual(tally.count("24 passed, 0 failed\nkilled\n", False), (24, 1, 0))

    def test_a_log_is_summed(self):
        runs = [("a", "OK", PASSED), ("b", "FAIL", MIXED), ("c", "TIMEOUT", ""), ("d", "SKIP", "")]
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as log:
            for name, result, text in runs:
                log.write(json.dumps({"name": name, "result": result, "stdout": text}) + "\n")
            log.flush()
            self.assertEqual(tally.tally_log(log.name, None), (6, 2, 1))

    def test_a_failure_is_told_again(self):
        line, dots = "-" * 79, "." * 79
        case = f"{line}\nA: law\n  section\n{line}\na.cpp:1\n{dots}\n\n"
        text = f"{case}a.cpp:7: FAILED:\n  CHECK( x == 1 )\nwith expansion:\n  2 == 1\n\n"
        self.assertEqual(
            tally.excerpts("first\n" + text + MIXED)[:4],
            ["A: law", "a.cpp:7: FAILED:", "  CHECK( x == 1 )", "with expansion:"])
        self.assertEqual(tally.excerpts("one\n\ntwo\n"), ["one", "two"])
        self.assertEqual(len(tally.excerpts(text + text)), 2 * len(tally.excerpts(text)))
        with tempfile.TemporaryDirectory() as folder:
            log, notes = os.path.join(folder, "log.json"), os.path.join(folder, "notes")
            with open(log, "w", encoding="utf-8") as file:
                for result, out in (("OK", PASSED), ("FAIL", text + MIXED), ("TIMEOUT", "")):
                    file.write(json.dumps({"name": "p", "result": result, "stdout": out}) + "\n")
            tally.tally_log(log, notes)
            with open(notes, encoding="utf-8") as file:
                told = file.read().splitlines()
        self.assertEqual(told[:3], ["p: 1 failed (FAIL)", "  A: law", "  a.cpp:7: FAILED:"])
        self.assertEqual(told[-1], "p: 1 failed (TIMEOUT)")


if __name__ == "__main__":
    unittest.main()
