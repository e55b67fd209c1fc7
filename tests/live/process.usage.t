#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""process.usage: what processes use, by process and name, also of those that live only a moment.

Truth: /proc/PID/schedstat, stat, io and status of a child that rests before and after; getrusage of
children that are gone; the workload's own count of them.
"""

import ast
import contextlib
import os
import resource
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from memorytest import *
from scratch import any_disk
from workers import Group, mount_of

if os.geteuid() != 0:
    skip("needs root")

DISK = any_disk()
ANON, WRITES, READS, SIZE = 16 * MIB, 30, 50, 10000
SLACK = 3 * 64 * PAGE * os.cpu_count()  # what each CPU may have of a counter of memory to itself
SHORT = 60 if EMULATED else 200
# what must be as it is in /proc, to the last one
EXACT = ["cpu_ns", "waited_ns", "sleeps", "preempted", "minor_faults", "major_faults", "read_bytes", "written_bytes",
         "read_calls", "write_calls", "call_read_bytes", "call_written_bytes"]
GAUGES = ["rss_bytes", "threads"]


def work(child):
    """Rests; uses some of everything, some of it in threads that end; rests."""
    kept = []

    def use():
        with tempfile.TemporaryFile(dir=DISK, buffering=0) as f:
            for _ in range(WRITES):
                f.write(bytes(SIZE))
        with open("/dev/zero", "rb", buffering=0) as f:
            for _ in range(READS):
                f.read(SIZE)
        sum(range(300000))

    child.ready()
    kept.append(anonymous(ANON))
    helpers = [threading.Thread(target=use) for _ in range(2)]
    for t in helpers:
        t.start()
    for t in helpers:
        t.join()
    use()
    child.ready()


def rest(pid):
    while open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "S":
        os.sched_yield()


def words(path):
    return {l.split(":")[0]: l.split()[1] for l in open(path) if ":" in l and len(l.split()) > 1}


def in_proc(pid):
    """What the kernel says of it; schedstat and the switches in status are of its first thread alone."""
    run, waited, _ = map(int, open(f"/proc/{pid}/schedstat").read().split())
    stat = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    io, status = words(f"/proc/{pid}/io"), words(f"/proc/{pid}/status")
    return {"cpu_ns": run, "waited_ns": waited, "sleeps": int(status["voluntary_ctxt_switches"]),
            "preempted": int(status["nonvoluntary_ctxt_switches"]), "minor_faults": int(stat[7]), "major_faults": int(stat[9]),
            "read_bytes": int(io["read_bytes"]), "written_bytes": int(io["write_bytes"]), "read_calls": int(io["syscr"]),
            "write_calls": int(io["syscw"]), "call_read_bytes": int(io["rchar"]), "call_written_bytes": int(io["wchar"]),
            "ticks_ns": (int(stat[11]) + int(stat[12])) * 1e9 / os.sysconf("SC_CLK_TCK"),
            "rss_bytes": int(status["VmRSS"]) * 1024, "threads": int(status["Threads"])}


def one_process():
    child = Child(work, "busy")
    child.wait_ready()
    rest(child.pid)
    with Sonda("top", "process.usage", "--by", "pid,comm", "--interval", "1h") as s:
        before = in_proc(child.pid)
        child.go()
        child.wait_ready()
        rest(child.pid)
        after = in_proc(child.pid)
    child.end()
    rows = [r for r in s.rows if r["comm"] == "busy"]
    check_equal([r["pid"] for r in rows], [child.pid], "its row")
    row = rows[0]
    grown = {name: after[name] - before[name] for name in EXACT}
    told = {name: row[name] for name in EXACT}
    alone = ("cpu_ns", "waited_ns", "sleeps", "preempted")
    check_equal({n: v for n, v in told.items() if n not in alone}, {n: v for n, v in grown.items() if n not in alone},
                "as in /proc/PID/io and stat, of threads that ended too")
    check(all(told[n] >= grown[n] for n in alone), f"of all threads {told}, of the first {grown}")
    ticks = after["ticks_ns"] - before["ticks_ns"]
    check(abs(told["cpu_ns"] - ticks) <= 4e9 / os.sysconf("SC_CLK_TCK"), f"CPU time {told['cpu_ns']}, in stat {ticks}")
    check(grown["minor_faults"] >= ANON // PAGE and grown["call_written_bytes"] >= 3 * WRITES * SIZE, "it did its work")
    check(not DISK or grown["written_bytes"] >= 3 * WRITES * SIZE, "and wrote")
    check_equal(row["disk_bytes"], row["read_bytes"] + row["written_bytes"], "the sum")
    check(abs(row["rss_bytes"] - after["rss_bytes"]) <= SLACK, f"memory {row['rss_bytes']}, in fact {after['rss_bytes']}")
    check_equal((row["threads"], row["processes"], row["begun"]), (1, 1, 0), "what there is")
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")


def first_thread():
    """A process of one thread: CPU time, waits and switches to the last one as well."""
    def burn(child):
        child.ready()
        sum(range(1000000))
        child.ready()

    child = Child(burn, "burner")
    child.wait_ready()
    rest(child.pid)
    with Sonda("top", "process.usage", "--by", "pid", "--pid", child.pid, "--interval", "1h") as s:
        before = in_proc(child.pid)
        child.go()
        child.wait_ready()
        rest(child.pid)
        after = in_proc(child.pid)
    child.end()
    check_equal([{n: r[n] for n in EXACT} for r in s.rows], [{n: after[n] - before[n] for n in EXACT}], "as in /proc")


def short_lived(interval):
    """Many that live a moment: all are counted, with all that they used, in one row for those that no look found."""
    def brief():
        with open("/proc/self/comm", "w") as f:
            f.write("brief")
        sum(range(20000))
        os._exit(0)

    def many(child):
        child.ready()
        own = resource.getrusage(resource.RUSAGE_SELF)
        for _ in range(SHORT):
            pid = os.fork()
            if not pid:
                brief()
            os.waitpid(pid, 0)
        of = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
        with open(said, "w") as f:
            f.write(repr([of[0].ru_utime + of[0].ru_stime, of[0].ru_minflt,
                          of[1].ru_utime + of[1].ru_stime - own.ru_utime - own.ru_stime, of[1].ru_minflt - own.ru_minflt]))

    with tempfile.NamedTemporaryFile() as f, group_or_none() as group:
        said = f.name
        child = Child(many, "parent")
        child.wait_ready()
        if group:
            group.add(child.pid)
        with Sonda("top", "process.usage", "--by", "pid,comm", "--interval", interval) as s:
            before_s = group_cpu_s(group)
            child.go()
            child.wait()
        cpu_s, faults, own_cpu_s, own_faults = ast.literal_eval(open(said).read())
        # children run on a little after their parent was told what they used, and it after it asked
        most_s = group_cpu_s(group) - before_s if group else 1.2 * (cpu_s + own_cpu_s)
    latest = {(r["pid"], r["comm"]): r for r in s.rows if r["comm"] in ("brief", "parent")}.values()
    rows = [r for r in latest if r["comm"] == "brief"]
    missed = s.stats.get("missed", 0)
    # one that a look found before it had its name is counted under the parent's
    begun = sum(r["begun"] for r in latest)
    check(SHORT - missed <= begun <= SHORT, f"{begun} of {SHORT} began, {missed} missed")
    short = [r for r in rows if r["pid"] == 0]
    check_equal(len(short), 1, "a row for those that lived only a moment")
    told = {c: [sum(r[n] for r in latest if r["comm"] == c) for n in ("cpu_ns", "minor_faults")] for c in ("brief", "parent")}
    told_s = (told["brief"][0] + told["parent"][0]) / 1e9
    told_faults = told["brief"][1] + told["parent"][1]
    check(told["brief"][1] <= faults and told["brief"][0] / 1e9 <= most_s, f"{told['brief']}, at most {most_s} s, {faults} faults")
    if not missed:
        all_s = cpu_s + own_cpu_s
        check(0.95 * all_s - 0.01 < told_s < 1.05 * most_s + 0.01, f"CPU time {told_s}, by getrusage {all_s}, their cgroup's {most_s}")
        check(0 <= told_faults - faults - own_faults < 0.02 * faults + 200, f"faults {told_faults}, by getrusage {faults} + {own_faults}")
    check_equal(sum(r["processes"] for r in short), 0, "none is left")
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")


def group_or_none():
    return Group() if mount_of("cgroup2") else contextlib.nullcontext()


def group_cpu_s(group):
    return int(group.read("cpu.stat").split()[1]) / 1e6 if group else 0


def levels():
    """A row of several processes has their sum; what ends or changes its name is in it no more."""
    def holder(child):
        kept = anonymous(8 * MIB)
        child.ready()
        with open("/proc/self/comm", "w") as f:
            f.write("renamed")
        child.ready()
        return kept

    holders = [Child(holder, "holder") for _ in range(3)]
    for child in holders:
        child.wait_ready()
    with Sonda("top", "process.usage", "--by", "comm", "--interval", "100ms") as s:
        def row_of(comm, processes):
            return s.wait_row(lambda r: r["comm"] == comm and r["processes"] == processes)
        row = row_of("holder", 3)
        want = sum(words_rss(c.pid) for c in holders)
        check(row and abs(row["rss_bytes"] - want) <= 3 * SLACK, f"of three {row and row['rss_bytes']}, in fact {want}")
        check_equal(row and row["threads"], 3, "threads")
        holders[0].go()
        holders[0].wait_ready()
        check(row_of("renamed", 1) and row_of("holder", 2), "one has another name")
        holders.pop().end()
        check(row_of("holder", 1), "one is gone")
        while holders:
            holders.pop().end()
        gone = s.wait_row(lambda r: r["comm"] == "renamed" and not r["processes"])
        check_equal(gone and (gone["rss_bytes"], gone["threads"]), (0, 0), "nothing is left of it")


def words_rss(pid):
    return int(words(f"/proc/{pid}/status")["VmRSS"]) * 1024


def only_these():
    r = run_sonda("top", "process.usage", "--by", "comm", "--once", "--", "sh", "-c", "for i in 1 2 3 4 5; do /bin/true; done")
    check_equal({row["comm"]: row["begun"] for row in r.rows if row["comm"] == "true"}, {"true": 5}, "the command's")
    check({row["comm"] for row in r.rows} <= {"sh", "true", "sonda"}, f"only the command's: {r.rows}")
    if not mount_of("cgroup2"):
        return
    with Group() as group:
        child = Child(work, "member")
        child.wait_ready()
        group.add(child.pid)
        rest(child.pid)
        with Sonda("top", "process.usage", "--by", "cgroup", "--cgroup", group.path, "--interval", "1h") as s:
            before = in_proc(child.pid)
            child.go()
            child.wait_ready()
            rest(child.pid)
            after = in_proc(child.pid)
        child.end()
    check_equal([(r["write_calls"], r["processes"]) for r in s.rows],
                [(after["write_calls"] - before["write_calls"], 1)], "of its cgroup")


one_process()
first_thread()
short_lived("1h")
short_lived("100ms")
levels()
only_these()
done()
