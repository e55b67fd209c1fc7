#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""hist: how long processes lived, against the time that the test itself measured around them; sums and
slots that agree; bars and heat as printed."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from sondatest import *

os.environ["LC_ALL"] = "C.UTF-8"

SLEEPS_S = (0.02, 0.3, 0.3, 0.3)


def lifetimes():
    """The slot of each process must overlap the time that it is known to have lived."""
    directory = tempfile.TemporaryDirectory()
    own = f"nap{os.getpid()}"  # a command name that nobody else has
    os.symlink(shutil.which("sleep"), f"{directory.name}/{own}")
    with Sonda("hist", "process.exit", "lifetime", "--by", "comm", "--comm", own, "--interval", "100ms") as s:
        known = []
        for seconds in SLEEPS_S:
            begun = time.monotonic_ns()
            subprocess.run(["sleep", str(seconds)], executable=f"{directory.name}/{own}", check=True)
            known.append((int(seconds * 1e9), time.monotonic_ns() - begun))
        check(s.wait_row(lambda r: r["lifetime_ns"]["count"] == len(known)), "all are counted")
    last = [r for r in s.rows if r["comm"] == own][-1]["lifetime_ns"]
    slots = [(upper // 2, upper) for upper, n in last["buckets"] for _ in range(n)]
    check_equal(len(slots), len(known), "observations")
    for (lower, upper), (least, most) in zip(slots, sorted(known)):
        check(lower < most and least <= upper, f"lived {least} to {most} ns, counted in {lower} to {upper}")
    check(sum(least for least, _ in known) <= last["sum"] <= sum(most for _, most in known), "the sum is exact")
    check(all(lower < last["p99"] for lower, _ in slots), "p99 is a bound of what was seen")
    check(last["p50"] >= SLEEPS_S[1] * 1e9, "half lived as long as the middle one, or longer")
    deltas = sum(r["lifetime_ns_delta"]["count"] for r in s.rows)
    check_equal(deltas, len(known), "what the intervals added makes the whole")


def only_what_was_asked():
    directory = tempfile.mkdtemp()
    command = ("--path", f"{directory}/*", "--once", "--", "sh", "-c", f": > {directory}/a; rm {directory}/a")
    r = run_sonda("hist", "fs.open", *command)
    check_equal(len(r.rows), 1, "all in one group")
    check_equal(sorted(r.rows[0]), ["interval_ns", "probe", "table", "time", "took_ns", "took_ns_delta"], "keys")
    check_equal(r.rows[0]["took_ns"]["count"], 1, "one open")
    for what in "opens.took_ns", "opens", "took", "opens.took":
        again = run_sonda("hist", "fs.open", what, *command)
        check_equal([row["took_ns"]["count"] for row in again.rows], [1], f"named {what}")
    r = run_sonda("hist", "block.io", "device_ns", "--once", "--interval", "1ms", "--where", "ios > 99999999")
    check_equal((r.code, r.rows), (0, []), "nothing where nothing passes")
    r = run_sonda("hist", "block.io", "--once", "-o", "csv", "--interval", "1ms")
    check(all(f"{name}_{part}" in r.lines[0] for name in ("queue_ns", "device_ns")
              for part in ("sum", "count", "p99")), "all histograms of the table")
    r = run_sonda("hist", "block.io", "device", "--once", "-o", "csv", "--interval", "1ms")
    check("device_ns_p99" in r.lines[0] and "queue_ns" not in r.lines[0], "only the one that is named")
    os.rmdir(directory)


def bars():
    r = run_sonda("hist", "process.exit", "--once", "--by", "comm", "--", "sh", "-c", "sleep 0.1; true; exit 3",
                  json_output=False)
    check_equal(r.code, 3, "the command's exit code")
    check("comm sleep" in r.stdout and "comm sh" in r.stdout, "a chart for each group")
    for chart in r.stdout.split("\n\n")[1:-1]:
        rows = re.findall(r"^ *(.+?)  +(\d+) +([\d.]+) % +([\d.]+) %  ?(.*)$", chart, re.M)
        count = int(re.search(r"^count (\d+), mean .*, p50 .*, p90 .*, p99 .*, p99.9 ", chart, re.M)[1])
        check(rows and sum(int(n) for _, n, *_ in rows) == count, f"bars make the count: {chart}")
        check_equal(rows[-1][3], "100", "up to the last: all")
        most = max(rows, key=lambda row: int(row[1]))
        check(all(len(row[4]) <= len(most[4]) for row in rows) and "█" in most[4], "the longest bar is of the most")
        check(re.search(r"\d (ns|us|ms|s)", rows[0][0]), "bounds with units")
    check("lies in its bar" in r.stdout, "what a percentile is")
    check(re.search(r"p99 ≤\S+ \S+ \(>\S+ \S+\)", r.stdout), "between which bounds it lies")
    env = dict(os.environ, LC_ALL="C")
    r = run_sonda("hist", "process.exit", "--once", "--", "sleep", "0.01", json_output=False, env=env)
    check("####" in r.stdout and r.stdout.isascii(), "plain characters where the locale has no others")


def heat():
    r = run_sonda("hist", "process.exit", "lifetime", "--heat", "--interval", "50ms",
                  "--", "sh", "-c", "for i in 1 2 3 4 5; do sleep 0.1; done", json_output=False)
    lines = [line for line in r.lines if re.match(r"\d\d:\d\d:\d\d\.\d{3} \|", line)]
    check(len(lines) >= 2, f"a line each interval: {r.stdout!r}")
    for line in lines:
        cells, count = re.match(r".{12} \|(.*)\| (\d+) ", line).groups()
        check_equal(len(cells), 2 * 48, "a column for each slot")
        check_equal(bool(set(cells) & set("░▒▓█")), int(count) > 0, "shades where something was counted")
    counts = sum(int(re.match(r".{12} \|.*\| (\d+) ", line)[1]) for line in lines)
    check_equal(counts, 6, "the lines make the whole: five sleeps and their shell")
    check(re.search(r"█ \d+\+", r.stdout), "what the shades mean")


def across():
    """A map with a column each interval: the sleeps of 0.1 s are in rows of their own, below the shell's."""
    r = run_sonda("hist", "process.exit", "lifetime", "--across", "--interval", "50ms",
                  "--", "sh", "-c", "for i in 1 2 3; do sleep 0.1; done; sleep 0.3", json_output=False)
    rows = re.findall(r"^ *≤([\d.]+) (ms|s)\|(.*)\|$", r.stdout, re.M)
    check(rows, f"rows with their bounds: {r.stdout!r}")
    check_equal(len({len(cells) for *_, cells in rows}), 1, "as many columns in each")
    bounds = [float(n) * (1000 if unit == "s" else 1) for n, unit, _ in rows]
    check_equal(bounds, sorted(bounds, reverse=True), "slow at the top")
    shaded = [bound for bound, (*_, cells) in zip(bounds, rows) if set(cells) & set("░▒▓█")]
    check(len(shaded) >= 2 and min(shaded) >= 100, "where the sleeps and their shell are")
    check_equal("\033" in r.stdout, False, "no colour where there is no terminal")


def machine_form():
    """What a map shows, for programs: slots of each interval with their time."""
    with tempfile.TemporaryDirectory() as d, \
            Sonda("hist", "process.exit", "lifetime", "--by", "comm", "--interval", "50ms") as s:
        nap = os.path.join(d, "hist-nap")  # a name that nobody else's has
        os.symlink(shutil.which("sleep"), nap)
        for _ in range(3):
            subprocess.run([nap, "0.05"], check=True)
        check(s.wait_row(lambda r: r["comm"] == "hist-nap" and r["lifetime_ns"]["count"] == 3), "all are counted")
    rows = [r for r in s.rows if r["comm"] == "hist-nap"]
    slots = sum(n for r in rows for _, n in r["lifetime_ns_delta"]["buckets"])
    check_equal(slots, 3, "the intervals' slots make the whole")
    last = rows[-1]["lifetime_ns"]
    for name in "p50", "p99", "max":
        check_equal(last[name], last[f"{name}_above"] * 2, "a percentile is known to its slot")
    check(last["p50_above"] < 3e9 and last["max"] >= 50e6, "where they are")


def alone():
    tables = {(row["probe"], row["table"]) for row in run_sonda("hist").rows}
    check(("fs.open", "opens") in tables and ("net.dns", "strays") not in tables, "what has histograms")
    check("took_ns" in run_sonda("hist", json_output=False).stdout, "as text")


def bad_input():
    for args, words in [
        (["fs.open", "opens.tok"], "did you mean 'took_ns'"),
        (["fs.open", "nothing"], "has no table 'nothing'"),
        (["net.dns", "strays"], "has no histograms"),
        (["fs.open", "--heat", "--across"], "not both"),
        (["fs.open", "--buffer", "1MiB"], "unknown option '--buffer'"),
    ]:
        r = run_sonda("hist", *args, json_output=False)
        check_equal(r.code, 2, f"exit code of hist {args}")
        check(words in r.stderr, f"hist {args}: '{words}' in {r.stderr!r}")


lifetimes()
only_what_was_asked()
bars()
heat()
across()
machine_form()
alone()
bad_input()
done()
