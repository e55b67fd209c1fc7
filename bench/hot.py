# SPDX-License-Identifier: BSD-2-Clause
"""What the probes on the busiest hooks add to an operation, in instructions: guests whose clock counts them
give the same figure each time, on kernels with fentry, with kprobes, with tracepoints alone. A figure is held
to the target of its probe, where there is one, and to the budget in hot.tsv, which `make bench` may not
exceed by a tenth. SONDA_BENCH_UPDATE=1 writes the budgets anew."""

import concurrent.futures
import os
import re
import subprocess

from tools import *

BUDGETS = f"{BENCH}/hot.tsv"
DEARER, LEAST = 1.1, 20  # ... of instructions: below is no change of the probe's
INSNS_PER_NS = 2.2  # fs.open and the floor, here and on the machine that the targets were set on
OPERATIONS = ["bystander", "open", "read", "write", "switch", "block", "udp", "tcp", "fault"]


class Guest:
    """A kernel, methods that sonda shall do without there, and who is measured at what."""

    def __init__(self, kernel, without, *watched):
        self.kernel, self.without, self.watched = kernel, without, [w.split() for w in watched]
        self.name = f"{kernel} without {without}" if without else kernel

    def lines(self):
        used = [o for o in OPERATIONS if any(o in w for w in self.watched)]
        return [["-", "none", *used], *self.watched]


FEWER = ["fs.rw top bystander read write", "fs.slow trace bystander read", "sched.runq top switch",
         "sched.offcpu top switch", "block.io top block", "net.udp top udp"]
GUESTS = [
    Guest("6.12", "", *FEWER, "fs.open trace bystander open", "syscall.stat top bystander", "sched.cpu top switch",
          "memory.fault top fault", "block.slow trace block", "net.flow top udp tcp", "net.tcp top tcp"),
    Guest("6.12", "fentry,fexit", *FEWER, "net.flow top udp tcp"),
    Guest("5.10", "", *FEWER, "syscall.stat top bystander", "net.flow top udp tcp"),
    Guest("7.x", "", *FEWER, "syscall.stat top bystander", "net.flow top udp tcp"),
]


# In ns, as the targets were set: for what is watched at system calls, and a request where 200,000 a
# second leave 5 us for one, of which 2 % may be lost.
TARGETS_NS = {("fs", "read"): 450, ("fs", "write"): 450, ("fs", "bystander"): 150, ("block", "block"): 100}
SWITCH_PART = 0.15


def target(probe, operation, base):
    """The most instructions that it should add, or None."""
    subsystem = probe.split(".")[0]
    if (subsystem, operation) == ("sched", "switch"):
        return SWITCH_PART * base
    if probe in ("fs.rw", "fs.slow", "block.io"):
        return TARGETS_NS[subsystem, operation] * INSNS_PER_NS
    return None


def guest_says(guest):
    vm = f"{BENCH}/../tests/vm"
    listed = f"{OUT}/hot.{guest.name.replace(' ', '.')}"
    with open(listed, "w") as f:
        f.writelines(" ".join(line) + "\n" for line in guest.lines())
    subprocess.run([f"{vm}/fetch", guest.kernel], stdout=subprocess.DEVNULL, check=True)
    files = [f"{SONDA}:/bench/sonda", f"{OUT}/ops:/bench/ops", f"{BENCH}/hot_guest:/bench/hot_guest",
             f"{BENCH}/guest_lib:/bench/guest_lib", f"{listed}:/bench/list"]
    return subprocess.run([f"{vm}/run", "-i", "-t", "600", "-m", "null_blk", *(a for f in files for a in ("-f", f)), guest.kernel,
                           f"SONDA_WITHOUT={guest.without} sh /bench/hot_guest </bench/list"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout


def added(said):
    """{(probe, verb, operation): (instructions added, what it takes without)}"""
    took = {tuple(key.split()): float(ns) for key, ns in re.findall(r"^(\S+ \w+ \w+) ([\d.]+)$", said, re.M)}
    base = {key[2]: ns for key, ns in took.items() if key[1] == "none"}
    return {key: (ns - base[key[2]], base[key[2]]) for key, ns in took.items() if key[1] != "none"}


def budgets_read():
    if not os.path.exists(BUDGETS):
        return {}
    with open(BUDGETS) as f:
        rows = [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]
    return {tuple(row[:4]): int(row[4]) for row in rows}


def budgets_write(measured):
    with open(BUDGETS, "w") as f:
        f.write("# Instructions that a probe adds to an operation; bench/run hot_probes fails a tenth above.\n"
                "# Made by SONDA_BENCH_UPDATE=1 bench/run hot_probes.\n# kernel\tprobe\tverb\toperation\tinstructions\n")
        f.writelines("\t".join([*key, f"{insns:.0f}"]) + "\n" for key, insns in sorted(measured.items()))


def hot_probes():
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        said = dict(zip(GUESTS, pool.map(guest_says, GUESTS)))
    budgets, measured, dearer = budgets_read(), {}, 0
    for guest in GUESTS:
        for (probe, verb, operation), (insns, base) in added(said[guest]).items():
            key = (guest.name, probe, verb, operation)
            measured[key] = insns
            limit = target(probe, operation, base)
            yield f"{guest.name}: {probe} {verb} adds to a {operation} of {base:.0f}", insns, "insn", limit and ("<", limit)
            if insns > max(budgets.get(key, 0), 0) * DEARER + LEAST:
                dearer += 1
                yield f"... dearer than its budget of {budgets.get(key, 0)} by", insns - budgets.get(key, 0), "insn", None
    if os.environ.get("SONDA_BENCH_UPDATE"):
        return budgets_write(measured)
    yield "probes a tenth above their budgets in instructions", dearer, "", ("<", 1)
    yield "figures that the guests did not give", len(set(budgets) - set(measured)), "", ("<", 1)
