#!/usr/bin/env python3
"""Records what a real redis-server answers: record_corpus.py [port] > redis_corpus.hpp

Without a port it starts one on a free port. Run it by hand when the list below changes; the test
reads the header, so that it needs no Redis. Each session starts with FLUSHALL on a new connection.
"""
import socket
import subprocess
import sys
import tempfile
import time

SESSIONS = {
    "strings": """
        PING|PING hello|ping a b|ECHO hi|ECHO|ECHO a b|GET k|SET k v|get k|GeT k|GET|GET a b
        SET k|SET|SET k v BOGUS|SET k v EX|SET k v EX 0|SET k v EX -1|SET k v EX abc
        SET k v EX 9223372036854775807|SET k v PX 9223372036854775807|SET k v PX 0|SET k v EX 1.5
        SET k v NX XX|SET k v EX 10 PX 10|SET k v KEEPTTL EX 10|SET k v EX 10 EX 20|TTL k
        SET k w NX|GET k|SET k w XX|GET k|SET nk v XX|GET nk|SET nk v NX|SET k x GET|SET none x GET
        SET none2 x XX GET|SET k y NX GET|GET k|SET k z KEEPTTL|TTL k|SET k z EX 100|TTL k
        SET k z KEEPTTL|TTL k|SET k z|TTL k|SET k z PX 100000|TTL k|SET k z ex 100 nx
        SET k ""|GET k
        SET k z EXAT 1|GET k|SET k z PXAT 99999999999999|GET k|SET k z EXAT 0|SET k z PXAT -5
        STRLEN k|STRLEN none9|STRLEN|APPEND k abc|APPEND k def|GET k|APPEND new xyz|APPEND new
        MSET a 1 b 2 c 3|MGET a b zz c|MSET a|MSET a 1 b|MGET|MGET a a a|MSET a 1 a 2|GET a
        SET "sp ace" "va lue"|GET "sp ace"|SET k '\\x41'|GET k|SET k "\\x41\\n\\r\\t\\\\\\"q"|GET k
    """,
    "numbers": """
        INCR n|INCR n|DECR n|INCRBY n 10|DECRBY n 3|GET n|INCRBY n abc|INCRBY n 1.5|INCRBY n|INCR
        SET s x|INCR s|SET s 007|INCR s|SET s " 7"|INCR s|SET s -0|INCR s|SET s +7|INCR s|SET s ""
        INCR s|SET m 9223372036854775807|INCR m|INCRBY m 1|DECRBY m -1|DECR m
        INCRBY m -9223372036854775808|DECRBY m -9223372036854775808|INCRBY m 9223372036854775808
        SET m -9223372036854775808|DECR m|DECRBY m 1|INCR m|SET t 1 EX 100|INCR t|TTL t|SET t 01
        DECR t|INCRBY t 007|INCRBY t +1|INCRBY t ""
    """,
    "keys": """
        SET k v|EXISTS k|EXISTS k k none|EXISTS|DEL none|DEL k none k|DEL|EXISTS k|DBSIZE|DBSIZE x
        TTL none|PTTL none|PERSIST none|EXPIRE none 10|SET k v|TTL k|PTTL k|PERSIST k|EXPIRE k 100
        TTL k|PERSIST k|TTL k|EXPIRE k|EXPIRE k abc|EXPIRE k 100 NX|EXPIRE k 100 NX|TTL k
        EXPIRE k 50 GT|EXPIRE k 200 GT|TTL k|EXPIRE k 300 LT|EXPIRE k 100 LT|TTL k|EXPIRE k 100 XX
        EXPIRE k 100 NX XX|EXPIRE k 100 NX GT|EXPIRE k 100 GT LT|EXPIRE k 100 FOO|EXPIRE k abc FOO
        EXPIRE k 100 xx gt|EXPIRE k 500 XX LT|EXPIRE k 9223372036854775807
        EXPIRE k -9223372036854775808|PEXPIRE k 9223372036854775807|PERSIST k|EXPIRE k 10 GT
        EXPIRE k 10 XX|EXPIRE k 10 LT|TTL k|PEXPIRE k 100000|TTL k|EXPIRE k -1|EXISTS k|TTL k
        SET k v|EXPIRE k 0|GET k|SET k v|PEXPIRE k -5|DBSIZE|SET a 1|LPUSH l 1|DBSIZE|TYPE a|TYPE l
        TYPE none|TYPE|FLUSHALL FOO|FLUSHALL SYNC ASYNC|DBSIZE|FLUSHALL ASYNC|DBSIZE|SET a 1
        FLUSHDB SYNC|DBSIZE|FLUSHALL|PERSIST|PERSIST a b|TTL|TTL a b
    """,
    "lists": """
        LPUSH l|LPUSH l a b c|RPUSH l x y|LLEN l|LRANGE l 0 -1|LRANGE l 1 2|LRANGE l -2 -1
        LRANGE l -100 100|LRANGE l 5 1|LRANGE l 100 200|LRANGE l a 1|LRANGE l 0 b|LRANGE l 0
        LRANGE none 0 -1|LPOP l|RPOP l|LPOP l 0|LPOP none|LPOP none 0|LPOP none 2|RPOP none
        LPOP l -1
        LPOP l abc|LPOP l 1 2|RPOP l 1 2|LPOP|LPOP l 2|RPOP l 100|EXISTS l|LLEN l|LLEN|RPUSH l 1 2 3
        RPOP l 2|LRANGE l 0 -1|LRANGE l 0 0|LRANGE l -1 0|LRANGE l -1 -1|LRANGE l 0 -2
        GET l|SET l v NX|SET l v XX GET|MGET l none|INCR l|INCRBY l 1|APPEND l x|STRLEN l|TTL l
        EXPIRE l 100|TTL l|PERSIST l|SET s x|LPUSH s x|RPUSH s x|LPOP s|RPOP s 1|LLEN s
        LRANGE s 0 1|LRANGE s a 1|LPOP s -1|SET l now-a-string|GET l|DEL l s|LPUSH l a|LPOP l|TYPE l
    """,
    "connection": """
        SELECT 0|SELECT abc|SELECT -1|SELECT 99|SELECT|SELECT 0 1|SELECT 99999999999|CLIENT
        CLIENT FOO|client foo bar|CLIENT SETNAME|CLIENT GETNAME|CLIENT SETNAME "a b"
        CLIENT SETNAME "a\\nb"|CLIENT SETNAME me|CLIENT GETNAME|CLIENT SETNAME ""|CLIENT GETNAME
        CLIENT ID x|CLIENT LIST BAR|CLIENT NO-EVICT|CLIENT NO-EVICT maybe|CLIENT NO-EVICT on
        CLIENT NO-EVICT OFF|CONFIG|CONFIG GET|CONFIG FOO|CONFIG GET save|CONFIG GET appendonly
        CONFIG GET nosuchthing|CONFIG GET SAV[a-f]|CONFIG GET s?ve|COMMAND FOO|COMMAND COUNT x
        COMMAND DOCS nosuch|COMMAND INFO nosuch|FOO|foo a b c|"fo o" "a b"|"f\\r\\nx" "\\r\\n"
        FOO AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA BBBBBBBBBBBBBBBBBBBBBBBBBBBBB \
BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB CCCCCCCCCCCCCCCCCCCCCC DDDDDDDDD EEEEEEEEE|QUIT
    """,
}

# Raw bytes, each on a connection of its own.
RAW = [
    b"*1\r\n$abc\r\n", b"*1\r\n$-1\r\n", b"*abc\r\n", b"*1\r\n+x\r\n", b"*1\r\nPING\r\n",
    b"*1\r\n$536870913\r\n", b"*1\r\n\r\n", b"*3000000000\r\n", b"* 1\r\n", b"*\r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$ 4\r\nPING\r\n", b"*1\r\n$04\r\nPING\r\n", b"*01\r\n$4\r\nPING\r\n",
    b'get "a\r\n', b'get "a"b\r\n', b"get 'a\\'\r\n", b"*0\r\n*1\r\n$4\r\nPING\r\nQUIT\r\n",
    b"*-5\r\nPING\r\nQUIT\r\n", b"\r\n\r\nPING\r\nQUIT\r\n", b"PING\nQUIT\n",
    b"   PING   \r\nQUIT\r\n", b"PING\r\nPING\r\nNOSUCH\r\nPING\r\nQUIT\r\nPING\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nvXXGET k\r\nQUIT\r\n", b"*1\r\n$0\r\n\r\nQUIT\r\n",
    b"*2\r\n$3\r\nGET\r\n$0\r\n\r\nQUIT\r\n",
    b"SET k \"a\\x00b\"\r\nGET k\r\nQUIT\r\n",
]

HEAD = """\
// What redis-server 7.0.15 answered, byte for byte. Made by record_corpus.py: do not edit.
#pragma once

#include <string_view>

namespace demo_test {

using namespace std::string_view_literals;

struct Exchange {
  std::string_view request;
  std::string_view reply;
  bool closes;  // the server closed the connection, or the next row starts a new one
};

inline constexpr Exchange kRedisCorpus[] = {
"""
TAIL = """\
};

}  // namespace demo_test
"""


def read_all(connection, seconds=0.05):
    connection.settimeout(seconds)
    out = b""
    try:
        while True:
            piece = connection.recv(1 << 20)
            if not piece:
                return out
            out += piece
    except socket.timeout:
        return out


def literal(data):
    text = '"'
    for byte in data:
        if byte in b'"\\':
            text += "\\" + chr(byte)
        elif 32 <= byte < 127:
            text += chr(byte)
        else:
            text += {13: "\\r", 10: "\\n"}.get(byte, "\\%03o" % byte)
    return text + '"'


def wrapped(data, indent):
    """C++ literals of at most 90 columns, cut where no escape is split."""
    pieces = [literal(data[i:i + 60]) for i in range(0, len(data), 60)] or ['""']
    return ("\n" + indent).join(pieces) + ("sv" if 0 in data else "")


def row(request, reply, closed):
    parts = [wrapped(request, "     "), wrapped(reply, "     "), str(closed).lower()]
    line = "    {" + ", ".join(parts) + "},"
    if len(line) > 100 or "\n" in line:
        line = "    {" + ",\n     ".join(parts) + "},"
    return line


def record(port):
    rows = []
    for name, text in SESSIONS.items():
        commands = [c for line in text.strip().split("\n") for c in line.split("|")]
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"FLUSHALL\r\n")
        read_all(connection)
        rows.append("    // " + name)
        rows.append('    {"FLUSHALL\\r\\n", "+OK\\r\\n", false},')
        for command in commands:
            request = command.strip().encode() + b"\r\n"
            connection.sendall(request)
            reply = read_all(connection)
            closed = command.strip() == "QUIT"
            rows.append(row(request, reply, closed))
    rows.append("    // raw bytes, each on a connection of its own")
    for request in RAW:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(request)
        reply = read_all(connection, 0.3)
        rows.append(row(request, reply, True))
    return rows


def main():
    server = None
    if len(sys.argv) > 1:
        port = int(sys.argv[1])
    else:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        folder = tempfile.mkdtemp()
        command = ["redis-server", "--port", str(port), "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        time.sleep(0.5)
    try:
        rows = record(port)
    finally:
        if server:
            server.terminate()
    sys.stdout.write(HEAD + "\n".join(rows) + "\n" + TAIL)


if __name__ == "__main__":
    main()
