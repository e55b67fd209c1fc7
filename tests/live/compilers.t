#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a probe's C becomes is the compiler's choice, what may load the verifier's: what runs here as sonda was built runs
here too when the newest clang of this machine that is of another version has compiled it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))


def version_of(clang):
    return int(re.search(r"version (\d+)", subprocess.run([clang, "--version"], capture_output=True, text=True).stdout)[1])


def verdicts(*files):
    """{probe: what `sonda check` says of it}"""
    found = map(json.loads, run_sonda("check", *files).stdout.splitlines())
    return {row["probe"]: row for row in found if "verdict" in row}


if not os.path.exists(f"{TOP}/Makefile"):
    skip("no sources here")
used = subprocess.run(["make", "--no-print-directory", "-s", "-C", TOP, "clang-used"], capture_output=True, text=True, check=True)
others = [c for c in map(shutil.which, ("clang-20", "clang-19", "clang-18", "clang-17", "clang-16")) if c]
others = [c for c in others if version_of(c) != version_of(used.stdout.strip())]
if not others:
    skip(f"no other clang than {used.stdout.strip()}")

with tempfile.TemporaryDirectory() as build:
    made = subprocess.run(["make", "-C", TOP, f"-j{os.cpu_count()}", f"BUILD={build}", f"CLANG={others[0]}", "probes"],
                          capture_output=True, text=True)
    if check(made.returncode == 0, f"{others[0]} compiles all: {made.stderr[-500:]}"):
        names = os.listdir(f"{build}/probes")
        objects = sorted(f"{build}/probes/{name}" for name in names if name.endswith(".bpf.o"))
        by_other = verdicts(*objects)
        check_equal(len(by_other), len(objects), "a verdict on each")
        refused = {probe for probe, row in by_other.items() if row["verdict"] != "ok"}
        by_used = verdicts(*sorted(refused)) if refused else {}
        for probe in sorted(refused):
            check(by_used[probe]["verdict"] != "ok", f"{probe} by {others[0]}: {by_other[probe]}"[:600])
done()
