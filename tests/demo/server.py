"""A `ramie demo --serve` for each test, and the runner of these programs:

    X_test.py path/to/ramie [name ...]     prints `N passed, N failed`, perhaps `, N skipped`; exits
                                         1 on a failure
"""
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

RAMIE = None


class Skipped(Exception):
    """The machine lacks something that a test needs."""


def ramie():
    return RAMIE


class Server:
    """`ramie demo --serve` on free ports; ends by SIGTERM with status 0, or the test fails."""

    def __init__(self, *options, files=None):
        def prepare():
            signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # a shell's background job ignores it
            if files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        self.process = subprocess.Popen(
            [RAMIE, "demo", "--serve", "--port", "0", "--http-port", "0", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=prepare)
        line = self.process.stdout.readline()
        ports = re.findall(r":(\d+)", line)
        assert len(ports) == 2, "no ports in %r: %s" % (line, self.process.stderr.read())
        self.port, self.http = map(int, ports)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.process.kill()
            self.process.communicate()
        elif self.process.returncode is None:
            self.stop()

    def stop(self, number=signal.SIGTERM, seconds=10):
        """Ends it and returns the seconds that took."""
        begin = time.monotonic()
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, (self.process.returncode, out, err)
        assert "drained after" in out, out
        return time.monotonic() - begin

    def connect(self, http=False):
        peer = socket.create_connection(("127.0.0.1", self.http if http else self.port))
        peer.settimeout(20)
        return peer

    def ask(self, request, http=False):
        """Sends, half-closes, and reads to the end."""
        with self.connect(http) as peer:
            peer.sendall(request)
            peer.shutdown(socket.SHUT_WR)
            return read_to_end(peer)

    def check_alive(self):
        reply = self.ask(b"PING\r\n")
        assert reply == b"+PONG\r\n", reply
        assert b" 200 OK" in self.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", http=True)

    def resident(self):
        with open("/proc/%d/statm" % self.process.pid) as statm:
            return int(statm.read().split()[1]) * 4096

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))


def read_to_end(peer):
    out = bytearray()
    while piece := peer.recv(1 << 16):
        out += piece
    return bytes(out)


def read_exactly(peer, size):
    out = bytearray()
    while len(out) < size:
        piece = peer.recv(min(1 << 20, size - len(out)))
        assert piece, "closed after %d of %d bytes" % (len(out), size)
        out += piece
    return bytes(out)


def command(*args, **options):
    return subprocess.run(args, capture_output=True, text=True, timeout=120, **options)


def eventually(what, seconds=5):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "still not so after %d s" % seconds
        time.sleep(0.02)


def bulk(*args):
    out = b"*%d\r\n" % len(args)
    for arg in args:
        out += b"$%d\r\n%s\r\n" % (len(arg), arg)
    return out


def main(tests, needs):
    """`tests`: functions by name; `needs`: the programs without which some are left out."""
    global RAMIE
    if len(sys.argv) < 2:
        sys.exit("usage: %s path/to/ramie [name ...]" % sys.argv[0])
    RAMIE = os.path.abspath(sys.argv[1])
    passed = failed = skipped = 0
    for name, test in list(tests.items()):
        if not name.startswith("test_") or (sys.argv[2:] and name not in sys.argv[2:]):
            continue
        begin = time.monotonic()
        try:
            if name in needs and not shutil.which(needs[name]):
                raise Skipped("%s is not installed" % needs[name])
            test()
            passed += 1
            print("ok      %s  %.1f s" % (name, time.monotonic() - begin), flush=True)
        except Skipped as reason:
            skipped += 1
            print("skipped: %s | %s" % (name, reason), flush=True)
        except Exception as error:
            failed += 1
            print("FAILED  %s: %s: %s" % (name, type(error).__name__, str(error)[:2000]),
                  flush=True)
    print("%d passed, %d failed" % (passed, failed) +
          (", %d skipped" % skipped if skipped else ""))
    sys.exit(1 if failed or not passed + skipped else 0)
