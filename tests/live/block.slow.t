#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""block.slow: a threshold that everything reaches, one that nothing reaches; and where there is a disk
that takes as long as it is told, requests that wait for it, one that hangs, and what md and device mapper send on to it."""

from disks import *
from sondatest import *

TAKES_NS = 60000000
HANGS_NS = 2500000000


def case_threshold(disk):
    calls = [("read", 8 * i, 4096) for i in range(30)]
    with Sonda("trace", "block.slow", "--min", "1ns", "--pid", os.getpid()) as all_, \
            Sonda("trace", "block.slow", "--min", "10s", "--pid", os.getpid()) as none, \
            Sonda("trace", "block.slow", "--pid", os.getpid()) as default, \
            Sonda("top", "block.slow", "--min", "1ns", "--pid", os.getpid(), "--by", "device,op", "--interval", "200ms",
                  "--totals") as table:
        took = [transfer(disk, *c) for c in calls]
        table.wait_row(lambda r: is_of(r, disk) and r["requests"] == len(calls), 5)
        all_.wait_row(lambda r: r["sector"] == calls[-1][1])
    rows = [r for r in all_.rows if is_of(r, disk) and not r["hanging"]]
    missed = all_.stats.get("missed", 0)
    check(len(calls) - missed <= len(rows) <= len(calls), f"a row for each: {len(rows)}")
    for r in rows:
        call_ns = took[r["sector"] // 8]
        check(r["tag_ns"] + r["queue_ns"] + r["device_ns"] == r["took_ns"] < call_ns, "times fit into the call's")
        longest = max(r["device_ns"], r["queue_ns"], r["tag_ns"])
        check_equal(r[f"{r['where']}_ns"], longest, "where it was longest")
        check_equal((r["requeues"], r["err"]), (0, None), "at the first try")
    if not table.stats.get("missed", 0):
        last = [r for r in table.rows if is_of(r, disk)][-1]
        check_equal((last["requests"], last["lost_ns"]), (len(calls), last["took_ns"]["sum"]), "the table has all of them")
        check(len(calls) <= last["lost_ns"] < sum(took), "and their time")
    check_equal(none.rows, [], "nothing takes 10 s")
    check(none.stats["filtered"] >= 30 - none.stats.get("missed", 0), "and that is counted")
    want = [t for t in took if t >= 50000000]  # a call takes longer than its request
    check(len([r for r in default.rows if is_of(r, disk)]) <= len(want), "50 ms unless told otherwise")


def case_waiting():
    """Two at a time, 60 ms each, and twelve who want one: most of their time is waiting for a tag."""
    with null_disk(TAKES_NS, 2) as disk:
        with Sonda("trace", "block.slow", "--min", "10ms") as s:
            took = reads_at_once(disk, 12)
            s.wait_row(lambda r: is_of(r, disk) and r["sector"] == max(took, key=took.get), 10)
        rows = {r["sector"]: r for r in s.rows if is_of(r, disk) and not r["hanging"]}
    missed = s.stats.get("missed", 0)
    check(12 - missed <= len(rows) <= 12, f"all are told: {len(rows)}")
    if missed:
        return
    check(all(r["took_ns"] <= took[sector] for sector, r in rows.items()), "not longer than its call")
    told, asked = sum(r["took_ns"] for r in rows.values()), sum(took.values())
    check(told >= 0.7 * asked, f"nor much shorter: {told} of {asked}")
    check(sum(r["tag_ns"] for r in rows.values()) > sum(r["device_ns"] for r in rows.values()),
          "they waited for a tag longer than for the disk")
    check("tag" in {r["where"] for r in rows.values()}, "and it says so")


def case_hanging():
    """A request that takes seconds is told each second, and once when it comes back."""
    with null_disk(HANGS_NS, 4) as disk:
        with Sonda("trace", "block.slow", "--min", "100ms") as s:
            took = transfer(disk, "read", 64, 4096)
            s.wait_row(lambda r: is_of(r, disk) and not r["hanging"], 10)
        rows = [r for r in s.rows if is_of(r, disk) and r["sector"] == 64]
    hanging = [r for r in rows if r["hanging"]]
    check(2 <= len(hanging) <= 4, f"told while it hung: {len(hanging)}")
    check(all(r["took_ns"] < took and r["where"] == "device" and r["pid"] == os.getpid() for r in hanging),
          "whose it was, and what it waited for")
    check_equal(sorted(r["took_ns"] for r in rows), [r["took_ns"] for r in rows], "longer each time")
    check([r["hanging"] for r in rows][-1:] == [False] or s.stats.get("missed", 0), "at last it came")


def check_stacked(device, disks, all_disks):
    transfer(device, "read", 0, 4096)  # whoever opens it first makes the kernel read it, too
    pid = who_writes(device)
    comm = open(f"/proc/{pid}/comm").read().rstrip("\n")
    with Sonda("trace", "block.slow", "--min", "20ms") as s:
        took = transfer(device, "write", 64, 4096)
        for disk in disks:
            s.wait_row(lambda r: is_of(r, disk) and r["sector"] == 64, 10)
    rows = [r for r in s.rows if r["sector"] == 64 and (is_of(r, device) or any(is_of(r, disk) for disk in all_disks))]
    if s.stats.get("missed", 0):
        return
    check_equal([sum(is_of(r, disk) for r in rows) for disk in disks], [1] * len(disks), f"{device}: each disk's once")
    check_equal(len(rows), len(disks), f"{device}: nothing else")
    for r in rows:
        check_equal((r["op"], r["pid"], r["comm"]), ("write", pid, comm), f"{device}: for whom")
        check(TAKES_NS <= r["took_ns"] <= took, f"{device}: {r['took_ns']} of the call's {took}")


def case_stacked():
    """What a mirror of md and a device of device mapper send on is told of the disks that took long, once each and for who
    asked; those devices themselves have no requests."""
    with null_disk(TAKES_NS, 4) as one, null_disk(TAKES_NS, 4) as other:
        if has_raid1():
            with mirrored(16 << 20, one, other) as device:
                check_stacked(device, (one, other), (one, other))
        if has_mapper():
            with mapped("linear", 8192, f"{one} 0") as device:
                check_stacked(device, (one,), (one, other))


mounts_of_our_own()
with loop_disk(16 << 20) as loop:
    case_threshold(loop)
if has_null_disk():
    case_waiting()
    case_hanging()
    case_stacked()
done()
