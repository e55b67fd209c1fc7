#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""memory.reclaim: a process in a cgroup with a limit reads more than that from a disk, so that what it
read before has to go. The truth: the cgroup's own count of pages that went, and how long the process
ran. And memory moved together at the administrator's order."""

import tempfile

from memorytest import *

LIMIT, SIZE = 16 * MIB, 48 * MIB
SCRATCH = "/dev/vm-scratch0"

if os.geteuid() != 0:
    skip("needs root, for a cgroup")


@contextlib.contextmanager
def something_to_read():
    """A file on a disk, of SIZE bytes and not in the page cache."""
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
        path = SCRATCH if os.path.exists(SCRATCH) else file.name
        if path == file.name:
            file.write(os.urandom(MIB) * (SIZE // MIB))
            file.flush()
        with open(path, "rb") as f:
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            yield path
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def gone_at_most(cgroup, pid):
    """What was freed, of version 2. Of version 1 the kernel does not tell: then all that was ever read."""
    if cgroup.v2:
        return int(dict(line.split() for line in cgroup.read("memory.stat").splitlines())["pgsteal"]) * PAGE
    return int(dict(line.split(": ") for line in open(f"/proc/{pid}/io").read().splitlines())["read_bytes"])


def reader(path, cgroup):
    def work(child):
        cgroup.join()
        child.ready()
        fd = os.open(path, os.O_RDONLY)
        for at in range(0, SIZE, MIB):
            os.pread(fd, MIB, at)
        child.ready()
    return work


def case_cgroup():
    with MemoryCgroup() as cgroup, something_to_read() as path:
        cgroup.limit(LIMIT)
        child = Child(reader(path, cgroup), "reader")
        child.wait_ready()
        with Sonda("trace", "memory.reclaim", "--pid", child.pid) as s, \
             Sonda("top", "memory.reclaim", "--by", "comm,kind", "--pid", child.pid, "--interval", "50ms") as top:
            before, begin = gone_at_most(cgroup, child.pid), time.monotonic_ns()
            child.go()
            child.wait_ready()
            took, gone = time.monotonic_ns() - begin, gone_at_most(cgroup, child.pid) - before
            top.wait_row(lambda r: r["reclaimed_bytes"] >= SIZE - LIMIT)
        child.end()
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")
    missed = s.stats.get("missed", 0)
    rows = s.rows
    freed = sum(r["reclaimed_bytes"] for r in rows)
    check_equal({(r["pid"], r["comm"], r["kind"]) for r in rows}, {(child.pid, "reader", "cgroup")}, "who waits, why")
    check(missed or SIZE - LIMIT <= freed, f"freed {freed}: what there was no room for")
    check(freed <= gone if not cgroup.v2 else missed or freed == gone, f"freed {freed}: the kernel says {gone}")
    check(all(0 < r["took_ns"] for r in rows) and sum(r["took_ns"] for r in rows) < took, "waits fit into the time")
    check(all(r["order"] >= 0 for r in rows), "what was asked for")
    last = [r for r in top.rows if r["kind"] == "cgroup"][-1]
    check(missed or last["stalls"] == len(rows) and last["reclaimed_bytes"] == freed, f"the table has the same: {last}")
    check(last["took_ns"]["count"] == last["stalls"], "and its histogram")


def case_compaction():
    order = "/proc/sys/vm/compact_memory"
    if not os.path.exists(order):
        return
    with Sonda("trace", "memory.reclaim", "--pid", os.getpid()) as s:
        begin = time.monotonic_ns()
        with open(order, "w") as f:
            f.write("1")
        took = time.monotonic_ns() - begin
        s.wait_row(lambda r: r["kind"] == "compaction")
    rows = [r for r in s.rows if r["kind"] == "compaction"]
    check(rows and sum(r["took_ns"] for r in rows) <= took, f"compaction by order fits into the call's {took}: {rows}")
    check_equal({(r["pid"], r["order"], r["reclaimed_bytes"]) for r in rows}, {(os.getpid(), -1, 0)}, "whose, what for")


case_cgroup()
case_compaction()
done()
