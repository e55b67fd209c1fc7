#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""net.usage: bytes and connections of processes over TCP.

Truth: what both ends sent and received, known to the byte; who connects, who listens, who has it then.
"""

import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from memorytest import Child
from networks import own_network
from sondatest import *

own_network()

UP, DOWN = 1_000_003, 300_007  # bytes from the client, and back
ADDRESSES = {"4": "127.0.0.1", "6": "::1"}


def read_all(conn, count):
    while count:
        count -= len(conn.recv(min(count, 65536)))


def listener_at(address):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    sock.bind((address, 0))
    sock.listen(4)
    return sock


def connect(address, port):
    return socket.create_connection((address, port))


def server_of(sock, times=1):
    """Serves conversations of the known size."""
    def serve(child):
        child.ready()
        for _ in range(times):
            conn = sock.accept()[0]
            read_all(conn, UP)
            conn.sendall(b"d" * DOWN)
            conn.recv(1)
            conn.close()
        child.ready()
    return serve


def client_of(address, port, times=1):
    def ask(child):
        child.ready()
        for _ in range(times):
            conn = connect(address, port)
            conn.sendall(b"u" * UP)
            read_all(conn, DOWN)
            conn.close()
        child.ready()
    return ask


def pair(address, times):
    """A server, which listens itself, and a client of it, both about to begin."""
    made = os.pipe()

    def serve(child):
        sock = listener_at(address)
        os.write(made[1], str(sock.getsockname()[1]).encode())
        server_of(sock, times)(child)

    server = Child(serve, "serves")
    port = int(os.read(made[0], 16))
    client = Child(client_of(address, port, times), "asks")
    for child in server, client:
        child.wait_ready()
    return server, client, port


def talk(server, client):
    for child in server, client:
        child.go()
    for child in client, server:
        child.wait_ready()


def both_ends():
    """Who listens before sonda begins, and who connects then: each byte, of each end."""
    for name, address in ADDRESSES.items():
        server, client, port = pair(address, 2)
        with Sonda("top", "net.usage", "--by", "comm,pid,port,peer", "--interval", "1h") as s:
            talk(server, client)
        rows = {r["comm"]: r for r in s.rows}
        check_equal(sorted(rows), ["asks", "serves"], f"IPv{name}: two rows")
        for comm, child, sent, received in ("asks", client, UP, DOWN), ("serves", server, DOWN, UP):
            r = rows.get(comm, {})
            check_equal([r.get(k) for k in ("sent_bytes", "received_bytes", "payload_bytes", "begun", "open")],
                        [2 * sent, 2 * received, 2 * (sent + received), 2, 0], f"IPv{name}: what '{comm}' did")
            check_equal([r.get(k) for k in ("pid", "port", "peer")], [child.pid, port, address], "whose, where")
        check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")
        server.end(), client.end()


def there_before():
    """A connection that is there already: what comes from then on, by the process that has it."""
    sock = listener_at(ADDRESSES["4"])
    mine = connect(*sock.getsockname())
    other = sock.accept()[0]
    mine.sendall(b"b" * UP)
    read_all(other, UP)
    with Sonda("top", "net.usage", "--by", "port", "--pid", os.getpid(), "--interval", "1h") as s:
        mine.sendall(b"a" * 12345)
        read_all(other, 12345)
    check_equal([[r[k] for k in ("port", "sent_bytes", "received_bytes", "begun", "open")] for r in s.rows],
                [[sock.getsockname()[1], 12345, 12345, 0, 2]], "only what came since, both ends by the port listened at")
    for each in mine, other, sock:
        each.close()


def handed_on():
    """The one who has the socket is told, not the one who accepted it for him; what it is called, too."""
    def hands_on(child):
        sock = listener_at(ADDRESSES["4"])
        ports.write(f"{sock.getsockname()[1]}\n")
        ports.flush()
        child.ready()
        conn = sock.accept()[0]
        if os.fork():
            conn.close()
            os.wait()
            os._exit(0)
        sock.close()
        with open("/proc/self/comm", "w") as f:
            f.write("works")
        read_all(conn, UP)
        read_all(conn, UP)
        os._exit(0)

    r, w = os.pipe()
    ports = os.fdopen(w, "w")
    boss = Child(hands_on, "hands-on")
    port = int(os.fdopen(r).readline())
    boss.wait_ready()
    with Sonda("top", "net.usage", "--by", "comm", "--interval", "200ms") as s:
        conn = connect(ADDRESSES["4"], port)
        conn.sendall(b"x" * UP)
        boss.go()
        check(s.wait_row(lambda r: r["comm"] == "works" and r["open"] == 1), "it is found")
        conn.sendall(b"x" * UP)
        check(s.wait_row(lambda r: r["comm"] == "works" and r["received_bytes"] >= UP), "and what it does from then on")
        boss.wait()
        conn.close()
    last = {r["comm"]: r for r in s.rows}
    check_equal(sum(last[c]["received_bytes"] for c in ("hands-on", "works") if c in last), 2 * UP, "nothing twice")
    check_equal(sum(r["begun"] for r in last.values() if r["comm"] != "python3"), 1, "one began at that end")
    check_equal([r["open"] for r in last.values()], [0] * len(last), "none is open any more")


def refused():
    sock = listener_at(ADDRESSES["4"])
    where = sock.getsockname()
    sock.close()
    with Sonda("top", "net.usage", "--by", "pid", "--pid", os.getpid(), "--interval", "1h") as s:
        try:
            connect(*where)
            check(False, "nobody listens")
        except ConnectionRefusedError:
            pass
    check_equal([(r["begun"], r["open"]) for r in s.rows if r["begun"] or r["open"]], [], "no connection")


both_ends()
there_before()
handed_on()
refused()
done()
