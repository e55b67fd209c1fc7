#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""net.socket (sonda show socket): sockets that this test made, against what it did with them and what the
kernel tells their owner; and what /proc alone gives, in the same fields."""

import array
import atexit
import os
import signal
import socket
import struct
import subprocess
import sys

from sondatest import *

SIOCOUTQ = 0x5411
PID = os.getpid()

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(7)
port = listener.getsockname()[1]
client = socket.create_connection(("127.0.0.1", port))
server, _ = listener.accept()
for _ in range(5):  # so that a round trip is known
    client.sendall(b"x" * 1000)
    server.recv(1000, socket.MSG_WAITALL)
client.sendall(b"y" * 777)  # not read
waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]  # not accepted
while True:  # a socket is told of the holder with the lowest pid, and pids begin anew
    child = os.fork()
    if child == 0:  # holds all of them a second time
        signal.pause()
    if child > PID:
        break
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def end_child():
    os.kill(child, signal.SIGKILL)


atexit.register(end_child)  # or who reads what this says waits for it too
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
six.bind(("::1", 0))
socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"z" * 100, six.getsockname())
here, there = socket.socketpair()
here.sendall(b"hello")
named = socket.socket(socket.AF_UNIX)
named.bind(f"\0sonda-{PID}")
named.listen(3)
raw = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
# a connection whose first end to close waits for stragglers
first = socket.create_connection(("127.0.0.1", port))
while True:  # behind the two that wait
    last, address = listener.accept()
    waiting.append(last)
    if address == first.getsockname():
        break
first_address = first.getsockname()
first.close()
last.recv(1)
last.close()
waiting.remove(last)


def tcp_info(s):
    return struct.unpack("8B24I", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104))


def show(*args, env=None):
    r = run_sonda("show", "socket", *args, env=env)
    check_equal(r.code, 0, "exit code")
    return r.rows


def own(rows, s):
    inode = os.fstat(s.fileno()).st_ino
    found = [r for r in rows if r["inode"] == inode]
    check_equal(len(found), 1, f"one row for {s}")
    return found[0] if found else {}


def ends(row):
    return (row["local"], row["local_port"]), (row["peer"], row["peer_port"])


def look(env, what):
    rows = show("--where", f"pid == {PID}", env=env)
    row = own(rows, listener)
    check_equal((row["protocol"], row["state"], row["local_port"]), ("tcp", "listen", port), f"{what}: listens")
    check_equal((row["pid"], row["fd"], row["holders"]), (PID, listener.fileno(), 2), f"{what}: who holds it")
    row = own(rows, server)
    check_equal((row["state"], row["rx_bytes"]), ("established", 777), f"{what}: not read")
    check_equal(ends(row), (server.getsockname(), server.getpeername()), f"{what}: addresses")
    row = own(rows, six)
    check_equal((row["protocol"], row["state"], row["holders"]), ("udp", "unconnected", 1), f"{what}: UDP over IPv6")
    check_equal(ends(row)[0], six.getsockname()[:2], f"{what}: IPv6 address")
    check(row["rx_bytes"] >= 100, f"{what}: a datagram waits")
    row = own(rows, named)
    check_equal((row["protocol"], row["state"], row["path"]), ("unix_stream", "listen", f"@sonda-{PID}"), f"{what}: unix")
    return rows


rows = look(None, "iterators")
row = own(rows, listener)
check_equal((row["backlog"], row["backlog_max"]), (0, 7), "all were accepted")
row = own(rows, client)
info = tcp_info(client)
check_equal((row["sent_bytes"], own(rows, server)["received_bytes"]), (5777 + 1, 5777), "bytes, the SYN is one")
check(row["rtt_us"] == info[8 + 15], f"round trip: {row['rtt_us']}, TCP_INFO has {info[8 + 15]}")
check_equal(row["retransmits"], info[8 + 23], "sent again")
check_equal(row["cwnd"], info[8 + 18], "congestion window")
row = own(rows, there)
check_equal((row["rx_bytes"], row["peer_pid"], row["state"]), (5, PID, "established"), "a pair")
check_equal(own(rows, raw)["protocol"], "netlink", "netlink")
check_equal(row["user"], "root", "whose")
left = show("--where", f"local_port == {first_address[1]} and peer_port == {port}")
check_equal([(r["state"], r["pid"]) for r in left], [("time_wait", 0)], "nobody's: it waits")
check_equal({r["inode"] for r in show("--pid", child)} >= {os.fstat(server.fileno()).st_ino}, True,
            "the second holder, where it is asked for")

look(dict(os.environ, SONDA_SNAPSHOT="proc"), "/proc")

# a socket of another network namespace
spare = subprocess.Popen(["unshare", "-n", sys.executable, "-c",
                          "import socket, sys; s = socket.socket(); s.bind(('0.0.0.0', 4242)); s.listen(); "
                          "print(flush=True); sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
spare.stdout.readline()
rows = show("--where", "local_port == 4242 and state == listen")
check_equal([r["pid"] for r in rows], [spare.pid], "of another namespace")
check_equal([r["netns"] for r in rows], [os.stat(f"/proc/{spare.pid}/ns/net").st_ino], "which")
spare.communicate()

os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
atexit.unregister(end_child)
text = run_sonda("show", "socket", "--where", f"inode == {os.fstat(server.fileno()).st_ino}", json_output=False).lines
check_equal(text[0].split()[:6], ["PROTOCOL", "STATE", "RX", "TX", "LOCAL", "PEER"], "text: columns")
check("127.0.0.1:%d" % port in text[1], "text: address and port together")
check_equal(columns_on_terminal("show", "socket", "--pid", os.getpid()),
            ["PROTOCOL", "STATE", "LOCAL", "PEER", "PID", "COMM"], "on a narrow terminal: the ends and the state")
done()
