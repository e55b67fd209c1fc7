#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the probe language promises, by a probe that says back what it was told (tests/data/values.bpf.c):
parameters, every form of field, histograms and labels, the common filters, conditions in the kernel and here."""

import ctypes
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

from sondatest import *

OBJECTS = os.environ.get("SONDA_TEST_OBJECTS", os.path.join(os.path.dirname(__file__), "../../build/test-probes"))
TARGET = os.path.join(OBJECTS, "target")
VALUES = os.path.join(OBJECTS, "values.bpf.o")
if not os.path.exists(TARGET) or not os.path.exists(VALUES):
    skip(f"{VALUES} was not built")

KERNEL = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])
LIBC = ctypes.CDLL(None)
SAY = 0x534F4E44
TOKEN = os.getpid()  # another run of this test is not ours
RED, GREEN, BLUE = 0, 1, 7
COLOURS = {RED: "red", GREEN: "green", BLUE: "blue"}
READ, WRITE, RUN = 1, 2, 8
ENOENT = 2


def packed(who=0, colour=RED, rights=0, err=0, low=0, urgent=0, nice=0):
    return who | colour << 8 | rights << 16 | err << 24 | low << 32 | urgent << 35 | (nice & 63) << 36


def say(value, text=None, **more):
    LIBC.prctl(SAY, ctypes.c_ulong(value), ctypes.c_ulong(packed(**more)), ctypes.c_char_p(text), ctypes.c_ulong(TOKEN))


def trace(*args):
    return Sonda("trace", VALUES, "--token", TOKEN, *args)


class Several:
    """Many that watch one workload; started and ended side by side, for each waits for the kernel."""

    def __enter__(self):
        self.all = []
        return self

    def add(self, *args):
        return self.adopt(trace(*args))

    def adopt(self, sonda):
        self.all.append(sonda)
        return sonda

    def watch(self):
        self.each(Sonda.__enter__)

    def __exit__(self, *exc):
        self.each(Sonda.stop)

    def each(self, do):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(do, self.all))


def parameters():
    """The defaults, what is given, what is refused."""
    names = "loud", "polite", "depth", "shift", "paint", "word"
    for args, want in (
        ((), (False, True, 4, 0, "green", "none")),
        (("--loud", "--no-polite", "--depth", 16, "--shift", -8, "--paint", "blue", "--word", "seven77"),
         (True, False, 16, -8, "blue", "seven77")),
    ):
        with trace(*args) as s:
            say(1)
        check_equal([tuple(r[n] for n in names) for r in s.rows], [want], f"parameters with {args}")
    for args, words in (
        (("--depth", 0), "0 is not between 1 and 16"),
        (("--depth", 17), "17 is not between 1 and 16"),
        (("--depth", "x"), "not a number"),
        (("--shift", -9), "-9 is not between -8 and 8"),
        (("--paint", "bleu"), "did you mean 'blue'"),
        (("--word", "eight888"), "longer than 7 bytes"),
        (("--loud=3",), "takes no value"),
        (("--lowd",), "did you mean '--loud'"),
    ):
        r = run_sonda("trace", VALUES, *args)
        check_equal((r.code, words in r.stderr), (2, True), f"{args}: {r.stderr!r}")


def fields():
    """Every form of field."""
    largest = 2**64 - 1
    with trace() as s:
        say(largest, b"short", who=3, colour=BLUE, rights=READ | RUN, err=ENOENT, low=7, urgent=1, nice=-32)
        say(2**53 + 1, b"/a/longer/path", who=200, colour=5, rights=0x14, nice=31)
        say(7, b"x" * 5000)
    check_equal(len(s.rows), 3, "rows")
    one, two, three = s.rows
    wanted = dict(value=largest, difference=-1, err="ENOENT", who=3, hundred=103, colour="blue", rights="read|run",
                  low=7, urgent=1, nice=-32, row=3, column=4, mac="03:13:23:33:43:53", ports=[3, 1003, 2003],
                  deltas=[-3, 3], name="short", path="short", pid=os.getpid(), inode=0)
    for name, value in wanted.items():
        check_equal(one[name], value, name)
    wanted = dict(value=2**53 + 1, difference=2**53 + 1, err=None, who=200, hundred=44, nice=31, urgent=0,
                  deltas=[-200, 200], name="/a/long", path="/a/longer/path", inode=2**53 + 2)
    for name, value in wanted.items():
        check_equal(two[name], value, name)
    check("5" in str(two["colour"]), f"an enum's unknown value is its number: {two['colour']!r}")
    check(re.search(r"0x14|4\|0x10|0x10|20", str(two["rights"])), f"unknown flags are numbers: {two['rights']!r}")
    for row in s.rows:
        # older kernels have none at the classic tracepoints of system calls
        check(row["stack"] or KERNEL < (6, 12), "a stack of the kernel")
        check(all(int(a, 16) >> 63 for a in row["stack"]), f"its addresses: {row['stack']}")
    check(3000 <= len(three["path"]) < 5000 and set(three["path"]) == {"x"}, "a long text is cut")
    check_equal(s.stats["truncated"], 1, "and counted")
    check_equal(three["name"], "x" * 7, "a char array ends")
    r = subprocess.run([SONDA, "list", VALUES, "-o", "json"], stdout=subprocess.PIPE, text=True)
    check_equal(r.returncode, 0, "list")


# each slot's upper bound, with which of VALUES_SEEN it counts
VALUES_SEEN = [0, 1, 2, 3, 4, 5, 10, 11, 15, 16, 30, 31, 300, 301, 1000]
DOUBLING = [1, 2, 4, 8, 16, 32, 64]
EVEN = [10, 15, 20, 25]
CHOSEN = [3, 30, 300]


def slots(bounds, values):
    """[[bound, count]...] of the slots that hold any; the last has no bound."""
    counts = {}
    for v in values:
        bound = next((b for b in bounds if v <= b), None)
        counts[bound] = counts.get(bound, 0) + 1
    return [[b, counts[b]] for b in bounds + [None] if b in counts]


def told_tables(run, table, *args):
    """Runs the workload `run` in a child that sonda follows until it ends."""
    s = Sonda("top", VALUES, table, "--token", TOKEN, "--once", *args, "--", TARGET, "say")
    lines = "".join(f"{SAY} {value} {packed(who=who, colour=colour)} 0 {TOKEN}\n" for value, who, colour in run)
    r = subprocess.run(s.argv, input=lines, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return Result(r.stdout, r.stderr, r.returncode)


def tables():
    """Counters, gauges and histograms; labels left out; the shared row of a full table."""
    run = [(v, 1 + i % 2, (RED, GREEN)[i % 3 == 0]) for i, v in enumerate(VALUES_SEEN)]
    for table in "amounts", "each_cpu", "fronted":
        for by, key in ((("--by", "who"), lambda r: r[1]), (("--by", "colour"), lambda r: COLOURS[r[2]]),
                        ((), lambda r: (r[1], COLOURS[r[2]]))):
            s = told_tables(run, table, *by)
            groups = {}
            for each in run:
                groups.setdefault(key(each), []).append(each[0])
            got = {r[by[1]] if by else (r["who"], r["colour"]): r for r in s.rows}
            check_equal(sorted(got), sorted(groups), f"groups of {table} {by}")
            check_equal(s.stats.get("rows"), len(groups), f"rows in the kernel of {table} {by}")
            for group, values in groups.items():
                row = got.get(group) or {}
                check_equal(row.get("count"), len(values), f"count of {group} in {table}")
                odd = sum(v & 1 for v in values) / len(values)
                for name, share in ("odd_ratio", odd), ("even_ratio", 1 - odd):
                    for end in "", "_delta":
                        check(abs(row.get(name + end, -1) - share) < 1e-9, f"{name}{end} of {group} in {table}: {row.get(name + end)}, not {share}")
                for hist, bounds in ("doubling", DOUBLING), ("even", EVEN), ("chosen", CHOSEN):
                    h = row.get(hist) or {}
                    check_equal((h.get("buckets"), h.get("sum"), h.get("count")),
                                (slots(bounds, values), sum(values), len(values)), f"{hist} of {group} in {table}")
                if table != "each_cpu":
                    check_equal(row.get("last"), values[-1], f"gauge of {group}")
    odd = {who: sum(v & 1 for v, w, _ in run if w == who) / sum(w == who for _, w, _ in run) for who in (1, 2)}
    ranked = sorted(odd, key=odd.get)
    for order, want in ((), ranked[::-1]), (("--reverse",), ranked):
        s = told_tables(run, "amounts", "--by", "who", "--sort", "odd_ratio", *order)
        check_equal([r["who"] for r in s.rows], want, f"sorted by a ratio {order}")
    between = sum(odd.values()) / 2
    s = told_tables(run, "amounts", "--by", "who", "--where", f"odd_ratio > {between:.6f}")
    check_equal([r["who"] for r in s.rows], ranked[1:], "--where of a ratio")
    s = told_tables(run, "amounts", "--by", "who", "--where", f"even_ratio <= {100 - 100 * between:.4f}%")
    check_equal([r["who"] for r in s.rows], ranked[1:], "in percent")
    r = run_sonda("top", VALUES, "amounts", "--token", TOKEN, "--once", "--where", "odd_ratio > 2", "--", "true")
    check(r.code == 2 and "'2' is no share" in r.stderr, f"what is no share: {r.stderr!r}")
    r = run_sonda("hist", VALUES, "amounts", "--token", TOKEN, "--once", "--", "true")
    check_equal((r.code, r.rows), (0, []), "a histogram of nothing")


def full_table():
    for table in "amounts", "each_cpu", "fronted":
        run = [(v, who, RED) for who in range(20) for v in (1, 20)]
        s = told_tables(run, table, "--by", "who")
        other = [r for r in s.rows if r.get("other")]
        check_equal(len(other), 1, f"the other row of {table}")
        check_equal(sum(r["count"] for r in s.rows), len(run), f"the sum of {table} stays right")
        check_equal(sum(r["even"]["sum"] for r in s.rows), 20 * 21, "its histograms' too")
        check_equal(s.stats["overflowed"], other[0]["count"], "what is in it was counted; in the other table nothing")


class Child:
    """tests/data/target.c, which says what it is told: another executable, name, user and cgroup."""

    def __init__(self, cgroup):
        def become():
            with open(f"{cgroup}/cgroup.procs", "w") as f:
                f.write("0")
            os.setresuid(65534, 0, 0)

        self.process = subprocess.Popen([TARGET, "say"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        preexec_fn=become, text=True, bufsize=1)
        self.pid = self.process.pid

    def say(self, value, fork=False, **more):
        self.process.stdin.write(f"{'f' if fork else ''}{SAY} {value} {packed(**more)} 0 {TOKEN}\n")
        self.process.stdin.flush()
        check_equal(self.process.stdout.readline(), "said\n", "the child did it")

    def end(self):
        self.process.stdin.close()
        self.process.wait()


MAIN, THREAD, CHILD, GRANDCHILD = 1, 2, 3, 4
EVERYBODY = {MAIN, THREAD, CHILD, GRANDCHILD}


def common_filters():
    """Each as a set and negated, all watching one workload of four: this thread, another, a child, its child."""
    mount = next(l.split()[1] for l in open("/proc/mounts") if l.split()[2] == "cgroup2")
    cgroup = f"{mount}/sonda-test-{TOKEN}"
    os.makedirs(f"{cgroup}/below")
    child = Child(f"{cgroup}/below")
    go, end = threading.Semaphore(0), threading.Semaphore(0)

    def thread():
        tids.append(threading.get_native_id())
        end.release()
        go.acquire()
        say(THREAD, who=THREAD)
        end.release()

    tids = []
    t = threading.Thread(target=thread)
    t.start()
    end.acquire()
    theirs = {CHILD, GRANDCHILD}
    sets = [
        ("--pid", child.pid, {CHILD}),
        ("--pid", f"{child.pid},{os.getpid()}", {MAIN, THREAD, CHILD}),
        ("--tid", tids[0], {THREAD}),
        ("--comm", "target", theirs),
        ("--exe", TARGET, theirs),
        ("--user", 65534, theirs),
        ("--cgroup", cgroup, theirs),
        ("--cgroup", f"{cgroup}/below", theirs),
        ("--tree", child.pid, theirs),
    ]
    with Several() as several:
        runs = []
        for option, text, who in sets:
            runs.append((several.add(option, text), f"{option} {text}", who))
            negated = ",".join(f"!{part}" for part in str(text).split(","))
            runs.append((several.add(option, negated), f"{option} {negated}", EVERYBODY - who))
        runs.append((several.add("--pid", os.getpid(), "--tid", f"!{tids[0]}"), "both", {MAIN}))
        runs.append((several.add("--errors"), "--errors", {CHILD}))
        runs.append((several.add("--min", "3ns"), "--min", theirs))
        runs.append((several.add(), "no filter", EVERYBODY))
        several.watch()
        say(MAIN, who=MAIN)
        go.release()
        end.acquire()
        child.say(CHILD, who=CHILD, err=ENOENT)
        child.say(GRANDCHILD, fork=True, who=GRANDCHILD)
    for s, what, who in runs:
        check_equal(sorted(r["who"] for r in s.rows), sorted(who), what)
        stats = s.stats
        check_equal((stats["seen"], stats["delivered"], stats["filtered"], stats["lost"]),
                    (4, len(who), 4 - len(who), 0), f"{what}: the equation")
    t.join()
    child.end()
    os.rmdir(f"{cgroup}/below")
    os.rmdir(cgroup)
    r = run_sonda("trace", VALUES, "--pid", "1,!2")
    check_equal((r.code, "either all" in r.stderr), (2, True), "a set half negated is refused")


def default_min():
    """A probe may say what --min is where nobody gives it; giving it, also as 0, overrides that."""
    with tempfile.TemporaryDirectory() as where:
        other = os.path.join(where, "values.bpf.o")
        with open(VALUES, "rb") as old, open(other, "wb") as new:
            new.write(old.read().replace(b"min=0ns", b"min=3ns"))
        with Several() as several:
            runs = [(several.adopt(Sonda("trace", other, "--token", TOKEN, *args)), least)
                    for args, least in (((), 3), (("--min", "0"), 0), (("--min", "7ns"), 7))]
            several.watch()
            for who in range(10):
                say(who, who=who)
    for s, least in runs:
        check_equal([r["who"] for r in s.rows], list(range(least, 10)), f"at least {least} ns")
        check_equal((s.stats["seen"], s.stats["filtered"]), (10, least), f"at least {least} ns: the equation")


# a condition, and the same in Python
CONDITIONS = [
    ("value == 7", lambda r: r["value"] == 7),
    ("value != 7", lambda r: r["value"] != 7),
    (f"value > {2**63}", lambda r: r["value"] > 2**63),
    (f"value >= {2**53 + 1}", lambda r: r["value"] >= 2**53 + 1),
    ("difference < 0", lambda r: r["difference"] < 0),
    ("difference <= -2", lambda r: r["difference"] <= -2),
    ("hundred >= 109 and value < 20", lambda r: r["hundred"] >= 109 and r["value"] < 20),
    ("err == ENOENT", lambda r: r["err"] == "ENOENT"),
    ("colour == blue", lambda r: r["colour"] == "blue"),
    ("colour in (red, green)", lambda r: r["colour"] in ("red", "green")),
    ("rights ~ write", lambda r: "write" in (r["rights"] or "")),
    ("nice < 0 and urgent == 1", lambda r: r["nice"] < 0 and r["urgent"] == 1),
    ("name == 'seven77'", lambda r: r["name"] == "seven77"),
    ("path ~ '/etc/*'", lambda r: (r["path"] or "").startswith("/etc/") and r["path"].count("/") == 2),
    ("not (value == 7 or low == 3)", lambda r: not (r["value"] == 7 or r["low"] == 3)),
    ("not (value == 7 or difference < 0)", lambda r: not (r["value"] == 7 or r["difference"] < 0)),
    ("value in (1, 7, 20)", lambda r: r["value"] in (1, 7, 20)),
    ("value not in (1, 7, 20) and difference < 0", lambda r: r["value"] not in (1, 7, 20) and r["difference"] < 0),
    ("colour == green or value in (7, 19) or difference > 0",
     lambda r: r["colour"] == "green" or r["value"] in (7, 19) or r["difference"] > 0),
    ("(value == 7 or colour == red) and (value == 0 or colour == green)",
     lambda r: (r["value"] == 7 or r["colour"] == "red") and (r["value"] == 0 or r["colour"] == "green")),
]


def conditions():
    """In the kernel where it can be, and again with a part that can't: the same rows, which Python chooses too."""
    with Several() as several:
        everything = several.add()
        runs = []
        for text, holds in CONDITIONS:
            pushed = several.add("-v", "--where", text)
            here = several.add("-v", "--where", f"({text}) or path ~ '/no/such'")
            runs.append((text, holds, pushed, here))
        several.watch()
        for i, value in enumerate((0, 1, 7, 7, 19, 20, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 2,
                                   2**64 - 1)):
            say(value, (b"seven77", b"/etc/passwd", b"/etc/a/b", None)[i % 4], who=3 * i, low=i % 8, nice=i * 5 - 32,
                colour=(RED, GREEN, BLUE)[i % 3], rights=(READ, WRITE, READ | WRITE, RUN)[i % 4], err=i % 3,
                urgent=i % 2)
    check_equal(len(everything.rows), 13, "all rows")
    for text, holds, pushed, here in runs:
        want = [r["who"] for r in everything.rows if holds(r)]
        check(want and len(want) < 13, f"the test of {text} says something")
        check_equal([r["who"] for r in pushed.rows], want, text)
        check_equal([r["who"] for r in here.rows], want, f"{text}, in userland")
        for s in pushed, here:
            check_equal((s.stats["seen"], s.stats["filtered"], s.stats["lost"]), (13, 13 - len(want), 0),
                        f"{text}: the equation")
        check("the rest here" in here.stderr, f"{text}: userland's part is told")
    by_text = {text: pushed.stderr for text, _, pushed, _ in runs}
    for text in ("value == 7", "difference < 0", "colour == blue", "rights ~ write", "colour in (red, green)",
                 "value in (1, 7, 20)", "colour == green or value in (7, 19) or difference > 0"):
        check(f"in the kernel: {text}" in by_text[text] and "the rest" not in by_text[text], f"{text} is pushed down")
    check("in the kernel: value < 20" in by_text["hundred >= 109 and value < 20"], "each of two joined by and")
    check("in the kernel" not in by_text["nice < 0 and urgent == 1"], "bit-fields are looked at here")


for part in parameters, fields, tables, full_table, common_filters, default_min, conditions:
    part()
done()
