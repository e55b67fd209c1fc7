#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Stacks and their names: programs with known stacks (tests/data/chain.c, built in several ways) that
have ended before sonda looks, as fields, labels, folded, and in a recording."""

import os
import re
import shutil
import signal
import subprocess
import tempfile

from sondatest import *

OBJECTS = os.environ.get("SONDA_TEST_OBJECTS", os.path.join(os.path.dirname(__file__), "../../build/test-probes"))
PROBE = os.path.join(OBJECTS, "stacks.bpf.o")
NAP = ["do_nanosleep", "hrtimer_nanosleep"]
KNOWN = ["leaf", "b", "a", "main"]


def chain(how):
    return os.path.join(OBJECTS, f"chain-{how}")


if not os.path.exists(chain("static")):
    skip("tests/data/chain.c was not built")


def functions(frames):
    """["leaf+0x12 [x.so]", "chain+0x99"] -> ["leaf", "chain"]"""
    return [re.sub(r"(\+0x[0-9a-f]+)?( \[[^]]*\])?$", "", f) for f in frames or []]


def follow(names, wanted):
    """Do the wanted ones stand one behind the other?"""
    return any(names[i : i + len(wanted)] == wanted for i in range(len(names)))


def naps(rows):
    """Those that a nanosleep(2) caused, not a page fault or the end."""
    return [r for r in rows if follow(functions(r["kstack"]), NAP)]


def run_unseen(command):
    """Runs it to its end while sonda is stopped: all that it reads of it, it reads when it has gone."""
    s = Sonda("trace", PROBE, "--comm", os.path.basename(command[0]))
    with s:
        s.process.send_signal(signal.SIGSTOP)
        child = subprocess.Popen(command)
        child.wait()
        s.process.send_signal(signal.SIGCONT)
        check(not os.path.exists(f"/proc/{child.pid}"), f"{command[0]} has gone")
    return s


# 1. names of processes that have ended, whatever the file is
for how in "static", "pie", "dynamic":
    s = run_unseen([chain(how), "3"])
    rows = naps(s.rows)
    check_equal(len(rows), 3, f"{how}: a row for each sleep")
    for row in rows:
        check(follow(functions(row["ustack"]), KNOWN), f"{how}: main calls a calls b calls leaf: {row['ustack']}")
        check_equal(functions(row["ustack"])[0], "leaf", f"{how}: innermost first")
        check(all(re.fullmatch(r"\S+\+0x[0-9a-f]+", f) for f in row["ustack"][:3]), f"{how}: offsets")
        check_equal(row["kstack"][-1].split("+")[0].startswith("entry_"), True, f"{how}: the kernel's begins at its entry")

# 2. without names: the file, the place in it, and they are counted
s = run_unseen([chain("stripped"), "1"])
rows = naps(s.rows)
check_equal(len(rows), 1, "stripped: a row")
for row in rows:
    check(all(re.fullmatch(r"chain-stripped\+0x[0-9a-f]+", f) for f in row["ustack"][:4]), f"stripped: {row['ustack']}")
check(re.search(r"[1-9][0-9]* of [0-9]+ frames have no name", s.stderr), f"stripped: counted: {s.stderr!r}")

# 3. mangled names; code made at run time
s = run_unseen([chain("pie"), "1", "mangled"])
for row in naps(s.rows) or [{"ustack": []}]:
    check(follow(functions(row["ustack"]), ["crate::doze", "one::two::sleep", "b", "a", "main"]),
          f"demangled: {row['ustack']}")
if os.uname().machine == "x86_64":
    s = run_unseen([chain("pie"), "1", "made"])
    rows = naps(s.rows)
    check_equal(len(rows), 1, "made: a row")
    for row in rows:
        check(follow(functions(row["ustack"]), ["made_at_run_time", "b", "a", "main"]), f"made: {row['ustack']}")
        os.unlink(f"/tmp/perf-{row['pid']}.map")

# 4. the BPF program itself is in the kernel's stack, by name; the task that goes on has one too
rows = s.rows
check(any(re.fullmatch(r"bpf_prog_[0-9a-f]{16}_\w+\+0x[0-9a-f]+ \[bpf\]", r["kstack"][0]) for r in rows if r["kstack"]),
      "the BPF program's name")
check(any(follow(functions(r["next_kstack"]), ["schedule"]) or follow(functions(r["next_kstack"]), ["schedule_idle"])
          or r["next_kstack"] for r in rows), "the stack of the task that goes on")

# 5. a file that only its process sees
with tempfile.TemporaryDirectory() as directory:
    # while sonda reads, it still runs: what it has mapped is held open
    hidden = f"mount -t tmpfs none {directory} && cp {chain('static')} {directory}/hidden && exec {directory}/hidden 30"
    unshare = shutil.which("unshare")
    if unshare:
        with Sonda("trace", PROBE, "--comm", "hidden") as s:
            subprocess.run([unshare, "-m", "sh", "-c", hidden], check=True)
        check(not os.path.exists(f"{directory}/hidden"), "the file can't be seen from here")
        rows = naps(s.rows)
        check_equal(len(rows), 30, "hidden: a row for each sleep")
        check(all(follow(functions(r["ustack"]), KNOWN) for r in rows), f"hidden: names: {rows[:1]}")

# 6. labels: counted in the kernel, by stack
s = run_sonda("top", PROBE, "--comm", "chain-pie", "--by", "comm,ustack,kstack", "--once", "--", chain("pie"), "7")
rows = naps(s.rows)
check_equal([r["waits"] for r in rows if follow(r["ustack"], KNOWN)], [7], f"one row for the seven sleeps: {rows}")
check_equal(s.code, 0, "top: exit code")

# 7. folded: outermost first, summed
LINE = r"chain-dynamic;(?:[^;]+;)*main;a;b;leaf;entry_\w+;(?:[^;]+;)*hrtimer_nanosleep;do_nanosleep;(?:[^;]+;)*\S+ (\d+)"
s = run_sonda("trace", PROBE, "--comm", "chain-dynamic", "-o", "folded", "--", chain("dynamic"), "5")
counts = [int(m.group(1)) for m in (re.fullmatch(LINE, l) for l in s.lines) if m]
check_equal(counts, [5], f"folded: {s.lines}")
check_equal(sum(int(l.rsplit(" ", 1)[1]) for l in s.lines), s.stats["delivered"], "folded: each row is in one line")
check("bpf_prog_" not in s.stdout, "folded: without the program that took the stack")
s = run_sonda("trace", PROBE, "--comm", "chain-dynamic", "-o", "folded", "--weight", "pid", "--", chain("dynamic"), "5")
pid = sum(int(m.group(1)) for m in (re.fullmatch(LINE, l) for l in s.lines) if m)
check(pid > 5 and pid % 5 == 0, f"folded: a chosen field is summed: {pid}")
s = run_sonda("top", PROBE, "--comm", "chain-dynamic", "-o", "folded", "--once", "--", chain("dynamic"), "5")
counts = [int(m.group(1)) for m in (re.fullmatch(LINE, l) for l in s.lines) if m]
check_equal(counts, [5], f"top, folded: {s.lines}")
s = run_sonda("trace", "process.exec", "-o", "folded", "--", "/bin/true")
check_equal(s.code, 2, "folded needs a stack")
s = run_sonda("trace", PROBE, "-o", "folded", "--weight", "wight", "--", "/bin/true")
check("no field 'wight'" in s.stderr and s.code == 2, f"an unknown weight: {s.stderr!r}")

# 8. a recording keeps the names, on any machine: here, where the file has gone
with tempfile.TemporaryDirectory() as directory:
    program, file = os.path.join(directory, "chain-copy"), os.path.join(directory, "x.rec")
    shutil.copy(chain("static"), program)
    s = run_sonda("record", PROBE, "--comm", "chain-copy", "--to", file, "--", program, "2", json_output=False)
    os.unlink(program)
    rows = naps(run_sonda("replay", file).rows)
    check_equal(len(rows), 2, "replayed")
    check(all(follow(functions(r["ustack"]), KNOWN) for r in rows), f"replayed with names: {rows}")
    s = run_sonda("replay", file, "--where", "ustack ~ '*;main+*'")
    check_equal(len(naps(s.rows)), 2, "a condition on names")
    check_equal(len(run_sonda("replay", file, "--where", "ustack ~ '*nobody*'").rows), 0, "a condition that none meets")

# 9. text: a frame a line below its row
s = run_sonda("trace", PROBE, "--comm", "chain-static", "--", chain("static"), "1", json_output=False)
check(re.search(r"^ {8}ustack  leaf\+0x[0-9a-f]+\n {16}b\+0x[0-9a-f]+\n {16}a\+", s.stdout, re.M), f"text: {s.stdout}")

done()
