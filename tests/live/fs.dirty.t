#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fs.dirty: pages made dirty, charged to the process and the file that were written.

Truth: the workload's own count, and the kernel's account of each process, write_bytes of /proc/PID/io.
"""

import mmap
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *
from scratch import *

PAGE = mmap.PAGESIZE
MIB = 1 << 20


def write_bytes():
    return int(next(l for l in open("/proc/self/io") if l.startswith("write_bytes")).split()[1])


def charged(work):
    """What the kernel charges the process with for work()."""
    before = write_bytes()
    work()
    return write_bytes() - before


def writes(path, size):
    def work():
        with open(path, "wb", buffering=0) as f:
            for _ in range(size // MIB):
                f.write(b"x" * MIB)
            os.fsync(f.fileno())
    return work


def rewrites(path):
    """Pages that are dirty already are not charged again."""
    def work():
        with open(path, "wb", buffering=0) as f:
            for _ in range(3):
                os.pwrite(f.fileno(), b"y" * MIB, 0)
    return work


def maps(path, pages):
    def work():
        with open(path, "r+b") as f, mmap.mmap(f.fileno(), pages * PAGE) as m:
            for i in range(pages):
                m[i * PAGE] = 1
    return work


def bind_part(folder):
    """A newer mount of a part of the same file system; by it nothing is to be told."""
    part, seen_at = f"{folder}/part", f"{folder}/seen_at"
    os.mkdir(part)
    os.mkdir(seen_at)
    bind_mount(part, seen_at)


def main():
    private_mounts()
    folder = scratch_fs("ext4")
    if not folder:
        skip("no ext4 to be written to")
    bind_part(folder)
    one, two, again, mapped = (f"{folder}/{n}" for n in ("one", "part/two", "again", "mapped"))
    with open(mapped, "wb") as f:
        f.write(b"z" * MIB)
    os.sync()
    works = [(one, writes(one, 8 * MIB), 8 * MIB), (two, writes(two, 5 * MIB), 5 * MIB),
             (again, rewrites(again), MIB), (mapped, maps(mapped, 100), None)]
    with Sonda("top", "fs.dirty", "--by", "pid,path", "--interval", "1h") as s:
        told = [in_process(charged, work) for _, work, _ in works]
    got = {(r["pid"], r["path"]): r["dirtied_bytes"] for r in s.rows}
    for (path, _, size), (pid, account) in zip(works, told):
        mine = got.get((pid, path), 0)
        if size:
            check_equal(mine, size, f"bytes of {path} by its writer")
        else:  # where folios are large more is dirtied than was touched
            check(100 * PAGE <= mine <= MIB, f"bytes of {path} by its writer: {mine}")
        check_equal(sum(n for k, n in got.items() if k[0] == pid), account, f"{path}: write_bytes of the writer")
        others = [k for k in got if k[1] == path and k[0] != pid]
        check_equal(others, [], f"nobody else is charged for {path}")
    done()


main()
