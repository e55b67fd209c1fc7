#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""block.io, who it was and how it went: buffered writes of two processes to two files, written back by
the kernel, against the files' sizes; sizes, pattern and depth against what was asked for; bytes by
cgroup against io.stat; waiting for a tag against the callers' sleep and clocks."""

import contextlib
import datetime
import random
import shutil
import subprocess

from disks import *
from sondatest import *
from workers import Group, mount_of

MIB = 1 << 20
TAKES_NS = 40000000
LARGEST = 1280 << 10  # what one request of these disks carries at most


def last_reading(s):
    last = max((r["time"] for r in s.rows), default=None)
    return [r for r in s.rows if r["time"] == last]


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
                pids = {n: in_process(written, f"{where}/{n}", size)[0] for n, size in sizes.items()}
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
                    others = [[r[k] for k in ("inode", "pid", "ios", "bytes")] for r in rows if r["inode"] != inodes[n]]
                    check(set(got) == {pids[n]} and size - unseen(size // LARGEST) * LARGEST <= got[pids[n]] <= size,
                          f"the file's {size} bytes, by {pids[n]} who wrote it: {got} ({s.stats}; {others})")


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
    want = {("write", "random"): 1, ("write", "sequential"): 39, ("read", "random"): 60}
    check(all(n - unseen(n) <= got.get(key, 0) <= n for key, n in want.items()) and not set(got) - set(want), f"pattern: {got}, {s.stats}")
    if got != want:
        return
    check_equal(sum(r["random"] for r in rows.values()), 61, "the counter agrees")
    for key, size in (("write", "sequential"), 65536), (("read", "random"), 4096):
        r = rows[key]
        check_equal(r["size_bytes"]["buckets"], [[size, r["ios"]]], f"{key}: all of one size")
        check_equal(r["depth"]["buckets"], [[1, r["ios"]]], f"{key}: one at a time")
        check_equal(r["took_ns"]["sum"], sum(r[n]["sum"] for n in ("tag_ns", "queue_ns", "device_ns")),
                    f"{key}: the parts make the whole")


@contextlib.contextmanager
def io_controllers():
    """Children of the root cgroup have accounts of I/O, and of memory, without which the kernel charges
    nobody for write-back; False where there is no controller for it."""
    root = mount_of("cgroup2")
    there = root and {"io", "memory"} <= set(open(f"{root}/cgroup.controllers").read().split())
    if not there:
        yield False
        return
    control = f"{root}/cgroup.subtree_control"
    new = [c for c in ("io", "memory") if c not in open(control).read().split()]
    for c in new:
        open(control, "w").write(f"+{c}")
    try:
        yield True
    finally:
        for c in new:
            open(control, "w").write(f"-{c}")


def all_ways(group, where, blocks):
    """In the cgroup: writes past the page cache, reads of them, and a file by way of the page cache."""
    group.add(os.getpid())
    fd, page = os.open(f"{where}/direct{blocks}", os.O_RDWR | os.O_CREAT | os.O_DIRECT), mmap.mmap(-1, 4096)
    for i in range(blocks):
        os.pwritev(fd, [page], 4096 * i)
    for i in range(0, blocks, 2):
        os.preadv(fd, [page], 4096 * i)
    os.close(fd)
    written(f"{where}/buffered{blocks}", MIB * blocks // 32)


def io_stat(group, disk):
    rdev = os.stat(disk).st_rdev
    lines = [line.split() for line in group.read("io.stat").splitlines()]
    of = next((l[1:] for l in lines if l[0] == f"{os.major(rdev)}:{os.minor(rdev)}"), [])
    return {name: int(n) for name, n in (word.split("=") for word in of)}


def case_cgroup():
    """What two cgroups read and write, each byte for byte as the kernel's io.stat has it; what they left in
    the page cache the kernel writes when nobody of them is left."""
    with io_controllers() as there, contextlib.ExitStack() as ends:
        if not there or not shutil.which("mkfs.ext4"):
            return
        disk = ends.enter_context(loop_disk(64 * MIB))
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", disk], check=True)
        where = ends.enter_context(mounted(disk, "ext4"))
        groups = [ends.enter_context(Group()) for _ in range(2)]
        with Sonda("top", "block.io", "--by", "device,charged_cgroup,op", "--interval", "200ms", "--totals") as s:
            for group, blocks in zip(groups, (64, 160)):
                in_process(all_ways, group, where, blocks)
            subprocess.run(["sync", "-f", where], check=True)
            now = datetime.datetime.utcnow().isoformat()
            s.wait_row(lambda r: r["time"] > now, 10)
        rows = [r for r in last_reading(s) if is_of(r, disk)]
        if s.stats.get("missed", 0):
            return
        for group, blocks in zip(groups, (64, 160)):
            mine = [r for r in rows if r["charged_cgroup"] == os.stat(group.path).st_ino]
            want, got = io_stat(group, disk), {op: sum(r["bytes"] for r in mine if r["op"] == op)
                                               for op in ("read", "write")}
            for op in "read", "write":
                all_bytes = want.get(f"{op[0]}bytes", 0)
                check(all_bytes - unseen(all_bytes) <= got[op] <= all_bytes, f"bytes as in io.stat, {want}: {got}")
            check(want.get("rbytes", 0) >= 2048 * blocks and want.get("wbytes", 0) >= (4096 + MIB // 32) * blocks,
                  f"in which is all that it did: {want}")


def case_tag_wait():
    """Two at a time and ten who want one: who asks waits for a tag. All that they waited is told, in its parts:
    no less than what they slept by the kernel's own account, no more than what passed on their clocks."""
    if not has_null_disk():
        return
    slept = {}
    with null_disk(TAKES_NS, 2) as disk, sleeps_accounted() as accounted:
        with Sonda("trace", "block.io") as s:
            took = reads_at_once(disk, 10, slept if accounted else None)
            s.wait_row(lambda r: is_of(r, disk) and r["sector"] == max(took, key=took.get), 10)
        rows = [r for r in s.rows if is_of(r, disk)]
    if s.stats.get("missed", 0):
        return
    check_equal(sorted(r["sector"] for r in rows), sorted(took), "a row of each")
    check(all(r["took_ns"] <= took[r["sector"]] for r in rows), "no longer than the calls")
    parts = {name: sum(r[name] for r in rows) for name in ("tag_ns", "queue_ns", "device_ns")}
    check_equal(sum(parts.values()), sum(r["took_ns"] for r in rows), "the parts make the whole")
    # a sleep ends a little after the disk is done
    check(sum(parts.values()) >= 0.95 * sum(slept.values()), f"all that they slept: {sum(slept.values())}, in {parts}")
    check(all(r["device_ns"] >= TAKES_NS and r["depth"] <= 2 for r in rows), "two at a time, as long as told")
    # had all come at once, eight would have waited for 1, 1, 2, 2, 3, 3, 4, 4 others
    check(parts["tag_ns"] > parts["device_ns"] / 2, f"most of the waiting is for a tag: {parts}")


mounts_of_our_own()
case_write_back()
case_shape()
case_cgroup()
case_tag_wait()
done()
