#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A probe that a user compiled has what a built-in one has: list, help, filters, JSON, --where, parameters, top."""

import shutil
import sys
import tempfile

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from sondatest import *

objects = os.environ.get("SONDA_TEST_OBJECTS", os.path.join(os.path.dirname(__file__), "../../build/test-probes"))
mine = os.path.join(objects, "mine.bpf.o")
if not os.path.exists(mine):
    skip(f"{mine} was not built")

directory = tempfile.mkdtemp()
atexit.register(shutil.rmtree, directory)
shutil.copy(mine, directory)
env = dict(os.environ, SONDA_PROBES=directory)


def send(sig, count):
    """A child that waits; gets `count` signals from us one after the other, and tells of each."""
    child = subprocess.Popen([sys.executable, "-c", f"""
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [{int(sig)}])
print("ready", flush=True)
for i in range({count}):
    signal.sigwait([{int(sig)}])
    print(i, flush=True)
"""], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    for _ in range(count):
        os.kill(child.pid, sig)
        child.stdout.readline()
    child.wait()
    return child.pid


# by path and by name, with filters
for name in (mine, "example.mine", "mine"):
    with Sonda("trace", name, "--pid", os.getpid(), "--where", "number == SIGUSR1", env=env) as s:
        pid = send(signal.SIGUSR1, 3)
        send(signal.SIGUSR2, 2)
    check_equal([(r["pid"], r["target_pid"], r["number"], r["err"]) for r in s.rows],
                [(os.getpid(), pid, "SIGUSR1", None)] * 3, f"{name}: the three signals")
    check_equal({r["probe"] for r in s.rows}, {"example.mine"}, "its full name")
    check(s.rows and s.rows[0]["exe"] == os.path.realpath(f"/proc/{os.getpid()}/exe"), "enriched like any other")
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + s.stats["lost"], "the equation")

# two of one name: neither is taken for the other
with tempfile.TemporaryDirectory() as both:
    files = [shutil.copy(mine, f"{both}/{name}.bpf.o") for name in ("a", "b")]
    for name in ("example.mine", "mine"):
        r = run_sonda("trace", name, env=dict(os.environ, SONDA_PROBES=both))
        check(r.code == 2 and all(f in r.stderr for f in files), f"{name}: which is meant: {r.code} {r.stderr}")

# what tools/new-probe writes to begin with compiles and counts: one's own, and one of the tree with its test
top = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
clang = next((c for c in ("clang", "clang-19", "clang-16", "clang-14") if shutil.which(c)), None)
if clang and os.path.exists(f"{top}/tools/new-probe"):
    with tempfile.TemporaryDirectory() as d:
        for part in "tools", "probes/some", "tests/live":
            os.makedirs(f"{d}/{part}")
        shutil.copy(f"{top}/tools/new-probe", f"{d}/tools")
        arch = {"x86_64": "x86", "aarch64": "arm64"}[os.uname().machine]
        for source, name in ((f"{d}/ends.bpf.c", "my.ends"), (f"{d}/probes/some/ends.bpf.c", "some.ends")):
            subprocess.run([f"{d}/tools/new-probe", source, "tp_btf/sched_process_exit", "Threads that end"], check=True,
                           stdout=subprocess.DEVNULL)
            subprocess.run([clang, "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", f"-D__TARGET_ARCH_{arch}",
                            f"-I/usr/include/{os.uname().machine}-linux-gnu", f"-I{top}/probes/include", f"-I{top}",
                            "-c", source, "-o", f"{d}/ends.bpf.o"], check=True)
            r = run_sonda("trace", f"{d}/ends.bpf.o", "--", "true")
            check_equal([(row["probe"], row["comm"]) for row in r.rows], [(name, "true")], "a new probe tells")
        check(os.access(f"{d}/tests/live/some.ends.t", os.X_OK), "its test is there")
        r = subprocess.run([f"{d}/tools/new-probe", f"{d}/ends.bpf.c", "tp_btf/x", "again"], stderr=subprocess.PIPE, text=True)
        check_equal((r.returncode, "is there already" in r.stderr), (2, True), "nothing is overwritten")

# its own parameter
for args, want in (([], 0), (["--self"], 1)):
    with Sonda("trace", "mine", *args, "--pid", os.getpid(), env=env) as s:
        signal.signal(signal.SIGUSR1, lambda *_: None)
        os.kill(os.getpid(), signal.SIGUSR1)
    to_itself = [r for r in s.rows if r["target_pid"] == os.getpid()]  # another goes to sonda, to end it
    check_equal(len(to_itself), want, f"signals to itself with {args}")

# declared things are found everywhere
r = run_sonda("list", "-o", "json", json_output=False, env=env)
rows = {row["probe"]: row for row in map(json.loads, r.stdout.splitlines())}
check(rows["example.mine"]["works"] and rows["example.mine"]["origin"].startswith(directory), "listed with its origin")
check("process.tree" not in rows, "helpers of sonda's own are not listed")
r = run_sonda("help", "mine", json_output=False, env=env)
for words in ("who sends", "signals sent", "--self", "which signal", "--errors"):
    check(words in r.stdout, f"help tells {words!r}")
r = run_sonda("trace", "mine", "--help", json_output=False, env=env)
check("--self" in r.stdout, "its parameter is in --help of trace")
r = run_sonda("check", mine, "-o", "json", json_output=False)
check_equal(json.loads(r.stdout)["verdict"], "ok", "sonda check")

# its metric table
r = run_sonda("top", "mine", "--once", "-o", "json", "--pid", os.getpid(), "--by", "number", "--",
              sys.executable, "-c", "pass", env=env)
check_equal(r.code, 0, f"top runs: {r.stderr!r}")

# an object without the language has nothing to show, and the hints say what there is
plain = os.path.join(objects, "plain.bpf.o")
for command in ("trace", "top", "show", "hist"):
    r = run_sonda(command, plain, json_output=False)
    check_equal(r.code, 2, f"{command} of a plain object: {r.stderr!r}")
    check(f"sonda check {plain} loads it" in r.stderr, f"{command}: a hint that is true: {r.stderr!r}")
    check("undeclared maps and rings" in r.stderr, f"{command}: what is not read is said: {r.stderr!r}")
r = run_sonda("show", mine, json_output=False)
check(f"sonda trace {mine} shows its events" in r.stderr, f"a hint that finds the file: {r.stderr!r}")
check_equal(run_sonda("check", plain, json_output=False).code, 0, "and it does load")
maps = run_sonda("list", plain, json_output=False).stdout.partition("Maps and rings (not read")[2].partition("\n\n")[0]
check_equal(maps.split()[-1:], ["calls"], f"list names them: {maps!r}")
r = run_sonda("cost", plain, "--for", "200ms")
check_equal((r.code, [row["program"] for row in r.rows if row["program"] == "plain"]), (0, ["plain"]), "and cost runs it")

# maps that can be read like tables are
foreign = os.path.join(objects, "foreign.bpf.o")
for table, keys, value in ("counts", ["key"], "value"), ("callers", ["pid", "tid"], "calls"):
    with Sonda("top", foreign, table, "-o", "json", "-l", 0, "--interval", "50ms") as s:
        pid, _ = in_process(lambda: [os.getppid() for _ in range(3000)])
        found = s.wait_row(lambda row: [row[key] for key in keys] == [pid] * len(keys) and row[value] >= 3000)
    check(found and found[value] < 6000, f"{table}: what was counted: {found} ({s.stderr})")
    check(found and (table == "counts" or found["last_ns"] > 0), f"all values of {table}: {found}")
listed = run_sonda("list", foreign, json_output=False).stdout.partition("Maps and rings (not read")[2].partition("\n\n")[0]
check_equal(listed.split()[-2:], ["slots", "ring"], f"list names the others: {listed!r}")

# an object that is cut or changed is refused or runs, and never crashes
good = open(mine, "rb").read()
bad = os.path.join(directory, "bad.bpf.o")
for at in range(0, len(good), max(1, len(good) // 60)):
    with open(bad, "wb") as f:
        f.write(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1:] if at % 2 else good[:at])
    r = run_sonda("list", bad, json_output=False)
    check(r.code in (0, 1, 2), f"changed at {at}: exit {r.code}, {r.stderr!r}")

done()
