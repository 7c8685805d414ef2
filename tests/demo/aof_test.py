#!/usr/bin/env python3
"""The demo's log (`--aof`) from outside: kill -9, restarts, strace, a full disk, damaged files.

    aof_test.py path/to/ramie [name ...]     prints `N passed, N failed`, exits 1 on a failure
"""
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time

from server import Server, Skipped, bulk, command, eventually, main, ramie, read_exactly

NEEDS = {"test_trace_of_always": "strace"}
MISCONF = b"-MISCONF Errors writing to the AOF file: "


class Folder:
    """Of a test's own, removed afterwards; its one file is the log."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="ramie-aof-")
        self.log = os.path.join(self.path, "log")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def content(self):
        with open(self.log, "rb") as file:
            return file.read()

    def write(self, content):
        with open(self.log, "wb") as file:
            file.write(content)

    def server(self, *options):
        return Server("--aof", self.log, *options)


def kill(server):
    server.process.kill()
    return server.process.communicate()


def start_in_vain(log):
    """What a server that must not start says on stderr."""
    ran = command(ramie(), "demo", "--serve", "--port=0", "--http-port=0", "--aof", log)
    assert ran.returncode == 1 and ran.stdout == "", ran
    return ran.stderr


KEYS = [b"s", b"n", b"m1", b"m2", b"l", b"e", b"gone", b"late", b"raw"]
CHANGES = (bulk(b"SET", b"before", b"x") + bulk(b"FLUSHALL") + bulk(b"SET", b"s", b"v" * 3000)
           + bulk(b"INCR", b"n") + bulk(b"INCRBY", b"n", b"41") + bulk(b"DECR", b"n")
           + bulk(b"MSET", b"m1", b"1", b"m2", b"2") + bulk(b"APPEND", b"m1", b"+")
           + bulk(b"RPUSH", b"l", b"a", b"b", b"c", b"d") + bulk(b"LPUSH", b"l", b"z")
           + bulk(b"LPOP", b"l", b"2") + bulk(b"RPOP", b"l")
           + bulk(b"SET", b"e", b"1", b"EX", b"900") + bulk(b"SET", b"e", b"2", b"KEEPTTL")
           + bulk(b"SET", b"gone", b"1") + bulk(b"DEL", b"gone", b"never")
           + bulk(b"SET", b"late", b"1") + bulk(b"EXPIRE", b"late", b"500")
           + bulk(b"SET", b"raw", b"\0\r\n*1\r\n$8\r\nFLUSHALL\r\n") + b"SET m2 inline\r\n")


def dump(server):
    """Type, value and deadline of every key; deadlines to the second before and after."""
    ask = b"".join(bulk(b"TYPE", k) + bulk(b"GET", k) + bulk(b"LRANGE", k, b"0", b"-1")
                   for k in KEYS)
    values = server.ask(ask + bulk(b"DBSIZE") + bulk(b"EXISTS", b"before"))
    left = server.ask(b"".join(bulk(b"TTL", k) for k in KEYS)).split(b"\r\n")[:-1]
    return values, [int(one[1:]) for one in left]


def same(before, after):
    assert before[0] == after[0], (before[0], after[0])
    for old, new in zip(before[1], after[1], strict=True):
        assert old == new or 0 <= old - new <= 20, (before[1], after[1])


# ---- restarts ----------------------------------------------------------------------------------

def check_restart(fsync, end):
    with Folder() as folder:
        with folder.server("--fsync", fsync) as server:
            reply = server.ask(CHANGES)
            assert b"-" not in reply, reply
            before = dump(server)
            end(server)
        for _ in range(2):
            with folder.server("--fsync", fsync) as server:
                same(before, dump(server))
                assert os.path.getsize(folder.log) > 3000
                end(server)


def test_restart_after_sigterm():
    for fsync in ("always", "everysec"):
        check_restart(fsync, Server.stop)


def test_restart_after_kill():
    for fsync in ("always", "everysec"):
        check_restart(fsync, kill)


def test_restart_with_an_expired_key():
    with Folder() as folder:
        with folder.server() as server:
            server.ask(b"SET k 1 PX 200\r\nSET j 1 PX 60000\r\nRPUSH l a\r\nPEXPIRE l 200\r\n")
            kill(server)
        time.sleep(0.3)
        with folder.server() as server:
            assert server.ask(b"INCR k\r\nEXISTS l j\r\nRPUSH l b\r\nTTL l\r\n") == (
                b":1\r\n:1\r\n:1\r\n:-1\r\n")
            kill(server)
        with folder.server() as server:
            assert server.ask(b"GET k\r\nLRANGE l 0 -1\r\n") == b"$1\r\n1\r\n*1\r\n$1\r\nb\r\n"


def count_up(server, key, acknowledged):
    try:
        with server.connect() as peer:
            while True:
                peer.sendall(bulk(b"INCR", key) * 3 + bulk(b"RPUSH", b"l" + key, b"x"))
                last = b""
                for _ in range(4):
                    last = b""
                    while not last.endswith(b"\r\n"):
                        last += read_exactly(peer, 1)
                acknowledged[key] = int(last[1:])
    except (ConnectionError, AssertionError):
        pass


def check_kill_under_load(fsync):
    with Folder() as folder:
        for lap in range(3):
            acknowledged, threads = {}, []
            with folder.server("--fsync", fsync) as server:
                for i in range(8):
                    threads.append(threading.Thread(
                        target=count_up, args=(server, b"k%d.%d" % (lap, i), acknowledged)))
                    threads[-1].start()
                time.sleep(0.5)
                kill(server)
                for thread in threads:
                    thread.join()
            assert len(acknowledged) == 8, acknowledged
            with folder.server() as server:
                for key, count in acknowledged.items():
                    n, items = re.findall(rb"\d+", server.ask(
                        b"INCRBY %s 0\r\nLLEN l%s\r\n" % (key, key)))
                    assert int(n) >= 3 * count and int(items) >= count, (key, count, n, items)


def test_kill_under_load_always():
    check_kill_under_load("always")


def test_kill_under_load_everysec():
    check_kill_under_load("everysec")


# ---- always ------------------------------------------------------------------------------------

def trace(server, out, calls):
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(server.process.pid), "-e", "trace=" + calls, "-o", out],
        stderr=subprocess.PIPE, text=True)
    first = tracer.stderr.readline()
    if "attached" not in first:
        tracer.communicate()
        return None, first
    time.sleep(0.5)  # the other threads
    return tracer, first


def test_trace_of_always():
    # Files on the pool, for there a sync is a system call of its own.
    os.environ["RAMIE_FS"] = "pool"
    try:
        with Folder() as folder, folder.server("--fsync", "always", "--workers", "2") as server:
            out = os.path.join(folder.path, "trace")
            tracer, said = trace(server, out, "fdatasync,sendto,sendmsg,write,writev")
            if tracer is None:
                raise Skipped("strace may not attach: " + said.strip())
            with server.connect() as peer:
                for i in range(20):
                    peer.sendall(bulk(b"SET", b"key", b"value%d" % i) * 3)
                    read_exactly(peer, 15)
            server.stop()
            tracer.wait(10)
            with open(out) as file:
                lines = file.read().splitlines()
    finally:
        del os.environ["RAMIE_FS"]
    synced = replies = 0
    for line in lines:
        if "fdatasync" in line and re.search(r"= 0$", line):
            synced += 1
        if '"+OK\\r\\n' in line:
            replies += 1
            assert synced >= replies, "\n".join(lines)
    assert replies == 20 and synced == 20, (replies, synced)


# ---- a disk that fails -------------------------------------------------------------------------

def test_full_device():
    for fsync in ("always", "everysec"):
        with Server("--aof", "/dev/full", "--fsync", fsync) as server:
            error = MISCONF + b"No space left on device\r\n"
            assert server.ask(b"SET k v\r\nGET x\r\n") == error + b"$-1\r\n"
            assert server.ask(b"INCR n\r\nPING\r\nGET n\r\n") == error + b"+PONG\r\n$-1\r\n"
            info = server.ask(b"INFO persistence\r\n")
            assert b"aof_enabled:1\r\naof_last_write_status:err\r\n" in info, info
            assert b" 503 " in server.ask(b"DELETE /k/k HTTP/1.1\r\nHost: x\r\n\r\n", http=True)
            server.process.terminate()
            _, err = server.process.communicate(timeout=10)
            assert server.process.returncode == 1, server.process.returncode
            assert err.count("aof: write /dev/full: No space left on device") == 1, err


def test_room_again():
    # A file system of our own would need root; a limit of the file's size is as good.
    with Folder() as folder, folder.server() as server:
        pid, big = server.process.pid, b"v" * 5000
        assert server.ask(bulk(b"SET", b"a", b"1")) == b"+OK\r\n"
        size = len(folder.content())
        limited = command("prlimit", "--pid", str(pid), "--fsize=%d:unlimited" % (size + 100))
        if limited.returncode != 0:
            print("        cannot limit the server's files")
            return
        assert server.ask(bulk(b"SET", b"b", big)).startswith(MISCONF)
        assert server.ask(bulk(b"SET", b"c", b"1")).startswith(MISCONF)
        assert len(folder.content()) == size
        command("prlimit", "--pid", str(pid), "--fsize=unlimited:unlimited")
        eventually(lambda: server.ask(bulk(b"SET", b"d", b"1")) == b"+OK\r\n")
        kill(server)
        with folder.server() as again:
            assert again.ask(b"STRLEN b\r\nEXISTS a c d\r\n") == b":5000\r\n:2\r\n"


# ---- files -------------------------------------------------------------------------------------

def test_cut_tail():
    with Folder() as folder:
        first, second = bulk(b"SET", b"a", b"1"), bulk(b"SET", b"b", b"2")
        for size in range(len(second)):
            folder.write(first + second[:size])
            with folder.server() as server:
                assert server.ask(b"EXISTS a\r\nEXISTS b\r\n") == b":1\r\n:0\r\n"
                _, err = kill(server)
            assert ("cut off %d bytes of an incomplete command\n" % size in err) == (size > 0), err
            assert folder.content() == first


def test_damage_refuses():
    with Folder() as folder:
        first, second = bulk(b"SET", b"a", b"1"), bulk(b"SET", b"b", b"2")
        for content, offset in ((first + b"xyz" + second, len(first)), (b"hello\n", 0),
                                (first[:8] + b"x" + first[9:] + second, 0)):
            folder.write(content)
            err = start_in_vain(folder.log)
            assert "damaged at offset %d: " % offset in err, err
            assert folder.content() == content


def test_files_that_cannot_be():
    with Folder() as folder:
        assert "No such file or directory" in start_in_vain(folder.path + "/no/log")
        assert "Is a directory" in start_in_vain(folder.path)
        with folder.server():
            assert "another process holds its lock" in start_in_vain(folder.log)


def test_info():
    with Folder() as folder, folder.server("--fsync", "always") as server:
        server.ask(CHANGES)
        info = server.ask(b"INFO persistence\r\n")
        size = len(folder.content())
        assert b"aof_last_write_status:ok\r\naof_current_size:%d\r\n" % size in info, info
        assert b"always" in server.ask(b"CONFIG GET appendfsync\r\n")
        metrics = server.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", http=True)
        assert b"\nramie_demo_aof_size_bytes %d\n" % size in metrics, metrics
    with Server() as server:
        assert b"aof_enabled:0\r\n" in server.ask(b"INFO persistence\r\n")


if __name__ == "__main__":
    main(globals(), NEEDS)
