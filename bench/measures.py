# SPDX-License-Identifier: BSD-2-Clause
"""What is measured: each function here runs one comparison and yields rows (what, value, unit, gate).
A gate is None where a figure is only told, or (operator, limit). What is compared runs in turns, so that
whatever else the machine does is in all of it; a figure is the median of the turns."""

import os
import re
import resource
import shutil
import subprocess
import sys
import time

from guards import guard_costs
from hot import hot_probes
from iops import iops_cost
from pipes import pipe_bench
from tools import *

PROBES = ["process.exec", "process.exit", "fs.open", "net.dns", "net.tcp", "block.io"]
TURNS = int(os.environ.get("SONDA_BENCH_TURNS", "9"))
HEADER_BYTES = 32  # struct record
OPENED = os.path.realpath("/usr/lib/os-release")
EXECS = f"{OUT}/execs"


def below(limit):
    return ("<", limit)


def busy(probe):
    return background(f"{OUT}/busy", probe, f"{OUT}/scratch")


# ---- start ----


def first_row_s(probe):
    """From the exec of sonda to its first row."""
    begin = time.monotonic()
    process = subprocess.Popen([SONDA, "trace", probe, "-o", "json"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    row = process.stdout.readline()
    took = time.monotonic() - begin
    process.terminate()
    process.stdout.close()
    process.wait()
    if not row:
        raise RuntimeError(f"{probe}: no row")
    return took


def start():
    for probe in PROBES:
        with busy(probe):
            yield f"{probe}: start to first event", median(first_row_s(probe) for _ in range(TURNS)), "s", below(0.1)


ENDED = {  # what takes long to be taken away: breakpoints, one or many, and return probes
    "process.exec": (),
    "net.tcp": (),
    "user.tls": (),
    "user.call": ("--comm", "nobody", "--function", ",".join(f"libc.so.6:{f}" for f in (
        "malloc", "free", "calloc", "realloc", "open", "close", "read", "write"))),
}


def end_s(command):
    """From SIGINT to the end, when all is taken away."""
    with Tracer(*command) as tracer:
        begin = time.monotonic()
        tracer.stop()
        return time.monotonic() - begin


def ending():
    """Ctrl-C always ends within a second: it is the slowest turn that counts."""
    for probe, args in ENDED.items():
        turns = [end_s((SONDA, "trace", probe, *args, "-o", "null")) for _ in range(TURNS)]
        yield f"{probe}: SIGINT to the end, the slowest of {TURNS}", max(turns), "s", below(1)
        yield "... median", median(turns), "s", None


# ---- kernel side ----


def open_tracers():
    size = HEADER_BYTES + struct_bytes("fs.open", "open") + len(OPENED) + 1
    return {
        "none": None,
        "floor": (f"{OUT}/floor", f"{OUT}/floor.bpf.o", "opens", str(size)),
        "sonda": (SONDA, "trace", "fs.open", "-o", "null"),
        "opensnoop": (shutil.which("opensnoop"),),
    }


def open_turn(work, command):
    """What an open costs while `command` watches, its own program time among it, and events lost."""
    if not command:
        return work.do(10000, 500, 5000), 0, 0
    with Tracer(*command) as tracer:
        cpu_ns = work.do(10000, 500, 5000)
        with run_statistics():
            before = tracer.run_ns()
            work.do(2000, 500, 5000)
            run_ns = (tracer.run_ns() - before) / 2000
    return cpu_ns, run_ns, tracer.accounts().get("lost", 0)


def open_costs():
    tracers = open_tracers()
    cpu, run = {t: [] for t in tracers}, {t: [] for t in tracers}
    lost = 0
    with Work(f"{OUT}/opens", OPENED) as work:
        work.do(2000, 500, 0)
        for _ in range(TURNS):
            for name, command in tracers.items():
                cpu_ns, run_ns, lost_now = open_turn(work, command)
                cpu[name].append(cpu_ns)
                run[name].append(run_ns)
                lost += lost_now
    added = {t: median(c - n for c, n in zip(cpu[t], cpu["none"])) for t in tracers}
    yield f"open+close of {OPENED}, watched by nobody", median(cpu["none"]), "ns", None
    yield "... a floor program adds", added["floor"], "ns", None
    yield "... fs.open adds", added["sonda"], "ns", None
    yield "... opensnoop adds", added["opensnoop"], "ns", None
    yield "fs.open: time in its programs", median(run["sonda"]), "ns", None
    yield "fs.open: events lost meanwhile", lost, "", None
    yield "fs.open / floor", added["sonda"] / added["floor"], "x", below(1.3)
    yield "fs.open / opensnoop", added["sonda"] / added["opensnoop"], "x", below(1)


def exec_tracers():
    directory = os.getcwd()
    texts = [EXECS, EXECS, directory, f"{EXECS}\0leave"]  # path, file, cwd, argv
    size = HEADER_BYTES + struct_bytes("process.exec", "exec") + sum(len(t) + 1 for t in texts)
    return {
        "floor": (f"{OUT}/floor", f"{OUT}/floor.bpf.o", "execs", str(size)),
        "sonda": (SONDA, "trace", "process.exec", "-o", "null"),
        "execsnoop": (shutil.which("execsnoop"),),
    }


def exec_costs():
    """An exec takes long, and never the same: only the time in the programs can be told apart."""
    count, tracers = 200, exec_tracers()
    run = {t: [] for t in tracers}
    with Work(EXECS) as work:
        for _ in range(TURNS):
            for name, command in tracers.items():
                with Tracer(*command) as tracer, run_statistics():
                    before = tracer.run_ns()
                    work.do(count)
                    run[name].append((tracer.run_ns() - before) / count)
    for name in tracers:
        yield f"exec: time in the programs of {name}", median(run[name]), "ns", None
    yield "process.exec / floor", median(run["sonda"]) / median(run["floor"]), "x", below(1.3)
    yield "process.exec / execsnoop", median(run["sonda"]) / median(run["execsnoop"]), "x", below(1)


def unset_filter():
    """In a guest whose clock counts instructions: the same twice, to a thousandth."""
    vm = f"{BENCH}/../tests/vm"
    subprocess.run([f"{vm}/fetch", "6.12"], stdout=subprocess.DEVNULL, check=True)
    files = [f"{SONDA}:/bench/sonda", f"{OUT}/opens:/bench/opens", f"{OUT}/unfiltered.bpf.o:/bench/unfiltered.bpf.o",
             f"{OUT}/floor:/bench/floor", f"{OUT}/floor.bpf.o:/bench/floor.bpf.o", f"{BENCH}/guest:/bench/guest",
             f"{BENCH}/guest_lib:/bench/guest_lib"]
    said = subprocess.run([f"{vm}/run", "-i", "-t", "600", *(a for f in files for a in ("-f", f)), "6.12", "sh /bench/guest"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    cost = {}
    for name, ns in re.findall(r"^(\w+) ([\d.]+)$", said, re.M):
        cost.setdefault(name, []).append(float(ns))
    base, shipped, unfiltered, floor = (median(cost[n]) for n in ("none", "shipped", "unfiltered", "floor"))
    yield "open+close in a guest, instructions", base, "", None
    yield "... fs.open adds", shipped - base, "", None
    yield "... fs.open without filters in it adds", unfiltered - base, "", None
    yield "... a floor program adds", floor - base, "", None
    yield "unset filters", 100 * ((shipped - base) / (unfiltered - base) - 1), "%", below(2)


# ---- user side ----


def record_opens(path, count):
    with Work(f"{OUT}/opens", OPENED) as work:
        with Tracer(SONDA, "record", "fs.open", "--buffer", "16MiB", "--comm", "opens", "--to", path) as tracer:
            work.do(count, 1000, 2000)
    return tracer.accounts()["delivered"]


def replay_rate(path, form, rows):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([SONDA, "replay", path, "-o", form], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return rows / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 1e6


def printing():
    path, rates = f"{OUT}/opens.recording", {"json": [], "text": [], "csv": [], "null": []}
    rows = record_opens(path, 400000)
    for _ in range(TURNS):
        for form in rates:
            rates[form].append(replay_rate(path, form, rows))
    os.unlink(path)
    yield "events recorded", rows, "", None
    yield "replayed as JSON", median(rates["json"]), "M/s", (">=", 1)
    for form in ("text", "csv", "null"):
        yield f"replayed as {form}", median(rates[form]), "M/s", None


def memory():
    yield "binary", os.path.getsize(SONDA) / 2**20, "MiB", below(4)
    for probe in PROBES:
        with busy(probe), Tracer(SONDA, "trace", probe, "-o", "json") as tracer:
            time.sleep(2)
            yield f"{probe}: resident memory under load", tracer.status("VmRSS") / 1024, "MiB", below(12)


# ---- the whole ----


def own_cost(seconds, *command):
    """CPU of the tracer, of its programs, and wake-ups, each per second, while a block runs."""
    with Tracer(*command) as tracer, run_statistics():
        begin, cpu, run, woken = time.monotonic(), tracer.cpu_s(), tracer.run_ns(), tracer.wakeups()
        time.sleep(seconds)
        took = time.monotonic() - begin
        return ((tracer.cpu_s() - cpu) / took, (tracer.run_ns() - run) / 1e9 / took, (tracer.wakeups() - woken) / took)


def own_costs():
    machine = 100 / os.cpu_count()
    user_s, run_s, wakeups = own_cost(5, SONDA, "trace", "fs.open", "--comm", "nobody", "-o", "json")
    yield "fs.open of nobody: user side, % of the machine", user_s * machine, "%", below(1)
    yield "... programs, at what the machine does now", run_s * machine, "%", None
    yield "... wake-ups", wakeups, "/s", None
    with background("sh", "-c", f"yes '50000 50 5000' | {OUT}/opens {OPENED} >/dev/null"):
        user_s, run_s, wakeups = own_cost(5, SONDA, "trace", "fs.open", "--comm", "opens", "-o", "json")
    yield "10,000 opens/s as JSON: user side, % of the machine", user_s * machine, "%", None
    yield "... programs", run_s * machine, "%", None
    yield "... both", (user_s + run_s) * machine, "%", below(1)
    yield "... wake-ups", wakeups, "/s", None


def rows_in(path, pid):
    """Lines that tell of OPENED and of the process."""
    told = re.compile(rb"\b%d\b.*%s" % (pid, OPENED.encode()))
    with open(path, "rb") as f:
        return sum(bool(told.search(line)) for line in f)


def storm_turn(command, count):
    """How many of `count` opens without a pause are told, and at what CPU time each."""
    path = f"{OUT}/storm"
    with Work(f"{OUT}/opens", OPENED) as work, open(path, "w") as out:
        with Tracer(*command, stdout=out) as tracer:
            before = tracer.cpu_s()
            cpu_ns = work.do(count, count, 200000)
            user_ns = (tracer.cpu_s() - before) * 1e9 / count
        told = rows_in(path, work.process.pid)
    os.unlink(path)
    return 100 * told / count, cpu_ns, user_ns


def storm():
    commands = {"sonda": (SONDA, "trace", "fs.open", "--comm", "opens"), "opensnoop": (shutil.which("opensnoop"), "-n", "opens")}
    turns = {name: [] for name in commands}
    for _ in range(TURNS // 2):
        for name, command in commands.items():
            turns[name].append(storm_turn(command, 100000))
    told, cpu_ns, user_ns = ({n: median(t[i] for t in turns[n]) for n in turns} for i in range(3))
    for name in commands:
        yield f"storm of 100,000 opens: told by {name}", told[name], "%", None
        yield "... an open+close takes", cpu_ns[name], "ns", None
        yield "... user side, an open", user_ns[name], "ns", None
    yield "told by sonda / by opensnoop", told["sonda"] / max(told["opensnoop"], 1e-9), "x", (">=", 1)


# ---- what can stay on ----

PYTHON_NET = """
import socket, threading
server = socket.create_server(("127.0.0.1", 0))
def serve():
    conn, _ = server.accept()
    while data := conn.recv(4096):
        conn.sendall(data)
thread = threading.Thread(target=serve)
thread.start()
with socket.create_connection(server.getsockname()) as s:
    for _ in range(60000):
        s.sendall(b"x" * 1000)
        s.recv(4096)
thread.join()
"""
WORKLOADS = {  # two seconds of CPU time each, or more
    "files": ["sh", "-c", "for i in 1 2 3 4 5 6; do tar -cf - -C /usr share/doc 2>/dev/null | cat >/dev/null; done"],
    "system calls": ["dd", "if=/dev/zero", "of=/dev/null", "bs=512", "count=4000000", "status=none"],
    "forks": ["sh", "-c", "i=0; while [ $i -lt 2500 ]; do /bin/true; i=$((i+1)); done"],
    "network": [sys.executable, "-I", "-S", "-c", PYTHON_NET],
    "block": ["dd", "if=/dev/zero", f"of={OUT}/block", "bs=16k", "count=24000", "conv=notrunc", "oflag=direct", "status=none"],
}


def workload_cpu_s(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def overview_share(command):
    """Time in the overview's programs, by the kernel's own statistics, as a part of the workload's CPU time; and CPU
    time of sonda itself as a part of one CPU: that costs by time, not by work. Programs that sonda runs, at
    intervals, are in both. What else the machine does is in neither, as long as it leaves them their CPUs."""
    with Tracer(SONDA, "top", "-o", "json") as tracer, run_statistics():
        begin, run_ns, own_ns = time.monotonic_ns(), tracer.run_ns(), tracer.cpu_ns()
        work_ns = workload_cpu_s(command) * 1e9
        took_ns = time.monotonic_ns() - begin
        return (tracer.run_ns() - run_ns) / work_ns, (tracer.cpu_ns() - own_ns) / took_ns


def overview_ratio(command):
    """CPU time of the workload watched by the workload's alone."""
    alone = workload_cpu_s(command)
    with Tracer(SONDA, "top", "-o", "json"):
        return workload_cpu_s(command) / alone


def overview():
    """`sonda top` alone, and everyday workloads. The gate is the share, which can be told in one run; the ratio
    has in it what else the machine does, so that one percent can be told only by many turns."""
    for name, command in WORKLOADS.items():
        workload_cpu_s(command)
        shares = [overview_share(command) for _ in range(max(TURNS // 3, 1))]
        programs, own = (100 * median(s) for s in zip(*shares))
        yield f"the overview on, {name}: programs and sonda itself", programs + own, "%", below(1)
        yield "... of it programs", programs, "%", None
        yield "... more CPU time than alone, in turns", 100 * (median(overview_ratio(command) for _ in range(TURNS)) - 1), "%", None
    if os.path.exists(f"{OUT}/block"):
        os.unlink(f"{OUT}/block")


# ---- packets ----


def packets():
    """The packet guard beside an empty XDP program."""
    with without_run_statistics():
        said = subprocess.run([sys.executable, f"{BENCH}/packets.py"], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = {name: (float(ns), float(ratio)) for name, ns, ratio in map(str.split, said.splitlines())}
    for name, what, gate in (
            ("port", "packet dropped by its port, to an empty XDP_DROP", below(2)),
            ("one_network", "by its source network", below(2)),
            ("million_networks", "by one of a million networks", below(2.5)),
            ("full", "seven rules, lists, a limit: passed", below(2.5)),
            ("full_random", "the same from a million sources at random", below(8))):
        yield what, found[name][1], "x", gate
    yield "a thousand networks to one", found["thousand_networks"][1] / found["one_network"][1], "x", below(1.2)
    yield "an empty XDP program", found["empty"][0], "ns", None
    for name, what, gate in (("veth_sonda", "on veth, ten rules, dropped: to an empty XDP_DROP", below(1 / 0.85)),
                             ("veth_xdp_filter", "the same, xdp-filter", None), ("veth_nft", "the same, nft (raw)", None)):
        if name in found:
            yield what, found[name][1], "x", gate
    if "veth_nft" in found:
        yield "nft's cost on veth to sonda's", found["veth_nft"][1] / found["veth_sonda"][1], "x", (">=", 2.5)
    for name, what in (("veth_empty", "on veth, an empty XDP_DROP"), ("veth_sonda", "sonda"), ("veth_xdp_filter", "xdp-filter"),
                       ("veth_nft", "nft")):
        if name in found:
            yield f"{what}, dropped", 1e3 / found[name][0], "M/s", None


MEASURES = [start, ending, open_costs, exec_costs, unset_filter, hot_probes, iops_cost, pipe_bench, guard_costs, printing, memory, own_costs, storm, overview, packets]
