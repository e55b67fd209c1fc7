# SPDX-License-Identifier: BSD-2-Clause
"""A file system of their own for live tests, on a loop device in memory; gone at the test's end.

    private_mounts()		nothing that is mounted from here on is seen outside
    folder = scratch_fs("ext4")	None where the kernel or mkfs lacks it
"""

import atexit
import ctypes
import os
import shutil
import subprocess
import tempfile

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 0x1000, 0x4000, 1 << 18, 2
_undo = []


def system_call(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), what)


def private_mounts():
    system_call(LIBC.unshare(CLONE_NEWNS), "unshare")
    system_call(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount")


def _run(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.decode().strip() if done.returncode == 0 else None


def mount_tmpfs(size="300m"):
    folder = os.path.realpath(tempfile.mkdtemp(prefix="sonda-scratch-"))
    system_call(LIBC.mount(b"none", folder.encode(), b"tmpfs", 0, f"size={size}".encode()), "mount")
    _undo.append(lambda: (LIBC.umount2(folder.encode(), MNT_DETACH), os.rmdir(folder)))
    return folder


def bind_mount(what, where):
    system_call(LIBC.mount(what.encode(), where.encode(), None, MS_BIND, None), "mount")
    _undo.append(lambda: LIBC.umount2(where.encode(), 0))


def scratch_fs(fstype, size="64M", features=()):
    """A mounted, empty file system of that type, made with these options of its mkfs; or None."""
    if fstype not in open("/proc/filesystems").read().split() or not shutil.which("mkfs." + fstype):
        return None
    folder = mount_tmpfs()
    image, top = folder + "/image", folder + "/top"
    os.mkdir(top)
    _run("truncate", "-s", size, image)
    if _run("mkfs." + fstype, "-q", *features, image) is None:
        return None
    loop = _run("losetup", "--show", "-f", image)
    if not loop:
        return None
    _undo.append(lambda: _run("losetup", "-d", loop))
    if LIBC.mount(loop.encode(), top.encode(), fstype.encode(), 0, None) < 0:
        return None
    _undo.append(lambda: LIBC.umount2(top.encode(), 0))
    return top


def any_disk():
    """A directory of a file system that isn't in memory alone; None."""
    for line in open("/proc/mounts"):
        _, where, kind, options, *_ = line.split()
        if kind in ("ext4", "xfs", "btrfs") and "rw" in options.split(",") and os.access(where, os.W_OK):
            return where
    private_mounts()
    return scratch_fs("ext4")


@atexit.register
def _undo_all():
    if os.getpid() == _owner:
        for undo in reversed(_undo):
            undo()


_owner = os.getpid()
