"""What the runners of pairs share: turns of variants, others' CPU time, medians with bounds.

    rounds      A B C, C B A, A B C, ...: a machine that grows slower hits all of them
    figures     one dict a run; `busy` in it is what other processes used meanwhile, in cores
    ratio       the median of the rounds' own ratios, not the ratio of the medians
"""
import json
import os
import pathlib
import resource
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build/release"


def program(path):
    found = BUILD / path
    if not found.exists():
        sys.exit(f"{found} is missing; build first: ./dev build")
    return str(found)


def machine_busy():
    """CPU seconds that the whole machine has used."""
    ticks = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    return sum(int(t) for i, t in enumerate(ticks) if i not in (3, 4)) / os.sysconf("SC_CLK_TCK")


def own_cpu():
    """CPU seconds of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run_json(command, cpus=None, **environment):
    """The last line or the whole output of a program, as JSON; ends with it if it fails."""
    prefix = ["taskset", "-c", cpus] if cpus else []
    done = subprocess.run(prefix + command, capture_output=True, text=True, timeout=600,
                          env={**os.environ, **environment})
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr}{done.stdout}")
    return json.loads(done.stdout[done.stdout.index("{"):])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_open(port, process):
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{process.args}: does not serve")
            time.sleep(0.05)


def take_turns(variants, rounds):
    """variants: name -> function that measures once. Returns name -> figures of each round."""
    seen = {name: [] for name in variants}
    order = list(variants)
    for _ in range(rounds):
        for name in order:
            busy, own, start = machine_busy(), own_cpu(), time.monotonic()
            figures = variants[name]()
            others = machine_busy() - busy - (own_cpu() - own)
            figures["busy"] = max(0.0, others / (time.monotonic() - start))
            seen[name].append(figures)
        order.reverse()
    return seen


def spread(values, form="{:,.0f}"):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{form.format(middle)} [{form.format(low)} - {form.format(high)}]"


def ratio(seen, name, base, key="per_second"):
    """Of `name` to `base`, paired by round: (median, lowest, highest)."""
    each = [ours[key] / theirs[key] for ours, theirs in zip(seen[name], seen[base])]
    return statistics.median(each), min(each), max(each)


def describe_ratio(seen, name, base, key="per_second"):
    middle, low, high = ratio(seen, name, base, key)
    return f"{middle:.2f} [{low:.2f} - {high:.2f}]"


def load():
    return "load " + " ".join(f"{one:.1f}" for one in os.getloadavg())


def append(path, case, seen):
    """Keeps the raw figures, a JSON line each."""
    if not path:
        return
    with open(path, "a", encoding="utf-8") as out:
        for name, rounds in seen.items():
            for figures in rounds:
                out.write(json.dumps({"case": case, "variant": name, **figures}) + "\n")
