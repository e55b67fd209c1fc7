# SPDX-License-Identifier: BSD-2-Clause
"""Processes that do as they are told and rest otherwise, and cgroups for them: for tests of the scheduler.

    with Workers(2) as ws:
        together(ws, "burn", 0.1, cpu=0)    # each uses 0.1 s of CPU time
"""

import os
import select
import signal
import tempfile
import threading
import time

from sondatest import IN_GUEST, check_equal


def _burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def _nap(seconds):
    time.sleep(seconds)


def _threads(n):
    for _ in range(int(n)):
        t = threading.Thread(target=int)
        t.start()
        t.join()


_WORK = {"burn": _burn, "nap": _nap, "threads": _threads}


class Worker:
    """A process of one thread. It sleeps in read(2) while it has nothing to do."""

    def __init__(self):
        to_read, self.to = os.pipe()
        self.back, back_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.to)
            os.close(self.back)
            self._obey(to_read, back_write)
        os.close(to_read)
        os.close(back_write)

    @staticmethod
    def _obey(orders, answers):
        try:
            while order := os.read(orders, 64):
                name, amount = order.decode().split()
                _WORK[name](float(amount))
                os.write(answers, b".")
        finally:
            os._exit(0)

    def begin(self, work, amount, cpu=None):
        if cpu is not None:
            os.sched_setaffinity(self.pid, {cpu})
        os.write(self.to, f"{work} {amount}".encode().ljust(64))

    def is_done(self):
        return bool(select.select([self.back], [], [], 0)[0])

    def finish(self):
        """Waits until it is done, and sleeps again."""
        os.read(self.back, 1)
        while open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()[0] != "S":
            os.sched_yield()

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.to)
        os.close(self.back)


class Workers(list):
    def __init__(self, n):
        super().__init__(Worker() for _ in range(n))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for w in self:
            w.end()


def pids(workers):
    return ",".join(str(w.pid) for w in workers)


def begin(workers, work, amount, cpu=None):
    for w in workers:
        w.begin(work, amount, cpu)


def finish(workers):
    for w in workers:
        w.finish()


def together(workers, work, amount, cpu=None):
    begin(workers, work, amount, cpu)
    finish(workers)


def check_filter_is_exact(everything, filtered, workers, counted):
    """What a filter let through is what a run without it has of these processes, number by number; the others'
    it has not."""
    mine = {w.pid for w in workers}

    def of(s):
        return {pid: [sum(r[name] for r in s.rows if r["pid"] == pid) for name in counted] for pid in mine}

    check_equal({r["pid"] for r in filtered.rows} - mine, set(), "the filter: nobody else")
    if not everything.stats.get("missed", 0) + filtered.stats.get("missed", 0):
        check_equal(of(filtered), of(everything), f"the filter loses nothing of {', '.join(counted)}")


def mount_of(kind, option=""):
    """Where a file system of this kind, with this option, is mounted; or None."""
    for line in open("/proc/mounts"):
        _, where, fstype, options, *_ = line.split()
        if fstype == kind and (not option or option in options.split(",")):
            return where
    return None


class Group:
    """A cgroup (v2 unless a hierarchy is named) of its own; gone at the end, its members in the root."""

    def __init__(self, root=None):
        self.root = root or mount_of("cgroup2")
        if not self.root:
            raise OSError("no cgroup hierarchy")
        self.path = tempfile.mkdtemp(prefix="sonda-test-", dir=self.root)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for pid in self.read("cgroup.procs").split():
            self.write("cgroup.procs", pid, self.root)
        os.rmdir(self.path)

    def add(self, pid):
        self.write("cgroup.procs", pid)

    def read(self, name):
        with open(f"{self.path}/{name}") as f:
            return f.read()

    def write(self, name, value, where=None):
        with open(f"{where or self.path}/{name}", "w") as f:
            f.write(str(value))


class CpuGroup(Group):
    """One with a CPU quota, on whichever version has the controller. OSError where neither has."""

    def __init__(self, quota_us, period_us):
        v1 = mount_of("cgroup", "cpu")
        if not v1:
            with open(f"{mount_of('cgroup2')}/cgroup.subtree_control", "w") as f:
                f.write("+cpu")
        super().__init__(v1)
        try:
            if v1:
                self.write("cpu.cfs_period_us", period_us)
                self.write("cpu.cfs_quota_us", quota_us)
            else:
                self.write("cpu.max", f"{quota_us} {period_us}")
        except OSError:
            os.rmdir(self.path)
            raise

    def stat(self):
        """nr_periods, nr_throttled, throttled_ns."""
        words = dict(line.split() for line in self.read("cpu.stat").splitlines())
        ns = int(words["throttled_time"]) if "throttled_time" in words else 1000 * int(words["throttled_usec"])
        return {"nr_periods": int(words["nr_periods"]), "nr_throttled": int(words["nr_throttled"]), "throttled_ns": ns}
