#!/usr/bin/env python3
"""Runs the examples with libpq and OpenSSL: run_libraries.py [tsan] NAME=PROGRAM...

If a package is missing, its example was not built; it is skipped with a message. Under the race
detector (`tsan`) all are skipped: memory that a library keeps for each thread looks shared by the
fibers of that thread. The test starts its own database server on a free port of the loopback, in a
temporary folder.
"""
import glob
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAMS = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
IS_RACE_DETECTOR = "tsan" in sys.argv[1:]


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=90)


def numbers_in(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise AssertionError(f"{pattern!r} is not in {text!r}")
    return [int(number) for number in found.groups()]


class Postgres:
    """PostgreSQL refuses to run as root, so root gives it another user."""

    def __init__(self, binaries):
        self.binaries = binaries
        self.folder = tempfile.mkdtemp(prefix="ramie-pg-")
        self.user = None
        if os.geteuid() == 0:
            self.user = next(name for name in ("postgres", "nobody") if self.exists(name))
            shutil.chown(self.folder, self.user)
        self.data = os.path.join(self.folder, "data")
        self.log = open(os.path.join(self.folder, "log"), "w+", encoding="utf-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @staticmethod
    def exists(name):
        try:
            return bool(pwd.getpwnam(name))
        except KeyError:
            return False

    def __enter__(self):
        owner = {"user": self.user} if self.user else {}
        subprocess.run([os.path.join(self.binaries, "initdb"), "-D", self.data, "-A", "trust",
                        "-U", "ramie", "--no-sync"], check=True, stdout=self.log,
                       stderr=self.log, cwd=self.folder, timeout=120, **owner)
        self.process = subprocess.Popen(
            [os.path.join(self.binaries, "postgres"), "-D", self.data, "-p", str(self.port),
             "-h", "127.0.0.1", "-k", self.folder, "-F"],
            stdout=self.log, stderr=self.log, cwd=self.folder, **owner)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return self
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.__exit__()
                    raise AssertionError("the database does not start")
                time.sleep(0.05)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)  # ends connections and itself
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Libraries(unittest.TestCase):
    def setUp(self):
        if IS_RACE_DETECTOR:
            self.skipTest("to the race detector a thread's memory is shared by its fibers")

    # A second of silence: a spin is 1,000 ms and hundreds of thousands of waits. Other programs
    # of the machine cost us no CPU time of our own.
    def check_idle(self, waits, cpu):
        self.assertLess(waits, 20)
        self.assertLess(cpu, 500)

    def test_openssl(self):
        if "openssl" not in PROGRAMS:
            self.skipTest("there was no libssl-dev when this was configured")
        ran = run(PROGRAMS["openssl"])
        self.assertEqual(ran.returncode, 0, ran)
        self.assertIn("echoed hello; silence: deadline exceeded", ran.stdout)
        self.check_idle(*numbers_in(r"(\d+) waits, (\d+) ms of CPU", ran.stdout))

    def test_libpq(self):
        if "libpq" not in PROGRAMS:
            self.skipTest("there was no libpq-dev when this was configured")
        binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not binaries or not os.path.exists(os.path.join(binaries[-1], "initdb")):
            self.skipTest("there is no postgresql")
        with Postgres(binaries[-1]) as server:
            ran = run(PROGRAMS["libpq"],
                      f"host=127.0.0.1 port={server.port} dbname=postgres user=ramie")
        self.assertEqual(ran.returncode, 0, ran)
        waits, ticks, cpu = numbers_in(r"answer 42, (\d+) waits, (\d+) ticks, (\d+) ms", ran.stdout)
        self.check_idle(waits, cpu)
        self.assertGreater(ticks, 0)  # others ran meanwhile
        self.assertIn("and 3000000 bytes", ran.stdout)
        self.assertIn("late: deadline exceeded", ran.stdout)

    def test_libpq_without_a_server(self):
        if "libpq" not in PROGRAMS:
            self.skipTest("there was no libpq-dev when this was configured")
        with socket.socket() as probe:  # bound, and nobody listens
            probe.bind(("127.0.0.1", 0))
            ran = run(PROGRAMS["libpq"], f"host=127.0.0.1 port={probe.getsockname()[1]} dbname=x")
        self.assertEqual(ran.returncode, 1, ran)
        self.assertIn("refused", ran.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
