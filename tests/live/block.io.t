#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""block.io on disks of the test's own: loop devices over tmpfs, and the guest's scratch disk where
there is one. The truth: which sectors the test read and wrote, how long its calls took, what error
they got, and the kernel's own counters in /sys/block/*/stat."""

import contextlib
import errno
import glob
import mmap
import os
import re
import sys
import threading

from disks import is_of, loop_disk, mounts_of_our_own
from sondatest import *

SCRATCH = "/dev/vm-scratch0"
MIB = 1 << 20


# ---- disks ----


def sys_block(path, name):
    return open(f"/sys/block/{os.path.basename(os.path.realpath(path))}/{name}").read()


class Counters:
    """What the kernel has counted of a disk. Where it leads over NVMe multipath, of its paths: the
    disk itself was not counted before 6.2."""

    NAMES = {"reads": 0, "read_sectors": 2, "writes": 4, "written_sectors": 6, "flushes": 15}

    def __init__(self, path):
        disk = os.path.basename(os.path.realpath(path))
        paths = glob.glob("/sys/block/" + re.sub(r"^(nvme\d+)(n\d+)$", r"\1c*\2", disk) + "/stat")
        each = [open(p).read().split() for p in paths or [f"/sys/block/{disk}/stat"]]
        self.of = {name: sum(int(numbers[at]) for numbers in each) for name, at in self.NAMES.items()}

    def since(self, before):
        return {name: self.of[name] - before.of[name] for name in self.of}


def counted_since(path, before, requests):
    """What it has counted since then, once that are so many: it counts a little after it wakes who waits."""
    end = time.monotonic() + PATIENCE_S
    while True:
        counted = Counters(path).since(before)
        if counted["reads"] + counted["writes"] >= requests or time.monotonic() > end:
            return counted


# ---- work ----


def buffer(size):
    return mmap.mmap(-1, size)  # aligned, as O_DIRECT wants it


def direct(path, flags=os.O_RDWR):
    return os.open(path, flags | os.O_DIRECT)


def transfers(path, calls, flags=os.O_RDWR):
    """Does `calls`, (operation, sector, bytes) each, one after the other, past the page cache.
    Returns what each call took, in ns."""
    fd, took = direct(path, flags), []
    for op, sector, size in calls:
        call = os.preadv if op == "read" else os.pwritev
        begin = time.monotonic_ns()
        done_bytes = call(fd, [buffer(size)], sector * 512)
        took.append(time.monotonic_ns() - begin)
        check_equal(done_bytes, size, f"{op} at {sector} is whole")
    os.close(fd)
    return took


def in_process(work):
    """Runs `work` in a process of its own; returns its pid."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            work()
            status = 0
        os._exit(status)
    check_equal(os.waitpid(pid, 0)[1], 0, "the workload's status")
    return pid


def told(row):
    return row["op"], row["sector"], row["size_bytes"]


# ---- cases ----


def case_every_request(path):
    """Each transfer gives exactly one row, and its times fit into the call's."""
    calls = [("read" if i % 3 else "write", 8 * (7 * i % 500), 4096 << i % 4) for i in range(120)]
    with Sonda("trace", "block.io", "--pid", os.getpid()) as s:
        before = Counters(path)
        took = transfers(path, calls)
        s.wait_row(lambda r: is_of(r, path) and told(r) == calls[-1])
        counted = counted_since(path, before, len(calls))
    rows = [r for r in s.rows if is_of(r, path)]
    check_told([told(r) for r in rows], calls, s.stats, f"{path}: a row for each transfer, in order")
    missed = s.stats.get("missed", 0)
    check(counted["reads"] + counted["writes"] - missed <= len(rows)
          <= counted["reads"] + counted["writes"], "as many as the kernel counts")
    if not missed:
        check_equal(sum(r["size_bytes"] for r in rows),
                    512 * (counted["read_sectors"] + counted["written_sectors"]), "bytes as well")
    for row, call_ns in zip(rows, took if not missed else []):
        check(0 < row["device_ns"] and row["tag_ns"] + row["queue_ns"] + row["device_ns"] == row["took_ns"] < call_ns,
              f"queue {row['queue_ns']} and device {row['device_ns']} fit into the call's {call_ns}")
        check_equal((row["pid"], row["err"], row["requeues"]), (os.getpid(), None, 0),
                    "whose it is, and that it went well at the first try")
    check_equal(s.stats["lost"], missed, "nothing lost otherwise")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + missed,
                "every request accounted")


def case_right_process(path):
    """Two processes at once: each sector's row names the process that wrote it; --pid tells one's."""
    gate_read, gate_write = os.pipe()

    def writer(first):
        def work():
            os.close(gate_write)
            os.read(gate_read, 1)  # until both are there
            transfers(path, [("write", first + 8 * i, 4096) for i in range(100)])
        return work

    with Sonda("trace", "block.io") as s:
        pids = {}
        for first in (0, 4096):
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                writer(first)()
                os._exit(0)
            pids[first] = pid
        with Sonda("trace", "block.io", "--pid", pids[0]) as only:
            os.close(gate_write)
            for pid in pids.values():
                os.waitpid(pid, 0)
            transfers(path, [("read", 8000, 4096)])
            s.wait_row(lambda r: is_of(r, path) and r["sector"] == 8000)
    os.close(gate_read)
    rows = [r for r in s.rows if is_of(r, path) and r["op"] == "write"]
    check(200 - s.stats.get("missed", 0) <= len(rows) <= 200, f"a row for each write: {len(rows)}")
    wrong = [r for r in rows if r["pid"] != pids[4096 if r["sector"] >= 4096 else 0]]
    check_equal(wrong, [], "rows with the wrong process")
    mine = [r for r in only.rows if is_of(r, path)]
    check_told([r["sector"] for r in mine], [8 * i for i in range(100)], only.stats,
               "--pid tells one's own only")
    check(only.stats["filtered"] + only.stats.get("missed", 0) >= 101,
          "the other's are counted as filtered")


def case_flush(path):
    """fsync of a disk with a write cache sends a flush, for the process that asked."""
    if not sys_block(path, "queue/write_cache").startswith("write back"):
        return
    asked = []

    def work():
        fd = direct(path)
        os.pwritev(fd, [buffer(4096)], 0)
        os.fsync(fd)

    with Sonda("trace", "block.io") as s:
        before = Counters(path)
        asked.append(in_process(work))
        flushes = Counters(path).since(before)["flushes"]
        transfers(path, [("read", 64, 4096)])
        s.wait_row(lambda r: is_of(r, path) and r["op"] == "read")
    rows = [r for r in s.rows if is_of(r, path) and r["op"] == "flush"]
    check_equal(len(rows), flushes, f"{path}: flushes as the kernel counts")
    check(flushes >= 1, "there was a flush")
    check_equal({r["pid"] for r in rows}, set(asked), "who asked for it")
    check_equal({(r["sector"], r["size_bytes"], r["queue_ns"]) for r in rows}, {(0, 0, 0)},
                "a flush has neither place nor size, and doesn't wait")


def case_flags(path):
    """Read-ahead and synchronous writes say so."""
    with Sonda("trace", "block.io", "--pid", os.getpid()) as s:
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(fd, 0, MIB, os.POSIX_FADV_WILLNEED)
        os.pread(fd, MIB, 0)
        os.close(fd)
        transfers(path, [("write", 4096, 4096)])
        s.wait_row(lambda r: is_of(r, path) and r["op"] == "write")
    rows = [r for r in s.rows if is_of(r, path)]
    ahead = [r for r in rows if "rahead" in r["flags"].lower()]
    covered = {r["sector"] + i for r in ahead for i in range(r["size_bytes"] // 512)}
    check(covered >= set(range(MIB // 512)), "all that was asked for is told as read ahead")
    check_equal({r["op"] for r in ahead}, {"read"}, "only reads are read ahead")
    check(all("sync" in r["flags"].lower() for r in rows if r["op"] == "write"),
          "a write past the cache is synchronous")


def case_error():
    """A write that the disk can't do: one row, with the error that the writer got. --errors tells
    nothing else, and counts the rest."""
    with loop_disk(16 * MIB, 2 * MIB) as path, Sonda("trace", "block.io", "--errors") as s:
        transfers(path, [("write", 0, 4096)])
        fd, got = direct(path), None
        try:
            for at in range(0, 16 * MIB, MIB // 2):
                os.pwritev(fd, [buffer(4096)], at)
                os.pwritev(fd, [buffer(MIB // 2)], at)
        except OSError as e:
            got, failed_at = e.errno, at // 512
        os.close(fd)
        s.wait_row(lambda r: is_of(r, path))
    rows = [r for r in s.rows if is_of(r, path)]
    check(got, "the disk was full")
    check(rows and all(r["err"] == errno.errorcode[got] for r in rows),
          f"the writer's error {errno.errorcode[got]}: {[r['err'] for r in rows]}")
    check(all(failed_at <= r["sector"] < failed_at + MIB // 1024 for r in rows), "at its place")
    check(s.stats["filtered"] > 0, "those that went well are counted as filtered")


def case_minimum(path):
    """--min is about the whole time: a second on a disk in memory is never reached."""
    with Sonda("trace", "block.io", "--min", "10s", "--pid", os.getpid()) as s:
        before = Counters(path)
        transfers(path, [("read", 8 * i, 4096) for i in range(50)])
        reads = Counters(path).since(before)["reads"]
    check_equal([r for r in s.rows if is_of(r, path)], [], "rows")
    check(s.stats["filtered"] >= reads == 50, "all are counted as filtered")


def case_not_ours_before(path):
    """Requests made before sonda watched are neither told nor counted: whatever is told has a
    process and fits into the time of watching."""
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            transfers(path, [("read", 8 * i, 65536) for i in range(64)])

    threads = [threading.Thread(target=busy) for _ in range(8)]
    for t in threads:
        t.start()
    begin = time.monotonic_ns()
    with Sonda("trace", "block.io") as s:
        s.wait_row(lambda r: is_of(r, path))
    took = time.monotonic_ns() - begin
    stop.set()
    for t in threads:
        t.join()
    rows = [r for r in s.rows if is_of(r, path)]
    check(rows and all(r["pid"] == os.getpid() for r in rows), "every row has its process")
    check(all(r["took_ns"] < took for r in rows), "none took longer than sonda ran")


mounts_of_our_own()
with loop_disk(32 * MIB) as loop:
    for disk in [loop] + [SCRATCH] * os.path.exists(SCRATCH):
        case_every_request(disk)
        case_right_process(disk)
        case_flush(disk)
        case_flags(disk)
    case_minimum(loop)
    case_not_ours_before(loop)
case_error()
done()
