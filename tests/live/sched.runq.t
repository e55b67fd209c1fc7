#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""sched.runq: every wait for a CPU, how long, whose and why.

Truth: /proc/PID/schedstat (time waited and times run, to the nanosecond), cpu.stat of a cgroup with
a quota, the number of threads made.
"""

import itertools
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *
from workers import *

THREADS = 500 if IN_GUEST else 6000
# this kernel changes some threads without its tracepoint sched_switch, for perf as for BPF
UNSEEN = 0 if IN_GUEST else 0.03


def waited(pid):
    """Nanoseconds waited, and times run, of a process with one thread."""
    _, delay_ns, times = map(int, open(f"/proc/{pid}/schedstat").read().split())
    return delay_ns, times


class Counted:
    """What sonda and the kernel say of some workers, while the block runs and they rest around it."""

    def __init__(self, workers, *args):
        self.workers, self.args = workers, args

    def __enter__(self):
        self.sonda = Sonda("top", "sched.runq", "--by", "pid,cause", "--interval", "1h", *self.args)
        self.sonda.__enter__()
        self.before = {w.pid: waited(w.pid) for w in self.workers}
        return self

    def __exit__(self, *exc):
        after = {w.pid: waited(w.pid) for w in self.workers}
        self.truth = {pid: (after[pid][0] - ns, after[pid][1] - n) for pid, (ns, n) in self.before.items()}
        self.sonda.__exit__()
        self.rows = self.sonda.rows
        self.missed = self.sonda.stats.get("missed", 0)

    def told(self, pid, *causes):
        rows = [r for r in self.rows if r["pid"] == pid and (not causes or r["cause"] in causes)]
        return sum(r["waited_ns"] for r in rows), sum(r["waits"] for r in rows)

    def compare(self, what, exactly=True):
        for pid, (ns, times) in self.truth.items():
            got_ns, got_times = self.told(pid)
            least, unseen = self.missed + UNSEEN * times, got_times < times
            # the kernel forgets the wait of a thread preempted on its way to sleep; sonda does not
            check(times - least - 2 * unseen <= got_times <= 2 + times * 1.01,
                  f"{what}: {got_times} waits, the kernel counts {times}")
            slack_ns = 0 if exactly and not unseen else 30e6 + 0.1 * ns
            check(-slack_ns <= got_ns - ns <= slack_ns or got_times > times,
                  f"{what}: {got_ns} ns waited, the kernel counts {ns}")


def contention():
    """Four share a CPU: each one's waits to the nanosecond, and nobody was throttled. --cgroup asks
    about who waited, not about who ran before. Events are one for each wait, with who ran instead."""
    with Group() as inside, Workers(4) as everybody:
        *ws, outside = everybody
        first = ws[0].pid
        for w in ws:
            inside.add(w.pid)
        with Sonda("trace", "sched.runq", "--pid", first, "--min", "0") as s, \
                Sonda("trace", "sched.runq", "--pid", first, "--min", "2ms") as long, \
                Sonda("top", "sched.runq", "--by", "pid,cause", "--interval", "1h") as all_of_it, \
                Counted(ws, "--cgroup", inside.path) as c:
            together(everybody, "burn", 0.15 if IN_GUEST else 0.3, cpu=0)
    c.compare("on one CPU")
    check_filter_is_exact(all_of_it, c.sonda, ws, ("waits", "waited_ns"))
    for w in ws:
        check_equal(c.told(w.pid, "throttled")[1], 0, "waits that are called throttled without a quota")
        check(c.told(w.pid, "contention")[0] > 0, "waits for the others")
    missed = s.stats.get("missed", 0)
    told = c.told(first)
    check(abs(sum(r["took_ns"] for r in s.rows) - told[0]) < 50e6 or missed, "events and table agree")
    check(abs(len(s.rows) - told[1]) <= missed + c.missed, f"{len(s.rows)} rows for {told[1]} waits")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + s.stats["lost"], "the equation")
    check_equal({r["pid"] for r in s.rows}, {first}, "only its own")
    check({r["instead_pid"] for r in s.rows} & {w.pid for w in everybody[1:]}, "who ran instead")
    check_equal({r["cpu"] for r in s.rows if r["began"] == "preempted"}, {0}, "on which CPU")
    check(long.rows and all(r["took_ns"] >= 2000000 for r in long.rows), "--min")
    check(abs(len(long.rows) - sum(r["took_ns"] >= 2000000 for r in s.rows)) <= missed + long.stats.get("missed", 0),
          "all of them")


def moved():
    """Whoever is moved to another CPU while it waits has waited on both."""
    with Workers(4) as ws:
        with Counted(ws, "--pid", pids(ws)) as c:
            begin(ws, "burn", 0.2, cpu=0)
            for i in itertools.count():
                if all(w.is_done() for w in ws):
                    break
                os.sched_setaffinity(ws[i % 4].pid, {(i // 4) % 2})
                time.sleep(0.0005)
            finish(ws)
        c.compare("moved about", exactly=False)  # the clocks of two CPUs


def throttled():
    """A quota of a fifth: its waits are called throttled, as many and as long as cpu.stat says; also of
    one that is woken meanwhile. Those of a neighbour are not."""
    try:
        group = CpuGroup(20000, 100000)
    except OSError as e:
        print(f"no cgroup with a CPU quota here: {e}")
        return
    with group, Workers(3) as ws:
        burner, woken, neighbour = ws
        group.add(burner.pid)
        group.add(woken.pid)
        with Counted(ws, "--pid", pids(ws)) as c:
            before = group.stat()
            begin([burner], "burn", 0.15 if IN_GUEST else 0.25, cpu=1)  # CPU time: some periods
            begin([neighbour], "burn", 0.1, cpu=1)
            while not burner.is_done():
                together([woken], "burn", 0.0001, cpu=1)
            finish([burner, neighbour])
            stat = {k: n - before[k] for k, n in group.stat().items()}
        c.compare("with a quota")
        ns, times = c.told(burner.pid, "throttled")
        check(stat["nr_throttled"] >= 5, f"it was throttled {stat['nr_throttled']} times")
        check(stat["nr_throttled"] * 0.3 <= times + c.missed <= stat["nr_throttled"] + 2 + c.missed,
              f"{times} waits are called throttled, cpu.stat says {stat['nr_throttled']} times")
        check(ns > 0.8 * stat["throttled_ns"] or c.missed, f"{ns} ns, cpu.stat says {stat['throttled_ns']}")
        check(c.told(woken.pid, "throttled")[0] > 0.2 * stat["throttled_ns"] or c.missed,
              f"who was woken meanwhile: {c.told(woken.pid, 'throttled')}")
        check_equal(c.told(neighbour.pid, "throttled"), (0, 0), "the neighbour has no quota")


def without_work_ns(cpu):
    """What the hypervisor took of a CPU, and how long it was idle, by its tick."""
    line = next(l for l in open("/proc/stat") if l.startswith(f"cpu{cpu} "))
    of = [int(ticks) * 10**9 // os.sysconf("SC_CLK_TCK") for ticks in line.split()[1:]]
    return of[7], of[3] + of[4]


class Case:
    """A worker that can't run as it likes, and what the kernel's accounts say was the reason for most of it."""

    def __init__(self, worker, cpu, group=None):
        self.worker, self.cpu, self.group = worker, cpu, group
        if group:
            group.add(worker.pid)
        self.before = self.accounts()

    def accounts(self):
        throttled_ns = self.group.stat()["throttled_ns"] if self.group else 0
        return waited(self.worker.pid)[0], throttled_ns, *without_work_ns(self.cpu)

    def end(self):
        all_ns, throttled_ns, by_host_ns, idle_ns = (now - then for now, then in zip(self.accounts(), self.before))
        # an idle CPU of a guest may not get up for long, while its host is busy: then nobody ran instead
        self.parts = {"throttled": throttled_ns, "stolen": by_host_ns,
                      "contention": all_ns - throttled_ns - by_host_ns - (0 if self.group else idle_ns)}
        self.reason = max(self.parts, key=self.parts.get)
        # one with a quota that waited for others as well had waits of which either is true
        self.is_clear = self.parts[self.reason] > 0.65 * all_ns > 10e6 and (
            self.reason == "throttled" or not self.group)


def classified():
    """Twenty who wait, for a quota's sake, for another's, or for the hypervisor's: of each the cause with most of
    the time is the one that cpu.stat, schedstat and /proc/stat make it."""
    rounds, cases = 10, []
    try:
        group = CpuGroup(3000, 50000)
    except OSError as e:
        print(f"no cgroup with a CPU quota here: {e}")
        return
    with group, Workers(3 * rounds) as ws:
        with Sonda("top", "sched.runq", "--by", "pid,cause", "--pid", pids(ws), "--interval", "1h") as s:
            for i in range(rounds):
                limited, one, other = ws[3 * i:3 * i + 3]
                cases += [Case(limited, 1, group), Case(one, 0)]
                begin([limited], "burn", 0.012, cpu=1)
                begin([one, other], "burn", 0.06, cpu=0)
                finish([one, other])
                cases[-1].end()  # before its CPU is idle
                finish([limited])
                cases[-2].end()
    clear = [c for c in cases if c.is_clear]
    wrong = []
    for c in clear:
        told = {r["cause"]: r["waited_ns"] for r in s.rows if r["pid"] == c.worker.pid}
        if max(told, key=told.get, default=None) != c.reason:
            wrong.append((c.parts, told))
    reasons = [c.reason for c in clear]
    print(f"{len(clear) - len(wrong)} of {len(clear)} told apart: {reasons.count('throttled')} throttled, "
          f"{reasons.count('contention')} contention, {reasons.count('stolen')} stolen")
    check(s.stats.get("missed", 0) or not wrong, f"causes that are not the kernel's: {wrong}")
    check(len(clear) >= rounds and {"throttled", "contention"} <= set(reasons), f"cases that are clear: {reasons}")


def short_threads():
    """Each of many short threads waits once as a new one."""
    with Workers(1) as ws:
        with Sonda("top", "sched.runq", "--by", "pid,began", "--pid", ws[0].pid, "--interval", "1h") as s:
            together(ws, "threads", THREADS)
    new = sum(r["waits"] for r in s.rows if r["began"] == "new")
    check(THREADS * (1 - UNSEEN) - s.stats.get("missed", 0) <= new <= THREADS, f"{new} new threads of {THREADS}")
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")


contention()
moved()
throttled()
classified()
short_threads()
done()
