#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fs.mount: every mount, umount and change of one, also by the calls that do it in steps.

Truth: what the workload asked for and what the calls returned; /proc/self/mountinfo says what became of it.
"""

import ctypes
import errno
import os
import shutil
import struct
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *
from scratch import LIBC, private_mounts

MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE, MS_SHARED = \
    1, 2, 32, 4096, 8192, 16384, 1 << 18, 1 << 20
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8
NR_OPEN_TREE, NR_MOVE_MOUNT, NR_FSOPEN, NR_FSCONFIG, NR_FSMOUNT = 428, 429, 430, 431, 432
FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE, MOVE_MOUNT_F_EMPTY_PATH, AT_FDCWD = 1, 6, 4, -100
OPEN_TREE_CLONE = MOUNT_ATTR_RDONLY = 1
NR_MOUNT_SETATTR = 442


def text(s):
    return None if s is None else os.fsencode(s)


class Work:
    def __init__(self, folder):
        self.folder, self.want = folder, []

    def told(self, result, **fields):
        fields["err"] = None if result >= 0 else errno.errorcode[ctypes.get_errno()]
        self.want.append(fields)
        return result

    def mount(self, op, what, target, kind, flags, data, words=None, **more):
        r = LIBC.mount(text(what), text(target), text(kind), ctypes.c_ulong(flags), text(data))
        return self.told(r, op=op, target=target, flags=words, **more)

    def run(self):
        f = self.folder
        a, b, c = f + "/a", f + "/b", f + "/c"
        for d in (a, b, c):
            os.mkdir(d)
        self.mount("mount", "none", a, "tmpfs", MS_NOSUID, "size=1m,mode=700", "nosuid", source="none",
                   fstype="tmpfs", options="size=1m,mode=700")
        self.mount("remount", None, a, None, MS_REMOUNT | MS_RDONLY, None, "rdonly|remount")
        self.mount("bind", a, b, None, MS_BIND | MS_REC, None, "bind|rec", source=a)
        self.mount("propagation", None, a, None, MS_PRIVATE, None, "private")
        os.chdir(f)
        self.mount("move", "b", c, None, MS_MOVE, None, "move", source=b)
        mounted = [l.split()[4] for l in open("/proc/self/mountinfo")]
        check_equal([d in mounted for d in (a, b, c)], [True, False, True], "what is mounted")
        self.mount("mount", "none", f + "/none", "tmpfs", 0, None, "0", source="none", fstype="tmpfs")
        self.mount("mount", "//server/share", a, "cifs", 0, "user=me,password=secret", "0", fstype="cifs", options="")
        self.told(LIBC.umount2(text(c), MNT_DETACH), op="umount", target=c, umount_flags="detach")
        self.told(LIBC.umount2(text(b), UMOUNT_NOFOLLOW), op="umount", target=b, umount_flags="nofollow")
        self.steps(f)
        self.told(LIBC.syscall(155, b".", b"/none"), op="pivot_root", source=f + "/.", target="/none")
        self.told(LIBC.umount2(text(a), 0), op="umount", target=a)
        return self.want

    def steps(self, f):
        """The newer calls: a file system opened, configured, made, and attached."""
        fd = self.told(LIBC.syscall(NR_FSOPEN, b"tmpfs", 1), op="fsopen", fstype="tmpfs")
        if fd < 0:
            return
        self.want[-1]["fd"] = fd
        key = lambda *a: LIBC.syscall(NR_FSCONFIG, fd, *a)
        self.told(key(FSCONFIG_SET_STRING, b"size", b"1m", 0), op="fsconfig", options="size", value="1m", fd=fd)
        self.told(key(FSCONFIG_SET_STRING, b"password", b"123", 0), op="fsconfig", options="password", value="")
        self.told(key(FSCONFIG_CMD_CREATE, None, None, 0), op="fsconfig", options="")
        m = self.told(LIBC.syscall(NR_FSMOUNT, fd, 1, 0), op="fsmount")
        self.told(LIBC.syscall(NR_MOVE_MOUNT, m, b"", AT_FDCWD, text(f + "/b"), MOVE_MOUNT_F_EMPTY_PATH),
                  op="move_mount", target=f + "/b", fd=m)
        attr = struct.pack("4Q", MOUNT_ATTR_RDONLY, 0, 0, 0)
        self.told(LIBC.syscall(NR_MOUNT_SETATTR, AT_FDCWD, text(f + "/b"), 0, attr, len(attr)), op="mount_setattr",
                  target=f + "/b", fd=None)
        self.told(LIBC.syscall(NR_OPEN_TREE, AT_FDCWD, text(f + "/b"), OPEN_TREE_CLONE), op="open_tree",
                  target=f + "/b")
        self.told(LIBC.umount2(text(f + "/b"), MNT_DETACH), op="umount", target=f + "/b", umount_flags="detach")


def workload(folder):
    private_mounts()
    return os.stat("/proc/self/ns/mnt").st_ino, Work(folder).run()


def main():
    folder = os.path.realpath(tempfile.mkdtemp(prefix="fs-mount-"))
    LIBC.syscall.restype = ctypes.c_long
    try:
        with Sonda("trace", "fs.mount") as s:
            pid, (ns, want) = in_process(workload, folder)
        rows = [r for r in s.rows if r["pid"] == pid][1:]  # the first made the namespace's mounts private
        check_equal([r["op"] for r in rows], [w["op"] for w in want], "operations in their order")
        for row, wanted in zip(rows, want):
            check_equal({k: row[k] or None for k in wanted}, {k: v or None for k, v in wanted.items()}, "a row")
            check_equal(row["mnt_ns"], ns, "mount namespace")
        check("secret" not in s.stdout and "123" not in [r["value"] for r in rows], "no secrets are shown")
    finally:
        shutil.rmtree(folder)
    done()


main()
