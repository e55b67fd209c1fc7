#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fs.rw: bytes that were really read and written, by process, file and operation, by every way.

Truth: rchar and wchar of /proc/PID/io, what the calls returned, and the workload's own count.
"""

import ctypes
import mmap
import os
import resource
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from calls import Aio, Uring, call32, low_text
from sondatest import *
from scratch import *

KIB = 1024
PAGES = 100
LIBC.copy_file_range.restype = LIBC.splice.restype = ctypes.c_ssize_t


def account():
    """What the kernel has counted for this process; reading it counts too."""
    fd = os.open("/proc/self/io", os.O_RDONLY)
    text = os.read(fd, 4096)
    os.close(fd)
    return {k: int(v) for k, v in (l.split(": ") for l in text.decode().splitlines())}, len(text)


class Work:
    """What a process does, and what must be told of it: {(path, op): [calls, bytes, errors]}."""

    def __init__(self, folder):
        self.folder, self.want = folder, {}

    def count(self, path, op, n, errors=0):
        row = self.want.setdefault((path, op), [0, 0, 0])
        row[0] += 1
        row[1] += 0 if errors else n
        row[2] += errors

    def path(self, name):
        return f"{self.folder}/{name}"

    def run(self):
        p = self.path("file")
        fd = os.open(p, os.O_CREAT | os.O_RDWR, 0o600)
        self.count(p, "write", os.write(fd, b"x" * 10))
        self.count(p, "write", os.pwrite(fd, b"y" * 100 * KIB, 10))
        self.count(p, "write", os.writev(fd, [b"a" * 3, b"b" * 5]))
        self.count(p, "write", os.pwritev(fd, [b"c" * 7], 4096))
        os.fsync(fd)
        self.count(p, "sync", 0)
        os.fdatasync(fd)
        self.count(p, "sync", 0)
        end = os.fstat(fd).st_size
        self.count(p, "read", len(os.pread(fd, 64 * KIB, 1000)))
        self.count(p, "read", len(os.pread(fd, 4096, end - 11)))  # asks for 4096, gets 11
        self.count(p, "read", os.preadv(fd, [bytearray(9)], 0))
        os.lseek(fd, 0, 0)
        while True:
            n = len(os.read(fd, 30 * KIB))
            self.count(p, "read", n)
            if not n:
                break
        self.fails(p)
        self.copies(p, fd, end)
        os.close(fd)
        os.rename(p, self.path("renamed"))
        fd = os.open(self.path("renamed"), os.O_RDONLY)
        self.count(self.path("renamed"), "read", len(os.read(fd, 5)))
        os.close(fd)
        self.directories()

    def directories(self):
        """A directory far above gets another name, as in a deployment; and a new one has its old name."""
        new, old, below = self.path("new"), self.path("old"), "a/b/log"
        os.makedirs(os.path.dirname(f"{new}/{below}"))
        fd = os.open(f"{new}/{below}", os.O_CREAT | os.O_WRONLY, 0o600)
        self.count(f"{new}/{below}", "write", os.write(fd, b"x" * 10))
        os.rename(new, old)
        self.count(f"{old}/{below}", "write", os.write(fd, b"x" * 20))
        os.close(fd)
        os.makedirs(os.path.dirname(f"{new}/{below}"))
        for path, size in ((f"{new}/{below}", 100), (f"{old}/{below}", 30)):
            fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
            self.count(path, "write", os.write(fd, b"x" * size))
            os.close(fd)

    def fails(self, p):
        fd = os.open(p, os.O_WRONLY)
        try:
            os.read(fd, 1)
        except OSError:
            self.count(p, "read", 0, 1)
        os.close(fd)

    def copies(self, p, fd, end):
        to = self.path("copy")
        out = os.open(to, os.O_CREAT | os.O_RDWR, 0o600)
        n = os.sendfile(out, fd, 0, end)
        self.count(p, "read", n)
        self.count(to, "write", n)
        os.lseek(fd, 0, 0)
        n = LIBC.copy_file_range(fd, None, out, None, ctypes.c_size_t(5000), 0)
        self.count(p, "read", n)
        self.count(to, "write", n)
        r, w = os.pipe()
        os.lseek(fd, 0, 0)
        n = LIBC.splice(fd, None, w, None, ctypes.c_size_t(8192), 0)
        self.count(p, "read", n)
        n = LIBC.splice(r, None, out, None, ctypes.c_size_t(n), 0)
        self.count(to, "write", n)
        os.close(out)


def uring_io(path):
    """io_uring's READ and WRITE of a file; what they returned, or None without io_uring."""
    try:
        ring = Uring()
    except OSError:
        return None
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    data = ctypes.create_string_buffer(b"z" * 5000)
    got = [ring.do(op, fd, ctypes.addressof(data), at, 5000) for op, at in ((23, 0), (22, 1000))]
    os.close(fd)
    return got


def aio_io(path):
    """libaio's way: many at once, one beside another that the kernel refuses, a sync."""
    if not Aio.is_known():
        return None
    fd, aio = os.open(path, os.O_CREAT | os.O_RDWR, 0o600), Aio(40)
    data = ctypes.create_string_buffer(b"a" * 5000)
    address = ctypes.addressof(data)
    written = aio.results(aio.submit(*[(Aio.WRITE, fd, address, 5000, i * 5000) for i in range(40)]))
    read = aio.results(aio.submit((Aio.READ, fd, address, 3000, 199000), (Aio.READ, 999, address, 1, 0)))
    synced = aio.results(aio.submit((Aio.SYNC, fd, 0, 0, 0)))
    aio.end()
    os.close(fd)
    return sum(written.values()), read, synced


def work(folder):
    w = Work(folder)
    before, size = account()  # that reading is in what follows
    w.run()
    after, _ = account()
    return w.want, after["rchar"] - before["rchar"] - size, after["wchar"] - before["wchar"]


def maps(path, pages):
    """Writes to each page of a mapping that is in the cache: a fault each, that asks the file system."""
    with open(path, "w+b") as f:
        f.truncate(pages * mmap.PAGESIZE)
        os.pread(f.fileno(), pages * mmap.PAGESIZE, 0)
        with mmap.mmap(f.fileno(), pages * mmap.PAGESIZE) as m:
            before = resource.getrusage(resource.RUSAGE_SELF)
            for i in range(pages):
                m[i * mmap.PAGESIZE] = 1
            after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt


def calls32(folder):
    """A 32-bit program's calls, whose numbers and structs are others: what must be told of them."""
    path = folder + "/calls32"
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    data = low_text(b"d" * 2000)
    results = [call32(nr, fd, *args) for nr, *args in (
        (4, data, 1000), (146, low_text(struct.pack("<II", data, 300)), 1), (118,), (19, 0, 0), (3, data, 2000))]
    check_equal(results, [1000, 300, 0, 0, 1300], "write, writev, fsync, lseek, read of a 32-bit program")
    return {(path, "write"): [2, 1300, 0], (path, "sync"): [1, 0, 0], (path, "read"): [1, 1300, 0]}


def main():
    private_mounts()
    folder = scratch_fs("ext4") or mount_tmpfs()
    with Sonda("top", "fs.rw", "--by", "pid,path,op", "--interval", "1h") as s:
        pid, (want, rchar, wchar) = in_process(work, folder)
        uring_pid, uring = in_process(uring_io, folder + "/uring")
        aio_pid, aio = in_process(aio_io, folder + "/aio")
        pid32, want32 = in_process(calls32, folder)
        mapper, faults = in_process(maps, folder + "/mapped", PAGES)
    got = {}
    for r in s.rows:
        if (r["path"] or "").startswith(folder) and r["op"] != "fault":
            got.setdefault(r["pid"], {})[(r["path"], r["op"])] = [r["calls"], r["bytes"], r["errors"]]
    check_equal(got.get(pid), want, "calls, bytes and errors by file and operation")
    # the kernel's account of the process: sonda's, and here nothing but files
    bytes_of = lambda op: sum(row[1] for key, row in got.get(pid, {}).items() if key[1] == op)
    spliced = 8192  # splice is not in rchar and wchar
    check_equal(bytes_of("read"), rchar + spliced, "bytes read, and rchar")
    check_equal(bytes_of("write"), wchar + spliced, "bytes written, and wchar")
    if uring and "not seen here: what io_uring does" not in s.stderr:
        path = folder + "/uring"
        check_equal(got.get(uring_pid), {(path, "write"): [1, uring[0], 0], (path, "read"): [1, uring[1], 0]},
                    "io_uring's bytes")
    if aio:
        path = folder + "/aio"
        check_equal(aio, (200000, {0: 1000}, {0: 0}), "what libaio's calls came to")
        check_equal(got.get(aio_pid), {(path, "write"): [40, 200000, 0], (path, "read"): [1, 1000, 0], (path, "sync"): [1, 0, 0]},
                    "libaio's bytes")
    if want32:
        check_equal(got.get(pid32), want32, "a 32-bit program's calls")
    else:
        print("not shown: 32-bit calls (this kernel has none)")
    if "not seen here: files read through mappings" not in s.stderr:
        calls = [r["calls"] for r in s.rows if (r["pid"], r["path"], r["op"]) == (mapper, folder + "/mapped", "fault")]
        check(len(calls) == 1 and PAGES - s.stats.get("missed", 0) <= calls[0] <= faults,
              f"faults: {calls}, pages {PAGES}, by the kernel {faults}")
    r = run_sonda("top", "fs.rw", "--by", "fs,way,op", "--once", "--where", "op == write", "--",
                  "dd", "if=/dev/zero", f"of={folder}/direct", "bs=4096", "count=3", "oflag=direct")
    rows = [x for x in r.rows if x["way"] == "direct"]
    if r.code == 0 and os.path.exists(folder + "/direct"):
        check_equal([(x["bytes"], x["calls"]) for x in rows], [(3 * 4096, 3)], "direct writes")
    done()


main()
