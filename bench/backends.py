#!/usr/bin/env python3
"""Sockets: RAMIE_IO=epoll against RAMIE_IO=uring, in turns, by echo and by HTTP.

    ./dev build && bench/backends.py [--rounds N] [--seconds S] [--syscalls] [case...]

A case is such as echo-64-1 (64 connections, 1 worker) or http-64-2. One worker has CPU 0 and its
client CPU 1; with more workers each is pinned (RAMIE_AFFINITY=spread), and the client shares their
CPUs. --syscalls counts the server's system calls per request instead (perf stat and strace -c), in
short runs of their own.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from support import pairs

CASES = [f"{kind}-{connections}-{workers}" for kind in ("echo", "http") for workers in (1, 2)
         for connections in (1, 64, 1000, 10000)]
BACKENDS = ("epoll", "uring")


class Server:
    """A process of ours that serves until it is told to stop."""

    def __init__(self, kind, workers, backend, wrapper=()):
        self.port = pairs.free_port()
        if kind == "echo":
            command = [pairs.program("bench/echo_server"), "--port", str(self.port),
                       "--workers", str(workers)]
        else:
            command = [pairs.program("tools/ramie"), "demo", "--serve", "--port", "0",
                       "--http-port", str(self.port), "--workers", str(workers)]
        pinned = ["taskset", "-c", "0"] if workers == 1 else []
        affinity = {} if workers == 1 else {"RAMIE_AFFINITY": "spread"}
        self.process = subprocess.Popen(
            [*wrapper, *pinned, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env={**os.environ, **affinity, "RAMIE_IO": backend})
        pairs.wait_until_open(self.port, self.process)

    def cpu(self):
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, pid=None):
        os.kill(pid or self.process.pid, signal.SIGTERM)
        out, _ = self.process.communicate(timeout=60)
        return out


def load_echo(server, connections, workers, seconds):
    return pairs.run_json([pairs.program("bench/echo_load"), "--port", str(server.port),
                           "--connections", str(connections), "--seconds", str(seconds)],
                          cpus="1" if workers == 1 else None, RAMIE_IO="epoll")


def put_value(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"PUT /k/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                       b"Connection: close\r\n\r\nhello")
        while client.recv(4096):
            pass


def load_http(server, connections, workers, seconds):
    put_value(server.port)
    before = server.cpu()
    pinned = ["taskset", "-c", "1"] if workers == 1 else []
    done = subprocess.run([*pinned, "wrk", "-t1", f"-c{connections}", f"-d{int(seconds + 0.5)}",
                           "--latency", f"http://127.0.0.1:{server.port}/k/x"],
                          capture_output=True, text=True, timeout=120)
    if done.returncode != 0 or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        sys.exit(f"backends: wrk: {done.stdout}{done.stderr}")
    requests = int(re.search(r"(\d+) requests in", done.stdout).group(1))
    scale = {"us": 1, "ms": 1e3, "s": 1e6}
    latency = {int(point): float(value) * scale[unit] for point, value, unit in
               re.findall(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)", done.stdout, re.M)}
    return {"per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1)),
            "latency_p50_us": latency[50], "latency_p99_us": latency[99],
            "cpu_us": (server.cpu() - before) * 1e6 / max(1, requests), "requests": requests}


def measure(kind, connections, workers, backend, seconds):
    server = Server(kind, workers, backend)
    try:
        if kind == "http":
            return load_http(server, connections, workers, seconds)
        figures = load_echo(server, connections, workers, seconds)
        server_line = json.loads(server.stop())
        messages = server_line["messages"]
        for key in ("driver_turns", "parks", "wakes", "uring_started"):
            figures[key] = server_line[key] / messages
        figures["cpu_us"] = server_line["cpu_us_per_message"]
        return figures
    finally:
        if server.process.poll() is None:
            server.stop()


def traced_pid(server):
    """The server below a tracer and taskset, which exec()s."""
    children = pathlib.Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return int(children.read_text().split()[0])


def strace_calls(kind, connections, workers, backend, seconds):
    """System calls a request by name, under strace: it slows the server, which changes batches."""
    with tempfile.NamedTemporaryFile("r") as out:
        server = Server(kind, workers, backend, ("strace", "-f", "-c", "-o", out.name))
        try:
            load = load_echo if kind == "echo" else load_http
            if kind == "http":
                server.cpu = lambda: 0.0
            figures = load(server, connections, workers, seconds)
        finally:
            line = server.stop(traced_pid(server))
        requests = (json.loads(line)["messages"] if kind == "echo" else figures["requests"])
        counts = {}
        for row in out.read().splitlines():
            match = re.fullmatch(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)", row)
            if match and match.group(2) != "total":
                counts[match.group(2)] = int(match.group(1)) / requests
    return {name: each for name, each in sorted(counts.items(), key=lambda one: -one[1])
            if each >= 0.01}


def perf_calls(kind, connections, workers, backend, seconds):
    """System calls a request, counted by the kernel while the server runs at full speed."""
    server = Server(kind, workers, backend)
    try:
        perf = subprocess.Popen(["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p",
                                 str(server.process.pid)], stderr=subprocess.PIPE, text=True)
        time.sleep(0.3)
        load = load_echo if kind == "echo" else load_http
        figures = load(server, connections, workers, seconds)
        perf.send_signal(signal.SIGINT)
        calls = int(re.search(r"^(\d+),", perf.communicate(timeout=30)[1], re.M).group(1))
    finally:
        line = server.stop()
    return calls / (json.loads(line)["messages"] if kind == "echo" else figures["requests"])


def show_syscalls(case, kind, connections, workers, seconds):
    print(f"{case} ({pairs.load()})", flush=True)
    for backend in BACKENDS:
        settings = (kind, connections, workers, backend, seconds)
        total = f"{perf_calls(*settings):.2f}" if shutil.which("perf") else "-"
        names = strace_calls(*settings) if shutil.which("strace") else {}
        print(f"    {backend:6} {total} a request; under strace: "
              + ", ".join(f"{name} {each:.2f}" for name, each in names.items()), flush=True)


def show(case, seen):
    print(f"{case} ({pairs.load()})", flush=True)
    for name, rounds in seen.items():
        def column(key, form):
            return pairs.spread([one[key] for one in rounds], form)
        counts = " ".join(f"{key} {rounds[len(rounds) // 2][key]:.2f}" for key in
                          ("driver_turns", "parks", "wakes", "uring_started") if key in rounds[0])
        print(f"    {name:6} {column('per_second', '{:,.0f}'):30} "
              f"ratio {pairs.describe_ratio(seen, name, 'epoll'):20} "
              f"CPU us {column('cpu_us', '{:.2f}'):22} "
              f"p50 us {column('latency_p50_us', '{:.0f}'):20} "
              f"p99 us {column('latency_p99_us', '{:.0f}'):24} "
              f"others {column('busy', '{:.2f}')}  {counts}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=CASES, help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run")
    parser.add_argument("--syscalls", action="store_true", help="count system calls instead")
    parser.add_argument("--raw", help="a file that gets every run as a JSON line")
    arguments = parser.parse_args()
    for case in arguments.cases:
        match = re.fullmatch(r"(echo|http)-(\d+)-(\d+)", case)
        if not match:
            sys.exit(f"backends: no case '{case}': {', '.join(CASES)}")
        kind, connections, workers = match.group(1), int(match.group(2)), int(match.group(3))
        if arguments.syscalls:
            show_syscalls(case, kind, connections, workers, arguments.seconds)
            continue
        seen = pairs.take_turns(
            {backend: (lambda backend=backend: measure(kind, connections, workers, backend,
                                                       arguments.seconds))
             for backend in BACKENDS}, arguments.rounds)
        show(case, seen)
        pairs.append(arguments.raw, case, seen)


if __name__ == "__main__":
    main()
