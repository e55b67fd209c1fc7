#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""net.latency between a client and a server of the test's own, in two processes, in a network namespace of
their own. The truth: how long the server says that it took between reading a request and answering, and
how long the client waited; how many requests there were."""

import contextlib
import os
import socket
import struct

from networks import own_network
from sondatest import *

WORDS = struct.Struct("=QQQ")      # the server's: delay asked for, bytes to answer with, how to send them
SEND, SENDFILE, IN_PARTS = range(3)


def receive(sock, size):
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


def answer(sock, size, how, file):
    if how == SENDFILE:
        os.sendfile(sock.fileno(), file, 0, size)
    elif how == IN_PARTS:
        for _ in range(size):
            sock.sendall(b"a")
    else:
        sock.sendall(b"a" * size)


def serve(listener, report):
    """Answers each request as it says, and reports how long it thought at least and at most. Ends with
    the connection."""
    file = os.memfd_create("answer")
    os.ftruncate(file, 1 << 20)
    sock, _ = listener.accept()
    while True:
        before = time.monotonic_ns()
        request = receive(sock, 1024)
        if len(request) < 1024:
            return
        delay_ns, size, how = WORDS.unpack(request[:WORDS.size])
        read = time.monotonic_ns()
        if delay_ns:
            time.sleep(delay_ns / 1e9)
        wrote = time.monotonic_ns()
        answer(sock, size, how, file)
        os.write(report, struct.pack("=QQ", wrote - read, time.monotonic_ns() - before))


class Dialogue:
    """A server process, and a connection to it."""

    def __init__(self, family, host):
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.bind((host, 0))
        self.listener.listen(1)
        self.port = self.listener.getsockname()[1]
        self.report, write = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            with contextlib.suppress(BaseException):
                serve(self.listener, write)
                os._exit(0)
            os._exit(1)
        os.close(write)
        self.connect = lambda: socket.create_connection((host, self.port))

    def ask(self, sock, delay_ms=0, size=100, how=SEND, in_parts=False):
        """(the server thought at least, at most), and the client waited at most."""
        request = WORDS.pack(delay_ms * 1000000, size, how).ljust(1024, b"?")
        begin = time.monotonic_ns()
        for part in [request[i:i + 256] for i in range(0, 1024, 256)] if in_parts else [request]:
            sock.sendall(part)
        check_equal(len(receive(sock, size)), size, "the whole answer")
        end = time.monotonic_ns()
        return (*struct.unpack("=QQ", os.read(self.report, 16)), end - begin)

    def end(self, sock):
        sock.close()
        check_equal(os.waitpid(self.pid, 0)[1], 0, "the server's status")
        self.listener.close()
        os.close(self.report)


def case_known_delays(family, host):
    """Each request is told once at each end, with its time: whatever its and its answer's size, in however
    many parts, by sendfile(2) too."""
    d = Dialogue(family, host)
    asked = [dict(delay_ms=20), dict(delay_ms=40, size=300000), dict(delay_ms=10, how=SENDFILE, size=200000),
             dict(delay_ms=15, in_parts=True), dict(delay_ms=12, how=IN_PARTS, size=20), dict(size=1)]
    with Sonda("trace", "net.latency", "--min", "0") as s:
        sock = d.connect()
        times = [d.ask(sock, **each) for each in asked]
        own_port = sock.getsockname()[1]
        for side in "client", "server":
            of_side = []
            check(s.wait_row(lambda r: r["side"] == side and not of_side.append(r) and len(of_side) >= len(asked)),
                  f"{host}: as many at the {side}'s end as were asked")
        d.end(sock)
    rows = {side: [r for r in s.rows if r["side"] == side] for side in ("client", "server")}
    check_equal({side: len(r) for side, r in rows.items()}, dict.fromkeys(rows, len(asked)), f"{host}: and no more")
    check_equal({(r["pid"], r["local"], r["local_port"], r["peer"], r["peer_port"]) for r in rows["client"]},
                {(os.getpid(), host, own_port, host, d.port)}, "the client's end")
    check_equal({(r["pid"], r["local"], r["local_port"], r["peer"], r["peer_port"]) for r in rows["server"]},
                {(d.pid, host, d.port, host, own_port)}, "the server's end")
    for each, (least, most, waited), client, server in zip(asked, times, rows["client"], rows["server"]):
        check(least <= server["took_ns"] <= most, f"{each}: {server['took_ns']} is between {least} and {most}")
        check(least <= client["took_ns"] <= waited, f"{each}: {client['took_ns']} is between {least} and {waited}")
    check_equal({r["netns"] for r in s.rows}, {os.stat("/proc/self/ns/net").st_ino}, "in which namespace")
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")


def case_many_connections():
    """A server that begins to listen while sonda watches is the server of each of its connections."""
    with Sonda("top", "net.latency", "--by", "side,port", "--interval", "200ms") as t:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port)) as client, listener.accept()[0] as server:
                client.sendall(b"?")
                receive(server, 1)
                server.sendall(b"!")
                receive(client, 1)
        for side in "client", "server":
            check(t.wait_row(lambda r: (r["side"], r["port"], r["requests"]) == (side, port, 5)), f"all of the {side}'s")
        listener.close()
    check_equal({r["port"] for r in t.rows}, {port}, "no client's port is taken for a server's")


def case_slow_ones():
    """--min: only those that took so long; without it, from 10 ms on. Tables have all of them."""
    d = Dialogue(socket.AF_INET, "127.0.0.1")
    delays = [0, 30, 0, 60, 0, 0]
    with Sonda("trace", "net.latency") as s, Sonda("trace", "net.latency", "--min", "50ms", "--pid", d.pid) as only, \
            Sonda("top", "net.latency", "--by", "side,port,peer", "--interval", "200ms") as t:
        sock = d.connect()
        times = [d.ask(sock, delay_ms=ms) for ms in delays]
        check(t.wait_row(lambda r: r["side"] == "server" and r["requests"] == len(delays)), "all are counted")
        d.end(sock)
    servers = [r for r in s.rows if r["side"] == "server"]
    slow_at_least, slow_at_most = (sum(t[which] >= 10**7 for t in times) for which in (0, 1))
    check(2 <= slow_at_least <= len(servers) <= slow_at_most, "the slow ones are told")
    check_equal(len(servers), sum(r["took_ns"] >= 10**7 for r in servers), "and none below the threshold")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + s.stats["lost"], "all accounted for")
    check(all(r["took_ns"] >= 5 * 10**7 and r["pid"] == d.pid for r in only.rows) and only.rows, "--min and --pid")
    last = {r["side"]: r for r in t.rows if r["port"] == d.port}
    check_equal({side: (r["requests"], r["took_ns"]["count"], r["peer"]) for side, r in last.items()},
                {side: (len(delays), len(delays), "127.0.0.1") for side in ("client", "server")}, "counted by port")
    check(sum(t[0] for t in times) <= last["server"]["took_ns"]["sum"] <= sum(t[1] for t in times),
          "the sum of the server's times")


def case_open_before():
    """A connection older than sonda: who is the server is known all the same."""
    d = Dialogue(socket.AF_INET, "127.0.0.1")
    sock = d.connect()
    d.ask(sock)
    with Sonda("trace", "net.latency", "--min", "0") as s:
        d.ask(sock, delay_ms=11)
        for side in "client", "server":
            check(s.wait_row(lambda r: r["side"] == side), f"the {side}'s end")
        d.end(sock)
    check_equal(sorted((r["side"], r["pid"], r["local_port"] == d.port) for r in s.rows),
                [("client", os.getpid(), False), ("server", d.pid, True)], "each in its role, once")


own_network()
case_known_delays(socket.AF_INET, "127.0.0.1")
if os.path.exists("/proc/net/if_inet6"):
    case_known_delays(socket.AF_INET6, "::1")
case_many_connections()
case_slow_ones()
case_open_before()
done()
