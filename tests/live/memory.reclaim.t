#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""memory.reclaim: a process in a cgroup with a limit reads more than that from a disk, so that what it
read before has to go. The truth: the cgroup's own count of pages that went, and how long the process
ran. And memory moved together at the administrator's order. In a guest the whole machine runs short: then
who allocates makes room himself, as kswapd does not come to its CPU before; the truth is /proc/vmstat."""

import glob
import signal
import tempfile

from memorytest import *

LIMIT, SIZE = 16 * MIB, 48 * MIB
SCRATCH = "/dev/vm-scratch0"
MIN_FREE = "/proc/sys/vm/min_free_kbytes"

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


def vmstat():
    """Pages that direct reclaim and kswapd freed, waits in direct reclaim, slab objects that were looked at."""
    n = {name: int(value) for name, value in map(str.split, open("/proc/vmstat"))}
    return {"direct": n["pgsteal_direct"], "kswapd": n["pgsteal_kswapd"], "slabs": n["slabs_scanned"],
            "stalls": sum(v for k, v in n.items() if k.startswith("allocstall"))}


def meminfo(name):
    return next(int(line.split()[1]) << 10 for line in open("/proc/meminfo") if line.startswith(name + ":"))


def hog(size):
    def work(child):
        with open("/proc/self/oom_score_adj", "w") as f:
            f.write("1000")  # if anybody has to go
        held = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x8000)  # MAP_POPULATE
        child.ready()
        held.close()
    return work


def stalled(child):
    child.ready()
    held = anonymous(16 * MIB)
    child.ready()
    held.close()


KSWAPDS = 0  # the CPU that kswapd is kept on


@contextlib.contextmanager
def taken(cpu):
    """Nobody else comes to that CPU, or hardly, and this process and its children are on the others."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus - {cpu})
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, {cpu})
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        while True:
            pass
    try:
        while os.sched_getscheduler(pid) != os.SCHED_FIFO:
            os.sched_yield()
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.sched_setaffinity(0, cpus)


@contextlib.contextmanager
def machine_short():
    """Little is free, some more could be, and the kernel wants to keep more than there is."""
    child = Child(hog(meminfo("MemFree") - SIZE - 24 * MIB))
    kept = open(MIN_FREE).read()
    disk = os.open(SCRATCH, os.O_RDONLY)  # closed by all, it is forgotten
    try:
        child.wait_ready()
        for at in range(0, SIZE, MIB):
            os.pread(disk, MIB, at)
        with taken(KSWAPDS):
            with open(MIN_FREE, "w") as f:
                f.write(str((meminfo("MemFree") + 2 * MIB) >> 10))
            yield
    finally:
        with open(MIN_FREE, "w") as f:
            f.write(kept)
        os.close(disk)
        child.end()


@contextlib.contextmanager
def kswapd_on(cpu):
    pids = [int(path.split("/")[2]) for path in glob.glob("/proc/[0-9]*/comm") if open(path).read().startswith("kswapd")]
    kept = [os.sched_getaffinity(pid) for pid in pids]
    for pid in pids:
        os.sched_setaffinity(pid, {cpu})
    try:
        yield
    finally:
        for pid, cpus in zip(pids, kept):
            os.sched_setaffinity(pid, cpus)


@contextlib.contextmanager
def stopped(process):
    """What it needs itself isn't told: so it needs nothing."""
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def case_machine():
    if not os.path.exists(SCRATCH) or len(os.sched_getaffinity(0)) < 2:
        return
    with Sonda("trace", "memory.reclaim") as s:
        with stopped(s.process), kswapd_on(KSWAPDS):
            before = vmstat()
            child = Child(stalled, "stalled")
            os.sched_setaffinity(child.pid, os.sched_getaffinity(0) - {KSWAPDS})
            child.wait_ready()
            with machine_short():
                child.go()
                child.wait_ready()
            child.end()
            waited = {name: n - before[name] for name, n in vmstat().items()}
        # kswapd is told of when it sleeps again
        end = time.monotonic() + 60
        while time.monotonic() < end:
            told, now = [], vmstat()
            s.wait_row(lambda r: told.append(r), 1)
            if PAGE * (now["kswapd"] - before["kswapd"]) <= sum(r["reclaimed_bytes"] for r in told if r["kind"] == "kswapd"):
                break
        truth = {name: n - before[name] for name, n in vmstat().items()}
    if not check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost") or s.stats.get("missed", 0):
        return
    freed = {kind: sum(r["reclaimed_bytes"] for r in s.rows if r["kind"] == kind) for kind in ("direct", "kswapd")}
    rows = [r for r in s.rows if r["kind"] == "direct"]
    check(truth["kswapd"], f"memory was short: {truth}")
    check_equal(freed["kswapd"], PAGE * truth["kswapd"], "freed by kswapd")
    check_equal({r["comm"][:6] for r in s.rows if r["kind"] == "kswapd"}, {"kswapd"}, "who that is")
    check(rows and waited["direct"], f"somebody had to wait: {waited}")
    # sonda's own waits, of which it had none while memory was short, are in the kernel's count only, slab in the rows only
    check(PAGE * waited["direct"] <= freed["direct"] <= PAGE * (truth["direct"] + truth["slabs"]),
          f"freed by who waited, {freed['direct']}: {waited}, at last {truth}")
    # the kernel counts once more for each new attempt in one wait, on 5.10 often
    check(len(rows) <= truth["stalls"], f"waits, {len(rows)}: {truth}")
    check("stalled" in {r["comm"] for r in rows}, f"the one that was made to: {({r['comm'] for r in rows})}")
    # others that come first wait too: the test, or whoever the machine has
    check(all(r["pid"] and r["comm"] for r in rows), f"who waited: {({(r['pid'], r['comm']) for r in rows})}")


case_cgroup()
case_compaction()
case_machine()
done()
