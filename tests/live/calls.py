# SPDX-License-Identifier: BSD-2-Clause
"""System calls by number, also as 32-bit programs make them, and what an act in a process of its own ends with."""

import ctypes
import mmap
import os
import platform
import struct
import subprocess

LIBC = ctypes.CDLL(None, use_errno=True)
MAP_32BIT = 0x40


def call(nr, *args):
    """The call's result, or -errno; bytes are passed by address."""
    ret = LIBC.syscall(ctypes.c_long(nr), *[ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a)
                                            for a in args])
    return ret if ret >= 0 else -ctypes.get_errno()


def low_page(protection=mmap.PROT_READ | mmap.PROT_WRITE):
    """A page below 4 GiB."""
    return mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_32BIT, protection)


def call32(nr, *args):
    """int $0x80: eax=nr, ebx, ecx, edx; esi is 0."""
    code = low_page(mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # push rbx; mov eax,edi; mov r8,rcx; mov ebx,esi; mov ecx,edx; mov edx,r8d; xor esi,esi; int 0x80; cdqe; pop; ret
    code.write(bytes.fromhex("53" "89f8" "4989c8" "89f3" "89d1" "4489c2" "31f6" "cd80" "5b" "4898" "c3"))
    where = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_long] * 4)(where)(nr, *(list(args) + [0] * 3)[:3])


def low_text(text):
    """The address, below 4 GiB, of a copy of `text`."""
    page = low_page()
    page.write(text + b"\0")
    low_text.pages.append(page)
    return ctypes.addressof(ctypes.c_char.from_buffer(page))


low_text.pages = []


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


def outcome_as(uid, act):
    """outcome() of a process that is that user for good."""
    def run():
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        return act()
    return outcome(run)


def runs(*argv):
    """For outcome(): a program is run; the errno if it can't be, else what it ends with."""
    def act():
        return -subprocess.run(argv, stdout=subprocess.DEVNULL).returncode
    return act


class Uring:
    """An io_uring that does one request at a time; OSError where there is none. `polled`: a thread of the kernel's sees to it."""
    SETUP, ENTER, REGISTER = 425, 426, 427
    FIXED_FILE, BY_WORKER = 1, 16  # of a request

    def __init__(self, polled=False):
        self.enter = 3 if polled else 1
        params = ctypes.create_string_buffer(struct.pack("III", 0, 0, 2 if polled else 0), 120)
        self.ring = call(self.SETUP, 4, ctypes.addressof(params))
        if self.ring < 0:
            raise OSError(-self.ring, "io_uring")
        p = struct.unpack("30I", params.raw)
        self.submitted, self.completed, self.entries = p[10:20], p[20:30], p[1]
        self.sq = mmap.mmap(self.ring, self.submitted[6] + p[0] * 4, flags=mmap.MAP_SHARED, offset=0)
        self.cq = mmap.mmap(self.ring, self.completed[5] + p[1] * 16, flags=mmap.MAP_SHARED, offset=0x8000000)
        self.sqes = mmap.mmap(self.ring, p[0] * 64, flags=mmap.MAP_SHARED, offset=0x10000000)
        self.done = 0

    def register(self, fd):
        """Its file 0, to be named in a request with FIXED_FILE."""
        return call(self.REGISTER, self.ring, 2, struct.pack("i", fd), 1)

    def do(self, op, fd, address, offset=0, length=0, flags=0, how=0):
        """The request's result, or -errno."""
        self.sqes[0:64] = struct.pack("BBHiQQII", op, how, 0, fd, offset, address, length & 0xffffffff,
                                      flags).ljust(64, b"\0")
        struct.pack_into("I", self.sq, self.submitted[6], 0)
        struct.pack_into("I", self.sq, self.submitted[1], self.done + 1)
        call(self.ENTER, self.ring, 1, self.done + 1, self.enter, 0, 0)
        at = self.completed[5] + self.done % self.entries * 16
        self.done += 1
        return struct.unpack_from("i", self.cq, at + 8)[0]


class Aio:
    """What libaio does: requests handed over in one call, results taken in another."""
    CALLS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}  # io_setup, io_destroy, io_getevents, io_submit
    READ, WRITE, SYNC = 0, 1, 2

    def __init__(self, most):
        self.setup, self.destroy, self.getevents, self.submit_ = self.CALLS[platform.machine()]
        self.context, self.blocks = ctypes.c_ulong(), []
        got = call(self.setup, most, ctypes.addressof(self.context))
        if got < 0:
            raise OSError(-got, "io_setup")

    @classmethod
    def is_known(cls):
        return platform.machine() in cls.CALLS

    def submit(self, *requests):
        """How many of (operation, fd, address, bytes, offset) the kernel took, or -errno."""
        self.blocks = [ctypes.create_string_buffer(struct.pack("QIIHhIQQqQII", i, 0, 0, op, 0, fd, address, size, offset, 0, 0, 0))
                       for i, (op, fd, address, size, offset) in enumerate(requests)]
        pointers = (ctypes.c_void_p * len(requests))(*map(ctypes.addressof, self.blocks))
        return call(self.submit_, self.context.value, len(requests), ctypes.addressof(pointers))

    def results(self, n):
        """Of n requests, as many as were taken, by their place among those submitted: bytes or -errno."""
        events, got = (ctypes.c_longlong * (4 * n))(), {}
        while len(got) < n:
            taken = call(self.getevents, self.context.value, n - len(got), n - len(got), ctypes.addressof(events), 0)
            if taken < 0:
                raise OSError(-taken, "io_getevents")
            got.update((events[4 * i], events[4 * i + 2]) for i in range(taken))
        return got

    def end(self):
        call(self.destroy, self.context.value)
