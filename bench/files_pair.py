#!/usr/bin/env python3
"""Files: ours by ring and by pool, against fio (reads) and plain threads (stat, small), in turns.

    ./dev build && bench/files_pair.py [--rounds N] [--seconds S] [--dir DIR] [case...]

A case is such as read-cached-64, read-direct-1, stat-64, small-1; without any, all are run. Each
row has the median and the bounds of operations a second, CPU time, and the ratio to the case's
base, paired by round. Needs fio for the cases of read.
"""
import argparse
import os
import pathlib
import re
import shutil
import sys
import tempfile

from support import pairs

MIB = 512
BLOCK = 4096
CASES = [f"{what}-{depth}" for what in ("read-cached", "read-direct", "stat", "small")
         for depth in (1, 64)]
# case -> (variant, base, goal)
GOALS = {"read-cached": ("uring", "fio", 0.9), "read-direct": ("uring", "fio", 0.9),
         "small": ("uring", "pool", 3.0)}


def read_through(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def fio(path, depth, is_direct, seconds):
    if not is_direct:
        read_through(path)
    got = pairs.run_json(
        ["fio", "--name=pair", f"--filename={path}", f"--size={MIB}m", f"--bs={BLOCK}",
         "--rw=randread", "--ioengine=io_uring", f"--iodepth={depth}",
         f"--direct={int(is_direct)}", "--norandommap", "--randrepeat=0", "--time_based",
         f"--runtime={seconds}", "--ramp_time=200ms", "--invalidate=0", "--thread",
         "--disable_slat=1", "--output-format=json"])["jobs"][0]
    read, used = got["read"], (got["usr_cpu"] + got["sys_cpu"]) / 100
    percentile = {point: nanos / 1e3 for point, nanos in read["clat_ns"]["percentile"].items()}
    return {"per_second": read["iops"], "cpu_us_per_op": used * 1e6 / read["iops"],
            "latency_p50_us": percentile["50.000000"], "latency_p99_us": percentile["99.000000"]}


def ours(directory, seconds, workers, **options):
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return pairs.run_json([pairs.program("bench/files"), "--dir", str(directory), "--mib",
                           str(MIB), "--block", str(BLOCK), "--workers", str(workers),
                           "--seconds", str(seconds), *words])


def variants_of(case, base, arguments):
    what, depth = case.rsplit("-", 1)
    common = (arguments.seconds, arguments.workers)
    if what.startswith("read"):
        is_direct = what == "read-direct"
        place = base / what  # a file of its own, so that neither changes the other's cache
        run = {"fio": lambda: fio(place / "random.dat", depth, is_direct, arguments.seconds)}
        options = {"what": "read", "direct": int(is_direct)}
    else:
        place = base / "tree"
        threads = min(int(depth), 16)
        run = {f"{threads} threads": lambda: ours(place, *common, what=what, threads=threads)}
        options = {"what": what}
    for files in ("uring", "pool"):
        run[files] = lambda files=files: ours(place, *common, files=files, depth=depth, **options)
    prepare = run["uring"]
    prepare()
    return run


def show(case, seen):
    what = case.rsplit("-", 1)[0]
    variant, base, goal = GOALS.get(what, ("uring", "pool", 0))
    verdict = ""
    if goal:
        reached = pairs.ratio(seen, variant, base)[0]
        verdict = f"; goal {variant} >= {goal} of {base}: {'met' if reached >= goal else 'MISSED'}"
    print(f"{case} ({pairs.load()}){verdict}", flush=True)
    for name, rounds in seen.items():
        def column(key, form):
            return pairs.spread([one[key] for one in rounds], form)
        counts = " ".join(f"{key.split('_')[0]} {rounds[0][key]:.2f}"
                          for key in ("ring_operations_per_op", "pool_jobs_per_op",
                                      "switches_per_op") if key in rounds[0])
        print(f"    {name:10} {column('per_second', '{:,.0f}'):32} "
              f"ratio {pairs.describe_ratio(seen, name, base):20} "
              f"CPU us {column('cpu_us_per_op', '{:.2f}'):22} "
              f"p50 us {column('latency_p50_us', '{:.1f}'):26} "
              f"p99 us {column('latency_p99_us', '{:.0f}'):22} "
              f"others {column('busy', '{:.2f}')}  {counts}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=CASES, help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--dir", help="keeps the files there ($TMPDIR, and not kept)")
    parser.add_argument("--raw", help="a file that gets every run as a JSON line")
    arguments = parser.parse_args()
    for case in arguments.cases:
        if not re.fullmatch(r"(read-cached|read-direct|stat|small)-\d+", case):
            sys.exit(f"files_pair: no case '{case}': {', '.join(CASES)}")
    if any(case.startswith("read") for case in arguments.cases) and not shutil.which("fio"):
        sys.exit("files_pair: fio is missing: ./dev setup --all")
    with tempfile.TemporaryDirectory(prefix="ramie-files-") as temporary:
        base = pathlib.Path(arguments.dir or temporary)
        os.makedirs(base, exist_ok=True)
        for case in arguments.cases:
            seen = pairs.take_turns(variants_of(case, base, arguments), arguments.rounds)
            show(case, seen)
            pairs.append(arguments.raw, case, seen)


if __name__ == "__main__":
    main()
