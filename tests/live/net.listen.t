#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""net.listen in a network namespace of the test's own. The truth: the kernel's own counts (/proc/net/netstat,
/proc/net/tcp), what the test listened with, and how long it let connections wait."""

import os
import select
import socket
import struct
import subprocess

from networks import counted, own_network
from sondatest import *

BACKLOG = 1                     # the kernel admits one more
SYN_RECV, LISTEN = "03", "0A"


def listener(family=socket.AF_INET, host="127.0.0.1", backlog=BACKLOG):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.bind((host, 0))
    s.listen(backlog)
    return s


def connects(port, count):
    """So many that have begun to connect, in order."""
    clients = []
    for _ in range(count):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex(("127.0.0.1", port))
        clients.append(c)
    return clients


def in_state(port, state):
    """Sockets of that port and state that the kernel lists: a listening one with its queue."""
    rows = [line.split() for line in open("/proc/net/tcp").readlines()[1:]]
    return [r for r in rows if int(r[1].split(":")[1], 16) == port and r[3] == state]


def until(holds):
    """What comes over loopback is taken in a little later where the machine is busy."""
    end = time.monotonic() + PATIENCE_S
    while not holds() and time.monotonic() < end:
        os.sched_yield()


def syn(port, source):
    """A first segment from an address where nobody will answer."""
    head = struct.pack("!HHIIBBHHH", 1234, port, 1, 0, 5 << 4, 2, 1024, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 6, len(head))
    total = sum(struct.unpack(f"!{len(pseudo + head) // 2}H", pseudo + head))
    total = (total >> 16) + (total & 0xffff)
    check_sum = ~(total + (total >> 16)) & 0xffff
    head = head[:16] + struct.pack("!H", check_sum) + head[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, socket.inet_aton(source),
                     socket.inet_aton("127.0.0.1"))
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.sendto(ip + head, ("127.0.0.1", 0))


def case_show():
    """Who listens where, with the queues."""
    server = listener()
    port = server.getsockname()[1]
    six = listener(socket.AF_INET6, "::1", 7) if os.path.exists("/proc/net/if_inet6") else None
    clients = connects(port, 1)
    until(lambda: in_state(port, LISTEN)[0][4].endswith(":00000001"))
    r = run_sonda("show", "net.listen", "--pid", os.getpid())
    rows = {row["local_port"]: row for row in r.rows}
    want = {port: ("127.0.0.1", BACKLOG, 1)}
    if six:
        want[six.getsockname()[1]] = ("::1", 7, 0)
    check_equal({p: (row["local"], row["backlog"], row["queue"]) for p, row in rows.items()}, want,
                "where, backlog and queue of each")
    check_equal({row["netns"] for row in rows.values()}, {os.stat("/proc/self/ns/net").st_ino}, "in which namespace")
    check_equal({(row["pid"], row["comm"], row["fd"]) for row in rows.values()},
                {(os.getpid(), open("/proc/self/comm").read().strip(), s.fileno()) for s in (server, six) if s},
                "whose")
    check_equal(in_state(port, LISTEN)[0][4].split(":")[1], f"{rows[port]['queue']:08X}", "the kernel's own list")
    check_equal(rows[port]["drops"], 0, "nothing dropped")
    for s in [server, six, *clients]:
        s and s.close()


def case_life():
    """A socket begins to listen and ends."""
    with Sonda("trace", "net.listen", "--pid", os.getpid()) as s:
        server = listener(backlog=11)
        local = server.getsockname()
        server.close()
        s.wait_row(lambda r: r["step"] == "end")
    check_equal([(r["step"], r["local"], r["local_port"], r["pid"]) for r in s.rows],
                [(step, *local, os.getpid()) for step in ("begin", "end")], "both steps")


def case_full():
    """An accept queue that is full: what the kernel counts as dropped and as overflow, of a socket older
    than sonda; as a rate and as rows; then accepted, with the time that they waited."""
    server = listener()
    port = server.getsockname()[1]
    before = {name: counted("TcpExt", name) for name in ("ListenDrops", "ListenOverflows")}
    clients = connects(port, BACKLOG + 1)
    for c in clients:
        c.setblocking(True)
        while c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\1":
            os.sched_yield()                # until the handshake is over
    with Sonda("top", "net.listen", "--where", f"port == {port}", "--interval", "200ms") as t, \
            Sonda("trace", "net.listen", "--pid", os.getpid()) as s:
        check(t.wait_row(lambda r: (r["queue"], r["backlog"]) == (BACKLOG + 1, BACKLOG)), "the queue of an older socket")
        clients += connects(port, 3)
        check(t.wait_row(lambda r: r["drops"] >= 3), "drops while it listens")
        check(s.wait_row(lambda r: r["step"] == "drop" and r["local_port"] == port), "a row says so")
        for c in clients[BACKLOG + 1:]:
            c.close()                       # before their next try
        taken = [server.accept()[0] for _ in range(BACKLOG + 1)]
        clients.append(socket.create_connection(("127.0.0.1", port)))
        taken.append(server.accept()[0])
        check(t.wait_row(lambda r: r["accepts"] == BACKLOG + 2 and not r["queue"]), "all accepted, the queue empty")
        for c in taken + clients:
            c.close()
        now = {name: counted("TcpExt", name) - n for name, n in before.items()}
        server.close()
        check(s.wait_row(lambda r: r["step"] == "end"), "its end")
    last = t.rows[-1]
    hooked = "which drops were for a full accept queue" not in t.stderr
    check_equal((last["drops"], last["overflows"]), (now["ListenDrops"], now["ListenOverflows"] if hooked else 0),
                "as many as the kernel counts")
    told = [r for r in s.rows if r["step"] == "drop"]
    check_equal((sum(r["drops"] for r in told), sum(r["overflows"] for r in told)),
                (now["ListenDrops"], now["ListenOverflows"] if hooked else 0), "and in the rows")
    check_equal({(r["pid"], r["local_port"], r["backlog"]) for r in told}, {(os.getpid(), port, BACKLOG)}, "whose")
    check_equal(last["comm"], open("/proc/self/comm").read().strip(), "by who listens")
    check_equal(last["wait_ns"]["count"], 1, "the one whose handshake was seen")


def case_wait():
    """The time between the handshake and accept(2), which lies between two readings of the clock."""
    server = listener(backlog=16)
    port = server.getsockname()[1]
    with Sonda("top", "net.listen", "--where", f"port == {port}", "--interval", "100ms") as t:
        begun = time.monotonic_ns()
        client = socket.create_connection(("127.0.0.1", port))
        select.select([server], [], [])     # the handshake is over at this end too
        connected = time.monotonic_ns()
        check(t.wait_row(lambda r: r["queue"] == 1), "it waits")
        accepting = time.monotonic_ns()
        sock, _ = server.accept()
        accepted = time.monotonic_ns()
        check(t.wait_row(lambda r: r["accepts"] == 1), "it is accepted")
    waited = t.rows[-1]["wait_ns"]
    check_equal(waited["count"], 1, "once")
    check(accepting - connected <= waited["sum"] <= accepted - begun,
          f"{waited['sum']} is between {accepting - connected} and {accepted - begun}")
    for s in client, sock, server:
        s.close()


def case_handshakes():
    """Handshakes that don't end: in the SYN queue, and the answers to them sent again."""
    server = listener(backlog=16)
    port = server.getsockname()[1]
    with Sonda("top", "net.listen", "--where", f"port == {port}", "--interval", "100ms") as t:
        for i in range(3):
            syn(port, f"10.9.9.{i + 1}")
        until(lambda: len(in_state(port, SYN_RECV)) == 3)
        check_equal(len(in_state(port, SYN_RECV)), 3, "the kernel's own list has them")
        check(t.wait_row(lambda r: r["syn_queue"] == 3), "the SYN queue")
        check(t.wait_row(lambda r: r["synacks_again"]), "answers are sent again")
        server.close()
    check_equal(t.rows[-1]["syn_queue"], 0, "none when it listens no more")


own_network()
subprocess.run(["ip", "route", "add", "10.9.9.0/24", "dev", "lo"], check=True)  # what is sent there ends there
case_show()
case_life()
case_full()
case_wait()
case_handshakes()
done()
