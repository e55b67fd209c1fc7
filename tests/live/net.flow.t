#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""net.flow against what both ends of a conversation know that they sent and received, to the byte: TCP and
UDP, IPv4 and IPv6, a client and a server that are processes of their own."""

import os
import socket
import struct
import sys

from sondatest import *

UP, DOWN = 1_000_003, 300_007  # bytes from the client, and back
DATAGRAMS, SIZE = 50, 700
SERVER_ADDRESSES = {"4": "127.0.0.1", "6": "::1"}


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def read_all(conn, count):
    left = count
    while left:
        left -= len(conn.recv(min(left, 65536)))


def in_child(do):
    """The child waits for a line before it ends, so that its sockets stay its own meanwhile."""
    pid = os.fork()
    if not pid:
        try:
            do()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def named(comm):
    open("/proc/self/comm", "w").write(comm)


def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def put_on_the_wire(conn):
    """Payload that the kernel says it has sent, with what it has sent again: tcpi_bytes_sent."""
    return conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 208)[200:208]


def talk_tcp(address):
    """Returns the port, the pids of server and client, and what each has sent."""
    listener = socket.socket(family(address), socket.SOCK_STREAM)
    listener.bind((address, 0))
    listener.listen(1)
    where = listener.getsockname()[:2]
    sent = os.pipe(), os.pipe()

    def serve():
        conn, _ = listener.accept()
        read_all(conn, UP)
        conn.sendall(b"d" * DOWN)
        conn.recv(1)
        os.write(sent[0][1], put_on_the_wire(conn))

    def ask():
        named("asks")
        with socket.create_connection(where) as conn:
            conn.sendall(b"u" * UP)
            read_all(conn, DOWN)
            os.write(sent[1][1], put_on_the_wire(conn))

    pids = in_child(serve), in_child(ask)
    check_equal([ended(p) for p in pids], [0, 0], "the workload")
    listener.close()
    bytes_sent = [struct.unpack("=Q", os.read(read, 8))[0] for read, _ in sent]
    check(bytes_sent[0] >= DOWN and bytes_sent[1] >= UP, "nothing is missing on the wire")
    return where[1], *pids, *bytes_sent


def talk_udp(address):
    def ask():
        named("asks")
        with socket.socket(family(address), socket.SOCK_DGRAM) as s:
            for _ in range(DATAGRAMS):
                s.sendto(b"x" * SIZE, where)
                s.recv(SIZE)

    server = socket.socket(family(address), socket.SOCK_DGRAM)
    server.bind((address, 0))
    where = server.getsockname()[:2]
    pid = in_child(ask)
    for _ in range(DATAGRAMS):
        data, peer = server.recvfrom(SIZE)
        server.sendto(data[:SIZE // 2], peer)
    check_equal(ended(pid), 0, "the workload")
    server.close()
    return where[1], os.getpid(), pid


def own_cgroup():
    """Its number, which is that of its directory."""
    path = next(l[3:].strip() for l in open("/proc/self/cgroup") if l.startswith("0::"))
    root = next(l.split()[1] for l in open("/proc/self/mounts") if l.split()[2] == "cgroup2")
    return os.stat(root + path).st_ino


def sums(rows, port, pid, side):
    """Payload sent and received by the end that has that port (side "local_port") or that talks to it."""
    mine = [r for r in rows if r.get(side) == port and r["pid"] == pid]
    return sum(r["tx_payload_bytes"] for r in mine), sum(r["rx_payload_bytes"] for r in mine), mine


def check_filtered(rows, kept, what):
    """As many bytes of each process as without a filter, and nothing of others."""
    def by_process(rows):
        sums = {}
        for r in rows:
            of = sums.setdefault((r["comm"], r["pid"], r["local_port"], r["peer_port"]), [0, 0])
            of[0] += r["tx_payload_bytes"]
            of[1] += r["rx_payload_bytes"]
        return sums

    everything, kept = by_process(rows), by_process(kept)
    check_equal({p[1] for p in kept}, PIDS[what], f"{what}: whose traffic it is")
    check_equal(kept, {p: everything.get(p) for p in kept}, f"{what}: and all of it")


ALL = "top", "net.flow", "--by", "comm,pid,protocol,peer,local_port,peer_port,cgroup", "--limit", 10000
with Sonda(*ALL) as s, Sonda(*ALL, "--comm", "asks") as only, Sonda(*ALL, "--pid", os.getpid()) as own:
    tcp = {v: talk_tcp(a) for v, a in SERVER_ADDRESSES.items()}
    udp = {v: talk_udp(a) for v, a in SERVER_ADDRESSES.items()}

rows, rows_only, rows_own = ([r for r in run.rows if r["time"] == run.rows[-1]["time"]] for run in (s, only, own))
for version, (port, server, client, down, up) in tcp.items():
    sent, received, mine = sums(rows, port, client, "peer_port")
    check_equal((sent, received), (up, down), f"TCP over IPv{version}, the client's process")
    check_equal({(r["protocol"], r["peer"]) for r in mine}, {(6, SERVER_ADDRESSES[version])}, "protocol and peer")
    check_equal({r["cgroup"] for r in mine}, {own_cgroup()}, "its cgroup")
    check(all(r["tx_bytes"] > r["tx_payload_bytes"] and r["tx_packets"] for r in mine), "headers count as bytes")
    servers = [r for r in rows if r["local_port"] == port]
    check_equal((sum(r["tx_payload_bytes"] for r in servers), sum(r["rx_payload_bytes"] for r in servers)), (down, up),
                f"TCP over IPv{version}, the server's end")
    check(server in {r["pid"] for r in servers}, "which is known to be the server's once it has sent")
for version, (port, server, client) in udp.items():
    sent, received, mine = sums(rows, port, client, "peer_port")
    check_equal((sent, received), (DATAGRAMS * SIZE, DATAGRAMS * (SIZE // 2)), f"UDP over IPv{version}, the client")
    check_equal(sum(r["tx_packets"] for r in mine), DATAGRAMS, "a packet for each datagram")
    sent, received, mine = sums(rows, port, server, "local_port")
    check_equal((sent, received), (DATAGRAMS * (SIZE // 2), DATAGRAMS * SIZE), f"UDP over IPv{version}, the server")
PIDS = {"--comm": {talk[2] for talk in (*tcp.values(), *udp.values())}, "--pid": {os.getpid()}}
check_filtered(rows, rows_only, "--comm")
check_filtered(rows, rows_own, "--pid")
sys.stdout.flush()
done()
