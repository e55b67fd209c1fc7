#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""syscall.errors: a row for each call that fails, with its error and what it was about.

Truth: strace of the same program, and a workload that knows what each of its calls must give.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *

# Prints, for each call made by hand, (call, error, object).
WORK = r"""
import ctypes, errno, os, socket, sys
folder, said = sys.argv[1], []
libc = ctypes.CDLL(None, use_errno=True)

def fails(call, what, body, *args):
    try:
        body(*args)
    except OSError as e:
        said.append((call, errno.errorcode[e.errno], what))

def raw(what, obj, nr, *args):
    if libc.syscall(ctypes.c_long(nr), *args) < 0:
        said.append((what, errno.errorcode[ctypes.get_errno()], obj))

os.chdir(folder)
d = os.open("sub", os.O_RDONLY)
fails("rmdir", folder + "/none", os.rmdir, "none")
fails("unlinkat", folder + "/sub/none", lambda: os.unlink("none", dir_fd=d))
fails("mkdir", folder, os.mkdir, folder)
fails("rename", folder + "/none", os.rename, "none", "other")
f = os.open("file", os.O_RDONLY)
fails("write", folder + "/file", os.write, f, b"x")
fails("pread64", folder + "/sub", os.pread, d, 8, 0)
r, w = os.pipe()
fails("lseek", os.readlink(f"/proc/self/fd/{r}"), os.lseek, r, 0, 0)
fails("close", None, os.close, 9999)
listener = socket.socket(socket.AF_INET)
listener.bind(("127.0.0.1", 0))
listener.listen()
port = listener.getsockname()[1]
other = socket.socket(socket.AF_INET)
fails("bind", f"tcp 127.0.0.1:{port}", other.bind, ("127.0.0.1", port))
client = socket.create_connection(("127.0.0.1", port))
own = client.getsockname()[1]
fails("lseek", f"tcp 127.0.0.1:{own}->127.0.0.1:{port}", os.lseek, client.fileno(), 0, 0)
listener.close()
fails("connect", f"tcp *->127.0.0.1:{port}", other.connect, ("127.0.0.1", port))
other.close()
try:
    six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    six.bind(("::1", 0))
    fails("lseek", f"udp [::1]:{six.getsockname()[1]}", os.lseek, six.fileno(), 0, 0)
except OSError:
    pass
for name, shown in ((folder + "/none.sock", f"unix {folder}/none.sock"), ("\0so-abstract", "unix @so-abstract")):
    unix = socket.socket(socket.AF_UNIX)
    fails("connect", shown, unix.connect, name)
fails("kill", None, os.kill, 2 ** 22 + 5, 9)
raw("unknown", None, 900000)
print(said)
"""
ROUTINE = {"EAGAIN", "EINPROGRESS"}


def shown_as(want):
    return "^" + re.escape(want).replace(r"\*", r"[0-9.:]*") + "$"


def each_has_its_object(folder):
    with Sonda("trace", "syscall.errors", "--comm", "python3,python,errors-work") as s:
        p = subprocess.run([sys.executable, "-I", "-S", "-c", WORK, folder], stdout=subprocess.PIPE, check=True)
    want = ast.literal_eval(p.stdout.decode())
    calls = {c for c, _, _ in want}
    check(len(want) >= 14, f"the workload failed as it should: {len(want)}")
    rows = iter([r for r in s.rows if r["syscall"] in calls and r["comm"].startswith("python")])
    for call, err, what in want:
        row = next((r for r in rows if (r["syscall"], r["err"]) == (call, err) and
                    (what is None or re.match(shown_as(what), r["object"] or ""))), None)
        check(row, f"{call} fails with {err} on {what}")
        if row and what is None:
            check(not row["object"], f"{call} with {err} has no object: {row['object']}")
    check_equal(s.stats["lost"], s.stats.get("missed", 0), "nothing lost")


STRACE = re.compile(r"^(?:\d+ +)?(\w+)\(.*\) += -1 (E[A-Z0-9]+) ")


def same_as_strace(folder):
    """Every call of a program that fails, in order."""
    if not shutil.which("strace"):
        return
    command = [shutil.which("ls"), "-l", folder + "/none", folder, "/proc/self/fd"]
    log = folder + "/strace.log"
    subprocess.run(["strace", "-o", log, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    want = [m.groups() for m in map(STRACE.match, open(log)) if m]
    want = [(c, e) for c, e in want if e not in ROUTINE and (c, e) != ("ioctl", "ENOTTY")]
    r = run_sonda("trace", "syscall.errors", "--", "sh", "-c", 'exec "$@" >/dev/null', "sh", *command)
    got = [(row["syscall"], row["err"]) for row in r.rows if row["comm"] == "ls"]
    check(len(want) > 3, f"strace saw the workload: {want}")
    check_equal(got, want, "what fails in ls")


STORM = """
import ctypes
libc = ctypes.CDLL(None)
for _ in range(%d):
    libc.rmdir(b"/nowhere/at/all")
    libc.getppid()
"""


def counted():
    """The table, and --routine."""
    r = run_sonda("top", "syscall.errors", "--once", "-l", "0", "--", sys.executable, "-I", "-S", "-c", STORM % 5000)
    rows = [w for w in r.rows if w["syscall"] == "rmdir"]
    check_equal([(w["err"], w["errors"]) for w in rows], [("ENOENT", 5000)], "errors counted")
    check(all(w["err"] for w in r.rows), "nothing that succeeded")
    code = "import os, fcntl; r, w = os.pipe2(os.O_NONBLOCK)\nfor _ in range(70):\n try: os.read(r, 1)\n except OSError: pass"
    for option, want in (([], 0), (["--routine"], 70)):
        r = run_sonda("trace", "syscall.errors", *option, "--", sys.executable, "-I", "-S", "-c", code)
        check_equal(len([w for w in r.rows if w["err"] == "EAGAIN"]), want, f"EAGAIN with {option}")
        check_equal(r.stats["seen"], r.stats["delivered"] + r.stats["filtered"] + r.stats["lost"], "the account")


folder = os.path.realpath(tempfile.mkdtemp(prefix="syscall-errors-"))
try:
    os.mkdir(folder + "/sub")
    open(folder + "/file", "w").close()
    each_has_its_object(folder)
    same_as_strace(folder)
    counted()
finally:
    shutil.rmtree(folder)
done()
