# SPDX-License-Identifier: BSD-2-Clause
"""What the probes of the scheduler add to threads that do nothing but wake each other through pipes, on the
machine as it is, in turns with libbpf-tools that ask the same."""

import os
import shutil
import subprocess

from tools import *

TURNS = int(os.environ.get("SONDA_BENCH_TURNS", "9"))
ROUNDS = 20000  # of two switches and two wake-ups, and five times over
PAIR_NS, SLOWER = 600, 1.15
TRACERS = {
    "nobody": None,
    "sched.cpu": (SONDA, "top", "sched.cpu", "--interval", "1h", "-o", "json"),
    "sched.runq": (SONDA, "top", "sched.runq", "--interval", "1h", "-o", "json"),
    "sched.offcpu": (SONDA, "top", "sched.offcpu", "--interval", "1h", "-o", "json"),
    "runqlat": (shutil.which("runqlat") or "runqlat", "3600"),
    "offcputime": (shutil.which("offcputime") or "offcputime", "3600"),
}


def round_ns():
    """CPU time of a round, both threads on one CPU."""
    said = subprocess.run([f"{OUT}/ops", f"{OUT}/ops", "/dev/null"], input=f"switch {ROUNDS}\n", stdout=subprocess.PIPE, text=True,
                          check=True, preexec_fn=lambda: os.sched_setaffinity(0, {WORK_CPU})).stdout
    return float(said.split()[1])


def pipe_turn(command):
    if not command:
        return round_ns()
    with Tracer(*command):
        return round_ns()


def pipe_bench():
    took = {name: [] for name in TRACERS}
    for _ in range(TURNS):
        for name, command in TRACERS.items():
            took[name].append(pipe_turn(command))
    yield "a pair of switch and wake-up through a pipe, watched by nobody", median(took["nobody"]) / 2, "ns", None
    for name in TRACERS:
        if name == "nobody":
            continue
        gates = (("<", PAIR_NS), ("<", SLOWER)) if name.startswith("sched.") else (None, None)
        yield f"... {name} adds", median(t - n for t, n in zip(took[name], took["nobody"])) / 2, "ns", gates[0]
        yield f"... and it takes, to nobody watching: {name}", median(t / n for t, n in zip(took[name], took["nobody"])), "x", gates[1]
