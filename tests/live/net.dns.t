#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""net.dns against a server that does what the first label of the name says, over UDP and TCP, IPv4
and IPv6. The truth: what the test sends and receives, with the times that client and server take."""

import contextlib
import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from dnsmessages import *
from sondatest import *

SERVER4, SERVER6, NOBODY, SILENT, STUB = "127.7.7.7", "::1", "127.7.7.8", "127.7.7.9", "127.7.7.10"
libc = ctypes.CDLL(None, use_errno=True)


# ---- the server ----


class Server:
    """One behaviour for each first label; each gets the query and `send`."""

    def __init__(self):
        self.held = {}      # first label -> seconds from receiving the query to sending the answer
        self.dropped = set()
        self.go = threading.Event()
        self.sockets = []
        for family, host in ((socket.AF_INET, SERVER4), (socket.AF_INET6, SERVER6)):
            u = socket.socket(family, socket.SOCK_DGRAM)
            u.bind((host, 53))
            t = socket.socket(family, socket.SOCK_STREAM)
            t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            t.bind((host, 53))
            t.listen(16)
            self.sockets += [u, t]
            threading.Thread(target=self.serve_udp, args=(u,), daemon=True).start()
            threading.Thread(target=self.serve_tcp, args=(t,), daemon=True).start()

    def serve_udp(self, s):
        while True:
            q, peer = s.recvfrom(4096)
            threading.Thread(target=self.answer, args=(q, lambda m, p=peer: s.sendto(m, p), "udp"),
                             daemon=True).start()

    def serve_tcp(self, listener):
        while True:
            s, _ = listener.accept()
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve_connection, args=(s,), daemon=True).start()

    def serve_connection(self, s):
        with s, contextlib.suppress(OSError):
            while len(size := s.recv(2, socket.MSG_WAITALL)) == 2:
                q = s.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL)
                self.answer(q, lambda m: s.sendall(struct.pack(">H", len(m)) + m), "tcp", s)

    def answer(self, q, send, transport, stream=None):
        got_at = time.monotonic()
        if len(q) < 17 or q[2] & 0x80 or q[12] > 63 or b"\0" not in q[12:]:
            return
        label = q[13:13 + q[12]].decode("latin-1")
        qtype = struct.unpack(">H", q[12 + q[12:].index(b"\0") + 1:][:2])[0] if q[12] else A
        kind = label.split("-")[0]
        how = getattr(self, "do_" + kind, None) or Server.do_ok
        if how is Server.do_ok:
            message = reply(q, [record(qtype, address(qtype))] if qtype in (A, AAAA) else [])
        else:
            message = how(q, qtype, send, transport, label, stream)
        if message:
            self.held[label] = time.monotonic() - got_at
            send(message)

    do_ok = "the usual answer"

    def do_slow(self, q, qtype, *_):
        time.sleep(0.15)    # the scripted delay, not a wait for luck
        return reply(q, [record(qtype, address(qtype))])

    def do_uneven(self, q, qtype, *_):
        return self.do_slow(q, qtype) if qtype == AAAA else reply(q, [record(qtype, address(qtype))])

    def do_third(self, q, qtype, *_):
        self.third = getattr(self, "third", 0) + 1
        return reply(q, [record(qtype, address(qtype))]) if self.third > 3 else None

    def do_never(self, *_):
        return None

    def do_once(self, q, qtype, send, transport, label, stream):
        if label not in self.dropped:
            self.dropped.add(label)
            return None
        return reply(q, [record(qtype, address(qtype))])

    def do_tc(self, q, qtype, send, transport, *_):
        if transport == "udp":
            return reply(q, flags=RA | TC)
        return reply(q, [record(qtype, address(qtype, n)) for n in range(1, 9)])

    def do_nx(self, q, *_):
        return reply(q, rcode=NXDOMAIN, flags=RA | AA)

    def do_servfail(self, q, *_):
        return reply(q, rcode=SERVFAIL)

    def do_refused(self, q, *_):
        return reply(q, rcode=REFUSED)

    def do_notimp(self, q, *_):
        return reply(q, rcode=NOTIMP)

    def do_bare(self, q, *_):
        return q[:2] + struct.pack(">HHHHH", QR | FORMERR, 0, 0, 0, 0)

    def do_badvers(self, q, *_):
        return reply(q, extra=[b"\0" + struct.pack(">HHIH", 41, 1232, 1 << 24, 0)])

    def do_nodata(self, q, *_):
        return reply(q)

    def do_secure(self, q, qtype, *_):
        return reply(q, [record(qtype, address(qtype))], flags=RA | AD)

    def do_cname(self, q, qtype, *_):
        # ok-target.test spelled out: cname-x -> alias.test -> 10.0.0.7
        alias = wire_name("alias.test")
        return reply(q, [record(CNAME, alias, 300), record(A, address(A, 7), 30, alias)])

    def do_kinds(self, q, *_):
        mail, text = b"\x04mail\xc0\x0c", b'\x05plain\x06"q\\\x01\xff.'
        return reply(q, [record(MX, b"\0\x0a" + mail), record(SRV, struct.pack(">HHH", 1, 2, 443) + wire_name("srv.test")),
                         record(TXT, text), record(CAA, b"\0\x05issueca.test"), record(MX, b"\0\0\0"),
                         record(SOA, b"\xc0\x0c" + mail + struct.pack(">IIIII", 1, 2, 3, 4, 2**32 - 1)),
                         record(99, b"\x0a\x0b"), record(A, b"odd"), record(MX, b"\0\x0a\xc0\xff")])

    def do_many(self, q, qtype, *_):
        return reply(q, [record(qtype, address(qtype, n), 100 - n) for n in range(1, 7)])

    def do_loop(self, q, qtype, *_):
        at = len(reply(q))  # the record's name points at itself
        return reply(q, [record(qtype, address(qtype), name=struct.pack(">H", 0xc000 | at))])

    def do_long(self, q, *_):
        return reply(q, [record(TXT, b"\xff" + b"x" * 255) for _ in range(20)])

    def do_dup(self, q, qtype, send, *_):
        send(reply(q, [record(qtype, address(qtype))]))
        return reply(q, [record(qtype, address(qtype))])

    def do_CASE(self, q, qtype, *_):
        return reply(q[:12] + q[12:].lower(), [record(qtype, address(qtype))])  # not the header: its id may look like letters

    def do_badid(self, q, qtype, send, *_):
        send(bytes([q[0] ^ 255]) + reply(q, [record(qtype, address(qtype, 66))])[1:])
        return reply(q, [record(qtype, address(qtype))])

    def do_badname(self, q, qtype, send, *_):
        other = q[:12] + wire_name("evil.test") + q[-4:]
        send(reply(other, [record(qtype, address(qtype, 66))]))
        return reply(q, [record(qtype, address(qtype))])

    def do_late(self, q, qtype, send, *_):
        self.go.wait()
        return reply(q, [record(qtype, address(qtype))])

    def do_reset(self, q, qtype, send, transport, label, stream):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.shutdown(socket.SHUT_RD)
        stream.close()
        return None

    def do_split(self, q, qtype, send, transport, label, stream):
        m = reply(q, [record(qtype, address(qtype))])
        for part in (struct.pack(">H", len(m))[:1], struct.pack(">H", len(m))[1:], m[:-4], m[-4:]):
            stream.sendall(part)
        return None


# ---- the client ----


class Asked:
    """What the test knows of one query; filled by what it sees itself."""

    def __init__(self, label, **want):
        self.label, self.want, self.took_ns, self.rows = label, want, None, want.pop("rows", 1)


asked = []


def expect(label, **want):
    asked.append(Asked(label, **want))
    return asked[-1]


def udp(host=SERVER4, connected=True):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(PATIENCE_S)
    if connected:
        s.connect((host, 53))
    return s


def ask(label, qtype=A, answers=1, sock=None, edns=False, **want):
    """One query by send and recv, timed from outside."""
    want = {"result": "noerror", "type": {A: "a", AAAA: "aaaa", TXT: "txt", MX: "mx"}[qtype], **want}
    a = expect(label, **want)
    s = sock or udp()
    q = query(label + ".test", qtype, edns=edns)
    began = time.monotonic_ns()
    s.send(q)
    for _ in range(answers):
        m = s.recv(8192)
    a.took_ns = time.monotonic_ns() - began
    a.want.setdefault("query_bytes", len(q))
    a.want.setdefault("answer_bytes", len(m))
    a.want.setdefault("id", struct.unpack(">H", q[:2])[0])
    return s


def results():
    ask("ok-plain", address="10.0.0.1", ttl_s=60, answers=1, transport="udp", server=SERVER4,
        server_port=53, pid=os.getpid(), tid=threading.get_native_id(), attempts=1, retry_of="none",
        flags="ra|rd", edns_bytes=0, err=None, class_=1, address2=None)
    ask("ok-six", AAAA, address="fd00::1")
    ask("slow-1")
    ask("nx-1", result="nxdomain", answers_=0, ttl_s=-1, flags="ra|rd|aa")
    ask("servfail-1", result="servfail")
    ask("refused-1", result="refused")
    ask("notimp-1", result="notimp")
    ask("bare-1", result="formerr")
    ask("badvers-1", edns=True, result="badvers", edns_bytes=1232)
    ask("nodata-1", answers_=0, address=None, records=[])
    ask("secure-1", flags="ad|ra|rd")
    ask("cname-1", answers_=2, address="10.0.0.7", ttl_s=30, records=["CNAME alias.test", "A 10.0.0.7"])
    ask("kinds-1", MX, answers_=9, address=None, records=[
        "MX 10 mail.kinds-1.test", "SRV 1 2 443 srv.test", r'TXT "plain" "\"q\\\001\255."', 'CAA 0 "issue" "ca.test"', "MX 0 .",
        "SOA kinds-1.test mail.kinds-1.test 1 2 3 4 4294967295", "TYPE99 0a0b", "TYPE1 6f6464", "MX 10 ?"])
    ask("many-1", records=[f"A 10.0.0.{n}" for n in range(1, 7)], answers_=6, address="10.0.0.1", address2="10.0.0.2", address3="10.0.0.3",
        address4="10.0.0.4", ttl_s=94)
    ask("loop-1", answers_=1, address="10.0.0.1")
    ask("long-1", TXT, answers_=20, records=['TXT "' + "x" * 255 + '"'] * 4)  # as many as are kept
    ask("CASE-1")


def ways_to_send():
    s = udp(connected=False)
    a = expect("ok-sendto", result="noerror", server=SERVER4)
    s.sendto(query("ok-sendto.test"), (SERVER4, 53))
    s.recvfrom(512)
    a = expect("ok-sendmsg", result="noerror")
    q = query("ok-sendmsg.test")
    s.sendmsg([q[:14], q[14:]], [], 0, (SERVER4, 53))
    s.recvmsg(512)
    s = udp()
    expect("ok-write", result="noerror", seen_by_app=True)
    os.write(s.fileno(), query("ok-write.test"))
    select.select([s], [], [])
    os.read(s.fileno(), 512)
    expect("ok-peek", result="noerror", seen_by_app=True)
    s.send(query("ok-peek.test"))
    s.recv(512, socket.MSG_PEEK)
    peeked = time.monotonic_ns()
    ask("slow-afterpeek")
    asked[-2].want["waited_ns"] = time.monotonic_ns() - peeked
    s.recv(512)
    # the same socket to two servers: no connection says which one
    s = udp("::", connected=False)
    expect("ok-mapped", result="noerror", server=SERVER4)
    s.sendto(query("ok-mapped.test"), ("::ffff:" + SERVER4, 53))
    s.recv(512)
    expect("ok-six6", result="noerror", server=SERVER6)
    s.sendto(query("ok-six6.test"), (SERVER6, 53))
    s.recv(512)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
    expect("ok-options", result="noerror", server=SERVER6)
    s.sendto(query("ok-options.test"), (SERVER6, 53))
    s.recv(512)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("len", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(Iovec)),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p),
                ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]


class Mmsghdr(ctypes.Structure):
    _fields_ = [("header", Msghdr), ("len", ctypes.c_uint)]


def pair_in_one_call():
    """A and AAAA by one sendmmsg on a connected socket, as glibc does."""
    s = udp()
    queries = [query("ok-pair.test", A), query("ok-pair.test", AAAA)]
    iov = (Iovec * 2)(*[Iovec(q, len(q)) for q in queries])
    headers = (Mmsghdr * 2)(*[Mmsghdr(Msghdr(iov=ctypes.pointer(iov[i]), iovlen=1)) for i in (0, 1)])
    expect("ok-pair", result="noerror", rows=2, types={"a", "aaaa"})
    check_equal(libc.sendmmsg(s.fileno(), headers, 2, 0), 2, "sendmmsg")
    s.recv(512)
    s.recv(512)
    # each has its own time: the server lets one of them wait
    expect("uneven-pair", result="noerror", rows=2, types={"a", "aaaa"})
    before = time.monotonic_ns()
    for qtype in A, AAAA:
        s.send(query("uneven-pair.test", qtype))
    s.recv(512)
    first_ns = time.monotonic_ns() - before
    s.recv(512)
    asked[-1].want["times"] = first_ns, time.monotonic_ns() - before


def tcp(host=SERVER4):
    s = socket.create_connection((host, 53), PATIENCE_S)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def framed(*queries):
    return b"".join(struct.pack(">H", len(q)) + q for q in queries)


def read_tcp(s):
    """One message, without reading on."""
    size = b""
    while len(size) < 2:
        size += s.recv(2 - len(size))
    return s.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL)


def over_tcp():
    s = tcp()
    expect("ok-tcp", result="noerror", transport="tcp", address="10.0.0.1", seen_by_app=True)
    s.sendall(framed(query("ok-tcp.test")))
    read_tcp(s)
    expect("ok-two1", result="noerror", transport="tcp")
    expect("ok-two2", result="noerror", transport="tcp")
    s.sendall(framed(query("ok-two1.test"), query("ok-two2.test")))
    read_tcp(s)
    read_tcp(s)
    expect("split-1", result="noerror", transport="tcp")
    message = framed(query("split-1.test"))
    for part in (message[:1], message[1:2], message[2:]):
        s.sendall(part)
    read_tcp(s)
    # the connection is made by one process and used by another
    expect("ok-heir", result="noerror", transport="tcp", other_process=True)
    if (child := os.fork()) == 0:
        s.sendall(framed(query("ok-heir.test")))
        read_tcp(s)
        os._exit(0)
    os.waitpid(child, 0)
    asked[-1].want["pid"] = child
    expect("ok-tcp6", result="noerror", transport="tcp", server=SERVER6)
    s6 = tcp(SERVER6)
    s6.sendall(framed(query("ok-tcp6.test")))
    read_tcp(s6)


def reset():
    """The server's end is closed hard: no answer, and not a timeout."""
    s = tcp()
    expect("reset-1", result="unreachable", err="ECONNRESET", transport="tcp")
    s.sendall(framed(query("reset-1.test")))
    try:
        check_equal(s.recv(2), None, "the connection is reset")
    except ConnectionResetError:
        pass


def truncated():
    """A cut answer over UDP, then the same with the same id over TCP."""
    q = query("tc-1.test", txid=0x1234)
    s = udp()
    expect("tc-1", rows=2)
    s.send(q)
    s.recv(512)
    t = tcp()
    t.sendall(framed(q))
    read_tcp(t)


def tries():
    s = udp()
    q = query("once-1.test")
    expect("once-1", result="noerror", attempts=2)
    s.send(q)
    s.send(q)
    s.recv(512)
    expect("ok-unreachable", result="unreachable", err="ECONNREFUSED")
    s = udp(NOBODY)
    s.send(query("ok-unreachable.test"))
    try:
        s.recv(512)
        check(False, "nobody answers at " + NOBODY)
    except ConnectionRefusedError:
        pass


def strangers():
    """Answers that fit no query are not matched; the socket's next row counts them."""
    for kind in ("dup", "badid", "badname"):
        s = ask(kind + "-1", answers=2, answer_bytes=None, address="10.0.0.1")
        ask("ok-after" + kind, sock=s, strays=1)


def whose():
    """The sender is told, whoever reads."""
    s = udp()
    t = threading.Thread(target=lambda: (
        expect("ok-thread", tid=threading.get_native_id(), pid=os.getpid(), seen_by_app=True),
        s.send(query("ok-thread.test"))))
    t.start()
    t.join()
    s.recv(512)
    expect("ok-fork", pid=os.getpid(), seen_by_app=True)
    s.send(query("ok-fork.test"))
    if (child := os.fork()) == 0:
        s.recv(512)
        os._exit(0)
    os.waitpid(child, 0)
    pids = set()
    for _ in range(2):
        if (child := os.fork()) == 0:
            c = udp()
            c.send(query("ok-sameid.test", txid=77))
            c.recv(512)
            os._exit(0)
        pids.add(child)
        os.waitpid(child, 0)
    expect("ok-sameid", rows=2, pids=pids)


def names():
    """Names that are long, odd or hostile."""
    s = udp()
    long = [b"ok-" + b"x" * 60, b"y" * 63, b"z" * 63, b"w" * 61]
    check_equal(len(wire_name(long)), 255, "the longest name")
    s.send(query(long))
    s.recv(1024)
    s.send(query(""))
    s.recv(512)
    s.send(query([b"ok-esc\x1b[31m\x07", b"t\xc3\xa9st", b"\xff\xfe"]))
    s.recv(512)
    s.send(query([b"ok-nul\0nul", b"test"]))
    s.recv(512)
    return b".".join(long).decode()


def no_queries():
    """What goes to port 53 and asks nothing."""
    s = udp()
    s.send(query("ok-isanswer.test", flags=QR | RD))
    s.send(b"\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
    s.send(struct.pack(">HHHHHH", 1, RD, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1")
    s.send(b"short")
    s.send(b"")
    s.send(struct.pack(">HHHHHH", 1, RD, 1, 0, 0, 0) + b"\x3fcut")
    ask("ok-aftergarbage", sock=None)


def getaddrinfo_in_child(name, *servers, timeout_s=1):
    """As programs call it, with a resolv.conf of its own. Returns the child's pid."""
    code = ("import socket,os; print(os.getpid(), flush=True);"
            f"print(socket.getaddrinfo('{name}', 80, 0, socket.SOCK_STREAM))")
    with tempfile.TemporaryDirectory() as etc:
        with open(etc + "/resolv.conf", "w") as conf:
            conf.write("".join(f"nameserver {s}\n" for s in servers) + f"options timeout:{timeout_s} attempts:2\n")
        what = "/resolv.conf" if os.path.exists("/etc/resolv.conf") else ""
        made = subprocess.run(["unshare", "-m", "sh", "-c", f"mount --bind {etc}{what} /etc{what} && "
                               f"exec {sys.executable} -c \"{code}\""], capture_output=True, text=True)
    check("10.0.0.1" in made.stdout and "fd00::1" in made.stdout,
          f"libc resolves {name}: " + made.stdout + made.stderr)
    return int((made.stdout.split() or ["0"])[0])


def by_libc():
    pid = getaddrinfo_in_child("ok-libc.test", SERVER4, timeout_s=30)
    expect("ok-libc", rows=2, types={"a", "aaaa"}, pid=pid, result="noerror", seen_by_app=True)
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind((SILENT, 53))
    pid = getaddrinfo_in_child("ok-second.test", SILENT, SERVER4)
    expect("ok-second", rows=4, types={"a", "aaaa"}, pid=pid)


def through_a_stub():
    """A resolver on this machine that asks another: two rows, each with its own process."""
    ready, tell = os.pipe()
    if (stub := os.fork()) == 0:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((STUB, 53))
        os.write(tell, b"1")
        q, peer = listener.recvfrom(512)
        up = udp()
        up.send(q)
        listener.sendto(up.recv(512), peer)
        os._exit(0)
    os.read(ready, 1)
    s = udp(STUB)
    s.send(query("ok-stub.test"))
    s.recv(512)
    os.waitpid(stub, 0)
    expect("ok-stub", rows=2, pids={os.getpid(), stub}, result="noerror", attempts=1)


def in_namespace():
    """A network namespace of its own, with its own loopback and server."""
    def child():
        if libc.unshare(0x40000000):
            os._exit(1)
        s = socket.socket()
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 1))       # SIOCSIFFLAGS: up
        fcntl.ioctl(s, 0x8922, struct.pack("16si12x", b"lo", 1500))    # SIOCSIFMTU: so that it cuts
        Server()
        c = udp()
        c.send(query("ok-netns.test"))
        c.recv(512)
        c.send(query("long-netns.test", TXT))
        c.recv(8192)
        os._exit(0)
    if (pid := os.fork()) == 0:
        child()
    check_equal(os.waitpid(pid, 0)[1], 0, "the namespace's child")
    expect("ok-netns", pid=pid, result="noerror")
    expect("long-netns", pid=pid, result="noerror", answers_=20)


def after_timeout(s, server):
    """No answer: a row. The answer comes then: not matched."""
    sock = udp()
    expect("never-1", result="timeout", attempts=1, took_ns=500_000_000, wire_ns=-1, app_ns=-1, answer_bytes=0)
    sock.send(query("never-1.test"))
    expect("late-1", result="timeout", attempts=1)
    q = query("late-1.test")
    sock.send(q)
    check(s.wait_row(lambda r: label_of(r) == "late-1"), "late-1 times out")
    server.go.set()
    sock.recv(512)
    ask("ok-afterlate", sock=sock, strays=1)
    # and asked again after the time: another row, which knows of the first
    expect("once-2", rows=2)
    q = query("once-2.test")
    sock.send(q)
    check(s.wait_row(lambda r: label_of(r) == "once-2"), "once-2 times out")
    sock.send(q)
    sock.recv(512)
    check(s.wait_row(lambda r: label_of(r) == "once-2" and r["result"] == "noerror"), "once-2 is answered")
    # three times nothing, then an answer
    expect("third-1", rows=4)
    q = query("third-1.test")
    for n in range(1, 4):
        sock.send(q)
        check(s.wait_row(lambda r: label_of(r) == "third-1" and r["attempts"] == n), f"third-1 times out, {n}")
    sock.send(q)
    sock.recv(512)
    check(s.wait_row(lambda r: label_of(r) == "third-1" and r["result"] == "noerror"), "third-1 is answered")


# ---- the comparison ----


def label_of(row):
    return row.get("name", "").split(".")[0]


SPECIAL = {"times", "waited_ns", "rows", "types", "pids", "seen_by_app", "other_process"}


def compare(rows, a):
    mine = [r for r in rows if label_of(r) == a.label]
    check_equal(len(mine), a.rows, f"rows of {a.label}")
    for r in mine:
        for field, want in a.want.items():
            if field in SPECIAL:
                continue
            got = r[field.rstrip("_")]
            if field == "flags":
                got, want = set(got.split("|")), set(want.split("|"))
            check(got == want or (want is None and (not got or field == "answer_bytes")),
                  f"{a.label} {field}: got {got!r}, want {want!r}")
        if a.want.get("seen_by_app"):
            check(r["app_ns"] >= 0, f"{a.label}: the reading was seen")
    if "waited_ns" in a.want and mine:
        check(mine[0]["app_ns"] >= a.want["waited_ns"], f"{a.label}: looking is not reading")
    if "times" in a.want and len(mine) == 2:
        took = {r["type"]: r["wire_ns"] for r in mine}
        check(took["a"] <= a.want["times"][0] and server.held[a.label] * 1e9 <= took["aaaa"] <= a.want["times"][1],
              f"{a.label}: {took} of {a.want['times']}")
    if "types" in a.want:
        check_equal({r["type"] for r in mine}, a.want["types"], f"types of {a.label}")
    if "pids" in a.want:
        check_equal({r["pid"] for r in mine}, a.want["pids"], f"processes of {a.label}")
    if a.took_ns and len(mine) == 1:
        compare_times(mine[0], a)


def compare_times(r, a):
    check(0 < r["wire_ns"] <= a.took_ns, f"{a.label}: on the wire {r['wire_ns']} <= {a.took_ns} ns")
    if a.label in server.held and a.rows == 1 and "dup" not in a.label and "bad" not in a.label:
        held_ns = int(server.held[a.label] * 1e9)
        check(r["wire_ns"] >= held_ns, f"{a.label}: on the wire {r['wire_ns']} >= the server's {held_ns} ns")
    if "answer_bytes" in a.want and a.want["answer_bytes"]:
        check(r["app_ns"] >= 0 and r["wire_ns"] + r["app_ns"] <= a.took_ns,
              f"{a.label}: wire {r['wire_ns']} + app {r['app_ns']} <= {a.took_ns} ns")


def compare_legs(rows):
    legs = {r["transport"]: r for r in rows if label_of(r) == "tc-1"}
    if check_equal(set(legs), {"udp", "tcp"}, "legs of tc-1"):
        check("tc" in legs["udp"]["flags"].split("|"), "the cut answer says so")
        check_equal((legs["tcp"]["attempts"], legs["tcp"]["retry_of"], legs["tcp"]["answers"]),
                    (2, "truncated", 8), "the TCP leg knows of the UDP leg")
        check(legs["tcp"]["took_ns"] > legs["tcp"]["wire_ns"], "and its time includes it")
    second = sorted((r["server"], r["result"], r["attempts"], r["retry_of"])
                    for r in rows if label_of(r) == "ok-second")
    check_equal(second, [(SERVER4, "noerror", 2, "silence")] * 2 + [(SILENT, "timeout", 1, "none")] * 2,
                "the second server's rows know of the first's silence")
    again = sorted((r["attempts"], r["retry_of"], r["result"]) for r in rows if label_of(r) == "once-2")
    check_equal(again, [(1, "none", "timeout"), (2, "silence", "noerror")], "asked again after a timeout")


    third = sorted((r["attempts"], r["retry_of"], r["result"]) for r in rows if label_of(r) == "third-1")
    check_equal(third, [(1, "none", "timeout"), (2, "silence", "timeout"), (3, "silence", "timeout"), (4, "silence", "noerror")],
                "three timeouts, then an answer")
    took = sorted(r["took_ns"] for r in rows if label_of(r) == "third-1")
    check(len(took) == 4 and took[3] >= 3 * 500_000_000, f"the last one's time holds all four: {took}")


def compare_names(rows, longest):
    check_equal([r["result"] for r in rows if r["name"] == longest], ["noerror"], "the longest name")
    check_equal(len([r for r in rows if r["name"] in ("", ".")]), 1, "the root's name")
    check_equal(len([r for r in rows if r["name"].startswith("ok-esc")]), 1, "a name with escapes")
    check_equal(len([r for r in rows if r["name"].startswith("ok-nul") and r["name"].endswith(".test")]), 1,
                "a name with a NUL")
    check_equal([r["name"] for r in rows if "isanswer" in r["name"]], [], "qr=1 is no query")


def only_errors():
    """--errors, and what is open when sonda ends."""
    with Sonda("trace", "net.dns", "--errors") as s:
        c = udp()
        c.send(query("never-open.test"))
        for label in ("ok-quiet", "nx-loud", "tc-quiet"):
            c.send(query(label + ".test"))
            c.recv(512)
        check(s.wait_row(lambda r: label_of(r) == "nx-loud"), "an error is told")
    told = {label_of(r): r["result"] for r in s.rows}
    check_equal(told, {"nx-loud": "nxdomain", "never-open": "unanswered"}, "rows of --errors")
    check_equal(s.stats["filtered"], 2, "the others are counted as filtered")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"], "the accounts of --errors")


def only_mine():
    """--comm over both transports: who asks decides, also for a connection that another began."""
    t = tcp()
    with Sonda("trace", "net.dns", "--comm", "dns-asker") as s:
        if (child := os.fork()) == 0:
            with open("/proc/self/comm", "w") as comm:
                comm.write("dns-asker")
            c = udp()
            c.send(query("ok-mine.test"))
            c.recv(512)
            t.sendall(framed(query("ok-minetcp.test")))
            read_tcp(t)
            os._exit(0)
        os.waitpid(child, 0)
        c = udp()
        c.send(query("ok-other.test"))
        c.recv(512)
        t.sendall(framed(query("ok-othertcp.test")))
        read_tcp(t)
    check_equal({(label_of(r), r["pid"], r["comm"]) for r in s.rows},
                {("ok-mine", child, "dns-asker"), ("ok-minetcp", child, "dns-asker")}, "rows of --comm")
    check_equal((s.stats["delivered"], s.stats["lost"]), (2, s.stats.get("missed", 0)), "--comm: delivered, lost")
    check(s.stats["filtered"] >= 2, "--comm: the others are counted as filtered")


def of_a_command():
    """-- COMMAND: what the command and its children ask."""
    code = ("import socket, os\n"
            f"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('{SERVER4}', 53))\n"
            f"s.send({query('ok-command.test')!r}); s.recv(512)\n"
            f"if os.fork() == 0: s.send({query('nx-child.test')!r}); s.recv(512); os._exit(0)\n"
            "os.wait()\n")
    r = run_sonda("trace", "net.dns", "--", sys.executable, "-c", code)
    check_equal(sorted(label_of(row) for row in r.rows), ["nx-child", "ok-command"], "rows of a command")
    check_equal(r.code, 0, "the command's status: " + r.stderr)


def other_port():
    """--port: servers that listen elsewhere, and then only they."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as c:
        s.bind((SERVER4, 0))
        port = s.getsockname()[1]
        with Sonda("trace", "net.dns", "--port", port) as watch:
            c.sendto(query("ok-elsewhere.test"), (SERVER4, port))
            q, client = s.recvfrom(512)
            s.sendto(reply(q), client)
            c.recv(512)
            ask_quietly = udp()
            ask_quietly.send(query("ok-usual.test"))
            ask_quietly.recv(512)
    check_equal([(label_of(r), r["result"]) for r in watch.rows], [("ok-elsewhere", "noerror")], "--port")


def tables():
    """Counted by server, type and result, with those that were sent again; answers that fit no query."""
    with Sonda("top", "net.dns", "queries", "--pid", os.getpid(), "--interval", "200ms", "--totals") as queries, \
            Sonda("top", "net.dns", "strays", "--interval", "200ms", "--totals") as strays:
        for name, sends, answers in ("once-table", 2, 1), ("ok-table", 1, 1), ("dup-table", 1, 2):
            s, q = udp(), query(name + ".test")
            for _ in range(sends):
                s.send(q)
            for _ in range(answers):
                s.recv(512)
        queries.wait_row(lambda r: r["queries"] == 3)
        strays.wait_row(lambda r: (r["server"], r["answers"]) == (SERVER4, 1))
    last = {r["result"]: r for r in queries.rows}
    check_equal({result: (r["server"], r["type"], r["queries"], r["resent"], r["took_ns"]["count"])
                 for result, r in last.items()}, {"noerror": (SERVER4, "a", 3, 1, 3)}, "the table of queries")
    check((SERVER4, 1) in {(r["server"], r["answers"]) for r in strays.rows}, "the table of strays")


def flood():
    """More open queries than the table holds: each is a row or is counted as lost."""
    sent, table = 6000, 4096
    with Sonda("trace", "net.dns", "--timeout", "1h", "--buffer", "16MiB") as s:
        c = udp(NOBODY, connected=False)
        for n in range(sent):
            c.sendto(query(f"flood{n}.test", txid=n), (NOBODY, 53))
    rows = [r for r in s.rows if label_of(r).startswith("flood")]
    lost = s.stats["lost"]
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + lost, "the accounts of the flood")
    check_equal({r["result"] for r in rows}, {"unanswered"}, "what the flood's rows say")
    check_equal(len({r["name"] for r in rows}), len(rows), "no row twice")
    check_equal((len(rows), lost), (table, sent - table), "flood: rows, and losses told")


def main():
    global server
    server = Server()
    with Sonda("trace", "net.dns", "--timeout", "500ms") as s:
        results()
        ways_to_send()
        pair_in_one_call()
        over_tcp()
        reset()
        truncated()
        tries()
        strangers()
        whose()
        longest = names()
        no_queries()
        by_libc()
        through_a_stub()
        in_namespace()
        after_timeout(s, server)
        check(s.wait_row(lambda r: label_of(r) == "never-1"), "a timeout is a row")
    rows = s.rows
    for a in asked:
        compare(rows, a)
    compare_legs(rows)
    compare_names(rows, longest)
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"], "the accounts")
    only_errors()
    only_mine()
    other_port()
    of_a_command()
    tables()
    flood()
    done()


main()
