#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""user.tls between a client and a server of the test's own, by python's ssl module (OpenSSL), with a
certificate made here. The truth: how much each end wrote and read, and whom it talked to."""

import contextlib
import ctypes
import os
import shutil
import socket
import ssl
import subprocess
import tempfile

from sondatest import *

if os.geteuid() != 0:
    skip("needs root")
if not shutil.which("openssl"):
    skip("no openssl program, to make a certificate with")

DIRECTORY = tempfile.TemporaryDirectory()
CERTIFICATE, KEY = (os.path.join(DIRECTORY.name, name) for name in ("certificate.pem", "key.pem"))
CONFIG = os.path.join(DIRECTORY.name, "config")
with open(CONFIG, "w") as file:
    file.write("[req]\ndistinguished_name=name\nprompt=no\n[name]\nCN=test\n")
made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                       "-config", CONFIG, "-keyout", KEY, "-out", CERTIFICATE, "-days", "2"],
                      capture_output=True, text=True)
if made.returncode:
    skip(f"no certificate could be made: {made.stderr[-200:]}")

KERNEL = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])
SIZES = [1, 100, 5000, 16384, 7]
LIBSSL = next((line.split()[-1] for line in open("/proc/self/maps") if "/libssl.so" in line), None)
if not LIBSSL:
    skip("this python has no shared libssl")


def exactly(tls, size):
    """Reads so much; returns in how many reads."""
    reads = 0
    while size:
        size -= len(tls.recv(size))
        reads += 1
    return reads


class Server:
    """Takes one connection in a process of its own; answers each message with twice as much."""

    def __init__(self, family, host):
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.bind((host, 0))
        self.listener.listen(1)
        self.port = self.listener.getsockname()[1]
        self.pid = os.fork()
        if not self.pid:
            with contextlib.suppress(BaseException):
                self.serve()
            os._exit(0)

    def serve(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE, KEY)
        sock, _ = self.listener.accept()
        with context.wrap_socket(sock, server_side=True) as tls:
            for size in SIZES:
                exactly(tls, size)
                tls.sendall(b"b" * size * 2)
            tls.recv(1)

    def end(self):
        check_equal(os.waitpid(self.pid, 0)[1], 0, "the server's status")
        self.listener.close()


def trusting():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTIFICATE)
    context.check_hostname = False
    return context


def talk(family, host, timeout=None):
    """A whole dialogue: (the server's process, its port, the client's port, how many reads the client made)."""
    server = Server(family, host)
    with socket.create_connection((host, server.port), timeout) as sock, trusting().wrap_socket(sock) as tls:
        own_port = tls.getsockname()[1]
        reads = 0
        for size in SIZES:
            tls.sendall(b"a" * size)
            reads += exactly(tls, size * 2)
        with contextlib.suppress(OSError):
            tls.unwrap()  # says that it ends
    server.end()
    return server.pid, server.port, own_port, reads


def case_bytes(family, host, timeout=None):
    """Each write and read is told, with its size and peer: also where the socket does not block."""
    with Sonda("trace", "user.tls") as s:
        server, port, own_port, reads = talk(family, host, timeout)
        check(s.wait_row(lambda r: r["pid"] == server and r["outcome"] == "closed"), "the server reads the end")
    ends = {"client": (os.getpid(), port), "server": (server, own_port)}
    rows = {end: [r for r in s.rows if r["pid"] == pid] for end, (pid, _) in ends.items()}
    moved = {(end, operation): [r["size_bytes"] for r in rows[end] if r["operation"] == operation and r["outcome"] == "ok"]
             for end in rows for operation in ("read", "write")}
    twice = [2 * n for n in SIZES]
    check_equal(moved["client", "write"], SIZES, f"{host}: what the client writes")
    check_equal(sum(moved["server", "read"]), sum(SIZES), f"{host}: the server reads as much")
    check_equal(sum(moved["server", "write"]), sum(twice), f"{host}: what it answers")
    check_equal((sum(moved["client", "read"]), len(moved["client", "read"])), (sum(twice), reads),
                f"{host}: what the client reads, in as many calls")
    for end, (_, peer_port) in ends.items():
        check_equal({(r["peer"], r["peer_port"], r["library"]) for r in rows[end] if r["outcome"] != "unknown"},
                    {(host, peer_port, "openssl")}, f"{host}: the {end}'s peer")
        check_equal([r["outcome"] for r in rows[end] if r["operation"] == "handshake"], ["ok"], f"{host}: its handshake")
    check(not any(r.get("payload") for r in s.rows), "and nothing of the content")
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"], "all accounted for")


def case_counted():
    """The tables have the same sums, and a library may be named by its path."""
    with Sonda("top", "user.tls", "--library", LIBSSL, "--by", "pid,operation,peer", "--interval", "200ms") as s:
        server, _, _, reads = talk(socket.AF_INET, "127.0.0.1")
        check(s.wait_row(lambda r: r["pid"] == os.getpid() and r["operation"] == "read" and
                         r["bytes"] == 2 * sum(SIZES)), "the client's reads are counted")
    last = {(r["pid"], r["operation"]): r for r in s.rows}
    client = {operation: last.get((os.getpid(), operation), {}) for operation in ("read", "write", "handshake")}
    check_equal([(client[o].get("bytes"), client[o].get("calls"), client[o].get("errors"), client[o].get("peer"))
                 for o in ("read", "write", "handshake")],
                [(2 * sum(SIZES), reads, 0, "127.0.0.1"), (sum(SIZES), len(SIZES), 0, "127.0.0.1"),
                 (0, 1, 0, "127.0.0.1")], "bytes, calls, errors and peer")
    check_equal(client["write"].get("took_ns", {}).get("count"), len(SIZES), "the histogram has each")
    check_equal(last.get((server, "write"), {}).get("bytes"), 2 * sum(SIZES), "the server's writes")


def case_retries():
    """Calls that find the socket not ready, in the table and as rows where they are asked for."""
    with Sonda("trace", "user.tls", "--retries", "--pid", os.getpid()) as s, \
            Sonda("top", "user.tls", "--by", "pid", "--sort", "retries", "--pid", os.getpid()) as t:
        talk(socket.AF_INET, "127.0.0.1", timeout=60)
    told = sum(r["outcome"] == "retry" for r in s.rows)
    check(told > 0, "there were some")
    check_equal(t.rows[-1]["retries"] if t.rows else 0, told, "as many are counted as are told")


def case_refused():
    """A client that does not trust the server: both handshakes fail, by the protocol."""
    with Sonda("trace", "user.tls", "--errors") as s:
        server = Server(socket.AF_INET, "127.0.0.1")
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            try:
                ssl.create_default_context().wrap_socket(sock, server_hostname="test")
                check(False, "the certificate is refused")
            except ssl.SSLCertVerificationError:
                pass
        server.end()
        check(s.wait_row(lambda r: r["pid"] == os.getpid()), "the client's failure")
    check_equal([(r["operation"], r["outcome"], r["peer_port"]) for r in s.rows if r["pid"] == os.getpid()],
                [("handshake", "protocol", server.port)], "a refused handshake")
    check(any(r["pid"] == server.pid and r["outcome"] == "protocol" for r in s.rows), "at the server's end too")


def case_payload():
    """Only what was asked for."""
    with Sonda("trace", "user.tls", "--payload", "5", "--pid", os.getpid()) as s:
        talk(socket.AF_INET, "127.0.0.1")
    check_equal([r["payload"] for r in s.rows if r["operation"] == "write"], ["a" * min(n, 5) for n in SIZES],
                "the first of what is written")
    check({r["payload"] for r in s.rows if r["operation"] == "read" and r["size_bytes"] >= 5} == {"bbbbb"},
          "and of what is read")


def case_mistakes():
    for library, code, words in (("/no/such/library", 2, "/no/such/library"), ("libnonesuch.so.9", 4, "libnonesuch.so.9"),
                                 ("libc.so.6", 4, "none of these is here")):
        r = run_sonda("trace", "user.tls", "--library", library, "--", "true")
        check_equal((r.code, words in r.stderr), (code, True), f"{library}: {r.stderr!r}")
    r = run_sonda("trace", "user.tls", "--library", LIBSSL, "--", "true")
    check_equal((r.code, "not seen here: GnuTLS" in r.stderr), (0, True), f"what has no library is said: {r.stderr!r}")
    r = run_sonda("trace", "user.tls", "--strict", "--library", LIBSSL, "--", "true")
    check_equal((r.code, "--strict: not everything was seen" in r.stderr), (1, True), f"--strict: partial is failed: {r.stderr!r}")
    unseen = [h for h in r.trailer["hooks"] if h["hook"] is None]
    check(unseen and all("GnuTLS" in h["not_seen"] and h["reason"] for h in unseen), f"and why, at the end of JSON: {unseen}")


def case_taken_away():
    """While sonda watches, other code stands at the functions' beginnings, in links that are quickly taken away
    where the kernel has them; then what stood there before."""
    function = ctypes.cast(ctypes.CDLL(LIBSSL).SSL_read, ctypes.c_void_p).value
    before = ctypes.string_at(function, 8)
    with Sonda("trace", "user.tls") as s:
        during = ctypes.string_at(function, 8)
        links = link_types(s.process.pid)
    check(during != before, "a breakpoint is there")
    check_equal(ctypes.string_at(function, 8), before, "and gone when sonda has ended")
    if KERNEL >= (6, 6):
        check("uprobe_multi" in links and "perf" not in links, f"by the quick kind: {links}")


case_bytes(socket.AF_INET, "127.0.0.1")
if os.path.exists("/proc/net/if_inet6"):
    case_bytes(socket.AF_INET6, "::1")
case_bytes(socket.AF_INET, "127.0.0.1", timeout=60)
case_counted()
case_retries()
case_refused()
case_payload()
case_taken_away()
case_mistakes()
done()
