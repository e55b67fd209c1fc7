#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""driver.net on devices of the test's own, in a network namespace that is made while sonda watches: a
veth pair and loopback, against /proc/net/dev, the frames that were sent, and /proc/net/softnet_stat; a tap with
two queues, against what is read from each, and its own count of what it had no room for; a veth whose other end
does not come to the CPU, against what its qdisc took back.

In a guest also a virtio NIC that the matrix gives it, which sends a frame in four seconds, against the queue's own
count of timeouts and a qdisc that has only it to send by, and a bridge that brings more frames at once than a CPU
may have waiting. Before 6.16 veth drops what it has no room for, and before 5.16 virtio's queue has no timeout."""

import array
import contextlib
import fcntl
import glob
import json
import os
import socket
import struct
import subprocess

from networks import own_network
from sondatest import *

FRAMES, FRAME = 1500, bytes.fromhex("ffffffffffff0200000000018888") + bytes(486)
DATAGRAMS, DATAGRAM = 300, 1000
ON_THE_LINK = 14 + 20 + 8 + DATAGRAM  # of one datagram
BUDGET, BACKLOG = "/proc/sys/net/core/netdev_budget", "/proc/sys/net/core/netdev_max_backlog"
SIOCETHTOOL, ETHTOOL_STSO, ETHTOOL_SGRO = 0x8946, 0x1F, 0x2C
SO_SNDBUFFORCE = 32
RING, BEYOND = 256, 100  # what a veth with NAPI and a virtio queue hold
LEGS = 8


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


def softnet(cpus=None):
    """Of so many CPUs, the first, together, or of all: packets dropped, and rounds that were squeezed."""
    rows = [[int(n, 16) for n in line.split()] for line in open("/proc/net/softnet_stat")][:cpus]
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


@contextlib.contextmanager
def set_to(path, value):
    """The setting is that while the block runs."""
    kept = open(path).read()
    open(path, "w").write(str(value))
    try:
        yield
    finally:
        open(path, "w").write(kept)


def case_squeezed():
    """With a budget of one packet each round is squeezed. Only in a guest, which nobody else uses."""
    if not os.path.exists("/dev/vm-scratch0") or not os.path.exists(BUDGET):
        return
    with Sonda("top", "driver.net", "cpus", "--interval", "100ms", "--totals") as s:
        datagrams()  # each CPU's counters are known from its first round on
        before = softnet()
        with set_to(BUDGET, 1):
            datagrams()
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


def case_backlog():
    """A bridge that floods a frame brings one for each of its legs at once, and a CPU may have few of them waiting. Only in a
    guest, since that setting is the machine's."""
    if not IN_GUEST or not os.path.isdir("/sys/module/bridge"):
        return
    os.sched_setaffinity(0, {0})
    ip("add", "flood", "type", "bridge")
    for n in range(LEGS):
        ip("add", f"leg{n}", "type", "veth", "peer", "name", f"foot{n}")
        for name in f"leg{n}", f"foot{n}":
            ip("set", name, "up")
        ip("set", f"leg{n}", "master", "flood")
    ip("set", "flood", "up")
    with Sonda("top", "driver.net", "cpus", "--interval", "100ms", "--totals") as s:
        datagrams()  # the CPU's counters are known from its first round on
        before = softnet(1)[0]  # others drop some, too: what neighbours are told; and nobody knows their counters yet
        with set_to(BACKLOG, 2):
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
                sender.bind(("flood", 0))
                for _ in range(50):
                    sender.send(FRAME)
        dropped = softnet(1)[0] - before
        s.wait_row(lambda r: r["cpu"] == 0 and r["dropped"] >= dropped, 3)
    os.sched_setaffinity(0, range(os.cpu_count()))
    ip("del", "flood")
    for n in range(LEGS):
        ip("del", f"leg{n}")
    check(dropped >= 50, f"the kernel dropped {dropped} of {50 * LEGS}")
    if "not seen here" not in s.stderr and not s.stats.get("missed", 0):
        check_equal([r["dropped"] for r in last_reading(s) if r["cpu"] == 0], [dropped], "dropped, as the kernel counts")


def kernel_version():
    return tuple(int(n) for n in os.uname().release.split(".")[:2])


def requeues(device):
    """How often its qdisc took back what it had given the driver."""
    said = subprocess.run(["tc", "-s", "-j", "qdisc", "show", "dev", device], stdout=subprocess.PIPE, check=True).stdout
    return sum(qdisc["requeues"] for qdisc in json.loads(said) if qdisc.get("root"))


def ethtool(device, command, value):
    with socket.socket() as s:
        call = array.array("B", struct.pack("II", command, value))
        fcntl.ioctl(s, SIOCETHTOOL, struct.pack("16sP16x", device.encode(), call.buffer_info()[0]))


def send_frames(device, count, first=True):
    """As one that nobody takes the CPU from."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 64 << 20)
        sender.bind((device, 0))
        if first:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        for _ in range(count):
            sender.send(FRAME)


def slow_veth():
    """A pair whose other end is emptied by a thread that is kept on this process's only CPU. It has one queue: then the qdisc
    takes back what the driver gave back, and nothing else."""
    ip("del", "left")
    ip("add", "left", "numtxqueues", "1", "type", "veth", "peer", "name", "right", "numrxqueues", "1")
    ip("set", "left", "up")
    ip("set", "right", "up")
    subprocess.run(["tc", "qdisc", "replace", "dev", "left", "root", "pfifo", "limit", "1000"], check=True)
    ethtool("left", ETHTOOL_STSO, 0)
    ethtool("right", ETHTOOL_SGRO, 1)
    subprocess.run(["unshare", "-m", "sh", "-c", "mount -t sysfs none /sys && echo 1 >/sys/class/net/right/threaded"], check=True)
    threads = [int(path.split("/")[2]) for path in glob.glob("/proc/[0-9]*/comm") if "napi/right" in open(path).read()]
    cpu = min(os.sched_getaffinity(0))
    for pid in (0, *threads):
        os.sched_setaffinity(pid, {cpu})


def busy_told(t, top, device, netns, busy):
    """All that the qdisc took back is told as busy, and counted."""
    for _ in range(busy):
        t.wait_row(lambda r: r["device"] == device and r["netns"] == netns, 5)
    row = top.wait_row(lambda r: (r["device"], r["netns"]) == (device, netns) and r["tx_busy"] >= busy, 5)
    events = [r for r in t.rows if r["device"] == device and r["netns"] == netns]
    if t.stats.get("missed", 0) + top.stats.get("missed", 0):
        return
    check_equal([(r["queue"], r["trouble"]) for r in events], [(0, "busy")] * busy, f"{device}: told")
    check_equal(row and row["tx_busy"], busy, f"{device}: counted")


def case_busy():
    """A veth whose other end is emptied by a thread gives back what it has no room for."""
    if kernel_version() < (6, 16):
        return
    with Sonda("trace", "driver.net") as t, \
            Sonda("top", "driver.net", "queues", "--by", "device,netns,queue", "--interval", "100ms", "--totals") as s:
        netns = netns_made()
        slow_veth()
        in_process(send_frames, "left", RING + BEYOND)
        s.wait_row(lambda r: (r["device"], r["netns"]) == ("right", netns) and r["rx_packets"] >= RING, 5)
        busy = requeues("left")
        check(busy > 0, "the other end's ring was full")
        busy_told(t, s, "left", netns, busy)


def virtio_nic():
    """The NIC that hardly sends, if this guest has one. Outside a guest one may be there that is in use."""
    for path in glob.glob("/sys/class/net/*/device/driver") if IN_GUEST else []:
        if os.path.basename(os.path.realpath(path)) == "virtio_net":
            return path.split("/")[4]
    return None


def case_stuck():
    """A NIC that doesn't send what it was given: its queue stops, the kernel resets it, and a device that has no
    other to send by has no room either."""
    nic = virtio_nic()
    if not nic:
        return
    timeouts = lambda: int(open(f"/sys/class/net/{nic}/queues/tx-0/tx_timeout").read())
    has_watchdog = kernel_version() >= (5, 16)
    netns = os.stat("/proc/self/ns/net").st_ino
    with Sonda("trace", "driver.net") as t, \
            Sonda("top", "driver.net", "queues", "--by", "device,netns,queue", "--interval", "100ms", "--totals") as s:
        ip("set", nic, "up")
        subprocess.run(["tc", "qdisc", "replace", "dev", nic, "root", "pfifo", "limit", "1000"], check=True)
        in_process(send_frames, nic, RING + BEYOND, False)
        if has_watchdog:
            told = t.wait_row(lambda r: (r["device"], r["trouble"]) == (nic, "timeout"))
            check_equal(told and (told["queue"], told["netns"]), (0, netns), "the queue that sends nothing")
        row = s.wait_row(lambda r: r["device"] == nic and r["tx_stops"] and r["timeouts"] >= has_watchdog)
        while row and row["timeouts"] < timeouts():
            at = row["time"]
            row = s.wait_row(lambda r: r["device"] == nic and r["time"] > at)
        check_equal(row and row["timeouts"] >= has_watchdog, True, f"timeouts: {row}, the kernel's count {timeouts()}")
        subprocess.run(["tc", "qdisc", "replace", "dev", nic, "root", "teql0"], check=True)
        ip("set", "teql0", "up")
        in_process(send_frames, "teql0", 1, False)
        busy = requeues("teql0")
        check(busy > 0, "it has no other to send by")
        busy_told(t, s, "teql0", netns, busy)
        kernels = timeouts()
        ip("set", "teql0", "down")
        ip("set", nic, "down")
    seen = [r for r in t.rows if (r["device"], r["trouble"]) == (nic, "timeout")]
    if not t.stats.get("missed", 0):
        check(kernels <= len(seen) <= kernels + 1 if has_watchdog else not seen, f"timeouts: told {len(seen)} of {kernels}")


if os.geteuid() != 0:
    skip("needs root")
case_not_seen()
case_polls()
case_squeezed()
case_backlog()
case_stuck()
case_queues()
case_refused()
case_busy()
done()
