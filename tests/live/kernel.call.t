#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""kernel.call against what a process knows that it did: vfs_read() and vfs_write() of known sizes, by a
trampoline and by kprobes; where the kernel has neither it says so."""

import os
import re

from sondatest import *

KERNEL = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])
SIZES = [1, 10, 100, 1000, 4096]


def workload():
    with open("/dev/zero", "rb", buffering=0) as source, open("/dev/null", "wb", buffering=0) as sink:
        for size in SIZES:
            sink.write(source.read(size))


def has_fprobes():
    with open("/proc/kallsyms") as symbols:
        return any(line.split()[2] == "register_fprobe" for line in symbols)


r = run_sonda("trace", "kernel.call", "--function", "vfs_read", "--", "true")
if r.code == 4:
    check("kprobe" in r.stderr and "fentry" in r.stderr, f"each alternative says why: {r.stderr!r}")
    done()

# Any function will do to see whether they load, also behind a program that was. Trampolines need a helper of 5.17.
listed = run_sonda("check", "kernel.call", json_output=False).stdout
check_equal(re.findall(r"^ *loads +(\w+_(?:trampoline|kprobe)) ", listed, re.M),
            ["entry_trampoline", "leave_trampoline"] * (KERNEL >= (5, 17)) + ["entry_kprobe", "leave_kprobe"],
            "each alternative loads")

# Not vfs_read(): by kretprobe 5.10 follows as many calls at a time as there are CPUs, and readers that wait
# for a pipe, as this test's own, keep it busy.
me = "--pid", os.getpid()
with Sonda("trace", "kernel.call", "--function", "vfs_write", *me) as s:
    workload()
got = [(row["args"][2], row["result"]) for row in s.rows if row["function"] == "vfs_write"]
check_told([pair for pair in got if pair in [(n, n) for n in SIZES]], [(n, n) for n in SIZES], s.stats, "writes")
if KERNEL >= (5, 15):  # before, the stack ends at what stands in for the return address
    check(all(any("write" in f for f in row["kstack"]) for row in s.rows), f"who called it: {s.rows[:1]}")
check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + s.stats["lost"], "the equation")

r = run_sonda("trace", "kernel.call", "--function", "vfs_read,vfs_write", "--", "true")
if r.code == 4:
    check("can't tell several functions apart" in r.stderr, f"5.10 says why: {r.stderr!r}")
else:
    with Sonda("trace", "kernel.call", "--function", "vfs_read,vfs_write", *me) as s:
        links = link_types(s.process.pid)
        workload()
    if has_fprobes():
        check_equal(links.count("kprobe_multi") + links.count("kretprobe_multi"), 2, f"one link each way: {links}")
    # With the size that was asked for: this test's own reader of sonda's pipes may get as many bytes, asking for more.
    got = [(row["function"], row["args"][2], row["result"]) for row in s.rows]
    want = [(f, n, n) for n in SIZES for f in ("vfs_read", "vfs_write")]
    check_told([g for g in got if g in want], want, s.stats, "two functions by kprobes")

r = run_sonda("top", "kernel.call", "--function", "vfs_write", "--by", "function,comm", "--once", "--", "dd", "if=/dev/zero",
              "of=/dev/null", "bs=1", "count=500", "status=none")
calls = sum(row["calls"] for row in r.rows if row.get("comm") == "dd")
check(500 <= calls + r.stats.get("missed", 0) and calls <= 510, f"counted in the kernel: {calls}")

r = run_sonda("trace", "kernel.call", "--function", "no_such_function", "--", "true")
check_equal((r.code, "no_such_function" in r.stderr), (2, True), f"a name that isn't there: {r.stderr!r}")
done()
