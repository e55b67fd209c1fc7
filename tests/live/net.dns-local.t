#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""net.dns: servers of this machine that ask on for their clients, names asked of the neighbours (mDNS, LLMNR),
and several ports; in a network namespace of its own. The truth: what the test's processes send and receive."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys

from dnsmessages import *
from networks import own_network
from sondatest import *

HERE, AWAY = "10.97.0.1", "10.97.0.9"
STUB, STUB2, UPSTREAM = "127.0.0.53", "127.0.0.54", "127.7.7.7"
MDNS, MDNS6, MDNS_PORT = "224.0.0.251", "ff02::fb", 5353
LLMNR, LLMNR_PORT = "224.0.0.252", 5355
FLUSH = 0x8001      # class Internet, with the uppermost bit
OWN = "fe80::97"


def network():
    own_network()
    for command in ("link add near type veth peer name far", "link set near up", "link set far up",
                    f"addr add {HERE}/24 dev near", f"-6 addr add {OWN}/64 dev near nodad"):
        subprocess.run(["ip", *command.split()], check=not command.startswith("-6"))


def child(work, comm="python3"):
    """Runs `work` in a process of its own, called `comm`; returns its pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            with open("/proc/self/comm", "w") as name:
                name.write(comm)
            work()
            status = 0
        os._exit(status)
    return pid


def ended(*pids):
    for pid in pids:
        check_equal(os.waitpid(pid, 0)[1], 0, "the other process's status")


def udp(host, port=53, source="", family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(PATIENCE_S)
    if source:
        s.bind((source, 0))
    if host:
        s.connect((host, port))
    return s


def server(host, port=53):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(PATIENCE_S)
    s.bind((host, port))
    return s


def label_of(row):
    return row.get("name", "").split(".")[0]


def of_label(s, label):
    return [r for r in s.rows if label_of(r) == label]


# ---- servers that ask on ----


def upstream():
    """Answers all it is asked, over UDP and TCP."""
    u = server(UPSTREAM)
    u.settimeout(None)
    t = socket.socket()
    t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    t.bind((UPSTREAM, 53))
    t.listen(8)

    def over_udp():
        while True:
            q, peer = u.recvfrom(512)
            u.sendto(reply(q, [record(A, address(A))]), peer)

    def over_tcp():
        while True:
            s, _ = t.accept()
            q = read_tcp(s)
            send_tcp(s, reply(q, [record(A, address(A))]))

    return child(over_udp, "upstream"), child(over_tcp, "upstream")


def send_tcp(s, m):
    s.sendall(struct.pack(">H", len(m)) + m)


def read_tcp(s):
    return s.recv(struct.unpack(">H", s.recv(2, socket.MSG_WAITALL))[0], socket.MSG_WAITALL)


def other_id(q):
    return bytes([q[0] ^ 0x55]) + q[1:]


def ask_on(q, to=UPSTREAM):
    """The same question to the next server, with an id of its own; returns the answer to `q`."""
    s = udp(to)
    s.send(other_id(q))
    return q[:2] + s.recv(512)[2:]


def relay(front, to=UPSTREAM):
    q, peer = front.recvfrom(512)
    front.sendto(ask_on(q, to), peer)


class Client:
    """A process that asks once."""

    def __init__(self, host, label):
        self.q = query(label + ".test")
        self.socket = udp(host, source="127.0.0.1")
        self.pid = child(self.ask, "asker")
        self.id, self.port = struct.unpack(">H", self.q[:2])[0], self.socket.getsockname()[1]

    def ask(self):
        self.socket.send(self.q)
        self.socket.recv(512)

    def as_told(self):
        """As the row of who asks for it tells it."""
        return self.pid, "asker", "127.0.0.1", self.port, self.id


NOBODY = 0, "", None, 0, 0


def for_whom(row):
    return row["for_pid"], row["for_comm"], row["for_address"], row["for_port"], row["for_id"]


def legs(s, label):
    """What is told of a name, by process: for whom it is, and how often it was asked on."""
    rows = of_label(s, label)
    check_equal({r["result"] for r in rows}, {"noerror"}, f"{label}: all are answered")
    return sorted((r["pid"], for_whom(r), r["forwards"]) for r in rows)


def told(s, label, count):
    """Waits until `count` rows of the name are told."""
    seen = set()

    def matches(row):
        if label_of(row) == label:
            seen.add((row["pid"], row["id"]))
        return len(seen) >= count
    check(s.wait_row(matches), f"{count} rows of {label}")


def case_stub():
    """A server of this machine asks on: its query is for the client's, which counts it."""
    front = server(STUB)
    with Sonda("trace", "net.dns") as s:
        forwarder = child(lambda: (relay(front), relay(front)), "stub")
        first = Client(STUB, "first")
        ended(first.pid)
        second = Client(STUB, "second")
        ended(second.pid, forwarder)
        told(s, "first", 2)
        told(s, "second", 2)
    for label, client in ("first", first), ("second", second):
        check_equal(legs(s, label), sorted([(client.pid, NOBODY, 1), (forwarder, client.as_told(), 0)]), label)


def case_filtered():
    """Of filters only the resolver's row is left: it still says for whom it is."""
    front = server(STUB)
    with Sonda("trace", "net.dns", "--comm", "stub") as s:
        forwarder = child(lambda: relay(front), "stub")
        client = Client(STUB, "filtered")
        ended(client.pid, forwarder)
        told(s, "filtered", 1)
    check_equal(legs(s, "filtered"), [(forwarder, client.as_told(), 0)], "--comm")


def case_cached():
    """A server that knows the answer doesn't ask on. What it asks after it has answered is for nobody, and so is
    what another process asks meanwhile, or the client itself."""
    front = server(STUB)
    asked_read, asked_write = os.pipe()
    go_read, go_write = os.pipe()

    def forwarder():
        relay(front)                        # from here on it is known whose the socket is
        q, peer = front.recvfrom(512)
        os.write(asked_write, b"1")
        os.read(go_read, 1)
        front.sendto(reply(q, [record(A, address(A))]), peer)
        ask_on(q)

    def both():
        """Is its own server."""
        mine, ask = server(STUB2), udp(STUB2)
        q = query("itself.test")
        ask.send(q)
        _, peer = mine.recvfrom(512)
        mine.sendto(ask_on(q), peer)
        ask.recv(512)

    with Sonda("trace", "net.dns") as s:
        stub = child(forwarder, "stub")
        ended(Client(STUB, "before").pid)
        client = Client(STUB, "cached")
        os.read(asked_read, 1)
        stranger = Client(UPSTREAM, "cached")
        ended(stranger.pid)
        os.write(go_write, b"1")
        alone = child(both)
        ended(client.pid, stub, alone)
        told(s, "cached", 3)
        told(s, "itself", 2)
    check_equal(legs(s, "cached"), sorted((pid, NOBODY, 0) for pid in (client.pid, stranger.pid, stub)), "cached")
    check_equal(legs(s, "itself"), [(alone, NOBODY, 0)] * 2, "a process is not its own client")


def case_several():
    """Two clients wait at once, and are served in another order; upper and lower case don't matter."""
    front = server(STUB)

    def forwarder():
        got = [front.recvfrom(512) for _ in range(2)]
        for q, peer in reversed(got):
            front.sendto(ask_on(q[:12] + q[12:].replace(b"ONE", b"one")), peer)

    with Sonda("trace", "net.dns") as s:
        clients = {"ONE": Client(STUB, "ONE"), "two": Client(STUB, "two")}
        stub = child(forwarder, "stub")
        ended(*(c.pid for c in clients.values()), stub)
        for label in "ONE", "one":
            told(s, label, 1)
        told(s, "two", 2)
    check_equal(legs(s, "ONE") + legs(s, "one"), [(clients["ONE"].pid, NOBODY, 1), (stub, clients["ONE"].as_told(), 0)],
                "the one that was asked in capitals")
    check_equal(legs(s, "two"), sorted([(clients["two"].pid, NOBODY, 1), (stub, clients["two"].as_told(), 0)]), "two")


def case_chain():
    """A server that asks another of this machine, which asks on: each for the one before."""
    front, second = server(STUB), server(STUB2)
    with Sonda("trace", "net.dns") as s:
        outer = child(lambda: relay(front, STUB2), "outer")
        inner = child(lambda: relay(second), "inner")
        client = Client(STUB, "chain")
        ended(client.pid, outer, inner)
        told(s, "chain", 3)
    rows = {r["pid"]: r for r in of_label(s, "chain")}
    check_equal({pid: (r["for_pid"], r["for_comm"], r["forwards"]) for pid, r in rows.items()},
                {client.pid: (0, "", 1), outer: (client.pid, "asker", 1), inner: (outer, "outer", 0)}, "three legs")


def case_tcp():
    """Both legs over TCP."""
    t = socket.socket()
    t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    t.bind((STUB, 53))
    t.listen(1)

    def forwarder():
        s, _ = t.accept()
        q = read_tcp(s)
        up = socket.create_connection((UPSTREAM, 53))
        send_tcp(up, other_id(q))
        send_tcp(s, q[:2] + read_tcp(up)[2:])

    def ask():
        s = socket.create_connection((STUB, 53))
        send_tcp(s, query("stream.test"))
        read_tcp(s)

    with Sonda("trace", "net.dns") as s:
        stub = child(forwarder, "stub")
        asker = child(ask, "asker")
        ended(asker, stub)
        told(s, "stream", 2)
    rows = {r["pid"]: r for r in of_label(s, "stream")}
    check_equal({pid: (r["transport"], r["for_pid"], r["forwards"]) for pid, r in rows.items()},
                {asker: ("tcp", 0, 1), stub: ("tcp", asker, 0)}, "both legs over TCP")


def case_other_machine():
    """The client is none of this machine's: its address is told."""
    front = server(HERE)
    q = query("away.test", txid=0x1234)
    to, _ = (json.loads(subprocess.run(["ip", "-j", "link", "show", d], stdout=subprocess.PIPE, check=True).stdout)[0]
             ["address"] for d in ("near", "far"))
    datagram = struct.pack(">HHHH", 4444, 53, 8 + len(q), 0) + q
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0,
                         socket.inet_aton(AWAY), socket.inet_aton(HERE))
    total = sum(struct.unpack(">10H", header))
    total = (total & 0xffff) + (total >> 16)
    header = header[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xffff) + header[12:]
    frame = bytes.fromhex(to.replace(":", "")) + bytes([2, 0, 0, 0, 0, 9, 8, 0]) + header + datagram
    with Sonda("trace", "net.dns") as s:
        stub = child(lambda: relay(front), "stub")
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("far", 0))
            wire.send(frame)
        ended(stub)
        told(s, "away", 1)
    check_equal(legs(s, "away"), [(stub, (0, "", AWAY, 4444, 0x1234), 0)], "for another machine")


# ---- names asked of the neighbours ----


def neighbour(group, port, bound=True):
    """A socket that listens to the group, and sends to it."""
    six = ":" in group
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(PATIENCE_S)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if bound:
        s.bind(("", port))
    if six:
        near = socket.if_nametoindex("near")
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, near)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, group) + struct.pack("i", near))
    else:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HERE))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(HERE))
    return s


def receive(s, answer):
    """The next query or answer that comes to the socket, whoever sent it."""
    while True:
        m, peer = s.recvfrom(4096)
        if bool(m[2] & 0x80) == answer:
            return m, peer


def mdns_query(*questions, answers=(), authorities=()):
    return (struct.pack(">HHHHHH", 0, 0, len(questions), len(answers), len(authorities), 0)
            + b"".join(name + struct.pack(">HH", qtype, class_) for name, qtype, class_ in questions)
            + b"".join(answers) + b"".join(authorities))


def mdns_answer(*records):
    return struct.pack(">HHHHHH", 0, QR | AA, 0, len(records), 0, 0) + b"".join(records)


def mdns_record(name, qtype, data, ttl=120):
    return name + struct.pack(">HHIH", qtype, FLUSH, ttl, len(data)) + data


def case_mdns(group, own):
    """Two questions in one message, whose answer repeats neither; its names are compressed. What is said besides is
    nobody's answer; what expects no answer is no query."""
    asker, other = neighbour(group, MDNS_PORT), neighbour(group, MDNS_PORT)
    service = wire_name("_http._tcp.local")
    with Sonda("trace", "net.dns", "--timeout", "1s", "--pid", os.getpid()) as s:
        say = lambda sock, m: sock.sendto(m, (group, MDNS_PORT))
        # asked for a name that nobody has
        say(asker, mdns_query((wire_name("ghost.local"), A, 1)))
        receive(other, False)
        # what the neighbours know of each other
        say(other, mdns_answer(mdns_record(wire_name("else.local"), A, address(A, 9))))
        receive(asker, True)
        # a host
        before = time.monotonic_ns()
        say(asker, mdns_query((wire_name("printer.local"), A, FLUSH), (b"\xc0\x0c", AAAA, 1)))
        receive(other, False)
        # "local" of the first record is at 23, "printer" of the second at 46
        m = mdns_answer(mdns_record(service, PTR, b"\x03web\xc0\x0c", 10),
                        mdns_record(b"\x07printer\xc0\x17", A, address(A, 7)),
                        mdns_record(b"\xc0\x2e", AAAA, address(AAAA, 7), 60))
        check_equal((m[0x17:0x1d], m[0x2e:0x36]), (b"\x05local", b"\x07printer"), "the test's own pointers")
        say(other, m)
        receive(asker, True)
        took_ns = time.monotonic_ns() - before
        say(other, m + b"\0")               # once more: that answers nothing
        receive(asker, True)
        # who offers a service: two answers in one message
        say(asker, mdns_query((service, PTR, 1)))
        receive(other, False)
        say(other, mdns_answer(mdns_record(service, PTR, b"\x03one\xc0\x0c", 30), mdns_record(b"\xc0\x0c", PTR, b"\x03two\xc0\x0c")))
        receive(asker, True)
        # those that expect no answer: known already, and is this name free?
        say(asker, mdns_query((wire_name("known.local"), PTR, 1), answers=[mdns_record(b"\xc0\x0c", PTR, b"\xc0\x0c")]))
        say(asker, mdns_query((wire_name("free.local"), 255, 1), authorities=[mdns_record(b"\xc0\x0c", A, address(A))]))
        # a program that asks once, from a port of its own
        once = neighbour(group, 0, bound=False)
        q = query("once.local")
        say(once, q)
        _, peer = [receive(other, False) for _ in range(3)][-1]
        other.sendto(reply(q, [record(A, address(A, 5))]), peer)
        receive(once, True)
        for label in "ghost", "printer", "once":
            check(s.wait_row(lambda r: label_of(r) == label), f"{group}: {label} is told")
    rows = {}
    for r in s.rows:
        rows.setdefault((label_of(r), r["type"]), []).append(r)
    check_equal({k: len(v) for k, v in rows.items()}, dict.fromkeys(
        [("ghost", "a"), ("printer", "a"), ("printer", "aaaa"), ("_http", "ptr"), ("once", "a")], 1), f"{group}: what is told")
    if len(rows) != 5:
        return
    rows = {k: v[0] for k, v in rows.items()}
    nobody = rows.pop(("ghost", "a"))
    check_equal((nobody["result"], nobody["server"], nobody["attempts"], nobody["answers"]), ("timeout", group, 1, 0),
                "a name that nobody has")
    check_equal({(r["result"], r["server"], r["server_port"], r["attempts"], r["strays"], r["for_pid"]) for r in rows.values()},
                {("noerror", own, MDNS_PORT, 1, 0, 0)}, "those that are answered: who answered")
    told = {k: (r["answers"], r["address"], r["address2"], r["ttl_s"], r["class"]) for k, r in rows.items()}
    check_equal(told, {("printer", "a"): (1, "10.0.0.7", None, 120, 1), ("printer", "aaaa"): (1, "fd00::7", None, 60, 1),
                       ("_http", "ptr"): (2, None, None, 30, 1), ("once", "a"): (1, "10.0.0.5", None, 60, 1)}, "what was answered")
    check_equal(rows["_http", "ptr"]["records"], ["PTR one._http._tcp.local", "PTR two._http._tcp.local"], "the records")
    for key in ("printer", "a"), ("printer", "aaaa"):
        check(0 < rows[key]["wire_ns"] <= took_ns and rows[key]["app_ns"] >= 0, f"{key}: times")
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")


def case_llmnr():
    """Asked of all, answered by one alone."""
    asker, other = neighbour(LLMNR, 0, bound=False), neighbour(LLMNR, LLMNR_PORT)
    with Sonda("trace", "net.dns", "--pid", os.getpid()) as s:
        q = query("fileserver", AAAA)
        asker.sendto(q, (LLMNR, LLMNR_PORT))
        _, peer = receive(other, False)
        other.sendto(reply(q, [record(AAAA, address(AAAA, 3))]), peer)
        receive(asker, True)
        check(s.wait_row(lambda r: label_of(r) == "fileserver"), "a name asked by LLMNR")
    check_equal([(r["result"], r["server"], r["server_port"], r["address"], r["id"]) for r in of_label(s, "fileserver")],
                [("noerror", HERE, LLMNR_PORT, "fd00::3", struct.unpack(">H", q[:2])[0])], "LLMNR")


def case_ports():
    """--port with several: these, and no others."""
    servers = [server("127.0.0.1", 0) for _ in range(3)]
    ports = [u.getsockname()[1] for u in servers]
    with Sonda("trace", "net.dns", "--port", f"{ports[0]},{ports[1]}") as s:
        for u, label in (servers[2], "third"), (servers[0], "first"), (servers[1], "second"):
            c = udp("127.0.0.1", u.getsockname()[1])
            c.send(query(label + ".test"))
            q, peer = u.recvfrom(512)
            u.sendto(reply(q), peer)
            c.recv(512)
        check(s.wait_row(lambda r: label_of(r) == "second"), "the last one is told")
    check_equal([(label_of(r), r["server_port"]) for r in s.rows], [("first", ports[0]), ("second", ports[1])], "--port")
    for wrong, why in ("0", "0 is not between 1 and 65535"), ("1,2,3,4,5,6,7,8,9", "more than 8 values"), \
                      ("53,domain", "'domain' is not a number"), (",", "expected a number"):
        r = run_sonda("trace", "net.dns", "--port", wrong)
        check(r.code == 2 and why in r.stderr, f"--port {wrong}: {r.code} {r.stderr}")


network()
servers = upstream()
case_stub()
case_filtered()
case_cached()
case_several()
case_chain()
case_tcp()
case_other_machine()
case_mdns(MDNS, HERE)
if os.path.exists("/proc/net/if_inet6"):
    case_mdns(MDNS6, OWN)
case_llmnr()
case_ports()
for pid in servers:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
done()
