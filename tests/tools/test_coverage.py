"""tools/coverage.py: what counts as reached."""
import os
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import coverage  # noqa: E402  pylint: disable=wrong-import-position


def line(number, count, *branches):
    return {"line_number": number, "count": count,
            "branches": [{"count": taken, "throw": throws} for taken, throws in branches]}


class Coverage(unittest.TestCase):
    def setUp(self):
        with tempfile.NamedTemporaryFile("w", suffix=".cpp", delete=False) as file:
            file.write("if (a) b();\nRAMIE_CHECK(a, \"b\");\nreturn c();\n")
        self.file = coverage.File(file.name)
        os.unlink(file.name)

    def test_a_line_is_reached_in_any_instantiation(self):
        self.file.add(line(1, 0))
        self.assertEqual(self.file.missed(), [1])
        self.file.add(line(1, 3))
        self.file.add(line(1, 0))
        self.assertEqual(self.file.missed(), [])

    def test_each_way_of_a_branch_counts(self):
        self.file.add(line(1, 2, (2, False), (0, False)))
        self.assertEqual(self.file.figures(), (1, 1, 1, 2))
        self.file.add(line(1, 2, (0, False), (2, False)))
        self.assertEqual(self.file.figures(), (1, 1, 2, 2))

    def test_exceptions_and_assertions_are_no_branches(self):
        self.file.add(line(3, 1, (1, False), (0, True)))
        self.file.add(line(2, 1, (1, False), (0, False)))
        self.assertEqual(self.file.figures(), (2, 2, 0, 0))

    def test_ranges(self):
        self.assertEqual(coverage.ranges([]), "")
        self.assertEqual(coverage.ranges([4]), "4")
        self.assertEqual(coverage.ranges([1, 2, 3, 7, 9, 10]), "1-3 7 9-10")


if __name__ == "__main__":
    unittest.main()
