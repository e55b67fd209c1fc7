#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""show: the rows of tests/data/tasks.bpf.c, a thread each, against threads and processes that the test
made itself."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

from sondatest import *

TASKS = os.path.join(os.environ.get("SONDA_TEST_OBJECTS", "build/test-probes"), "tasks.bpf.o")
if not os.path.exists(TASKS):
    skip(f"{TASKS} was not built")

THREADS = 40
end = threading.Event()
tids = {threading.get_native_id()}


def wait_named(i):
    tids.add(threading.get_native_id())
    ready.release()
    end.wait()


ready = threading.Semaphore(0)
threads = [threading.Thread(target=wait_named, args=(i,)) for i in range(THREADS)]
for t in threads:
    t.start()
    ready.acquire()

# one that yields and one that pushes; both wait until their input ends
nice = {n: subprocess.Popen(["nice", "-n", str(n), "cat"], stdin=subprocess.PIPE) for n in (7, -5)}
for n, process in nice.items():
    while open(f"/proc/{process.pid}/comm").read() != "cat\n":
        os.sched_yield()


def show(*args, **more):
    return run_sonda("show", TASKS, *args, **more)


own = f"pid == {os.getpid()}"
r = show("--where", own)
check_equal(r.code, 0, "exit code")
check_equal({row["tid"] for row in r.rows}, tids, "threads of this process")
check_equal({row["comm"] for row in r.rows}, {open("/proc/self/comm").read().strip()}, "their name")
check_equal({row["user"] for row in r.rows}, {"root"}, "the user's name")
check_equal({row["exe"] for row in r.rows}, {os.readlink("/proc/self/exe")}, "the program, joined by pid")
check_equal({row["kernel"] for row in r.rows}, {0}, "a bit that is not set")
check(all(row["probe"] == "tasks" or row["probe"] == "test.tasks" for row in r.rows), "the probe's name")

for n, process in nice.items():
    rows = show("--where", f"pid == {process.pid}").rows
    check_equal([(row["nice"], row["comm"]) for row in rows], [(n, "cat")], "a signed bit-field")
pids = [process.pid for process in nice.values()]
r = show("--where", f"nice > 0 and pid in ({pids[0]}, {pids[1]})")
check_equal([row["pid"] for row in r.rows], [nice[7].pid], "a condition on it")
r = show("--where", "kernel == 1 and comm == kthreadd", "--fields", "tid,comm")
check_equal([(row["tid"], row["comm"]) for row in r.rows], [(2, "kthreadd")], "a kernel thread, the fields named")
check_equal(sorted(r.rows[0]), ["comm", "tid"], "and no others")

r = show("--where", own, "--count", 3)
check_equal(len(r.rows), 3, "--count")
text = show("--where", own, json_output=False).lines
check_equal(text[0].split(), ["PID", "TID", "KERNEL", "NICE", "COMM"], "text: the columns not hidden")
check_equal({int(line.split()[1]) for line in text[1:]}, tids, "text: a line each")
csv = show("--where", own, "-o", "csv", "--fields", "tid,exe").lines
check_equal(csv[0], "tid,exe", "CSV: header")
check_equal({int(line.split(",")[0]) for line in csv[1:]}, tids, "CSV: a line each")

end.set()
for t in threads:
    t.join()
for process in nice.values():
    process.communicate()
r = show("--where", f"pid in ({os.getpid()}, {pids[0]}, {pids[1]})")
check_equal([row["tid"] for row in r.rows], [os.getpid()], "what ended is gone")

# who may not load BPF programs is told what /proc tells, and that it is so
with tempfile.TemporaryDirectory() as directory:
    os.chmod(directory, 0o755)
    copy = shutil.copy(run_sonda.__globals__["SONDA"], f"{directory}/sonda")
    os.chmod(copy, 0o755)
    nobody = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, user=65534, group=65534, extra_groups=[], text=True)
    r = subprocess.run([copy, "show", "process", "--where", own, "-o", "json"], **nobody)
    check_equal((r.returncode, [json.loads(line)["threads"] for line in r.stdout.splitlines()]), (0, [1]),
                "a process out of /proc")
    check("this is what /proc tells, without cgroups" in r.stderr, f"stderr says so: {r.stderr!r}")
    r = subprocess.run([copy, "show", "bpf"], **nobody)
    check_equal((r.returncode, r.stdout), (3, ""), "what /proc can't tell is not permitted")

r = run_sonda("show")
check_equal({row["show"]: row["probe"] for row in r.rows}.items()
            >= {"process": "process.list", "file": "fs.handle", "socket": "net.socket"}.items(), True,
            "without a word: what there is")

for args, words in [
    (["fs.open"], "no snapshots to show"),
    ([TASKS, "--fields", "nicee"], "did you mean 'nice'"),
    ([TASKS, "--where", "nicee == 1"], "nicee"),
    ([TASKS, "--pid", "1"], "has no --pid"),
    ([TASKS, "--", "true"], "takes no COMMAND"),
    ([TASKS, "--sort", "nicee"], "did you mean 'nice'"),
    (["fil"], "did you mean 'file'"),
    (["proces"], "did you mean 'process'"),
    (["nonsense"], "`sonda show` lists"),
    ([TASKS, "--buffer", "1MiB"], "unknown option '--buffer'"),
]:
    r = run_sonda("show", *args, json_output=False)
    check_equal(r.code, 2, f"exit code of show {args}")
    check(words in r.stderr, f"show {args}: '{words}' in {r.stderr!r}")
done()
