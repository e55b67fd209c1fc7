# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's own tracer as a witness: events with its time stamps, in a buffer of the test's own.

    with Witness("one", "irq/irq_handler_entry", "irq/irq_handler_exit") as w:
        ...
        for event, cpu, at_us, fields in w.seen():
"""

import os
import re
import time

TRACEFS = "/sys/kernel/tracing"
LINE = re.compile(r"\[(\d+)\] \S+ +(\d+)\.(\d{6}): (\w+): (.*)")
TICKS = re.compile(r"-(\d+) +\[(\d+)\] \S+ +(\d+): (\w+): (.*)")


def has_tracefs():
    return os.path.isdir(f"{TRACEFS}/instances")


def has_event(name):
    return os.path.isdir(f"{TRACEFS}/events/{name}")


class Witness:
    """Who registers with a tracepoint first is called first: one that began before sonda sees each event
    before sonda does, one that began later after it."""

    def __init__(self, name, *events):
        self.path, self.events = f"{TRACEFS}/instances/sonda-{name}", events

    def __enter__(self):
        os.mkdir(self.path)
        self._write("trace_clock", "mono")
        self._write("buffer_size_kb", "8192")
        for event in self.events:
            self._write(f"events/{event}/enable", "1")
        return self

    def __exit__(self, *exc):
        for event in self.events:
            self._write(f"events/{event}/enable", "0")
        os.rmdir(self.path)

    def _write(self, name, value):
        with open(f"{self.path}/{name}", "w") as f:
            f.write(value)

    def seen(self):
        """(event, CPU, microseconds, its fields as text) in their order, until now."""
        found = []
        for line in open(f"{self.path}/trace", errors="replace"):
            m = LINE.search(line)
            if m:
                found.append((m[4], int(m[1]), int(m[2]) * 1000000 + int(m[3]), m[5]))
        return found


def has_ticks():
    with open(f"{TRACEFS}/trace_clock") as f:
        return "x86-tsc" in f.read()


class Ticks(Witness):
    """The same with the CPU's own clock, which it tells in full, where others are cut to microseconds. How long
    its ticks are is known from two marks."""

    def __enter__(self):
        super().__enter__()
        self._write("trace_clock", "x86-tsc")
        self._mark()
        return self

    def _mark(self):
        self._write("trace_marker", f"at {time.clock_gettime_ns(time.CLOCK_MONOTONIC)}")

    def seen(self):
        """(event, thread, CPU, nanoseconds since the first, its fields as text)"""
        self._mark()
        with open(f"{self.path}/trace", errors="replace") as f:
            found = [m.groups() for m in map(TICKS.search, f) if m]
        marks = [(int(at), int(fields.split()[-1])) for _, _, at, event, fields in found if event == "tracing_mark_write"]
        (first, began_ns), (last, ended_ns) = marks[0], marks[-1]
        tick_ns = (ended_ns - began_ns) / (last - first)
        return [(event, int(tid), int(cpu), (int(at) - first) * tick_ns, fields) for tid, cpu, at, event, fields in found]
