#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""syscall.slow: calls that take long, with what they are about; and those that hang.

Truth: the workload makes calls that last as long as it wants, and reads the clock around each.
"""

import ast
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *

LATE_S = 0.2  # how long the calls are kept waiting
MIN = "60ms"

WORK = r"""
import fcntl, os, socket, sys, threading, time
folder, late, said = sys.argv[1], float(sys.argv[2]), []

def timed(call, what, waits, body):
    begin = time.monotonic_ns()
    body()
    said.append((call, what, waits, time.monotonic_ns() - begin))

def later(body):
    threading.Timer(late, body).start()

server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
peer, _ = server.accept()
ends = "tcp 127.0.0.1:%d->127.0.0.1:%d" % (client.getsockname()[1], server.getsockname()[1])
later(lambda: peer.send(b"x"))
timed("recvfrom", ends, "data", lambda: client.recv(1))
fifo = folder + "/fifo"
other = []
later(lambda: other.append(os.open(fifo, os.O_RDONLY)))
timed("openat", fifo, "nothing", lambda: other.append(os.open(fifo, os.O_WRONLY)))
r, w = os.pipe()
later(lambda: os.write(w, b"x"))
timed("read", os.readlink(f"/proc/self/fd/{r}"), "pipe", lambda: os.read(r, 1))
path = folder + "/file"
first, second = os.open(path, os.O_RDWR | os.O_CREAT), os.open(path, os.O_RDWR)
fcntl.flock(first, fcntl.LOCK_EX)
later(lambda: fcntl.flock(first, fcntl.LOCK_UN))
timed("flock", path, "lock", lambda: fcntl.flock(second, fcntl.LOCK_EX))
timed("clock_nanosleep", None, "time", lambda: time.sleep(late))
for _ in range(2000):
    os.getppid()
print(said)
"""
PEERS = ("data", "nothing")


def work(folder):
    p = subprocess.Popen([sys.executable, "-I", "-S", "-c", WORK, folder, str(LATE_S)], stdout=subprocess.PIPE)
    out = p.communicate()[0]
    check_equal(p.returncode, 0, "the workload runs")
    return p.pid, ast.literal_eval(out.decode())


def those_that_return(folder, waits, classes):
    with Sonda("trace", "syscall.slow", "--min", MIN, "--waits", waits) as s:
        pid, want = work(folder)
    rows = [r for r in s.rows if r["tid"] == pid and r["state"] == "done" and r["syscall"] != "execve"]
    for call, what, waits_for, most_ns in want:
        found = [r for r in rows if (r["syscall"], r["waits_for"], r["object"] or None) == (call, waits_for, what)]
        check_equal(len(found), int(waits_for in classes), f"--waits {waits}: rows of {call} on {what}")
        for row in found:
            check(60e6 <= row["took_ns"] <= most_ns, f"{call} took {row['took_ns']} of {most_ns}")
            check(not row["at_least"] and row["err"] is None, f"{call}: all of it was seen")
    check(all(r["took_ns"] >= 60e6 for r in s.rows), "nothing below --min")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + s.stats["lost"], "the account")


OPENS = "import os, sys; os.close(os.open(sys.argv[1], os.O_WRONLY))"


def in_open_of(fifo):
    """A process that has reached the open, and hangs in it."""
    p = subprocess.Popen([sys.executable, "-I", "-S", "-c", OPENS, fifo])
    while open(f"/proc/{p.pid}/stat").read().split(") ")[1][0] != "S" or \
            open(f"/proc/{p.pid}/syscall").read().split()[0] != "257":
        if p.poll() is not None:
            break
        time.sleep(0.01)
    return p


def those_that_hang(folder):
    """One hangs before sonda comes, one after; both are told, again, and when they return."""
    before, after = folder + "/before", folder + "/after"
    os.mkfifo(before)
    os.mkfifo(after)
    old = in_open_of(before)
    with Sonda("trace", "syscall.slow", "--min", MIN) as s, \
            Sonda("trace", "syscall.slow", "--min", MIN, "--hanging-s", "0") as never, \
            Sonda("trace", "syscall.slow", "--min", MIN, "--hanging-s", "2") as later:
        new = in_open_of(after)
        rows = {}
        for p, at_least in ((old, True), (new, False)):
            row = s.wait_row(lambda r: r["pid"] == p.pid and r["state"] == "hanging" and r["took_ns"] >= 2e9)
            if not check(row, f"the call hangs, at least {at_least}"):
                continue
            rows[p] = row
            check(later.wait_row(lambda r: r["pid"] == p.pid and r["state"] == "hanging"), "--hanging-s 2: told as well")
            check_equal((row["syscall"], row["at_least"], row["waits_for"]), ("openat", at_least, "nothing"), "it")
            check(row["kstack"], "where in the kernel")
            if "iter.s" in s_hooks(s):
                check_equal(row["object"], before if p is old else after, "the path it asks for")
        for fifo in (before, after):
            os.close(os.open(fifo, os.O_RDONLY))
        old.wait()
        new.wait()
    check_equal([r for r in never.rows if r["state"] == "hanging"], [], "--hanging-s 0")
    check({r["state"] for r in never.rows} == {"done"}, "--hanging-s 0: what returns is told")
    check(all(r["took_ns"] >= 2e9 for r in later.rows if r["state"] == "hanging"), "--hanging-s 2: not sooner")
    for p, row in rows.items():
        done_ = [r for r in s.rows if r["pid"] == p.pid and r["state"] == "done" and r["syscall"] == "openat"]
        check_equal(len(done_), 1, "told when it returns as well")
        check(done_ and done_[0]["took_ns"] >= row["took_ns"], "and it took longer then")
        stages = [r["took_ns"] // 10 ** 9 for r in s.rows if r["pid"] == p.pid and r["state"] == "hanging"]
        check(len(stages) == len({int(t).bit_length() for t in stages}), f"told once for each doubling: {stages}")


def s_hooks(s):
    return b"".join(s._err).decode()


def counted():
    """What is fast is in no table either, though nobody gives --min."""
    code = "import os, time\nfor _ in range(2000): os.getppid()\ntime.sleep(0.05)"
    r = run_sonda("top", "syscall.slow", "--waits", "all", "--once", "-l", "0", "--", sys.executable, "-I", "-S", "-c", code)
    calls = {w["syscall"]: w["calls"] for w in r.rows}
    # who has to give up the CPU in the midst of a call may be slow in any
    check("clock_nanosleep" in calls and calls.get("getppid", 0) < 100, f"the table has slow calls: {calls}")
    check(all(w["time_ns"] >= w["calls"] * 10 ** 7 for w in r.rows), "10 ms or more")
    r = run_sonda("top", "syscall.slow", "--min", MIN, "--waits", "all", "--once", "-l", "0", "--", "sleep", str(LATE_S))
    rows = [(w["comm"], w["calls"], w["waits_for"]) for w in r.rows if w["syscall"] == "clock_nanosleep"]
    check_equal(rows, [("sleep", 1, "time")], "the table")


folder = os.path.realpath(tempfile.mkdtemp(prefix="syscall-slow-"))
try:
    os.mkfifo(folder + "/fifo")
    those_that_return(folder, "none", ("nothing",))
    those_that_return(folder, "peers", PEERS)
    those_that_return(folder, "all", ("data", "nothing", "pipe", "lock", "time"))
    those_that_hang(folder)
    counted()
finally:
    shutil.rmtree(folder)
done()
