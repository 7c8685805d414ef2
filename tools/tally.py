#!/usr/bin/env python3
"""Counts test cases: reads the output of test programs and prints "N passed, N failed", with
", N skipped" if cases were skipped.

    tally.py LOG [NOTES]         LOG: build/x/meson-logs/testlog.json of a run of `meson test`, one
                                 JSON object per line; what failed is added to the file NOTES
    tally.py --text FILE STATUS  the output of one program and its exit status

It counts Catch2 and unittest programs by their own summaries. A program without a summary counts
as one test. A program that died, ran out of time or failed without naming a case counts as one
failure. A case that needs what the machine lacks prints `skipped: NAME | REASON`.
"""
import json
import re
import sys

CATCH_ALL = re.compile(r"All tests passed \(.*? in (\d+) test cases?\)")
CATCH_SOME = re.compile(r"^test cases:(.*)$", re.M)
OWN = re.compile(r"^(\d+) passed, (\d+) failed(?:, \d+ skipped)?$", re.M)
SKIPPED = re.compile(r"^skipped: (.+) \| (.+)$", re.M)
CATCH_NONE = re.compile(r"^No tests ran", re.M)
CASE = re.compile(r"^-{70,}\n(.+?)\n(?:.*\n)*?-{70,}\n", re.M)
FAILED = re.compile(r"^\S+:\d+: FAILED:$", re.M)
EXCERPT = 12  # lines
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n+(?:OK|FAILED)(?: \((.*)\))?", re.M)


def last(pattern, text):
    """The last match, because a test may itself print what looks like a summary."""
    found = None
    for found in pattern.finditer(text):
        pass
    return found


def count_catch_summary(rest):
    """`3 | 1 passed | 2 failed | 1 failed as expected` -> (passed, failed)."""
    numbers = {"passed": 0, "failed": 0, "failed as expected": 0, "skipped": 0}
    for part in rest.split("|")[1:]:
        match = re.match(r"\s*(\d+) (.*?)\s*$", part)
        if match and match.group(2) in numbers:
            numbers[match.group(2)] = int(match.group(1))
    return numbers["passed"] + numbers["failed as expected"], numbers["failed"]


def reasons(text):
    """{name: reason} of the cases that were skipped; one that runs several times counts once."""
    return dict(SKIPPED.findall(text.replace("\r\n", "\n")))


def count(text, succeeded):
    """(passed, failed, skipped) of one program."""
    passed, failed = int(succeeded), 0
    text = text.replace("\r\n", "\n")
    skipped = len(reasons(text))
    if match := last(CATCH_ALL, text):
        passed = max(0, int(match.group(1)) - skipped)  # to Catch2 they have passed
    elif match := last(CATCH_SOME, text):
        passed, failed = count_catch_summary(match.group(1))
        passed = max(0, passed - skipped)
    elif match := last(OWN, text):
        passed, failed = int(match.group(1)), int(match.group(2))
    elif match := last(UNITTEST, text):
        bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", match.group(2) or ""))
        skipped = sum(int(n) for n in re.findall(r"skipped=(\d+)", match.group(2) or ""))
        passed, failed = int(match.group(1)) - bad - skipped, bad
        succeeded = succeeded and (passed + skipped) > 0
    elif CATCH_NONE.search(text):
        passed, succeeded = 0, succeeded and skipped > 0
    elif skipped:
        passed = 0  # a program that is one test
    if not succeeded and failed == 0:
        failed = 1
    return passed, failed, skipped


def excerpts(text):
    """What failed in the output of one program: each failed assertion of Catch2 with the name of
    its case; else the last lines, because a program that died said last what it said of its
    end."""
    lines = []
    text = text.replace("\r\n", "\n")
    starts = [match.start() for match in FAILED.finditer(text)]
    for start, end in zip(starts, starts[1:] + [len(text)]):
        if case := last(CASE, text[:start]):
            lines.append(case.group(1))
        lines += text[start:end].split("\n----")[0].rstrip().splitlines()[:EXCERPT]
    return lines or [line for line in text.splitlines() if line.strip()][-2 * EXCERPT:]


def tally_log(path, notes):
    """Sums a meson testlog.json, naming on the way what failed and what was skipped, and why."""
    total = [0, 0, 0]
    with open(path, encoding="utf-8", errors="replace") as log:
        for line in filter(str.strip, log):
            run = json.loads(line)
            text = (run.get("stdout") or "") + "\n" + (run.get("stderr") or "")
            if run["result"] == "SKIP":
                numbers = (0, 0, max(1, len(reasons(text))))
            else:
                numbers = count(text, run["result"] in ("OK", "EXPECTEDFAIL"))
            total = [a + b for a, b in zip(total, numbers)]
            if numbers[1]:
                heading = f"{run['name']}: {numbers[1]} failed ({run['result']})"
                print(heading, file=sys.stderr)
                if notes:
                    with open(notes, "a", encoding="utf-8") as file:
                        file.write("\n  ".join([heading, *excerpts(text)]) + "\n")
            for name, reason in reasons(text).items():
                print(f"{run['name']}: skipped: {name}: {reason}", file=sys.stderr)
    return tuple(total)


def main(arguments):
    if arguments[:1] == ["--text"]:
        with open(arguments[1], encoding="utf-8", errors="replace") as file:
            text = file.read()
        passed, failed, skipped = count(text, arguments[2] == "0")
    else:
        passed, failed, skipped = tally_log(arguments[0], (arguments + [None])[1])
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
