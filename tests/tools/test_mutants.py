"""Every mutant that is planted in the code stands in the list of some model: else "all were found"
would say less than it seems to."""
import glob
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def numbers(patterns, expression):
    found = set()
    for pattern in patterns:
        for path in glob.glob(os.path.join(ROOT, pattern), recursive=True):
            with open(path, encoding="utf-8") as file:
                found.update(re.findall(expression, file.read()))
    return found


class Mutants(unittest.TestCase):
    def test_each_is_looked_for(self):
        folders = ("sched", "io", "signal", "uring")
        planted = numbers([f"{folder}/**/*.[ch]pp" for folder in folders],
                          r"RAMIE_MUTANT\((\d+)\)")
        listed = numbers(["tests/model/*.cpp"], r"\{(\d+),\s*\"")
        self.assertGreater(len(planted), 150)
        self.assertEqual(planted - listed, set())


if __name__ == "__main__":
    unittest.main()
