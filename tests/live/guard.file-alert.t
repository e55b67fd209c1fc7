#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Alerts `at most` so often: the first of each is told, and as many as may be; what is suppressed is counted exactly, in
status and in the next that is told. Truth: how often this test opens the files."""

import os
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *
from packets import apply, counts, policy, sh

FOLDER = os.path.realpath(tempfile.mkdtemp(prefix="guard-alert-", dir="/tmp"))
POLICY = f"""
rule all alert read of file {FOLDER}/all at most 3/h
rule again alert read of file {FOLDER}/again at most 1/s
rule user alert read of file {FOLDER}/user at most 2/h per user
rule exe alert read of file {FOLDER}/exe at most 2/h per exe
rule every alert read of file {FOLDER}/every
"""


def read(name, times=1, uid=0):
    pid = os.fork()
    if pid == 0:
        os.setresuid(uid, uid, uid)
        for _ in range(times):
            os.close(os.open(f"{FOLDER}/{name}", os.O_RDONLY))
        os._exit(0)
    check_equal(os.waitpid(pid, 0)[1], 0, f"{name} is read")


def case():
    for name in ("all", "again", "user", "exe", "every"):
        with open(f"{FOLDER}/{name}", "w") as f:
            f.write("x")
    os.chmod(FOLDER, 0o755)
    is_in_force(apply(POLICY, ok=False))
    cat = shutil.which("cat")
    with Sonda("trace", "guard.file") as s:
        read("all", 20)
        read("user", 5)
        read("user", 7, 65534)
        read("exe", 4)
        for _ in range(3):
            sh(f"{cat} {FOLDER}/exe")
        read("every", 6)
        read("again", 5)
        end = time.monotonic() + 30
        while counts()["again"]["matched"] - counts()["again"]["suppressed"] < 2 and time.monotonic() < end:
            read("again")  # until its second is over
        s.wait_row(lambda r: r["rule"] == "again" and r["suppressed"])
    rows = counts()
    told = {rule: sum(r["rule"] == rule for r in s.rows) for rule in rows}
    check_equal({rule: told[rule] for rule in told if rule != "again"}, {"all": 3, "user": 4, "exe": 4, "every": 6}, "so many are told")
    check_equal({rule: (r["matched"], r["suppressed"]) for rule, r in rows.items() if rule != "again"},
                {"all": (20, 17), "user": (12, 8), "exe": (7, 3), "every": (6, 0)}, "and the others counted")
    check_equal([r["uid"] for r in s.rows if r["rule"] == "user"], [0, 0, 65534, 65534], "whoever was loud before, another's first is told")
    for rule, r in rows.items():
        check_equal(told[rule] + r["suppressed"], r["matched"], f"{rule}: what was told and suppressed is what was done")
    last = [r for r in s.rows if r["rule"] == "again"][1]
    check(last["suppressed"] >= 4, f"the next that is told says how many were not: {last['suppressed']}")
    check_equal([r["suppressed"] for r in s.rows if r["rule"] == "again"][0], 0, "the first says none")
    check_equal({r["suppressed"] for r in s.rows if r["rule"] in ("all", "user", "exe")}, {0}, "none before it was not told")
    apply(POLICY)
    read("all", 2)
    check_equal((counts()["all"]["matched"], counts()["all"]["suppressed"]), (22, 19), "applied again, the window goes on")


try:
    case()
finally:
    policy("off", ok=False)
    shutil.rmtree(FOLDER, ignore_errors=True)
done()
