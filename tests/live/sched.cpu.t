#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""sched.cpu: CPU time by process and cgroup.

Truth: /proc/PID/schedstat (to the nanosecond) and /proc/PID/stat (to the tick), getrusage of
children that are gone.
"""

import os
import resource
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *
from workers import *

TICK_NS = 1e9 / os.sysconf("SC_CLK_TCK")
SHORT = 60 if IN_GUEST else 300


def used(pid):
    """Nanoseconds run and waited; and run, as /proc/PID/stat says."""
    run, wait, _ = map(int, open(f"/proc/{pid}/schedstat").read().split())
    stat = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return run, wait, (int(stat[11]) + int(stat[12])) * TICK_NS


def by_process():
    """Workers in a cgroup: each one's time to the nanosecond, and the cgroup's is their sum."""
    with Group() as inside, Workers(3) as everybody:
        *ws, outside = everybody
        for w in ws:
            inside.add(w.pid)
        with Sonda("top", "sched.cpu", "--interval", "1h") as s, \
                Sonda("top", "sched.cpu", "--by", "cgroup", "--cgroup", inside.path, "--interval", "1h") as group:
            before = {w.pid: used(w.pid) for w in everybody}
            for i, w in enumerate(everybody):
                w.begin("burn", 0.1 * (i + 1))
            finish(everybody)
            truth = {w.pid: [a - b for a, b in zip(used(w.pid), before[w.pid])] for w in everybody}
        rows = {r["pid"]: r for r in s.rows}
    for pid, (run, wait, ticks) in truth.items():
        check_equal((rows[pid]["cpu_ns"], rows[pid]["waited_ns"]), (run, wait), "as in schedstat")
        check(abs(rows[pid]["cpu_ns"] - ticks) <= 2 * TICK_NS, f"{run} ns, as in stat: {ticks}")
        check(rows[pid]["system_ns"] <= run + 2 * TICK_NS, "of it in the kernel")
    check_equal([r["cpu_ns"] for r in group.rows], [sum(truth[w.pid][0] for w in ws)], "of the cgroup")
    check_equal(sorted(rows[w.pid]["cpu_ns"] for w in everybody), [rows[w.pid]["cpu_ns"] for w in everybody],
                "who burns most has most")
    check(os.getpid() in rows, "what was there already is told too")


def short_lived():
    """Many processes that live a moment: nothing is lost; they are told together."""
    work = f"i=0; while [ $i -lt {SHORT} ]; do /bin/true; i=$((i+1)); done; times"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    r = run_sonda("top", "sched.cpu", "--by", "pid,comm", "--once", "--", "sh", "-c", work)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # of sonda, which is not told, and of all that it waited for
    everything = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    times = [line for line in r.lines if not line.startswith("{")][1]  # of the shell's children
    true_s = sum(60 * float(m) + float(s) for m, s in (word.rstrip("s").split("m") for word in times.split()))
    told = sum(row["cpu_ns"] for row in r.rows if row["comm"] == "true") / 1e9
    least = (1 - r.stats.get("missed", 0) / SHORT) * true_s
    check(0.8 * least < told < min(1.05 * true_s, everything) + 0.05,
          f"{told} s of the short ones, by times {true_s} s, of everything {everything} s")
    check(all(row["pid"] == 0 or row["comm"] in ("sh", "true") for row in r.rows), "only the command's")
    check_equal(r.stats["lost"], r.stats.get("missed", 0), "nothing lost")


def threads():
    """Beside a tid stands the thread's own name; by process, that of the process."""
    work = ("import ctypes, threading, time\n"
            "def burn():\n"
            "    ctypes.CDLL(None).prctl(15, b'hot spot')\n"
            "    print('named', flush=True)\n"
            "    input()\n"
            "    end = time.thread_time() + 0.1\n"
            "    while time.thread_time() < end: pass\n"
            "t = threading.Thread(target=burn); t.start(); t.join()\n")
    p = subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdout.readline()
    leader = open(f"/proc/{p.pid}/comm").read().strip()
    with Sonda("top", "sched.cpu", "--by", "tid,comm", "--pid", p.pid, "--interval", "1h") as s, \
            Sonda("top", "sched.cpu", "--by", "comm", "--pid", p.pid, "--interval", "1h") as whole:
        p.communicate(b"\n")
    hot = [r for r in s.rows if r["comm"] == "hot spot"]
    check(len(hot) == 1 and hot[0]["tid"] not in (0, p.pid) and hot[0]["cpu_ns"] >= 1e8, f"the thread by its own name: {s.rows}")
    check_equal([r["comm"] for r in whole.rows], [leader], "without tid the process's")


def counted_when_it_happens():
    """Intervals shorter than the second between two looks: each has its own share."""
    with Workers(1) as (busy,):
        for probe in "sched.cpu", "process.usage":
            with Sonda("top", probe, "--by", "pid", "--pid", busy.pid, "--interval", "100ms") as s:
                together([busy], "burn", 1.5)
            rows = [r for r in s.rows if r["cpu_ns_delta"] or r["waited_ns_delta"]]
            check(2 * len(rows) >= len(s.rows) > 0, f"{probe}: it is told in {len(rows)} of {len(s.rows)} readings")


by_process()
short_lived()
threads()
counted_when_it_happens()
done()
