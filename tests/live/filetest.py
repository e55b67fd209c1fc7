# SPDX-License-Identifier: BSD-2-Clause
"""Ways to a file, for the tests of guard.file: what a process gets when it goes one of them."""

import ctypes
import errno
import os
import signal
import struct
import subprocess

from calls import *
from sondatest import *

AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000
NR_OPENAT, NR_EXECVEAT, NR_OPENAT2, NR_RENAMEAT2 = 257, 322, 437, 316
NR_OPEN_BY_HANDLE = 304
NR32_OPEN, NR32_TRUNCATE = 5, 92
RENAME_EXCHANGE = 2
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000


def refused(what, act):
    check_equal(errno.errorcode.get(outcome(act)), "EACCES", what)


def passes(what, act):
    check_equal(outcome(act), 0, what)


def read(path, flags=os.O_RDONLY, **how):
    return lambda: os.read(os.open(path, flags, **how), 1) and 0


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def script(path, text):
    write(path, text)
    os.chmod(path, 0o755)


def run(*argv):
    """Status of a command; 126 where it could not be run."""
    try:
        return subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    except OSError as e:
        return -e.errno


def executes(path):
    def act():
        got = run(path)
        return 0 if got == 0 else got if got < 0 else -errno.EACCES
    return act


def handle_open(path, folder):
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128))
    mount = ctypes.c_int()
    got = LIBC.name_to_handle_at(AT_FDCWD, os.fsencode(path), handle, ctypes.byref(mount), 0)
    if got < 0:
        return None
    root = os.open(folder, os.O_RDONLY)
    return lambda: call(NR_OPEN_BY_HANDLE, root, ctypes.addressof(handle), os.O_RDONLY)


def uring(op, *names, len_=0, off=0, flags=0, how=0, polled=False):
    """One request about names; `off` stands for the second where there is one."""
    def act():
        try:
            ring = Uring(polled)
        except OSError:
            return -errno.EACCES  # there is no such way here
        texts = [ctypes.create_string_buffer(os.fsencode(n)) for n in names]
        second = ctypes.addressof(texts[1]) if len(texts) > 1 else off
        return ring.do(op, AT_FDCWD, ctypes.addressof(texts[0]), second, len_, flags, how)
    return act


URING_OPENAT, URING_RENAMEAT, URING_UNLINKAT, URING_SYMLINKAT, URING_LINKAT = 18, 35, 36, 38, 39


def uring_open(path):
    return uring(URING_OPENAT, path, flags=os.O_RDONLY)


def mounted(*mount_args):
    """In a mount namespace of its own, something mounted; True if that could be done."""
    return not LIBC.unshare(CLONE_NEWNS) and not LIBC.mount(None, b"/", None, 0x44000, None) and \
        not LIBC.mount(*mount_args)


def in_userns(act, root):
    """As nobody in a user namespace of its own, `root` being its root directory."""
    def inside():
        os.setgroups([])
        os.setresuid(65534, 65534, 65534)
        if LIBC.unshare(CLONE_NEWUSER):
            return -errno.EACCES  # not permitted here
        os.chroot(root)
        return act()
    return inside
