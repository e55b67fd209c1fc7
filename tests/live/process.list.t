#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""process.list (sonda show process): a process that this test made, against what it was told to hold;
all processes against /proc; and what /proc alone gives, in the same fields."""

import os
import subprocess
import sys

from sondatest import *

# holds 300 files, 3 sockets, 4 threads beside its own, 64 MiB of memory, and has burned CPU time
HOLDER = """
import os, socket, sys, threading, time
files = [os.open("/dev/null", os.O_RDONLY) for _ in range(300)]
sockets = [socket.socket() for _ in range(3)]
memory = bytearray(64 << 20)
end = threading.Event()
for _ in range(4):
    threading.Thread(target=end.wait, daemon=True).start()
while time.process_time() < 0.3:
    pass
open("/proc/self/comm", "w").write("sonda-holder")
print(len(os.listdir("/proc/self/fd")) - 1, flush=True)
sys.stdin.read()
"""


def status(pid):
    return dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)


def kilobytes(pid, key):
    return int(status(pid).get(key, "0 kB").split()[0]) * 1024


def stat(pid):
    return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()


def hidden(pid):
    """A sandbox may keep a process from everybody: then the iterators don't show it either."""
    try:
        os.readlink(f"/proc/{pid}/exe") if os.listdir(f"/proc/{pid}/fd") else None
    except OSError as e:
        return e.errno == 13
    return False


holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
fds = int(holder.stdout.readline())
stopped = subprocess.Popen(["sleep", "1000"])
os.kill(stopped.pid, 19)
os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
zombie = subprocess.Popen(["true"])
os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)


def check_holder(row, exact_cpu):
    check_equal(row["comm"], "sonda-holder", "command name")
    check_equal(row["ppid"], os.getpid(), "parent")
    check_equal(row["fds"], fds, "descriptors")
    check_equal(row["sockets"], 3, "sockets")
    check_equal(row["threads"], 5, "threads")
    check_equal(row["state"], "sleeping", "state")
    check_equal(row["user"], "root", "user")
    check_equal(row["exe"], os.readlink(f"/proc/{holder.pid}/exe"), "exe")
    check_equal(row["kernel"], False, "not of the kernel")
    check_equal(row["anon_bytes"] >= 64 << 20, True, "its memory is counted")
    for field, key in ("anon_bytes", "RssAnon"), ("file_bytes", "RssFile"), ("shmem_bytes", "RssShmem"):
        # /proc's own figures lag behind by some pages for each CPU on kernels from 6.2 on
        check(abs(row[field] - kilobytes(holder.pid, key)) <= 1 << 20, f"{field} as in /proc: {row[field]}")
    check_equal(row["virtual_bytes"], kilobytes(holder.pid, "VmSize"), "address space")
    check_equal(row["rss_bytes"], row["anon_bytes"] + row["file_bytes"] + row["shmem_bytes"], "sum")
    ticks = sum(int(n) for n in stat(holder.pid)[11:13]) * 10_000_000
    check(abs(row["cpu_ns"] - ticks) <= 20_000_000, f"CPU time {row['cpu_ns']}, in /proc {ticks}")
    start = int(stat(holder.pid)[19]) * 10_000_000
    check(abs(row["start_ns"] - start) <= 10_000_000, "when it began")


def by_pid(r):
    check_equal(r.code, 0, "exit code")
    return {row["pid"]: row for row in r.rows}


before = {int(p) for p in os.listdir("/proc") if p.isdigit()}
rows = by_pid(run_sonda("show", "process"))
after = {int(p) for p in os.listdir("/proc") if p.isdigit()}
missing = {p for p in (before & after) - set(rows) if not hidden(p)}
check_equal(missing, set(), "every process is there")
check_holder(rows[holder.pid], True)
check_equal(rows[stopped.pid]["state"], "stopped", "a stopped process")
check_equal(rows[zombie.pid]["state"], "zombie", "a zombie")
check_equal((rows[zombie.pid]["fds"], rows[zombie.pid]["rss_bytes"]), (0, 0), "which holds nothing")
check_equal(rows[2]["kernel"], True, "kthreadd is of the kernel")

only = run_sonda("show", "process", "--pid", holder.pid, "--fields", "pid,fds").rows
check_equal(only, [{"pid": holder.pid, "fds": fds}], "--pid and --fields")
top = run_sonda("show", "process", "--sort", "fds", "--count", 5).rows
check_equal([r["fds"] for r in top], sorted((r["fds"] for r in top), reverse=True), "--sort, most first")
check(len(top) == 5 and top[0]["fds"] >= fds, "--count after sorting")
names = [r["comm"] for r in run_sonda("show", "process", "--sort", "comm").rows]
check_equal(names, sorted(names), "--sort by a text, from A")
text = run_sonda("show", "process", "--where", f"pid == {holder.pid}", json_output=False).lines
check_equal(text[0].split()[:6], ["PID", "PPID", "USER", "STATE", "THREADS", "FDS"], "text: columns")
check_equal(text[1].split()[:6], [str(holder.pid), str(os.getpid()), "root", "sleeping", "5", str(fds)], "text")

forced = dict(os.environ, SONDA_SNAPSHOT="proc")
proc = by_pid(run_sonda("show", "process", env=forced))
check_holder(proc[holder.pid], False)
check_equal(proc[stopped.pid]["state"], "stopped", "from /proc: a stopped process")
check_equal(proc[zombie.pid]["state"], "zombie", "from /proc: a zombie")
check_equal(sorted(proc[holder.pid]), sorted(rows[holder.pid]), "from /proc: the same fields")
for option in ("--pid", holder.pid), ("--comm", "nobody-has-this"), ("--user", "root"), ("--tree", holder.pid):
    refused = subprocess.run([SONDA, "show", "process", *map(str, option)], env=forced, capture_output=True, text=True)
    check(refused.returncode == 2 and not refused.stdout and "--where" in refused.stderr,
          f"from /proc: {option[0]} is refused, not ignored: {refused.returncode} {refused.stderr}")
try:
    other = subprocess.run([SONDA, "show", "process", "--count", "1"], user=65534, capture_output=True, text=True)
    check(other.returncode == 0 and "descriptors that only root may see" in other.stderr,
          f"who is not root is told what is missing: {other.stderr}")
except PermissionError:
    pass  # nobody may not execute it there

stopped.kill()
stopped.wait()
zombie.wait()
holder.communicate()
check_equal(run_sonda("show", "process", "--where", f"pid in ({holder.pid}, {zombie.pid})").rows, [], "what ended is gone")
check_equal(columns_on_terminal("show", "process", "--pid", os.getpid()), ["PID", "STATE", "RSS", "CPU", "COMM", "ARGS"],
            "on a narrow terminal: what it is and takes")
done()
