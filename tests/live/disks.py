# SPDX-License-Identifier: BSD-2-Clause
"""Disks of a test's own: loop devices over a file in memory, and in guests null_blk, which takes as long
for each request, and as many at a time, as it is told."""

import contextlib
import fcntl
import itertools
import mmap
import os
import re
import tempfile
import threading
import time

from scratch import LIBC as libc, private_mounts, system_call
from sondatest import skip

LOOP_SET_FD, LOOP_CLR_FD, LOOP_CTL_GET_FREE = 0x4C00, 0x4C01, 0x4C82
CONFIGFS = "/sys/kernel/config"
SCHEDSTATS = "/proc/sys/kernel/sched_schedstats"
_null_disks = itertools.count()


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


def is_of(row, path):
    """Is the row about the disk? `device` is its name or its numbers."""
    rdev = os.stat(path).st_rdev
    return row["device"] in (f"{os.major(rdev)}:{os.minor(rdev)}", os.path.basename(os.path.realpath(path)))
