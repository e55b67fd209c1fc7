#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""process.setuid: a row for each change of credentials, with what they were and are.

Truth: /proc/self/status before and after each call, read by the process that makes it.
"""

import ast
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *

WORK = r"""
import ctypes, os, struct, sys
libc, said = ctypes.CDLL(None), []

def status():
    lines = dict(l.split(":", 1) for l in open("/proc/thread-self/status"))
    return ([int(n) for n in lines["Uid"].split()], [int(n) for n in lines["Gid"].split()],
            int(lines["CapEff"], 16), int(lines["CapPrm"], 16), len(lines["Groups"].split()))

def change(call, body, *args):
    before = status()
    try:
        body(*args)
    except OSError:
        pass
    after = status()
    if before != after:
        said.append((call, before, after))

def capset(effective, permitted):
    head, data = struct.pack("Ii", 0x20080522, 0), struct.pack("IIIIII", effective & 0xffffffff, permitted & 0xffffffff, 0,
                                                              effective >> 32, permitted >> 32, 0)
    libc.syscall(126, head, data)

eff, prm = status()[2:4]
change("setgroups", os.setgroups, [4, 24, 27])
change("setgid", os.setgid, 100)
change("setresgid", os.setresgid, 100, 101, 102)
change("setfsgid", lambda: libc.setfsgid(77))
change("capset", capset, eff & ~(1 << 23), prm)
change("capset", capset, eff, prm)
change("setfsuid", lambda: libc.setfsuid(7))
change("setresuid", os.setresuid, 65534, 65534, 0)
change("setresuid", os.setresuid, -1, 0, -1)
change("setuid", os.setuid, 65534)
change("setuid", os.setuid, 0)
print(said)
sys.stdout.flush()
if len(sys.argv) > 1:
    os.execv(sys.argv[1], [sys.argv[1], "/proc/self/status"])
"""
IDS = ("", "e", "s", "fs")


def changes_as_proc_says(tool):
    with Sonda("trace", "process.setuid") as s:
        p = subprocess.Popen([sys.executable, "-I", "-S", "-c", WORK, tool], stdout=subprocess.PIPE)
        out = p.communicate()[0].decode()
    want = ast.literal_eval(out.split("\n")[0])
    check_equal([w[0] for w in want], ["setgroups", "setgid", "setresgid", "setfsgid", "capset", "capset", "setfsuid",
                                       "setresuid", "setresuid", "setuid"], "what the workload could do")
    rows = [r for r in s.rows if r["pid"] == p.pid]
    if s.stats.get("missed") and len(rows) < len(want):
        print(f"not compared: {s.stats['missed']} missed")  # which ones can't be known
        return
    for row, (call, before, after) in zip(rows, want):
        check_equal(row["call"], call, "which call")
        for i, name in enumerate(IDS):
            got = [row[f"{when}_{name}{what}"] for what in ("uid", "gid") for when in ("old", "new")]
            check_equal(got, [before[0][i], after[0][i], before[1][i], after[1][i]], f"{call}: ids {name or 'real'}")
        check_equal((row["old_groups"], row["new_groups"]), (before[4], after[4]), f"{call}: groups")
        check_equal(row["caps_gained"] != "none", bool(after[2] & ~before[2]), f"{call}: gained")
        check_equal(row["caps_lost"] != "none", bool(before[2] & ~after[2]), f"{call}: lost")
        more = (after[2] & ~before[2]) or (after[3] & ~before[3]) or (before[0][1] and not after[0][1])
        check_equal(row["gained"], bool(more), f"{call}: may it do more?")
    nice = [r for r in rows if r["call"] == "capset"]
    check_equal([(r["caps_lost"], r["caps_gained"]) for r in nice],
                [("CAP_SYS_NICE", "none"), ("none", "CAP_SYS_NICE")], "one capability by name")
    setuid_exec(rows[len(want):], out)
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")


def setuid_exec(rows, out):
    """The program has the bit: what it runs with is what it says of itself."""
    uids = [l.split()[1:] for l in out.splitlines() if l.startswith("Uid:")]
    if uids and uids[-1][1] != "0":
        print("not shown: a setuid program (the file system has no such)")
        return
    check_equal([(r["call"], r["old_euid"], r["new_euid"], r["gained"]) for r in rows],
                [("execve", 65534, 0, True)], "a setuid program")


def gains_and_table():
    code = "import os; os.setresuid(65534, 65534, 0); os.seteuid(0); os.setuid(65534)"
    command = [sys.executable, "-I", "-S", "-c", code]
    r = run_sonda("trace", "process.setuid", "--gains", "--", *command)
    check_equal([(w["new_euid"], w["gained"]) for w in r.rows], [(0, True)], "--gains")
    check_equal(r.stats["filtered"], 2, "the others are counted")
    r = run_sonda("top", "process.setuid", "--once", "--by", "old_euid,new_euid,gained", "--", *command)
    got = sorted((w["old_euid"], w["new_euid"], w["gained"], w["changes"]) for w in r.rows)
    check_equal(got, [(0, 65534, 0, 2), (65534, 0, 1, 1)], "the table")
    r = run_sonda("trace", "process.setuid", "--", "sh", "-c", "true; sleep 0.01; exec true")
    check_equal(r.rows, [], "nothing changes, nothing is told")


folder = tempfile.mkdtemp(prefix="process-setuid-", dir="/var/tmp" if os.path.isdir("/var/tmp") else "/tmp")
try:
    os.chmod(folder, 0o755)
    tool = shutil.copy(os.path.realpath(shutil.which("cat")), folder + "/setuid-cat")
    os.chmod(tool, 0o4755)
    changes_as_proc_says(tool)
    gains_and_table()
finally:
    shutil.rmtree(folder)
done()
