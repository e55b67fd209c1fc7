#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""process.exec: one row for each exec, whatever its form, and every word of it true.

The test makes each form itself, so it knows what must be said; /proc, stat(2) and strace say the
rest. Rows are told apart by pid.
"""

import ctypes
import mmap
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *

TRUE = shutil.which("true")
SHELL = os.path.realpath("/bin/sh")
SPAWNED = 300 if EMULATED else 5000
NOBODY = 65534
LIBC = ctypes.CDLL(None, use_errno=True)


def child(body):
    """Runs body() in a new process, which is expected to exec; returns its pid once it ended."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
        except OSError:
            pass
        finally:
            os._exit(127)
    os.waitpid(pid, 0)
    return pid


def make_file(name, content, mode=0o755):
    path = os.path.join(DIR, name)
    with open(path, "wb") as f:
        f.write(content)
    os.chmod(path, mode)
    return path


def make_copy(name, mode=0o755):
    with open(TRUE, "rb") as f:
        return make_file(name, f.read(), mode)


CASES = []  # (what, pid, the rows wanted: a dict of fields for each)


def case(what, body, *wanted):
    CASES.append((what, child(body), wanted))


# ---- the forms of exec that succeed ----


def plain_forms():
    argv = [TRUE, "", "two words", "tab\there", "umlaut \u00fc", "-x"]
    st = os.stat(TRUE)
    case("absolute path, odd arguments", lambda: os.execv(TRUE, argv),
         dict(err=None, path=TRUE, file=os.path.realpath(TRUE), argv=argv, interp=None, cwd=os.getcwd(),
              inode=st.st_ino, nameless=False, gained=False, comm="true", ppid=os.getpid(),
              argv_bytes=sum(len(a.encode()) + 1 for a in argv), dirfd=-100))
    make_copy("prog")

    def relative():
        os.chdir(DIR)
        os.execv("./prog", ["prog"])
    case("relative path", relative, dict(path="./prog", file=f"{DIR}/prog", cwd=DIR, argv=["prog"]))
    os.symlink("prog", f"{DIR}/link")
    case("symbolic link", lambda: os.execv(f"{DIR}/link", ["link"]),
         dict(path=f"{DIR}/link", file=f"{DIR}/prog", argv=["link"]))


def script_forms():
    script = make_file("script", b"#!/bin/sh -e\nexit 0\n")
    case("script", lambda: os.execv(script, ["ignored", "a b"]),
         dict(path=script, interp="/bin/sh", file=SHELL, argv=["/bin/sh", "-e", script, "a b"]))
    outer = make_file("outer", f"#!{script} x\n".encode())
    case("script run by a script", lambda: os.execv(outer, ["ignored"]),
         dict(path=outer, interp="/bin/sh", file=SHELL, argv=["/bin/sh", "-e", script, "x", outer]))


def descriptor_forms():
    def at():
        fd = os.open(os.path.dirname(TRUE), os.O_PATH)
        os.dup2(fd, 50)
        argv = (ctypes.c_char_p * 3)(b"true", b"at", None)
        LIBC.execveat(50, b"true", argv, (ctypes.c_char_p * 1)(None), 0)
    if hasattr(LIBC, "execveat"):
        case("execveat", at, dict(path="/dev/fd/50/true", file=os.path.realpath(TRUE), dirfd=50,
                                  argv=["true", "at"]))

    def by_fd():
        fd = os.open(TRUE, os.O_RDONLY)
        os.dup2(fd, 51)
        os.execve(51, ["by_fd"], {})
    case("fexecve", by_fd, dict(path="/dev/fd/51", file=os.path.realpath(TRUE), argv=["by_fd"]))

    def memory():
        fd = os.memfd_create("hidden")
        with open(TRUE, "rb") as f:
            os.write(fd, f.read())
        os.dup2(fd, 52)
        os.execve(52, ["memory"], {})
    case("memfd", memory, dict(path="/dev/fd/52", file="/memfd:hidden (deleted)", nameless=True,
                               argv=["memory"]))

    def deleted():
        path = make_copy("gone")
        fd = os.open(path, os.O_RDONLY)
        os.unlink(path)
        os.dup2(fd, 53)
        os.execve(53, ["deleted"], {})
    case("deleted file", deleted, dict(path="/dev/fd/53", file=f"{DIR}/gone (deleted)", nameless=True))


def thread_form():
    out, into = os.pipe()

    def by_thread():
        def run():
            os.write(into, struct.pack("I", threading.get_native_id()))
            os.execv(TRUE, ["by_thread"])
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    pid = child(by_thread)
    tid = struct.unpack("I", os.read(out, 4))[0]
    check(tid != pid, "the thread that called is not the first")
    CASES.append(("exec by another thread", pid,
                  [dict(argv=["by_thread"], from_tid=tid, tid=pid, pid=pid, err=None)]))


def privileged_form():
    path = make_copy("privileged", 0o4755)
    if os.statvfs(DIR).f_flag & os.ST_NOSUID:
        print("not shown: set-user-id programs (mounted nosuid)")
        return

    def as_nobody():
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.execv(path, ["privileged"])
    case("set-user-id program", as_nobody,
         dict(argv=["privileged"], uid=NOBODY, caller_euid=NOBODY, euid=0, gained=True))


def cold_form():
    """Path, pointers and strings on pages that this process has never touched: what a freshly
    started static program has. Read too early, they can't be read."""
    base, page = 0x700000000000, mmap.PAGESIZE
    image = struct.pack("QQQ", base + 2 * page, base + 3 * page, 0).ljust(page, b"\0")
    image += TRUE.encode().ljust(page, b"\0")
    image += b"cold".ljust(page, b"\0") + b"strings".ljust(page, b"\0")
    path = make_file("cold", image)
    LIBC.mmap.restype = ctypes.c_void_p
    LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    LIBC.execve.argtypes = [ctypes.c_void_p] * 3

    def cold():
        fd = os.open(path, os.O_RDONLY)
        LIBC.mmap(base, len(image), mmap.PROT_READ, mmap.MAP_PRIVATE | 0x10, fd, 0)  # MAP_FIXED
        LIBC.execve(base + page, base, None)
    case("strings on untouched pages", cold, dict(path=TRUE, argv=["cold", "strings"]))
    if not shutil.which("cc"):
        return
    program = f"{DIR}/static"
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "work/exec_static.c")
    subprocess.run(["cc", "-static", "-o", program, source], check=True)
    out = subprocess.run([program], stdout=subprocess.PIPE, check=True).stdout
    CASES.append(("static program: fork and execve", int(out), [dict(path="/bin/true", argv=["/bin/true"])]))


# ---- what does not fit, and what fails ----

LONG = [TRUE] + ["x" * 1000] * 90


def long_forms():
    many = [TRUE] + [f"argument-{i}" for i in range(127)]
    case("128 arguments", lambda: os.execv(TRUE, many), dict(argv=many))
    more = [TRUE] + [str(i) for i in range(10000)]
    case("10001 arguments", lambda: os.execv(TRUE, more), dict(argv=more))
    full = [TRUE] + ["y" * (65536 - len(TRUE) - 2)]
    case("64 KiB of arguments", lambda: os.execv(TRUE, full), dict(argv=full, argv_bytes=65536))
    case("more than 64 KiB", lambda: os.execv(TRUE, LONG), dict(argv_bytes=sum(len(a) + 1 for a in LONG)))


def failures():
    plain = make_file("plain", b"text", 0o644)
    noise = make_file("noise", b"\x01\x02\x03\x04")
    orphan = make_file("orphan", b"#!/no/such/interpreter\n")
    loop = f"{DIR}/loop"
    os.symlink("loop", loop)
    for path, err in ((f"{DIR}/none", "ENOENT"), (plain, "EACCES"), (noise, "ENOEXEC"), (orphan, "ENOENT"),
                      (f"{plain}/x", "ENOTDIR"), (loop, "ELOOP"), (DIR, "EACCES")):
        case(f"{os.path.basename(path)}: {err}", lambda: os.execv(path, ["tried", path, ""]),
             dict(path=path, err=err, argv=["tried", path, ""], file=None, interp=None, cwd=os.getcwd(), inode=0))

    def too_big():
        os.execv(TRUE, ["tried", "z" * (40 * mmap.PAGESIZE)])
    case("one argument too long", too_big, dict(path=TRUE, err="E2BIG"))

    def at():
        LIBC.execveat(os.open(DIR, os.O_PATH), b"none", (ctypes.c_char_p * 2)(b"tried", None), None, 0)
    if hasattr(LIBC, "execveat"):
        case("execveat that fails", at, dict(path="none", err="ENOENT", argv=["tried"]))

    def bad_pointer():
        LIBC.execve.argtypes = [ctypes.c_void_p] * 3
        LIBC.execve(1, None, None)
    case("a path that can't be read", bad_pointer, dict(path=None, err="EFAULT"))

    def second_try():
        try:
            os.execv(f"{DIR}/none", ["first"])
        except OSError:
            os.execv(TRUE, ["second"])
    case("failure, then success", second_try, dict(err="ENOENT", argv=["first"]),
         dict(err=None, argv=["second"]))


# ---- the same as strace says ----

MIXED = """
true; /bin/echo one two >/dev/null; nosuchcommand 2>/dev/null; ( exec env -i "$PWD/inner" "a  b" )
for i in 1 2 3 4 5 6 7 8 9 10; do true | cat | cat; env nosuch$i; env sh -c 'exec true "$0"' "tab\t$i"; done
find "$PWD" -name inner -exec true {} ';' ; ls | xargs -n1 true
"""
CALL = re.compile(r'^(\d+) +execve\((.*)$')
RESUMED = re.compile(r'^(\d+) +<\.\.\. execve resumed>(.*)$')
WHOLE = re.compile(r'^("(?:[^"\\]|\\.)*"), \[(.*)\], .*\) += (-?\d+)(?: (\w+))?')


def unquoted(text):
    return text.encode().decode("unicode_escape").encode("latin-1").decode(errors="surrogateescape")


def strace_calls(text):
    """[(pid, path, argv, error)] of what strace wrote; None: it succeeded."""
    calls, begun = [], {}
    for line in text.splitlines():
        if m := CALL.match(line):
            if m[2].endswith(" <unfinished ...>"):
                begun[m[1]] = m[2][: -len(" <unfinished ...>")]
                continue
            pid, rest = m[1], m[2]
        elif m := RESUMED.match(line):
            pid, rest = m[1], begun.pop(m[1]) + m[2]
        else:
            continue
        m = WHOLE.match(rest)
        argv = [unquoted(a) for a in re.findall(r'"((?:[^"\\]|\\.)*)"', m[2])]
        calls.append((int(pid), unquoted(m[1][1:-1]), argv, m[4]))
    return calls


def as_strace_sees(row):
    """A script's row tells what its interpreter gets; strace what the caller gave, argv[0] of which
    nobody keeps."""
    argv = row["argv"]
    if row["interp"]:
        argv = [None] + argv[argv.index(row["path"]) + 1:]
    return (row["pid"], row["path"], argv, row["err"])


def compare_with_strace():
    if not shutil.which("strace"):
        print("not shown: equality with strace, which is not installed")
        return
    make_file("inner", b"#!/bin/sh\nexec true \"$1\"\n")
    log = f"{DIR}/strace"
    with Sonda("trace", "process.exec", "--tree", os.getpid()) as s:
        subprocess.run(["strace", "-f", "-qq", "-s", "100000", "-e", "trace=execve,execveat", "-o", log, "sh", "-c",
                        MIXED], cwd=DIR, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
    with open(log, errors="surrogateescape") as f:
        want = strace_calls(f.read())
    scripts = {(r["pid"], r["path"]) for r in execs(s) if r["interp"]}
    want = [(p, path, [None] + a[1:] if (p, path) in scripts and not e else a, e) for p, path, a, e in want]
    got = [as_strace_sees(r) for r in execs(s)]
    got = [g for g in got if g[0] in {w[0] for w in want}]
    # the process that strace itself becomes is there before strace looks
    key = lambda c: (c[0], c[1], [x or "" for x in c[2]], c[3])
    missing = sorted((w for w in want if w not in got), key=key)
    extra = sorted((g for g in got if g not in want), key=key)
    check(len(want) > 100, f"strace saw a workload: {len(want)} calls")
    check_equal(missing, [], "what strace saw and sonda did not")
    check_equal(extra, [], "what sonda told and strace did not see")
    check_equal(len(got), len(want), "as many rows as calls")


# ---- all of it ----


def execs(s):
    return [r for r in s.rows if r["probe"] == "process.exec"]


def judge(rows):
    for what, pid, wanted in CASES:
        got = [r for r in rows if r["pid"] == pid]
        if not check_equal(len(got), len(wanted), f"{what}: rows"):
            continue
        check(all(r["took_ns"] > 0 for r in got), f"{what}: the call was joined to its end")
        for row, want in zip(got, wanted):
            for name, value in want.items():
                check_equal(row.get(name), value, f"{what}: {name}")


def judge_long(rows):
    for what, pid, _ in CASES:
        if what != "more than 64 KiB":
            continue
        argv = next(r["argv"] for r in rows if r["pid"] == pid)
        check_equal(argv[:-1], LONG[: len(argv) - 1], "what fits of long arguments is told")
        check(sum(len(a) + 1 for a in argv) >= 65536, "up to 64 KiB")


def every_form():
    with Sonda("trace", "process.exec", "--tree", os.getpid()) as s:
        for form in (plain_forms, script_forms, descriptor_forms, thread_form, privileged_form, cold_form,
                     long_forms, failures):
            form()
    judge(execs(s))
    judge_long(execs(s))
    check_equal(s.stats.get("lost"), 0, "nothing is lost")
    check_equal(s.stats.get("truncated", 0), 2, "what was cut is counted: long arguments, one too long")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"], "the account")


def make_tiny():
    """A program that only leaves, in two pages: so that thousands are quick even in a slow guest."""
    code = {"x86_64": "b83c000000 31ff 0f05", "aarch64": "a80b80d2 000080d2 010000d4"}.get(platform.machine())
    if not code:
        return TRUE
    code, base = bytes.fromhex(code), 0x400000
    machine = {"x86_64": 62, "aarch64": 183}[platform.machine()]
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, base + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, 120 + len(code), 120 + len(code), 0x10000)
    return make_file("tiny", header + segment + code)


def storm():
    tiny = make_tiny()
    with Sonda("trace", "process.exec", "--comm", os.path.basename(tiny)) as s:
        for i in range(SPAWNED):
            os.waitpid(os.posix_spawn(tiny, ["tiny", str(i)], {}), 0)
    told = [r["argv"][1] for r in execs(s) if r["ppid"] == os.getpid()]
    check_equal(told, [str(i) for i in range(SPAWNED)], "each of the spawned once, in order")
    check_equal(s.stats.get("lost"), 0, "nothing is lost in a storm")


def only_errors():
    with Sonda("trace", "process.exec", "--tree", os.getpid(), "--errors") as s:
        child(lambda: os.execv(TRUE, ["fine"]))
        failed = child(lambda: os.execv(f"{DIR}/none", ["not fine"]))
    check_equal([(r["pid"], r["err"]) for r in execs(s)], [(failed, "ENOENT")], "--errors tells failures only")


def cut_arguments():
    r = run_sonda("trace", "process.exec", "--argv-max", 20, "--", TRUE, "0123456789", "0123456789")
    told = [row for row in r.rows if row["path"] == TRUE]
    check_equal([row["argv_bytes"] for row in told], [len(TRUE) + 1 + 22], "the whole length is told")
    check_equal([sum(len(a) + 1 for a in row["argv"]) <= 21 for row in told], [True], f"--argv-max: {told[:1]}")


with tempfile.TemporaryDirectory(dir="/var/tmp") as DIR:
    os.chmod(DIR, 0o755)
    every_form()
    only_errors()
    cut_arguments()
    compare_with_strace()
    storm()
done()
