#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""block.busy: what it counts against what the test did; and where there is a disk that takes as long as
it is told, the verdicts of eleven loads that are known, at least nine of ten of them right; and disks below md and device
mapper, against their own counters."""

import contextlib
import mmap
import signal
import threading

from disks import *
from sondatest import *

STACKED, BRIEF_NS = 20, 10000000
TAKES_NS = 100000000  # so long that what the readers themselves need doesn't matter


def case_counts(disk):
    """Each transfer is counted for the disk, and for who made it."""
    with Sonda("top", "block.busy", "disks", "--interval", "300ms", "--totals") as disks, \
            Sonda("top", "block.busy", "causes", "--by", "device,pid", "--interval", "300ms", "--totals") as causes:
        took = [transfer(disk, "write", 8 * i, 8192) for i in range(50)]
        disks.wait_row(lambda r: is_of(r, disk) and r["ios"] == 50, 5)
        causes.wait_row(lambda r: is_of(r, disk) and r["ios"] == 50, 5)
    for s, name in (disks, "disks"), (causes, "causes"):
        rows = [r for r in s.rows if is_of(r, disk)]
        missed = s.stats.get("missed", 0)
        if not check(rows, f"{name}: the disk is there"):
            continue
        last = rows[-1]
        check(50 - missed <= last["ios"] <= 50, f"{name}: requests {last['ios']}")
        check_equal(last["bytes"], last["ios"] * 8192, f"{name}: bytes")
        check(last["device_ns"] + last["wait_ns"] < sum(took), f"{name}: times fit into the calls'")
    rows = [r for r in disks.rows if is_of(r, disk)]
    if rows and not disks.stats.get("missed", 0):
        check(0 < rows[-1]["busy_ns"] < sum(took), "busy no longer than the calls took")
        check_equal((rows[-1]["errors"], rows[-1]["depth"]), (0, 0), "no errors, none on the way")
    check_equal({r["pid"] for r in causes.rows if is_of(r, disk)}, {os.getpid()}, "who it was")


def case_rates(disk):
    """One in a second is one a second, to the nearest; and no two columns have the same heading."""
    with Sonda("trace", "block.busy") as s:
        transfer(disk, "write", 0, 4096)
        row = s.wait_row(lambda r: is_of(r, disk), 5)
    # what another told of it meanwhile (its first row) may be shorter or longer than a second, never by half
    check(row and row["ios_per_s"] == 1 and 4096 / 1.5 < row["bytes_per_s"] < 4096 * 1.5, f"4 KiB in a second: {row}")
    for table in "disks", "causes":
        heading = run_sonda("top", "block.busy", table, "--once", "--interval", "100ms", json_output=False).lines[1].split()
        check_equal(len(set(heading)), len(heading), f"headings: {heading}")


class Load:
    """Readers of a disk, in a process of their own, until they are ended."""

    def __init__(self, disk, readers, pause_s=0.0, sector=None):
        def work(i):
            fd, page = os.open(disk, os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, 4096)
            while True:
                with contextlib.suppress(OSError):
                    os.preadv(fd, [page], 4096 * i if sector is None else 512 * sector)
                time.sleep(pause_s)

        self.pid = os.fork()
        if self.pid == 0:
            for i in range(1, readers):
                threading.Thread(target=work, args=(i,)).start()
            work(0)

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Bursts(Load):
    """All at once, and then nobody for a while."""

    def __init__(self, disk, readers, pause_s):
        self.pid = os.fork()
        while self.pid == 0:
            reads_at_once(disk, readers)
            time.sleep(pause_s)


class Scenario:
    """A disk, who reads it, and what is to be said of it. `loads`: the first is the one that causes it."""

    def __init__(self, verdict, loads, takes_ns=TAKES_NS, at_a_time=2, **more):
        self.verdict, self.make, self.disk_is = verdict, loads, ((takes_ns, at_a_time), more)

    def begin(self, ends):
        how, more = self.disk_is
        self.disk = ends.enter_context(null_disk(*how, **more))
        self.name = os.path.basename(self.disk)

    def work(self, ends):
        self.loads = self.make(self.disk)
        for load in self.loads:
            ends.callback(load.end)

    def rows(self, s):
        """But for the first, of a second that the load had only a part of."""
        return [r for r in s.rows if is_of(r, self.disk)][1:]

    def is_right(self, rows):
        said = [r["verdict"] for r in rows]
        return said and 2 * said.count(self.verdict) > len(said)


def bad_sector(disk):
    return [Load(disk, 1, 0.05, sector=0), Load(disk, 1)]


SCENARIOS = {
    "little to do": Scenario("light", lambda d: [Load(d, 1, 0.3)], takes_ns=TAKES_NS // 4),
    "two who rest long": Scenario("light", lambda d: [Load(d, 2, 0.8)], at_a_time=4),
    "one at a time": Scenario("working", lambda d: [Load(d, 1)]),
    "one who rests a little": Scenario("working", lambda d: [Load(d, 1, 0.02)], takes_ns=2 * TAKES_NS),
    "as many as it does at a time": Scenario("working", lambda d: [Load(d, 8)], at_a_time=8),
    "more than it does at a time": Scenario("saturated", lambda d: [Load(d, 12)]),
    "many on a disk that does one": Scenario("saturated", lambda d: [Load(d, 5)], at_a_time=1),
    "one who floods, one who doesn't": Scenario("saturated", lambda d: [Load(d, 10), Load(d, 1)]),
    "bursts": Scenario("waiting", lambda d: [Bursts(d, 10, 0.6)]),
    "a bad sector": Scenario("failing", bad_sector, badblocks="+0-7"),
    "none comes back": Scenario("stuck", lambda d: [Load(d, 1)], takes_ns=6 * 10**9),
}


def check_figures(rows):
    """Of the scenarios whose figures are known."""
    one = next((r for r in rows["one at a time"] if r["verdict"] == "working"), None)
    if one:
        check_equal(one["depth"], 1, "one at a time")
        # each takes TAKES_NS or more, and the row is of about a second
        check(0 < one["ios_per_s"] <= 10**9 // TAKES_NS + 1, f"as many as there is time for: {one['ios_per_s']}")
        check_equal(round(one["bytes_per_s"] / one["ios_per_s"] / 4096), 1, "of 4 KiB")
        check(one["device_ns"] >= TAKES_NS, f"each takes what it was told to: {one['device_ns']}")
    for row in [r for r in rows["more than it does at a time"] if r["verdict"] == "saturated"][:1]:
        check(row["wait_ns"] > row["device_ns"] >= TAKES_NS, "they wait longer than it takes")
        check_equal(row["depth"], 2, "as many as it has at a time")


def case_verdicts():
    """All of them at once, each on a disk of its own: at least nine of ten are judged right."""
    with contextlib.ExitStack() as disks:
        for scenario in SCENARIOS.values():
            scenario.begin(disks)
        with Sonda("trace", "block.busy") as s, contextlib.ExitStack() as loads:
            for scenario in SCENARIOS.values():
                scenario.work(loads)
            for scenario in SCENARIOS.values():
                seen = set()
                s.wait_row(lambda r: is_of(r, scenario.disk) and (seen.add(r["time"]) or len(seen) > 4), 15)
        told = {what: scenario.rows(s) for what, scenario in SCENARIOS.items()}
    wrong = {what: [r["verdict"] for r in told[what]] for what, sc in SCENARIOS.items() if not sc.is_right(told[what])}
    check(10 * (len(SCENARIOS) - len(wrong)) >= 9 * len(SCENARIOS), f"verdicts that are wrong: {wrong}")
    check_figures(told)
    for what in "one at a time", "one who floods, one who doesn't", "more than it does at a time":
        row = max(told[what], key=lambda r: r["top_percent"], default={})
        check_equal(row.get("top_pid"), SCENARIOS[what].loads[0].pid, f"{what}: whose requests these are")
        check(row.get("top_percent", 0) >= 75, f"{what}: nearly all: {row}")


def disk_stat(disk):
    """Its own counters: requests, bytes, ns that it had something to do."""
    n = [int(word) for word in open(f"/sys/block/{os.path.basename(disk)}/stat").read().split()]
    return n[0] + n[4], 512 * (n[2] + n[6]), n[9] * 1000000


def check_stacked(device, disks, other=()):
    """Writes to a device that sends them on: as its disks' own counters say, for who asked, and none of its own."""
    transfer(device, "read", 0, 4096)  # whoever opens it first makes the kernel read it, too
    with Sonda("top", "block.busy", "disks", "--interval", "300ms", "--totals") as counted, \
            Sonda("top", "block.busy", "causes", "--by", "device,pid", "--interval", "300ms", "--totals") as causes:
        before = [disk_stat(disk) for disk in disks]
        took = sum(transfer(device, "write", 8 * i, 4096) for i in range(STACKED))
        stats = [[now - then for now, then in zip(disk_stat(disk), b)] for disk, b in zip(disks, before)]
        for disk in disks:
            counted.wait_row(lambda r: is_of(r, disk) and r["ios"] >= STACKED, 10)
            causes.wait_row(lambda r: is_of(r, disk) and r["ios"] >= STACKED, 10)
    if counted.stats.get("missed", 0) + causes.stats.get("missed", 0):
        return
    check_equal([r for s in (counted, causes) for r in s.rows if any(is_of(r, d) for d in (device, *other))], [],
                f"{device} has no requests of its own")
    for disk, (ios, size, busy_ns) in zip(disks, stats):
        check_equal((ios, size), (STACKED, STACKED * 4096), f"{device}: counters of {disk}")
        row = [r for r in counted.rows if is_of(r, disk)][-1]
        check_equal((row["ios"], row["bytes"]), (ios, size), f"{device}: what {disk} did")
        # the kernel counts in ticks, of which each request may begin and end one
        check(STACKED * BRIEF_NS <= row["busy_ns"] <= took, f"{device}: {disk} busy {row['busy_ns']} of {took}")
        check(abs(row["busy_ns"] - busy_ns) <= STACKED * 20000000, f"{device}: {disk} busy {row['busy_ns']}, it says {busy_ns}")
        last = max(r["time"] for r in causes.rows)
        by = {r["pid"]: r["ios"] for r in causes.rows if is_of(r, disk) and r["time"] == last}
        check_equal(by, {who_writes(device): STACKED}, f"{device}: who kept {disk} busy")


def case_stacked():
    """A mirror of md: both disks work for it. A device of device mapper: one does."""
    with null_disk(BRIEF_NS, 4) as one, null_disk(BRIEF_NS, 4) as other:
        if has_raid1():
            with mirrored(16 << 20, one, other) as device:
                check_stacked(device, (one, other))
        if has_mapper():
            with mapped("linear", 8192, f"{one} 0") as device:
                check_stacked(device, (one,), (other,))


def case_errors():
    """A loop device whose file can't grow any more."""
    with loop_disk(16 << 20, 2 << 20) as disk, Sonda("trace", "block.busy") as s:
        failed = 0
        for at in range(0, 16 << 20, 1 << 20):
            try:
                transfer(disk, "write", at // 512, 1 << 20)
            except OSError:
                failed += 1
        row = s.wait_row(lambda r: is_of(r, disk) and r["errors"], 10)
    check(failed and row, "there were errors, and they are told")
    if row:
        check_equal(row["verdict"], "failing", "and the disk is said to fail")


mounts_of_our_own()
with loop_disk(16 << 20) as loop:
    case_counts(loop)
    case_rates(loop)
case_errors()
if has_null_disk():
    case_verdicts()
    case_stacked()
done()
