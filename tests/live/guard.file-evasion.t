#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.file: rarer ways to a file, what rules can be narrowed by, and who is spared.

Truth: what the system calls return to a process that tries.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from filetest import *

FOLDER = os.path.realpath(tempfile.mkdtemp(prefix="guard-evade-", dir="/tmp"))
CGROUPS = next((d for d in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") if os.path.exists(d + "/cgroup.procs")), None)
GROUP = f"{CGROUPS}/guard-evade-{os.getpid()}"
ODD = {"newline": "a\nb", "escape": "\033[31mred", "utf-8": "h\u00e4\u6f22", "bytes": b"\xff\xfe".decode(errors="surrogateescape"),
       "longest": "n" * 255, "longer than the key": "k" * 105}
FLOOD = 8000
NR_CLONE3, NR_PIDFD_OPEN, NR_PIDFD_GETFD, NR_LINKAT = 435, 434, 438, 265
NR_FALLOCATE, NR_ACCT, NR_FANOTIFY_INIT, NR_FANOTIFY_MARK = 285, 163, 300, 301
AT_SYMLINK_FOLLOW = 0x400
PUNCH_HOLE, FICLONE, FAN_MARK_ADD, FAN_OPEN, FAN_FD_AT = 3, 0x40049409, 1, 0x20, 16
CORE_PATTERN = "/proc/sys/kernel/core_pattern"
X32 = 0x40000000
MAGIC = {"kept": "SONDA1", "fixed": "SONDA2"}  # of binfmt_misc: its interpreter looked for when it is needed, and from before


def at(name):
    return os.path.join(FOLDER, name)


def quoted(path):
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def make():
    for d in ("d", "odd", "tree/a", "noexec", "elsewhere", "mnt", "upper", "work", "disk", "binfmt"):
        os.makedirs(at(d))
    os.chmod(FOLDER, 0o755)
    for f in ("d/secret", "d/gone", "d/short", "d/tripping", "d/grouped", "d/audited", "d/free", "d/reused", "d/kept", "d/dated",
              "tree/a/f"):
        write(at(f), "x" * 100)
    for name in ODD.values():
        write(at("odd/" + name), "x")
    os.makedirs(at("odd/" + "y" * 200))
    write(at("odd/" + "y" * 200 + "/" + "z" * 200), "x")
    os.symlink("loop", at("loop"))
    shutil.copy(shutil.which("cat"), at("tool"))
    shutil.copy(shutil.which("cat"), at("elsewhere/tool"))
    shutil.copy("/bin/true", at("noexec/true"))
    shutil.copy(shutil.which("cat"), at("elsewhere/many"))
    os.symlink("many", at("elsewhere/one-of-many"))
    if CGROUPS:
        os.makedirs(GROUP + "/below")


def policy():
    names = ", ".join(quoted(at("odd/" + n)) for n in ODD.values() if "\n" not in n and n.isprintable())
    return f"""
rule secret deny read, rename, unlink, link of file {FOLDER}/d/secret unless exe in {FOLDER}/tool
rule later deny create of file {FOLDER}/d/later
rule kept deny read, write, unlink of file {FOLDER}/d/kept unless exe in {FOLDER}/tool
rule dated deny read of file {FOLDER}/d/dated expires {time.strftime("%Y-%m-%dT%H:%M", time.localtime(time.time() + 3600))}
rule many deny exec of file {FOLDER}/elsewhere/one-of-many
rule gone deny read of file {FOLDER}/d/gone
rule reused deny read of file {FOLDER}/d/reused
rule odd deny read of file {names}
rule odd-below deny read of file under {FOLDER}/odd
rule tree deny read of file under {FOLDER}/tree
rule noexec deny exec of file under {FOLDER}/noexec
rule audited deny read of file {FOLDER}/d/audited mode audit
rule short deny read of file {FOLDER}/d/short expires 4s
rule tripping deny read of file {FOLDER}/d/tripping trip at 5/min
""" + (f"rule grouped deny read of file {FOLDER}/d/grouped when cgroup in {GROUP[len(CGROUPS):]}\n" if CGROUPS else "")


def opened(path):
    """Like the call itself: the errno, negative."""
    return call(NR_OPENAT, AT_FDCWD, os.fsencode(path), os.O_RDONLY)


def short():
    """First of all, while it lasts; and when its time is over."""
    refused("before it expires", read(at("d/short")))
    end = time.monotonic() + 20
    while outcome(read(at("d/short"))) and time.monotonic() < end:
        time.sleep(0.2)
    passes("when it has expired", read(at("d/short")))
    rows = {r["rule"]: r for r in run_sonda("policy", "status").rows if "rule" in r}
    check_equal(rows["short"]["mode"], "expired", "status says so")


def tripping():
    got = [outcome(read(at("d/tripping"))) for _ in range(8)]
    check_equal(got, [errno.EACCES] * 5 + [0] * 3, "five are refused, then it only tells")
    rows = {r["rule"]: r for r in run_sonda("policy", "status").rows if "rule" in r}
    check_equal((rows["tripping"]["mode"], rows["tripping"]["matched"], rows["tripping"]["refused"]), ("tripped", 8, 5),
                "status says so")


def names():
    for what, name in ODD.items():
        refused(f"a name: {what}", lambda: opened(at("odd/" + name)))
    refused("a path of more than 256 bytes", read(at("odd/" + "y" * 200 + "/" + "z" * 200)))
    refused("a path with much in it that leads nowhere else", read(FOLDER + "/d" + "/." * 300 + "//../d/./secret"))

    def relative():
        os.chdir(at("odd"))
        return opened("y" * 200 + "/" + "z" * 200)
    refused("relative to there", relative)
    check_equal(outcome(lambda: opened(at("loop"))), errno.ELOOP, "what fails by itself fails as it did")


def arguments():
    """Where the name lies makes no difference."""
    page = at("elsewhere/page")
    write(page, at("d/secret") + "\0" * 4096)

    def untouched():
        fd = os.open(page, os.O_RDONLY)
        LIBC.mmap.restype = ctypes.c_void_p
        where = LIBC.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_PRIVATE, fd, ctypes.c_long(0))
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return call(NR_OPENAT, AT_FDCWD, where, os.O_RDONLY)
    refused("a name in a page that was never touched", untouched)


def requests():
    """What io_uring does."""
    secret = at("d/secret")
    for what, act in (("rename", uring(URING_RENAMEAT, secret, at("d/moved"), len_=AT_FDCWD)),
                      ("unlink", uring(URING_UNLINKAT, secret)),
                      ("link", uring(URING_LINKAT, secret, at("d/linked"), len_=AT_FDCWD)),
                      ("symlink", uring(URING_SYMLINKAT, at("d/free"), at("d/later")))):
        if outcome(act) != errno.EINVAL:  # this kernel has no such request
            refused(f"io_uring: {what}", act)
    for what, how in (("by a worker", {"how": Uring.BY_WORKER}), ("by a thread that polls", {"polled": True})):
        act = lambda name: uring(URING_OPENAT, at(name), flags=os.O_RDONLY, **how)
        if outcome(act("d/free")) == 0:
            refused(f"io_uring: open {what}", act("d/secret"))
    check(os.path.exists(secret) and not os.path.lexists(at("d/later")), "nothing was done")


def descriptors():
    secret = at("d/secret")

    def taken():
        me = os.getppid()
        pidfd = call(NR_PIDFD_OPEN, me, 0)
        return call(NR_PIDFD_GETFD, pidfd, BEFORE, 0) if pidfd >= 0 else pidfd
    if outcome(taken) != errno.ENOSYS:
        refused("pidfd_getfd", taken)
    passes("a descriptor from before goes on: so it is in the docs", lambda: os.pread(BEFORE, 1, 0) and 0)
    refused("opened anew by /proc/self/fd", read(f"/proc/self/fd/{BEFORE}"))
    refused("by another's /proc", read(f"/proc/{os.getpid()}/fd/{BEFORE}"))

    def nameless():
        fd = os.open(at("d"), os.O_TMPFILE | os.O_RDWR, 0o600)
        return call(NR_LINKAT, AT_FDCWD, os.fsencode(f"/proc/self/fd/{fd}"), AT_FDCWD, os.fsencode(at("d/later")),
                    AT_SYMLINK_FOLLOW)
    if outcome(lambda: os.open(at("d"), os.O_TMPFILE | os.O_RDWR, 0o600)) == 0:
        refused("a nameless file gets the name", nameless)
    away = os.open(at("d/gone"), os.O_PATH)
    os.unlink(at("d/gone"))
    refused("a file that has lost its name, by O_PATH", read(f"/proc/self/fd/{away}"))


def programs():
    refused("a copy of who may is another program", lambda: -errno.EACCES if run(at("elsewhere/tool"), at("d/secret")) else 0)
    check_equal(subprocess.run([at("tool"), at("d/secret")], executable=at("elsewhere/tool"), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL).returncode, 1, "nor is a first argument that says so")
    check_equal(run(at("tool"), at("d/secret")), 0, "who may")
    for what, argv in (("a shell's redirection", ["/bin/sh", "-c", f"read x <{at('d/secret')}"]),
                       ("a script given to a shell", ["/bin/sh", at("d/secret")])):
        check(run(*argv) != 0, what)
    shutil.copy(next(l.split()[-1] for l in open("/proc/self/maps") if "libc" in l and "/" in l), at("noexec/lib.so"))
    refused("a library", lambda: -errno.EACCES if run(sys.executable, "-c",
                                                      f"import ctypes; ctypes.CDLL('{at('noexec/lib.so')}')") else 0)

    def memory():
        fd = os.memfd_create("x")
        with open(at("noexec/true"), "rb") as f:
            os.write(fd, f.read())
        os.execve(fd, ["true"], {})
    passes("a copy in memory is another file: so it is in the docs", memory)


def contents():
    """Ways to a file's content that need no read(2) or write(2)."""
    kept, free = at("d/kept"), at("d/free")
    write(at("d/other"), "y" * 100)

    def spliced(a, b):
        r, w = os.pipe()
        return os.splice(a, w, 10) and os.splice(r, b, 10)
    for what, act in (("copy_file_range", lambda a, b: os.copy_file_range(a, b, 10)), ("sendfile", lambda a, b: os.sendfile(b, a, 0, 10)),
                      ("splice", spliced), ("FICLONE", lambda a, b: fcntl.ioctl(b, FICLONE, a))):
        between = lambda a, b: lambda: act(os.open(a, os.O_RDONLY), os.open(b, os.O_RDWR)) and 0
        if outcome(between(free, at("d/other"))) != 0:
            print(f"not shown: no {what} on this file system")
        refused(f"{what} from it", between(kept, free))
        refused(f"{what} to it", between(free, kept))
    punch = lambda path: lambda: call(NR_FALLOCATE, os.open(path, os.O_RDWR), PUNCH_HOLE, 0, 10)
    passes("a hole is made where it may be", punch(at("d/other")))
    refused("a hole is made", punch(kept))
    check(run("losetup", "-f", kept) != 0, "as a disk")


def by_the_kernel():
    """The kernel opens it, for who may not."""
    kept = at("d/kept")
    got = outcome(lambda: call(NR_ACCT, os.fsencode(kept)))
    call(NR_ACCT, 0)
    check(got in (errno.EACCES, errno.ENOSYS), f"process accounting: {got}")

    def watched():
        fan = call(NR_FANOTIFY_INIT, 0, os.O_RDONLY)
        call(NR_FANOTIFY_MARK, fan, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, os.fsencode(kept))
        subprocess.run([at("tool"), kept], stdout=subprocess.DEVNULL)
        return min(struct.unpack_from("i", os.read(fan, 4096), FAN_FD_AT)[0], 0) or os.close(fan)
    refused("the descriptor of who watches a program that may", watched)
    before = open(CORE_PATTERN).read()
    write(CORE_PATTERN, kept)
    subprocess.run(["sh", "-c", "ulimit -c unlimited; kill -ABRT $$"], stderr=subprocess.DEVNULL, cwd=at("elsewhere"))
    write(CORE_PATTERN, before)  # it removes first what is there, and makes it anew
    got = subprocess.run([at("tool"), kept], stdout=subprocess.PIPE).stdout
    check_equal(got, b"x" * 100, "nor has a core dump been written to it, or anything else")


def loaded():
    """What has a library or a program run by another."""
    lib = next(l.split()[-1] for l in open("/proc/self/maps") if "/libm.so" in l or "/libz.so" in l)
    for folder, there in (("elsewhere", True), ("noexec", False)):
        shutil.copy(lib, at(folder + "/preloaded.so"))
        maps = subprocess.run(["cat", "/proc/self/maps"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              env={**os.environ, "LD_PRELOAD": at(folder + "/preloaded.so")}).stdout
        runs = [l.split()[1] for l in maps.splitlines() if folder + "/preloaded.so" in l and "x" in l.split()[1]]
        check_equal(bool(runs), there, f"LD_PRELOAD of what lies in {folder}: {runs}")
    refused("a program that goes by many names: the one that the rule has", executes(at("elsewhere/one-of-many")))
    refused("and its own, for it is the same file", executes(at("elsewhere/many")))
    for name, magic in MAGIC.items():
        if os.path.exists(at("binfmt/" + name)):
            script(at("elsewhere/" + name), magic)
            refused(f"as the interpreter of what looks so: {name}", executes(at("elsewhere/" + name)))


def kinds_of_files():
    """By binfmt_misc, from before the policy."""
    if LIBC.mount(b"none", os.fsencode(at("binfmt")), b"binfmt_misc", 0, None):
        return print("not shown: no binfmt_misc here")
    for (name, magic), flags in zip(MAGIC.items(), ("", "F")):
        write(at("binfmt/register"), f":{name}:M::{magic}::{at('noexec/true')}:{flags}")
        script(at("elsewhere/" + name), magic)
        passes(f"before the policy: {name}", executes(at("elsewhere/" + name)))


def entered():
    """By way of another's mounts."""
    r, w = os.pipe()
    other = os.fork()
    if other == 0:
        mounted(os.fsencode(at("d")), os.fsencode(at("mnt")), None, 4096, None)
        os.write(w, b"x")
        signal.pause()
    os.read(r, 1)

    def inside():
        if LIBC.setns(os.open(f"/proc/{other}/ns/mnt", os.O_RDONLY), 0):
            return -ctypes.get_errno()
        return read(at("mnt/secret"))()
    refused("in another's mount namespace", inside)
    refused("by another's root directory", read(f"/proc/{other}/root{at('mnt/secret')}"))
    os.kill(other, signal.SIGKILL)
    os.waitpid(other, 0)


def x32():
    """System calls of another numbering, where the kernel has them."""
    if call(X32 | 39) < 0:
        return print("not shown: no x32 here")
    refused("x32", lambda: call(X32 | NR_OPENAT, AT_FDCWD, os.fsencode(at("d/secret")), os.O_RDONLY))


def same_number():
    """A process that has the number of one that may."""
    who = subprocess.Popen([at("tool"), at("d/secret")], stdout=subprocess.DEVNULL)
    check_equal(who.wait(), 0, "who may")
    number = (ctypes.c_int * 1)(who.pid)
    args = struct.pack("QQQQQQQQQQQ", 0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(number), 1, 0)

    def reborn():
        pid = call(NR_CLONE3, args, len(args))
        if pid == 0:
            os._exit(errno.EACCES if opened(at("d/secret")) == -errno.EACCES else 0)
        if pid < 0:
            return 0
        status = os.waitpid(pid, 0)[1]
        return -os.waitstatus_to_exitcode(status) if pid == who.pid else 0
    if outcome(reborn):  # clone3 with a number: from 5.5, by root
        refused("a process with the number of one that may", reborn)


def inode_again(folder, what):
    """Another file that gets the number of one that is gone."""
    path = os.path.join(folder, "reused")
    refused(f"{what}: the file", read(path))
    number = os.stat(path).st_ino
    os.unlink(path)
    for i in range(300):
        new = f"{folder}/new{i}"
        write(new, "y")
        if os.stat(new).st_ino == number:
            passes(f"{what}: another of the same number", read(new))
            break
    for i in range(300):
        if os.path.exists(f"{folder}/new{i}"):
            os.unlink(f"{folder}/new{i}")


def groups():
    if not CGROUPS:
        return

    def in_group(path):
        def act():
            write(path + "/cgroup.procs", str(os.getpid()))
            return opened(at("d/grouped"))
        return act
    passes("not in the cgroup", read(at("d/grouped")))
    refused("in the cgroup", in_group(GROUP))
    refused("below it", in_group(GROUP + "/below"))


def overlay():
    """The file itself, seen through an overlay."""
    def over(name):
        def act():
            options = f"lowerdir={FOLDER}/d,upperdir={FOLDER}/upper,workdir={FOLDER}/work".encode()
            if not mounted(b"overlay", os.fsencode(at("mnt")), b"overlay", 0, options):
                return 0
            return opened(at("mnt/" + name))
        return act

    def copied_up():
        os.close(over("free")())
        os.chmod(at("mnt/secret"), 0o600)
        return opened(at("mnt/secret"))

    def there():
        return 0 if mounted(b"overlay", os.fsencode(at("mnt")), b"overlay", 0,
                            f"lowerdir={FOLDER}/tree/a:{FOLDER}/elsewhere".encode()) else -1
    if outcome(there) == 0:
        refused("through an overlay", over("secret"))
        passes("what is free there", over("free"))
        refused("copied up by an overlay", copied_up)


def spared():
    """sonda run by root is; by others it is not."""
    text = at("tree/a/policy")
    check_equal(run_sonda("policy", "check", text, json_output=False).code, 5, "sonda reads it, run by root (it is no policy)")
    shutil.copy(SONDA, at("sonda"))
    got = subprocess.run([SONDA, "policy", "check", text], stderr=subprocess.PIPE, text=True, user=65534, group=65534)
    check("Permission denied" in got.stderr, f"run by another user it is refused: {got.stderr}")
    got = subprocess.run([at("sonda"), "policy", "check", text], stderr=subprocess.PIPE, text=True)
    check("Permission denied" in got.stderr, f"a copy of it is refused: {got.stderr}")


def unwatched():
    """Nothing hangs on who watches."""
    with Sonda("trace", "guard.file") as s:
        s.process.send_signal(signal.SIGSTOP)
        refused("while who watches is stopped", read(at("d/kept")))
        s.process.send_signal(signal.SIGCONT)
        check(s.wait_row(lambda r: r["rule"] == "kept" and r["verdict"] == "denied"), "which is told when it goes on")
    with open("/dev/full", "w") as full, subprocess.Popen([SONDA, "trace", "guard.file"], stdout=full, stderr=subprocess.PIPE, text=True) as s:
        while "watching" not in s.stderr.readline():
            pass
        refused("while what is told finds no room", read(at("d/kept")))
        check("No space left" in s.stderr.read(), "of which who watches ends")


def another_day():
    """A rule that expires at a date goes by how far off that was when the policy was applied: so it is in the docs."""
    if not os.environ.get("SONDA_TEST_EMULATED"):
        return
    state = lambda: {r["rule"]: r for r in run_sonda("policy", "status").rows if "rule" in r}["dated"]["mode"]
    try:
        time.clock_settime(time.CLOCK_REALTIME, time.time() + 7200)
        refused("the clock is set past its date", read(at("d/dated")))
        check_equal(state(), "enforce", "status says so")
        applied()
        passes("applied again", read(at("d/dated")))
        check_equal(state(), "expired", "status says so")
    finally:
        time.clock_settime(time.CLOCK_REALTIME, time.time() - 7200)


def flood():
    """More events than anybody could read: all counted, and the next refusal is one."""
    path = os.fsencode(at("d/audited"))
    for _ in range(FLOOD):
        os.close(os.open(path, os.O_RDONLY))
    refused("after a flood of events", read(at("d/secret")))
    rows = {r["rule"]: r for r in run_sonda("policy", "status").rows if "rule" in r}
    check_equal(rows["audited"]["matched"], FLOOD, "all are counted")
    check(0 < rows["audited"]["untold"] < FLOOD, f"also those that nobody is told of: {rows['audited']}")


def applied():
    write(at("policy"), POLICY)
    write(at("tree/a/policy"), "this is no policy\n")
    os.chmod(at("tree/a/policy"), 0o644)
    return is_in_force(run_sonda("policy", "apply", at("policy"), json_output=False))


def main():
    global BEFORE, POLICY
    try:
        make()
        POLICY = policy()
        kinds_of_files()
        BEFORE = os.open(at("d/secret"), os.O_RDWR)
        os.set_inheritable(BEFORE, True)
        if applied():
            for part in (short, tripping, names, arguments, requests, descriptors, contents, by_the_kernel, programs, loaded,
                         entered, x32, same_number, groups, overlay, spared, unwatched, flood, another_day):
                part()
            inode_again(at("d"), "where the folder lies")
    finally:
        subprocess.run([SONDA, "policy", "off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name in MAGIC:
            if os.path.exists(at("binfmt/" + name)):
                write(at("binfmt/" + name), "-1")
        LIBC.umount2(os.fsencode(at("binfmt")), 2)
        shutil.rmtree(FOLDER, ignore_errors=True)
        for group in (GROUP + "/below", GROUP):
            if CGROUPS and os.path.isdir(group):
                os.rmdir(group)
    done()


main()
