#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Bad input: one clear error that says what was expected, the right exit code, nothing left behind."""

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from sondatest import *

USAGE, DENIED, FAILED, KERNEL = 2, 3, 1, 4

# arguments, exit code, what the message must hold
CASES = [
    (["tarce"], USAGE, "did you mean 'trace'"),
    (["trace"], USAGE, "which probe"),
    (["trace", "fs.opne"], USAGE, "did you mean 'fs.open'"),
    (["trace", "fs.open", "fs.open"], USAGE, "named twice"),
    (["trace", "fs.open", "--pdi", "3"], USAGE, "did you mean '--pid'"),
    (["trace", "fs.open", "--pid", "x"], USAGE, "--pid"),
    (["trace", "fs.open", "--pid", "1,!2"], USAGE, "'!'"),
    (["trace", "fs.open", "--min", "10"], USAGE, "like 10ms"),
    (["trace", "fs.open", "--min", "10xs"], USAGE, "--min"),
    (["trace", "fs.open", "--comm", "a" * 16], USAGE, "15 bytes"),
    (["trace", "fs.open", "--user", "no-such-user"], USAGE, "no user 'no-such-user'"),
    (["trace", "fs.open", "--exe", "/no/such"], USAGE, "/no/such"),
    (["trace", "fs.open", "--where", "errr != 0"], USAGE, "did you mean 'err'"),
    (["trace", "fs.open", "--where", "err != 0 and"], USAGE, "column 13"),
    (["trace", "fs.open", "--where", "err > ENOET"], USAGE, "did you mean 'ENOENT'"),
    (["trace", "fs.open", "--where", "path > 'x'"], USAGE, "path"),
    (["trace", "fs.open", "--where", "comm == 'x"], USAGE, "not closed"),
    (["trace", "fs.open", "--where", "(err == 0"], USAGE, "')'"),
    (["trace", "fs.open: err = ="], USAGE, "value"),
    (["trace", "fs.open", "-o", "xml"], USAGE, "text, json, csv, folded or null"),
    (["trace", "fs.open", "--fields", "pdi", "-n", "1"], USAGE, "did you mean 'pid'"),
    (["trace", "fs.open", "--buffer", "3"], USAGE, "--buffer"),
    (["trace", "fs.open", "--interface", "nosuch0"], USAGE, "nosuch0"),
    (["trace", "fs.open", "--"], USAGE, "COMMAND"),
    (["trace", "fs.open", "--", "no-such-command"], USAGE, "no-such-command"),
    (["trace", "fs.open", "--", "/etc"], USAGE, "Permission denied"),
    (["trace", "./no-such.bpf.o"], FAILED, "No such file"),
    (["trace", "/etc/passwd.o/x"], FAILED, "/etc/passwd.o/x"),
    (["trace", "/etc/passwd", "-n", "1"], FAILED, "/etc/passwd"),
    (["trace", "/etc"], FAILED, "/etc"),
    (["replay"], USAGE, "recording"),
    (["replay", "/no/such"], FAILED, "/no/such"),
    (["replay", "/etc/passwd"], FAILED, "/etc/passwd"),
    (["list", "nothing.here"], USAGE, "unknown probe"),
    (["check", "nothing.here"], USAGE, "unknown probe"),
    (["help", "nothing"], USAGE, "unknown probe"),
    (["doctor", "x"], USAGE, "doctor takes no words"),
    (["cost", "--for", "soon"], USAGE, "--for"),
]

for args, code, words in CASES:
    r = run_sonda(*args, json_output=False)
    what = "sonda " + " ".join(args)
    check_equal(r.code, code, f"{what}: exit code ({r.stderr.strip()!r})")
    check(words in r.stderr, f"{what}: the message holds {words!r}: {r.stderr!r}")
    lines = [l for l in r.stderr.splitlines() if "watching" not in l]
    check(1 <= len(lines) <= 2, f"{what}: one line, at most a hint after it: {lines}")
    check(not r.stdout, f"{what}: nothing on stdout: {r.stdout!r}")

# without privileges: not permitted, with the remedy
if os.geteuid() == 0:
    as_nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    if subprocess.run([*as_nobody, "test", "-x", SONDA], stderr=subprocess.DEVNULL).returncode == 0:
        for args in (["trace", "fs.open", "-n", "1"], ["doctor"], ["cost"]):
            r = subprocess.run([*as_nobody, SONDA, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            check_equal(r.returncode, DENIED, f"{args} as nobody: exit code ({r.stderr!r})")
            check("root" in r.stderr, f"{args} as nobody says the remedy: {r.stderr!r}")

# help and version need nothing
for args in (["--help"], ["help"], ["help", "trace"], ["trace", "--help"], ["help", "fs.open"], ["--version"], ["list"]):
    r = run_sonda(*args, json_output=False)
    check_equal(r.code, 0, f"{args}: exit code")
    check(r.stdout.strip(), f"{args}: says something")

done()
