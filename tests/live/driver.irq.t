#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""driver.irq against /proc/interrupts and /proc/softirqs: no count may be below what they grew by while
the command ran, nor above what they grew by from before sonda began until after it ended."""

import datetime
import os
import re
import socket
import tempfile

from sondatest import *

LOCAL = {"LOC": ["local_timer"], "CAL": ["call_function", "call_function_single"],
         "RES": ["reschedule"], "IWI": ["irq_work"]}
SENT = 2000
SCRATCH = "/dev/vm-scratch0"


def counts_in(path):
    """{name of the line: times on all CPUs, and the rest of its text}"""
    found = {}
    for text in open(path).read().splitlines()[1:]:
        name, rest = text.split(":", 1)
        numbers = re.match(r"(\s+\d+)*", rest)[0]
        found[name.strip()] = [sum(map(int, numbers.split())), rest[len(numbers):].strip()]
    return found


def utc():
    return datetime.datetime.utcnow().isoformat()


def snapshot():
    return {"hard": counts_in("/proc/interrupts"), "soft": counts_in("/proc/softirqs")}


def work():
    """Datagrams to ourselves, each received in a soft interrupt, and disks, which send interrupts."""
    to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    to.bind(("127.0.0.1", 0))
    by = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(SENT):
        by.sendto(bytes(1000), to.getsockname())
        to.recv(2000)
    if os.path.exists(SCRATCH):
        with open(SCRATCH, "rb", buffering=0) as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            f.read(8 << 20)
    with tempfile.TemporaryFile(dir="/var/tmp" if os.path.isdir("/var/tmp") else None) as f:
        f.write(bytes(1 << 20))
        f.flush()
        os.fsync(f.fileno())


def watched(*args):
    """sonda's accounts, the rows of its last reading, and growth(kind, names): the least and the most
    that /proc says they grew by."""
    before = snapshot()
    with Sonda("top", "driver.irq", *args, "--interval", "100ms", "--totals") as s:
        begin = snapshot()
        work()
        end, now = snapshot(), utc()
        s.wait_row(lambda r: r["time"] > now)
    after = snapshot()

    def growth(kind, names):
        def sum_of(s):
            return sum(s[kind].get(name, [0])[0] for name in names)
        return sum_of(end) - sum_of(begin), sum_of(after) - sum_of(before)

    last = max(r["time"] for r in s.rows)
    return s.stats, [r for r in s.rows if r["time"] == last], growth, after


def check_between(got, least, most, missed, what):
    check(least - missed <= got <= most, f"{what}: {least} (- {missed} missed) <= {got} <= {most}")


def case_counts():
    stats, rows, growth, names = watched("--by", "kind,line,name")
    missed = stats.get("missed", 0)
    sums = {}
    for row in rows:
        sums[row["kind"], row["name"]] = sums.get((row["kind"], row["name"]), 0) + row["count"]
        check_equal(row["took_ns"]["count"], row["count"], "as many times as interrupts")
        check_equal(row["took_ns"]["sum"], row["time_ns"], "which make the sum")
    for name in names["soft"]:
        check_between(sums.get(("soft", name), 0), *growth("soft", [name]), missed, name)
    for line, (_, text) in names["hard"].items():
        # a line shared by several handlers counts once, each handler for itself
        if line.isdigit() and "," not in text and growth("hard", [line])[1]:
            got = sum(row["count"] for row in rows
                      if row["kind"] == "hard" and row["line"] == int(line))
            check_between(got, *growth("hard", [line]), missed, f"line {line}, {text}")
    for line, vectors in LOCAL.items():
        got = sum(sums.get(("local", v), 0) for v in vectors)
        # its entry and exit are two programs: one may be in between when sonda begins or ends
        check_between(got, *growth("hard", [line]), missed + 2 * os.cpu_count(), line)


def case_whom():
    """By CPU and by who was interrupted, and events of each."""
    _, rows, growth, _ = watched("--by", "name,cpu,comm")
    check(all(row["cpu"] < os.cpu_count() for row in rows), "CPUs that there are")
    comm = open("/proc/self/comm").read().strip()
    got = sum(row["count"] for row in rows if row["name"] == "NET_RX" and row["comm"] == comm)
    check(SENT // 2 < got <= growth("soft", ["NET_RX"])[1], f"who sent was interrupted: {got}")


def case_events():
    """Everything that took a nanosecond is told; the soft interrupts of this kind are ours."""
    with Sonda("trace", "driver.irq", "--min", "1ns", "--where", "name == 'NET_RX'") as s:
        begin = snapshot()
        work()
        least = snapshot()["soft"]["NET_RX"][0] - begin["soft"]["NET_RX"][0]
    check(len(s.rows) >= least - s.stats["lost"] > 0, f"an event of each: {len(s.rows)} of {least}")
    check(all(row["kind"] == "soft" and row["took_ns"] > 0 for row in s.rows), "of this kind only")
    check(os.getpid() in {row["pid"] for row in s.rows}, "whom it met")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + s.stats["lost"], "accounts")


if os.geteuid() != 0:
    skip("needs root")
case_counts()
case_whom()
case_events()
done()
