#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""sched.offcpu: how long threads were blocked, in which call and state, and who woke them.

Truth: naps of known length, the workload's own clock around its blocking calls, and who wrote to whom.
"""

import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *
from workers import *

NAPS, NAP_S = (10, 0.01) if IN_GUEST else (50, 0.01)
CROWDED = NAPS // 5  # of them
STOPS = 5
SLACK = 0.4 if IN_GUEST else 0.1  # what so many who watch take in a slow guest; waits of the crowded are 0.8


def ns_of(rows):
    return sum(r["took_ns"] for r in rows)


def stopped(worker):
    """Job control: from SIGSTOP to SIGCONT."""
    os.kill(worker.pid, signal.SIGSTOP)
    while open(f"/proc/{worker.pid}/stat").read().rsplit(")", 1)[1].split()[0] != "T":
        os.sched_yield()
    began = time.monotonic_ns()
    time.sleep(0.05)
    least = time.monotonic_ns() - began
    os.kill(worker.pid, signal.SIGCONT)
    return least


def slept_times(pid):
    return int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])


def crowded_naps(sleeper, burner):
    """Naps after which another has the CPU, so that who is awake waits for it longer than it has slept."""
    os.sched_setscheduler(sleeper.pid, os.SCHED_IDLE, os.sched_param(0))
    for _ in range(CROWDED):
        before = slept_times(sleeper.pid)
        sleeper.begin("nap", NAP_S, cpu=0)
        while slept_times(sleeper.pid) == before:
            os.sched_yield()
        together([burner], "burn", 5 * NAP_S, cpu=0)
        sleeper.finish()
    os.sched_setscheduler(sleeper.pid, os.SCHED_OTHER, os.sched_param(0))
    for w in sleeper, burner:
        os.sched_setaffinity(w.pid, range(os.cpu_count()))


with Group() as inside, Workers(2) as ws:
    napper, other = ws
    for w in ws:
        inside.add(w.pid)
    began = time.monotonic_ns()  # a wait may begin as soon as the first watches
    with Sonda("trace", "sched.offcpu", "--pid", pids(ws), "--min", "0") as s, \
            Sonda("top", "sched.offcpu", "--by", "pid,call,reason", "--pid", pids(ws), "--interval", "1h") as table, \
            Sonda("top", "sched.offcpu", "--by", "pid,call,reason,waker_pid", "--pid", pids(ws), "--interval", "1h") as woken, \
            Sonda("top", "sched.offcpu", "--by", "pid,call", "--interval", "1h") as everything, \
            Sonda("top", "sched.offcpu", "--by", "pid,call", "--cgroup", inside.path, "--interval", "1h") as of_group, \
            Sonda("trace", "sched.offcpu", "--pid", napper.pid) as slow:
        for _ in range(NAPS - CROWDED):
            together([napper], "nap", NAP_S)
        crowded_naps(napper, other)
        least = min(stopped(other) for _ in range(STOPS))
        together([other], "burn", 0.001)
        for w in ws:  # the last wait of each ends, so that everything before it has been told
            together([w], "burn", 0.001)
        s.wait_row(lambda r: r["pid"] == other.pid and r["reason"] == "stopped")
        whole = time.monotonic_ns() - began

missed = s.stats.get("missed", 0)
mine = [r for r in s.rows if r["pid"] == napper.pid]
slept = [r for r in mine if r["call"] == "clock_nanosleep"]
# who is preempted on its way to sleep sleeps less, or not at all
check(NAPS * 0.6 - missed <= len(slept) <= NAPS, f"{len(slept)} rows for {NAPS} naps")
shorter = [r["took_ns"] for r in slept if r["took_ns"] < NAP_S * 1e9 * 0.98]
check(len(shorter) <= NAPS * 0.4, f"shorter naps: {shorter}")
check(ns_of(mine) <= whole, "all together not longer than it took")
check({r["reason"] for r in slept} == {"sleep"}, "asleep")
# an interrupt that comes in somebody's system call looks like his: in a slow guest nearly all do
check(IN_GUEST or any(r["waker_pid"] == 0 for r in slept), f"the timer's interrupt: {[r['waker'] for r in slept]}")
orders = [r for r in mine if r["call"] == "read"]
check(len(orders) >= NAPS * 0.6 - missed, f"{len(orders)} waits for orders")
check({r["waker_pid"] for r in orders[1:]} <= {os.getpid(), 0}, "woken by who gave the order")
halt = [r for r in s.rows if r["reason"] == "stopped"]
check(STOPS - unseen(STOPS) - missed <= len(halt) <= STOPS, f"stopped {len(halt)} times of {STOPS}")
check({r["pid"] for r in halt} <= {other.pid} and all(r["took_ns"] >= 0.3 * least for r in halt),
      f"stopped for {least} ns: {halt}")
check({r["waker_pid"] for r in halt} <= {os.getpid()}, "continued by who sent SIGCONT")
if os.uname().release >= "5.15" or not os.uname().release.startswith("5."):
    check(all(any("nanosleep" in f for f in r["kstack"]) for r in slept), f"where it slept: {slept[0]['kstack']}")
check(all(r["took_ns"] >= 10_000_000 for r in slow.rows) and len(slow.rows) >= NAPS * 0.5 - missed,
      "10 ms unless --min says otherwise")
check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + s.stats["lost"], "the equation")
check_equal(s.stats["lost"], missed, "nothing lost")


def check_counted(told, counted, run, what, most_ns=0):
    """Wake-ups are looked at only if somebody asks who wakes, else what is over is seen when the thread runs again:
    as often, and as long, but for what one of the two ways did not see, and at most `most_ns` if that is told."""
    blocks, blocked_ns = (sum(r[name] for r in counted) for name in ("blocks", "blocked_ns"))
    check(abs(blocks - len(told)) <= unseen(len(told)) + missed + run.stats.get("missed", 0), f"{what}: {blocks} of {len(told)} blocks")
    check(blocks != len(told) or (1 - SLACK) * ns_of(told) < blocked_ns < (most_ns or (1 + SLACK) * ns_of(told)),
          f"{what}: {blocked_ns} ns of {ns_of(told)}")


for name, run in ("without wakers", table), ("with wakers", woken):
    naps = [r for r in run.rows if (r["pid"], r["call"], r["reason"]) == (napper.pid, "clock_nanosleep", "sleep")]
    check_counted(slept, naps, run, f"naps, {name}")
    # woken by another CPU: its own, if that of a slow guest stands still, hears of it late
    check_counted(halt, [r for r in run.rows if r["reason"] == "stopped"], run, f"stopped, {name}", whole if IN_GUEST else 0)
check({r["waker_pid"] for r in woken.rows if r["pid"] == napper.pid and r["call"] == "read"} <= {os.getpid(), 0},
      "the table has who gave the order")
check_filter_is_exact(everything, of_group, ws, ("blocks",))

# a program with known stacks (tests/data/chain.c) that has ended when it is told
chain = os.path.join(os.environ.get("SONDA_TEST_OBJECTS", os.path.join(os.path.dirname(__file__), "../../build/test-probes")), "chain-pie")
if os.path.exists(chain):
    r = run_sonda("top", "sched.offcpu", "--by", "call,ustack", "--once", "--where", "call == nanosleep", "--", chain, NAPS)
    of_leaf = [row for row in r.rows if [re.sub(r"[+ ].*", "", f) for f in row["ustack"]][:4] == ["leaf", "b", "a", "main"]]
    check_equal(len(of_leaf), len(r.rows), f"where in the program it slept: {r.rows}")
    blocks = sum(row["blocks"] for row in of_leaf)
    check(NAPS * 0.6 - r.stats.get("missed", 0) <= blocks <= NAPS * 1.5, f"{blocks} naps of {NAPS}")
    # the same of events; only where it is asked for is a stack taken each time that a thread goes to sleep
    watch = "trace", "sched.offcpu", "--comm", "chain-pie", "--where", "call == nanosleep"
    asked = run_sonda(*watch, "--fields", "call,kstack,ustack", "--", chain, NAPS)
    for row in asked.rows:
        check_equal([re.sub(r"[+ ].*", "", f) for f in row["ustack"]][:4], ["leaf", "b", "a", "main"], "where in the program")
    check(asked.rows, f"naps are told: {asked.stderr}")
    r = run_sonda(*watch, "-o", "folded", "--", chain, NAPS)
    # the kernel's part follows where it has one to tell
    check(any(re.search(r";main;a;b;leaf(;.*nanosleep.*)? \d+$", line) for line in r.lines), f"folded: {r.stdout}")
    r = run_sonda(*watch, "--", chain, NAPS)
    check_equal({bool(row["ustack"]) for row in r.rows}, {False}, "not asked for, not taken")
done()
