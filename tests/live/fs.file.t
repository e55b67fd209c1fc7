#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fs.file: every operation on a watched file, in their order, and none on others.

Truth: what the workload did and what the calls returned to it.
"""

import ctypes
import errno
import mmap
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from calls import Aio
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
    if Aio.is_known():
        thirty, aio = ctypes.create_string_buffer(30), Aio(1)
        w.does("write", lambda: aio.results(aio.submit((Aio.WRITE, fd, ctypes.addressof(thirty), 30, 20))), bytes=30)
        aio.end()
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
    assert gone & there or not on_ext4(w.folder), f"numbers {gone} are used again: {there}"


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
    """Itself, or what an overlay writes to."""
    mounts = [line.split() for line in open("/proc/mounts")]
    kinds = {where: kind for _, where, kind, *_ in mounts}
    return "ext4" in (kinds.get(folder), kinds.get(folder.removesuffix("/merged")))


def overlay(lower, upper, make):
    """An overlay of two folders in which `make` has made files below; None: there is none here."""
    if "overlay" not in open("/proc/filesystems").read().split():
        subprocess.run(["modprobe", "overlay"], stderr=subprocess.DEVNULL)
    for folder in (f"{lower}/low", f"{upper}/up", f"{upper}/work", f"{upper}/merged"):
        os.mkdir(folder)
    make(f"{lower}/low")
    options = f"lowerdir={lower}/low,upperdir={upper}/up,workdir={upper}/work"
    if LIBC.mount(b"overlay", f"{upper}/merged".encode(), b"overlay", 0, options.encode()) < 0:
        print("not shown: overlays (no overlayfs here)")
        return None
    return f"{upper}/merged"


def until_number(w, number):
    """Makes files until one has that number in the layer above; its name."""
    for i in range(100000):
        name = f"twin{i}"
        w.open_write_close(name)
        got = os.stat(w.path(f"../up/{name}")).st_ino
        if got >= number:
            break
        os.unlink(w.path(name))
    assert got == number, f"a file numbered {number}: {got}"
    return name


def others(w, twin):
    """What isn't the watched file: one of its number, another name of what it is below, the layers' own."""
    w.open_write_close(twin)
    os.link(w.path(twin), w.path("twin's"))
    w.open_write_close("twin's")
    os.unlink(w.path("twin's"))
    for name in ("hard", "../low/log", "../up/log"):
        if os.path.isfile(w.path(name)):
            with open(w.path(name)) as f:
                f.read()


def copied_up(w, below):
    """A file of the layer below is read, written (and so copied), read by who had it open before, moved."""
    p = w.path("log")
    twin = until_number(w, below)
    reader = w.does("open", lambda: os.open(p, os.O_RDONLY))
    w.does("read", lambda: os.pread(reader, 100, 0), bytes=5)
    others(w, twin)
    fd = w.does("open", lambda: os.open(p, os.O_RDWR))
    w.does("write", lambda: os.write(fd, b"above, longer"), bytes=13)
    w.does("close", lambda: os.close(fd))
    w.does("sync", lambda: os.fsync(reader))
    others(w, twin)
    w.open_write_close("hard")  # now a file of its own
    w.does("rename", lambda: os.rename(p, w.path("log.1")), to="log.1")
    w.does("sync", lambda: os.fsync(reader), name="log.1")
    fd = w.does("open", lambda: os.open(w.path("log.1"), os.O_RDONLY), name="log.1")
    w.does("read", lambda: os.read(fd, 100), name="log.1", bytes=13)
    w.does("close", lambda: os.close(fd), name="log.1")
    w.does("close", lambda: os.close(reader), name="log.1")
    others(w, twin)
    fd = w.does("open", lambda: os.open(p, os.O_RDWR | os.O_CREAT, 0o600))
    w.does("write", lambda: os.write(fd, b"new"), bytes=3)
    w.does("close", lambda: os.close(fd))
    w.does("unlink", lambda: os.unlink(p))


def moved_unwritten(w):
    """It is copied up because it is moved: who has it open reads on."""
    reader = w.does("open", lambda: os.open(w.path("log"), os.O_RDONLY))
    w.does("rename", lambda: os.rename(w.path("log"), w.path("log.1")), to="log.1")
    w.does("read", lambda: os.read(reader, 100), name="log.1", bytes=5)
    w.open_write_close("hard")
    w.does("close", lambda: os.close(reader), name="log.1")


def numbered_alike(w):
    """A directory is watched; a file beside it has its number, where the overlay invents numbers for directories."""
    w.open_write_close(until_number(w, os.stat(w.path("dir")).st_ino))
    w.does("mkdir", lambda: os.mkdir(w.path("dir/sub")), name="dir/sub")
    fd = w.does("open", lambda: os.open(w.path("dir/old"), os.O_RDONLY), name="dir/old")
    w.does("close", lambda: os.close(fd), name="dir/old")


def make_log(folder):
    with open(folder + "/log", "w") as f:
        f.write("below")
    os.link(folder + "/log", folder + "/hard")


def make_dirs(folder):
    for i in range(200):
        os.mkdir(f"{folder}/{i}")
    os.mkdir(folder + "/dir")
    open(folder + "/dir/old", "w").close()


def overlays():
    """Layers on two file systems, whose files have the same numbers; and on one."""
    for body in (copied_up, moved_unwritten):
        lower, upper = mount_tmpfs(), mount_tmpfs()
        for i in range(50):  # numbers that the other layer has not given away yet
            open(f"{lower}/{i}", "w").close()
        folder = overlay(lower, upper, make_log)
        if not folder:
            return
        args = [os.stat(lower + "/low/log").st_ino] if body == copied_up else []
        with Sonda("trace", "fs.file", "--file", folder + "/log") as s:
            told = [in_process(run, body, folder, *args)]
        compare(s, told, f"a file of an overlay, {body.__name__}")
        LIBC.umount2(folder.encode(), 0)
    upper = mount_tmpfs()
    folder = overlay(mount_tmpfs(), upper, make_dirs)
    for i in range(200):
        os.stat(f"{folder}/{i}")
    with Sonda("trace", "fs.file", "--file", folder + "/dir") as s:
        told = [in_process(run, numbered_alike, folder)]
    compare(s, told, "a directory of an overlay")
    LIBC.umount2(folder.encode(), 0)
    one = scratch_fs("ext4")
    if not one:
        return
    folder = overlay(one, one, lambda low: open(low + "/log", "w").close())
    with Sonda("trace", "fs.file", "--file", folder + "/log") as s:
        told = [in_process(run, body, folder) for body in (uses, rotation, replaced, reuse)]
    compare(s, told, "a file of an overlay on one file system")
    os.mkdir(folder + "/dir")
    with Sonda("trace", "fs.file", "--file", folder + "/dir") as s:
        told = [in_process(run, below, folder)]
    compare(s, told, "a directory of an overlay on one file system")
    LIBC.umount2(folder.encode(), 0)


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
    overlays()
    for args, code in ((["trace", "fs.file"], 2), (["trace", "fs.file", "--file", "/none/at/all"], None)):
        r = run_sonda(*args)
        check(r.code == code or (code is None and r.code not in (0, 1)), f"{args}: exit {r.code}: {r.stderr}")
    done()


main()
