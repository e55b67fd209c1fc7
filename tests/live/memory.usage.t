#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""memory.usage on processes that have and take known amounts. The truth: /proc/PID/smaps_rollup, which
walks the page tables, while they stand still."""

from memorytest import *

ANON, SHMEM, MORE = 12 * MIB, 4 * MIB, 8 * MIB
# before 6.2 each thread keeps up to 64 pages to itself, of each of three counters
SLACK = 3 * 64 * PAGE

if os.geteuid() != 0:
    skip("needs root")


def holder(child):
    """Has memory, takes more, gives that back; each time it waits to be told to go on."""
    kept = anonymous(ANON), shared(SHMEM)
    child.ready()
    more = anonymous(MORE)
    child.ready()
    more.close()
    child.ready()
    return kept


def near(got, want):
    return abs(got - want) <= SLACK


def case_one_process():
    child = Child(holder, "holder")
    child.wait_ready()
    with Sonda("trace", "memory.usage", "--exact", "--pid", child.pid) as s:
        first = s.wait_row(lambda r: r["over_ns"] == 0)
        had = rollup(child.pid)
        child.go()
        child.wait_ready()
        grown = s.wait_row(lambda r: r["growth_bytes"] >= MORE - SLACK)
        child.go()
        child.wait_ready()
        back = s.wait_row(lambda r: r["change_bytes"] < SLACK - MORE)
        child.end()
    for row in s.rows:
        check_equal((row["pid"], row["comm"]), (child.pid, "holder"), "whose")
        check_equal(row["rss_bytes"], row["anon_bytes"] + row["file_bytes"] + row["shmem_bytes"], "the sum")
    check(near(first["rss_bytes"], had["Rss"]), f"memory {first['rss_bytes']}, in fact {had['Rss']}")
    check(near(first["anon_bytes"], had["Anonymous"]), f"its own {first['anon_bytes']}, in fact {had['Anonymous']}")
    check(first["shmem_bytes"] >= SHMEM - SLACK, f"shared memory: {first['shmem_bytes']}")
    check_equal((first["change_bytes"], first["growth_bytes"]), (0, 0), "the first look has no change")
    check(grown and near(grown["growth_bytes"], MORE) and grown["over_ns"] > 0, f"it grew: {grown}")
    check(back and near(back["growth_bytes"], 0) and near(back["change_bytes"], -MORE), f"it shrank: {back}")
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")


def case_only_large_changes():
    small, large = Child(holder, "holder"), Child(holder, "holder")
    small.wait_ready(), large.wait_ready()
    with Sonda("trace", "memory.usage", "--change", MORE // 2, "--comm", "holder") as s:
        large.go()
        large.wait_ready()
        s.wait_row(lambda r: r["change_bytes"] > 0)
        small.end(), large.end()
    check_equal([r["pid"] for r in s.rows], [large.pid], "only the one that grew so much")


def case_table():
    """A row of several processes has their sum, also when some end; with the last it goes."""
    holders = [Child(holder, "holder") for _ in range(3)]
    for child in holders:
        child.wait_ready()
    with Sonda("top", "memory.usage", "--by", "comm", "--exact", "--interval", "100ms") as s:
        def row_of(processes):
            return s.wait_row(lambda r: r["comm"] == "holder" and r["processes"] == processes)
        row = row_of(3)
        check(abs(row["anon_bytes"] - sum(rollup(c.pid)["Anonymous"] for c in holders)) <= 3 * SLACK,
              f"the sum of three: {row['anon_bytes']}")
        holders.pop().end()
        row = row_of(2)
        rest = sum(rollup(c.pid)["Rss"] for c in holders)
        check(abs(row["rss_bytes"] - rest) <= 2 * SLACK, f"the sum of two: {row['rss_bytes']}, in fact {rest}")
        holders[0].go()
        holders[0].wait_ready()
        row = s.wait_row(lambda r: r["comm"] == "holder" and r["growth_bytes"] >= MORE - SLACK)
        check(row and near(row["growth_bytes"], MORE) and near(row["grown_bytes"], MORE), f"growth: {row}")
        while holders:
            holders.pop().end()
        seen = len(s._out)
        s.wait_row(lambda r: len(s._out) > seen + 3)
    last = [r["time"] for r in s.rows][-1]
    check_equal([r for r in s.rows if r["time"] == last and r["comm"] == "holder"], [], "rows when all are gone")


case_one_process()
case_only_large_changes()
case_table()
done()
