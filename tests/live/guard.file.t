#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.file: each way to a file ends with the verdict of the direct one.

Truth: what the system calls return to a process that tries, and the file's content afterwards.
"""

import ctypes
import errno
import mmap
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from filetest import *

FOLDER = os.path.realpath(tempfile.mkdtemp(prefix="guard-file-", dir="/tmp"))
DEEP = FOLDER + "/noexec" + "/x" * 70


def at(name):
    return os.path.join(FOLDER, name)


POLICY = f"""
rule secret deny read, write, truncate, unlink, rename, link, change of file {FOLDER}/d/secret
    unless exe in {FOLDER}/tool
rule later deny create of file {FOLDER}/d/later
rule again deny read of file {FOLDER}/d/again
rule tree deny read, create, unlink, rename, change of file under {FOLDER}/tree
rule noexec deny exec of file under {FOLDER}/noexec
rule audited deny read of file {FOLDER}/d/audited mode audit
rule told alert read of file {FOLDER}/d/told
rule users deny read of file {FOLDER}/d/users when user in 65534
"""


def make():
    for d in ("d", "d/e", "tree", "tree/a/b", "noexec", "elsewhere", "mnt"):
        os.makedirs(at(d), exist_ok=True)
    os.chmod(FOLDER, 0o755)
    for f in ("d/secret", "d/again", "d/audited", "d/told", "d/users", "d/free", "tree/a/b/f", "tree/f", "elsewhere/f"):
        write(at(f), "x" * 100)
    os.link(at("d/secret"), at("elsewhere/linked"))
    os.symlink(at("d/secret"), at("elsewhere/symlink"))
    shutil.copy("/bin/true", at("noexec/true"))
    shutil.copy(shutil.which("cat"), at("tool"))
    shutil.copy(shutil.which("cat"), at("noexec/cat"))
    script(at("noexec/script"), "#!/bin/sh\nexit 0\n")
    os.makedirs(DEEP)
    shutil.copy("/bin/true", DEEP + "/true")


def bound(act):
    def inside():
        mounted(os.fsencode(at("d")), os.fsencode(at("mnt")), None, 4096, None)
        return act()
    return inside


def renamed_comm():
    LIBC.prctl(15, b"tool", 0, 0, 0)
    return read(at("d/secret"))()


def passed():
    """A descriptor of a process that may open it (none does here: one opened before the policy)."""
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    socket.send_fds(a, [b"x"], [BEFORE])
    fds = socket.recv_fds(b, 1, 1)[1]
    return -errno.EACCES if not fds else 0


def flipped():
    """The name changes under the call all the time: what is opened is never the secret."""
    name = ctypes.create_string_buffer(os.fsencode(at("d/free")) + bytes(8))
    names = [os.fsencode(at("d/free")) + bytes(2), os.fsencode(at("d/secret"))]
    stop = []

    def flip():
        while not stop:
            for n in names * 50:
                ctypes.memmove(name, n, len(n))
    secret = os.stat(at("d/secret")).st_ino
    thread = threading.Thread(target=flip)
    thread.start()
    got = 0
    for _ in range(2000):
        fd = LIBC.syscall(NR_OPENAT, AT_FDCWD, name, os.O_RDONLY, 0)
        if fd >= 0:
            got |= os.fstat(fd).st_ino == secret
            os.close(fd)
    stop.append(1)
    thread.join()
    return -errno.EPERM if got else -errno.EACCES


def reads():
    secret = at("d/secret")
    base = os.open(at("d"), os.O_RDONLY)
    away = os.open(secret, os.O_PATH)
    refused("read", read(secret))
    refused("write", read(secret, os.O_WRONLY))
    refused("append, read and write", read(secret, os.O_RDWR | os.O_APPEND))
    refused("O_TRUNC", read(secret, os.O_RDONLY | os.O_TRUNC))
    refused("relative", lambda: os.chdir(at("d/e")) or read("../secret")())
    refused("by a descriptor of the directory", read("secret", dir_fd=base))
    refused("openat2", lambda: call(NR_OPENAT2, base, b"secret", struct.pack("QQQ", 0, 0, 8), 24))
    refused("symbolic link", read(at("elsewhere/symlink")))
    refused("hard link", read(at("elsewhere/linked")))
    refused("/proc/self/root", read("/proc/self/root" + secret))
    refused("/proc/self/cwd", lambda: os.chdir(at("d")) or read("/proc/self/cwd/secret")())
    refused("an O_PATH descriptor opened again", read(f"/proc/self/fd/{away}"))
    refused("bind mount", bound(read(at("mnt/secret"))))
    refused("user namespace and chroot", in_userns(read("/secret"), at("d")))
    by_handle = handle_open(secret, FOLDER)
    if by_handle:
        refused("by handle", by_handle)
    refused("io_uring", uring_open(secret))
    refused("a false command name", renamed_comm)
    refused("passed by a socket", passed)
    refused("the name is changed meanwhile", flipped)
    check_equal(run(at("tool"), secret), 0, "who may")
    if run("/bin/sh", "-c", "exit 0") == 0 and outcome(lambda: syscall32(20) and 0) == 0:
        refused("32-bit open", lambda: syscall32(NR32_OPEN, low_text(os.fsencode(secret)), 0))
        refused("32-bit truncate", lambda: syscall32(NR32_TRUNCATE, low_text(os.fsencode(secret)), 0))
    passes("what no rule is about", read(at("d/free")))
    passes("a user that the rule doesn't name", read(at("d/users")))
    refused("a user that it names", lambda: os.setresuid(65534, 65534, 65534) or read(at("d/users"))())
    passes("audited", read(at("d/audited")))
    passes("alerted", read(at("d/told")))


def changes():
    secret = at("d/secret")
    refused("truncate", lambda: os.truncate(secret, 0))
    refused("ftruncate by a descriptor from before", lambda: os.ftruncate(BEFORE, 0))
    refused("unlink", lambda: os.unlink(secret))
    refused("rename", lambda: os.rename(secret, at("d/moved")))
    refused("rename over it", lambda: os.rename(at("elsewhere/f"), secret))
    refused("exchange", lambda: call(NR_RENAMEAT2, AT_FDCWD, os.fsencode(at("elsewhere/f")), AT_FDCWD,
                                     os.fsencode(secret), RENAME_EXCHANGE))
    refused("link", lambda: os.link(secret, at("elsewhere/more")))
    refused("chmod", lambda: os.chmod(secret, 0o777))
    refused("chown by its other name", lambda: os.chown(at("elsewhere/linked"), 1, 1))
    refused("utimes", lambda: os.utime(secret))
    refused("xattr", lambda: os.setxattr(secret, "trusted.x", b"1"))
    refused("create", lambda: os.close(os.open(at("d/later"), os.O_CREAT | os.O_WRONLY)))
    refused("make a directory of that name", lambda: os.mkdir(at("d/later")))
    refused("make a link of that name", lambda: os.symlink("x", at("d/later")))
    refused("link to that name", lambda: os.link(at("d/free"), at("d/later")))
    refused("rename to that name", lambda: os.rename(at("elsewhere/f"), at("d/later")))
    check_equal(os.stat(secret).st_size, 100, "the file is as it was")
    check(not os.path.lexists(at("d/later")), "the other is not there")


def replaced():
    """Another file takes the place: it is protected at once, and by its other names."""
    old = at("d/again")
    refused("before", read(old))
    write(at("elsewhere/new"), "y" * 100)
    passes("the new one, before it takes the place", read(at("elsewhere/new")))
    os.link(at("elsewhere/new"), at("elsewhere/new-link"))
    os.rename(at("elsewhere/new"), old)
    refused("its other name, first of all", read(at("elsewhere/new-link")))
    refused("replaced", read(old))
    os.link(old, at("elsewhere/again-link"))
    refused("a link made afterwards", read(at("elsewhere/again-link")))
    os.rename(old, at("elsewhere/again-moved"))
    refused("moved away", read(at("elsewhere/again-moved")))
    write(old, "z")
    refused("made anew", read(old))
    write(at("elsewhere/swap"), "w")
    call(NR_RENAMEAT2, AT_FDCWD, os.fsencode(at("elsewhere/swap")), AT_FDCWD, os.fsencode(old), RENAME_EXCHANGE)
    refused("exchanged: what came", read(old))
    refused("exchanged: what went", read(at("elsewhere/swap")))


def directories():
    refused("below a directory", read(at("tree/a/b/f")))
    refused("listing it", lambda: os.listdir(at("tree/a")) and 0)
    refused("create below", lambda: os.mkdir(at("tree/a/new")))
    refused("move into", lambda: os.rename(at("elsewhere/f"), at("tree/f2")))
    refused("move out of", lambda: os.rename(at("tree/a/b/f"), at("elsewhere/out")))
    refused("chmod below", lambda: os.chmod(at("tree/a"), 0o700))
    refused("bind mount of a directory below", lambda: mounted(
        os.fsencode(at("tree/a")), os.fsencode(at("mnt")), None, 4096, None) and read(at("mnt/b/f"))())
    os.rename(FOLDER, FOLDER + "-moved")
    refused("a directory above has another name", read(FOLDER + "-moved/tree/f"))
    os.rename(FOLDER + "-moved", FOLDER)
    refused("70 directories deep", executes(DEEP + "/true"))


def executions():
    true = at("noexec/true")
    fd = os.open(true, os.O_RDONLY)
    path_fd = os.open(true, os.O_PATH)
    refused("exec", executes(true))
    refused("execveat", lambda: call(NR_EXECVEAT, path_fd, b"", 0, 0, AT_EMPTY_PATH))
    refused("/proc/self/fd", lambda: os.execv(f"/proc/self/fd/{fd}", ["true"]))
    refused("a script", executes(at("noexec/script")))
    script(at("elsewhere/by"), f"#!{true}\n")
    refused("as the interpreter of a script", executes(at("elsewhere/by")))
    loader = next((l for l in ("/lib64/ld-linux-x86-64.so.2",) if os.path.exists(l)), None)
    if loader and run(loader, "/bin/true") == 0:
        check(run(loader, true) not in (0, None), "by the loader")
    refused("mapped", lambda: mmap.mmap(fd, 4096, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC) and 0)

    def protect():
        LIBC.mmap.restype = ctypes.c_void_p
        where = LIBC.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_PRIVATE, fd, ctypes.c_long(0))
        got = LIBC.mprotect(ctypes.c_void_p(where), 4096, mmap.PROT_READ | mmap.PROT_EXEC)
        return -ctypes.get_errno() if got else 0
    refused("mapped, then made executable", protect)

    def over():
        mounted(b"none", os.fsencode(at("noexec")), b"tmpfs", 0, None)
        shutil.copy("/bin/true", true)
        return executes(true)()
    refused("in a file system mounted there later", over)
    shutil.copy(true, at("elsewhere/copy"))
    passes("a copy elsewhere is another file", executes(at("elsewhere/copy")))


def applied():
    write(at("policy"), POLICY)
    return is_in_force(run_sonda("policy", "apply", at("policy"), json_output=False))


def status():
    r = run_sonda("policy", "status")
    rules = {row["rule"]: row for row in r.rows if "rule" in row}
    check("deny (" in r.stdout, f"the strength is told: {r.stdout[:300]}")
    for name in ("secret", "noexec", "tree", "again", "later"):
        check(name in rules and rules[name].get("refused", 0) > 0, f"{name} is counted: {rules.get(name)}")
    for name in ("audited", "told"):
        check(name in rules and rules[name].get("matched", 0) > 0 and not rules[name].get("refused", 0),
              f"{name} is counted, and refuses nothing: {rules.get(name)}")


def main():
    global BEFORE
    try:
        make()
        BEFORE = os.open(at("d/secret"), os.O_RDWR)
        if applied():
            for part in (reads, changes, replaced, directories, executions):
                part()
            status()
        check_equal(run_sonda("policy", "off", json_output=False).code, 0, "off")
        passes("afterwards", read(at("d/secret")))
    finally:
        subprocess.run([SONDA, "policy", "off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(FOLDER, ignore_errors=True)
    done()


main()
