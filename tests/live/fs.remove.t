#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fs.remove: each name removed, renamed or linked is a row, also when it fails.

Truth: what the calls returned to the workload, and the names that it gave.
"""

import ctypes
import errno
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, RENAME_NOREPLACE, RENAME_EXCHANGE = -100, 1, 2
NR_RENAMEAT2 = 316
STORM = 500


class Work:
    def __init__(self, folder):
        self.folder, self.want = folder, []

    def does(self, op, path, to, call, **more):
        """Calls it; a row is expected, with the error if it fails."""
        err = None
        try:
            call()
        except OSError as e:
            err = errno.errorcode[e.errno]
        self.want.append({"op": op, "path": path, "to": to, "err": err, **more})

    def touch(self, *names):
        for n in names:
            open(f"{self.folder}/{n}", "w").close()

    def renameat2(self, a, b, flags):
        if LIBC.syscall(NR_RENAMEAT2, AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), flags) < 0:
            raise OSError(ctypes.get_errno(), a)

    def run(self):
        f, p = self.folder, lambda n: f"{self.folder}/{n}"
        self.touch("a", "b", "c", "d", "e", "log", "log.1", "x" * 200)
        os.chdir(f)
        top = os.open(f, os.O_RDONLY)
        self.does("unlink", p("a"), None, lambda: os.unlink(p("a")))
        self.does("unlink", p("b"), None, lambda: os.unlink("b"))
        self.does("unlink", p("c"), None, lambda: os.unlink("c", dir_fd=top))
        self.does("unlink", p("none"), None, lambda: os.unlink("none"))
        self.does("unlink", p("x" * 200), None, lambda: os.unlink("x" * 200))
        os.mkdir("dir")
        os.mkdir("dir2")
        self.touch("dir2/kept")
        self.does("rmdir", p("dir"), None, lambda: os.rmdir(p("dir")))
        self.does("rmdir", p("dir2"), None, lambda: os.rmdir("dir2", dir_fd=top))
        self.does("rename", p("log"), p("log.1"), lambda: os.rename(p("log"), "log.1"))
        self.does("rename", p("d"), p("dir2/d"), lambda: os.rename("d", "dir2/d", src_dir_fd=top))
        self.does("rename", p("e"), p("log.1"), lambda: self.renameat2(p("e"), p("log.1"), RENAME_NOREPLACE),
                  flags="noreplace")
        self.does("rename", p("e"), p("log.1"), lambda: self.renameat2(p("e"), p("log.1"), RENAME_EXCHANGE),
                  flags="exchange")
        self.does("link", p("e"), p("hard"), lambda: os.link("e", "hard"))
        self.does("symlink", "some/where", p("soft"), lambda: os.symlink("some/where", "soft"))
        return self.want


def storm(folder):
    for i in range(STORM):
        os.mkdir(folder + "/storm")
        os.rmdir(folder + "/storm")


def main():
    folder = os.path.realpath(tempfile.mkdtemp(prefix="fs-remove-"))
    try:
        with Sonda("trace", "fs.remove") as s:
            pid, want = in_process(Work(folder).run)
        got = [{k: r[k] for k in w} for r, w in zip((r for r in s.rows if r["pid"] == pid), want)]
        check_equal(len([r for r in s.rows if r["pid"] == pid]), len(want), "rows")
        for g, w in zip(got, want):
            check_equal({k: v or None for k, v in g.items()}, w, "a row")
        with Sonda("top", "fs.remove", "--by", "pid,op,err", "--interval", "1h") as s:
            pid, _ = in_process(storm, folder)
        missed = s.stats.get("missed", 0)
        calls = [r["calls"] for r in s.rows if r["pid"] == pid]
        check(len(calls) == 1 and STORM - missed <= calls[0] <= STORM, f"calls counted: {calls}, {missed} missed")
    finally:
        shutil.rmtree(folder)
    done()


main()
