#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""net.tcp between processes of the test's own, in a network namespace of its own.
The truth: the addresses that the sockets say they have, the bytes that each end sent and received,
the errors that connect(2) gave, and the times that the calls took."""

import contextlib
import errno
import os
import select
import socket
import struct
import subprocess
import sys

from networks import CLONE_NEWNET, counted, libc, own_network
from sondatest import *

NOBODY = "10.99.0.2"      # has a link address, but nobody answers
NO_ROUTE = "192.0.2.1"
SYN_RETRIES = 1
IPPROTO_MPTCP = 262
KERNEL = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])


def tcp_network():
    """A network of our own, with an address that swallows what it is sent."""
    own_network()
    for command in ("link add to type veth peer name fro", "link set fro up",
                    "link set to up", "addr add 10.99.0.1/24 dev to",
                    f"neigh add {NOBODY} lladdr 02:00:00:00:00:02 dev to"):
        subprocess.run(["ip", *command.split()], check=True)


# ---- two ends ----


def listener(family=socket.AF_INET, host="127.0.0.1"):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.bind((host, 0))
    s.listen(128)
    return s


def child(work):
    """Runs `work` in a process of its own; returns its pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            work()
            status = 0
        os._exit(status)
    return pid


def ended(pid):
    check_equal(os.waitpid(pid, 0)[1], 0, "the other process's status")


def receive(sock, size=1 << 62):
    """Receives `size` bytes, or all until the end; returns how many came."""
    n = 0
    while n < size and (data := sock.recv(min(65536, size - n))):
        n += len(data)
    return n


def ends(sock):
    """Both ends as the socket has them, an IPv4 address as such."""
    def plain(name):
        return name[0].removeprefix("::ffff:"), name[1]
    return plain(sock.getsockname()), plain(sock.getpeername())


def of_row(row):
    return (row["local"], row["local_port"]), (row["peer"], row["peer_port"])


def steps(rows, *ports):
    """The rows about connections from or to one of the ports, by (step, side)."""
    found = {}
    for r in rows:
        if r["local_port"] in ports or r["peer_port"] in ports:
            found.setdefault((r["step"], r["side"]), []).append(r)
    return found


def closed(port, count=1):
    """For wait_row: `count` connections to the port have been closed, at both ends."""
    seen = []

    def matches(row):
        if row["step"] == "close" and port in (row["local_port"], row["peer_port"]):
            key = (row["local_port"], row["peer_port"])
            if key not in seen:
                seen.append(key)
        return len(seen) >= 2 * count
    return matches


# ---- cases ----


def case_life(family, listen_host, host):
    """Connect, accept and close at both ends: addresses, bytes, processes, times."""
    up, down = 123457, 54321
    server = listener(family, listen_host)
    port = server.getsockname()[1]
    seen_read, seen_write = os.pipe()

    def client():
        begin = time.monotonic_ns()
        sock = socket.create_connection((host, port))
        took = time.monotonic_ns() - begin
        os.write(seen_write, struct.pack("=QH", took, sock.getsockname()[1]))
        sock.sendall(b"u" * up)
        if receive(sock) != down:
            raise ValueError
        sock.close()

    with Sonda("trace", "net.tcp") as s:
        sent_again = counted("Tcp", "RetransSegs")
        begin = time.monotonic_ns()
        pid = child(client)
        connect_ns, client_port = struct.unpack("=QH", os.read(seen_read, 10))
        sock, _ = server.accept()
        queue_at_most = time.monotonic_ns() - begin
        here, there = ends(sock)
        receive(sock, up)
        sock.sendall(b"d" * down)
        sock.close()                        # the server closes first
        ended(pid)
        check(s.wait_row(closed(port)), "both ends are told to be closed")
        open_at_most = time.monotonic_ns() - begin  # the last ACK may come after the client's end
        sent_again = counted("Tcp", "RetransSegs") - sent_again
    found = steps(s.rows, port)
    check_equal({k: len(v) for k, v in found.items()},
                {("connect", "client"): 1, ("accept", "server"): 1,
                 ("close", "client"): 1, ("close", "server"): 1}, f"{host}: the steps")
    if len(found) != 4:
        return
    connect, accept = found["connect", "client"][0], found["accept", "server"][0]
    ours, theirs = found["close", "server"][0], found["close", "client"][0]
    check_equal((of_row(accept), of_row(ours)), ((here, there),) * 2, "the server's two ends")
    check_equal((of_row(connect), of_row(theirs)), ((there, here),) * 2, "the client's two ends")
    check_equal(there[1], client_port, "the client's port")
    check_equal([r["pid"] for r in (connect, accept, ours, theirs)],
                [pid, os.getpid(), os.getpid(), pid], "whose connect, accept, and two closes")
    check_equal((ours["sent_bytes"], ours["received_bytes"]), (down, up), "bytes, server's end")
    check_equal((theirs["sent_bytes"], theirs["received_bytes"]), (up, down), "bytes, client's end")
    check_equal({(r["outcome"], r["err"]) for r in (connect, accept, ours, theirs)}, {("ok", None)},
                "all in order")
    check_equal((ours["closed_by"], theirs["closed_by"]), ("local", "peer"), "who closed first")
    check(0 < connect["took_ns"] <= connect_ns, f"connect took {connect['took_ns']} of {connect_ns}")
    check(0 < accept["took_ns"] <= queue_at_most, "time in the accept queue")
    for r in ours, theirs:
        check(0 < r["took_ns"] <= open_at_most, f"open for {r['took_ns']} of {open_at_most}")
        check(0 < r["min_rtt_us"] <= open_at_most / 1000 and r["rtt_us"] > 0, "round trips")
        check_equal(r["netns"], os.stat("/proc/self/ns/net").st_ino, "in which namespace")
        check_equal(r["already_open"], False, "seen from its beginning")
    check_equal(ours["retransmits"] + theirs["retransmits"], sent_again, "segments sent again")


def case_accept_queue():
    """What a connection waits for accept(2) is told: here until something else has happened."""
    server = listener()
    port = server.getsockname()[1]
    with Sonda("trace", "net.tcp") as s:
        before = time.monotonic_ns()
        client = socket.create_connection(("127.0.0.1", port))
        select.select([server], [], [])     # the handshake is over at this end too
        connected = time.monotonic_ns()
        check(s.wait_row(lambda r: r["step"] == "connect" and r["peer_port"] == port), "a connect")
        accepting = time.monotonic_ns()
        sock, _ = server.accept()
        accepted = time.monotonic_ns()
        row = s.wait_row(lambda r: r["step"] == "accept" and r["local_port"] == port)
        sock.close()
        client.close()
    check(row and accepting - connected <= row["took_ns"] <= accepted - before,
          f"{row and row['took_ns']} is between {accepting - connected} and {accepted - before}")


def case_other_accepts():
    """The connection is of the process that accepts it, not of the one that listens."""
    server = listener()
    port = server.getsockname()[1]

    def accept():
        sock, _ = server.accept()
        receive(sock)

    with Sonda("trace", "net.tcp") as s:
        pid = child(accept)
        socket.create_connection(("127.0.0.1", port)).close()
        ended(pid)
        s.wait_row(closed(port))
    found = steps(s.rows, port)
    check_equal({r["pid"] for key in (("accept", "server"), ("close", "server"))
                 for r in found.get(key, [])}, {pid}, "the one who accepted")


def case_mptcp():
    """A connection of MPTCP is told as the TCP connection that carries it: of who accepts it, also of one
    that is open when sonda starts."""
    try:
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    except OSError:
        return                              # this kernel has none
    server.bind(("127.0.0.1", 0))
    server.listen(8)
    port = server.getsockname()[1]

    def connected():
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
        client.connect(("127.0.0.1", port))
        return client

    def accept():
        sock, _ = server.accept()
        receive(sock)

    before = connected()
    old, _ = server.accept()
    with Sonda("trace", "net.tcp", "--existing") as s:
        check(s.wait_row(lambda r: r["step"] == "open" and r["local_port"] == port), "the old one is told")
        pid = child(accept)
        client = connected()
        here, there = ends(client)
        client.sendall(b"m" * 1000)
        client.close()
        ended(pid)
        before.close()
        old.close()
        check(s.wait_row(closed(port, 2)), "all four ends are told to be closed")
    new = steps([r for r in s.rows if here[1] in (r["local_port"], r["peer_port"])], port)
    check_equal({k: [(r["pid"], of_row(r), r["outcome"]) for r in v] for k, v in new.items()},
                {("connect", "client"): [(os.getpid(), (here, there), "ok")],
                 ("accept", "server"): [(pid, (there, here), "ok")],
                 ("close", "client"): [(os.getpid(), (here, there), "ok")],
                 ("close", "server"): [(pid, (there, here), "ok")]}, "the steps, of whom, between whom")
    of_old = [r for r in s.rows if here[1] not in (r["local_port"], r["peer_port"]) and
              port in (r["local_port"], r["peer_port"])]
    check_equal(sorted((r["step"], r["side"], r["pid"], r["already_open"]) for r in of_old),
                [(step, side, os.getpid(), True) for step in ("close", "open") for side in ("client", "server")],
                "the old one's ends have their process")


def connect_error(host, port, **options):
    sock = socket.socket()
    for name, value in options.items():
        sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    begin = time.monotonic_ns()
    try:
        sock.connect((host, port))
    except OSError as e:
        return e.errno, time.monotonic_ns() - begin
    finally:
        sock.close()
    return 0, time.monotonic_ns() - begin


def case_failures():
    """A refused, a swallowed and an unroutable connect: one row each, with its reason; no session."""
    server = listener()
    dead_port = server.getsockname()[1]
    server.close()
    cases = [("127.0.0.1", dead_port, errno.ECONNREFUSED, "refused"),
             (NOBODY, 4444, errno.ETIMEDOUT, "timeout"),
             (NO_ROUTE, 4445, errno.ENETUNREACH, "unreachable")]
    before = counted("TcpExt", "TCPSynRetrans")
    with Sonda("trace", "net.tcp", "--errors") as s:
        got = [connect_error(host, port, TCP_SYNCNT=SYN_RETRIES) for host, port, *_ in cases]
        retries = counted("TcpExt", "TCPSynRetrans") - before
        check(retries, "a SYN was sent again")
        check(s.wait_row(lambda r: r["peer_port"] == 4445), "the last one is told")
    for (host, port, want, outcome), (err, took) in zip(cases, got):
        check_equal(err, want, f"what connect(2) to {host} gave")
        rows = [r for r in s.rows if r["peer_port"] == port]
        check_equal([(r["step"], r["side"], r["peer"], r["outcome"], r["err"], r["pid"], r["retransmits"])
                     for r in rows],
                    [("connect", "client", host, outcome, errno.errorcode[want], os.getpid(),
                      retries if outcome == "timeout" else 0)],
                    f"{outcome}: the one row")
        check(all(r["took_ns"] <= took for r in rows), f"{outcome}: not longer than the call")
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")


def case_given_up():
    """A connect underway that is closed by its process is told as given up, without an error."""
    with Sonda("trace", "net.tcp") as s:
        sock = socket.socket()
        sock.setblocking(False)
        check_equal(sock.connect_ex((NOBODY, 4446)), errno.EINPROGRESS, "connect")
        sock.close()
        s.wait_row(lambda r: r["peer_port"] == 4446)
    check_equal([(r["step"], r["outcome"], r["err"], r["pid"]) for r in s.rows if r["peer_port"] == 4446],
                [("connect", "aborted", None, os.getpid())], "the one row")


def case_later():
    """A connect that doesn't wait: its outcome is told when it is there."""
    server = listener()
    port = server.getsockname()[1]
    with Sonda("trace", "net.tcp") as s:
        sock = socket.socket()
        sock.setblocking(False)
        check(sock.connect_ex(("127.0.0.1", port)) in (0, errno.EINPROGRESS), "connect")
        row = s.wait_row(lambda r: r["peer_port"] == port)
        sock.close()
    check_equal(row and (row["step"], row["outcome"], row["pid"]), ("connect", "ok", os.getpid()),
                "its outcome")


def case_reset():
    """One end breaks off: aborted there, reset at the other."""
    server = listener()
    port = server.getsockname()[1]

    def client():
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        receive(sock, 1)
        sock.close()

    with Sonda("trace", "net.tcp") as s:
        pid = child(client)
        sock, _ = server.accept()
        sock.sendall(b"x")
        try:
            receive(sock)
        except ConnectionResetError:
            pass
        ended(pid)
        s.wait_row(closed(port))
        sock.close()
    found = steps(s.rows, port)
    told = [(r["side"], r["outcome"], r["err"], r["pid"], r["closed_by"])
            for key in (("close", "client"), ("close", "server")) for r in found.get(key, [])]
    check_equal(told, [("client", "aborted", None, pid, "local"),
                       ("server", "reset", "ECONNRESET", os.getpid(), "peer")], "the two ends")


def case_open_before():
    """A connection older than sonda: told at the start where asked for, and when it closes; marked, with
    its process and all its bytes, whoever closes it."""
    server = listener()
    port = server.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    sock, _ = server.accept()
    client.sendall(b"b" * 1000)
    receive(sock, 1000)
    with Sonda("trace", "net.tcp", "--existing") as s:
        of_port = lambda r: port in (r["local_port"], r["peer_port"])
        check(s.wait_row(lambda r: of_port(r) and r["side"] == "client") and
              s.wait_row(lambda r: of_port(r) and r["side"] == "server"), "both ends are there at the start")
        client.sendall(b"a" * 234)
        receive(sock, 234)
        client.close()
        receive(sock)
        sock.close()
        check(s.wait_row(closed(port)), "both ends are told to be closed")
    rows = [r for r in s.rows if of_port(r)]
    check_equal(sorted((r["step"], r["side"], r["already_open"], r["took_ns"], r["pid"]) for r in rows),
                [(step, side, True, 0, os.getpid()) for step in ("close", "open") for side in ("client", "server")],
                "two that are open, two closes, of who has them")
    check_equal({(r["step"], r["sent_bytes"], r["received_bytes"]) for r in rows},
                {("open", 1000, 0), ("open", 0, 1000), ("close", 1234, 0), ("close", 0, 1234)},
                "bytes since they were opened")


def tcp_info(sock):
    """What the kernel says of a connection: smoothed round-trip time, segments sent again."""
    words = struct.unpack("8B24I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104))
    return {"rtt_us": words[8 + 15], "retransmits": words[8 + 23]}


def case_tables():
    """What goes on in connections that stay open, one of them older than sonda: bytes of each direction,
    how many are open, round trips; by process, by port, by peer, and each by itself."""
    server = listener()
    port = server.getsockname()[1]
    old = socket.create_connection(("127.0.0.1", port)), server.accept()[0]
    old[0].sendall(b"o" * 500)
    receive(old[1], 500)
    by_peer = Sonda("top", "net.tcp", "--by", "side,port,peer", "--where", f"port == {port}", "--interval", "200ms")
    each = Sonda("top", "net.tcp", "connections", "--where", f"local_port == {port} or peer_port == {port}",
                 "--interval", "200ms")
    with by_peer as s, each as one:
        check(s.wait_row(lambda r: r["open"] == 1), "the old one is counted among those open")
        new = socket.create_connection(("127.0.0.1", port)), server.accept()[0]
        new[0].sendall(b"n" * 70000)
        receive(new[1], 70000)
        old[1].sendall(b"a" * 3000)
        receive(old[0], 3000)
        whole = {"client": (70000, 3000), "server": (3000, 70000)}
        for side, counts in whole.items():
            check(s.wait_row(lambda r: (r["side"], r["open"], r["sent_bytes"], r["received_bytes"]) ==
                             (side, 2, *counts)), f"two open at the {side}'s side, their bytes since sonda began")
        ports = new[0].getsockname()[1], old[1].getpeername()[1]
        row = one.wait_row(lambda r: r["local_port"] == ports[0] and r["sent_bytes"])
        rtt_us = tcp_info(new[0])["rtt_us"]
        for pair in old, new:
            for sock in pair:
                sock.close()
        check(s.wait_row(lambda r: r["side"] == "client" and r["open"] == 0), "none is open any more")
    last = {r["side"]: r for r in s.rows}
    for side, counts in whole.items():
        r = last.get(side) or {}
        check_equal((r.get("peer"), r.get("sent_bytes"), r.get("received_bytes"), r.get("closes")),
                    ("127.0.0.1", *counts, 2), f"the {side}'s side at the end")
        check(r["rtt_us"]["count"] >= 2, "round trips were observed")
    check(row, "the new connection by itself")
    check_equal((row["pid"], row["peer"], row["peer_port"], row["sent_bytes"], row["rtt_us"]),
                (os.getpid(), "127.0.0.1", port, 70000, rtt_us), "its process, ends, bytes, round trip")
    check_equal({(r["sent_bytes"], r["received_bytes"]) for r in one.rows if r["peer_port"] == ports[1]} - {(0, 0)},
                {(3000, 0)}, "the old one by itself")


def case_levels():
    """What waits to be read in two connections, each by itself and both in one row: it is gone when it is read."""
    server = listener()
    port = server.getsockname()[1]
    pairs = [(socket.create_connection(("127.0.0.1", port)), server.accept()[0]) for _ in range(2)]
    one, two = [c[0].getsockname()[1] for c in pairs]
    where = "--where", f"local_port == {port}", "--interval", "200ms"
    each = Sonda("top", "net.tcp", "connections", "--by", "local_port,peer,peer_port", *where)
    both = Sonda("top", "net.tcp", "connections", "--by", "local_port", *where)
    with each as e, both as b:
        for (near, _), size in zip(pairs, (1000, 2500)):
            near.sendall(b"u" * size)
        for ends, size in (one, 1000), (two, 2500):
            check(e.wait_row(lambda r: (r["peer_port"], r["unread_bytes"]) == (ends, size)), f"{size} unread in one")
        check(b.wait_row(lambda r: r["unread_bytes"] == 3500), "unread in both together")
        longest = max(tcp_info(far)["rtt_us"] for _, far in pairs)
        check(b.wait_row(lambda r: r["rtt_us"] == longest), "the longest round trip of both")
        receive(pairs[0][1], 1000)
        check(b.wait_row(lambda r: r["unread_bytes"] == 2500), "one has been read, the other not")
        pairs[1][1].close()
        check(b.wait_row(lambda r: r["unread_bytes"] == 0), "of one that was closed nothing is unread any more")
    last = {r["peer_port"]: r["unread_bytes"] for r in e.rows}
    check_equal((last.get(one), last.get(two)), (0, 0), "nothing is unread in either at the end")


def case_resets():
    """A reset for a port where nobody listens: received here, and sent here."""
    server = listener()
    dead_port = server.getsockname()[1]
    server.close()
    before = counted("Tcp", "OutRsts")
    with Sonda("trace", "net.tcp", "--segments", "--where", f"local_port == {dead_port} or peer_port == {dead_port}") \
            as s, Sonda("top", "net.tcp", "--by", "side,port", "--interval", "200ms") as t:
        check_equal(connect_error("127.0.0.1", dead_port)[0], errno.ECONNREFUSED, "refused")
        sent = counted("Tcp", "OutRsts") - before
        check(s.wait_row(lambda r: r["step"] == "reset_received"), "the reset that came")
        row = t.wait_row(lambda r: r["side"] == "client" and r["port"] == dead_port)
    check_equal(row and (row["failures"], row["resets_received"]), (1, 1), "counted by the server's port")
    found = steps(s.rows, dead_port)
    check_equal([(r["pid"], r["state"], r["peer_port"]) for r in found.get(("reset_received", "client"), [])],
                [(os.getpid(), "syn_sent", dead_port)], "the reset that came, of the one who tried")
    told = [r for r in s.rows if r["step"] == "reset_sent"]
    if told:                                # kernels before 6.10 tell only of those that a socket sends
        check_equal([(r["pid"], r["local"], r["local_port"], r["peer"], r["reset_reason"]) for r in told],
                    [(0, "127.0.0.1", dead_port, "127.0.0.1", "no_socket")] * sent, "the reset that was sent")
    else:
        check(KERNEL < (6, 10), "a reset that no socket sends is told from 6.10 on")


def case_sent_again():
    """Segments that get lost: each time one is sent again is told, with its connection."""
    ready_read, ready_write = os.pipe()
    done_read, done_write = os.pipe()

    def far_end():
        libc.unshare(CLONE_NEWNET)
        os.write(ready_write, b"1")
        os.read(done_read, 1)               # the link is here
        for command in ("addr add 10.98.0.2/24 dev far", "link set far up"):
            subprocess.run(["ip", *command.split()], check=True)
        server = listener(host="10.98.0.2")
        os.write(ready_write, struct.pack("=H", server.getsockname()[1]))
        sock, _ = server.accept()
        receive(sock, 1000)
        sock.sendall(b"!")
        receive(sock)

    pid = child(far_end)
    os.read(ready_read, 1)
    for command in ("link add near type veth peer name far", f"link set far netns {pid}",
                    "addr add 10.98.0.1/24 dev near", "link set near up"):
        subprocess.run(["ip", *command.split()], check=True)
    os.write(done_write, b"1")
    port = struct.unpack("=H", os.read(ready_read, 2))[0]
    before = counted("Tcp", "RetransSegs")
    with Sonda("trace", "net.tcp", "--segments", "--pid", os.getpid()) as s:
        sock = socket.create_connection(("10.98.0.2", port))
        neighbour = json.loads(subprocess.run(["ip", "-j", "neigh", "show", "dev", "near"], stdout=subprocess.PIPE,
                                              check=True).stdout)[0]["lladdr"]

        def far_is_at(address):
            subprocess.run(["ip", "neigh", "replace", "10.98.0.2", "lladdr", address, "dev", "near"], check=True)

        far_is_at("02:00:00:00:00:99")
        sock.sendall(b"x" * 1000)
        check(s.wait_row(lambda r: r["step"] == "retransmit"), "a segment is sent again")
        far_is_at(neighbour)
        check_equal(receive(sock, 1), 1, "what was sent again has come")
        known = tcp_info(sock)["retransmits"]
        sock.close()
        check(s.wait_row(lambda r: r["step"] == "close" and r["peer_port"] == port), "the close")
        ended(pid)
    again = [r for r in s.rows if r["step"] == "retransmit"]
    check_equal({(r["side"], r["peer"], r["peer_port"]) for r in again}, {("client", "10.98.0.2", port)}, "of that connection")
    check_equal(len([r for r in again if r["state"] == "established"]), known, "each time, as its socket counts it")
    # a busy machine may send the FIN again too
    check_equal(len(again), counted("Tcp", "RetransSegs") - before, "each time, as the kernel counts it")
    close = [r for r in s.rows if r["step"] == "close"]
    check_equal([(r["retransmits"], r["sent_bytes"]) for r in close], [(len(again), 1000)], "counted once however often sent")


def case_fast_open():
    """Data that come with the SYN: the connection is accepted, and told, while its handshake still goes on."""
    with open("/proc/sys/net/ipv4/tcp_fastopen", "w") as switch:
        switch.write("3")
    go_read, go_write = os.pipe()
    done_read, done_write = os.pipe()

    def far_end():
        libc.unshare(CLONE_NEWNET)
        os.write(done_write, b"1")
        port = struct.unpack("=H", os.read(go_read, 2))[0]
        for command in ("addr add 10.96.0.2/24 dev afar", "link set afar up"):
            subprocess.run(["ip", *command.split()], check=True)
        for _ in range(2):                  # the first one gets a cookie
            sock = socket.socket()
            sock.sendto(b"f" * 100, socket.MSG_FASTOPEN, ("10.96.0.1", port))
            receive(sock)
            sock.close()
            os.write(done_write, b"1")
            os.read(go_read, 1)

    pid = child(far_end)
    os.read(done_read, 1)
    for command in ("link add anear type veth peer name afar", f"link set afar netns {pid}",
                    "addr add 10.96.0.1/24 dev anear", "link set anear up"):
        subprocess.run(["ip", *command.split()], check=True)
    server = listener(host="10.96.0.1")
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 8)
    port = server.getsockname()[1]

    def far_is_at(address):
        subprocess.run(["ip", "neigh", "replace", "10.96.0.2", "lladdr", address, "dev", "anear"], check=True)

    os.write(go_write, struct.pack("=H", port))
    sock, _ = server.accept()
    receive(sock, 100)
    sock.close()
    os.read(done_read, 1)
    neighbour = json.loads(subprocess.run(["ip", "-j", "neigh", "show", "dev", "anear"], stdout=subprocess.PIPE,
                                          check=True).stdout)[0]["lladdr"]
    before = counted("TcpExt", "TCPFastOpenPassive")
    with Sonda("trace", "net.tcp", "--pid", os.getpid()) as s:
        far_is_at("02:00:00:00:00:98")      # what answers the SYN gets lost
        os.write(go_write, b"1")
        begin = time.monotonic_ns()
        sock, _ = server.accept()
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        check_equal(receive(sock, 100), 100, "what came with the SYN")
        check(s.wait_row(lambda r: r["step"] == "accept"), "the accept")
        far_is_at(neighbour)
        sock.close()
        os.read(done_read, 1)
        os.write(go_write, b"1")
        check(s.wait_row(lambda r: r["step"] == "close"), "the close")
        took = time.monotonic_ns() - begin
        ended(pid)
    if counted("TcpExt", "TCPFastOpenPassive") == before:
        return                              # this kernel makes none of it
    check_equal(state, 3, "accepted in the state SYN_RECV")
    rows = [r for r in s.rows if r["local_port"] == port]
    check_equal([(r["step"], r["side"], r["outcome"], r["received_bytes"], r["already_open"]) for r in rows],
                [("accept", "server", "ok", 100, False), ("close", "server", "ok", 100, False)], "accept and close")
    check(0 < rows[-1]["took_ns"] <= took, f"open for {rows[-1]['took_ns']} of {took}")


def case_listen_drops():
    """Handshakes that a full accept queue turns away, as many as the kernel counts."""
    server = listener()
    server.listen(0)
    port = server.getsockname()[1]
    before = counted("TcpExt", "ListenDrops")
    with Sonda("top", "net.tcp", "--by", "port", "--where", f"port == {port}", "--interval", "200ms") as s:
        clients = []
        for _ in range(4):                  # one fits the queue
            clients.append(socket.socket())
            clients[-1].setblocking(False)
            clients[-1].connect_ex(("127.0.0.1", port))
        check(s.wait_row(lambda r: r["listen_drops"] >= 2), "drops are told while the socket listens")
        for c in clients:
            c.close()
        server.close()
    check_equal(s.rows[-1]["listen_drops"], counted("TcpExt", "ListenDrops") - before, "all of them at the end")


def case_many():
    """Two hundred connections: every step of each, and --pid one end's only. A slow guest may miss
    some, where an interrupt comes while the program runs: no more than it says. A state missed may also
    make one more, as of a connection that was there before."""
    count = 200
    server = listener()
    port = server.getsockname()[1]
    start_read, start_write = os.pipe()

    def client():
        os.read(start_read, 1)
        for i in range(count):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(b"c" * i)
            sock.close()

    pid = child(client)
    with Sonda("trace", "net.tcp") as s, Sonda("trace", "net.tcp", "--pid", pid) as only:
        os.write(start_write, b"g")
        got = []
        for _ in range(count):
            sock, _ = server.accept()
            got.append(receive(sock))
            sock.close()
        ended(pid)
        s.wait_row(closed(port, count))
    found = steps(s.rows, port)
    missed = s.stats.get("missed", 0), only.stats.get("missed", 0)
    for name, each in (("connect", "client"), missed[0]), (("accept", "server"), 0), \
                      (("close", "client"), missed[0]), (("close", "server"), missed[0]):
        check(count - each <= len(found.get(name, [])) <= count + each,
              f"{name}: {len(found.get(name, []))} of {count}, {each} missed")
    told = [r["received_bytes"] for r in found.get(("close", "server"), [])]
    check(sorted(told) == sorted(got) or missed[0] and set(told) <= set(got), "bytes of each")
    own = steps(only.rows, port)
    check_equal(set(own), {("connect", "client"), ("close", "client")}, "--pid")
    check(2 * count - missed[1] <= sum(map(len, own.values())) <= 2 * count, "--pid: all of its steps")
    check_equal({r["pid"] for r in only.rows}, {pid}, "--pid tells one's own only")
    for stats, n in (s.stats, missed[0]), (only.stats, missed[1]):
        check_equal((stats["lost"], stats["seen"]), (n, stats["delivered"] + stats["filtered"] + n),
                    "every step accounted")
    check(only.stats["filtered"] + missed[1] >= 2 * count, "the server's are counted as filtered")


tcp_network()
case_life(socket.AF_INET, "127.0.0.1", "127.0.0.1")
if os.path.exists("/proc/net/if_inet6"):
    case_life(socket.AF_INET6, "::", "::1")
    case_life(socket.AF_INET6, "::", "127.0.0.1")
case_accept_queue()
case_other_accepts()
case_mptcp()
case_failures()
case_given_up()
case_later()
case_reset()
case_open_before()
case_tables()
case_levels()
case_resets()
case_sent_again()
case_fast_open()
case_listen_drops()
case_many()
done()
