#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""block.busy: what it counts against what the test did; and where there is a disk that takes as long as
it is told, the verdicts of loads that are known: one at a time, far more than it can, errors, none back."""

import threading

from disks import *
from sondatest import *

TAKES_NS = 40000000


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


def load(disk, threads, stop):
    def work(i):
        while not stop.is_set():
            transfer(disk, "read", 8 * i, 4096)

    started = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    for t in started:
        t.start()
    return started


def verdict_of(disk, threads, want):
    """The first row of a load, of which the second before may have had a part, and one with `want`."""
    stop = threading.Event()
    with Sonda("trace", "block.busy") as s:
        started = load(disk, threads, stop)
        row = s.wait_row(lambda r: is_of(r, disk) and r["verdict"] == want and r["busy_percent"] >= 60, 15)
        stop.set()
        for t in started:
            t.join()
    seen = [(r["verdict"], r["busy_percent"], r["depth"]) for r in s.rows if is_of(r, disk)]
    check(row, f"{threads} at a time: {want}; seen: {seen}")
    return row


def case_verdicts():
    with null_disk(TAKES_NS, 2) as disk:
        row = verdict_of(disk, 1, "working")
        if row:
            check_equal(row["depth"], 1, "one at a time")
            # each takes TAKES_NS or more, and the row is of about a second
            check(0 < row["ios_per_s"] <= 10**9 // TAKES_NS + 1, f"as many as there is time for: {row['ios_per_s']}")
            check_equal(round(row["bytes_per_s"] / row["ios_per_s"] / 4096), 1, "of 4 KiB")
            check(row["device_ns"] >= TAKES_NS, f"each takes what it was told to: {row['device_ns']}")
            check_equal(row["top_pid"], os.getpid(), "whose requests these are")
            check(row["top_percent"] >= 75, f"nearly all: {row['top_percent']}")
        row = verdict_of(disk, 12, "saturated")
        if row:
            check(row["wait_ns"] > row["device_ns"] >= TAKES_NS, "they wait longer than it takes")
            check_equal(row["depth"], 2, "as many as it has at a time")
    with null_disk(TAKES_NS, 2) as disk:
        # a burst: the disk has time enough, but most of it waits for the first ones
        with Sonda("trace", "block.busy") as s:
            reads_at_once(disk, 12)
            row = s.wait_row(lambda r: is_of(r, disk) and r["verdict"] == "waiting", 5)
        check(row and row["busy_percent"] < 90 and row["wait_ns"] > row["device_ns"],
              f"a burst: waiting; seen: {[r for r in s.rows if is_of(r, disk)]}")
    with null_disk(4000000000, 2) as disk:
        verdict_of(disk, 1, "stuck")


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
case_errors()
if has_null_disk():
    case_verdicts()
done()
