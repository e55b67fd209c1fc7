#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.file: what was found of a directory holds no longer than the directory stays where it is.

Each file is read where no rule is about it, twice, so that the guard remembers its directory; then it comes to be
below one that has rules, or leaves it. Truth: what the system calls return to a process that tries.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sondatest
from filetest import *
from scratch import private_mounts, scratch_fs

FOLDER = os.path.realpath(tempfile.mkdtemp(prefix="guard-moved-", dir="/tmp"))
MS_BIND, MS_MOVE = 4096, 8192
ROUNDS = 50


def at(name):
    return os.path.join(FOLDER, name)


# With so few inodes that each is used again and again, if the machine can make it.
private_mounts()
SMALL = scratch_fs("ext4", "8M", ("-N", "32", "-O", "^has_journal"))
POLICY = f"""
rule small deny read of file under {SMALL or FOLDER + "/small"}/kept accept kill
rule kept deny read of file under {FOLDER}/kept accept kill
rule new deny read of file under {FOLDER}/new accept kill
rule told deny read of file under {FOLDER}/told mode audit accept kill
"""


def refused(what, act):
    check(outcome(act) in (errno.EACCES, -signal.SIGKILL), what)


def known(path):
    for _ in range(2):
        passes(f"free: {path}", read(at(path)))


def moved(what, come, go, free, kept):
    """By `come` the file leaves `free` for `kept`, by `go` it returns."""
    known(free)
    come()
    refused(f"{what}: come", read(at(kept)))
    go()
    known(free)
    come()
    refused(f"{what}: come again", read(at(kept)))
    go()


def renames(old, new):
    return lambda: os.rename(at(old), at(new))


def exchanges():
    check_equal(call(NR_RENAMEAT2, AT_FDCWD, os.fsencode(at("free/a")), AT_FDCWD, os.fsencode(at("kept/swap")),
                     RENAME_EXCHANGE), 0, "exchanged")


def directories():
    moved("its directory", renames("free/a/b", "kept/b"), renames("kept/b", "free/a/b"), "free/a/b/f", "kept/b/f")
    moved("one above", renames("free", "kept/free"), renames("kept/free", "free"), "free/a/b/f", "kept/free/a/b/f")
    moved("exchanged", exchanges, exchanges, "free/a/b/f", "kept/swap/b/f")
    known("free/n/f")
    os.rename(at("free/n"), at("new"))
    refused("to a name with rules", read(at("new/f")))
    os.rename(at("new"), at("free/n"))
    refused("which it has from then on", read(at("free/n/f")))


def attempts():
    """What fails takes nothing away."""
    os.mkdir(at("empty"))
    for what, act in (("removed", lambda: os.rmdir(at("kept"))), ("replaced", lambda: os.rename(at("empty"), at("kept")))):
        check_equal(outcome(act), errno.ENOTEMPTY, f"not {what}")
        refused(f"below one that was not {what}", read(at("kept/stays/d/f")))


def numbers(top):
    """Another directory that gets the number and the memory of one that is gone."""
    wrong, had = 0, set()
    for i in range(ROUNDS):
        for place in ("free", "kept"):
            d = f"{top}/{place}/again/d"
            os.makedirs(d)
            write(f"{d}/f", "x")
            wrong += (outcome(read(f"{d}/f")) != 0) != (place == "kept")
            had.add(os.stat(d).st_ino)
            os.unlink(f"{d}/f")
            os.rmdir(d)
            os.rmdir(f"{top}/{place}/again")
    check_equal(wrong, 0, f"of {2 * ROUNDS} directories made in turn, free and not, with {len(had)} numbers")


def moves(old, new):
    return lambda: check_equal(LIBC.mount(os.fsencode(at(old)), os.fsencode(at(new)), None, MS_MOVE, None), 0, "moved")


def mounted_elsewhere(*names):
    """In another mount namespace, so that here no directory becomes one to mount at: that is counted as a rename too."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        for name in names:
            mounted(b"none", os.fsencode(at(name)), b"tmpfs", 0, None)
        os.write(told, b"x")
        signal.pause()
    os.close(told)
    os.read(ready, 1)
    return pid


def mounts():
    """In a mount namespace of its own."""
    mounted(b"none", os.fsencode(at("free/mnt")), b"tmpfs", 0, None)
    elsewhere = mounted_elsewhere("free/mnt", "kept/mnt")
    for i in range(500):  # so that the file has a number that none of the policy's has
        os.mkdir(at(f"free/mnt/{i}"))
    os.makedirs(at("free/mnt/x"))
    write(at("free/mnt/x/f"), "x")
    moved("a mount", moves("free/mnt", "kept/mnt"), moves("kept/mnt", "free/mnt"), "free/mnt/x/f", "kept/mnt/x/f")
    known("free/a/b/f")
    LIBC.mount(os.fsencode(at("free/a")), os.fsencode(at("kept/mnt")), None, MS_BIND, None)
    for _ in range(2):
        known("free/a/b/f")
        refused("the same by a mount below", read(at("kept/mnt/b/f")))
    os.kill(elsewhere, signal.SIGKILL)
    os.waitpid(elsewhere, 0)
    return -sondatest._failures


def policies():
    known("free/a/b/f")
    write(at("policy2"), POLICY + f"rule more deny read of file under {FOLDER}/free/a accept kill\n")
    for policy, verdict in (("policy2", refused), ("policy", passes), ("policy2", refused)):
        run_sonda("policy", "apply", at(policy), json_output=False)
        verdict(f"by {policy}", read(at("free/a/b/f")))


def opened(path):
    """Opens it three times, so that the guard remembers what it told; what is to be told, by /proc."""
    told = []
    for _ in range(3):
        fd = os.open(path, os.O_RDONLY)
        told.append((os.readlink(f"/proc/self/fd/{fd}"), os.readlink("/proc/self/exe"), 0))
        os.close(fd)
    return told


def by_others():
    """The same file read by other programs and users."""
    for user in (0, 65534, 0):
        for cat in ("cat", "stay/cat"):
            for _ in range(2):
                check_equal(subprocess.run([at(cat), at("told/d/a")], user=user, stdout=subprocess.DEVNULL).returncode, 0, "reads")
                yield at("told/d/a"), at(cat), user


def renewed(path, folder):
    """Another directory and file of the same names."""
    os.unlink(path)
    os.rmdir(folder)
    os.mkdir(folder)
    write(path, "x")
    return opened(path)


def told_of():
    a, b, c, end = at("told/d/a"), at("told/d/b"), at("told/d/c"), at("told/end")
    yield from opened(a)
    yield from by_others()
    os.rename(a, b)
    yield from opened(b)
    os.rename(at("told"), at("other"))
    yield from opened(at("other/d/b"))
    os.rename(at("other"), at("told"))
    os.link(b, c)
    for path in (c, b, c):
        yield from opened(path)
    os.unlink(b)
    yield from opened(c)
    mounted(os.fsencode(at("told/d")), os.fsencode(at("stay/mnt")), None, MS_BIND, None)
    for path in (at("stay/mnt/c"), c):
        yield from opened(path)
    LIBC.umount2(os.fsencode(at("stay/mnt")), 0)
    held = os.open(c, os.O_PATH)
    os.unlink(c)
    yield from opened(f"/proc/self/fd/{held}")
    os.close(held)
    write(a, "x")
    yield from opened(a)
    yield from renewed(a, at("told/d"))
    yield from opened(end)


def tellings():
    """What is told, of opens like others and of those that have become unlike them."""
    with Sonda("trace", "guard.file") as s:
        wanted = list(told_of())
        s.wait_row(lambda r: r["path"] == at("told/end"))
    rows = [(r["path"], r["program"], r["uid"]) for r in s.rows if r["rule"] == "told" and "read" in r["operation"]]
    check_equal(rows[:len(wanted)], wanted, "each open is told as it was")


def by_new_names():
    """What a rule goes on being about is known by its new name, to who asks why."""
    def why(path):
        return run_sonda("policy", "why", "read", at(path), json_output=False).stdout

    os.rename(at("told"), at("another"))
    for path, is_about in (("another", True), ("another/d/a", True), ("free", False), ("free/n/f", False)):
        check_equal("rule told" in why(path), is_about, f"why of {path}")
    os.rename(at("another"), at("told"))


def applied():
    write(at("policy"), POLICY)
    return is_in_force(run_sonda("policy", "apply", at("policy"), json_output=False))


def main():
    try:
        for d in ("free/a/b", "free/n", "free/stays", "kept/stays/d", "free/mnt", "kept/mnt", "kept/swap/b", "told/d", "stay/mnt"):
            os.makedirs(at(d))
        for f in ("free/a/b/f", "free/n/f", "kept/swap/b/f", "kept/stays/d/f", "told/d/a", "told/end"):
            write(at(f), "x")
        os.chmod(FOLDER, 0o755)
        for cat in ("cat", "stay/cat"):
            shutil.copy(shutil.which("cat"), at(cat))
        if SMALL:
            for place in ("free", "kept"):
                os.mkdir(f"{SMALL}/{place}")
        if applied():
            directories()
            attempts()
            numbers(FOLDER)
            if SMALL:
                numbers(SMALL)
            check_equal(outcome(mounts), 0, "mounts, in a process of its own")
            tellings()
            by_new_names()
            policies()
    finally:
        subprocess.run([SONDA, "policy", "off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(FOLDER, ignore_errors=True)
    done()


main()
