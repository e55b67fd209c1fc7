#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""process.hog: children that burn a CPU, write, touch memory, fork, open files, each until its verdict has come.

Truth: /proc/PID/schedstat, stat and io of the same child, from when it began to when it stopped; the
child's own count of forks and opens.
"""

import itertools
import mmap
import os
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *
from workers import Group, mount_of

CHUNK = 1 << 18
# low: others may have most of the machine
LIMITS = {"cpu-percent": 3, "cgroup-cpu-percent": 0, "faults-per-s": 20, "read-bytes-per-s": 1 << 16,
          "written-bytes-per-s": 1 << 16, "forks-per-s": 2, "opens-per-s": 20}


def burn():
    while True:
        for _ in range(10000):
            pass
        yield


def write():
    """A file that is cut short each time: what is written is dirty once more, and no disk has to be quick."""
    with tempfile.TemporaryFile(dir=disk(), buffering=0) as f:
        while True:
            os.pwrite(f.fileno(), bytes(CHUNK), 0)
            f.truncate(0)
            time.sleep(0.02)
            yield


def read():
    """A file that is thrown out of memory each time."""
    with tempfile.TemporaryFile(dir=disk(), buffering=0) as f:
        os.pwrite(f.fileno(), bytes(CHUNK), 0)
        os.fsync(f.fileno())
        while True:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            os.pread(f.fileno(), CHUNK, 0)
            time.sleep(0.02)
            yield


def touch_pages():
    with mmap.mmap(-1, 64 * mmap.PAGESIZE) as m:
        for at in range(0, len(m), mmap.PAGESIZE):
            m[at] = 1


def touch():
    while True:
        touch_pages()
        time.sleep(0.02)
        yield


SELDOM_S = 0.3
quick_rounds = mmap.mmap(-1, 8)  # of tire(), before it tires


def tire():
    """At first as quickly as it can, for two seconds, then seldom."""
    end = time.monotonic() + 2
    for n in itertools.count():
        touch_pages()
        if time.monotonic() > end:
            time.sleep(SELDOM_S)
        else:
            quick_rounds[:] = n.to_bytes(8, "little")
        yield


def fork():
    while True:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        yield


def open_files():
    """One that is there, and one that isn't."""
    while True:
        os.close(os.open("/dev/null", os.O_RDONLY))
        try:
            os.open("/dev/null/none", os.O_RDONLY)
        except NotADirectoryError:
            pass
        time.sleep(0.005)
        yield


def open_seldom():
    """More than is allowed, and hardly any work."""
    while True:
        os.close(os.open("/dev/null", os.O_RDONLY))
        time.sleep(0.01)
        yield


def burn_briefly():
    """In children that are gone before anybody looks twice: hardly any CPU time is its own."""
    while True:
        pid = os.fork()
        if pid == 0:
            while time.process_time() < 0.02:
                pass
            os._exit(0)
        os.waitpid(pid, 0)
        yield


def rest():
    while True:
        signal.pause()
        yield


def disk():
    """A directory whose file system is on a disk."""
    for line in open("/proc/mounts"):
        device, where, kind, options, *_ = line.split()
        if kind in ("ext4", "xfs", "btrfs") and "rw" in options.split(",") and os.access(where, os.W_OK):
            return where
    return None


class Child:
    """Works while it may; counts its rounds in memory that both have."""

    def __init__(self, work, group=None):
        self.rounds = mmap.mmap(-1, 8)
        self.pid = os.fork()
        if self.pid == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            for _ in work():
                self.rounds[:] = (self.count() + 1).to_bytes(8, "little")
        os.waitpid(self.pid, os.WUNTRACED)
        if group:
            group.add(self.pid)

    def count(self):
        return int.from_bytes(self.rounds[:], "little")

    def go(self):
        os.kill(self.pid, signal.SIGCONT)

    def halt(self):
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def used(self):
        """By the names of the probe."""
        stat = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        io = dict(line.split(": ") for line in open(f"/proc/{self.pid}/io").read().splitlines())
        return {"cpu_percent": int(open(f"/proc/{self.pid}/schedstat").read().split()[0]) / 1e7,
                "faults_per_s": int(stat[7]) + int(stat[9]), "written_bytes_per_s": int(io["write_bytes"]),
                "read_bytes_per_s": int(io["read_bytes"]), "forks_per_s": self.count(), "opens_per_s": 2 * self.count()}


def options():
    return [word for name, limit in LIMITS.items() for word in ("--" + name, limit)]


def verdict(s, what, step, **fields):
    fields.update(what=what, step=step)
    return s.wait_row(lambda r: all(r[k] == v for k, v in fields.items()), timeout=60)


class Witnesses:
    """Children that show by their ends that sonda has looked."""

    def __init__(self, group=None):
        self.all = [Child(open_seldom, group) for _ in range(3)]

    def wait_begun(self, s):
        for child in self.all:
            check(verdict(s, "opens_per_s", "begin", pid=child.pid, scope="process"), "it opens")

    def end_one_by_one(self, s):
        """Waits until all that sonda found in a look that began after this is told: the look that finds the first gone may be one
        that lasts already, and the one that finds the last gone comes after the one between."""
        for child in self.all:
            child.end()
            check(verdict(s, "opens_per_s", "end", pid=child.pid, scope="process"), "its end is told")


def is_over(s, what, **whose):
    """Waits until the last verdict on what rested when sonda last looked is over."""
    rows = {}

    def note(row):
        if row["what"] == what and all(row[k] == v for k, v in whose.items()):
            rows["last"] = row["step"]
        return False

    end = time.monotonic() + 60
    while time.monotonic() < end:
        s.wait_row(note, timeout=0.2)
        if rows.get("last") != "begin":
            return


def judge(s, what, used, lasting, limit=None, **whose):
    """What is told of a child, or a cgroup, that used so much between two rests. On a busy machine it may rest in
    between, so that there are more verdicts than one."""
    rows = [r for r in s.rows if r["what"] == what and all(r[k] == v for k, v in whose.items())]
    begins, ends = ([r for r in rows if r["step"] == step] for step in ("begin", "end"))
    limit = limit or LIMITS[what.replace("_", "-")]
    check(begins and len(begins) == len(ends), f"{what}: begins and is over: {rows}")
    check(all(r["limit"] == limit for r in rows), f"{what}: the limit {limit}: {rows}")
    check(all(r["lasted_ns"] >= (lasting - 0.5) * 1e9 for r in rows), f"{what}: long enough: {rows}")
    for begin, end in zip(begins, ends):
        check(begin["rate"] >= limit > end["rate"], f"{what}: crosses {limit}: {begin}, {end}")
        check(limit <= end["mean"] <= end["peak"] >= begin["peak"], f"{what}: mean and peak: {begin}, {end}")
    # all that it used is in the seconds that were too much, but for less than the limit in the others
    told = sum((r["mean"] + 0.5) * r["lasted_ns"] / 1e9 for r in ends)
    check(0.9 * used - 5 * limit <= told <= 1.1 * used + 2 * limit, f"{what}: {told} told, {used} in fact: {rows}")


class Processes:
    """Each gets the verdict that it is due, and one that rests gets none; what ends in the midst is over."""

    def __init__(self):
        works = {"cpu_percent": burn, "faults_per_s": touch, "forks_per_s": fork, "opens_per_s": open_files}
        if disk():
            works["written_bytes_per_s"] = write
            works["read_bytes_per_s"] = read
        self.children = {what: Child(work) for what, work in works.items()}
        self.mortal, self.idle, self.tiring = Child(burn), Child(rest), Child(tire)
        self.witnesses = Witnesses()
        self.all = [*self.children.values(), self.mortal, self.idle, self.tiring, *self.witnesses.all]
        self.pids = ",".join(str(c.pid) for c in self.all)
        self.before = {what: c.used()[what] for what, c in self.children.items()}

    def run(self, s):
        for what, child in self.children.items():
            verdict(s, what, "begin", pid=child.pid, scope="process")
        check(verdict(s, "cpu_percent", "begin", pid=self.mortal.pid), "it burns")
        self.witnesses.wait_begun(s)
        for child in [*self.children.values(), self.tiring]:
            child.halt()
        self.used = {what: c.used()[what] - self.before[what] for what, c in self.children.items()}
        self.mortal.end()
        check(verdict(s, "cpu_percent", "end", pid=self.mortal.pid), "its end ends it")
        self.witnesses.end_one_by_one(s)
        for what, child in self.children.items():
            is_over(s, what, pid=child.pid, scope="process")
        is_over(s, "faults_per_s", pid=self.tiring.pid)
        for child in [*self.children.values(), self.idle, self.tiring]:
            child.end()

    def judge(self, s):
        for what, child in self.children.items():
            judge(s, what, self.used[what], 1, pid=child.pid, scope="process")
        tiring = [r for r in s.rows if (r["pid"], r["what"]) == (self.tiring.pid, "faults_per_s")]
        # a busy machine may not let it be any quicker at first
        if int.from_bytes(quick_rounds[:], "little") / 2 > 4 / SELDOM_S:
            check("falling" in [r["trend"] for r in tiring], f"what grows less falls: {tiring}")
        check_equal([r for r in s.rows if r["pid"] == self.idle.pid], [], "verdicts on one that rests")
        check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")


class Cgroup:
    """Two that fork, whose children do little each, and one whose children burn; all is their cgroup's, though
    none of those children lives long enough to be judged."""

    def __init__(self, group):
        self.id = os.stat(group.path).st_ino
        self.group = group
        self.works = [Child(fork, group), Child(fork, group), Child(burn_briefly, group)]
        self.witnesses = Witnesses(group)
        self.all = [*self.works, *self.witnesses.all]
        self.before = self.cpu_percent()

    def cpu_percent(self):
        """For a second, of the whole machine."""
        stat = dict(line.split() for line in self.group.read("cpu.stat").splitlines())
        return int(stat["usage_usec"]) / 1e4 / os.cpu_count()

    def run(self, s):
        forks = verdict(s, "forks_per_s", "begin", cgroup=self.id, scope="cgroup")
        verdict(s, "cpu_percent", "begin", cgroup=self.id, scope="cgroup")
        self.witnesses.wait_begun(s)
        for child in self.works:
            child.halt()
        self.forks = sum(c.count() for c in self.works)
        self.cpu = self.cpu_percent() - self.before
        self.witnesses.end_one_by_one(s)
        is_over(s, "forks_per_s", cgroup=self.id, scope="cgroup")
        is_over(s, "cpu_percent", cgroup=self.id, scope="cgroup")
        for child in self.works:
            child.end()
        check(forks and forks["pid"] in [c.pid for c in self.works], f"its forks, and who forks most: {forks}")

    def judge(self, s):
        judge(s, "forks_per_s", self.forks, 2, cgroup=self.id, scope="cgroup")
        check_equal({r["cgroup"] for r in s.rows}, {self.id}, "no other")
        judge(s, "cpu_percent", self.cpu, 2, limit=1, cgroup=self.id, scope="cgroup")


if not mount_of("cgroup2"):
    skip("no cgroup v2 is mounted")
with Group() as place:
    single, group = Processes(), Cgroup(place)
    with Sonda("trace", "process.hog", "--lasting", 1, "--pid", single.pids, *options()) as s, \
            Sonda("trace", "process.hog", "--lasting", 2, "--cgroup", place.path, *options(),
                  "--cgroup-cpu-percent", 1) as of_group:
        for child in single.all + group.all:
            child.go()
        group.run(of_group)
        single.run(s)
    single.judge(s)
    group.judge(of_group)
done()
