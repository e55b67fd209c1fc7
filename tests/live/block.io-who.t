#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""block.io, who it was and how it went: buffered writes of two processes to two files, written back by
the kernel, against the files' sizes; sizes, pattern and depth against what was asked for; bytes by
cgroup against io.stat; waiting for a tag against the callers' own clocks."""

import random
import shutil
import subprocess
import sys

from disks import *
from sondatest import *

MIB = 1 << 20


def last_reading(s):
    last = max((r["time"] for r in s.rows), default=None)
    return [r for r in s.rows if r["time"] == last]


def in_process(work):
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        work()
        os._exit(0)
    check_equal(os.waitpid(pid, 0)[1], 0, "the workload's status")
    return pid


def written(path, size):
    with open(path, "wb", buffering=0) as f:
        for _ in range(size // MIB):
            f.write(os.urandom(MIB))


def case_write_back():
    """What the kernel writes back later is charged to who wrote it, and to the file."""
    if not shutil.which("mkfs.ext4"):
        return
    with loop_disk(96 * MIB) as disk:
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", disk], check=True)
        with mounted(disk, "ext4") as where:
            sizes = {"one": 12 * MIB, "two": 5 * MIB}
            with Sonda("top", "block.io", "--by", "device,op,pid,inode", "--interval", "200ms", "--totals") as s:
                pids = {n: in_process(lambda: written(f"{where}/{n}", size)) for n, size in sizes.items()}
                inodes = {n: os.stat(f"{where}/{n}").st_ino for n in sizes}
                fd = os.open(where, os.O_RDONLY)
                check_equal(libc.syncfs(fd), 0, "syncfs")
                os.close(fd)
                for n, size in sizes.items():
                    s.wait_row(lambda r: r["inode"] == inodes[n] and r["pid"] == pids[n] and r["bytes"] >= size, 5)
            rows = [r for r in last_reading(s) if is_of(r, disk) and r["op"] == "write"]
            for n, size in sizes.items():
                got = {r["pid"]: r["bytes"] for r in rows if r["inode"] == inodes[n]}
                if not s.stats.get("missed", 0):
                    check_equal(got, {pids[n]: size}, f"the file's bytes, by who wrote it")


def case_shape():
    """Size, pattern and depth of one process's requests, one after the other."""
    with loop_disk(32 * MIB) as disk:
        in_order = [("write", 128 * i, 65536) for i in range(40)]
        places = list(range(0, 8000, 64))
        random.Random(7).shuffle(places)
        anywhere = [("read", at, 4096) for at in places[:60]]
        with Sonda("top", "block.io", "--by", "device,op,pattern", "--pid", os.getpid(), "--sort", "size_bytes",
                   "--interval", "200ms", "--totals") as s:
            for call in in_order + anywhere:
                transfer(disk, *call)
            s.wait_row(lambda r: is_of(r, disk) and r["op"] == "read" and r["ios"] >= 59, 5)
    if s.stats.get("missed", 0):
        return
    rows = {(r["op"], r["pattern"]): r for r in last_reading(s) if is_of(r, disk)}
    got = {key: r["ios"] for key, r in rows.items()}
    # the first has none before it; of those anywhere none follows its forerunner by chance
    check_equal(got, {("write", "random"): 1, ("write", "sequential"): 39, ("read", "random"): 60}, "pattern")
    check_equal(sum(r["random"] for r in rows.values()), 61, "the counter agrees")
    for key, size in (("write", "sequential"), 65536), (("read", "random"), 4096):
        r = rows[key]
        check_equal(r["size_bytes"]["buckets"], [[size, r["ios"]]], f"{key}: all of one size")
        check_equal(r["depth"]["buckets"], [[1, r["ios"]]], f"{key}: one at a time")
        check_equal(r["took_ns"]["sum"], sum(r[n]["sum"] for n in ("tag_ns", "queue_ns", "device_ns")),
                    f"{key}: the parts make the whole")


def case_cgroup():
    """Bytes by cgroup against io.stat, where there is a controller for it."""
    root = "/sys/fs/cgroup"
    if "io" not in open(f"{root}/cgroup.controllers").read().split() if os.path.exists(
            f"{root}/cgroup.controllers") else True:
        return
    control = f"{root}/cgroup.subtree_control"
    was_on = "io" in open(control).read().split()
    open(control, "w").write("+io")
    mine = f"{root}/sonda-io"
    os.mkdir(mine)
    try:
        with loop_disk(16 * MIB) as disk:
            def work():
                open(f"{mine}/cgroup.procs", "w").write(str(os.getpid()))
                for i in range(64):
                    transfer(disk, "write", 16 * i, 8192)

            with Sonda("top", "block.io", "--by", "device,charged_cgroup,op", "--interval", "200ms",
                       "--totals") as s:
                in_process(work)
                s.wait_row(lambda r: is_of(r, disk) and r["ios"] >= 64, 5)
            rdev = os.stat(disk).st_rdev
            told = [line.split() for line in open(f"{mine}/io.stat")]
            told = [l for l in told if l[0] == f"{os.major(rdev)}:{os.minor(rdev)}"]
            number = os.stat(mine).st_ino
    finally:
        os.rmdir(mine)
        if not was_on:
            open(control, "w").write("-io")
    rows = [r for r in last_reading(s) if is_of(r, disk) and r["charged_cgroup"] == number]
    if not told or s.stats.get("missed", 0):
        return
    want = {k: int(v) for k, v in (w.split("=") for w in told[0][1:])}
    check_equal(sum(r["bytes"] for r in rows), want["wbytes"],
                f"bytes written as io.stat has them, of {[(r['charged_cgroup'], r['bytes']) for r in last_reading(s)]}")
    check_equal(sum(r["ios"] for r in rows), want["wios"], "and requests")


def case_tag_wait():
    """Two at a time and ten who want one: who asks waits for a tag, and the row has it."""
    if not has_null_disk():
        return
    with null_disk(40000000, 2) as disk:
        with Sonda("trace", "block.io") as s:
            took = reads_at_once(disk, 10)
            s.wait_row(lambda r: is_of(r, disk) and r["sector"] == max(took, key=took.get), 10)
        rows = [r for r in s.rows if is_of(r, disk)]
    if s.stats.get("missed", 0):
        return
    check_equal(len(rows), 10, "rows")
    check(all(r["took_ns"] <= took[r["sector"]] for r in rows), "no longer than the calls")
    asked, told = sum(took.values()), sum(r["took_ns"] for r in rows)
    check(told >= 0.7 * asked, f"nearly all of what the callers waited is told: {told} of {asked}")
    check(sum(r["device_ns"] for r in rows) < 0.6 * asked, "which the disk alone does not explain")
    check(all(r["depth"] <= 2 for r in rows), "no more than two with the driver")


mounts_of_our_own()
case_write_back()
case_shape()
case_cgroup()
case_tag_wait()
done()
