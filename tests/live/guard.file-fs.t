#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.file on file systems with numbers of their own: overlays, subvolumes of btrfs, those that a process serves.

Truth: what becomes of a process that reads, also when the kernel has forgotten the files meanwhile.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from filetest import *
from fuse import fuse_end, fuse_serve
from scratch import LIBC, mount_tmpfs, private_mounts, scratch_fs, system_call

STOPPED = (errno.EACCES, -signal.SIGKILL)


def forget(folder):
    """Directories and files there that nobody holds are looked for anew."""
    fd = os.open(folder, os.O_RDONLY)
    system_call(LIBC.syncfs(fd), "syncfs")
    os.close(fd)
    write("/proc/sys/vm/drop_caches", "2\n")


def stopped(what, path):
    got = outcome(read(path))
    check(got in STOPPED, f"{what}: {got}")


def apply(rules):
    write(TOP + "/policy", rules)
    r = run_sonda("policy", "apply", TOP + "/policy", json_output=False)
    is_in_force(r)
    return r.stderr


def overlay(name, lower, upper, options=""):
    for d in ("low/a/b/c", "low/d"):
        os.makedirs(f"{lower}/{d}")
    for f in ("low/a/b/c/f", "low/a/b/g", "low/d/f", "low/free"):
        write(f"{lower}/{f}", "x")
    for d in ("up", "work"):
        os.makedirs(f"{upper}/{d}", exist_ok=True)
    merged = f"{TOP}/{name}"
    os.mkdir(merged)
    data = f"lowerdir={lower}/low,upperdir={upper}/up,workdir={upper}/work{options}"
    system_call(LIBC.mount(b"overlay", merged.encode(), b"overlay", 0, data.encode()), f"mount an overlay, {data}")
    return merged


def overlay_holds(name, merged):
    said = apply(f"rule deep deny read of file under {merged}/a/b/c accept kill\n"
                 f"rule file deny read of file {merged}/a/b/g accept kill\n"
                 f"rule shallow deny read of file under {merged}/d accept kill\n")
    check("xino" not in said, f"{name}: nothing to be said: {said}")
    for when in ("at first", "forgotten by the kernel", "copied up", "copied up and forgotten"):
        for f in ("a/b/c/f", "a/b/g", "d/f"):
            stopped(f"{name}: {f}, {when}", f"{merged}/{f}")
        passes(f"{name}: what no rule is about, {when}", read(f"{merged}/free"))
        if when == "forgotten by the kernel":
            for f in ("a/b/c/f", "a/b/g", "d/f"):
                os.chmod(f"{merged}/{f}", 0o600)
        else:
            forget(merged)


def overlays():
    if "overlay" not in open("/proc/filesystems").read().split():
        return
    ext4 = scratch_fs("ext4")
    if not ext4:
        return
    overlay_holds("layers on one", overlay("one", ext4, ext4))
    os.mkdir(ext4 + "/second")
    os.mkdir(ext4 + "/third")
    overlay_holds("xino", overlay("xino", ext4 + "/second", TOP, ",xino=on"))
    merged = overlay("two", ext4 + "/third", mount_tmpfs("20m"))
    said = apply(f"rule told alert read of file under {merged}/a/b\n")
    check(f"{merged}/a/b: on this overlay numbers of files don't last" in said and "xino=on" in said, f"it is said: {said}")


def subvolumes():
    top = scratch_fs("btrfs", "200M") if shutil.which("btrfs") else None
    if not top:
        return
    subprocess.run(["btrfs", "subvolume", "create", f"{top}/a"], check=True, stdout=subprocess.DEVNULL)
    os.makedirs(f"{top}/a/d/e")
    write(f"{top}/a/secret", "x")
    write(f"{top}/a/d/e/f", "x")
    write(f"{top}/a/free", "x")
    os.mkdir(f"{TOP}/elsewhere")
    loop = next(l.split()[0] for l in open("/proc/mounts") if l.split()[1] == top)
    system_call(LIBC.mount(loop.encode(), f"{TOP}/elsewhere".encode(), b"btrfs", 0, b"subvol=a"), "mount the subvolume")
    apply(f"rule secret deny read of file {top}/a/secret accept kill\n"
          f"rule tree deny read of file under {top}/a/d accept kill\n")
    for when in ("at first", "forgotten by the kernel"):
        for where in (f"{top}/a", f"{TOP}/elsewhere"):
            for f in ("secret", "d/e/f"):
                stopped(f"btrfs: {where}/{f}, {when}", f"{where}/{f}")
        passes(f"btrfs: what no rule is about, {when}", read(f"{top}/a/free"))
        forget(top)
    system_call(LIBC.umount2(f"{TOP}/elsewhere".encode(), 0), "umount")


def served():
    """A number is what the server says; the place stays."""
    folder = f"{TOP}/served"
    os.mkdir(folder)
    server = fuse_serve(folder)
    if not server:
        return print("not shown: no FUSE here")
    check(os.stat(f"{folder}/f").st_ino != os.stat(f"{folder}/f").st_ino, "each time another number")
    apply(f"rule place deny read of file {folder}/f accept kill\n")
    for _ in range(2):
        stopped("FUSE: of another number than before", f"{folder}/f")
    passes("FUSE: what no rule is about", read(f"{folder}/free"))
    apply(f"rule tree deny read of file under {folder} accept kill\n")
    stopped("FUSE: below its root", f"{folder}/free")
    fuse_end(folder, server)


def main():
    global TOP
    private_mounts()
    TOP = mount_tmpfs("20m")
    try:
        overlays()
        subvolumes()
        served()
        check_equal(run_sonda("policy", "off", json_output=False).code, 0, "off")
    finally:
        subprocess.run([SONDA, "policy", "off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in ("one", "xino", "two", "elsewhere", "served"):
            LIBC.umount2(f"{TOP}/{name}".encode(), 2)
    done()


main()
