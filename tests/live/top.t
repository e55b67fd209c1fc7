#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""top: counters against the workload's own count, labels left out in the kernel, the shared row of a
full table, readings at intervals."""

import os
import re
import subprocess
import sys
import tempfile

from sondatest import *

os.environ["LC_ALL"] = "C.UTF-8"

directory = tempfile.TemporaryDirectory()
PATH = directory.name
open(f"{PATH}/there", "w").close()

# opens PATH/there `good` times and PATH/missing `bad` times, as `names` commands in turn
OPENS = """
import ctypes, os, sys
path, good, bad, names = sys.argv[1], *map(int, sys.argv[2:5])
name = ctypes.CDLL(None).prctl
for i in range(max(good, bad)):
    if names:
        name(15, f"n{i % names}".encode(), 0, 0, 0)
    if i < good:
        os.close(os.open(path + "/there", os.O_RDONLY))
    if i < bad:
        try:
            os.open(path + "/missing", os.O_RDONLY)
        except FileNotFoundError:
            pass
sys.exit(int(sys.argv[5]) if len(sys.argv) > 5 else 0)
"""


def opens(good, bad, names=0, code=0):
    return [sys.executable, "-c", OPENS, PATH, str(good), str(bad), str(names), str(code)]


def top(*args, **more):
    return run_sonda("top", "fs.open", "--path", f"{PATH}/*", *args, **more)


def by(rows, label):
    return {r[label]: r for r in rows}


def counted_exactly():
    r = top("--by", "err,access", "--once", "--", *opens(50, 30, code=7))
    check_equal(r.code, 7, "the command's exit code")
    check_equal(len(r.rows), 2, "groups")
    rows = by(r.rows, "err")
    check_equal((rows[None]["opens"], rows["ENOENT"]["opens"]), (50, 30), "opens by result")
    check_equal(rows[None]["access"], "read", "the label's name")
    for row in r.rows:
        took = row["took_ns"]
        check_equal(row["opens_delta"], row["opens"], "one reading has all")
        check_equal(took["count"], row["opens"], "observations")
        check_equal(sum(n for _, n in took["buckets"]), took["count"], "slots' sum")
        bounds = [b for b, _ in took["buckets"]]
        check_equal(bounds, sorted(bounds), "slots rise")
        check(took["p50"] in bounds and took["p99"] in bounds, "percentiles are bounds of slots that hold any")
        check(sum(n for b, n in took["buckets"] if b <= took["p50"]) * 2 >= took["count"], "half is up to p50")
        check_equal((row["probe"], row["table"]), ("fs.open", "opens"), "names")
    check_equal([r["opens"] for r in r.rows], [50, 30], "most first")
    check_equal(r.stats["lost"], r.stats.get("missed", 0), "nothing lost")


def labels_left_out():
    """What --by leaves out makes no rows in the kernel's table."""
    r = top("--by", "err", "--once", "--", *opens(50, 30, names=10))
    check_equal(r.stats["rows"], 2, "rows of the table by result")
    check("comm" not in r.rows[0], "labels that were not asked for")
    r = top("--by", "comm", "--once", "--", *opens(50, 50, names=10))
    check_equal(r.stats["rows"], 10, "rows of the table by command name")
    check_equal({row["comm"]: row["opens"] for row in r.rows}, {f"n{i}": 10 for i in range(10)}, "by name")
    r = top("--once", "--", *opens(50, 50, names=10))
    check_equal(len(r.rows), 20, "without --by: all labels")
    # a condition needs labels that are not shown
    r = top("--by", "err", "--where", "comm in (n3, n4)", "--once", "--", *opens(50, 50, names=10))
    check_equal({row["err"]: row["opens"] for row in r.rows}, {None: 10, "ENOENT": 10}, "--where on a label")
    r = top("--by", "comm,err", "--where", "err == ENOENT and opens > 4", "--once", "--", *opens(9, 9, names=2))
    check_equal({row["comm"]: row["opens"] for row in r.rows}, {"n0": 5}, "--where on a value")
    r = top("--by", "user", "--once", "--", *opens(5, 0))
    check_equal([(row["user"], row["opens"]) for row in r.rows], [("root", 5)], "a label made of another")


def full_table():
    """Totals stay right: what finds no row is in the shared one, and the closing line says how much."""
    r = top("--by", "comm", "--once", "--limit", 3, "--", *opens(6000, 0, names=6000))
    other = [row for row in r.rows if row.get("other")]
    check_equal(len(r.rows), 4, "three groups and the other")
    check_equal(other, r.rows[-1:], "the other row is last")
    check_equal(other[0]["comm"], None, "it has no labels")
    check_equal(r.stats["overflowed"], other[0]["opens"], "the closing line tells of it")
    check_equal(r.stats["rows"], 4095, "the table is full")
    r = top("--by", "comm", "--where", "comm == n1", "--once", "--", *opens(6000, 0, names=6000))
    check_equal([row["comm"] for row in r.rows], ["n1", None], "a condition does not hide the other row")
    r = top("--by", "comm", "--once", "--", *opens(6000, 0, names=6000))
    check_equal(sum(row["opens"] for row in r.rows), 6000, "nothing is missing")
    check_equal(sum(row["took_ns"]["count"] for row in r.rows), 6000, "nor in the histogram")


def intervals():
    with Sonda("top", "fs.open", "--path", f"{PATH}/*", "--by", "err", "--interval", "50ms") as s:
        for _ in range(3):
            subprocess.run(opens(20, 0), check=True)
        check(s.wait_row(lambda r: r["opens"] == 60), "the total is reached")
        subprocess.run(opens(0, 5), check=True)
        check(s.wait_row(lambda r: r["err"] == "ENOENT" and r["opens"] == 5), "a new group comes")
    check_equal(s.code, 0, "exit code on Ctrl-C")
    good = [r for r in s.rows if r["err"] is None]
    check_equal(sum(r["opens_delta"] for r in good), 60, "deltas make the total")
    check_equal([r["opens"] for r in good], sorted(r["opens"] for r in good), "totals rise")
    check(all(r["interval_ns"] > 0 for r in good), "the interval is told")
    r = top("--by", "err", "--interval", "20ms", "--count", 2, "--", *opens(1, 0), json_output=False)
    check(1 <= len(re.findall(r"^\d\d:\d\d:\d\d\.\d+  fs.open opens", r.stdout, re.M)) <= 2, "blocks of text")


def orders():
    words = ("--by", "comm,err", "--once", "--")
    r = top("--sort", "comm", *words, *opens(9, 9, names=3))
    check_equal([row["comm"] for row in r.rows], ["n0"] * 2 + ["n1"] * 2 + ["n2"] * 2, "by a label")
    r = top("--reverse", *words, *opens(9, 3))
    check_equal([row["opens"] for row in r.rows], [3, 9], "least first")
    r = top("--sort", "took", *words, *opens(9, 3))
    p99 = [row["took_ns"]["p99"] for row in r.rows]
    check_equal(p99, sorted(p99, reverse=True), "by a percentile")
    text = top("--by", "err", "--once", "--", *opens(9, 3), json_output=False).stdout.splitlines()
    check(re.match(r"\d\d:\d\d:\d\d\.\d{3}  fs.open opens, ", text[0]), "a title")
    check_equal(text[1].split()[:3], ["ERR", "OPENS/S", "OPENS▼"], "columns")
    check_equal([(l.split()[0], l.split()[2]) for l in text[2:4]], [("ok", "9"), ("ENOENT", "3")], "lines")
    csv = top("--by", "err", "--once", "-o", "csv", "--", *opens(9, 3)).stdout.splitlines()
    check_equal(csv[0].split(",")[4:7], ["err", "opens", "opens_delta"], "CSV's header")
    check_equal([line.split(",")[4:7] for line in csv[1:]], [["", "9", "9"], ["ENOENT", "3", "3"]], "CSV")


def bad_input():
    tasks = os.path.join(os.environ.get("SONDA_TEST_OBJECTS", "."), "tasks.bpf.o")
    for args, words in [
        (["fs.open", "opns"], "did you mean 'opens'"),
        (["fs.open", "--by", "com"], "did you mean 'comm'"),
        (["fs.open", "--sort", "opnes"], "did you mean 'opens'"),
        (["fs.open", "--sort", "zzz"], "there is no column 'zzz': opens, took_ns, comm"),
        (["fs.open", "--by", "zzz"], "there is no label 'zzz': comm, "),
        (["fs.open", "--where", "path == x"], "path"),
        (["fs.open", "-o", "yaml"], "expected text, json, csv"),
        (["fs.open", "--interval", "5"], "is not a duration"),
        (["fs.open", "opens", "more"], "unknown probe 'more'"),
        (["fs.open", "fs.open"], "named twice"),
        (["fs.open", "process.exit", "--by", "com"], "did you mean 'comm'"),
        (["fs.open", "process.exit", "--sort", "opnes"], "there is no column"),
        (["fs.open", "process.exit", "-o", "csv"], "the columns of one table"),
        (["fs.open", "--buffer", "1MiB"], "unknown option '--buffer'"),
        ([tasks], "has no metric tables"),
        # the command, which waits, must not keep it from ending
        (["fs.open", "opns", "--", "true"], "did you mean 'opens'"),
        (["fs.open", "--interface", "nope0", "--", "true"], "no interface 'nope0'"),
    ]:
        r = run_sonda("top", *args, json_output=False)
        check_equal(r.code, 2, f"exit code of top {args}")
        check(words in r.stderr, f"top {args}: '{words}' in {r.stderr!r}")


def two_at_once():
    """Each sonda has tables of its own, and reading takes nothing away."""
    args = ("top", "fs.open", "--path", f"{PATH}/*", "--by", "err", "--interval", "50ms")
    reached = lambda r: r["err"] is None and r["opens"] == 40
    with Sonda(*args) as first, Sonda(*args) as second:
        subprocess.run(opens(40, 7), check=True)
        check(first.wait_row(reached) and second.wait_row(reached), "both reach the workload's count")
    for s in first, second:
        last = {r["err"]: r["opens"] for r in s.rows}
        check_equal(last, {None: 40, "ENOENT": 7}, "both see the same at the end")
        check_equal(sum(r["opens_delta"] for r in s.rows), 47, "and in between nothing is counted twice")


def several_probes():
    r = run_sonda("top", "fs.open", "process.exit", "exits", "--path", f"{PATH}/*", "--by", "comm,err", "--once",
                  "--sort", "opens", "--", *opens(5, 3, code=7))
    check_equal(r.code, 7, "the command's exit code")
    check_equal({(row["probe"], row.get("err")): row.get("opens") or row.get("exits") for row in r.rows},
                {("fs.open", None): 5, ("fs.open", "ENOENT"): 3, ("process.exit", None): 1},
                "both count, each by the labels that it has")
    r = run_sonda("top", "fs.open", "process.exit", "--once", "--", "true", json_output=False)
    check(re.search(r"fs.open opens,.*\n\n[\d:.]+  process.exit exits,", r.stdout, re.S), "a block each")


def names():
    """Ids of users and cgroups have their names beside them."""
    r = top("--by", "uid,cgroup", "--once", "--", *opens(3, 0))
    check_equal([(row["uid"], row["user"], row["opens"]) for row in r.rows], [(0, "root", 3)], "the user's name")
    own = next((l[3:].strip() for l in open("/proc/self/cgroup") if l.startswith("0::")), None)
    check_equal(r.rows[0]["cgroup_path"], own, "the cgroup's path")
    text = top("--by", "uid,cgroup", "--once", "--", *opens(3, 0), json_output=False).stdout.splitlines()
    check_equal(text[1].split()[:3], ["USER", "CGROUP-PATH", "OPENS/S"], "in place of the numbers")
    check_equal(text[2].split()[:2], ["root", own], "for people")


def processes():
    """A pid has its command's name beside it, where the labels don't tell it already."""
    code = "open('/proc/self/comm', 'w').write('sonda-busy')\nprint(flush=True)\nwhile True: pass"
    busy = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    busy.stdout.readline()
    args = ("top", "sched.cpu", "--interval", "100ms", "--pid", busy.pid)
    with Sonda(*args, "--by", "pid") as s:
        found = s.wait_row(lambda r: r["pid"] == busy.pid)
        check_equal(found and found["pid_comm"], "sonda-busy", "the command's name")
    with Sonda(*args, "--by", "pid,comm") as s:
        found = s.wait_row(lambda r: r["pid"] == busy.pid and r["cpu_ns"] > 0)
        check(found and found["comm"] == "sonda-busy" and "pid_comm" not in found, "not twice")
    busy.kill()
    busy.communicate()


def totals():
    text = top("--by", "comm", "--once", "--limit", 2, "--", *opens(60, 0, names=6), json_output=False).stdout
    last = [line.split() for line in text.splitlines() if line]
    check_equal((last[-2][0], last[-2][2]), ("total", "60"), "the total is of all, those left out too")
    check_equal(last[-1], ["...", "4", "more", "(--limit)"], "how many are left out")


def tables():
    tables = {(row["probe"], row["table"]): row for row in run_sonda("top", "--tables").rows}
    check_equal(tables["fs.open", "opens"]["values"], ["opens", "took_ns"], "--tables: values")
    check("comm" in tables["fs.open", "opens"]["labels"], "--tables: labels")
    check("fs.open" in run_sonda("top", "--tables", json_output=False).stdout, "--tables as text")


counted_exactly()
two_at_once()
several_probes()
names()
processes()
totals()
tables()
labels_left_out()
full_table()
intervals()
orders()
bad_input()
done()
