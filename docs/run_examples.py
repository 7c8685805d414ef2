#!/usr/bin/env python3
"""Runs the examples of the documentation: run_examples.py PROGRAM...

Pass the programs in the order of the calls at the end of this file.

They use port 7000, as their pages say. If it is taken, the test of the echo server says so.
"""
import signal
import socket
import subprocess
import sys
import threading
import time


def check(holds, what):
    if not holds:
        sys.exit(f"run_examples: {what}")


skipped = 0


def skip(name, reason):
    global skipped
    skipped += 1
    print(f"skipped: {name} | {reason}")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def connect(port):
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            check(time.monotonic() < deadline, "the echo server does not answer")
            time.sleep(0.05)


def echo(program):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 7000))
        except OSError:
            skip("echo", "port 7000 is in use")
            return
    server = subprocess.Popen([program])
    try:
        with connect(7000) as client, connect(7000) as silent:
            client.sendall(b"hello")
            check(client.recv(5, socket.MSG_WAITALL) == b"hello", "no echo")
            second = run(program)
            check(second.returncode == 1 and "in use" in second.stderr, f"second: {second}")
            client.close()
            began = time.monotonic()
            server.send_signal(signal.SIGTERM)
            check(server.wait(30) == 0, "the echo server did not end well")
            took = time.monotonic() - began
            check(4.5 < took < 15, f"the silent peer has 5 s, not {took:.1f}")
            check(silent.recv(1) == b"", "the silent peer was not closed")
    finally:
        server.kill()
        server.wait()


def timeout_client(program):
    def serve(listener, answer):
        peer, _ = listener.accept()
        with peer:
            peer.recv(1024)
            if answer is None:
                time.sleep(7)
            else:
                peer.sendall(answer)

    for answer, status, text in [(b"HTTP/1.0 200 OK\r\n\r\n", 0, "HTTP/1.0 200 OK\n"),
                                 (b"", 1, "abort"), (None, 1, "deadline")]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve, args=(listener, answer))
            thread.start()
            done = run(program, f"127.0.0.1:{listener.getsockname()[1]}")
            thread.join()
            said = done.stdout if status == 0 else done.stderr
            check(done.returncode == status and text in said, f"{answer!r}: {done}")
    done = run(program, "127.0.0.1:1")
    check(done.returncode == 1 and "refused" in done.stderr, f"port 1: {done}")


def graceful(program):
    job = subprocess.Popen([program], stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    job.send_signal(signal.SIGTERM)
    out, _ = job.communicate(timeout=30)
    saved = out.count("saved after")
    check(job.returncode == 0 and saved > 0, f"status {job.returncode}: {out}")
    check(f"{saved} had to be cancelled" in out, out)


def threads_and_fibers(program):
    done = run(program)
    check(done.returncode == 0 and done.stdout.startswith("sum 106, host '"), f"{done}")


def files(program):
    done = run(program)
    check(done.returncode == 0 and done.stdout.endswith("line 2\n21 bytes\nline 1\n"), f"{done}")


def uring(program):
    done = run(program)
    if done.returncode == 1 and done.stderr.startswith("io_uring: "):
        skip("uring", done.stderr.strip())
        return
    check(done.returncode == 0, f"{done}")
    check("older" in done.stdout or done.stdout == "the child ended with 7\nthe word is 1\n"
          "5 bytes wait\n", f"{done}")


if __name__ == "__main__":
    echo(sys.argv[1])
    timeout_client(sys.argv[2])
    graceful(sys.argv[3])
    threads_and_fibers(sys.argv[4])
    files(sys.argv[5])
    uring(sys.argv[6])
    print(f"{len(sys.argv) - 1 - skipped} passed, 0 failed" +
          (f", {skipped} skipped" if skipped else ""))
