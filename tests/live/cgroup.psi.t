#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""cgroup.psi: pressure of each cgroup.

Truth: the cgroup's cpu.pressure, memory.pressure and io.pressure, and /proc/pressure/cpu.
"""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from memorytest import *
from sondatest import *
from workers import *

SCRATCH = "/dev/vm-scratch0"
READ, HIGH = 32 * MIB, 8 * MIB


def totals(path):
    """{"some": ns, "full": ns} of a file of pressure. Reading it brings the kernel's totals up to date."""
    return {m[1]: 1000 * int(m[2]) for m in re.finditer(r"(some|full) .*total=(\d+)", open(path).read())}


try:
    totals("/proc/pressure/cpu")
except OSError as e:
    r = run_sonda("trace", "cgroup.psi", "--for", "1ms")
    check(r.code == 4 and "boot with psi=1" in r.stderr, f"sonda says what is wanting: {r.stderr}")
    if r.code == 4:
        skip(f"pressure is not on in this kernel, as sonda says: {e}")
    done()

with Group() as group, Workers(4) as ws:
    file = f"{group.path}/cpu.pressure"
    cgroup = os.stat(group.path).st_ino
    root = os.stat(group.root).st_ino
    for w in ws:
        group.add(w.pid)
    outer = totals(file)
    with Sonda("trace", "cgroup.psi", "--percent", "20") as s, \
            Sonda("top", "cgroup.psi", "--interval", "1h") as table:
        before, machine = totals(file), totals("/proc/pressure/cpu")
        rose = lambda r: r["cgroup"] == cgroup and r["resource"] == "cpu" and r["change"] == "rose"
        # until it is told: the kernel takes its time, two seconds, and sonda one
        begin(ws, "burn", 60, cpu=0)
        seen = s.wait_row(rose, timeout=30)
        for w in ws:
            os.kill(w.pid, 19)
        truth = {k: n - before[k] for k, n in totals(file).items()}
        whole = totals("/proc/pressure/cpu")["some"] - machine["some"]
        fell = s.wait_row(lambda r: rose(dict(r, change="rose")) and r["change"] == "fell", timeout=20)
    # on a busy machine they wait on, until each has its signal
    most = {k: n - outer[k] for k, n in totals(file).items()}
check(seen and seen["some_percent"] >= 20, f"it rises: {seen}")
check(fell and fell["some_percent"] < 20, f"it falls: {fell}")
check(all((r["some_percent"] >= 20) == (r["change"] == "rose") for r in s.rows), "above and below")
rows = {(r["cgroup"], r["resource"]): r for r in table.rows}
row = rows[cgroup, "cpu"]
check(truth["some"] > 100e6, f"four on one CPU wait: {truth}")
for what in truth:
    check(0.95 * truth[what] - 50e6 <= row[f"{what}_ns"] <= 1.05 * most[what] + 50e6,
          f"{what}: {row[f'{what}_ns']} ns, cpu.pressure says {truth[what]} to {most[what]}")
if (root, "cpu") in rows:
    check(rows[root, "cpu"]["some_ns"] >= 0.9 * whole, f"the machine: {rows[root, 'cpu']['some_ns']}, {whole}")


def thrash(cgroup):
    """Reads again and again what there is no room to keep."""
    def work(child):
        cgroup.join()
        child.ready()
        fd = os.open(SCRATCH, os.O_RDONLY)
        while True:
            for at in range(0, READ, MIB):
                os.pread(fd, MIB, at)
    return work


def read_directly(cgroup):
    """Reads past the page cache: nearly all of its time it waits for the disk, whatever memory it may have."""
    def work(child):
        cgroup.join()
        child.ready()
        fd, buffer = os.open(SCRATCH, os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, MIB)
        while True:
            for at in range(0, READ, MIB):
                os.preadv(fd, [buffer], at)
    return work


def case_memory_and_io():
    """A process over its memory.high that reads from a disk waits for memory; another waits for the disk."""
    here = mount_of("cgroup2")
    if not os.path.exists(SCRATCH) or not here or "memory" not in open(f"{here}/cgroup.controllers").read().split():
        return
    waits = ("memory", "io")
    with MemoryCgroup() as cgroup:
        cgroup.write("memory.high", HIGH)
        files = {what: f"{cgroup.directory}/{what}.pressure" for what in waits}
        nr = os.stat(cgroup.directory).st_ino
        children = [Child(thrash(cgroup), "thrash"), Child(read_directly(cgroup), "direct")]
        for child in children:
            child.wait_ready()
        outer = {what: totals(file) for what, file in files.items()}
        with Sonda("trace", "cgroup.psi", "--percent", "5") as s, Sonda("top", "cgroup.psi", "--interval", "1h") as table:
            before = {what: totals(file) for what, file in files.items()}
            for child in children:
                child.go()
            rose = {what: s.wait_row(lambda r: (r["cgroup"], r["resource"], r["change"]) == (nr, what, "rose"), 60)
                    for what in waits}
            for child in children:
                os.kill(child.pid, signal.SIGSTOP)
            truth = {what: {k: n - before[what][k] for k, n in totals(file).items()} for what, file in files.items()}
            fell = {what: s.wait_row(lambda r: (r["cgroup"], r["resource"], r["change"]) == (nr, what, "fell"), 30)
                    for what in waits}
        most = {what: {k: n - outer[what][k] for k, n in totals(file).items()} for what, file in files.items()}
        for child in children:
            child.end()
    rows = {r["resource"]: r for r in table.rows if r["cgroup"] == nr}
    for what in waits:
        check(rose[what] and rose[what]["some_percent"] >= 5, f"{what}: it rises: {rose[what]}")
        check(fell[what] and fell[what]["some_percent"] < 5, f"{what}: it falls: {fell[what]}")
        check(truth[what]["some"] > 50e6, f"{what}: it waits: {truth[what]}")
        for k, n in truth[what].items():
            check(what in rows and 0.95 * n - 50e6 <= rows[what][f"{k}_ns"] <= 1.05 * most[what][k] + 50e6,
                  f"{what}, {k}: {rows.get(what)}, the kernel says {n} to {most[what][k]}")


case_memory_and_io()
done()
