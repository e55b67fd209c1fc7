# SPDX-License-Identifier: BSD-2-Clause
"""Disks of a test's own: loop devices over a file in memory, and in guests null_blk, which takes as long
for each request, and as many at a time, as it is told."""

import contextlib
import ctypes
import fcntl
import glob
import itertools
import mmap
import os
import re
import stat
import struct
import tempfile
import threading
import time

from scratch import LIBC as libc, private_mounts, system_call
from sondatest import skip

LOOP_SET_FD, LOOP_CLR_FD, LOOP_CTL_GET_FREE = 0x4C00, 0x4C01, 0x4C82
LOOP_SET_STATUS64, LOOP_GET_STATUS64, LO_FLAGS_PARTSCAN = 0x4C04, 0x4C05, 8
BLKPG, BLKPG_ADD, BLKPG_DEL = 0x1269, 1, 2
DM_CREATE, DM_REMOVE, DM_RESUME, DM_LOAD = 3, 4, 6, 9
DM_CONTROL = "/dev/mapper/control"
CONFIGFS = "/sys/kernel/config"
SCHEDSTATS = "/proc/sys/kernel/sched_schedstats"
_null_disks, _mapped = itertools.count(), itertools.count()


def mount(what, where, kind, options=""):
    system_call(libc.mount(what.encode(), where.encode(), kind.encode(), 0, options.encode()), f"mount {kind}")


def unmount(where):
    system_call(libc.umount2(where.encode(), 0), "umount")


def mounts_of_our_own():
    if os.geteuid() != 0:
        skip("needs root, for disks of its own")
    private_mounts()


@contextlib.contextmanager
def mounted(device, kind):
    where = tempfile.mkdtemp()
    mount(device, where, kind)
    try:
        yield where
    finally:
        unmount(where)
        os.rmdir(where)


@contextlib.contextmanager
def loop_disk(size, room=None):
    """A loop device of `size` bytes over a file in a tmpfs with room for `room`."""
    if not os.path.exists("/dev/loop-control"):
        skip("this kernel has no loop devices")
    directory = tempfile.mkdtemp()
    mount("none", directory, "tmpfs", f"size={room or size + (8 << 20)}")
    with open(f"{directory}/image", "wb+") as image:
        image.truncate(size)
        with open("/dev/loop-control") as control:
            path = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
        disk = os.open(path, os.O_RDWR)
        fcntl.ioctl(disk, LOOP_SET_FD, image.fileno())
    try:
        yield path
    finally:
        fcntl.ioctl(disk, LOOP_CLR_FD, 0)
        os.close(disk)
        libc.umount2(directory.encode(), 2)
        os.rmdir(directory)


def _with_partitions(disk):
    """A loop device has partitions only when it is told so."""
    status = bytearray(232)
    fcntl.ioctl(disk, LOOP_GET_STATUS64, status)
    flags, = struct.unpack_from("I", status, 52)
    struct.pack_into("I", status, 52, flags | LO_FLAGS_PARTSCAN)
    fcntl.ioctl(disk, LOOP_SET_STATUS64, bytes(status))


def _partition(disk, op, number, first, sectors):
    what = ctypes.create_string_buffer(struct.pack("qqi64s64s4x", 512 * first, 512 * sectors, number, b"", b""))
    fcntl.ioctl(disk, BLKPG, struct.pack("iiiP", op, 0, len(what) - 1, ctypes.addressof(what)))


@contextlib.contextmanager
def partitions(path, *places):
    """The disk's partitions, (first sector, sectors) of each; paths of their own, by their numbers."""
    name, nodes = os.path.basename(path), []
    with open(path, "rb") as disk, contextlib.ExitStack() as ends:
        if name.startswith("loop"):
            _with_partitions(disk)
        where = ends.enter_context(tempfile.TemporaryDirectory())
        for number, (first, sectors) in enumerate(places, 1):
            _partition(disk, BLKPG_ADD, number, first, sectors)
            ends.callback(_partition, disk, BLKPG_DEL, number, 0, 0)
            major, minor = open(f"/sys/class/block/{name}p{number}/dev").read().split(":")
            nodes.append(f"{where}/{name}p{number}")
            os.mknod(nodes[-1], 0o600 | stat.S_IFBLK, os.makedev(int(major), int(minor)))
        yield nodes


def has_mapper():
    """Its control may be there where its driver isn't."""
    with open("/proc/misc") as f:
        return os.path.exists(DM_CONTROL) and "device-mapper" in f.read().split()


def _mapper(command, name, more=b"", targets=0):
    """One call to device mapper; the device's minor number."""
    call = bytearray(struct.pack("IIIIIIiIIIQ128s129s7x", 4, 0, 0, 312 + len(more), 312, targets, 0, 0, 0, 0, 0,
                                 name.encode(), b"") + more)
    with open(DM_CONTROL) as control:
        fcntl.ioctl(control, 3 << 30 | 312 << 16 | 0xfd << 8 | command, call)
    return os.minor(struct.unpack_from("Q", call, 40)[0])


@contextlib.contextmanager
def mapped(kind, sectors, arguments):
    """A device of device mapper with one target, as dmsetup(8) is given it."""
    name = f"sonda-test-{os.getpid()}-{next(_mapped)}"
    arguments = arguments.encode() + b"\0"
    arguments += bytes(-len(arguments) % 8)
    minor = _mapper(DM_CREATE, name)
    try:
        _mapper(DM_LOAD, name, struct.pack("QQiI16s", 0, sectors, 0, 0, kind.encode()) + arguments, 1)
        _mapper(DM_RESUME, name)
        yield f"/dev/dm-{minor}"
    finally:
        _mapper(DM_REMOVE, name)


MD_MAJOR, MD_STOP_ARRAY, MD_RUN_ARRAY, MD_ADD_NEW_DISK, MD_SET_ARRAY_INFO = 9, 0x932, 0x400C0930, 0x40140921, 0x40480923


def has_raid1():
    return os.path.isdir("/sys/module/raid1")


@contextlib.contextmanager
def mirrored(size, *legs):
    """A raid1 of these devices that nothing on them tells of, as mdadm --build makes it."""
    number = 90
    with open("/sys/module/md_mod/parameters/new_array", "w") as f:
        f.write(f"md{number}")
    node = tempfile.mktemp(prefix="sonda-md")
    os.mknod(node, 0o600 | stat.S_IFBLK, os.makedev(MD_MAJOR, number))
    md = os.open(node, os.O_RDWR)
    rdevs = [os.stat(leg).st_rdev for leg in legs]
    try:
        # level 1, size in KiB, disks, number, not persistent; then state 1: clean
        fcntl.ioctl(md, MD_SET_ARRAY_INFO, struct.pack("18i", 0, 90, 0, 0, 1, size >> 10, len(legs), len(legs), number, 1,
                                                       0, 1, len(legs), len(legs), 0, 0, 0, 0))
        for i, rdev in enumerate(rdevs):  # state 6: active and in sync
            fcntl.ioctl(md, MD_ADD_NEW_DISK, struct.pack("5i", i, os.major(rdev), os.minor(rdev), i, 6))
        fcntl.ioctl(md, MD_RUN_ARRAY, bytes(12))
        os.close(md)
        yield node
        md = os.open(node, os.O_RDWR)
    finally:
        fcntl.ioctl(md, MD_STOP_ARRAY)
        os.close(md)
        os.unlink(node)


def who_writes(device):
    """The process that the requests of a write by this one are of: on 5.10 a mirror's are made by md's own thread."""
    version = tuple(int(n) for n in os.uname().release.split(".")[:2])
    if os.major(os.stat(device).st_rdev) != MD_MAJOR or version >= (6, 1):
        return os.getpid()
    return next(int(path.split("/")[2]) for path in glob.glob("/proc/[0-9]*/comm") if open(path).read() == "md90_raid1\n")


def has_null_disk():
    return os.path.isdir("/sys/module/null_blk")


@contextlib.contextmanager
def null_disk(takes_ns, at_a_time, **more):
    """A disk that takes `takes_ns` for a request and has `at_a_time` of them at most; `more`: what else
    null_blk is told."""
    before = set(os.listdir("/sys/block"))
    if not os.path.isdir(f"{CONFIGFS}/nullb"):
        mount("none", CONFIGFS, "configfs")
    item = f"{CONFIGFS}/nullb/sonda{next(_null_disks)}"
    os.mkdir(item)
    settings = {"size": 64, "irqmode": 2, "completion_nsec": takes_ns, "hw_queue_depth": at_a_time,
                "submit_queues": 1, **more, "power": 1}
    try:
        for name, value in settings.items():
            with open(f"{item}/{name}", "w") as f:
                f.write(str(value))
        name = (set(os.listdir("/sys/block")) - before).pop()
        open(f"/sys/block/{name}/queue/scheduler", "w").write("none")
        yield f"/dev/{name}"
    finally:
        os.rmdir(item)


def transfer(path, op, sector, size):
    """Past the page cache; what it took in ns."""
    fd = os.open(path, os.O_RDWR | os.O_DIRECT)
    begin = time.monotonic_ns()
    call = os.preadv if op == "read" else os.pwritev
    call(fd, [mmap.mmap(-1, size)], 512 * sector)
    took = time.monotonic_ns() - begin
    os.close(fd)
    return took


@contextlib.contextmanager
def sleeps_accounted():
    """The kernel keeps account of how long threads sleep, while the block runs; False: it can't."""
    if not os.path.exists(SCHEDSTATS):
        yield False
        return
    kept = open(SCHEDSTATS).read()
    open(SCHEDSTATS, "w").write("1")
    try:
        yield True
    finally:
        open(SCHEDSTATS, "w").write(kept)


def slept_for_io_ns():
    """This thread, until now, by the kernel's account."""
    ms, part = re.search(r"iowait_sum +: +(\d+)\.(\d{6})", open("/proc/thread-self/sched").read()).groups()
    return int(ms + part)


def reads_at_once(path, count, slept=None):
    """`count` threads that each read another sector at the same time; {sector: ns that it took}. `slept`: a
    dictionary, for the same of what the thread slept for it by the kernel's account."""
    ready, took = threading.Barrier(count), {}

    def work(sector):
        fd, into = os.open(path, os.O_RDWR | os.O_DIRECT), mmap.mmap(-1, 4096)
        before = slept_for_io_ns() if slept is not None else 0
        ready.wait()
        begin = time.monotonic_ns()
        os.preadv(fd, [into], 512 * sector)
        took[sector] = time.monotonic_ns() - begin
        if slept is not None:
            slept[sector] = slept_for_io_ns() - before
        os.close(fd)

    threads = [threading.Thread(target=work, args=(8 * i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return took


def is_of(row, path, field="device"):
    """Is the row about the disk? The field is its name or its numbers."""
    rdev = os.stat(path).st_rdev
    return row[field] in (f"{os.major(rdev)}:{os.minor(rdev)}", os.path.basename(os.path.realpath(path)))
