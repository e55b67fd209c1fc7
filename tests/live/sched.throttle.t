#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""sched.throttle: which cgroup was throttled, how long, in how many periods, under which quota.

Truth: cpu.stat of the cgroup, version 1 or 2.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *
from workers import *

QUOTA_US, PERIOD_US = 5000, 50000

try:
    group = CpuGroup(QUOTA_US, PERIOD_US)
except OSError as e:
    skip(f"no cgroup with a CPU quota here: {e}")
name = os.path.basename(group.path)
with group, CpuGroup(10 * PERIOD_US, PERIOD_US) as ample, Workers(3) as ws:
    free, limited, rich = ws
    v2_id = os.stat(group.path).st_ino if group.root == mount_of("cgroup2") else 0
    group.add(limited.pid)
    ample.add(rich.pid)
    earlier = group.stat()
    only = ("--cgroup", group.path) if v2_id else ("--pid", limited.pid)
    with Sonda("trace", "sched.throttle") as s, Sonda("top", "sched.throttle", "--interval", "1h") as table, \
            Sonda("top", "sched.throttle", *only, "--interval", "1h") as of_group:
        before = group.stat()
        begin([free, rich], "burn", 0.2)
        together([limited], "burn", 0.06)
        finish([free, rich])
        s.wait_row(lambda r: r["group"] == name)
        truth = {k: n - before[k] for k, n in group.stat().items()}
    most = {k: n - earlier[k] for k, n in group.stat().items()}
mine = [r for r in s.rows if r["group"] == name]
check(truth["nr_throttled"] >= 5, f"it was throttled {truth['nr_throttled']} times")
# cpu.stat was read before and after sonda began, and before and after it ended
periods = sum(r["throttled_periods"] for r in mine)
check(truth["nr_throttled"] <= periods <= most["nr_throttled"],
      f"periods, as in cpu.stat: {periods}, there {truth} to {most}")
# and the last period's time is added when it is over
least_ns, most_ns = truth["throttled_ns"] - 2000, most["throttled_ns"] + 1000 * PERIOD_US
took_ns = sum(r["throttled_ns"] for r in mine)
check(least_ns <= took_ns <= most_ns, f"time: {took_ns}, in cpu.stat {least_ns} to {most_ns}")
check_equal({(r["quota_ns"], r["period_ns"]) for r in mine}, {(QUOTA_US * 1000, PERIOD_US * 1000)}, "its quota")
check_equal({r["cgroup"] for r in mine}, {v2_id}, "its id in cgroup v2")
check(all(r["throttled_periods"] or r["throttled_ns"] for r in s.rows), "no row without throttling")
check(not [r for r in s.rows if r["group"] == os.path.basename(ample.path)], "who has enough is not told")
row = next(r for r in table.rows if r["group"] == name)
for counted, kernels in ("throttled_periods", "nr_throttled"), ("periods", "nr_periods"):
    check(truth[kernels] - 1 <= row[counted] <= most[kernels] + 1,
          f"the table: {counted} {row[counted]}, in cpu.stat {truth[kernels]} to {most[kernels]}")
check(least_ns <= row["throttled_ns"] <= most_ns, f"the table: time {row['throttled_ns']}, in cpu.stat {least_ns} to {most_ns}")
check_equal((row["quota_ns"], row["period_ns"]), (QUOTA_US * 1000, PERIOD_US * 1000), "the table: quota")
filtered = [r for r in of_group.rows if r["group"] == name]
check_equal(len(filtered), 1, "rows with the filter")
for r in filtered:  # it ends at another moment than the other table
    check(truth["nr_throttled"] - 1 <= r["throttled_periods"] <= most["nr_throttled"] + 1 and least_ns <= r["throttled_ns"] <= most_ns,
          f"the filter loses nothing of it: {r}, in cpu.stat {truth} to {most}")
check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")
done()
