#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""process.exit: one row for each process that ends, with what its parent gets from wait4(2).

Status, peak memory and CPU time are compared with wait4's; lifetime with clocks read inside and
outside of the process.
"""

import ctypes
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *

LIBC = ctypes.CDLL(None)  # lets other threads run during a call
TICK_NS = 10_000_000  # what a thread used since the last timer tick is not yet known when it exits
KILLED = 60 if EMULATED else 300
EXIT_THREAD = {"x86_64": 60, "aarch64": 93}.get(platform.machine())


class Ended:
    """A process that the test made: what it did, and what wait4 said of it."""

    def __init__(self, what, body):
        self.what = what
        out, into = os.pipe()
        begun = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(out)
            inside = time.clock_gettime_ns(time.CLOCK_BOOTTIME)

            def report():
                used = time.process_time_ns()
                lived = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - inside
                os.write(into, f"{used} {lived}".encode())
            try:
                body(report)
            finally:
                os._exit(99)
        os.close(into)
        text = os.read(out, 100)
        os.close(out)
        self.cpu_ns, self.lived_ns = map(int, text.split()) if text else (0, 0)
        pid, self.status, self.usage = os.wait4(self.pid, 0)
        self.whole_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - begun

    def status_text(self):
        if os.WIFSIGNALED(self.status):
            return f"killed by {signal.Signals(os.WTERMSIG(self.status)).name}" + (
                ", core dumped" if os.WCOREDUMP(self.status) else "")
        return f"exit {os.WEXITSTATUS(self.status)}"

    def judge(self, rows, threads=1):
        rows = [r for r in rows if r["pid"] == self.pid]
        if not check_equal(len(rows), 1, f"{self.what}: rows"):
            return None
        row = rows[0]
        check_equal(row["status"], self.status_text(), f"{self.what}: status")
        check_equal(row["core_dumped"], os.WCOREDUMP(self.status), f"{self.what}: core dumped")
        check_equal(row["peak_bytes"], self.usage.ru_maxrss * 1024, f"{self.what}: peak memory")
        check_equal(row["ppid"], os.getpid(), f"{self.what}: parent")
        check_equal(row["tid"], self.pid, f"{self.what}: the row is about the process")
        check(self.lived_ns <= row["lifetime_ns"] <= self.whole_ns,
              f"{self.what}: lifetime {self.lived_ns} <= {row['lifetime_ns']} <= {self.whole_ns}")
        used = row["user_ns"] + row["system_ns"]
        most = (self.usage.ru_utime + self.usage.ru_stime) * 1e9 + 2000  # wait4 cuts each to 1 us
        check(self.cpu_ns - threads * TICK_NS <= used <= most,
              f"{self.what}: CPU time {self.cpu_ns} - {threads} ticks <= {used} <= {most}")
        return row


def burn(ms):
    end = time.thread_time_ns() + ms * 1_000_000
    while time.thread_time_ns() < end:
        pass


# ---- what the processes do ----


def leaves_with(code):
    def body(report):
        report()
        os._exit(code)
    return body


def dies_by(number):
    def body(report):
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.chdir(DIR)
        signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
        report()
        os.kill(os.getpid(), number)
        signal.pause()
    return body


def uses_memory(report):
    held = bytearray(80 << 20)
    held[::4096] = b"x" * len(held[::4096])
    del held
    report()
    os._exit(0)


def uses_cpu(report):
    burn(300)
    report()
    os._exit(0)


def with_threads(report):
    """Threads that end before the process, and threads that its end ends."""
    done_ = [threading.Thread(target=burn, args=(50,)) for _ in range(3)]
    for t in done_:
        t.start()
    for t in done_:
        t.join()
    for _ in range(5):
        threading.Thread(target=signal.pause, daemon=True).start()
    report()
    os._exit(7)


def first_thread_goes_first(report):
    """The process lives on in another thread, which has a name of its own and ends it."""
    with open("/proc/self/comm", "w") as f:
        f.write("the-process")
    main_tid = threading.get_native_id()

    def lives_on():
        tid = threading.get_native_id()
        with open(f"/proc/self/task/{tid}/comm", "w") as f:
            f.write("the-thread")
        while " Z " not in open(f"/proc/self/task/{main_tid}/stat").read():
            pass
        report()
        os._exit(5)
    threading.Thread(target=lives_on).start()
    sys.setswitchinterval(10)
    LIBC.syscall(EXIT_THREAD, 0)


# ---- the checks ----


def one_of_each():
    with Sonda("trace", "process.exit", "--pid", f"!{os.getpid()}") as s:
        ended = [Ended(f"exit({n})", leaves_with(n)) for n in (0, 1, 255)]
        ended += [Ended(f"{n.name}", dies_by(n))
                  for n in (signal.SIGKILL, signal.SIGTERM, signal.SIGABRT, signal.SIGSEGV)]
        ended += [Ended("memory", uses_memory), Ended("CPU", uses_cpu)]
        threads = Ended("threads", with_threads)
    rows = exits(s)
    for e in ended:
        e.judge(rows)
    threads.judge(rows, threads=9)
    check_equal(s.stats.get("lost"), 0, "nothing is lost")
    signals = {r["pid"]: r["signal"] for r in rows}
    check_equal([signals[e.pid] for e in ended[:5]], ["none", "none", "none", "SIGKILL", "SIGTERM"], "signals")
    if not any(os.WCOREDUMP(e.status) for e in ended):
        print("not shown: a core dump (core_pattern dumps none here)")


def exits(s):
    return [r for r in s.rows if r["probe"] == "process.exit"]


def many_at_once():
    """Processes of four threads, killed: all threads of one go at the same moment."""
    program = ("import os,threading,time\n"
               "for i in range(%d):\n"
               "  out,into=os.pipe()\n"
               "  pid=os.fork()\n"
               "  if pid==0:\n"
               "    b=threading.Barrier(4)\n"
               "    f=lambda: (b.wait(), time.sleep(1000))\n"
               "    [threading.Thread(target=f).start() for _ in range(3)]\n"
               "    b.wait(); os.write(into,b'x'); time.sleep(1000)\n"
               "  os.read(out,1); os.close(out); os.close(into); os.kill(pid,9); os.waitpid(pid,0)\n"
               "  print(pid)\n") % KILLED
    with Sonda("trace", "process.exit") as s:
        out = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True).stdout
    want = [int(n) for n in out.split()]
    got = [r["pid"] for r in exits(s) if r["pid"] in set(want)]
    told = set(got)
    check_equal(got, [pid for pid in want if pid in told], "processes of many threads, each once, in order")
    check(len(want) - len(got) <= s.stats.get("missed", 0), f"{len(got)} of {len(want)} told, the rest missed: {s.stats}")
    check_equal({r["status"] for r in exits(s) if r["pid"] in set(want)}, {"killed by SIGKILL"}, "how they ended")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + s.stats["lost"], "the account")


def filters():
    with Sonda("trace", "process.exit", "--errors") as s:
        fine, failed = Ended("fine", leaves_with(0)), Ended("failed", leaves_with(2))
    told = {r["pid"] for r in exits(s)}
    check(failed.pid in told and fine.pid not in told, "--errors tells of those that failed")
    check(s.stats["filtered"] >= 1, "what --errors leaves out is counted")
    with Sonda("trace", "process.exit", "--exe", os.path.realpath(sys.executable)) as s:
        own = Ended("own program", leaves_with(0))
        other = subprocess.Popen(["true"])
        other.wait()
    told = {r["pid"] for r in exits(s)}
    check(own.pid in told and other.pid not in told, "--exe tells of that program's processes")
    with Sonda("trace", "process.exit", "--min", "1h") as s:
        young = Ended("young", leaves_with(0))
    check(young.pid not in {r["pid"] for r in exits(s)}, "--min is about the lifetime")


def first_thread_first():
    if not EXIT_THREAD:
        print("not shown: the first thread going first (system call numbers of this machine unknown)")
        return
    with Sonda("trace", "process.exit") as s:
        e = Ended("first thread goes first", first_thread_goes_first)
    row = e.judge(exits(s))
    if row:
        check_equal(row["comm"], "the-process", "the name is the process's")



with tempfile.TemporaryDirectory(dir="/var/tmp") as DIR:
    one_of_each()
    first_thread_first()
    many_at_once()
    filters()
done()
