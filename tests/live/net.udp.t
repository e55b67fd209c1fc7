#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""net.udp between a client and a server of the test's own, in two processes, in a network namespace of their
own. The truth: what they sent and read themselves, the kernel's own counts (/proc/net/snmp), the errors
that calls gave."""

import contextlib
import errno
import os
import select
import socket

from networks import counted, own_network
from sondatest import *

SMALL = 1


def bound(family=socket.AF_INET, host="127.0.0.1"):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((host, 0))
    return s


def echo(server, delay_s):
    """Answers each datagram with twice its bytes; an empty one ends it."""
    while True:
        data, peer = server.recvfrom(65536)
        if not data:
            return
        time.sleep(delay_s)
        server.sendto(data * 2, peer)


def echo_process(server, delay_s):
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            with open("/proc/self/comm", "w") as f:
                f.write("echo-server")
            echo(server, delay_s)
            os._exit(0)
        os._exit(1)
    return pid


def top(*args, port):
    return Sonda("top", "net.udp", *args, "--where", f"port == {port}", "--interval", "100ms")


def case_traffic(family, host, connected, turns=3):
    """Datagrams and bytes each way at both ends, by process, port and peer, and how long answers took."""
    server = bound(family, host)
    port = server.getsockname()[1]
    sizes = [1, 100, 1400, 20000]
    delay_s = 0.01
    with top("--by", "comm,side,port,peer", port=port) as t:
        pid = echo_process(server, delay_s)
        client = socket.socket(family, socket.SOCK_DGRAM)
        if connected:
            client.connect((host, port))
        spent_ns = []
        for size in sizes:
            begin = time.monotonic_ns()
            client.send(b"q" * size) if connected else client.sendto(b"q" * size, (host, port))
            if size == sizes[0]:
                client.recvfrom(65536, socket.MSG_PEEK)     # read twice, but one datagram
            check_equal(len(client.recvfrom(65536)[0]), 2 * size, "the answer")
            spent_ns.append(time.monotonic_ns() - begin)
        client.send(b"") if connected else client.sendto(b"", (host, port))
        check_equal(os.waitpid(pid, 0)[1], 0, "the server's status")
        n = len(sizes)
        want = {"client": (n + 1, n, sum(sizes), 2 * sum(sizes)), "server": (n, n + 1, 2 * sum(sizes), sum(sizes))}
        told = {side: t.wait_row(lambda r: r["side"] == side and
                                 (r["sends"], r["reads"], r["sent_bytes"], r["received_bytes"]) == counts)
                for side, counts in want.items()}
    if not all(told.values()) and t.stats.get("missed") and turns > 1:
        return case_traffic(family, host, connected, turns - 1)  # the kernel skipped a program (7.x), and sonda says so
    for side in want:
        check(told[side], f"{host}, {'connected' if connected else 'not connected'}: all of the {side}'s")
    last = {r["side"]: r for r in t.rows}
    comm = open("/proc/self/comm").read().strip()
    check_equal({side: (r["comm"], r["peer"], r["drops"], r["errors"]) for side, r in last.items()},
                {"client": (comm, host, 0, 0), "server": ("echo-server", host, 0, 0)}, "by process and peer")
    if set(last) != set(want):
        return
    for side in want:
        check_equal(last[side]["answer_ns"]["count"], n, f"answers, {side}")
        check(n * delay_s * 1e9 <= last[side]["answer_ns"]["sum"] <= sum(spent_ns), f"time of answers, {side}")
    server.close()
    client.close()


@contextlib.contextmanager
def on_one_cpu():
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    yield
    os.sched_setaffinity(0, cpus)


def case_drops():
    """A receive buffer that is full, of a socket older than sonda that nobody reads: as many drops as the
    kernel counts, whose socket it is, and from whom."""
    server = bound()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    port = server.getsockname()[1]
    before = counted("Udp", "RcvbufErrors")
    client = bound()
    with Sonda("trace", "net.udp", "--where", f"local_port == {port}") as s, top("--by", "comm,side,port", port=port) as t:
        with on_one_cpu():  # where packets over loopback arrive in the order that they were sent in
            for _ in range(40):
                client.sendto(b"x" * 200, ("127.0.0.1", port))
            client.sendto(b"x", client.getsockname())
            client.recv(1)
        dropped = counted("Udp", "RcvbufErrors") - before
        check(dropped > 0, "the kernel has dropped some")
        check(t.wait_row(lambda r: r["drops"] == dropped), "as many are counted, by process")
    check_equal(t.rows[-1]["comm"], open("/proc/self/comm").read().strip(), "by the process that has it")
    check_equal((len(s.rows), s.stats["delivered"]), (dropped, dropped), "a row for each")
    check_equal({(r["step"], r["err"], r["pid"], r["local"]) for r in s.rows},
                {("drop", "ENOMEM", os.getpid(), "127.0.0.1")}, "whose, and why")
    peers = {(r["peer"], r["peer_port"]) for r in s.rows}
    known = {client.getsockname()}
    check(peers == known or peers == {(None, 0)} and KERNEL < (6, 10), f"from whom: {peers}")
    check_equal({r["netns"] for r in s.rows}, {os.stat("/proc/self/ns/net").st_ino}, "in which namespace")
    check(all(r["buffered_bytes"] > 0 and r["buffer_bytes"] == server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
              for r in s.rows), "how full the buffer was")


def case_errors():
    """A send that fails, and an ICMP error that comes back for another."""
    alive, dead = bound(), bound()
    port = dead.getsockname()[1]
    dead.close()
    own = Sonda("trace", "net.udp", "--pid", os.getpid())
    others = Sonda("trace", "net.udp", "--comm", "somebody-else")
    with own as s, others, top("--by", "port", port=port) as t:
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.sendto(b"now it is known whose socket this is", alive.getsockname())
        client.connect(("127.0.0.1", port))
        client.send(b"nobody reads it")
        poll = select.poll()
        poll.register(client, 0)  # the error that comes back
        poll.poll(PATIENCE_S * 1000)
        refused = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        check_equal(refused, errno.ECONNREFUSED, "ICMP has come back")
        try:
            client.send(b"x" * 70000)
        except OSError as e:
            check_equal(e.errno, errno.EMSGSIZE, "too long")
        check(t.wait_row(lambda r: r["errors"] == 2), "both are counted by the server's port")
        check(s.wait_row(lambda r: r["step"] == "send"), "the send is told")
    check_equal([(r["step"], r["err"], r["peer"], r["peer_port"], r["pid"]) for r in s.rows],
                [("error", "ECONNREFUSED", "127.0.0.1", port, os.getpid()),
                 ("send", "EMSGSIZE", "127.0.0.1", port, os.getpid())], "both, with the peer")
    check_equal(others.rows, [], "and to nobody who asks for another's")
    check(others.stats["filtered"] >= 2, "who counts them as filtered")


KERNEL = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])
own_network()
case_traffic(socket.AF_INET, "127.0.0.1", True)
case_traffic(socket.AF_INET, "127.0.0.1", False)
if os.path.exists("/proc/net/if_inet6"):
    case_traffic(socket.AF_INET6, "::1", True)
    case_traffic(socket.AF_INET6, "::1", False)
case_drops()
case_errors()
done()
