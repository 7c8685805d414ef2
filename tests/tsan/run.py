#!/usr/bin/env python3
"""The self-test of the race detector: it reports planted races every time, and nothing in clean
programs.

Usage: run.py path/to/planted [runs]. Ends with `N passed, N failed`.
"""
import os
import subprocess
import sys


def reports_race(program, mode, workers):
    environment = dict(os.environ, RAMIE_WORKERS=str(workers))
    result = subprocess.run([program, mode], env=environment, capture_output=True, text=True,
                            timeout=120, check=False)
    return "WARNING: ThreadSanitizer" in result.stderr, result


def main():
    program = sys.argv[1]
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    passed = failed = 0
    clean = subprocess.run([program, "list"], capture_output=True, text=True, timeout=60,
                           check=True).stdout.split()
    planted = ["race", "once", "forgot"] + [name + "-late" for name in clean]
    for mode in planted + clean:
        expected = runs if mode in planted else 0
        seen = 0
        example = None
        for run in range(runs):
            found, result = reports_race(program, mode, 1 + run % 3)
            seen += found
            if found != (mode in planted) or (result.returncode != 0) != found:
                example = result
        print(f"{mode}: reported in {seen} of {runs} runs, expected {expected}")
        if seen == expected and example is None:
            passed += 1
        else:
            failed += 1
            print(example.stderr[:3000] if example else "")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
