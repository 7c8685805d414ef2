#!/usr/bin/env python3
"""redis-benchmark against redis-server and against `ramie demo`, in turns, in one run.

    ./dev build && bench/redis_pair.py [--workers N] [--requests N] [--rounds N]

For each pipeline depth and number of clients the two servers take turns (A B B A ...); the table
has the median requests per second of each test and the ratio. Client and servers share the CPUs.
"""
import argparse
import csv
import io
import os
import pathlib
import signal
import statistics
import subprocess
import sys

from support import pairs

TESTS = "ping,set,get,incr,lpush,lpop,mset"
GOALS = {1: 0.7, 16: 0.6}
ROOT = pathlib.Path(__file__).resolve().parent.parent


def start(command, port, **environment):
    process = subprocess.Popen(command, env={**os.environ, **environment},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pairs.wait_until_open(port, process)
    return process


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(port, depth, clients, requests):
    """Requests per second by test."""
    done = subprocess.run(["redis-benchmark", "-p", str(port), "-t", TESTS, "-P", str(depth),
                           "-c", str(clients), "-n", str(requests), "--csv"],
                          capture_output=True, text=True, timeout=600)
    if done.returncode != 0 or "rror" in done.stdout + done.stderr:
        sys.exit(f"redis_pair: redis-benchmark failed on port {port}:\n{done.stdout}{done.stderr}")
    rows = list(csv.reader(io.StringIO(done.stdout)))
    return {row[0]: float(row[1]) for row in rows[1:] if len(row) > 1}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="auto", help="RAMIE_WORKERS")
    parser.add_argument("--requests", type=int, default=100_000,
                        help="of each test at depth 1; four times as many at depth 16")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each server, each setting")
    arguments = parser.parse_args()
    demo = ROOT / "build/release/tools/ramie"
    if not demo.exists():
        sys.exit("redis_pair: build first: ./dev build")
    redis_port, ramie_port, http_port = (pairs.free_port() for _ in range(3))
    redis = start(["redis-server", "--port", str(redis_port), "--save", "", "--appendonly", "no"],
                  redis_port)
    ramie = start([demo, "demo", "--serve", "--port", str(ramie_port), "--http-port",
                   str(http_port)], ramie_port, RAMIE_WORKERS=arguments.workers)
    servers = {"redis": (redis_port, redis), "ramie": (ramie_port, ramie)}
    missed = 0
    try:
        for depth in (1, 16):
            for clients in (50, 512):
                seen = {name: [] for name in servers}
                cpu = dict.fromkeys(servers, 0.0)
                order = ["redis", "ramie"]
                for _ in range(arguments.rounds):
                    for name in order:
                        port, process = servers[name]
                        before = cpu_seconds(process)
                        requests = arguments.requests * (4 if depth > 1 else 1)
                        seen[name].append(measure(port, depth, clients, requests))
                        cpu[name] += cpu_seconds(process) - before
                    order.reverse()
                print(f"-P {depth} -c {clients}: CPU seconds redis {cpu['redis']:.1f}, "
                      f"ramie {cpu['ramie']:.1f}", flush=True)
                for test in seen["redis"][0]:
                    theirs = statistics.median(one[test] for one in seen["redis"])
                    ours = statistics.median(one[test] for one in seen["ramie"])
                    ratio = ours / theirs
                    missed += ratio < GOALS[depth]
                    print(f"    {test:34} redis {theirs:9.0f}/s   ramie {ours:9.0f}/s   "
                          f"ratio {ratio:.2f}", flush=True)
    finally:
        for process in (redis, ramie):
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    print(f"{missed} ratios under the goal (0.7 at depth 1, 0.6 at depth 16)")


if __name__ == "__main__":
    main()
