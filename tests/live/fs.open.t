#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fs.open: a row for each open, whatever the call, with the path that was really opened.

Truth: strace -y for a thousand mixed opens; readlink of /proc/self/fd for each single case, and the
workload's own count.
"""

import ctypes
import errno
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from calls import *
from sondatest import *

AT_FDCWD = -100
NR_OPEN, NR_CREAT, NR_OPENAT, NR_NAME_TO_HANDLE, NR_OPEN_BY_HANDLE = 2, 85, 257, 303, 304
NR_OPENAT2 = 437
NR32_OPEN, NR32_OPENAT = 5, 295
RESOLVE_BENEATH = 8
O_LARGEFILE = 0o100000
STORM = 10000 if EMULATED else 100000
MIX = 200 if EMULATED else 1000


def link(fd):
    return os.readlink(b"/proc/self/fd/%d" % fd)


def path_bytes(row):
    """A row's path as the kernel's bytes."""
    return (row["path"] or "").encode("utf-8", "surrogateescape")


class Cases:
    """Single opens, each with what must be said of it. In a process of their own: its rows in order."""

    def __init__(self, folder):
        self.folder, self.want = folder, []

    def expect(self, what, result, path=None, **fields):
        """`result`: a descriptor or -errno; the path is readlink's unless given."""
        if result >= 0:
            st = os.stat(result)
            fields = {"path_is": "resolved", "inode": st.st_ino, "fd": result, **fields}
            path = link(result) if path is None else path
            os.close(result)
        else:
            fields = {"path_is": "requested", "fd": None, "err": errno.errorcode[-result], **fields}
        self.want.append((what, path, fields))

    def open(self, what, name, how, *mode, **fields):
        try:
            fd = os.open(name, how, *mode)
        except OSError as e:
            fd = -e.errno
        self.expect(what, fd, **fields)

    def run(self, body):
        """Runs body(self) in a child; returns its rows and what they should be."""
        def does():
            body(self)
            return self.want
        pid, want = in_process(does)
        return pid, want or []


def compare(rows, pid, want):
    rows = [r for r in rows if r["pid"] == pid and path_bytes(r).find(b"/proc/") != 0]
    for row, (what, path, fields) in zip(rows, want):
        if path is not None:
            check_equal(path_bytes(row), path, f"path of {what}")
        for name, value in fields.items():
            check_equal(row[name], value, f"{name} of {what}")
    check_equal(len(rows), len(want), f"rows of {[w[0] for w in want[:2]]}...")


def forms(c):
    """Every call, relative and by directory, and what has no ordinary name."""
    d = os.open(c.folder, os.O_RDONLY | os.O_DIRECTORY)
    c.expect("the directory itself", os.dup(d), fd=d, call="openat", type="directory")
    os.chdir(c.folder)
    c.expect("open", call(NR_OPEN, b"a", os.O_RDWR, 0), call="open", flags="O_RDWR", type="regular")
    c.expect("openat", call(NR_OPENAT, d, b"./a", os.O_RDONLY), call="openat")
    c.expect("openat by directory", call(NR_OPENAT, d, b"sub/../sub/rel", os.O_RDONLY),
             path=os.fsencode(c.folder) + b"/sub/rel")
    c.expect("through a symbolic link", call(NR_OPEN, b"link", os.O_RDONLY, 0),
             path=os.fsencode(c.folder) + b"/sub/rel")
    c.expect("creat", call(NR_CREAT, b"new", 0o640), call="creat", flags="O_WRONLY|O_CREAT|O_TRUNC")
    how = struct.pack("QQQ", os.O_RDONLY | os.O_CLOEXEC, 0, RESOLVE_BENEATH)
    c.expect("openat2", call(NR_OPENAT2, d, b"sub/rel", how, 24), call="openat2", resolve="beneath",
             flags="O_RDONLY|O_CLOEXEC")
    c.expect("openat2 refused", call(NR_OPENAT2, d, b"../x", how, 24), call="openat2",
             path=os.fsencode(c.folder) + b"/../x")
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 136)
    mount_id = ctypes.c_int()
    if not LIBC.syscall(NR_NAME_TO_HANDLE, AT_FDCWD, b"sub/rel", handle, ctypes.byref(mount_id), 0):
        fd = LIBC.syscall(NR_OPEN_BY_HANDLE, d, handle, os.O_RDONLY)
        c.expect("open_by_handle_at", fd, call="open_by_handle_at")
    c.open("O_PATH", "a", os.O_PATH, flags="O_RDONLY|O_CLOEXEC|O_PATH")
    c.open("O_TMPFILE", ".", os.O_TMPFILE | os.O_RDWR, 0o600)
    c.open("a name with a newline", b"new\nline", os.O_CREAT | os.O_WRONLY, 0o600)
    c.open("a name that is no UTF-8", b"\xff\xfe\xc3", os.O_CREAT | os.O_WRONLY, 0o600)
    gone = os.open("gone", os.O_CREAT | os.O_RDWR)
    c.expect("created", os.dup(gone), fd=gone, path=os.fsencode(c.folder) + b"/gone")
    os.unlink("gone")
    for what, fd in (("deleted", gone), ("a pipe", os.pipe()[0]), ("a memfd", os.memfd_create("x")),
                     ("an event descriptor", None)):
        if fd is not None:
            c.open(what, f"/proc/self/fd/{fd}", os.O_RDONLY)
    c.open("a namespace", "/proc/self/ns/mnt", os.O_RDONLY)
    c.open("no such file", "sub/none", os.O_RDONLY, path=os.fsencode(c.folder) + b"/sub/none")
    c.open("no such absolute", "/none/../of", os.O_RDONLY, path=b"/none/../of")
    c.expect("bad directory", call(NR_OPENAT, 12345, b"rel", 0), path=b"rel")
    c.expect("bad address", call(NR_OPENAT, AT_FDCWD, 8, 0), path=b"")


def lengths(c):
    """Paths of nearly 4096 bytes, beyond, and of many levels."""
    os.chdir(c.folder)
    base = os.getcwd()
    long = base + "/long" + ("/" + "n" * 200) * 19
    long += "/" + "e" * (4000 - len(long) - 1)
    os.makedirs(os.path.dirname(long))
    c.open("4000 bytes", long, os.O_CREAT | os.O_WRONLY, 0o600, path=os.fsencode(long))
    c.open("4000 bytes, not there", long[:-1] + "f", os.O_RDONLY, path=os.fsencode(long[:-1] + "f"))
    deep = base + "/deep" + "/d" * 400
    os.makedirs(deep)
    c.open("400 levels", deep, os.O_RDONLY, path=os.fsencode(deep))


def places(c):
    """Mounts and a chroot: the path goes up to the root of the mount namespace."""
    folder = os.fsencode(c.folder)
    os.makedirs(folder + b"/mnt")
    if LIBC.unshare(0x20000) or LIBC.mount(None, b"/", None, 0x44000, None):
        return
    LIBC.mount(folder + b"/sub", folder + b"/mnt", None, 4096, None)
    c.open("a bind mount", folder + b"/mnt/rel", os.O_RDONLY, path=folder + b"/mnt/rel")
    LIBC.mount(b"none", folder + b"/mnt", b"tmpfs", 0, None)
    c.open("a mount upon a mount", folder + b"/mnt/x", os.O_CREAT | os.O_RDWR, 0o600, path=folder + b"/mnt/x")
    os.chroot(folder)
    c.open("in a chroot", "/sub/rel", os.O_RDONLY, path=folder + b"/sub/rel")
    c.open("not there in a chroot", "/none", os.O_RDONLY, path=folder + b"/none")


def calls32(c):
    """32-bit calls, which the classic tracepoints don't show."""
    text = low_text(os.fsencode(c.folder) + b"/a")
    c.expect("32-bit open", call32(NR32_OPEN, text, os.O_RDONLY, 0), call="open")
    c.expect("32-bit openat", call32(NR32_OPENAT, AT_FDCWD, text, os.O_RDWR), call="openat", flags="O_RDWR")


def uring_opens(c):
    """IORING_OP_OPENAT, one that succeeds and one that fails."""
    try:
        ring = Uring()
    except OSError:
        return
    for name in (b"/sub/rel", b"/none"):
        text = ctypes.create_string_buffer(os.fsencode(c.folder) + name)
        res = ring.do(18, AT_FDCWD, ctypes.addressof(text), flags=os.O_RDONLY | os.O_CLOEXEC)
        fields = {} if res >= 0 or os.uname().release < "7" else {"path_is": "unknown"}
        c.expect(f"io_uring {text.value}", res, path=None if fields else text.value, call="io_uring",
                 flags="O_RDONLY|O_CLOEXEC", **fields)


def rewriter(c):
    """A thread that rewrites the name all the time: the path must be of the file that was opened."""
    os.chdir(c.folder)
    name = ctypes.create_string_buffer(b"a")
    stop = threading.Event()

    def rewrite():
        while not stop.is_set():
            for b in b"ab" * 64:
                name[0] = b
    thread = threading.Thread(target=rewrite)
    thread.start()
    for _ in range(3000):
        fd = LIBC.syscall(NR_OPEN, name, os.O_RDONLY, 0)
        c.expect("a name that changes", fd)
    stop.set()
    thread.join()


def run_cases(body, folder):
    with Sonda("trace", "fs.open") as s:
        pid, want = Cases(folder).run(body)
    if body == uring_opens and "not seen here: opens through io_uring" in s.stderr:
        want = []
    compare(s.rows, pid, want)


STORM_CODE = f"""
import os
for _ in range({STORM}):
    os.close(os.open("/dev/null", os.O_RDONLY))
"""


def test_storm():
    """Full rate: each open is a row or counted as lost."""
    r = run_sonda("trace", "fs.open", "--path", "/dev/null", "--", sys.executable, "-I", "-S", "-c", STORM_CODE)
    check_equal(r.code, 0, "sonda's status is the command's")
    # a program that the kernel skipped is a loss, whatever system call it would have been run for
    told, missed = len(r.rows) + r.stats["lost"], r.stats.get("missed", 0)
    check(told - missed <= STORM <= told, f"rows and losses of the storm: {told}, {missed} of them missed")
    check_equal(len(r.rows), r.stats["delivered"], "rows are what was delivered")
    check_equal(r.stats["seen"], r.stats["delivered"] + r.stats["filtered"] + r.stats["lost"], "seen")


MIXED = r"""
import os, sys
folder, n = sys.argv[1], int(sys.argv[2])
d = os.open(folder, os.O_RDONLY)
os.chdir(folder + "/sub")
flags = [os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_RDONLY | os.O_NOFOLLOW, os.O_PATH,
         os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_CREAT | os.O_EXCL, os.O_RDONLY | os.O_DIRECTORY]
for i in range(n):
    name = ["rel", "../a", folder + "/a", "none%d" % i, "..", "rel/x", "../link", "/dev/null", "", "made%d" % (i % 50)][i % 10]
    try:
        os.close(os.open(name, flags[i // 10 % 8], 0o600, dir_fd=d if i % 3 == 0 else None))
    except OSError:
        pass
"""
STRACE = re.compile(r'^\d+ +(?:<[^>]*> )?(open|openat|creat|openat2)\((.*)\) += (-?\d+)(?:<(.*)>)?(?: ([A-Z]+) .*)?$')


def unhex(text):
    return bytes(int(h, 16) for h in re.findall(r"\\x([0-9a-f]{2})", text))


def strace_rows(path):
    """(path, flags, result) of each open that strace saw."""
    rows = []
    for line in open(path):
        m = STRACE.match(line.rstrip())
        if not m:
            continue
        call, args, result, opened, err = m.groups()
        name = unhex(re.search(r'"((?:\\x..)*)"', args).group(1))
        base = re.match(r"(?:AT_FDCWD|\d+)<([^>]*)>", args)
        flags = set(re.search(r"\bO_[A-Z_|]+", args).group(0).split("|"))
        if int(result) >= 0:
            rows.append((unhex(opened), flags, int(result), None))
        else:
            joined = name if name[:1] == b"/" else unhex(base.group(1)) + b"/" + name
            rows.append((joined, flags, None, err))
    return rows


def test_mixed(folder):
    """Every row of a workload is as strace says: path, flags, result."""
    if not shutil.which("strace"):
        return
    log = folder + "/strace.log"
    with Sonda("trace", "fs.open") as s:
        p = subprocess.Popen(["strace", "-f", "-y", "-xx", "-s", "4096", "-o", log,
                              "-e", "trace=open,openat,openat2,creat", sys.executable, "-I", "-S", "-c", MIXED,
                              folder, str(MIX)])
        check_equal(p.wait(), 0, "strace runs the workload")
    want = strace_rows(log)
    with open(log) as f:
        pid = int(f.readline().split()[0])
    # strace's child opens nothing between fork and exec but its own log
    rows = [r for r in s.rows if r["pid"] == pid and path_bytes(r) != os.fsencode(log)]
    got = [(path_bytes(r), set(r["flags"].split("|")), r["fd"], r["err"]) for r in rows]
    check(len(want) >= MIX, "strace saw the workload")
    check_told(got, want, s.stats, "rows of the mixed workload as strace has them")


def test_glob(folder):
    """--path is evaluated in the kernel: what it refuses is counted, not shown."""
    names = ["sub/rel", "a", "sub/x.conf", "sub/inner/y.conf", "link"]
    tried = {
        folder + "/*": {"a"},
        folder + "/**": {"a", "sub/rel", "sub/x.conf", "sub/inner/y.conf"},
        folder + "/**/*.conf": {"sub/x.conf", "sub/inner/y.conf"},
        "**/sub/?.conf": {"sub/x.conf"},
        folder + "/s\\ub/rel": {"sub/rel"},
        folder + "/sub/*/*": {"sub/inner/y.conf"},
    }
    os.makedirs(folder + "/sub/inner")
    for n in ("sub/x.conf", "sub/inner/y.conf"):
        open(folder + "/" + n, "w").close()
    for glob, want in tried.items():
        with Sonda("trace", "fs.open", "--path", glob, "--pid", os.getpid()) as s:
            for n in names:
                os.close(os.open(folder + "/" + n, os.O_RDONLY))
        got = {os.path.relpath(r["path"], folder) for r in s.rows}
        check_equal(got, want, f"paths like {glob}")
        check(s.stats["filtered"] >= len(names) - len(want) - 1, f"{glob}: the others are counted as filtered")


def test_conditions(folder):
    """Failed opens only; some errors; opens for writing; one inode of one device; one ending."""
    os.makedirs(folder + "/closed")
    st = os.stat(folder + "/a")
    tried = [("a", os.O_RDONLY), ("a", os.O_WRONLY), ("b", os.O_RDWR), ("none.conf", os.O_RDONLY), ("a/x", os.O_RDONLY),
             ("closed", os.O_WRONLY), ("new.conf", os.O_CREAT | os.O_WRONLY)]

    def opens():
        os.chdir(folder)
        for name, flags in tried:
            try:
                os.close(os.open(name, flags))
            except OSError:
                pass
    errors = {"none.conf", "a/x", "closed"}
    for what, args, want in (
            ("--errors", ["--errors"], [t for t in tried if t[0] in errors]),
            ("a list of errors", ["--where", "err in (ENOENT, EISDIR)"], [tried[3], tried[5]]),
            ("not these errors", ["--where", "err not in (ENOENT, EISDIR)"], [t for t in tried if t not in (tried[3], tried[5])]),
            ("for writing", ["--where", "flags ~ O_WRONLY|O_RDWR"], [t for t in tried if t[1] & os.O_ACCMODE]),
            ("an inode", ["--where", f"inode == {st.st_ino} and device == {os.major(st.st_dev)}:{os.minor(st.st_dev)}"],
             tried[:2]),
            ("an ending", ["--path", "**.conf"], [tried[3], tried[6]])):
        with Sonda("trace", "fs.open", *args) as s:
            pid, _ = in_process(opens)
        got = [(os.path.relpath(r["path"], folder), "O_WRONLY" in r["flags"]) for r in s.rows
               if r["pid"] == pid and path_bytes(r).startswith(os.fsencode(folder) + b"/")]
        check_equal(got, [(name, flags & os.O_ACCMODE == os.O_WRONLY) for name, flags in want], what)
        if os.path.exists(folder + "/new.conf"):
            os.unlink(folder + "/new.conf")


def test_text(folder):
    """An open that failed has no descriptor: a table says '-', a line of words nothing."""
    for more in ((), ("process.exit",)):
        r = run_sonda("trace", "fs.open", *more, "--path", folder + "/**", "--", "cat", folder + "/a", folder + "/none",
                      json_output=False)
        lines = [l for l in r.stdout.splitlines() if folder in l]
        if not check(len(lines) == 2 and "ENOENT" in lines[1], f"two rows: {r.stdout}"):
            continue
        check("-1" not in lines[1].split(folder)[0].split(), f"no descriptor -1: {lines[1]}")
        if more:
            check_equal([" fd=" in l for l in lines], [True, False], f"words: {lines}")
        else:
            at = r.stdout.splitlines()[0].split().index("FD")
            check_equal([l.split()[at].isdigit() for l in lines], [True, False], f"column FD: {lines}")
            check_equal(lines[1].split()[at], "-", "the table's word for none")


def test_bare_root():
    """sonda itself in a root without /etc, the time zone's file and all: it starts, tells, and ends on SIGINT."""
    root = tempfile.mkdtemp(prefix="fs-open-root-")
    try:
        os.makedirs(root + "/sys")
        os.makedirs(root + "/proc")
        shutil.copy(SONDA, root + "/sonda")
        into = "import os, sys; os.chroot(sys.argv[1]); os.chdir('/'); os.execv('/sonda', sys.argv[1:])"
        enter = f"mount --rbind /sys {root}/sys && mount -t proc proc {root}/proc && " \
                f"exec {sys.executable} -c \"{into}\" {root} \"$@\""
        with Bare("trace", "fs.open", "--pid", os.getpid(), enter=enter) as s:
            os.close(os.open("/etc/passwd", os.O_RDONLY))
            check(s.wait_row(lambda r: r["path"] == "/etc/passwd"), "a row in a bare root")
        check_equal(s.code, 0, f"it ends on SIGINT: {s.stderr!r}")
    finally:
        shutil.rmtree(root)


class Bare(Sonda):
    """A sonda in mounts of its own."""

    def __init__(self, *args, enter):
        super().__init__(*args)
        self.argv = ["unshare", "-m", "sh", "-c", enter, *self.argv]


def main():
    folder = os.path.realpath(tempfile.mkdtemp(prefix="fs-open-"))
    try:
        os.makedirs(folder + "/sub")
        for n in ("a", "b", "sub/rel"):
            open(f"{folder}/{n}", "w").close()
        os.symlink("sub/rel", folder + "/link")
        for body in (forms, lengths, places, rewriter, uring_opens):
            run_cases(body, folder)
        probe = os.fork()
        if probe == 0:
            call32(20, 0, 0, 0)
            os._exit(0)
        if os.waitpid(probe, 0)[1] == 0:
            run_cases(calls32, folder)
        test_mixed(folder)
        test_glob(folder)
        test_conditions(folder)
        test_text(folder)
        test_storm()
        test_bare_root()
    finally:
        shutil.rmtree(folder)
    r = run_sonda("trace", "fs.open", "--errors", "--fields", "path,device", "--", "cat", "/none/device", json_output=False)
    check(re.search(r"^/none/device +- *$", r.stdout, re.M), f"no device is told as none: {r.stdout}")
    done()


main()
