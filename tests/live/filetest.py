# SPDX-License-Identifier: BSD-2-Clause
"""Ways to a file, for the tests of guard.file: what a process gets when it goes one of them."""

import ctypes
import errno
import mmap
import os
import signal
import struct
import subprocess

from sondatest import *

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000
NR_OPENAT, NR_EXECVEAT, NR_OPENAT2, NR_RENAMEAT2 = 257, 322, 437, 316
NR_NAME_TO_HANDLE, NR_OPEN_BY_HANDLE, NR_URING_SETUP, NR_URING_ENTER = 303, 304, 425, 426
NR32_OPEN, NR32_TRUNCATE = 5, 92
RENAME_EXCHANGE = 2
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000


def call(nr, *args):
    """The call's result, or -errno; bytes are passed by address."""
    ret = LIBC.syscall(ctypes.c_long(nr), *[ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a)
                                            for a in args])
    return ret if ret >= 0 else -ctypes.get_errno()


def outcome(act):
    """What `act` ends with in a process of its own: 0, an errno, or 255 for anything else."""
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            got = act()
            if isinstance(got, int) and got < 0:
                code = -got
        except OSError as e:
            code = e.errno
        except BaseException:
            code = 255
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


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


def uring(op, *names, len_=0, off=0, flags=0):
    """One request about names; `off` stands for the second where there is one."""
    def act():
        params = ctypes.create_string_buffer(120)
        ring = LIBC.syscall(NR_URING_SETUP, 4, params)
        if ring < 0:
            return -errno.EACCES  # there is no such way here
        p = struct.unpack("30I", params.raw)
        sq_off, cq_off = p[10:20], p[20:30]
        sq = mmap.mmap(ring, sq_off[6] + p[0] * 4, flags=mmap.MAP_SHARED, offset=0)
        cq = mmap.mmap(ring, cq_off[5] + p[1] * 16, flags=mmap.MAP_SHARED, offset=0x8000000)
        sqes = mmap.mmap(ring, p[0] * 64, flags=mmap.MAP_SHARED, offset=0x10000000)
        texts = [ctypes.create_string_buffer(os.fsencode(n)) for n in names]
        second = ctypes.addressof(texts[1]) if len(texts) > 1 else off
        sqes[0:64] = struct.pack("BBHiQQIIQ16x", op, 0, 0, AT_FDCWD, second, ctypes.addressof(texts[0]), len_ & 0xffffffff,
                                 flags, 0).ljust(64, b"\0")
        struct.pack_into("I", sq, sq_off[6], 0)
        struct.pack_into("I", sq, sq_off[1], 1)
        LIBC.syscall(NR_URING_ENTER, ring, 1, 1, 1, None, 0)
        return struct.unpack_from("i", cq, cq_off[5] + 8)[0]
    return act


URING_OPENAT, URING_RENAMEAT, URING_UNLINKAT, URING_SYMLINKAT, URING_LINKAT = 18, 35, 36, 38, 39


def uring_open(path):
    return uring(URING_OPENAT, path, flags=os.O_RDONLY)


def syscall32(nr, *args):
    """int $0x80: eax=nr, ebx, ecx, edx."""
    code = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40,  # MAP_32BIT
                     mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("53" "89f8" "4989c8" "89f3" "89d1" "4489c2" "31f6" "cd80" "5b" "4898" "c3"))
    where = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_long] * 4)(where)(nr, *(list(args) + [0] * 3)[:3])


def low_text(text):
    page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, mmap.PROT_READ | mmap.PROT_WRITE)
    page.write(text + b"\0")
    low_text.pages.append(page)
    return ctypes.addressof(ctypes.c_char.from_buffer(page))


low_text.pages = []


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
