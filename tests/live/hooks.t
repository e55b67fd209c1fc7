#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every kind of hook: a small probe of each (tests/data/hook_*.bpf.c) sees the workload exactly as often
as it ran; where the kernel lacks the method sonda says so in words and ends with 4."""

import ctypes
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter

from sondatest import *

OBJECTS = os.environ.get("SONDA_TEST_OBJECTS", os.path.join(os.path.dirname(__file__), "../../build/test-probes"))
TARGET = os.path.join(OBJECTS, "target")
LIBC = ctypes.CDLL(None, use_errno=True)
GETPPID = {"x86_64": 110, "aarch64": 173}[os.uname().machine]
KERNEL = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])
KERNEL_LACKS_IT = 4
TEST_PROTOCOL = 0x88B5
CLONE_NEWNET = 0x40000000

if not os.path.exists(TARGET):
    skip(f"{TARGET} was not built")
directory = tempfile.TemporaryDirectory()
FILE = os.path.join(directory.name, "file")
open(FILE, "w").close()

# which methods work here, as sonda finds out by loading and attaching a program of each
DOCTOR = {row["feature"]: row["works"] for row in run_sonda("doctor").all_rows if "feature" in row}


def works(method):
    return DOCTOR[method]


def probe(name):
    return os.path.join(OBJECTS, f"hook_{name}.bpf.o")


def trace(name, *args):
    return Sonda("trace", probe(name), *args)


def trace_own(name, *args):
    return trace(name, "--pid", os.getpid(), *args)


def told(s, what, *want, key=lambda r: (r["at"], r["value"])):
    """All of it, nothing else, nothing lost. What a kernel skips under preemption it says it missed."""
    got, want, missed = Counter(map(key, s.rows)), Counter(want), s.stats.get("missed", 0)
    check_equal(sorted((got - want).elements()), [], f"{what}: nothing else")
    short = sorted((want - got).elements())
    check(len(short) <= missed, f"{what}: short of {short}, missed {missed}")
    check_equal((s.code, s.stats["lost"]), (0, missed), f"{what}: exit code and losses: {s.stderr!r}")
    check_equal(s.stats["seen"], sum(s.stats[n] for n in ("delivered", "filtered", "lost")), f"{what}: the equation")


def refused(name, *words, args=()):
    """Not on this kernel: exit 4, and the method and the reason are named."""
    r = run_sonda("trace", probe(name), *args)
    check_equal(r.code, KERNEL_LACKS_IT, f"exit code of {name} where the kernel lacks it")
    for word in words:
        check(word in r.stderr, f"{name}: {word!r} in {r.stderr!r}")
    check_equal(len(r.stderr.strip().splitlines()) <= 2, True, f"one clear message: {r.stderr!r}")


def truncate(*lengths):
    for length in lengths:
        os.truncate(FILE, length)


def truncate_fails():
    try:
        os.truncate(directory.name, 0)
    except IsADirectoryError:
        pass


def getppid(count):
    for _ in range(count):
        os.getppid()


def tracepoints():
    with trace_own("tracepoint") as s:
        truncate(5, 6, 7)
        truncate_fails()
        with open(FILE, "r+") as f:
            os.ftruncate(f.fileno(), 8)
    told(s, "two classic tracepoints by one program", (0, 5), (0, 6), (0, 7), (0, 0), (0, 8))
    check("(tp)" in s.stderr, f"the hook in use is named: {s.stderr!r}")
    with trace_own("raw_tp", "--number", GETPPID) as s:
        getppid(50)
    told(s, "raw_tp and tp_btf", *[(0, GETPPID), (1, GETPPID)] * 50)


def kprobes():
    if not works("kprobe"):
        refused("kprobe", "kprobe", "CONFIG_KPROBES")
        refused("multi", "kprobe.multi", "CONFIG_KPROBES")
        return
    with trace_own("kprobe") as s:
        truncate(5, 6, 7)
        truncate_fails()
    told(s, "kprobe and kretprobe, of several the function that is there",
         (0, 5), (0, 6), (0, 7), (0, 0), *[(1, 0)] * 3, (1, -21))
    with trace_own("multi") as s:
        truncate(5, 6, 7)
    told(s, "two functions of three by one program", *[(0, 0), (1, 0)] * 6)


def trampolines():
    """One operation by the best method: fentry and fexit, else kprobes, else tracepoints."""
    rank = 1 if works("fentry") else 2 if works("kprobe") else 3
    r = subprocess.run([SONDA, "check", probe("ranks"), "-o", "json"], stdout=subprocess.PIPE, text=True)
    said = json.loads(r.stdout.splitlines()[-1])
    check_equal((r.returncode, said["verdict"]), (0, "ok"), "check")
    check_equal({h["rank"] for h in said["hooks"]}, {rank}, "the rank that check says is used")
    with trace_own("ranks") as s:
        truncate(5, 6, 7)
        truncate_fails()
    told(s, f"rank {rank}", (5, 0), (6, 0), (7, 0), (0, -21))
    method = {1: "fentry", 2: "kprobe", 3: "tp"}[rank]
    check(re.search(rf"watching hook\.ranks \({method}\b", s.stderr), f"{method} in {s.stderr!r}")
    if rank > 1:
        refused("targets", "fentry", "refused by the kernel")
        return
    with trace_own("targets") as s:
        truncate(5, 6)
    told(s, "the first of the targets that is there", (0, 5), (0, 6))


def programs():
    """Functions and marks in a program."""
    work = ("--program", TARGET, "--", TARGET, "work", 20)
    r = run_sonda("trace", probe("uprobe"), *work)
    told(r, "uprobe, uretprobe, USDT", *[(at, n * f) for n in range(20) for at, f in ((0, 1), (1, 3), (2, 1))])
    check_equal(len({row["pid"] for row in r.rows}), 1, "all of one process")
    for args, words in ((("--program", "/no/such"), ("/no/such",)),
                        (("--program", TARGET, "--function", "nothing"), ("nothing", "not found"))):
        refused("uprobe", *words, args=args)


def samples():
    """Samples of what spins, no more of them than time has passed."""
    begun = time.monotonic()
    with trace("sample", "--hz", 200) as s:
        spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        seen = s.wait_row(lambda r: r["pid"] == spinning.pid)
        spinning.kill()
        spinning.wait()
    most = ((time.monotonic() - begun) * 200 + 1) * os.cpu_count()
    check(seen, "a sample of what spins")
    check(len(s.rows) <= most, f"{len(s.rows)} samples, at most {most}")
    check({r["at"] for r in s.rows} <= set(range(os.cpu_count())), "their CPUs")
    r = run_sonda("trace", probe("sample"), "--hz", 0)
    check_equal((r.code, "1" in r.stderr and "1000" in r.stderr), (2, True), f"the range of --hz: {r.stderr!r}")


def run_by_sonda():
    with trace("every", "--number", GETPPID) as s:
        getppid(30)
    each = [r for r in s.rows if r["at"] == 1 and r["pid"] == os.getpid()]
    check_equal([r["value"] + s.stats.get("missed", 0) >= 30 >= r["value"] for r in each], [True],
                f"an iterator at the end, over the probe's own map: {each}")
    check_equal([r["value"] for r in s.rows if r["at"] == 2], [0], "a program that runs once, before the others")
    ticks = [r for r in s.rows if r["at"] == 0]
    check(len(ticks) == 1 and ticks[0]["value"] >= 1, f"a program that sonda runs: {ticks}")
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing else lost")


def sockets():
    """By cgroup: packets and connections."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    port = receiver.getsockname()[1]
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    listener.listen(16)
    with trace("cgroup", "--port", port) as s:
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for n in range(7):
            sender.sendto(b"x" * n, ("127.0.0.1", port))
            receiver.recv(16)
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port)):
                listener.accept()[0].close()
    told(s, "cgroup_skb both ways, connect4, sockops",
         *[(at, 8 + n) for n in range(7) for at in (0, 1)], *[(2, socket.SOCK_STREAM), (3, 4)] * 3)
    for each in receiver, listener, sender:
        each.close()


def congestion_control():
    """A struct_ops map, attached by a link (6.4)."""
    if not works("struct_ops") or KERNEL < (6, 4):
        refused("struct_ops", "struct_ops")
        return
    listener = socket.create_server(("127.0.0.1", 0))
    with trace("struct_ops") as s:
        for _ in range(4):
            with socket.socket() as each:
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"sonda_test")
                each.connect(listener.getsockname())
    listener.close()
    told(s, "struct_ops", *[(0, 0)] * 4)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def send_frames(interface, count):
    """`count` frames of the test's own protocol, of 60 bytes."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        for _ in range(count):
            raw.send(b"\xff" * 6 + b"\x02" + b"\0" * 5 + TEST_PROTOCOL.to_bytes(2, "big") + b"\0" * 46)


def frames():
    """XDP and TC, on a pair of interfaces in a namespace of the test's own."""
    if LIBC.unshare(CLONE_NEWNET):
        return check(False, "a network namespace")
    ip("link", "set", "lo", "up")
    ip("link", "add", "from0", "type", "veth", "peer", "name", "to0")
    ip("link", "set", "from0", "up")
    ip("link", "set", "to0", "up")
    for interface, sends in (("to0", "from0"), ("lo", "lo")):
        with trace("xdp", "--interface", interface) as s:
            send_frames(sends, 9)
        told(s, f"XDP on {interface}", *[(0, 60)] * 9)
    for interface in "to0", "lo":
        with trace("tc", "--interface", interface) as s:
            send_frames("from0" if interface == "to0" else "lo", 9)
            if interface == "to0":
                send_frames("to0", 4)
        out = 4 if interface == "to0" else 9
        told(s, f"TC on {interface}", *[0] * 9, *[1] * out, key=lambda r: r["at"])
    for name in "xdp", "tc":
        r = run_sonda("trace", probe(name))
        check_equal((r.code, "--interface" in r.stderr), (2, True), f"{name} wants an interface: {r.stderr!r}")
    left = subprocess.run(["tc", "qdisc", "show"], stdout=subprocess.PIPE, text=True).stdout
    check("clsact" not in left, f"clsact is gone: {left!r}")
    left = subprocess.run(["ip", "link"], stdout=subprocess.PIPE, text=True).stdout
    check("xdp" not in left, f"XDP is gone: {left!r}")


def firewall():
    """In the same namespace: there is no other traffic."""
    if not works("netfilter"):
        refused("netfilter", "netfilter")
        return
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    with trace("netfilter") as s:
        for _ in range(6):
            receiver.sendto(b"1234", receiver.getsockname())
            receiver.recv(16)
    told(s, "netfilter, two hooks", *[(0, 32)] * 12)
    receiver.close()


def security():
    if not works("lsm"):
        refused("lsm", "lsm")
        return
    with trace_own("lsm") as s:
        truncate(1, 2, 3, 4)
    told(s, "LSM", *[(0, 0)] * 4)


def preempted():
    """Calls that come while the program is interrupted on the same CPU are missed by the kernel: they are
    counted, as missed and as lost, and not one is unaccounted for."""
    if not works("fentry"):
        return
    tasks, calls = 4, 3000
    many = ("import os; [os.fork() for _ in range(2)]; os.sched_setaffinity(0, {0})\n"
            f"for _ in range({calls}): os.getppid()\n"
            "while True:\n try: os.wait()\n except OSError: break")
    with trace("busy", "--rounds", 256, "--buffer", "4MiB") as s:
        subprocess.run([sys.executable, "-c", many], check=True)
    stats, missed = s.stats, s.stats.get("missed", 0)
    check_equal(stats["seen"], stats["delivered"] + stats["filtered"] + stats["lost"], "the equation")
    check_equal(stats["delivered"], len(s.rows), "delivered")
    check(stats["seen"] >= tasks * calls, f"every call is accounted for: {stats}")
    check_equal(sum(r["lost"] for r in s.losses if r["cause"] == "missed"), missed, "missed are told as rows")
    if "(full)" in preemption():
        check(missed > 0, f"with preempt=full some are missed: {stats}")


def preemption():
    try:
        return open("/sys/kernel/debug/sched/preempt").read()
    except OSError:
        return ""


for part in (tracepoints, kprobes, trampolines, programs, samples, run_by_sonda, sockets, congestion_control,
             security, preempted, frames, firewall):
    part()
done()
