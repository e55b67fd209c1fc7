#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""process.exec: one row for each exec, whatever its form, and every word of it true.

The test makes each form itself, so it knows what must be said; /proc, stat(2) and strace say the
rest. Rows are told apart by pid.
"""

import ctypes
import fcntl
import mmap
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from calls import call32, low_text
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
              argv_bytes=sum(len(a.encode()) + 1 for a in argv), dirfd=None,
              unverified=False, env=None, session=os.getsid(0)))
    make_copy("prog")

    def relative():
        os.chdir(DIR)
        os.execv("./prog", ["prog"])
    case("relative path", relative, dict(path="./prog", file=f"{DIR}/prog", cwd=DIR, argv=["prog"]))
    os.symlink("prog", f"{DIR}/link")

    def leader():
        os.setsid()
        os.execv(TRUE, ["leader"])

    def group():
        os.setpgid(0, 0)
        os.execv(TRUE, ["group"])

    def on_terminal():
        os.setsid()
        fcntl.ioctl(inner, termios.TIOCSCTTY, 0)
        os.execv(TRUE, ["on_terminal"])
    outer, inner = os.openpty()
    case("on a terminal", on_terminal, dict(argv=["on_terminal"], tty="pts" + os.path.basename(os.ttyname(inner))))
    os.close(outer)
    os.close(inner)

    def logged_in():
        with open("/proc/self/loginuid", "w") as f:
            f.write("1234")
        os.execv(TRUE, ["logged_in"])
    if os.path.exists("/proc/self/loginuid"):
        case("of a login", logged_in, dict(argv=["logged_in"], login_uid=1234))
    else:
        print("not shown: who logged in (a kernel without audit)")
    case("a group of its own", group, dict(argv=["group"], session=os.getsid(0)))
    pid = child(leader)
    CASES.append(("a session of its own", pid, [dict(argv=["leader"], session=pid)]))
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


def capabilities(text):
    """The bits in effect, of what a program printed of /proc/self/status."""
    return int(re.search(r"^CapEff:\s*([0-9a-f]+)", text, re.M)[1], 16)


def as_nobody(path, *argv):
    """Runs the file as nobody does; returns its pid, and what it printed."""
    out, into = os.pipe()

    def run():
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.dup2(into, 1)
        os.execv(path, argv)
    pid = child(run)
    os.close(into)
    with open(out) as f:
        return pid, f.read()


CAP_NET_RAW = 13
GAINED = []  # (what, pid, capabilities that the program found itself with)


def privileged_form():
    """Programs by which nobody gains: a user, a group, one capability. Each tells what it has."""
    if os.statvfs(DIR).f_flag & os.ST_NOSUID:
        print("not shown: set-user-id programs (mounted nosuid)")
        return
    with open(shutil.which("cat"), "rb") as f:
        cat = f.read()
    for name, mode, want in (
            ("set-user-id", 0o4755, dict(caller_euid=NOBODY, euid=0, caller_egid=NOBODY, egid=NOBODY, gained=True)),
            ("set-group-id", 0o2755, dict(caller_euid=NOBODY, euid=NOBODY, caller_egid=NOBODY, egid=0, gained=True)),
            ("capable", 0o755, dict(euid=NOBODY, egid=NOBODY, caps="CAP_NET_RAW", gained=True)),
            ("ordinary", 0o755, dict(euid=NOBODY, egid=NOBODY, caps="none", gained=False))):
        path = make_file(name, cat, mode)
        try:
            if name == "capable":
                os.setxattr(path, "security.capability", struct.pack("<5I", 0x02000001, 1 << CAP_NET_RAW, 0, 0, 0))
        except OSError as e:
            print(f"not shown: a file with a capability ({e.strerror})")
            continue
        pid, said = as_nobody(path, name, "/proc/self/status")
        GAINED.append((name, pid, capabilities(said)))
        CASES.append((f"{name} program", pid, [dict(argv=[name, "/proc/self/status"], uid=NOBODY, caller_caps="none", **want)]))


def judge_gained(rows):
    own = next(r["caps"] for r in rows if r["pid"] == CASES[0][1])
    with open("/proc/self/status") as f:
        mine = capabilities(f.read())
    names = {0: "none", 1 << CAP_NET_RAW: "CAP_NET_RAW", mine: own}
    for what, pid, found in GAINED:
        check_equal([r["caps"] for r in rows if r["pid"] == pid], [names.get(found)], f"capabilities of the {what} program")


def overlay_form():
    """Files of an overlay: as they were below, added, copied up by a change of mode, and written."""
    for d in ("lower", "upper", "work", "merged"):
        os.mkdir(f"{DIR}/{d}")
    for name in ("kept", "changed", "written"):
        make_copy(f"lower/{name}")
    options = f"lowerdir={DIR}/lower,upperdir={DIR}/upper,workdir={DIR}/work"
    pids, wanted = {}, dict(kept="lower", changed="upper", written="upper", added="upper")

    def mounted():
        if LIBC.unshare(0x20000) or LIBC.mount(None, b"/", None, 0x44000, None) or \
                LIBC.mount(b"overlay", os.fsencode(f"{DIR}/merged"), b"overlay", 0, options.encode()):
            return None
        os.chmod(f"{DIR}/merged/changed", 0o700)
        with open(f"{DIR}/merged/written", "ab") as f:
            f.write(b"x")
        make_copy("merged/added")
        for name in wanted:
            pids[name] = child(lambda: os.execv(f"{DIR}/merged/{name}", [name]))
        return pids
    pid, pids = in_process(mounted)
    if not pids:
        print("not shown: layers of an overlay (no overlayfs here)")
        return
    for name, pid in pids.items():
        CASES.append((f"in an overlay, {name}", pid, [dict(argv=[name], layer=wanted[name])]))
    case("no overlay", lambda: os.execv(TRUE, ["flat"]), dict(layer="none"))


def other_formats():
    """Programs that binfmt_misc knows, and 32-bit ones."""
    name, where = f"sonda-{os.getpid()}", f"{DIR}/binfmt"
    odd = make_file("odd", b"SONDATEST of the kind")
    script = make_file("of-odd", f"#!{odd} x\n".encode())
    os.mkdir(where)
    pids = {}

    def registered():
        if LIBC.unshare(0x20000) or LIBC.mount(None, b"/", None, 0x44000, None) or \
                LIBC.mount(b"none", os.fsencode(where), b"binfmt_misc", 0, None):
            return None
        with open(f"{where}/register", "w") as f:
            f.write(f":{name}:M::SONDATEST::{TRUE}:")
        try:
            for path in (odd, script):
                pids[path] = child(lambda: os.execv(path, ["ignored", "a b"]))
        finally:
            with open(f"{where}/{name}", "w") as f:
                f.write("-1")
        return pids
    pid, pids = in_process(registered)
    if not pids:
        print("not shown: binfmt_misc (none here)")
    else:
        CASES.append(("by binfmt_misc", pids[odd], [dict(path=odd, interp=TRUE, argv=[TRUE, odd, "a b"])]))
        CASES.append(("script run by what binfmt_misc knows", pids[script],
                      [dict(path=script, interp=TRUE, argv=[TRUE, odd, "x", script, "a b"])]))
    # exit(0) of a 32-bit program
    small = make_file("small", elf(1, 3, "b801000000 31db cd80"))
    if platform.machine() == "x86_64" and subprocess.run(["sh", "-c", small], check=False, stderr=subprocess.DEVNULL).returncode == 0:
        case("32-bit program", lambda: os.execv(small, ["small"]), dict(path=small, file=small, argv=["small"]))
        case("32-bit call", lambda: exec32(TRUE, "a b"), dict(path=TRUE, argv=["a b"], took_ns=0, gained=False))
        privileged = make_copy("privileged", 0o4755)

        def gains():
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            exec32(privileged, "gains")
        if not os.statvfs(DIR).f_flag & os.ST_NOSUID:
            case("32-bit call of a set-user-id program", gains,
                 dict(argv=["gains"], took_ns=0, uid=NOBODY, caller_euid=NOBODY, caller_egid=NOBODY, euid=0, gained=True))
    else:
        print("not shown: 32-bit programs")


def exec32(path, *argv):
    """execve by int $0x80, the classic tracepoints of which don't fire."""
    pointers = [low_text(a.encode()) for a in argv]
    call32(11, low_text(path.encode()), low_text(struct.pack(f"<{len(argv) + 1}I", *pointers, 0)), 0)


def elf(bits, machine, code):
    """A program of two pages; `bits`: 1 for 32, 2 for 64."""
    code, base = bytes.fromhex(code), 0x400000
    ident = b"\x7fELF" + bytes([bits, 1, 1])
    if bits == 1:
        header = ident.ljust(16, b"\0") + struct.pack("<HHIIIIIHHHHHH", 2, machine, 1, base + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0)
        segment = struct.pack("<IIIIIIII", 1, 0, base, base, 84 + len(code), 84 + len(code), 5, 0x10000)
    else:
        header = ident.ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, base + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, 120 + len(code), 120 + len(code), 0x10000)
    return header + segment + code


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
             dict(path=path, err=err, argv=["tried", path, ""], file=None, interp=None, cwd=os.getcwd(), inode=0,
                  unverified=True, layer="none"))

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
        check(all(r["took_ns"] > 0 for r, w in zip(got, wanted) if "took_ns" not in w), f"{what}: the call was joined to its end")
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
        for form in (plain_forms, script_forms, descriptor_forms, thread_form, privileged_form, overlay_form,
                     other_formats, cold_form, long_forms, failures):
            form()
    judge(execs(s))
    judge_long(execs(s))
    judge_gained(execs(s))
    check_equal(s.stats.get("lost"), 0, "nothing is lost")
    check_equal(s.stats.get("truncated", 0), 2, "what was cut is counted: long arguments, one too long")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"], "the account")


# ---- the environment ----

PIECE = 4095  # of a long variable so many bytes are looked at at once
ENVIRONMENT = {
    "LD_PRELOAD": "",
    "SONDA_SECRET": "x",
    "LD_PRELOADED": "no",
    "XLD_PRELOAD": "no",
    "SECRET": "LD_PRELOAD=no",
    "LONG": "z" * 100000,  # nothing is missed behind it
    "TRAP": "z" * (PIECE - len("TRAP=")) + "LD_PRELOAD=no",  # a value's middle is no variable
    "SOME": "a b\nLD_PRELOAD=no",
    "SOMETHING_ELSE": "",
    "LD_LIBRARY_PATH": "/x" * 1000,
}


def as_strings(environment):
    return [f"{k}={v}" for k, v in environment.items()]


def environment_rows(names, *bodies):
    """The rows of each body, traced with --env `names`."""
    with Sonda("trace", "process.exec", "--tree", os.getpid(), *(["--env", names] if names else [])) as s:
        pids = [child(b) for b in bodies]
    return s, [[r for r in execs(s) if r["pid"] == pid] for pid in pids]


def environment():
    """What --env names and nothing else, of programs that start and that don't."""
    def starts():
        os.execve(TRUE, ["starts"], ENVIRONMENT)

    def fails():
        os.execve(f"{DIR}/none", ["fails"], ENVIRONMENT)

    def by_descriptor():
        os.execve(os.open(TRUE, os.O_RDONLY), ["by_descriptor"], ENVIRONMENT)

    def bare():
        os.execve(TRUE, ["bare"], {"SECRET": "x"})

    def empty():
        LIBC.execve.argtypes = [ctypes.c_void_p] * 3
        LIBC.execve(ctypes.cast(ctypes.create_string_buffer(TRUE.encode()), ctypes.c_void_p), None, None)
    bodies = (starts, fails, by_descriptor, bare, empty)
    some = {k: v for k, v in ENVIRONMENT.items() if k in ("LD_PRELOAD", "LD_LIBRARY_PATH", "SOMETHING_ELSE")}
    s, rows = environment_rows("LD_LIBRARY_PATH, SOMETHING*,LD_PRELOAD", *bodies)
    for body, got in zip(bodies, rows):
        want = [] if body in (bare, empty) else as_strings(some)
        check_equal([r["env"] for r in got], [want], f"variables named, of one that {body.__name__}")
        check_equal([(r["unverified"], r["env_cut"]) for r in got], [(body is fails, False)],
                    f"{body.__name__}: from the caller's memory, and whole")
    check_equal(s.stats.get("truncated", 0), 0, "no variable is cut")
    s, rows = environment_rows("", starts)
    check_equal([r["env"] for r in rows[0]], [None], "without --env nothing is told")
    with Sonda("trace", "process.exec", "--tree", os.getpid(), "--env", "LD_PRELOAD", "--where", "env") as s:
        pids = [child(b) for b in bodies]
    check_equal([r["pid"] for r in execs(s)], pids[:3], "only those that have one of them")
    s, rows = environment_rows("SONDA_SECRET*", starts, lambda: os.execve(TRUE, ["x"], {"SONDA_SECRETS": "1"}))
    check_equal([[r["env"] for r in got] for got in rows], [[["SONDA_SECRET=x"]], [["SONDA_SECRETS=1"]]], "names that begin so")
    # what a program itself finds in /proc
    plain = {k: v for k, v in ENVIRONMENT.items() if k not in ("LONG", "TRAP")}
    with Sonda("trace", "process.exec", "--tree", os.getpid(), "--env", "*") as s:
        out = subprocess.run(["cat", "/proc/self/environ"], env=plain, stdout=subprocess.PIPE, check=True).stdout
    want = out.decode().split("\0")[:-1]
    check_equal([r["env"] for r in execs(s) if r["argv"] == ["cat", "/proc/self/environ"]][-1:], [want], "all, as /proc has it")
    check_equal(want, as_strings(plain), "/proc has what was given")


def environment_too_large():
    """What is not told is marked: the end of a long value, and variables beyond the first 1024."""
    long_one = {"LONG": "z" * 5000, "BEHIND": "1"}
    many = {**{f"V{i}": str(i) for i in range(1023)}, "LAST": "1", "BEYOND": "1"}
    for what, names, environment, want in (("a long value", "LONG,BEHIND", long_one, ["LONG=" + "z" * (PIECE - 5), "BEHIND=1"]),
                                           ("many variables", "LAST,BEYOND", many, ["LAST=1"])):
        def starts():
            os.execve(TRUE, ["starts"], environment)

        def fails():
            os.execve(f"{DIR}/none", ["fails"], environment)
        s, rows = environment_rows(names, starts, fails)
        check_equal([[(r["env"], r["env_cut"]) for r in got] for got in rows], [[(want, True)]] * 2, f"{what}: what is told")
        check_equal(s.stats.get("truncated"), 2, f"{what}: that there is more is told")


def environment_in_text():
    """Who asks for it sees it."""
    r = run_sonda("trace", "process.exec", "--env", "SONDA_X", "--", "env", "SONDA_X=a b", TRUE, json_output=False)
    check("ENV" in r.stdout.splitlines()[0].split() and "'SONDA_X=a b'" in r.stdout, f"a column: {r.stdout}")
    r = run_sonda("trace", "process.exec", "--", "env", "SONDA_X=a b", TRUE, json_output=False)
    check("ENV" not in r.stdout.splitlines()[0].split(), f"no column: {r.stdout}")


def make_tiny():
    """A program that only leaves, in two pages: so that thousands are quick even in a slow guest."""
    code = {"x86_64": "b83c000000 31ff 0f05", "aarch64": "a80b80d2 000080d2 010000d4"}.get(platform.machine())
    if not code:
        return TRUE
    machine = {"x86_64": 62, "aarch64": 183}[platform.machine()]
    return make_file("tiny", elf(2, machine, code))


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
    environment()
    environment_too_large()
    environment_in_text()
    compare_with_strace()
    storm()
done()
