#!/usr/bin/env python3
"""The self-test of the memory detectors: they report planted errors every time, and nothing in
clean programs.

Usage: run.py DETECTOR PROGRAM. DETECTOR is `asan` (the program is built with it) or the path of
valgrind. Ends with `N passed, N failed`.
"""
import os
import subprocess
import sys

ASAN = {
    "clean": None,
    "parked": None,
    "use-after-free": "heap-use-after-free",
    "use-after-return": "stack-use-after-return",
    "use-after-end": "stack-use-after-return",
    "overflow": "stack-buffer-overflow",
    "leak": "LeakSanitizer: detected memory leaks",
}
VALGRIND = {
    "clean": None,
    "use-after-free": "Invalid read of size 4",
    "uninitialised": "depends on uninitialised value",
    "leak": "400 bytes in 1 blocks are definitely lost",
}
RUNS = 5


def main():
    detector, program = sys.argv[1], os.path.abspath(sys.argv[2])
    wanted, runs, command = ASAN, RUNS, [program]
    if detector != "asan":
        wanted, runs = VALGRIND, 1
        command = [detector, "--error-exitcode=9", "--fair-sched=yes", "--leak-check=full",
                   "--errors-for-leak-kinds=definite", program]
    passed = failed = 0
    for mode, report in wanted.items():
        seen, example = 0, ""
        for run in range(runs):
            environment = dict(os.environ, RAMIE_WORKERS=str(1 + run % 3))
            done = subprocess.run(command + [mode], capture_output=True, text=True, timeout=120,
                                  check=False, env=environment)
            text = done.stdout + done.stderr
            is_right = done.returncode == 0 if report is None else (
                done.returncode != 0 and report in text)
            is_right = is_right and "client switching stacks?" not in text
            seen += is_right
            if not is_right:
                example = f"exit status {done.returncode}\n{text[:3000]}"
        print(f"{mode}: as expected in {seen} of {runs} runs")
        print(example, end="")
        passed, failed = passed + (seen == runs), failed + (seen != runs)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
