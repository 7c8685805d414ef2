#!/usr/bin/env python3
"""Real clients, and peers that misbehave, against `ramie demo --serve`.

Each test gets a server of its own on free ports, which must end with status 0 at SIGTERM. Clients
that are not installed are named and left out.
"""
import os
import pty
import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time

from server import Server, bulk, command, eventually, main, ramie, read_exactly, read_to_end

# ---- stock clients ----------------------------------------------------------------------------

def test_redis_cli():
    with Server() as server:
        script = 'SET k "a b"\nGET k\nLPUSH l 1 2 3\nLRANGE l 0 -1\nNOSUCH x\nCLIENT GETNAME\n'
        ran = command("redis-cli", "-p", str(server.port), input=script)
        assert ran.returncode == 0, ran
        assert ran.stdout.split("\n")[:6] == ["OK", "a b", "3", "3", "2", "1"], ran.stdout
        assert "ERR unknown command 'NOSUCH'" in ran.stdout, ran.stdout
        info = command("redis-cli", "-p", str(server.port), "info", "keyspace").stdout
        assert "db0:keys=2" in info, info


def test_redis_cli_interactive():
    # On a terminal redis-cli asks for COMMAND DOCS, shows a prompt and hints.
    with Server() as server:
        master, slave = pty.openpty()
        with subprocess.Popen(["redis-cli", "-p", str(server.port)], stdin=slave, stdout=slave,
                              stderr=slave, env={**os.environ, "TERM": "dumb"}) as client:
            os.close(slave)
            os.write(master, b"set k v\nget k\nquit\n")
            shown = b""
            try:
                while piece := os.read(master, 4096):
                    shown += piece
            except OSError:  # how a pty tells that the other side is gone
                pass
            os.close(master)
        assert client.returncode == 0 and b"OK" in shown and b'"v"' in shown, shown
        assert b"rror" not in shown, shown


def test_redis_cli_pipe():
    with Server() as server:
        data = b"".join(bulk(b"SET", b"key%d" % i, b"v" * (i % 200)) for i in range(20000))
        ran = subprocess.run(["redis-cli", "-p", str(server.port), "--pipe"], input=data,
                             capture_output=True, timeout=60)
        assert b"errors: 0, replies: 20000" in ran.stdout, ran
        assert server.ask(b"DBSIZE\r\n") == b":20000\r\n"


def benchmark(server, *options):
    ran = command("redis-benchmark", "-p", str(server.port), "-q", *options)
    assert ran.returncode == 0, ran
    text = ran.stdout + ran.stderr
    assert "rror" not in text and "WARNING" not in text, text
    return text


def test_redis_benchmark():
    with Server() as server:
        tests = ("-t", "ping,set,get,incr,lpush,rpush,lpop,rpop,lrange_100,mset")
        for pipeline, clients, count in ((1, 50, 5000), (16, 50, 20000), (1, 512, 5000)):
            benchmark(server, *tests, "-n", str(count), "-c", str(clients), "-P", str(pipeline))
        benchmark(server, "-t", "set,get", "-d", "100000", "-n", "1000", "-P", "4")


def test_curl():
    with Server() as server:
        base = "http://127.0.0.1:%d" % server.http
        put = command("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT",
                      "--data-binary", "hello", base + "/k/a%20b")
        assert put.stdout == "201", put
        assert command("curl", "-sS", base + "/k/a%20b").stdout == "hello"
        assert server.ask(b'GET "a b"\r\n') == b"$5\r\nhello\r\n"
        head = command("curl", "-sSI", base + "/k/a%20b").stdout
        assert "200 OK" in head and "Content-Length: 5" in head, head
        two = command("curl", "-sS", "-v", base + "/healthz", base + "/healthz")
        assert two.stdout == "ok\nok\n" and "Re-using existing connection" in two.stderr, two
        assert "ramie_demo_keys 1" in command("curl", "-sS", base + "/metrics").stdout
        status = ("-o", "/dev/null", "-w", "%{http_code}")
        delete = ("curl", "-sS", *status, "-X", "DELETE", base + "/k/a%20b")
        assert [command(*delete).stdout for _ in range(2)] == ["204", "404"]
        assert command("curl", "-sS", *status, "-d", "x", base + "/k/a").stdout == "405"


def test_curl_uploads_with_expect():
    with Server() as server:
        value = random.Random(1).randbytes(20 << 20)
        for extra in ((), ("-H", "Transfer-Encoding: chunked")):
            url = "http://127.0.0.1:%d/k/big" % server.http
            ran = subprocess.run(["curl", "-sS", "-v", "-T", "-", "--expect100-timeout", "30",
                                  "-H", "Expect: 100-continue", *extra, url],
                                 input=value, capture_output=True, timeout=60)
            assert b"100 Continue" in ran.stderr, ran.stderr[-2000:]
            got = subprocess.run(["curl", "-sS", url], capture_output=True, timeout=60)
            assert got.stdout == value
        too_big = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-T",
                                  "-", url], input=bytes(65 << 20), capture_output=True)
        assert too_big.stdout == b"413", too_big
        server.check_alive()


def test_wrk():
    with Server() as server:
        server.ask(bulk(b"SET", b"k", b"v" * 100))
        for page in ("/k/k", "/healthz"):
            ran = command("wrk", "-t1", "-c64", "-d2",
                          "http://127.0.0.1:%d%s" % (server.http, page))
            assert ran.returncode == 0 and "Requests/sec" in ran.stdout, ran
            assert "Socket errors" not in ran.stdout and "Non-2xx" not in ran.stdout, ran.stdout


NEEDS = {"test_redis_cli": "redis-cli", "test_redis_cli_interactive": "redis-cli",
         "test_redis_cli_pipe": "redis-cli", "test_redis_benchmark": "redis-benchmark",
         "test_curl": "curl", "test_curl_uploads_with_expect": "curl", "test_wrk": "wrk"}


# ---- peers that misbehave ---------------------------------------------------------------------

def test_garbage_on_both_ports():
    with Server() as server:
        dice = random.Random(7)
        for http in (False, True):
            for size in (1, 10, 1000, 100000):
                for _ in range(5):
                    with server.connect(http) as peer:
                        try:
                            peer.sendall(dice.randbytes(size))
                            peer.shutdown(socket.SHUT_WR)
                            read_to_end(peer)
                        except (ConnectionResetError, BrokenPipeError):
                            pass
        crossed = server.ask(bulk(b"PING"), http=True)
        assert crossed.startswith(b"HTTP/1.1 400 Bad Request"), crossed
        assert server.ask(b"POST / HTTP/1.1\r\n\r\nFLUSHALL\r\n") == b""
        server.check_alive()


def test_protocol_error_reply_arrives_although_more_was_sent():
    with Server() as server:
        for _ in range(50):
            with server.connect() as peer:
                peer.sendall(b"*1\r\n$abc\r\n" + b"x" * 100000)
                reply = read_to_end(peer)
                assert reply == b"-ERR Protocol error: invalid bulk length\r\n", reply


def test_half_closed_peer_gets_its_replies():
    with Server() as server:
        for _ in range(20):
            reply = server.ask(b"SET k v\r\nGET k\r\n" + b"PING\r\n" * 1000)
            assert reply == b"+OK\r\n$1\r\nv\r\n" + b"+PONG\r\n" * 1000
        page = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        assert server.ask(page * 100, http=True).count(b" 200 OK") == 100


def test_reset_peers():
    with Server() as server:
        before = server.descriptors()
        for http in (False, True):
            for _ in range(100):
                peer = server.connect(http)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.sendall(b"PING\r\n" * 10)
                peer.close()
        server.check_alive()
        eventually(lambda: server.descriptors() <= before)


def test_slow_reader_stops_only_itself():
    with Server() as server:
        server.ask(bulk(b"SET", b"big", b"v" * 60000))
        base = server.resident()
        with server.connect() as slow:
            slow.setblocking(False)
            request, asked = bulk(b"GET", b"big") * 100, 0
            try:
                for _ in range(100000):
                    asked += slow.send(request)
            except BlockingIOError:
                pass
            time.sleep(0.3)
            server.check_alive()
            grown = server.resident() - base
            assert grown < 20 << 20, "%d bytes for one slow reader" % grown
            slow.settimeout(20)
            one = b"$60000\r\n" + b"v" * 60000 + b"\r\n"
            for _ in range(asked // len(bulk(b"GET", b"big"))):
                assert read_exactly(slow, len(one)) == one
        server.check_alive()


def test_announced_sizes_take_no_memory():
    with Server() as server:
        peers = [server.connect() for _ in range(200)]
        base = server.resident()
        for peer in peers:
            peer.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nonly a few bytes")
        many = [server.connect() for _ in range(50)]
        for peer in many:
            peer.sendall(b"*1048576\r\n")
        time.sleep(0.5)
        grown = server.resident() - base
        assert grown < 40 << 20, "%d bytes for announcements" % grown
        server.check_alive()
        for peer in peers + many:
            peer.close()


def test_idle_connections_hold_no_buffer():
    with Server() as server:
        peers = [server.connect() for _ in range(400)]
        for peer in peers:
            peer.sendall(b"PING\r\n")
        for peer in peers:
            assert read_exactly(peer, 7) == b"+PONG\r\n"
        idle = server.resident()
        for _ in range(3):
            for peer in peers:
                peer.sendall(bulk(b"ECHO", b"x" * 50000))
                read_exactly(peer, 50010)
        grown = server.resident() - idle
        assert grown < 10 << 20, "%d bytes are held for idle connections" % grown
        for peer in peers:
            peer.close()


def test_large_value():
    with Server() as server:
        value = random.Random(3).randbytes(64 << 20)
        with server.connect() as peer:
            threading.Thread(target=peer.sendall, args=(bulk(b"SET", b"k", value),)).start()
            assert read_exactly(peer, 5) == b"+OK\r\n"
            peer.sendall(bulk(b"GET", b"k"))
            head = b"$%d\r\n" % len(value)
            assert read_exactly(peer, len(head)) == head
            assert read_exactly(peer, len(value)) == value
            assert read_exactly(peer, 2) == b"\r\n"


def test_idle_timeout():
    with Server("--idle-timeout", "1") as server:
        for http in (False, True):
            with server.connect(http) as peer:
                begin = time.monotonic()
                assert read_to_end(peer) == b""
                assert 0.9 < time.monotonic() - begin < 5


def test_expired_keys_are_swept():
    with Server() as server:
        for i in range(100):
            server.ask(b"SET k%d v PX 50\r\n" % i)
        eventually(lambda: b"expired_keys:100\r\n" in server.ask(b"INFO stats\r\n"))


def test_few_descriptors():
    with Server(files=64) as server:
        first = server.connect()
        others = [server.connect() for _ in range(300)]  # the kernel's backlog takes them all
        time.sleep(0.5)
        first.sendall(b"PING\r\n")
        assert read_exactly(first, 7) == b"+PONG\r\n"
        for peer in others:
            peer.close()
        eventually(lambda: server.descriptors() < 40)
        server.check_alive()
        first.close()


# ---- start and end ----------------------------------------------------------------------------

def test_port_in_use():
    with Server() as server:
        for options in (("--port", str(server.port)), ("--http-port", str(server.port))):
            taken = command(ramie(), "demo", "--serve", "--port", "0", "--http-port", "0", *options)
            message = "ramie demo: bind 127.0.0.1:%d: Address already in use\n" % server.port
            assert (taken.returncode, taken.stderr) == (1, message), taken


def test_usage_errors():
    for args in (("nosuch",), ("demo", "--nosuch"), ("demo", "--port", "x"), ("demo", "x"),
                 ("demo", "--serve", "--seconds", "1"), ("--version", "x"), ()):
        ran = command(ramie(), *args)
        assert ran.returncode == 2 and ran.stderr.startswith("ramie") and not ran.stdout, ran
    bad = command(ramie(), "demo", "--serve", "--host", "1.2.3.4.5", "--port", "0")
    assert bad.returncode == 1 and "1.2.3.4.5:0" in bad.stderr, bad
    for args in (("help",), ("--version",), ("demo", "--help")):
        ran = command(ramie(), *args)
        assert ran.returncode == 0 and ran.stdout and not ran.stderr, ran


def test_a_dump_names_the_connections():
    with Server() as server, server.connect() as peer:
        peer.sendall(b"PING\r\n")
        assert read_exactly(peer, 7) == b"+PONG\r\n"
        server.process.send_signal(signal.SIGQUIT)
        name = "'resp 127.0.0.1:%d'" % peer.getsockname()[1]
        assert any(name in line for line in server.process.stderr)


def test_idle_server_ends_at_once():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Server() as server:
            peers = [server.connect(http) for http in (False, True) for _ in range(50)]
            eventually(lambda: server.descriptors() > 100)
            took = server.stop(number)
            assert took < 2, "%.1f s" % took
            assert all(read_to_end(peer) == b"" for peer in peers)


def hammer(server, torn, done):
    """Pipelines of ten until the server ends; a reply cut in half is a failure."""
    request, reply = b"INCR n\r\nECHO abc\r\n" * 5, re.compile(rb"(:\d+\r\n\$3\r\nabc\r\n)*")
    got = bytearray()
    try:
        with server.connect() as peer:
            while True:
                peer.sendall(request)
                piece = peer.recv(1 << 16)
                if not piece:
                    break
                got += piece
    except (ConnectionResetError, BrokenPipeError):
        pass
    # Whole replies only; the last pair may lack its second half only between two replies.
    rest = got[reply.match(got).end():]
    if rest and not re.fullmatch(rb":\d+\r\n", rest):
        torn.append(rest)
    done.append(got.count(b"abc"))


def test_sigterm_under_load():
    with Server() as server:
        torn, done = [], []
        threads = [threading.Thread(target=hammer, args=(server, torn, done)) for _ in range(20)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        took = server.stop()
        for thread in threads:
            thread.join()
        assert not torn, torn[:3]
        assert min(done) > 0, done
        assert took < 7, "%.1f s" % took


def test_sigterm_with_a_stuck_reader():
    with Server() as server:
        server.ask(bulk(b"SET", b"big", b"v" * 1000000))
        with server.connect() as stuck:
            stuck.sendall(bulk(b"GET", b"big") * 100)
            time.sleep(0.3)
            took = server.stop(seconds=20)  # the grace is five seconds, then it is cancelled
            assert took < 9, "%.1f s" % took


def test_drive():
    ran = command(ramie(), "demo", "--seconds", "2", "--connections", "100")
    assert ran.returncode == 0 and not ran.stderr, ran
    assert re.search(r"built in, 100 connections +[\d,]+ +[\d.]+ ms .*epoll", ran.stdout), ran
    assert ran.stdout.count(" requests/s   p99 ") == 2, ran.stdout


if __name__ == "__main__":
    main(globals(), NEEDS)
