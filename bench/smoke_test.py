#!/usr/bin/env python3
"""A benchmark that prints one JSON line and refuses bad options: smoke_test.py program argument...

It says nothing about speed. echo_server is stopped by a signal after one echo.
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys


def check(holds, what):
    if not holds:
        sys.exit(f"smoke_test: {what}")


def refused(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30)
    check(done.returncode == 2 and not done.stdout, f"{arguments}: status {done.returncode}")
    check(arguments[0].split("=")[0] in done.stderr, f"{arguments}: {done.stderr!r}")


def serve(program):
    """Starts the server, sends one message through it, stops it; returns (status, stdout)."""
    server = subprocess.Popen([program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        port = re.search(r"127\.0\.0\.1:(\d+)", server.stderr.readline())
        check(port, "echo_server did not say where it serves")
        with socket.create_connection(("127.0.0.1", int(port.group(1))), timeout=10) as client:
            client.sendall(b"hello")
            check(client.recv(5, socket.MSG_WAITALL) == b"hello", "no echo")
        server.send_signal(signal.SIGTERM)
        out, _ = server.communicate(timeout=30)
        return server.returncode, out
    finally:
        server.kill()
        server.wait()


def main():
    program, arguments = sys.argv[1], sys.argv[2:]
    name = os.path.basename(program)
    if name.endswith("_server"):
        status, out = serve(program)
    else:
        done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, text=True, timeout=50)
        status, out = done.returncode, done.stdout
    check(status == 0, f"{name} ended with status {status}")
    lines = out.splitlines()
    check(len(lines) == 1, f"{len(lines)} lines instead of one: {out!r}")
    figures = json.loads(lines[0])
    check(figures.get("bench") == name and figures.get("machine"), f"not ours: {lines[0]}")
    numbers = [value for value in figures.values() if isinstance(value, (int, float))]
    check(numbers and all(value >= 0 for value in numbers), f"a figure is negative: {lines[0]}")
    refused(program, "--no-such-option", "1")
    option = next((word for word in arguments if word.startswith("--")), "--port")
    refused(program, option, "-1x")
    refused(program, option)


if __name__ == "__main__":
    main()
