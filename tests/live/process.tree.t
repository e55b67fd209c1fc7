#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""process.tree: --tree and -- COMMAND follow every descendant from its first instruction to its
last, and nobody else."""

import ctypes
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *

LIBC = ctypes.CDLL(None)
ROUNDS = 300


def told(s, probe):
    return [r for r in s.rows if r["probe"] == probe]


def first_act():
    """A child that does nothing but exec at once, made again and again: none is missed."""
    with Sonda("trace", "process.exec", "--tree", os.getpid()) as s:
        pids = [os.posix_spawn("/bin/true", ["first", str(i)], {}) for i in range(ROUNDS)]
        for pid in pids:
            os.waitpid(pid, 0)
    acts = sorted(int(r["argv"][1]) for r in told(s, "process.exec") if r["argv"][0] == "first")
    # a kernel may skip a program that it runs already (7.x): what it skipped is counted, and no more is missing
    missed = s.stats.get("missed", 0)
    check(set(acts) <= set(range(ROUNDS)) and len(acts) == len(set(acts)), f"each child once: {acts}")
    check(len(acts) >= ROUNDS - missed, f"the first act of each child: {len(acts)} of {ROUNDS}, missed {missed}: {s.stderr}")


def adopted():
    """A descendant whose parent is gone still belongs to the tree; a thread's child does too."""
    with Sonda("trace", "process.exec", "--tree", os.getpid()) as s:
        go, into = os.pipe()
        subprocess.run(["bash", "-c", f"(read; env true adopted) <&{go} &"], pass_fds=[go], check=True)
        os.write(into, b"\n")  # its parent is gone
        os.close(go), os.close(into)
        check(s.wait_row(lambda r: r.get("argv") == ["true", "adopted"]), "an orphan's child is told")
        t = threading.Thread(target=lambda: subprocess.run(["true", "by-thread"]))
        t.start()
        t.join()
    orphan = next(r for r in told(s, "process.exec") if r["argv"] == ["true", "adopted"])
    check(orphan["ppid"] != os.getpid(), "the orphan was adopted")
    check(["true", "by-thread"] in [r["argv"] for r in told(s, "process.exec")], "a thread's child is told")


def nobody_else():
    """A process beside the tree, and everything it makes, is filtered, and counted so."""
    def start(name):
        return subprocess.Popen(["bash", "-c", f"read; env true {name}; bash -c 'env true {name}; exec true'"],
                                stdin=subprocess.PIPE)
    beside, tree = start("beside"), start("inside")
    with Sonda("trace", "process.exec", "--tree", tree.pid) as s:
        for p in (beside, tree):
            p.communicate(b"\n")
    # env looks for its program in each directory of PATH: those that fail are told, too
    argvs = [r["argv"] for r in told(s, "process.exec") if not r["err"]]
    check_equal(argvs, [["env", "true", "inside"], ["true", "inside"],
                        ["bash", "-c", "env true inside; exec true"],
                        ["env", "true", "inside"], ["true", "inside"], ["true"]], "the tree and nobody else")
    check(s.stats["filtered"] >= 6, "the others are counted as filtered")


def to_the_last():
    """The end of each member is still an event of the tree."""
    r = run_sonda("trace", "process.exit", "--", "bash", "-c", "for i in 1 2 3; do (exit $i); done; exit 9")
    check_equal(r.code, 9, "the command's status is passed on")
    check_equal(sorted(x["status"] for x in told(r, "process.exit")),
                ["exit 1", "exit 2", "exit 3", "exit 9"], "the command and its children ended")


def numbers_again():
    """A stranger who gets a member's number isn't followed, not even while the member is still
    being taken apart."""
    tree = subprocess.Popen(["bash", "-c", "read; env true member & echo $!; wait; read"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with Sonda("trace", "process.exec", "--tree", tree.pid) as s:
        tree.stdin.write(b"\n")
        tree.stdin.flush()
        pid = int(tree.stdout.readline())
        while os.path.exists(f"/proc/{pid}"):
            pass
        for _ in range(1000):  # somebody else may be faster
            with open(LAST_PID, "w") as f:
                f.write(str(pid - 1))
            stranger = os.posix_spawn("/bin/true", ["true", "stranger"], {})
            os.waitpid(stranger, 0)
            if stranger == pid:
                break
        tree.communicate(b"\n")
    check_equal(stranger, pid, "the number was given again")
    argvs = [r["argv"] for r in told(s, "process.exec") if r["pid"] == pid]
    check(["true", "member"] in argvs, "the member is told")
    check(["true", "stranger"] not in argvs, "the stranger is not")


LAST_PID = "/proc/sys/kernel/ns_last_pid"
first_act()
adopted()
nobody_else()
to_the_last()
if os.path.exists(LAST_PID):
    numbers_again()
else:
    print(f"not shown: numbers used again (no {LAST_PID})")
done()
