#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""block.io, where a request was sent to and what it is made of: partitions, against their starts and counters in
/sys; merged bios, against the kernel's own count of merges; the device of device mapper above the disk, against
the tables that the test made; a mirror of md, against its disks' counters; latency and counts on a disk that takes as long as it is told; two cgroups."""

import sys

from disks import *
from calls import Aio
from sondatest import *
from workers import Group, mount_of

MIB = 1 << 20
NONE = "0:0"
MERGES = {"read": 1, "write": 5}  # where /sys/block/*/stat has them


# ---- partitions ----


def counted(path, at):
    return int(open(f"/sys/class/block/{os.path.basename(path)}/stat").read().split()[at])


def case_partition(disk):
    """Each request has the partition that it was sent to, and its place there and on the disk."""
    places = [(2048, 8192), (20480, 4096)]
    with partitions(disk, *places) as parts:
        starts = {p: int(open(f"/sys/class/block/{os.path.basename(p)}/start").read()) for p in parts}
        check_equal(list(starts.values()), [first for first, _ in places], "the kernel's partitions")
        calls = [(p, op, 8 * (1 + i), 4096) for i, p in enumerate([parts[0], parts[1], disk, parts[1], parts[0]])
                 for op in ("write", "read")]
        with Sonda("trace", "block.io", "--pid", os.getpid()) as s, \
                Sonda("top", "block.io", "--by", "device,partition,op", "--pid", os.getpid(), "--interval", "200ms",
                      "--totals") as top:
            before = {p: counted(p, 4) for p in parts}
            for call in calls:
                transfer(*call)
            s.wait_row(lambda r: is_of(r, disk) and (r["op"], r["sector"]) == (calls[-1][1], 2048 + calls[-1][2]))
            writes = {p: counted(p, 4) - before[p] for p in parts}
            top.wait_row(lambda r: is_of(r, disk) and is_of(r, parts[0], "partition") and r["op"] == "read" and
                         r["ios"] == 2)
        rows = [r for r in s.rows if is_of(r, disk)]
        want = [(op, sector, starts.get(p, 0) + sector) for p, op, sector, _ in calls]
        got = [(r["op"], r["partition_sector"], r["sector"]) for r in rows]
        check_told(got, want, s.stats, f"{disk}: place in the partition and on the disk")
        if not s.stats.get("missed", 0):
            for row, (p, *_) in zip(rows, calls):
                check(is_of(row, p, "partition"), f"sent to {p}: {row['partition']}")
                check_equal(row["via"], NONE, "no device above")
        if top.stats.get("missed", 0):
            return
        last = max(r["time"] for r in top.rows)
        table = [r for r in top.rows if r["time"] == last and is_of(r, disk) and r["op"] == "write"]
        for p in parts:
            check_equal([r["ios"] for r in table if is_of(r, p, "partition")], [writes[p]], f"the table of {p}")
        check_equal([r["ios"] for r in table if is_of(r, disk, "partition")], [1], "and of the disk past them")


# ---- merges ----


def writes_at_once(path, count, size):
    """Writes that follow each other on the disk, given to the kernel in one call: it merges them."""
    fd, data, aio = os.open(path, os.O_RDWR | os.O_DIRECT), mmap.mmap(-1, count * size), Aio(count)
    address = ctypes.addressof(ctypes.c_char.from_buffer(data))
    taken = aio.submit(*[(Aio.WRITE, fd, address + i * size, size, i * size) for i in range(count)])
    check_equal(taken, count, "all submitted")
    check_equal(aio.results(taken), dict.fromkeys(range(count), size), "and whole")
    aio.end()
    os.close(fd)


def case_merges(disk):
    """Bios of all requests together: as many as were submitted; less the requests: the kernel's merges."""
    if not Aio.is_known():
        return
    nomerges = f"/sys/block/{os.path.basename(disk)}/queue/nomerges"
    kept = open(nomerges).read()
    open(nomerges, "w").write("0")
    try:
        with Sonda("trace", "block.io", "--pid", os.getpid()) as s:
            before = counted(disk, MERGES["write"])
            writes_at_once(disk, 48, 4096)
            merges = counted(disk, MERGES["write"]) - before
            transfer(disk, "read", 8000, 4096)
            s.wait_row(lambda r: is_of(r, disk) and (r["op"], r["sector"]) == ("read", 8000))
    finally:
        open(nomerges, "w").write(kept)
    rows = [r for r in s.rows if is_of(r, disk)]
    if s.stats.get("missed", 0):
        return
    check_equal(sum(r["bios"] for r in rows), 49, "bios as submitted")
    check_equal(sum(r["bios"] - 1 for r in rows), merges, "merges as the kernel counts")
    check(merges > 0 and rows[-1]["bios"] == 1, f"some were merged: {merges}; a single one wasn't")
    check(all(r["size_bytes"] == 4096 * r["bios"] for r in rows), "each of 4 KiB")


# ---- device mapper ----


def check_via(disk, calls, want):
    """The requests that reach the disk for `calls`: (sector, bytes, sent to, sent by) of each."""
    with Sonda("trace", "block.io") as s:
        for call in calls:
            transfer(*call)
        transfer(disk, "write", 16000, 4096)
        s.wait_row(lambda r: is_of(r, disk) and (r["op"], r["sector"]) == ("write", 16000))
    rows = [r for r in s.rows if is_of(r, disk) and r["op"] == "read"]
    check_told(sorted((r["sector"], r["size_bytes"]) for r in rows), sorted(w[:2] for w in want), s.stats, "requests")
    if s.stats.get("missed", 0):
        return
    for row, (_, _, to, by) in zip(sorted(rows, key=lambda r: r["sector"]), sorted(want)):
        check(is_of(row, to, "partition"), f"sent to {to}: {row['partition']}")
        check(is_of(row, by, "via") if by else row["via"] == NONE, f"sent by {by}: {row['via']}")
    last = [r for r in s.rows if is_of(r, disk)][-1]
    check_equal(last["via"], NONE, "of the disk itself")


def case_mapper(disk):
    """Whole disk, partition, a device above a device: whose each request is, also where the same was just read
    by another way."""
    with mapped("linear", 8192, f"{disk} 4096") as one, mapped("linear", 2048, f"{one} 512") as above:
        check_via(disk, [(one, "read", 8, 4096), (above, "read", 32, 4096), (disk, "read", 0, 4096)] * 3,
                  [(4096 + 8, 4096, disk, one), (4096 + 512 + 32, 4096, disk, one), (0, 4096, disk, None)] * 3)
        check_via(disk, [(disk, "read", 4096 + 8, 4096)], [(4096 + 8, 4096, disk, None)])
    with partitions(disk, (2048, 8192), (16384, 8192)) as (part, other), \
            mapped("linear", 4096, f"{part} 1024") as one:
        check_via(disk, [(one, "read", 16, 4096), (part, "read", 8, 4096), (other, "read", 8, 4096)] * 3,
                  [(2048 + 1024 + 16, 4096, part, one), (2048 + 8, 4096, part, None), (16384 + 8, 4096, other, None)] * 3)


def case_mapper_split(disk):
    """A request that is too large for the disk is split; each piece was sent by the same device."""
    limit = f"/sys/block/{os.path.basename(disk)}/queue/max_sectors_kb"
    kept = open(limit).read()
    open(limit, "w").write("64")
    try:
        with mapped("linear", 8192, f"{disk} 0") as one:
            open(f"/sys/block/{os.path.basename(one)}/queue/max_sectors_kb", "w").write("1024")
            check_via(disk, [(one, "read", 0, 256 << 10)], [(128 * i, 64 << 10, disk, one) for i in range(4)])
    finally:
        open(limit, "w").write(kept)


# ---- md ----


def case_mirror(disk, other):
    """A write of a raid1 reaches both disks, a read one of them: as the disks' own counters say, and each is
    told with the mirror it is from."""
    legs = (disk, other)
    with mirrored(16 * MIB, *legs) as md:
        with Sonda("trace", "block.io") as s, \
                Sonda("top", "block.io", "--by", "device,op,via", "--interval", "200ms", "--totals") as top:
            before = [(counted(leg, 0), counted(leg, 4)) for leg in legs]
            for i in range(8):
                transfer(md, "write", 64 + 8 * i, 4096)
                transfer(md, "read", 128 + 8 * i, 4096)
            reads, writes = zip(*[(counted(leg, 0) - r, counted(leg, 4) - w) for leg, (r, w) in zip(legs, before)])
            for leg in legs:
                transfer(leg, "read", 4096, 4096)
                s.wait_row(lambda r: is_of(r, leg) and r["sector"] == 4096)
                top.wait_row(lambda r: is_of(r, leg) and r["op"] == "read" and r["via"] == NONE)
        check_equal(writes, (8, 8), "the disks' counters: each write twice")
        if s.stats.get("missed", 0):
            return
        sectors = [r["sector"] for r in s.rows if r["op"] == "read" and is_of(r, md, "via") and r["sector"] >= 128]
        check_equal(sorted(sectors), [128 + 8 * i for i in range(8)], "each read once, from either")
        for leg, read in zip(legs, reads):
            rows = [r for r in s.rows if is_of(r, leg) and is_of(r, md, "via")]
            check_equal(sorted(r["sector"] for r in rows if r["op"] == "write"), [64 + 8 * i for i in range(8)], f"writes to {leg}")
            check_equal(len([r for r in rows if r["op"] == "read"]), read, f"reads of {leg}, as it counts")
            check(all(is_of(r, leg, "partition") for r in rows), f"sent to {leg}: {rows}")
            check_equal([r["via"] for r in s.rows if is_of(r, leg) and r["sector"] == 4096], [NONE], f"of {leg} itself")
            table = {r["op"]: r["ios"] for r in top.rows if is_of(r, leg) and is_of(r, md, "via")}
            if not top.stats.get("missed", 0):
                check_equal((table.get("read", 0), table["write"]), (read, 8), f"the table, of {leg}")


# ---- a disk that takes as long as it is told ----


def case_median():
    """2.2 ms a request: half of the requests take 2.1 to 4.2 ms (or where the machine is late, up to what the
    callers' clocks have); and as many as were made."""
    with null_disk(2200000, 64) as disk:
        with Sonda("top", "block.io", "--by", "device", "--interval", "200ms", "--totals") as s:
            took = sorted(transfer(disk, "read", 8 * i, 4096) for i in range(101))
            s.wait_row(lambda r: is_of(r, disk) and r["ios"] == 101, 10)
        row = [r for r in s.rows if is_of(r, disk)][-1]
    if s.stats.get("missed", 0):
        return
    check_equal((row["ios"], row["device_ns"]["count"], row["bytes"]), (101, 101, 101 * 4096), "as many as were made")
    up_to = [up for up, count in row["device_ns"]["buckets"] for _ in range(count)]
    check(up_to[0] >= 1 << 22, f"none took less than it takes: {row['device_ns']}")
    check(up_to[50] >> 1 < took[50], f"half of them no longer than half of the calls: {up_to[50]}, {took[50]}")


# ---- two cgroups ----


def case_cgroups(disk):
    """Two cgroups at work at the same time: each filter shows its own, all and nothing else."""
    if not mount_of("cgroup2"):
        return
    with Group() as one, Group() as two, contextlib.ExitStack() as ends:
        groups = {one: 0, two: 4096}
        filtered = {g: ends.enter_context(Sonda("trace", "block.io", "--cgroup", g.path)) for g in groups}
        go_read, go_write = os.pipe()
        pids = []
        for group, first in groups.items():
            sys.stdout.flush()
            pid = os.fork()
            if not pid:
                os.close(go_write)
                group.add(os.getpid())
                os.read(go_read, 1)
                for i in range(80):
                    transfer(disk, "write", first + 8 * i, 4096)
                os._exit(0)
            pids.append(pid)
        os.close(go_read)
        os.close(go_write)
        for pid in pids:
            check_equal(os.waitpid(pid, 0)[1], 0, "a writer's status")
        for group, first in groups.items():
            filtered[group].wait_row(lambda r: is_of(r, disk) and r["sector"] == first + 8 * 79)
    for group, first in groups.items():
        s = filtered[group]
        check_told([r["sector"] for r in s.rows if is_of(r, disk)], [first + 8 * i for i in range(80)], s.stats,
                   "a cgroup's own requests")
        check(all(r["pid"] in pids for r in s.rows), "and nobody else's")


mounts_of_our_own()
with loop_disk(32 * MIB) as loop:
    case_partition(loop)
    case_merges(loop)
    case_cgroups(loop)
    if has_mapper():
        case_mapper(loop)
        case_mapper_split(loop)
    if has_raid1():
        with loop_disk(32 * MIB) as second:
            case_mirror(loop, second)
if has_null_disk():
    case_median()
done()
