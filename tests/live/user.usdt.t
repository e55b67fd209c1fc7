#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""user.usdt against a program that passes a mark a known number of times, with a number."""

import os

from sondatest import *

OBJECTS = os.environ.get("SONDA_TEST_OBJECTS", os.path.join(os.path.dirname(__file__), "../../build/test-probes"))
TARGET = os.path.join(OBJECTS, "target")
if not os.path.exists(TARGET):
    skip(f"{TARGET} was not built")
MARK = f"{TARGET}:sonda:step"

r = run_sonda("trace", "user.usdt", "--mark", MARK, "--", TARGET, "work", 20)
check_equal([(row["mark"], row["args"][0]) for row in r.rows], [("sonda:step", n) for n in range(20)], "marks in order")
check_equal((r.stats["seen"], r.stats["lost"]), (20, 0), "nothing else")
r = run_sonda("trace", "user.usdt", "--mark", MARK, "--where", "comm == nobody", "--", TARGET, "work", 20)
check_equal((len(r.rows), r.stats["filtered"]), (0, 20), "filtered")
r = run_sonda("trace", "user.usdt", "--mark", f"{TARGET}:sonda:text", "--text", 1, "--", TARGET, "calls", 1)
check_equal([row["text"] for row in r.rows], ["one", "two", "three"], "an argument that is a text")
r = run_sonda("trace", "user.usdt", "--mark", f"{MARK},{TARGET}:sonda:text", "--", TARGET, "calls", 1)
check_equal([row["mark"] for row in r.rows], ["sonda:text"] * 3, "several, told apart")
r = run_sonda("top", "user.usdt", "--mark", MARK, "--once", "--", TARGET, "work", 300)
check_equal([(row["mark"], row["comm"], row["passed"]) for row in r.rows if "mark" in row],
            [("sonda:step", "target", 300)], "counted in the kernel")
for args, words in ((), "needs --mark BINARY:PROVIDER:NAME"), (("--mark", f"{TARGET}:sonda:none"), "not found"), \
        (("--mark", "x:y"), "is not BINARY:PROVIDER:NAME"):
    r = run_sonda("trace", "user.usdt", *args, "--", "true")
    check_equal((r.code, words in r.stderr), (2, True), f"{args}: {r.stderr!r}")
done()
