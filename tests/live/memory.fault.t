#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""memory.fault: a process touches pages of a file that are on a disk only, and new memory. The truth:
which pages it touched, and what getrusage(2) and /proc/PID/stat count."""

import ctypes
import platform
import tempfile

from memorytest import *

PAGES, NEW = 40, 3000
SCRATCH = "/dev/vm-scratch0"
SEES_STARTS = platform.machine() == "x86_64"

if os.geteuid() != 0:
    skip("needs root")


class File:
    """PAGES pages on a disk, far from each other and not in the page cache."""

    STEP = 64 * PAGE

    def __enter__(self):
        self.file = tempfile.NamedTemporaryFile(dir="/var/tmp")
        path = SCRATCH if os.path.exists(SCRATCH) else self.file.name
        if path == self.file.name:
            self.file.write(os.urandom(MIB) * (PAGES * self.STEP // MIB))
            self.file.flush()
        self.fd = os.open(path, os.O_RDONLY)
        os.fsync(self.fd)
        self.forget()
        return self

    def __exit__(self, *exc):
        self.forget()
        os.close(self.fd)
        self.file.close()

    def forget(self):
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def mapped(self):
        memory = mmap.mmap(self.fd, PAGES * self.STEP, prot=mmap.PROT_READ)
        memory.madvise(mmap.MADV_RANDOM)
        return memory


def counts(pid):
    """(major, minor) of /proc/PID/stat."""
    words = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return int(words[9]), int(words[7])


def address_of(memory):
    """Where a read-only mapping lies: the last of the process that begins so."""
    lines = [l for l in open("/proc/self/maps") if l.split()[1] == "r--s" or l.split()[1] == "r--p"]
    size = len(memory)
    for line in lines:
        begin, end = (int(n, 16) for n in line.split()[0].split("-"))
        if end - begin == size:
            return begin
    return 0


def toucher(file, told):
    def work(child):
        memory = file.mapped()
        os.write(told, address_of(memory).to_bytes(8, "little"))
        child.ready()
        for at in range(0, len(memory), file.STEP):
            memory[at]
        child.ready()
        kept = anonymous(NEW * PAGE)
        child.ready()
        return kept
    return work


def case_each_major():
    read_end, write_end = os.pipe()
    with File() as file:
        child = Child(toucher(file, write_end), "toucher")
        child.wait_ready()
        begin_address = int.from_bytes(os.read(read_end, 8), "little")
        with Sonda("trace", "memory.fault", "--pid", child.pid) as s, \
             Sonda("trace", "memory.fault", "--pid", child.pid, "--min", "1h") as slow:
            before, begin = counts(child.pid), time.monotonic_ns()
            child.go()
            child.wait_ready()
            took, major = time.monotonic_ns() - begin, counts(child.pid)[0] - before[0]
            s.wait_row(lambda r: r["address"] == hex(begin_address + (PAGES - 1) * file.STEP))
        child.end()
    missed = s.stats.get("missed", 0)
    check(major - missed <= len(s.rows) <= major, f"a row for each major fault that the kernel counts: {len(s.rows)} of {major}")
    check(major >= PAGES // 2, f"the workload had them: {major}")
    want = [hex(begin_address + n * file.STEP) for n in range(PAGES)]
    check_told([r["address"] for r in s.rows if r["address"] in want], want, s.stats, "each page that was touched, in order")
    check_equal({(r["pid"], r["comm"]) for r in s.rows}, {(child.pid, "toucher")}, "whose")
    if SEES_STARTS:
        known = [r["took_ns"] for r in s.rows if r["took_ns"] != -1]
        check(len(known) >= major - missed and min(known) > 0 and sum(known) < took,
              f"times fit into the process's {took}: {known}")
    check_equal({r["kind"] for r in s.rows}, {"major"}, "no minor one unless asked for")
    check_equal(slow.rows, [], "none took an hour")
    check(slow.stats["filtered"] >= major, f"and that is counted, as are those of others: {slow.stats}")


def case_counts():
    """The table has what getrusage says, of a process that lives when sonda comes and of its end."""
    read_end, write_end = os.pipe()

    def faults(child):
        while True:  # so that a look is seen
            anonymous(PAGE).close()
            time.sleep(0.01)

    with File() as file, contextlib.ExitStack() as ends:
        ticking = Child(faults, "ticking")
        ends.callback(ticking.end)
        child = Child(toucher(file, write_end), "toucher")
        child.wait_ready()
        before = counts(child.pid)
        with Sonda("top", "memory.fault", "--by", "pid,comm", "--interval", "100ms") as s:
            s.wait_row(lambda r: r["pid"] == ticking.pid)
            for _ in range(2):
                child.go()
                child.wait_ready()
            now = counts(child.pid)
            want = now[0] - before[0], now[1] - before[1]
            row = s.wait_row(lambda r: r["pid"] == child.pid and r["major"] + r["minor"] >= sum(want))
            check_equal(row and (row["major"], row["minor"]), want, "while it lives")
            child.go()
            _, used = child.wait()
            want = used.ru_majflt - before[0], used.ru_minflt - before[1]
            row = s.wait_row(lambda r: r["pid"] == child.pid and r["minor"] >= want[1] - 4)
    check(row and row["major"] == want[0] and abs(row["minor"] - want[1]) <= 4, f"to its end: {row}, want {want}")
    check(want[0] >= PAGES // 2 and want[1] >= NEW, f"the workload had them: {want}")
    if SEES_STARTS and row:
        check(PAGES <= row["took_ns"]["count"] <= want[0], f"times of major ones: {row['took_ns']['count']}")


def case_each_minor():
    """One by one and in the table, as many as the kernel counts, each page that was touched among them."""
    def work(child):
        memory = anonymous_untouched(NEW * PAGE)
        os.write(write_end, ctypes.addressof(ctypes.c_char.from_buffer(memory)).to_bytes(8, "little"))
        child.ready()
        for at in range(0, NEW * PAGE, PAGE):
            memory[at] = 1
        child.ready()

    read_end, write_end = os.pipe()
    child = Child(work, "toucher")
    child.wait_ready()
    address = int.from_bytes(os.read(read_end, 8), "little")
    with Sonda("trace", "memory.fault", "--minor", "--pid", child.pid) as s, \
         Sonda("top", "memory.fault", "--minor", "--by", "pid", "--pid", child.pid, "--interval", "1h") as table:
        before, begin = counts(child.pid), time.monotonic_ns()
        child.go()
        child.wait_ready()
        took, minor = time.monotonic_ns() - begin, counts(child.pid)[1] - before[1]
        s.wait_row(lambda r: r["address"] == hex(address + (NEW - 1) * PAGE))
    child.end()
    rows = [r for r in s.rows if r["kind"] == "minor"]
    missed = s.stats.get("missed", 0)
    check(minor - missed <= len(rows) <= minor and minor >= NEW, f"{len(rows)} rows, {minor} in fact, {missed} missed")
    want = {hex(address + n * PAGE) for n in range(NEW)}
    check(len(want - {r["address"] for r in rows}) <= missed, "each page that was touched")
    if SEES_STARTS:
        known = [r["took_ns"] for r in rows if r["took_ns"] != -1]
        check(len(known) >= minor - missed and min(known) > 0 and sum(known) < took, f"{sum(known)} of {took} ns")
        times = [r["minor_took_ns"]["count"] for r in table.rows]
        check(len(times) == 1 and minor - table.stats.get("missed", 0) <= times[0] <= minor, f"their times: {times}")


case_each_major()
case_each_minor()
case_counts()
done()
