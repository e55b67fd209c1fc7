#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""driver.irq against /proc/interrupts and /proc/softirqs: no count may be below what they grew by while
the command ran, nor above what they grew by from before sonda began until after it ended. The time of a
controller's interrupts against the kernel's own tracer."""

import contextlib
import datetime
import glob
import mmap
import os
import re
import socket
import tempfile
import time

from disks import mount, mounts_of_our_own
from ftrace import *
from sondatest import *

LOCAL = {"LOC": ["local_timer"], "CAL": ["call_function", "call_function_single"],
         "RES": ["reschedule"], "IWI": ["irq_work"]}
SENT = 2000
READS = 100
SCRATCH = "/dev/vm-scratch0"
LISTENERS, BROADCASTS = 200, 200
LONG_NS, LONG_ONES, LONG_RUNS = 20000, 20, 5


def counts_in(path):
    """{name of the line: times on all CPUs, and the rest of its text}"""
    found = {}
    for text in open(path).read().splitlines()[1:]:
        name, rest = text.split(":", 1)
        numbers = re.match(r"(\s+\d+)*", rest)[0]
        found[name.strip()] = [sum(map(int, numbers.split())), rest[len(numbers):].strip()]
    return found


def utc():
    return datetime.datetime.utcnow().isoformat()


def snapshot():
    return {"hard": counts_in("/proc/interrupts"), "soft": counts_in("/proc/softirqs")}


def work():
    """Datagrams to ourselves, each received in a soft interrupt, and disks, which send interrupts."""
    to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    to.bind(("127.0.0.1", 0))
    by = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(SENT):
        by.sendto(bytes(1000), to.getsockname())
        to.recv(2000)
    if os.path.exists(SCRATCH):
        with open(SCRATCH, "rb", buffering=0) as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            f.read(8 << 20)
    with tempfile.TemporaryFile(dir="/var/tmp" if os.path.isdir("/var/tmp") else None) as f:
        f.write(bytes(1 << 20))
        f.flush()
        os.fsync(f.fileno())


def watched(*args):
    """sonda's accounts, the rows of its last reading, and growth(kind, names): the least and the most
    that /proc says they grew by."""
    before = snapshot()
    with Sonda("top", "driver.irq", *args, "--interval", "100ms", "--totals") as s:
        begin = snapshot()
        work()
        end, now = snapshot(), utc()
        s.wait_row(lambda r: r["time"] > now)
    after = snapshot()

    def growth(kind, names):
        def sum_of(s):
            return sum(s[kind].get(name, [0])[0] for name in names)
        return sum_of(end) - sum_of(begin), sum_of(after) - sum_of(before)

    last = max(r["time"] for r in s.rows)
    return s.stats, [r for r in s.rows if r["time"] == last], growth, after


def check_between(got, least, most, missed, what):
    check(least - missed - unseen(least) <= got <= most, f"{what}: {least} (- {missed} missed) <= {got} <= {most}")


def case_counts():
    stats, rows, growth, names = watched("--by", "kind,line,name")
    missed = stats.get("missed", 0)
    sums = {}
    for row in rows:
        sums[row["kind"], row["name"]] = sums.get((row["kind"], row["name"]), 0) + row["count"]
        check_equal(row["took_ns"]["count"], row["count"], "as many times as interrupts")
        check_equal(row["took_ns"]["sum"], row["time_ns"], "which make the sum")
    for name in names["soft"]:
        check_between(sums.get(("soft", name), 0), *growth("soft", [name]), missed, name)
    for line, (_, text) in names["hard"].items():
        # a line shared by several handlers counts once, each handler for itself
        if line.isdigit() and "," not in text and growth("hard", [line])[1]:
            got = sum(row["count"] for row in rows
                      if row["kind"] == "hard" and row["line"] == int(line))
            check_between(got, *growth("hard", [line]), missed, f"line {line}, {text}")
    for line, vectors in LOCAL.items():
        got = sum(sums.get(("local", v), 0) for v in vectors)
        # its entry and exit are two programs: one may be in between when sonda begins or ends
        check_between(got, *growth("hard", [line]), missed + 2 * os.cpu_count(), line)


def handler_times(witness, names):
    """[(CPU, when it began, when it ended)] of these handlers, in microseconds."""
    began, times = {}, []
    for event, cpu, at_us, fields in witness.seen():
        if event == "irq_handler_entry":
            line, name = re.match(r"irq=(\d+) name=(\S+)", fields).groups()
            began[cpu] = (line, at_us) if name in names else None
        elif began.get(cpu) and fields.startswith(f"irq={began[cpu][0]} "):
            times.append((cpu, began[cpu][1], at_us))
            began[cpu] = None
    return times


def case_time():
    """The time of a controller's interrupts: between what the kernel's tracer sees, once called before sonda's
    programs, and once after them. It tells whole microseconds."""
    if not os.path.exists(SCRATCH) or not has_tracefs():
        return
    disk = re.match(r"nvme\d+", os.path.basename(os.path.realpath(SCRATCH)))[0]
    names = {text.split()[-1] for _, text in counts_in("/proc/interrupts").values() if text.split()[-1:]}
    names = {n for n in names if re.match(disk + r"q\d+$", n)}
    events = "irq/irq_handler_entry", "irq/irq_handler_exit"
    fd, page = os.open(SCRATCH, os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, 4096)
    with Witness("first", *events) as first, \
            Sonda("top", "driver.irq", "--by", "kind,name", "--interval", "100ms", "--totals") as s, \
            Witness("last", *events) as last:
        for at in range(READS):
            os.preadv(fd, [page], 4096 * at)
        now = utc()
        s.wait_row(lambda r: r["time"] > now)
        before, after = handler_times(first, names), handler_times(last, names)
    os.close(fd)
    if s.stats.get("missed", 0):
        return
    end = max(r["time"] for r in s.rows)
    rows = [r for r in s.rows if r["time"] == end and r["name"] in names]
    count, took_us = sum(r["count"] for r in rows), sum(r["time_ns"] for r in rows) / 1000
    if not check(len(before) == len(after) == count >= READS // 2, f"all saw {len(before)}, {count}, {len(after)} of {names}"):
        return
    pairs = list(zip(sorted(before), sorted(after)))
    least = sum(f[2] - l[1] - 1 for f, l in pairs)
    most = sum(l[2] - f[1] + 1 for f, l in pairs)
    print(f"{disk}: {count} interrupts took {took_us:.0f} us, by the tracer {least} to {most}")
    check(least <= took_us <= most, f"{took_us} us in {count} interrupts, by the tracer {least} to {most}")


def soft_times(witness, tid):
    """Nanoseconds of each round of receiving in this thread, without what interrupted it."""
    open_, times = [], []
    for event, _, cpu, at_ns, fields in (seen for seen in witness.seen() if seen[1] == tid):
        name, _, edge = event.rpartition("_")
        if edge == "entry":
            open_.append([name, at_ns, 0])
        elif edge == "exit" and open_ and open_[-1][0] == name:
            _, began_ns, inner_ns = open_.pop()
            if name == "softirq" and "NET_RX" in fields:
                times.append(at_ns - began_ns - inner_ns)
            if open_:
                open_[-1][2] += at_ns - began_ns
    return times


def ksoftirqd(cpu):
    """Its /proc/PID/stat on this CPU; None where it can't be seen."""
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if f"(ksoftirqd/{cpu})" in open(path).read():
                return path
    return None


def wait_asleep(path):
    """While ksoftirqd is runnable, soft interrupts are left to it."""
    for _ in range(10000):
        if open(path).read().rpartition(") ")[2].startswith("S"):
            return
        time.sleep(0.001)


def broadcasts():
    """Each is given to all who listen, in one soft interrupt of the sender's, and over before the next is sent."""
    listeners = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(LISTENERS)]
    for s in listeners:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.255.255.255", listeners[0].getsockname()[1]))
    listeners[0].setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(cpus)])
    asleep = ksoftirqd(min(cpus))
    for _ in range(BROADCASTS):
        if asleep:
            wait_asleep(asleep)
        listeners[0].sendto(b"x", listeners[0].getsockname())
        for s in (listeners[0], listeners[-1]):
            s.recv(1)
    os.sched_setaffinity(0, cpus)
    for s in listeners:
        s.close()


def long_ones():
    """[(what is told, what the tracer saw)] of the rounds of receiving in this thread; None if one was missed."""
    events = [f"irq/{kind}_{edge}" for kind in ("softirq", "irq_handler") for edge in ("entry", "exit")]
    events += [f"irq_vectors/{name}_{edge}" for names in LOCAL.values() for name in names for edge in ("entry", "exit")]
    with Ticks("ticks", *filter(has_event, events)) as witness, \
            Sonda("trace", "driver.irq", "--min", "1ns", "--where", f"name == 'NET_RX' and pid == {os.getpid()}") as s:
        broadcasts()
        truth = soft_times(witness, os.getpid())
    told = [r["took_ns"] for r in s.rows]
    if s.stats.get("missed", 0):
        return None
    check_equal(len(told), len(truth), "rounds of receiving, beside the tracer's")
    return list(zip(told, truth))


def case_long():
    """Single interrupts that take long, against the CPU's own clock as the kernel's tracer reads it: to 5 %. A
    kernel thread may take soft interrupts from the sender; then there are fewer, and more are sent."""
    if not has_tracefs() or not has_ticks():
        return
    off, count = [], 0
    for _ in range(LONG_RUNS):
        if (pairs := long_ones()) is None:
            return
        count += len(pairs)
        off = sorted(off + [abs(told - ns) / ns for told, ns in pairs if ns >= LONG_NS])
        if len(off) >= LONG_ONES:
            break
    if not check(len(off) >= LONG_ONES, f"{len(off)} of {count} took {LONG_NS} ns or longer"):
        return
    print(f"{len(off)} of {count} took {LONG_NS} ns or longer; "
          f"off by {off[len(off) // 2]:.2%}, nine in ten by no more than {off[len(off) * 9 // 10]:.2%}")
    check(off[len(off) * 9 // 10] < 0.05, f"within 5 %: {off[-20:]}")


def case_whom():
    """By CPU and by who was interrupted, and events of each."""
    _, rows, growth, _ = watched("--by", "name,cpu,comm")
    check(all(row["cpu"] < os.cpu_count() for row in rows), "CPUs that there are")
    comm = open("/proc/self/comm").read().strip()
    got = sum(row["count"] for row in rows if row["name"] == "NET_RX" and row["comm"] == comm)
    check(SENT // 2 < got <= growth("soft", ["NET_RX"])[1], f"who sent was interrupted: {got}")


def controllers():
    """{driver and address: its lines}, of PCI devices."""
    found = {}
    for path in glob.glob("/sys/bus/pci/devices/*"):
        lines = glob.glob(f"{path}/msi_irqs/*")
        if lines and os.path.exists(f"{path}/driver"):
            name = f"{os.path.basename(os.path.realpath(f'{path}/driver'))} {os.path.basename(path)}"
            found[name] = [os.path.basename(line) for line in lines]
    return found


def case_controllers():
    """All lines of a device together."""
    stats, rows, growth, _ = watched("--by", "controller")
    told, busy = {row["controller"]: row for row in rows}, 0
    for name, lines in controllers().items():
        least, most = growth("hard", lines)
        busy += least > 0
        check_between(told.get(name, {"count": 0})["count"], least, most, stats.get("missed", 0), name)
    check(busy or not controllers(), "a controller that had something to do")
    check_equal(set(told) - set(controllers()) - {None}, set(), "no others")


def case_events():
    """Everything that took a nanosecond is told; the soft interrupts of this kind are ours."""
    with Sonda("trace", "driver.irq", "--min", "1ns", "--where", "name == 'NET_RX'") as s:
        begin = snapshot()
        work()
        least = snapshot()["soft"]["NET_RX"][0] - begin["soft"]["NET_RX"][0]
    check(len(s.rows) >= least - s.stats["lost"] > 0, f"an event of each: {len(s.rows)} of {least}")
    check(all(row["kind"] == "soft" and row["took_ns"] > 0 for row in s.rows), "of this kind only")
    check(os.getpid() in {row["pid"] for row in s.rows}, "whom it met")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + s.stats["lost"], "accounts")


if os.geteuid() != 0:
    skip("needs root")
if not has_tracefs():
    mounts_of_our_own()
    mount("tracefs", TRACEFS, "tracefs")
case_counts()
case_time()
case_long()
case_whom()
case_controllers()
case_events()
done()
