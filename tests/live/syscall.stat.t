#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""syscall.stat: how many calls, how many failed, how long they took, by name.

Truth: the workload's own count, strace -c of the same program, clocks read around a sleep.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *

# What a program does that counts its own calls: in C by ctypes, so that python adds none of these.
WORK = r"""
import ctypes, os, signal, threading
libc = ctypes.CDLL(None)
for _ in range(1000):
    libc.getppid()
for _ in range(300):
    libc.rmdir(b"/nowhere/at/all")
signal.signal(signal.SIGUSR1, lambda *a: None)
for _ in range(50):
    os.kill(os.getpid(), signal.SIGUSR1)
for _ in range(40):
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
for _ in range(7):
    libc.usleep(20000)
for _ in range(5):
    libc.syscall(ctypes.c_long(900000))
"""
COUNTED = {"getppid": (1000, 0), "rmdir": (300, 300), "kill": (50, 0), "wait4": (40, 0), "rt_sigreturn": (50, 0),
           "unknown": (5, 5)}
SLEEPS, SLEEP_NS = 7, 20_000_000


def table(*args, by="syscall"):
    r = run_sonda("top", "syscall.stat", "--once", "--limit", "0", "--by", by, *args)
    check_equal(r.code, 0, f"sonda top {args}: its status is the command's")
    return {tuple(row[b] for b in by.split(",")): row for row in r.rows}, r


def python(code, *args):
    return ["--", sys.executable, "-I", "-S", "-c", code, *args]


def counts_of_workload():
    """The whole of a program with children, against what it did, and against strace -c."""
    rows, r = table(*python(WORK))
    for call, (calls, errors) in COUNTED.items():
        row = rows.get((call,), {"calls": 0, "errors": 0})
        check_equal((row["calls"], row["errors"]), (calls, errors), f"{call}: calls and errors")
    made = sum(rows.get((c,), {"calls": 0})["calls"] for c in ("clone", "fork", "vfork", "clone3"))
    check_equal(made, 40, "forks are counted once, though both sides return")
    check_equal(rows[("exit_group",)]["calls"], 41, "calls that don't return")
    sleep = rows[("clock_nanosleep",)]
    check(sleep["calls"] == SLEEPS and SLEEPS * SLEEP_NS <= sleep["time_ns"] <= SLEEPS * SLEEP_NS * 50,
          f"time of {SLEEPS} sleeps: {sleep['time_ns']}")
    check_equal(sleep["took_ns"]["count"], SLEEPS, "each sleep is in the histogram")
    check(all(up > SLEEP_NS for up, _ in sleep["took_ns"]["buckets"]), "where it belongs")


STRACE = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(\d+)? +(\w+)$")


def same_as_strace(folder):
    """Names and counts of a program that does the same in both runs."""
    if not shutil.which("strace"):
        return
    command = [shutil.which("ls"), "-lR", folder]
    log = folder + "/../strace.log"
    subprocess.run(["strace", "-f", "-c", "-o", log, *command], stdout=subprocess.DEVNULL, check=True)
    want = {}
    for line in open(log):
        m = STRACE.match(line.rstrip())
        if m and m.group(3) != "total":
            want[m.group(3)] = (int(m.group(1)), int(m.group(2) or 0))
    rows, _ = table("--", "sh", "-c", 'exec "$@" >/dev/null', "sh", *command, by="syscall,comm")
    got = {call: (row["calls"], row["errors"]) for (call, comm), row in rows.items() if comm == "ls"}
    # the shell's execve returns as ls; strace counts that of its own child, and exit_group not at all
    for both in (want, got):
        both.pop("execve", None)
        both.pop("exit_group", None)
    check(sum(c for c, _ in want.values()) > 200, "strace saw the workload")
    check_equal(got, want, "calls of ls")


def others_are_left_out():
    """--pid: only that process; all others are counted as filtered; and by pid."""
    rows, _ = table("--errors", *python(WORK))
    check_equal(rows[("rmdir",)]["calls"], 300, "--errors counts what failed")
    check(("getppid",) not in rows, "and nothing else")
    rows, _ = table("--min", "15ms", *python(WORK))
    check_equal(rows[("clock_nanosleep",)]["calls"], SLEEPS, "--min counts what took long")
    check(("getppid",) not in rows, "and nothing else (--min)")
    rows, _ = table("--comm", "no-such", *python(WORK))
    check_equal(rows, {}, "--comm of nobody")


def calls_of_32bit():
    """int $0x80 from a 64-bit program: numbers of another table."""
    code = r"""
import ctypes, mmap
code = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("89f8" "53" "31db" "cd80" "5b" "4898" "c3"))  # eax = nr; ebx = 0; int 0x80
call = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
for _ in range(60):
    call(64)   # getppid there, semget here
for _ in range(30):
    call(4095)
"""
    probe = subprocess.run([sys.executable, "-I", "-S", "-c", code], stderr=subprocess.DEVNULL)
    if probe.returncode:
        print("not shown: 32-bit calls (this kernel has none)")
        return
    rows, _ = table(*python(code))
    check_equal(rows.get(("i386:getppid",), {"calls": 0})["calls"], 60, "32-bit calls have their own names")
    check(("semget",) not in rows, "and no others'")


def thread_that_executes():
    """A thread replaces its process while the first thread is in a call: the exec is counted, and what
    the first thread had begun is not taken for its time."""
    code = r"""
import os, threading, time
threading.Timer(0.3, lambda: os.execv("/bin/true", ["true"])).start()
time.sleep(1000)
"""
    rows, _ = table(*python(code), by="syscall,comm")
    row = rows.get(("execve", "true"), {"calls": 0, "time_ns": 0})
    check_equal((row["calls"], row["time_ns"]), (1, 0), "the exec of a thread")


folder = tempfile.mkdtemp(prefix="syscall-stat-")
try:
    os.makedirs(folder + "/d")
    for i in range(60):
        os.symlink("nowhere", f"{folder}/d/link{i}")
    counts_of_workload()
    same_as_strace(folder + "/d")
    others_are_left_out()
    calls_of_32bit()
    thread_that_executes()
finally:
    shutil.rmtree(folder)
done()
