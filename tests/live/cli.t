#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Bad input: one clear error that says what was expected, the right exit code, nothing left behind."""

import csv
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from sondatest import *
from workers import Group, mount_of

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
    (["trace", "driver"], USAGE, "'driver' is a group of probes: driver.irq, "),
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
        commands = [["trace", "fs.open", "-n", "1"], ["doctor"], ["cost"], ["check", "fs.open"], ["record", "fs.open", "--to", "/dev/null"]]
        if not os.stat("/sys/fs/bpf").st_mode & 0o005:  # where anybody may look, he is told that there is no policy
            commands.append(["policy", "status"])
        for args in commands:
            r = subprocess.run([*as_nobody, SONDA, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            check_equal(r.returncode, DENIED, f"{args} as nobody: exit code ({r.stderr!r})")
            check(r.stderr.endswith("sonda: hint: run it as root\n"), f"{args} as nobody says the remedy: {r.stderr!r}")
            check("joining" not in r.stderr, f"{args} as nobody speaks of nothing that nobody asked for: {r.stderr!r}")
        r = subprocess.run([*as_nobody, SONDA, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        check(r.returncode == 0 and "you may not load BPF programs" in r.stderr, f"list as nobody: {r.stderr!r}")

# a process that isn't there is said to be so, and no error; one that is, or is left out, is not
if os.geteuid() == 0:
    for option, missing in (("--pid", True), ("--tid", True), ("--tree", True), ("--pid=!", False)):
        words = [option, "4194305"] if missing else [option + "4194305"]  # above the greatest there can be
        r = run_sonda("trace", "process.exec", *words, "--for", "1ms", json_output=False)
        check_equal((r.code, "there is no such process now" in r.stderr), (0, missing), f"{words}: {r.stderr!r}")
    r = run_sonda("trace", "process.exec", "--pid", os.getpid(), "--for", "1ms", json_output=False)
    check(r.code == 0 and "no such process" not in r.stderr, f"one that is there: {r.stderr!r}")

# a cgroup by its name, also where the hierarchy isn't mounted or another file system hides it
if os.geteuid() == 0 and (cgroups := mount_of("cgroup2")):
    for hide in "true", f"mount -t tmpfs none {cgroups}", f"umount -l {cgroups}":
        with Group() as group:
            join = os.open(f"{group.path}/cgroup.procs", os.O_WRONLY)
            r = subprocess.run(["unshare", "-m", "sh", "-c", f'{hide}; exec "$@"', "sh", SONDA, "trace", "process.exec", "--cgroup",
                                os.path.basename(group.path), "-o", "json", "--", "sh", "-c", f"echo $$ >&{join}; exec true"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=[join])
            os.close(join)
        rows = [json.loads(line) for line in r.stdout.splitlines()]  # the shell looks through PATH
        check_equal([row["comm"] for row in rows if "comm" in row and not row["err"]], ["true"], f"{hide}: one of the group ({r.stderr})")

# without BTF: the same words and exit code from each command, whatever it would have loaded
if os.geteuid() == 0:
    without_btf = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "sh"]
    for args in (["trace", "fs.open", "-n", "1"], ["record", "process.exec", "--to", "/dev/null"], ["top", "net.dns", "--once"],
                 ["hist", "fs.open", "--for", "1ms"], ["check", "fs.open"], ["doctor"]):
        r = subprocess.run([*without_btf, SONDA, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        check_equal(r.returncode, KERNEL, f"{args} without BTF: exit code ({r.stderr!r})")
        check("no BTF: there is no /sys/kernel/btf/vmlinux" in r.stdout + r.stderr, f"{args} without BTF says so: {r.stderr!r}")
    r = subprocess.run([*without_btf, SONDA, "list", "-o", "json"], stdout=subprocess.PIPE, text=True)
    works = [json.loads(line)["probe"] for line in r.stdout.splitlines() if json.loads(line)["works"]]
    check_equal(works, ["kernel.bpf"], "without BTF only what needs no program works")


def plainly(value):
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


# CSV of what isn't a stream: the plain members of JSON, row by row; what cost measures differs each time
for args in [["list"], ["list", "net.tcp"]] + ([["check", "net.tcp"], ["doctor"], ["cost", "net.tcp", "-a"]] if os.geteuid() == 0 else []):
    said = [subprocess.run([SONDA, *args, "-o", form], stdout=subprocess.PIPE, text=True).stdout for form in ("json", "csv")]
    want, got = [json.loads(line) for line in said[0].splitlines()], list(csv.DictReader(said[1].splitlines()))
    plain = {key for row in want for key, value in row.items() if not isinstance(value, (list, dict))}
    if check(got and plain <= set(got[0]), f"{args} as CSV has the columns {plain}: {said[1][:300]!r}") and args[0] != "cost":
        check_equal(got, [{key: plainly(row.get(key)) for key in got[0]} for row in want], f"{args} as CSV")

# help and version need nothing
for args in (["--help"], ["help"], ["help", "trace"], ["trace", "--help"], ["help", "fs.open"], ["--version"], ["list"]):
    r = run_sonda(*args, json_output=False)
    check_equal(r.code, 0, f"{args}: exit code")
    check(r.stdout.strip(), f"{args}: says something")

done()
