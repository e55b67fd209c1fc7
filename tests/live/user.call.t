#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""user.call against a program whose calls are known (tests/data/target.c): arguments,
results, texts, recursion, calls that longjmp(3) went over, several functions, the table, bad names."""

import os
import subprocess
import sys

from sondatest import *

OBJECTS = os.environ.get("SONDA_TEST_OBJECTS", os.path.join(os.path.dirname(__file__), "../../build/test-probes"))
TARGET = os.path.join(OBJECTS, "target")
if not os.path.exists(TARGET):
    skip(f"{TARGET} was not built")

DEPTH = 8  # of frames that are kept


def names(*functions):
    return ",".join(f"{TARGET}:{f}" for f in functions)


def adds_up(r, what):
    check_equal(r.stats["seen"], r.stats["delivered"] + r.stats["filtered"] + r.stats["lost"], f"{what}: the equation")


def results():
    r = run_sonda("trace", "user.call", "--function", names("work"), "--", TARGET, "work", 50)
    rows = [(row["function"], row["args"][0], row["result"]) for row in r.rows]
    check_equal(rows, [("work", n, 3 * n) for n in range(50)], "arguments and results in order")
    check(all(row["took_ns"] > 0 and row["comm"] == "target" for row in r.rows), "each has a time and a name")
    check_equal((r.stats["seen"], r.stats["lost"]), (50, 0), "nothing else")
    r = run_sonda("trace", "user.call", "--function", names("work"), "--comm", "nobody", "--", TARGET, "work", 5)
    check_equal((len(r.rows), r.stats["seen"], r.stats["filtered"], r.stats["lost"]), (0, 5, 5, 0),
                "what the filters refuse is not lost")


def nested():
    deep = DEPTH - 1
    r = run_sonda("trace", "user.call", "--function", names("recurse"), "--", TARGET, "calls", deep)
    check_equal([(row["args"][0], row["result"]) for row in r.rows],
                [(n, n * (n + 1) // 2) for n in range(deep + 1)], "inner calls return first, each with its own argument")
    times = [row["took_ns"] for row in r.rows]
    check(times == sorted(times), "the outer ones take as long as what they call")
    r = run_sonda("trace", "user.call", "--function", names("recurse"), "--", TARGET, "calls", deep + 5)
    check_equal([row["args"][0] for row in r.rows], list(range(5, deep + 6)), "of too many nested ones the outer")
    check_equal(r.stats["lost"], 5, "the others are counted as lost")
    adds_up(r, "nested")


def several():
    r = run_sonda("trace", "user.call", "--function", names("hop", "measure"), "--returns", "int", "--text", 1,
                  "--fails", "negative", "--", TARGET, "calls", 1)
    if "can't tell several functions apart" in r.stderr:  # 5.10
        check_equal(r.code, 4, "the kernel lacks it")
        functions = "measure"
        r = run_sonda("trace", "user.call", "--function", names("measure"), "--returns", "int", "--text", 1,
                      "--fails", "negative", "--", TARGET, "calls", 1)
    else:
        functions = "hop,measure"
    check_equal([(row["function"], row["text"], row["result"]) for row in r.rows],
                [("measure", "one", -1), ("measure", "two", 3), ("measure", "three", -1)],
                "texts and results; calls that were jumped over return never")
    r = run_sonda("trace", "user.call", "--function", names(*functions.split(",")), "--returns", "int", "--errors",
                  "--fails", "negative", "--", TARGET, "calls", 1)
    check_equal([row["result"] for row in r.rows], [-1, -1], "--errors, as --fails says what one is")


def untouched():
    """A text in a page that the function is the first to touch can't be read at the entry."""
    r = run_sonda("trace", "user.call", "--function", names("measure"), "--text", 1, "--returns", "int", "--", TARGET, "fresh")
    check_equal([(row["text"], row["result"]) for row in r.rows], [("fresh page", -1)], "a text that nothing had touched")


def last_acts():
    """A function that ends in a call of another returns together with it: each is told, with its own argument."""
    calls = [("last", 10, 11), ("first", 5, 11)]
    r = run_sonda("trace", "user.call", "--function", names("first", "last"), "--", TARGET, "calls", 1)
    if r.code == 4:  # 5.10 takes one at a time
        calls = calls[:1]
        r = run_sonda("trace", "user.call", "--function", names("last"), "--", TARGET, "calls", 1)
    check_equal([(row["function"], row["args"][0], row["result"]) for row in r.rows], calls, "calls as last acts")


def counted():
    r = run_sonda("top", "user.call", "--function", names("work"), "--once", "--", TARGET, "work", 1000)
    rows = [row for row in r.rows if row.get("function") == "work"]
    check_equal([(row["comm"], row["calls"]) for row in rows], [("target", 1000)], "counted in the kernel")
    histogram = rows[0]["took_ns"] if rows else {}
    check_equal(histogram.get("count"), 1000, f"the histogram has each: {histogram}")


def lookups():
    """What libc's getaddrinfo was asked, and which of it failed, with its code; also without a name server."""
    code = ("import socket\n"
            "for name in '127.0.0.1', 'no-address', '::1':\n"
            "    try: socket.getaddrinfo(name, 80, flags=socket.AI_NUMERICHOST); print(name, 0)\n"
            "    except socket.gaierror as e: print(name, e.errno)\n")
    args = ("trace", "user.call", "--function", "libc.so.6:getaddrinfo", "--returns", "int", "--fails", "nonzero", "--text", 1)
    truth = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    # what it prints would get in between sonda's lines
    command = ("--", "sh", "-c", 'exec "$@" >/dev/null', "sh", sys.executable, "-c", code)
    r = run_sonda(*args, *command)
    check_equal([f"{row['text']} {row['result']}" for row in r.rows], truth, "lookups and what they gave")
    r = run_sonda(*args, "--errors", *command)
    check_equal([f"{row['text']} {row['result']}" for row in r.rows], truth[1:2], "the one that failed")


def mistakes():
    for args, code, words in (
        ((), 2, "needs --function BINARY:FUNCTION"),
        (("--function", names("nonesuch")), 2, "nonesuch"),
        (("--function", "/no/such/binary:main"), 2, "/no/such/binary"),
        (("--function", "justaname"), 2, "is not BINARY:FUNCTION"),
        (("--function", ",".join(["libc.so.6:free"] * 17)), 2, "more than 16 functions"),
        (("--function", names("work"), "--text", 7), 2, "between 0 and 6"),
    ):
        r = run_sonda("trace", "user.call", *args, "--", "true")
        check_equal(r.code, code, f"exit code of {args}: {r.stderr!r}")
        check(words in r.stderr, f"{words!r} in {r.stderr!r}")


for part in results, nested, several, untouched, last_acts, counted, lookups, mistakes:
    part()
done()
