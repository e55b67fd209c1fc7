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
    with Sonda("trace", "sched.throttle") as s, Sonda("top", "sched.throttle", "--interval", "1h") as table:
        before = group.stat()
        begin([free, rich], "burn", 0.2)
        together([limited], "burn", 0.06)
        finish([free, rich])
        s.wait_row(lambda r: r["group"] == name)
        truth = {k: n - before[k] for k, n in group.stat().items()}
    most = group.stat()["nr_throttled"] - earlier["nr_throttled"]
mine = [r for r in s.rows if r["group"] == name]
check(truth["nr_throttled"] >= 5, f"it was throttled {truth['nr_throttled']} times")
# cpu.stat was read before and after sonda began, and before and after it ended
periods = sum(r["throttled_periods"] for r in mine)
check(truth["nr_throttled"] <= periods <= most,
      f"periods, as in cpu.stat: {periods}, there {truth['nr_throttled']} to {most}")
check(-2000 <= sum(r["throttled_ns"] for r in mine) - truth["throttled_ns"] <= 1000 * PERIOD_US, "time, as there")
check_equal({(r["quota_ns"], r["period_ns"]) for r in mine}, {(QUOTA_US * 1000, PERIOD_US * 1000)}, "its quota")
check_equal({r["cgroup"] for r in mine}, {v2_id}, "its id in cgroup v2")
check(all(r["throttled_periods"] or r["throttled_ns"] for r in s.rows), "no row without throttling")
check(not [r for r in s.rows if r["group"] == os.path.basename(ample.path)], "who has enough is not told")
row = next(r for r in table.rows if r["group"] == name)
check(0 <= row["throttled_periods"] - truth["nr_throttled"] <= 1, "the table: periods throttled")
check(abs(row["periods"] - truth["nr_periods"]) <= 1, f"periods {row['periods']}, cpu.stat {truth['nr_periods']}")
check(-2000 <= row["throttled_ns"] - truth["throttled_ns"] <= 1000 * PERIOD_US, "the table: time")
check_equal((row["quota_ns"], row["period_ns"]), (QUOTA_US * 1000, PERIOD_US * 1000), "the table: quota")
check(s.stats["lost"] == 0, "nothing lost")
done()
