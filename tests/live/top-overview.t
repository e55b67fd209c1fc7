#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`sonda top` alone: who uses CPU, memory, disks and network, found by processes that do, each in its own part;
and that none of its programs runs at calls or packets.

Truth: which process does what; how often the kernel ran sonda's programs, by its own statistics.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from memorytest import *
from scratch import any_disk

if os.geteuid() != 0:
    skip("needs root")
os.environ["LC_ALL"] = "C.UTF-8"
DISK = any_disk() or skip("no disk to write to")
TURNS = 5000 if EMULATED else 20000
HOG_BYTES = 128 * MIB


def again_and_again(child, do):
    """Now and then, and behind everybody else: sonda has to get a CPU too."""
    os.nice(19)
    child.ready()
    while True:
        do()
        time.sleep(0.05)


def burns(child):
    again_and_again(child, lambda: sum(range(200000)))


def holds(child):
    kept = anonymous(HOG_BYTES)
    child.ready()
    return kept


def writes(child):
    with tempfile.TemporaryFile(dir=DISK, buffering=0) as f:
        again_and_again(child, lambda: (f.write(bytes(1 << 18)), f.seek(0), f.truncate(0)))


def sends(child):
    a, b = tcp_pair()
    again_and_again(child, lambda: (a.sendall(bytes(10000)), b.recv(10000, socket.MSG_WAITALL)))


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        a = socket.create_connection(listener.getsockname())
        return a, listener.accept()[0]


# who, what he does, in which part, and what shows it in a program's rows
USERS = [("burns", burns, "CPU", "cpu_ns_delta"), ("holds", holds, "memory", "rss_bytes"),
         ("writes", writes, "disks", "written_bytes_delta"), ("sends", sends, "network", "payload_bytes_delta")]


def found_in_text():
    """The parts of `sonda top` as text: title -> names in it; all of them, for others may use more than these do."""
    shown = run_sonda("top", "--once", "--interval", "1500ms", "--limit", "0", json_output=False).stdout
    parts = re.findall(r"^[\d:.]+  (\w+): (\S+), [^\n]*\n(.*?)(?:\n\n|\Z)", shown, re.M | re.S)
    check_equal([p[:2] for p in parts], [("CPU", "process.usage"), ("memory", "process.usage"), ("disks", "process.usage"),
                                         ("network", "net.usage")], "its parts")
    return {title: [line.split()[0] for line in lines.splitlines()[1:]] for title, _, lines in parts}


def who_does_what():
    children = [Child(does, name) for name, does, _, _ in USERS]
    for child in children:
        child.wait_ready()
        if child is not children[1]:
            child.go()
    try:
        parts = found_in_text()
        for name, _, part, _ in USERS:
            check(name in parts.get(part, []), f"'{name}' is in the part '{part}': {parts}")
        with Sonda("top") as s:
            for name, _, part, value in USERS:
                row = s.wait_row(lambda r: r["comm"] == name and r.get(value, 0) > 0)
                check(row, f"'{name}' by {value}")
        first = [r for r in s.rows if r["time"] == s.rows[0]["time"]]
        check_equal({(r["probe"], r["table"]) for r in first} - {("net.usage", "usage")}, {("process.usage", "usage")},
                    "programs get whole tables")
        check_equal(len({(r["probe"], r["comm"]) for r in first}), len(first), "and each row once")
    finally:
        for child in children:
            child.end()


def fits(cols):
    """On a narrow terminal no line is cut short or wider."""
    script = f"stty cols {cols} rows 40; exec {SONDA} top --count 1 --interval 100ms"
    shown = subprocess.run(["script", "-qec", script, "/dev/null"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                           text=True).stdout
    lines = re.sub(r"\033[\[\]?][0-9;?]*[A-Za-z]", "", shown).replace("\r", "").split("\n")
    head = [l for l in lines if l.startswith("COMM")]
    check(len(head) >= 4, f"headers: {lines}")
    check(all(len(l) <= cols for l in lines if "sonda:" not in l), f"{cols} columns: {[l for l in lines if len(l) > cols]}")
    check(any("CPU/S" in l and "WAITED/S" in l and "BEGUN/S" in l for l in head), "with all that the part tells")


def runs_of(pid):
    """How often programs of that process ran."""
    runs = {}
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        with contextlib.suppress(OSError):
            of = dict(re.findall(r"^(\w+):\s+(\S+)$", open(f"/proc/{pid}/fdinfo/{fd}").read(), re.M))
            if "run_cnt" in of:
                runs[of["prog_id"]] = int(of["run_cnt"])
    return sum(runs.values())


@contextlib.contextmanager
def statistics_on():
    path = "/proc/sys/kernel/bpf_stats_enabled"
    before = open(path).read()
    try:
        with open(path, "w") as f:
            f.write("1")
        yield
    finally:
        with open(path, "w") as f:
            f.write(before)


def nothing_at_each_call():
    with statistics_on():
        with Sonda("top", "--interval", "1h") as s, open("/dev/zero", "rb", buffering=0) as zero:
            a, b = tcp_pair()
            before = runs_of(s.process.pid)
            begin = time.monotonic()
            for _ in range(TURNS):
                zero.read(1)
                a.sendall(b"x")
                b.recv(1)
            took = time.monotonic() - begin
            runs = runs_of(s.process.pid) - before
            a.close(), b.close()
    # what it looks at now and then depends on the machine; at each call it would be thrice as many or more
    check(runs < TURNS, f"{runs} runs in {took:.1f} s, while {3 * TURNS} calls were made")


who_does_what()
if not EMULATED:
    fits(80)
nothing_at_each_call()
done()
