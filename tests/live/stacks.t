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


def at_least(got, want, what):
    """A thread that is woken for another reason goes to sleep again."""
    check(want <= got <= want + 2, f"{what}: {got}, want {want}")


# 1. all of them run and end while sonda is stopped: what it reads of them, it reads when they have gone
RUNS = [("static", 3), ("pie", 3), ("dynamic", 3), ("stripped", 1), ("mangled", 1), ("made", 1)]
pids = {}
with Sonda("trace", PROBE, "--buffer", "16MiB", "--where", "comm ~ 'chain-*'") as s:  # all that runs meanwhile lies there
    s.process.send_signal(signal.SIGSTOP)
    for how, times in RUNS:
        argv = [chain(how), str(times)] if os.path.exists(chain(how)) else [chain("pie"), str(times), how]
        child = subprocess.Popen(argv)
        child.wait()
        pids[how] = child.pid
        check(not os.path.exists(f"/proc/{child.pid}"), f"{how} has gone")
    s.process.send_signal(signal.SIGCONT)
rows = {how: [r for r in naps(s.rows) if r["pid"] == pid] for how, pid in pids.items()}
for how, times in RUNS:
    at_least(len(rows[how]), times, f"{how}: a row for each sleep")

for how in "static", "pie", "dynamic":
    for row in rows[how]:
        check(follow(functions(row["ustack"]), KNOWN), f"{how}: main calls a calls b calls leaf: {row['ustack']}")
        check_equal(functions(row["ustack"])[0], "leaf", f"{how}: innermost first")
        check(all(re.fullmatch(r"\S+\+0x[0-9a-f]+", f) for f in row["ustack"][:3]), f"{how}: offsets")
        check(row["kstack"][-1].startswith("entry_"), f"{how}: the kernel's begins at its entry")

# 2. without names: the file, the place in it, and they are counted
for row in rows["stripped"]:
    check(all(re.fullmatch(r"chain-stripped\+0x[0-9a-f]+", f) for f in row["ustack"][:4]), f"stripped: {row['ustack']}")
check(re.search(r"[1-9][0-9]* of [0-9]+ frames have no name", s.stderr), f"stripped: counted: {s.stderr!r}")

# 3. mangled names; code made at run time
for row in rows["mangled"]:
    check(follow(functions(row["ustack"]), ["crate::doze", "one::two::sleep", "b", "a", "main"]),
          f"demangled: {row['ustack']}")
for row in rows["made"]:
    check(follow(functions(row["ustack"]), ["made_at_run_time", "b", "a", "main"]), f"made: {row['ustack']}")
os.unlink(f"/tmp/perf-{pids['made']}.map")

# 4. the BPF program itself is in the kernel's stack, by name; the task that goes on has one too
check(any(re.fullmatch(r"bpf_prog_[0-9a-f]{16}_\w+\+0x[0-9a-f]+ \[bpf\]", r["kstack"][0]) for r in s.rows if r["kstack"]),
      "the BPF program's name")
check(any(r["next_kstack"] and not r["next_kstack"][-1].startswith("0x") for r in s.rows),
      "the stack of the task that goes on")

# 5. a file that only its process sees
with tempfile.TemporaryDirectory() as directory:
    # while sonda reads, it still runs: what it has mapped is held open
    hidden = f"mount -t tmpfs none {directory} && cp {chain('static')} {directory}/hidden && exec {directory}/hidden 10"
    unshare = shutil.which("unshare")
    if unshare:
        with Sonda("trace", PROBE, "--comm", "hidden") as s:
            subprocess.run([unshare, "-m", "sh", "-c", hidden], check=True)
        check(not os.path.exists(f"{directory}/hidden"), "the file can't be seen from here")
        rows = naps(s.rows)
        at_least(len(rows), 10, "hidden: a row for each sleep")
        check(all(follow(functions(r["ustack"]), KNOWN) for r in rows), f"hidden: names: {rows[:1]}")

# 6. labels: counted in the kernel, by stack
s = run_sonda("top", PROBE, "--comm", "chain-pie", "--by", "comm,ustack,kstack", "--once", "--", chain("pie"), "7")
counts = [r["waits"] for r in naps(s.rows) if follow(r["ustack"], KNOWN)]
check_equal(len(counts), 1, f"one row for the sleeps: {s.rows}")
at_least(sum(counts), 7, "they are counted")
check_equal(s.code, 0, "top: exit code")

# 7. a recording keeps the names: the file they came from has gone
directory = tempfile.TemporaryDirectory()
program, file = os.path.join(directory.name, "chain-copy"), os.path.join(directory.name, "x.rec")
shutil.copy(chain("static"), program)
s = run_sonda("record", PROBE, "--comm", "chain-copy", "--to", file, "--", program, "5", json_output=False)
os.unlink(program)
replayed = run_sonda("replay", file)
at_least(len(naps(replayed.rows)), 5, "replayed")
check(all(follow(functions(r["ustack"]), KNOWN) for r in naps(replayed.rows)), f"replayed with names: {replayed.rows}")
s = run_sonda("replay", file, "--where", "ustack ~ '*;main+*'")
check_equal(len(naps(s.rows)), len(naps(replayed.rows)), "a condition on names")
check_equal(len(run_sonda("replay", file, "--where", "ustack ~ '*nobody*'").rows), 0, "a condition that none meets")

# 8. folded: outermost first, summed
LINE = r"chain-\w+;(?:[^;]+;)*main;a;b;leaf;entry_\w+;(?:[^;]+;)*hrtimer_nanosleep;do_nanosleep;(?:[^;]+;)*\S+ (\d+)"


def folded(s, what):
    """The one line of the sleeps: its count."""
    counts = [int(m.group(1)) for m in (re.fullmatch(LINE, l) for l in s.lines) if m]
    check_equal(len(counts), 1, f"{what}: {s.lines}")
    check("bpf_prog_" not in s.stdout, f"{what}: without the program that took the stack")
    return sum(counts)


s = run_sonda("replay", file, "-o", "folded")
check_equal(folded(s, "folded"), len(naps(replayed.rows)), "folded: rows are counted")
check_equal(sum(int(l.rsplit(" ", 1)[1]) for l in s.lines), len(replayed.rows), "folded: each row is in one line")
s = run_sonda("replay", file, "-o", "folded", "--weight", "pid")
check_equal(folded(s, "weight"), sum(r["pid"] for r in naps(replayed.rows)), "folded: a chosen field is summed")
s = run_sonda("replay", file, "-o", "folded", "--weight", "wight")
check("no field 'wight'" in s.stderr and s.code == 2, f"an unknown weight: {s.stderr!r}")
# the stacks of a probe that is not the first
s = run_sonda("top", "process.exit", PROBE, "--comm", "chain-pie", "--by", "comm,ustack", "--once", "--", chain("pie"), "3")
check([r for r in s.rows if "ustack" in r and (r["ustack"] or [])[:3] == ["leaf", "b", "a"]], f"top of two probes: {s.rows}")

s = run_sonda("top", PROBE, "--comm", "chain-dynamic", "-o", "folded", "--once", "--", chain("dynamic"), "5")
at_least(folded(s, "top, folded"), 5, "top, folded")
# where text shows no stack, the hidden ones are folded
s = run_sonda("trace", "user.call", "--function", f"{chain('pie')}:b", "-o", "folded", "--", chain("pie"), "3")
counts = [int(m.group(1)) for m in (re.fullmatch(r"chain-pie;(?:[^;]+;)*main;a(?:;b)? (\d+)", l) for l in s.lines) if m]
check_equal((sum(counts), s.code), (3, 0), f"hidden stacks: {s.lines}, {s.stderr!r}")
check_equal(run_sonda("trace", "process.exec", "-o", "folded", "--", "/bin/true").code, 2, "folded needs a stack")

# 9. text: a frame a line below its row
s = run_sonda("replay", file, json_output=False)
check(re.search(r"^ {8}ustack  leaf\+0x[0-9a-f]+\n {16}b\+0x[0-9a-f]+\n {16}a\+", s.stdout, re.M), f"text: {s.stdout}")

s = run_sonda("top", PROBE, "--comm", "chain-pie", "--by", "ustack", "--once", "--", chain("pie"), "2", json_output=False)
check(re.search(r"^ +[0-9.]+ +[23]\n {4}ustack  leaf;b;a;main;", s.stdout, re.M), f"top, text: {s.stdout}")

directory.cleanup()
done()
