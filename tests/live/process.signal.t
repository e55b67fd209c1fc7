#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""process.signal: a row for each signal, with who sent it, who gets it, and what comes of it.

Truth: the test sends them, and wait4 or the target itself says what they did.
"""

import ctypes
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *

TARGET = r"""
import os, signal, sys, threading
signal.signal(signal.SIGUSR1, lambda *a: os.write(1, b"handled\n"))
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also under nohup
if sys.argv[1:] == ["threads"]:  # the first thread blocks what another one takes
    threading.Thread(target=lambda: [signal.pause() for _ in iter(int, 1)], daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
os.write(1, b"ready\n")
while True:
    signal.pause()
"""


class Target:
    def __init__(self, *args):
        self.p = subprocess.Popen([sys.executable, "-I", "-c", TARGET, *args], stdout=subprocess.PIPE)
        self.pid = self.p.pid
        self.p.stdout.readline()

    def end(self):
        self.p.kill()
        self.p.wait()
        self.p.stdout.close()


def fault(body):
    pid = os.fork()
    if not pid:
        import resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        body()
        os._exit(0)
    return pid, os.waitpid(pid, 0)[1]


def memory_cgroup(name):
    """A new cgroup with a limit of 20 MiB, or None."""
    for top, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        try:
            if limit == "memory.max":
                with open(top + "/cgroup.subtree_control", "r+") as f:
                    f.write("+memory")
            elif not os.path.exists(f"{top}/{limit}"):
                continue
            os.mkdir(f"{top}/{name}")
            with open(f"{top}/{name}/{limit}", "r+") as f:
                f.write("20M")
            return f"{top}/{name}"
        except OSError:
            if os.path.isdir(f"{top}/{name}"):
                os.rmdir(f"{top}/{name}")
    return None


def out_of_memory():
    """A process that the kernel kills for its cgroup's limit; its pid, or None."""
    where = memory_cgroup(f"sonda-signal-{os.getpid()}")
    if not where:
        return None

    def eat():
        with open(where + "/cgroup.procs", "w") as f:
            f.write(str(os.getpid()))
        held = [bytearray(b"x" * (1 << 20)) for _ in range(200)]
        os._exit(len(held) & 1)
    pid, status = fault(eat)
    os.rmdir(where)
    return pid if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else None


def one_of_each():
    me = os.getpid()
    with Sonda("trace", "process.signal") as s:
        t, threads = Target(), Target("threads")
        want = []

        def send(what, target, number, outcome, action, why="kill", how=os.kill):
            how(target.pid, number)
            want.append((what, me, target.pid, number.name, why, outcome, action))
        send("a handler", t, signal.SIGUSR1, "delivered", "handler")
        t.p.stdout.readline()
        send("ignored", t, signal.SIGUSR2, "ignored", "none")
        send("blocked", t, signal.SIGHUP, "blocked", "terminate")
        send("blocked, again", t, signal.SIGHUP, "pending", "terminate")
        send("blocked in one thread only", threads, signal.SIGHUP, "delivered", "terminate")
        check_equal(threads.p.wait(), -signal.SIGHUP, "and it ends the process")
        send("to a thread", t, signal.SIGUSR1, "delivered", "handler", "tkill",
             lambda pid, n: ctypes.CDLL(None).syscall(234, pid, pid, int(n)))
        t.p.stdout.readline()
        send("stop", t, signal.SIGSTOP, "delivered", "stop")
        os.waitpid(t.pid, os.WUNTRACED)
        send("continue", t, signal.SIGCONT, "delivered", "continue")
        send("kill", t, signal.SIGKILL, "delivered", "terminate")
        t.p.wait()
        segv, segv_status = fault(lambda: ctypes.string_at(0))
        abrt, abrt_status = fault(os.abort)
        victim = out_of_memory()
        for x in (t, threads):
            x.p.stdout.close()
    rows = [r for r in s.rows if r["target_pid"] in (t.pid, threads.pid) and r["pid"] == me]
    got = [(r["pid"], r["target_pid"], r["signal"], r["why"], r["outcome"], r["action"]) for r in rows]
    missed = s.stats.get("missed", 0)  # the kernel skips a program that runs already on that CPU, and sonda says so
    absent = [w for w in want if w[1:] not in got]
    check(len(absent) <= missed, f"{absent} are in {got}, {missed} missed")
    check(len(want) - missed <= len(got) <= len(want), f"nothing else to these two: {got}")
    for what, pid, status, number, why in (("a fault", segv, segv_status, "SIGSEGV", "fault"),
                                           ("abort()", abrt, abrt_status, "SIGABRT", "tkill")):
        check_equal(signal.Signals(os.WTERMSIG(status)).name, number, f"{what} ends it")
        told = [(r["pid"], r["signal"], r["why"], r["action"]) for r in s.rows if r["target_pid"] == pid]
        check(told == [(pid, number, why, "dump")] or missed and not told, f"{what}: {told}")
    if victim:
        told = [(r["signal"], r["why"], r["action"]) for r in s.rows if r["target_pid"] == victim]
        check(("SIGKILL", "oom", "terminate") in told or missed, f"the kernel kills for memory: {told}")
    else:
        print("not shown: a kill for memory (no memory cgroup here)")
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + s.stats["lost"], "the account")


def routine():
    """What a process sends itself and handles, children that end: only with --routine."""
    code = ("import os, signal\nsignal.signal(signal.SIGUSR1, lambda *a: None)\n"
            "for _ in range(20): os.kill(os.getpid(), signal.SIGUSR1)\n"
            "for _ in range(5):\n  pid = os.fork()\n  if not pid: os._exit(0)\n  os.waitpid(pid, 0)\n")
    for options, own, children in (([], 0, 0), (["--routine"], 20, 5)):
        r = run_sonda("trace", "process.signal", *options, "--", sys.executable, "-I", "-S", "-c", code)
        check_equal(len([w for w in r.rows if w["signal"] == "SIGUSR1"]), own, f"{options}: signals to itself")
        told = [w for w in r.rows if w["signal"] == "SIGCHLD" and w["target_comm"].startswith("python")]
        check_equal([w["why"] for w in told], ["child"] * children, f"{options}: children that ended")


def filters():
    """They are about either side; and the table."""
    a, b = Target(), Target()
    with Sonda("trace", "process.signal", "--pid", a.pid) as s:
        os.kill(a.pid, signal.SIGUSR1)
        os.kill(b.pid, signal.SIGUSR1)
        s.wait_row(lambda r: r["target_pid"] == a.pid)
    check_equal([r["target_pid"] for r in s.rows], [a.pid], "--pid of who gets it")
    with Sonda("top", "process.signal", "--interval", "1h", "--by", "comm,signal,outcome") as s:
        for _ in range(50):
            os.kill(a.pid, signal.SIGUSR2)
    rows = [r["signals"] for r in s.rows if (r["signal"], r["outcome"]) == ("SIGUSR2", "ignored")]
    check(len(rows) == 1 and 50 - s.stats.get("missed", 0) <= rows[0] <= 50, f"the table: {rows}")
    a.end()
    b.end()


one_of_each()
routine()
filters()
done()
