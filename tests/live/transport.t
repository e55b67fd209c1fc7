#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Ring buffer and perf array carry the same rows, account for what they lose, and a storm in one probe
does not push out another's events."""

import ctypes
import os
import subprocess
import sys

from sondatest import *

OBJECTS = os.environ.get("SONDA_TEST_OBJECTS", os.path.join(os.path.dirname(__file__), "../../build/test-probes"))
VALUES = os.path.join(OBJECTS, "values.bpf.o")
if not os.path.exists(VALUES):
    skip(f"{VALUES} was not built")

LIBC = ctypes.CDLL(None)
SAY = 0x534F4E44
TOKEN = os.getpid()
SMALL = 8192
STORM = 30000
EXECS = 20


def say(values):
    for v in values:
        LIBC.prctl(SAY, ctypes.c_ulong(v), ctypes.c_ulong(v & 7), b"a text " * (v % 9), ctypes.c_ulong(TOKEN))


def trace(transport, *args):
    return Sonda("trace", VALUES, "--token", TOKEN, *args, env=dict(os.environ, SONDA_TRANSPORT=transport))


def told(r):
    """A row without what differs between two runs."""
    return {k: v for k, v in r.items() if k not in ("time", "start_ns", "stack")}


def accounts(s, seen, what):
    """The equation, to the last event, in the closing line and in the rows."""
    check_equal(s.stats["seen"], seen, f"{what}: seen")
    check_equal(s.stats["seen"], sum(s.stats[n] for n in ("delivered", "filtered", "lost")), f"{what}: the equation")
    check_equal(len(s.rows), s.stats["delivered"], f"{what}: rows")
    check_equal(sum(r["lost"] for r in s.losses), s.stats["lost"], f"{what}: losses as rows")


def same_rows():
    with trace("ring") as ring, trace("perf") as perf:
        say(range(2000))
        # from every CPU, one after the other: the array has a buffer for each
        for cpu in sorted(os.sched_getaffinity(0)):
            subprocess.run([sys.executable, "-c", f"import os, ctypes\nos.sched_setaffinity(0, {{{cpu}}})\n"
                            f"for v in range(100): ctypes.CDLL(None).prctl({SAY}, ctypes.c_ulong(v), "
                            f"ctypes.c_ulong(1), None, ctypes.c_ulong({TOKEN}))"], check=True)
    count = 2000 + 100 * len(os.sched_getaffinity(0))
    accounts(ring, count, "ring")
    accounts(perf, count, "perf array")
    check_equal((ring.stats["lost"], perf.stats["lost"]), (0, 0), "nothing lost")
    check_equal(list(map(told, perf.rows)), list(map(told, ring.rows)), "the same rows in the same order")
    times = [r["time"] for r in perf.rows]
    check_equal(times, sorted(times), "in order of time")


def losses():
    """A reader that is stopped: what no longer fits is lost, and counted."""
    for transport in "ring", "perf":
        with trace(transport, "--buffer", SMALL, "--no-enrich") as s:
            s.process.send_signal(signal.SIGSTOP)
            say(range(3000))
            s.process.send_signal(signal.SIGCONT)
        accounts(s, 3000, f"{transport} overrun")
        check(s.stats["lost"] > 0 and s.stats["delivered"] > 0, f"{transport} overrun: {s.stats}")
        check_equal({r["cause"] for r in s.losses}, {"ring"}, f"{transport}: why")


def forced():
    r = run_sonda("trace", VALUES, env=dict(os.environ, SONDA_TRANSPORT="pigeon"))
    check_equal((r.code, "neither ring nor perf" in r.stderr), (2, True), f"another transport: {r.stderr!r}")


def storm():
    """Opens overrun their ring; of the execs not one is missing."""
    workload = (f"import os, subprocess\nfor i in range({EXECS}):\n"
                f" subprocess.run(['/bin/true', str(i)])\n"
                f" for _ in range({STORM // EXECS}):\n"
                "  os.close(os.open('/dev/null', 0))\n")
    for transport in "ring", "perf":
        env = dict(os.environ, SONDA_TRANSPORT=transport)
        with Sonda("trace", "fs.open", "process.exec", "--tree", os.getpid(), "--buffer", "128KiB",
                   "--no-enrich", env=env) as s:
            s.process.send_signal(signal.SIGSTOP)
            subprocess.run([sys.executable, "-c", workload], check=True)
            s.process.send_signal(signal.SIGCONT)
        execs = [r["argv"][1] for r in s.rows if r["probe"] == "process.exec" and r.get("argv", [""])[0] == "/bin/true"]
        check_equal(execs, [str(i) for i in range(EXECS)], f"{transport}: every exec, in order")
        check_equal({(r["probe"], r["cause"]) for r in s.losses}, {("fs.open", "ring")}, f"{transport}: who lost")
        stats = s.stats
        check_equal(stats["seen"], stats["delivered"] + stats["filtered"] + stats["lost"], f"{transport}: the equation")


for part in same_rows, losses, forced, storm:
    part()
done()
