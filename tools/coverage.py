#!/usr/bin/env python3
"""Shows what the tests reach: coverage.py BUILD FOLDER... [--least-lines P] [--least-branches P]

Reads what a build with -Db_coverage=true has counted, by gcov. A line or branch of a header counts
as reached if one of its instantiations was. Left out: branches that only an exception takes, and
those of assertions, which end the program.
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys

LEFT_OUT = re.compile(r"RAMIE_(ASSERT|CHECK)\(|base::fatal\(")
BATCH = 20


class File:
    def __init__(self, path):
        self.lines = {}
        self.branches = collections.defaultdict(dict)  # line -> index -> taken
        with open(path, encoding="utf-8") as file:
            self.text = file.read().splitlines()

    def add(self, line):
        number = line["line_number"]
        self.lines[number] = self.lines.get(number, False) or line["count"] > 0
        if number <= len(self.text) and LEFT_OUT.search(self.text[number - 1]):
            return
        branches = [branch for branch in line["branches"] if not branch["throw"]]
        if len(branches) < 2:
            return  # the other way was an exception
        taken = self.branches[number]
        for index, branch in enumerate(branches):
            taken[index] = taken.get(index, False) or branch["count"] > 0

    def missed(self):
        return [number for number, hit in sorted(self.lines.items()) if not hit]

    def figures(self):
        branches = [hit for taken in self.branches.values() for hit in taken.values()]
        return sum(self.lines.values()), len(self.lines), sum(branches), len(branches)


def counted(build, folders):
    root = os.getcwd()
    wanted = tuple(os.path.join(root, folder) + os.sep for folder in folders)
    data = [os.path.join(where, name) for where, _, names in os.walk(build)
            for name in names if name.endswith(".gcda")]
    files = {}
    for start in range(0, len(data), BATCH):
        batch = [os.path.relpath(path, build) for path in data[start:start + BATCH]]
        done = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities",
                               *batch], cwd=build, capture_output=True, check=True)
        for text in done.stdout.splitlines():
            for entry in json.loads(text)["files"] if text.startswith(b"{") else ():
                path = os.path.normpath(os.path.join(build, entry["file"]))
                if path.startswith(wanted):
                    file = files.setdefault(path, File(path))
                    for line in entry["lines"]:
                        file.add(line)
    return files


def share(part, whole):
    return 100.0 * part / whole if whole else 100.0


def ranges(numbers):
    text, first, last = [], None, None
    for number in [*numbers, None]:
        if first is not None and number != last + 1 if number else first is not None:
            text.append(str(first) if first == last else f"{first}-{last}")
            first = None
        if number is not None:
            first, last = number if first is None else first, number
    return " ".join(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--least-lines", type=float, default=0)
    parser.add_argument("--least-branches", type=float, default=0)
    options = parser.parse_args()
    files = counted(os.path.abspath(options.build), options.folders)
    if not files:
        sys.exit(f"coverage.py: {options.build} has counted nothing in {options.folders}")
    sums = [0, 0, 0, 0]
    for path, file in sorted(files.items()):
        lines, all_lines, branches, all_branches = figures = file.figures()
        sums = [a + b for a, b in zip(sums, figures)]
        print(f"{share(lines, all_lines):6.1f} % {share(branches, all_branches):6.1f} %  "
              f"{os.path.relpath(path)}  {ranges(file.missed())}")
    lines, branches = share(sums[0], sums[1]), share(sums[2], sums[3])
    print(f"{lines:6.1f} % of {sums[1]} lines, {branches:.1f} % of {sums[3]} branches")
    return 0 if lines >= options.least_lines and branches >= options.least_branches else 1


if __name__ == "__main__":
    sys.exit(main())
