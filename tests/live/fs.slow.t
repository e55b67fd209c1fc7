#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fs.slow: what took long and what hangs, with path, offset and size.

A frozen file system holds up whoever changes it, for exactly as long as the test wants.
"""

import ctypes
import fcntl
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from calls import Aio
from sondatest import *
from scratch import *

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878


def in_process(work):
    pid = os.fork()
    if pid == 0:
        start = time.monotonic_ns()
        try:
            work()
        finally:
            os._exit(0)
    return pid


def main():
    private_mounts()
    folder = scratch_fs("ext4")
    if not folder:
        skip("no file system that can be frozen")
    path, gone = folder + "/file", folder + "/gone"
    open(gone, "w").close()
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    top = os.open(folder, os.O_RDONLY)
    os.chdir(folder)

    def is_of(pid, op, state):
        return lambda r: (r["pid"], r["op"], r["state"]) == (pid, op, state)
    with Sonda("trace", "fs.slow", "--hanging-s", 1) as s:
        fcntl.ioctl(top, FIFREEZE, 0)
        try:
            begun = time.monotonic_ns()
            writer = in_process(lambda: os.pwrite(fd, b"x" * 5000, 1000))
            maker = in_process(lambda: os.mkdir("made"))
            remover = in_process(lambda: os.unlink(gone))
            hung = [s.wait_row(is_of(*what, "hanging"))
                    for what in ((writer, "write"), (maker, "mkdir"), (remover, "unlink"))]
        finally:
            fcntl.ioctl(top, FITHAW, 0)
        for pid in (writer, maker, remover):
            os.waitpid(pid, 0)
        most = time.monotonic_ns() - begun
        quick = in_process(lambda: os.pwrite(fd, b"y", 0))
        os.waitpid(quick, 0)
        # the kernel may have skipped a program, and counted it
        done_ = [s.wait_row(is_of(*what, "done"), timeout=8)
                 for what in ((writer, "write"), (maker, "mkdir"), (remover, "unlink"))]
    check(all(hung), f"told while it hangs: {hung}")
    check(done_.count(None) <= s.stats.get("missed", 0), f"told when it is done: {done_}")
    for row, name in zip(hung + done_, (path, "made", gone, path, folder + "/made", gone)):
        if row:
            check_equal(row["path"], name, f"path of {row['op']}, {row['state']}")
            check(10**9 <= row["took_ns"] <= most, f"{row['op']} took {row['took_ns']}")
    if done_[0]:
        check_equal([done_[0][k] for k in ("offset", "size_bytes", "fs", "err")], [1000, 5000, "ext4", None], "the write")
        check_equal([hung[0][k] for k in ("fs", "comm")], ["ext4", done_[0]["comm"]], "the write, hanging")
    check(not [r for r in s.rows if r["pid"] == quick], "what is quick is not told")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + s.stats["lost"], "seen")

    # whoever waits in a pipe does not hang on a file
    r, w = os.pipe()
    seven, aio = ctypes.create_string_buffer(b"7" * 7), Aio(1) if Aio.is_known() else None
    with Sonda("trace", "fs.slow", "--min", "0", "--pid", os.getpid()) as s:
        os.write(w, b"x")
        os.read(r, 1)
        try:
            os.open(folder + "/none", os.O_RDONLY)
        except FileNotFoundError:
            pass
        os.fsync(fd)
        os.listdir(top)
        if aio:
            check_equal(aio.results(aio.submit((Aio.WRITE, fd, ctypes.addressof(seven), 7, 300))), {0: 7}, "libaio's write")
    rows = [(r["op"], r["path"], r["err"]) for r in s.rows if "/proc/" not in r["path"]]
    for want in (("open", folder + "/none", "ENOENT"), ("sync", path, None), ("list", folder, None)):
        check(want in rows, f"{want} in {rows}")
    check(not [row for row in rows if "pipe:" in row[1]], "no pipes")
    if aio:
        check_equal([(r["path"], r["offset"], r["size_bytes"]) for r in s.rows if r["op"] == "write" and "/proc/" not in r["path"]],
                    [(path, 300, 7)], "libaio's write, and its place")
    os.chdir("/")
    os.close(fd)
    os.close(top)
    done()


main()
