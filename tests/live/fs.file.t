#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fs.file: every operation on a watched file, in their order, and none on others.

Truth: what the workload did and what the calls returned to it.
"""

import errno
import mmap
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *
from scratch import *


class Work:
    """Does things to files; a row is wanted for each that is of the watched one."""

    def __init__(self, folder):
        self.folder, self.want = folder, []

    def path(self, name):
        return f"{self.folder}/{name}"

    def does(self, op, call, name="log", bytes=0, to=None):
        """`name`: the path that is told."""
        err, result = None, None
        try:
            result = call()
        except OSError as e:
            err = errno.errorcode[e.errno].replace("ENOTSUP", "EOPNOTSUPP")
        self.want.append({"op": op, "err": err, "path": self.path(name), "to": to and self.path(to),
                          "size_bytes": bytes})
        return result

    def open_write_close(self, name, flags=0):
        """On something that isn't watched."""
        fd = os.open(self.path(name), os.O_CREAT | os.O_RDWR | flags, 0o600)
        os.write(fd, b"not watched")
        os.close(fd)


def uses(w):
    """All that can be done to a file, and in between the same to another."""
    p = w.path("log")
    fd = w.does("open", lambda: os.open(p, os.O_RDWR))
    w.open_write_close("other")
    w.does("write", lambda: os.write(fd, b"x" * 100), bytes=100)
    w.does("write", lambda: os.pwrite(fd, b"x" * 50, 10), bytes=50)
    w.does("read", lambda: os.pread(fd, 500, 0), bytes=100)
    w.does("sync", lambda: os.fsync(fd))
    w.does("truncate", lambda: os.ftruncate(fd, 10))
    w.does("allocate", lambda: os.posix_fallocate(fd, 0, 4096))
    w.does("mode", lambda: os.fchmod(fd, 0o640))
    w.does("owner", lambda: os.fchown(fd, 0, 0))
    m = w.does("map", lambda: mmap.mmap(fd, 4096))
    w.does("close", m.close)  # Python has a descriptor of its own for it
    w.does("close", lambda: os.close(fd))
    os.chdir(w.folder)
    top = os.open(".", os.O_RDONLY)
    w.does("truncate", lambda: os.truncate("log", 5))
    w.does("mode", lambda: os.chmod("log", 0o600))
    w.does("owner", lambda: os.chown("log", 0, 0))
    w.does("times", lambda: os.utime(p))
    w.does("mode", lambda: os.chmod("././/log", 0o600), name="././/log")
    w.does("xattr", lambda: os.setxattr(p, "user.x", b"1"))
    w.does("link", lambda: os.link("log", "hard", dst_dir_fd=top), to="hard")
    fd = w.does("open", lambda: os.open("hard", os.O_RDONLY), name="hard")
    w.does("close", lambda: os.close(fd), name="hard")
    os.unlink("hard")
    os.close(top)


def rotation(w, name="log"):
    """The writer goes on in the file that was renamed, each time; the new one of the name is watched too."""
    p, writers = w.path(name), []
    for turn in ("1", "2"):
        kept = f"{name}.{turn}"
        writers.append(w.does("open", lambda: os.open(p, os.O_CREAT | os.O_WRONLY, 0o600), name))
        w.does("write", lambda: os.write(writers[-1], b"x" * 5), name, bytes=5)
        w.does("rename", lambda: os.rename(p, w.path(kept)), name, to=kept)
        w.does("write", lambda: os.write(writers[-1], b"y" * 7), kept, bytes=7)
        w.does("open", lambda: os.open(p, os.O_RDONLY), name)  # not there
    for turn, writer in enumerate(writers, 1):
        w.does("write", lambda: os.write(writer, b"z" * 9), f"{name}.{turn}", bytes=9)
        w.does("close", lambda: os.close(writer), f"{name}.{turn}")


def replaced(w):
    """What editors do: a new file renamed over the old one."""
    w.open_write_close("new")
    w.does("rename", lambda: os.rename(w.path("new"), w.path("log")), name="new", to="log")
    fd = w.does("open", lambda: os.open(w.path("log"), os.O_RDONLY))
    w.does("read", lambda: os.read(fd, 100), bytes=len(b"not watched"))
    w.does("close", lambda: os.close(fd))
    w.does("unlink", lambda: os.unlink(w.path("log")))
    w.does("unlink", lambda: os.unlink(w.path("log")))


def reuse(w):
    """Other files get the numbers of inodes, and the name, of what was watched and is gone."""
    names = [f"unrelated{i}" for i in range(8)]
    gone = {os.stat(w.path(name)).st_ino for name in ("log.1", "log.2")}
    w.does("rename", lambda: os.rename(w.path("log.1"), w.path("log.3")), "log.1", to="log.3")
    for name in ("log.3", "log.2"):
        w.does("unlink", lambda: os.unlink(w.path(name)), name)
    w.open_write_close("log.3")
    os.unlink(w.path("log.3"))
    for name in names:
        w.open_write_close(name)
    there = {os.stat(w.path(name)).st_ino for name in names}
    assert gone <= there or not on_ext4(w.folder), f"numbers {gone} are used again: {there}"


def below(w):
    """A directory is watched: what is in it, however deep, and not what is beside it."""
    w.open_write_close("beside")
    w.does("mkdir", lambda: os.mkdir(w.path("dir/sub")), name="dir/sub")
    fd = w.does("open", lambda: os.open(w.path("dir/sub/file"), os.O_CREAT | os.O_RDWR, 0o600), name="dir/sub/file")
    w.does("write", lambda: os.write(fd, b"x"), name="dir/sub/file", bytes=1)
    w.does("close", lambda: os.close(fd), name="dir/sub/file")
    fd = w.does("open", lambda: os.open(w.path("dir"), os.O_RDONLY), name="dir")
    w.does("close", lambda: os.close(fd), name="dir")
    w.does("rename", lambda: os.rename(w.path("dir/sub/file"), w.path("out")), name="dir/sub/file", to="out")
    w.open_write_close("out")
    w.does("rename", lambda: os.rename(w.path("out"), w.path("dir/in")), name="out", to="dir/in")
    w.does("unlink", lambda: os.unlink(w.path("dir/in")), name="dir/in")
    w.does("rmdir", lambda: os.rmdir(w.path("dir/sub")), name="dir/sub")
    os.mkdir(w.path("directory"))  # begins with the same letters
    os.rmdir(w.path("directory"))


def on_ext4(folder):
    mounts = [line.split() for line in open("/proc/mounts")]
    return any(where == folder and kind == "ext4" for _, where, kind, *_ in mounts)


def run(body, folder, *args):
    work = Work(folder)
    body(work, *args)
    return work.want


def compare(s, told, what):
    for pid, want in told:
        rows = [{k: r[k] or (0 if k == "size_bytes" else None) for k in ("op", "err", "path", "to", "size_bytes")}
                for r in s.rows if r["pid"] == pid]
        if s.stats.get("missed", 0):  # by the kernel
            rows, want = [r for r in rows if r in want], [w for w in want if w in rows]
        for i, (g, wanted) in enumerate(zip(rows, want)):
            check_equal(g, wanted, f"{what}, row {i}")
        check_equal(len(rows), len(want), f"{what}: rows; {[r['op'] for r in rows]}")


def main():
    private_mounts()
    folder = scratch_fs("ext4") or mount_tmpfs()
    open(folder + "/log", "w").close()
    with Sonda("trace", "fs.file", "--file", folder + "/log") as s:
        told = [in_process(run, body, folder) for body in (uses, rotation, replaced, reuse)]
    compare(s, told, "a file")
    with Sonda("trace", "fs.file", "--file", folder + "/late") as s:
        told = [in_process(run, rotation, folder, "late")]
    compare(s, told, "a file that was not there")
    os.mkdir(folder + "/dir")
    os.symlink(folder + "/dir", folder + "/to-dir")
    with Sonda("trace", "fs.file", "--file", folder + "/to-dir") as s:
        told = [in_process(run, below, folder)]
    compare(s, told, "a directory")
    r = run_sonda("top", "fs.file", "--file", folder + "/counted", "--by", "op", "--once", "--",
                  "dd", "if=/dev/zero", f"of={folder}/counted", "bs=1000", "count=20")
    got = {x["op"]: (x["calls"], x["bytes"]) for x in r.rows}
    check_equal(got.get("write"), (20, 20000), "writes of what did not exist yet")
    for args, code in ((["trace", "fs.file"], 2), (["trace", "fs.file", "--file", "/none/at/all"], None)):
        r = run_sonda(*args)
        check(r.code == code or (code is None and r.code not in (0, 1)), f"{args}: exit {r.code}: {r.stderr}")
    done()


main()
