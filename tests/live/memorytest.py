# SPDX-License-Identifier: BSD-2-Clause
"""For tests of memory: cgroups with a limit, of version 2 or 1, and processes that use a known amount."""

import contextlib
import glob
import mmap
import os
import signal
import sys

from sondatest import *

MIB = 1 << 20
PAGE = mmap.PAGESIZE


class MemoryCgroup:
    """A cgroup with the memory controller of its own; gone after the block, and what runs in it."""

    def __init__(self, suffix=""):
        self.name = f"sonda-test-{os.getpid()}{suffix}"

    def __enter__(self):
        self.v2, root = memory_root()
        self.directory = f"{root}/{self.name}"
        os.mkdir(self.directory)
        return self

    def __exit__(self, *exc):
        for pid in self.read("cgroup.procs").split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        while self.read("cgroup.procs").split():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
        os.rmdir(self.directory)
        return False

    def read(self, file):
        return open(f"{self.directory}/{file}").read()

    def write(self, file, text):
        with open(f"{self.directory}/{file}", "w") as f:
            f.write(str(text))

    def limit(self, size):
        self.write("memory.max" if self.v2 else "memory.limit_in_bytes", size)

    def usage(self):
        return int(self.read("memory.current" if self.v2 else "memory.usage_in_bytes"))

    def kills(self):
        text = self.read("memory.events" if self.v2 else "memory.oom_control")
        return int(dict(line.split() for line in text.splitlines())["oom_kill"])

    def join(self):
        self.write("cgroup.procs", 0)


def memory_root():
    """(is it version 2, its directory) of the hierarchy with the memory controller."""
    for line in open("/proc/mounts"):
        _, directory, kind, options = line.split()[:4]
        if kind == "cgroup" and "memory" in options.split(","):
            return False, directory
    for line in open("/proc/mounts"):
        _, directory, kind = line.split()[:3]
        if kind == "cgroup2" and "memory" in open(f"{directory}/cgroup.controllers").read().split():
            with open(f"{directory}/cgroup.subtree_control", "w") as f:
                f.write("+memory")
            return True, directory
    skip("no cgroup hierarchy with the memory controller")


class Child:
    """A process that does `work`(child): there, child.ready() says that it has got so far and waits
    for child.go() here."""

    def __init__(self, work, name=None):
        self.up, self.down = os.pipe(), os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            os.close(self.up[0])
            os.close(self.down[1])
            with contextlib.suppress(BaseException):
                if name:
                    with open("/proc/self/comm", "w") as f:
                        f.write(name)
                work(self)
                status = 0
            os._exit(status)
        os.close(self.up[1])
        os.close(self.down[0])

    def ready(self):
        os.write(self.up[1], b".")
        os.read(self.down[0], 1)

    def wait_ready(self):
        """False: it has ended instead."""
        return bool(os.read(self.up[0], 1))

    def go(self):
        os.write(self.down[1], b".")

    def wait(self):
        """Its status, as waitpid tells it, and what it used."""
        _, status, used = os.wait4(self.pid, 0)
        os.close(self.up[0])
        os.close(self.down[1])
        return status, used

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()


def touch(memory, size):
    for at in range(0, size, PAGE):
        memory[at] = 1


def anonymous_untouched(size):
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(memory, "madvise"):
        memory.madvise(mmap.MADV_NOHUGEPAGE) if hasattr(mmap, "MADV_NOHUGEPAGE") else None
    return memory


def anonymous(size):
    memory = anonymous_untouched(size)
    touch(memory, size)
    return memory


def shared(size):
    memory = mmap.mmap(-1, size)  # MAP_SHARED: tmpfs of the kernel's own
    touch(memory, size)
    return memory


def rollup(pid):
    """Of /proc/PID/smaps_rollup, which walks the page tables, in bytes."""
    lines = open(f"/proc/{pid}/smaps_rollup").read().splitlines()[1:]
    return {l.split(":")[0]: int(l.split()[1]) * 1024 for l in lines}


def status_bytes(pid):
    """The sizes of /proc/PID/status, in bytes."""
    lines = [l.split() for l in open(f"/proc/{pid}/status") if l.rstrip().endswith("kB")]
    return {l[0].rstrip(":"): int(l[1]) * 1024 for l in lines}
