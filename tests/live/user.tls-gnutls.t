#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""user.tls by GnuTLS, called as a C program would, between two processes of the test's own, without certificates. The
truth: how much each end wrote and read, to whom, and what the calls returned."""

import ctypes
import os
import socket
import sys

from sondatest import *

SERVER, CLIENT, ANON, BYE_WRITE = 1, 2, 2, 1
BOTH = b"NORMAL:-VERS-ALL:+VERS-TLS1.2:+ANON-ECDH"
OTHERS = b"NORMAL:-VERS-ALL:+VERS-TLS1.2"
SIZES = [1, 100, 5000, 16384, 7]
AGAIN = {-28, -52}  # GNUTLS_E_AGAIN, GNUTLS_E_INTERRUPTED

if os.geteuid() != 0:
    skip("needs root")
try:
    tls = ctypes.CDLL("libgnutls.so.30")
except OSError as e:
    skip(f"no GnuTLS here: {e}")
for call in (tls.gnutls_record_send, tls.gnutls_record_recv):
    call.restype = ctypes.c_ssize_t
    call.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t


class End:
    """One end of a connection; `made` is what the handshake came to."""

    def __init__(self, side, sock, priority=BOTH):
        self.sock, self.session, credentials = sock, ctypes.c_void_p(), ctypes.c_void_p()
        tls.gnutls_init(ctypes.byref(self.session), side)
        tls.gnutls_priority_set_direct(self.session, priority, None)
        which = "server" if side == SERVER else "client"
        getattr(tls, f"gnutls_anon_allocate_{which}_credentials")(ctypes.byref(credentials))
        tls.gnutls_credentials_set(self.session, ANON, credentials)
        tls.gnutls_transport_set_int2(self.session, sock.fileno(), sock.fileno())
        while True:
            self.made = tls.gnutls_handshake(self.session)
            if self.made not in AGAIN:
                break

    def send(self, data):
        """Of one call: a record at most."""
        return tls.gnutls_record_send(self.session, data, len(data))

    def receive(self, size):
        """So much, or to the end; what each call returned."""
        buffer, got = ctypes.create_string_buffer(max(size, 1)), []
        while size > 0:
            got.append(tls.gnutls_record_recv(self.session, buffer, size))
            if got[-1] <= 0:
                break
            size -= got[-1]
        return got

    def end(self):
        tls.gnutls_bye(self.session, BYE_WRITE)
        tls.gnutls_deinit(self.session)
        self.sock.close()


def serve(listener, priority):
    sock, _ = listener.accept()
    end = End(SERVER, sock, priority)
    if end.made == 0:
        for size in SIZES:
            end.receive(size)
            for _ in range(2):
                end.send(b"b" * size)
        end.receive(1)
    end.end()


def talk(priority=BOTH):
    """A whole dialogue: the server's process and port, the client's port, its handshake, what its calls returned."""
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            serve(listener, priority)
        finally:
            os._exit(0)
    sock = socket.create_connection(listener.getsockname())
    own_port, sent, got = sock.getsockname()[1], [], []
    end = End(CLIENT, sock)
    if end.made == 0:
        for size in SIZES:
            sent.append(end.send(b"a" * size))
            got += end.receive(size * 2)
    end.end()
    check_equal(os.waitpid(pid, 0)[1], 0, "the server's status")
    return pid, listener.getsockname()[1], own_port, end.made, sent, got


def of(rows, pid, operation):
    return [r for r in rows if r["pid"] == pid and r["operation"] == operation]


def case_bytes():
    with Sonda("trace", "user.tls") as s:
        server, port, own_port, made, sent, got = talk()
        check(s.wait_row(lambda r: r["pid"] == server and r["outcome"] == "closed"), "the server reads the end")
    check_equal((made, sent), (0, SIZES), "the workload itself")
    me = os.getpid()
    check_equal([r["size_bytes"] for r in of(s.rows, me, "write")], sent, "what the client writes")
    check_equal([r["size_bytes"] for r in of(s.rows, me, "read")], got, "what it reads")
    check_equal([r["size_bytes"] for r in of(s.rows, server, "write")],
                [n for n in SIZES for _ in range(2)], "what the server answers")
    for pid, peer_port in ((me, port), (server, own_port)):
        check_equal([r["outcome"] for r in of(s.rows, pid, "handshake")], ["ok"], "its handshake")
        check_equal({(r["library"], r["peer"], r["peer_port"]) for r in s.rows if r["pid"] == pid and r["outcome"] == "ok"},
                    {("gnutls", "127.0.0.1", peer_port)}, "by which library, to whom")
    check(not any(r.get("payload") for r in s.rows), "and nothing of the content")
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")


def case_refused():
    """No way of agreeing that both ends have: both handshakes fail, by the protocol."""
    with Sonda("trace", "user.tls", "--errors") as s:
        server, port, _, made, *_ = talk(OTHERS)
        check(s.wait_row(lambda r: r["pid"] == server), "the server's failure")
        check(s.wait_row(lambda r: r["pid"] == os.getpid()), "the client's")
    check(made < 0, f"the handshake fails: {made}")
    for pid in server, os.getpid():
        check_equal([(r["outcome"], r["library"]) for r in of(s.rows, pid, "handshake")], [("protocol", "gnutls")], "as told")


def case_payload():
    with Sonda("trace", "user.tls", "--payload", "5", "--pid", os.getpid()) as s:
        talk()
    check_equal([r["payload"] for r in of(s.rows, os.getpid(), "write")], ["a" * min(n, 5) for n in SIZES],
                "the first of what is written")


tls.gnutls_global_init()
case_bytes()
case_refused()
case_payload()
done()
