#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""memory.slab: a process has the kernel make a known number of objects of a cache of their own: one for
each descriptor that epoll(7) watches. The truth: that number, and /proc/slabinfo."""

import resource
import select

from memorytest import *

CACHE, OBJECTS = "eventpoll_epi", 4000

if os.geteuid() != 0:
    skip("needs root")


def slabinfo():
    """{cache: (bytes of an object, objects there is room for, bytes)} as the kernel tells."""
    caches = {}
    for line in open("/proc/slabinfo").read().splitlines()[2:]:
        w = line.split()
        caches[w[0]] = int(w[3]), int(w[2]), int(w[-2]) * int(w[5]) * PAGE
    return caches


def watch(child):
    """Watches OBJECTS descriptors, and ends the watch."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (OBJECTS + 100, OBJECTS + 100))
    read_end, _ = os.pipe()
    fds = [os.dup(read_end) for _ in range(OBJECTS)]
    poll = select.epoll()
    child.ready()
    for fd in fds:
        poll.register(fd, select.EPOLLIN)
    child.ready()
    for _ in range(1000):
        with contextlib.suppress(FileNotFoundError):
            os.stat("/no such file")
    child.ready()


def case_allocs():
    size = slabinfo().get(CACHE, (0,))[0]
    child = Child(watch, "watcher")
    child.wait_ready()
    with Sonda("top", "memory.slab", "--by", "cache,size_bytes,comm", "--pid", child.pid, "--interval", "50ms") as s:
        child.go()
        child.wait_ready()
        if size:
            row = s.wait_row(lambda r: r["size_bytes"] == size and r["allocs"] >= OBJECTS)
        child.go()
        child.wait_ready()
        names = s.wait_row(lambda r: r["cache"] == "names_cache" and r["allocs"] >= 1000, timeout=1)
        child.go()
        child.wait()
    check({r["comm"] for r in s.rows} <= {"watcher", "python3"}, "whose they are")
    check(all(r["allocated_bytes"] == r["allocs"] * r["size_bytes"] for r in s.rows), "bytes")
    missed = s.stats.get("missed", 0)
    check_equal(s.stats["lost"], missed, "nothing lost otherwise")
    if size:
        named = row["cache"] == CACHE
        check(named or row["cache"] in ("", *slabinfo()), f"the cache: {row['cache']}")
        others = 0 if named else OBJECTS // 10  # of caches with objects as large
        check(OBJECTS - missed <= row["allocs"] <= OBJECTS + others, f"one for each descriptor: {row['allocs']}")
    if names:
        check(abs(names["frees"] - names["allocs"]) <= 1 + missed, f"names are freed again: {names}")


def case_caches():
    listed = run_sonda("check", "memory.slab", json_output=False).stdout
    if not re.search(r"^ *loads +look", listed, re.M):
        return
    child = Child(watch, "watcher")
    child.wait_ready()
    with Sonda("top", "memory.slab", "caches", "--by", "cache", "--interval", "100ms") as s:
        before = slabinfo()
        s.wait_row(lambda r: r["cache"] == "task_struct")
        middle = slabinfo()
        child.go()
        child.wait_ready()
        after = slabinfo()
        grown = after[CACHE][2] - before[CACHE][2] if CACHE in before else 0
        s.wait_row(lambda r: r["cache"] == CACHE and r["grown_bytes"] >= grown > 0) if grown > 0 else None
    child.end()
    s.stop()  # looks once more
    end = slabinfo()
    still = {c for c in before if before[c] == middle[c] == after[c] == end[c] and before[c][2]}
    rows = {r["cache"]: r for r in s.rows}
    check(len(still) > 20, f"caches that rest: {len(still)}")
    wrong = {c: (rows.get(c), before[c]) for c in still
             if c in rows and (rows[c]["objects"], rows[c]["bytes"]) != before[c][1:]}
    # one may have moved and come back between two looks
    check(len(wrong) <= len(still) // 20, f"caches that rest are as the kernel tells: {wrong}")
    check(len(still & set(rows)) > len(still) // 2, "most are told")
    if grown > 0:
        check(rows[CACHE]["grown_bytes"] >= grown, f"growth: {rows[CACHE]}, in fact {grown}")


case_allocs()
case_caches()
done()
