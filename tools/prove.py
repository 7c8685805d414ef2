#!/usr/bin/env python3
"""Looks for bugs for a given time: prove.py BUILD [--hours N] [--write PAGE].

    models   deeper bounds, and random and PCT walks with fresh seeds
    chaos    the unit tests with RAMIE_CHAOS, one fresh seed after the other
    faults   every call, errno and position up to the 50th; every allocation
    stress   the stress programs at full size: a million connections, 10,000 runtimes

It runs them in turn until the time is over; each part finishes what it has begun. The first failure
ends the run and prints the seed and the command. At the end it prints the figures; with --write it
also puts them into PAGE between
`<!-- figures: begin -->` and `<!-- figures: end -->`.
"""
import argparse
import os
import platform
import random
import re
import subprocess
import sys
import time

MODELS = re.compile(r"^MODELS (\d+) models, (\d+) executions, (\d+)/(\d+) mutants", re.M)
CASES = re.compile(r"All tests passed \((\d+) assertions? in (\d+) test cases?\)")
SWEEP = re.compile(r"^fault sweep: (\d+) runs", re.M)
ALLOCATIONS = re.compile(r"^allocation sweep: (\d+) failed", re.M)
UNIT = ("sched_tests", "sync_tests", "io_tests", "fs_tests", "fs_dir_tests", "uring_tests",
        "signal_tests", "runtime_tests")
STRESS = ("stress_parked", "stress_connections", "stress_lifecycles", "stress_fairness")
FIGURES = re.compile(r"(<!-- figures: begin -->\n).*?(<!-- figures: end -->)", re.S)


class Failure(Exception):
    pass


class Proof:
    def __init__(self, build, seconds):
        self.folder = os.path.join(os.path.abspath(build), "tests")
        self.end = time.monotonic() + seconds
        self.random = random.SystemRandom()
        self.sums = dict.fromkeys(("models", "executions", "killed", "planted", "seeds", "cases",
                                   "assertions", "faults", "allocations", "stress"), 0)

    def run(self, program, *arguments, **environment):
        told = " ".join(f"{name}={value}" for name, value in environment.items())
        command = [os.path.join(self.folder, program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              cwd=os.path.dirname(self.folder),
                              env={**os.environ, **environment})
        text = done.stdout + done.stderr
        if done.returncode != 0:
            raise Failure(f"{text[-6000:]}\nfailed; again with: {told} {' '.join(command)}")
        return text

    def mutants(self):
        """At the usual bounds: in a deep run the clock may end a mutant's search."""
        count, executions, killed, planted = map(int, MODELS.search(self.run("model_tests"))
                                                 .groups())
        self.sums.update(models=count, killed=killed, planted=planted)
        self.sums["executions"] += executions

    def models(self):
        seed = str(self.random.getrandbits(31))
        left = max(60, min(900, int(self.end - time.monotonic())))
        text = self.run("model_tests", RAMIE_MODEL_DEEP="1", RAMIE_MODEL_SEED=seed,
                        RAMIE_MODEL_SECONDS=str(left))
        self.sums["executions"] += int(MODELS.search(text).group(2))

    def chaos(self):
        seed = str(self.random.getrandbits(32))
        for program in UNIT:
            cases = CASES.search(self.run(program, "~[exact]~[.]", RAMIE_CHAOS=seed))
            self.sums["assertions"] += int(cases.group(1))
            self.sums["cases"] += int(cases.group(2))
        self.sums["seeds"] += 1

    def faults(self):
        text = self.run("fault_tests", FAULT_SWEEP="full")
        self.sums["faults"] += sum(map(int, SWEEP.findall(text)))
        text = self.run("alloc_tests")
        self.sums["allocations"] += sum(map(int, ALLOCATIONS.findall(text)))

    def stress(self):
        for program in STRESS:
            self.run(program, STRESS_LONG="1")
        self.sums["stress"] += len(STRESS)

    def go(self):
        done = 0
        self.mutants()
        while done == 0 or time.monotonic() < self.end:
            for part in (self.faults, self.chaos, self.models, self.stress, *(self.chaos,) * 7):
                part()
                done += 1
                print(f"{part.__name__}: {self.sums}", file=sys.stderr, flush=True)
                if done >= 3 and time.monotonic() >= self.end:
                    return

    def table(self, commit):
        s = self.sums
        rows = [("models", f"{s['models']}, {s['killed']} of {s['planted']} mutants found"),
                ("their executions", f"{s['executions']:,}"),
                ("seeds of chaos", f"{s['seeds']}: {s['cases']:,} test cases, "
                                   f"{s['assertions']:,} assertions"),
                ("faults in system calls", f"{s['faults']:,} runs"),
                ("failed allocations", f"{s['allocations']:,}"),
                ("stress programs at full size", f"{s['stress']}")]
        lines = [f"Run of {time.strftime('%Y-%m-%d')}, commit {commit}, Linux "
                 f"{platform.release()}, {os.cpu_count()} CPUs. No failure.", "",
                 "| what | how much |", "|---|---|"]
        return "\n".join(lines + [f"| {name} | {value} |" for name, value in rows]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--write", metavar="PAGE")
    options = parser.parse_args()
    if options.hours <= 0:
        parser.error("--hours wants a number above 0")
    proof = Proof(options.build, options.hours * 3600)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True,
                            text=True, check=False).stdout.strip() or "unknown"
    try:
        proof.go()
    except Failure as failure:
        print(failure)
        print("0 passed, 1 failed")
        return 1
    table = proof.table(commit)
    print(table)
    if options.write:
        with open(options.write, encoding="utf-8") as file:
            page = file.read()
        if not FIGURES.search(page):
            parser.error(f"{options.write} has no place for figures")
        with open(options.write, "w", encoding="utf-8") as file:
            file.write(FIGURES.sub(lambda found: found.group(1) + table + found.group(2), page))
    return 0


if __name__ == "__main__":
    sys.exit(main())
