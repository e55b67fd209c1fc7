#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fs.handle (sonda show file): files that this test has open, against what it opened; those of all
processes against /proc; and what /proc alone gives, in the same fields."""

import os
import sys
import tempfile

from sondatest import *

directory = tempfile.TemporaryDirectory()
PATH = os.path.realpath(directory.name)

log = os.open(f"{PATH}/big.log", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
os.write(log, b"x" * 300_000)
os.fsync(log)  # so that it has its blocks
os.lseek(log, 12_345, os.SEEK_SET)
os.unlink(f"{PATH}/big.log")
kept = os.open(f"{PATH}/kept", os.O_WRONLY | os.O_CREAT)
os.truncate(f"{PATH}/kept", 1 << 40)  # a hole: long, and nothing on the device
os.link(f"{PATH}/kept", f"{PATH}/again")
os.unlink(f"{PATH}/kept")  # its space is not free: another name
folder = os.open(PATH, os.O_RDONLY | os.O_DIRECTORY)
reader, writer = os.pipe()
memory = os.memfd_create("sonda-memory")
os.ftruncate(memory, 4096)
fds = {log, kept, folder, reader, writer, memory}


def show(*args, env=None):
    r = run_sonda("show", "file", *args, env=env)
    check_equal(r.code, 0, "exit code")
    return r.rows


def look(env, what):
    rows = {row["fd"]: row for row in show("--where", f"pid == {os.getpid()}", env=env)}
    check_equal(set(rows) & fds, fds, f"{what}: all descriptors")
    for fd in fds:
        check_equal(rows[fd]["path"], os.readlink(f"/proc/self/fd/{fd}"), f"{what}: path")
        check_equal(rows[fd]["inode"], os.fstat(fd).st_ino, f"{what}: inode")
        device = os.fstat(fd).st_dev
        check_equal(rows[fd]["device"], f"{os.major(device)}:{os.minor(device)}", f"{what}: device")
    row = rows[log]
    check_equal((row["size_bytes"], row["offset_bytes"]), (300_000, 12_345), f"{what}: length and place")
    check_equal(row["disk_bytes"], os.fstat(log).st_blocks * 512, f"{what}: on the device")
    check_equal((row["deleted"], row["path"]), (True, f"{PATH}/big.log (deleted)"), f"{what}: deleted")
    check_equal(set(row["flags"].split("|")) - {"O_LARGEFILE"}, {"O_RDWR", "O_APPEND"}, f"{what}: how it is open")
    check_equal((row["type"], row["comm"], row["user"]), ("regular", open("/proc/self/comm").read().strip(), "root"),
                f"{what}: whose")
    check_equal((rows[kept]["deleted"], rows[kept]["size_bytes"]), (False, 1 << 40), f"{what}: another name is left")
    check_equal(rows[kept]["disk_bytes"], os.fstat(kept).st_blocks * 512, f"{what}: a hole takes no space")
    check_equal((rows[folder]["type"], rows[reader]["type"]), ("directory", "fifo"), f"{what}: types")
    check_equal((rows[memory]["deleted"], rows[memory]["size_bytes"]), (True, 4096), f"{what}: a memfd")
    return rows


forced = dict(os.environ, SONDA_SNAPSHOT="proc")
kernel, proc = look(None, "iterators"), look(forced, "/proc")
for fd in fds:
    same = set(kernel[fd]) - {"time", "cgroup", "start_ns", "unit", "container"}
    check_equal({k: proc[fd][k] for k in same}, {k: kernel[fd][k] for k in same}, f"both tell the same of {fd}")

rows = show("--where", f"deleted == true and path ~ '{PATH}/**'", "--sort", "size")
check_equal([(row["pid"], row["fd"]) for row in rows], [(os.getpid(), log)], "who holds the deleted log")
rows = show("--where", f"path ~ '{PATH}/**'", "--sort", "size", "--fields", "fd")
check_equal([row["fd"] for row in rows][:2], [kept, log], "the longest first")

# everybody's: each that was open before and after must be there
def open_files():
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                found.add((int(pid), int(fd), os.readlink(f"/proc/{pid}/fd/{fd}")))
        except OSError:
            pass  # it ended, or is hidden
    return found


before = open_files()
rows = {(row["pid"], row["fd"], row["path"]) for row in show()}
steady = before & open_files()
# a path beyond a chroot or another mount namespace is told by where it is, not as its user sees it
missing = {each for each in steady - rows if not any(r[:2] == each[:2] for r in rows)}
check_equal(missing, set(), "every open file is there")
check(len(steady) > len(fds), "there are others")
done()
