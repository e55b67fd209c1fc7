#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""driver.net on devices of the test's own, in a network namespace that is made while sonda watches: a
veth pair and loopback, against /proc/net/dev, the frames that were sent, and /proc/net/softnet_stat; a tap with
two queues, against what is read from each, and its own count of what it had no room for."""

import contextlib
import fcntl
import os
import socket
import struct
import subprocess

from networks import own_network
from sondatest import *

FRAMES, FRAME = 1500, bytes.fromhex("ffffffffffff0200000000018888") + bytes(486)
DATAGRAMS, DATAGRAM = 300, 1000
ON_THE_LINK = 14 + 20 + 8 + DATAGRAM  # of one datagram
BUDGET = "/proc/sys/net/core/netdev_budget"


def ip(*words):
    subprocess.run(["ip", "link", *words], check=True)


def netns_made():
    """A namespace for this process, where nobody sends anything on his own."""
    own_network()
    for what in "all", "default":
        path = f"/proc/sys/net/ipv6/conf/{what}/disable_ipv6"
        if os.path.exists(path):
            open(path, "w").write("1")
    ip("add", "left", "type", "veth", "peer", "name", "right")
    ip("set", "left", "up")
    ip("set", "right", "up")
    return os.stat("/proc/self/ns/net").st_ino


def frames():
    """No more at a time than a CPU's queue of received packets holds."""
    end = time.monotonic() + PATIENCE_S
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind(("left", 0))
        for sent in range(1, FRAMES + 1):
            s.send(FRAME)
            while sent % 500 == 0 and proc_net_dev()["right"][1] < sent and time.monotonic() < end:
                os.sched_yield()


def datagrams():
    to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    to.bind(("127.0.0.1", 0))
    by = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(DATAGRAMS):
        by.sendto(bytes(DATAGRAM), to.getsockname())
        to.recv(DATAGRAM)


def proc_net_dev():
    """{device: (received bytes, packets, sent bytes, packets, sent dropped)}"""
    lines = (line.split(":") for line in open("/proc/net/dev").read().splitlines()[2:])
    numbers = {name.strip(): [int(n) for n in text.split()] for name, text in lines}
    return {name: (n[0], n[1], n[8], n[9], n[11]) for name, n in numbers.items()}


def softnet():
    """Of all CPUs together: packets dropped, and rounds that were squeezed."""
    rows = [[int(n, 16) for n in line.split()] for line in open("/proc/net/softnet_stat")]
    return sum(r[1] for r in rows), sum(r[2] for r in rows)


def last_reading(s):
    last = max((r["time"] for r in s.rows), default=None)
    return [r for r in s.rows if r["time"] == last]


def case_queues():
    with Sonda("top", "driver.net", "queues", "--by", "device,netns,queue", "--interval", "100ms", "--totals") as s:
        netns = netns_made()
        frames()
        datagrams()
        want = proc_net_dev()
        s.wait_row(lambda r: r["netns"] == netns and r["device"] == "lo" and r["rx_packets"] == DATAGRAMS, 5)
        s.wait_row(lambda r: r["netns"] == netns and r["device"] == "right" and r["rx_packets"] == want["right"][1], 5)
    missed = s.stats.get("missed", 0)
    mine = {}
    for r in last_reading(s):
        if r["netns"] == netns:
            of = mine.setdefault(r["device"], [0] * 6)
            for i, name in enumerate(("rx_bytes", "rx_packets", "tx_bytes", "tx_packets", "tx_busy", "tx_dropped")):
                of[i] += r[name]
    # a full queue of a busy machine may drop one on its way to the device, of which the device knows nothing
    check(FRAMES / 2 < want["left"][3] <= FRAMES, f"frames sent according to the kernel: {want['left'][3]}")
    check_equal(want["lo"][3], DATAGRAMS, "datagrams sent according to the kernel")
    for device, at, size in (("left", 3, len(FRAME)), ("right", 1, len(FRAME)), ("lo", 3, ON_THE_LINK), ("lo", 1, ON_THE_LINK)):
        got = mine.get(device, [0] * 6)
        check(want[device][at] - missed <= got[at] <= want[device][at],
              f"{device}: packets {got[at]} of {want[device][at]}")
        check_equal(got[at - 1], got[at] * size, f"{device}: bytes, with their headers")
    check_equal([n for of in mine.values() for n in of[4:]], [0, 0] * len(mine), "no packet was refused")


def tap_made(queues, room):
    """A device with so many queues that hold `room` frames each: the files that they are read from."""
    files = []
    for _ in range(queues):
        files.append(os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK))
        # TUNSETIFF; IFF_TAP, IFF_NO_PI, IFF_MULTI_QUEUE
        fcntl.ioctl(files[-1], 0x400454CA, struct.pack("16sH22x", b"tap", 0x2 | 0x1000 | 0x100))
    ip("set", "tap", "txqueuelen", str(room))
    ip("set", "tap", "up")
    subprocess.run(["tc", "qdisc", "replace", "dev", "tap", "root", "noqueue"], check=True)
    return files


def flow(port):
    """A frame, of a flow of its own."""
    packet = struct.pack("!BBHHHBBHII", 0x45, 0, 46, 0, 0, 64, 17, 0, 0x0A000001, 0x0A000002)
    return FRAME[:12] + b"\x08\x00" + packet + struct.pack("!HHHH", port, 9, 26, 0) + bytes(18)


def frames_read(file):
    """How many are there."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while os.read(file, 2048):
            count += 1
    return count


def case_refused():
    """The driver of a tap drops what its queues have no room for, and the flows are spread over them."""
    if not os.path.exists("/dev/net/tun"):
        return
    with Sonda("top", "driver.net", "queues", "--by", "device,netns,queue", "--interval", "100ms", "--totals") as s:
        netns = netns_made()
        files = tap_made(2, 16)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind(("tap", 0x0800))
            for port in range(1000, 1100):
                with contextlib.suppress(OSError):  # ENOBUFS: it is dropped
                    sender.send(flow(port))
        taken = [frames_read(file) for file in files]
        dropped = proc_net_dev()["tap"][4]
        s.wait_row(lambda r: (r["device"], r["netns"]) == ("tap", netns) and r["tx_packets"] + r["tx_dropped"] >= 30, 5)
        for file in files:
            os.close(file)
    rows = {r["queue"]: r for r in last_reading(s) if (r["device"], r["netns"]) == ("tap", netns)}
    check(min(taken) > 0 and sum(taken) + dropped == 100, f"the tap took {taken} of 100 and dropped {dropped}")
    if s.stats.get("missed", 0):
        return
    check_equal([rows.get(queue, {}).get("tx_packets") for queue in range(2)], taken, "taken, queue by queue")
    check_equal([rows.get(queue, {}).get("tx_bytes") for queue in range(2)], [n * len(flow(0)) for n in taken], "their bytes")
    check_equal(sum(r["tx_dropped"] for r in rows.values()), dropped, "refused, as the device counts")


def case_polls():
    """All that loopback brings is found by polls; a poll finds what its batch says."""
    with Sonda("top", "driver.net", "polls", "--interval", "100ms", "--totals") as s:
        datagrams()
        s.wait_row(lambda r: r["device"] == "" and r["packets"] >= DATAGRAMS, 5)
    rows = last_reading(s)
    found = sum(r["packets"] for r in rows if r["device"] == "")
    check(found >= DATAGRAMS - s.stats.get("missed", 0), f"packets found: {found}")
    for r in rows:
        check_equal((r["batch"]["count"], r["batch"]["sum"]), (r["polls"], r["packets"]), "batches")
        check(r["polls"] - r["empty"] <= r["packets"], "the others found one each, or more")


def case_not_seen():
    """What `list` says is used here is what the kernel takes."""
    listed = any(line.split()[:2] == ["*", "round_ends"] for line in run_sonda("list", "driver.net", json_output=False).lines)
    refused = "rounds of receiving" in run_sonda("top", "driver.net", "cpus", "--once", "--interval", "10ms").stderr
    check_equal(listed, not refused, "rounds of receiving: listed as used, and not refused")


def case_squeezed():
    """With a budget of one packet each round is squeezed. Only in a guest, which nobody else uses."""
    if not os.path.exists("/dev/vm-scratch0") or not os.path.exists(BUDGET):
        return
    kept = open(BUDGET).read()
    with Sonda("top", "driver.net", "cpus", "--interval", "100ms", "--totals") as s:
        datagrams()  # each CPU's counters are known from its first round on
        before = softnet()
        try:
            open(BUDGET, "w").write("1")
            datagrams()
        finally:
            open(BUDGET, "w").write(kept)
        dropped, squeezed = (now - then for now, then in zip(softnet(), before))
        s.wait_row(lambda r: r["squeezed"] >= squeezed, 3)
    if "not seen here" in s.stderr:
        return
    rows = last_reading(s)
    got = sum(r["squeezed"] for r in rows)
    check(squeezed >= DATAGRAMS // 2, f"the kernel counts {squeezed}")
    check(squeezed - s.stats.get("missed", 0) - os.cpu_count() <= got <= squeezed + os.cpu_count(),
          f"squeezed: {got} of {squeezed}")
    check_equal(sum(r["dropped"] for r in rows), dropped, "dropped as the kernel counts")
    check(all(r["squeezed"] <= r["softirqs"] for r in rows), "no more than there were rounds")


if os.geteuid() != 0:
    skip("needs root")
case_not_seen()
case_polls()
case_squeezed()
case_queues()
case_refused()
done()
