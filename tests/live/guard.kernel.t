#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.kernel: each way to do what is denied ends with the verdict of the direct one.

Truth: the errno that a process gets that tries, whether the victim lives, whether modprobe was run.
"""

import ctypes
import errno
import fcntl
import os
import pty
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import calls
from calls import LIBC, outcome
from sondatest import *

NR = {"ptrace": 101, "process_vm_readv": 310, "tgkill": 234, "rt_sigqueueinfo": 129, "pidfd_open": 434, "clone3": 435,
      "pidfd_send_signal": 424, "pidfd_getfd": 438, "prlimit64": 302, "mount": 165, "umount2": 166, "pivot_root": 155,
      "fsopen": 430, "fsconfig": 431, "fsmount": 432, "open_tree": 428, "move_mount": 429, "init_module": 175,
      "finit_module": 313, "bpf": 321, "setresuid": 117, "setreuid": 113, "setuid": 105, "unshare": 272, "clone": 56,
      "capget": 125, "capset": 126, "kexec_load": 246}
TRACEME, ATTACH, SEIZE = 0, 16, 0x4206
NEWNS, NEWUSER = 0x20000, 0x10000000
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 0x4000, 0x40000
F_SETSIG = 10
FOLDER = os.path.realpath(tempfile.mkdtemp(prefix="guard-kernel-", dir="/tmp"))
MODPROBE = "/proc/sys/kernel/modprobe"
expected = {}
BEFORE = {}


def at(name):
    return os.path.join(FOLDER, name)


def call(name, *args):
    return calls.call(NR[name], *args)


def refused(rule, what, act, wants=("EPERM",)):
    got = errno.errorcode.get(outcome(act))
    check(got in wants, f"{rule}: {what}: {got}, expected {wants}")
    expected[rule] = expected.get(rule, 0) + 1


def ends(what, act, want):
    got = outcome(act)
    check_equal(errno.errorcode.get(got, got), want, what)


def passes(what, act):
    ends(what, act, 0)


def as_user(uid, act):
    return lambda: os.setresuid(uid, uid, uid) or act()


def unprivileged_reader(act):
    """Newer kernels let who has CAP_PERFMON or CAP_SYS_ADMIN read maps and environments, whatever a security module said."""
    def run():
        head, data = struct.pack("II", 0x20080522, 0), ctypes.create_string_buffer(24)
        call("capget", head, ctypes.addressof(data))
        words = [word & ~lost for word, lost in zip(struct.unpack("6I", data.raw), [1 << 21] * 3 + [1 << 6] * 3)]
        return call("capset", head, struct.pack("6I", *words)) or act()

    return run


def in_mounts(act):
    """In a mount namespace of its own, from which nothing gets out: made private before the policy."""
    return lambda: call("unshare", NEWNS) or act()


def run(*argv):
    try:
        return subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    except OSError as e:
        return -e.errno


def copied(program, name):
    shutil.copy(os.path.realpath(shutil.which(program)), at(name))
    return at(name)


def started(name, uid):
    """The program, which sleeps, in a process group of its own; that it runs is seen in /proc."""
    p = subprocess.Popen([at(name), "1000"], preexec_fn=lambda: (os.setpgid(0, 0), os.setresuid(uid, uid, uid)))
    check_equal(os.readlink(f"/proc/{p.pid}/exe"), at(name), f"{name} runs")
    return p


INIT = os.path.realpath("/sbin/init")  # which must mount, so that services start
POLICY = f"""
rule kill deny kill of exe {FOLDER}/victim unless exe in {FOLDER}/kill
rule unattended deny kill of exe {FOLDER}/attended unless terminal
rule of-user deny kill, ptrace of user 65531
rule ptrace deny ptrace of exe {FOLDER}/victim
rule inspect deny inspect of exe {FOLDER}/victim
rule mount deny mount, umount unless exe in {FOLDER}/mount, {FOLDER}/umount, {INIT}
rule modules deny load-module, request-module
rule bpf deny bpf unless exe in {FOLDER}/bpftool
rule become deny setuid to 65533
rule root deny setuid to root when user in 65534
rule power deny use of capability sys_chroot, CAP_NET_RAW, sys_boot when user in 65532
rule audited deny kill of exe {FOLDER}/other mode audit
rule told alert kill of exe {FOLDER}/told
"""
NAMESPACES = "rule namespaces deny user-namespace when user in 0, 65534\n"


def kills(victim, other):
    pid = victim.pid
    fd = call("pidfd_open", pid, 0)
    cont = signal.SIGCONT
    refused("kill", "kill by root", lambda: os.kill(pid, cont))
    refused("kill", "by its own user", as_user(65534, lambda: os.kill(pid, cont)))
    refused("kill", "process group", lambda: os.killpg(pid, cont))
    refused("kill", "tgkill", lambda: call("tgkill", pid, pid, cont))
    info = struct.pack("iii", cont, 0, -1).ljust(128, b"\0")
    refused("kill", "sigqueue", lambda: call("rt_sigqueueinfo", pid, cont, info))
    if fd >= 0:
        refused("kill", "pidfd", lambda: call("pidfd_send_signal", fd, cont, 0, 0))
    refused("kill", "a limit on CPU time", lambda: call("prlimit64", pid, 0, struct.pack("QQ", 1, 1), 0))
    passes("signal 0", lambda: os.kill(pid, 0))
    passes("another limit", lambda: call("prlimit64", pid, 7, struct.pack("QQ", 64, 64), 0))
    check_equal(run(at("kill"), "-CONT", str(pid)), 0, "who may")

    def by_descriptor():
        a, b = socket.socketpair()
        fcntl.fcntl(a, fcntl.F_SETOWN, pid)
        fcntl.fcntl(a, F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        b.send(b"x")
    passes("a signal of a descriptor", by_descriptor)
    expected["kill"] += 1
    check_equal(victim.poll(), None, "the victim lives")
    passes("what no rule is about", lambda: os.kill(os.getppid(), cont))
    passes("audited", lambda: os.kill(other["other"].pid, cont))
    passes("alerted", lambda: os.kill(other["told"].pid, cont))
    refused("of-user", "a process of a user", lambda: os.kill(other["user"].pid, cont))
    attended = other["attended"].pid
    refused("unattended", "without a terminal", lambda: os.setsid() or os.kill(attended, cont))
    child, master = pty.fork()
    if child == 0:
        try:
            os.kill(attended, cont)
            os._exit(0)
        except OSError as e:
            os._exit(e.errno)
    check_equal(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0, "with a terminal")
    os.close(master)


def traces(victim, other):
    pid = victim.pid
    either = ("EPERM", "EACCES")
    refused("ptrace", "attach", lambda: call("ptrace", ATTACH, pid, 0, 0))
    refused("ptrace", "seize", lambda: call("ptrace", SEIZE, pid, 0, 0))
    refused("ptrace", "by its own user", as_user(65534, lambda: call("ptrace", SEIZE, pid, 0, 0)), either)
    iov = struct.pack("QQ", ctypes.addressof(ctypes.create_string_buffer(8)), 8)
    refused("ptrace", "process_vm_readv", lambda: call("process_vm_readv", pid, iov, 1, iov, 1, 0))
    refused("ptrace", "/proc/PID/mem", lambda: os.open(f"/proc/{pid}/mem", os.O_RDONLY), either)
    refused("ptrace", "pidfd_getfd", lambda: call("pidfd_getfd", call("pidfd_open", pid, 0), 0, 0))
    refused("ptrace", "run while traced", lambda: call("ptrace", TRACEME, 0, 0, 0) or os.execv(at("victim"), ["victim", "0"]))
    refused("of-user", "traceme", as_user(65531, lambda: call("ptrace", TRACEME, 0, 0, 0)))
    passes("another process", lambda: call("ptrace", SEIZE, other["other"].pid, 0, 0))
    for what in ("environ", "maps"):
        refused("inspect", what, unprivileged_reader(lambda: open(f"/proc/{pid}/{what}").read(1) and 0), either)
    refused("inspect", "where it is", lambda: os.readlink(f"/proc/{pid}/exe"), either)
    passes("its status", lambda: open(f"/proc/{pid}/status").read() and 0)
    passes("another's", unprivileged_reader(lambda: open(f"/proc/{other['other'].pid}/environ").read(1) and 0))


def mounts():
    place = os.fsencode(at("mnt"))

    def new_api():
        fs = call("fsopen", b"tmpfs", 0)
        return call("fsconfig", fs, 6, 0, 0, 0)  # FSCONFIG_CMD_CREATE

    def cloned():
        tree = call("open_tree", -100, place, 1)  # OPEN_TREE_CLONE
        return call("move_mount", tree, b"", -100, place, 4) if tree >= 0 else tree
    refused("mount", "tmpfs", in_mounts(lambda: call("mount", b"none", place, b"tmpfs", 0, 0)))
    refused("mount", "bind", in_mounts(lambda: call("mount", b"/", place, 0, MS_BIND, 0)))
    refused("mount", "remount", in_mounts(lambda: call("mount", 0, b"/proc", 0, MS_REMOUNT | MS_BIND, 0)))
    refused("mount", "propagation", in_mounts(lambda: call("mount", 0, b"/", 0, MS_REC | MS_PRIVATE, 0)))
    refused("mount", "fsconfig", in_mounts(new_api))
    refused("mount", "move_mount", in_mounts(cloned))
    refused("mount", "pivot_root", in_mounts(lambda: call("pivot_root", place, place)))
    refused("mount", "umount", in_mounts(lambda: call("umount2", b"/proc", 2)))
    passes("who may", in_mounts(lambda: run(at("mount"), "-t", "tmpfs", "none", at("mnt"))))


def modules():
    junk = bytes(256)
    with open(at("junk"), "wb") as f:
        f.write(junk)
    refused("modules", "init_module", lambda: call("init_module", junk, len(junk), b""))
    refused("modules", "finit_module", lambda: call("finit_module", os.open(at("junk"), os.O_RDONLY), b"", 0))
    if HAS_MODPROBE:
        ends("a file system that there isn't", lambda: call("fsopen", b"sonda-none", 0), "ENODEV")
        expected["modules"] += 1
        check(not os.path.exists(at("ran")), "modprobe is not run for it")


def programs():
    attr = struct.pack("IIII", 2, 4, 4, 1).ljust(128, b"\0")
    refused("bpf", "make a map", lambda: call("bpf", 0, attr, len(attr)))
    refused("bpf", "detach a link", lambda: call("bpf", 34, struct.pack("I", 0).ljust(128, b"\0"), 128))
    refused("bpf", "no command", lambda: call("bpf", 1 << 20, attr, len(attr)))
    check_equal(run(at("bpftool"), "map", "list"), 0, "who may")


def users():
    refused("become", "setuid", lambda: call("setuid", 65533))
    refused("become", "effective", lambda: call("setreuid", -1, 65533))
    refused("become", "saved", lambda: call("setresuid", -1, -1, 65533))
    ends("setfsuid, whose result is no errno", lambda: LIBC.setfsuid(65533) and 0 or LIBC.setfsuid(-1), 0)
    expected["become"] += 1
    passes("another user", as_user(65534, lambda: 0))
    refused("root", "back to root", lambda: call("setresuid", 65534, 65534, 0) or call("setresuid", -1, 0, -1))
    passes("back to root, for another", lambda: call("setresuid", 65532, 65532, 0) or call("setresuid", -1, 0, -1))
    if HAS_SETUID:
        refused("root", "by a program", as_user(65534, lambda: os.execv(at("become"), ["become", "-u"])))
    powerful = lambda act: lambda: call("setresuid", 65532, -1, -1) or act()
    refused("power", "chroot", powerful(lambda: os.chroot("/")))
    refused("power", "a raw socket", powerful(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()))
    refused("power", "another kernel", powerful(lambda: call("kexec_load", 0, 0, 0, 0)))
    passes("by another user", lambda: os.chroot("/"))
    passes("another capability", powerful(lambda: os.nice(-1) and 0))


def namespaces():
    args = struct.pack("Q7Q", NEWUSER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    refused("namespaces", "unshare", lambda: call("unshare", NEWUSER))
    refused("namespaces", "by a user", as_user(65534, lambda: call("unshare", NEWUSER)))
    refused("namespaces", "clone", lambda: call("clone", NEWUSER | signal.SIGCHLD, 0, 0, 0, 0))
    refused("namespaces", "clone3", lambda: call("clone3", args, len(args)))
    passes("another namespace", lambda: call("unshare", NEWNS))
    ends("for who may", as_user(65532, lambda: call("unshare", NEWUSER)), BEFORE["unshare"])


def applied():
    kernel_61 = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2]) >= (6, 1)
    with open(at("policy"), "w") as f:
        f.write(POLICY + (NAMESPACES if kernel_61 else ""))
    r = run_sonda("policy", "apply", at("policy"), json_output=False)
    if is_unsupported(r):
        check(not [f for _, _, files in os.walk("/sys/fs/bpf") for f in files if "debug" not in f], "a policy that can't be enforced leaves nothing")
        skip(f"nothing of the kernel's surface can be guarded here: {r.stderr.strip().splitlines()[0]}")
    check_equal(r.code, 0, f"applied: {r.stderr}")
    if not kernel_61:
        with open(at("newer"), "w") as f:
            f.write(NAMESPACES)
        r = run_sonda("policy", "apply", at("newer"), json_output=False)
        check_equal((r.code, "not of user-namespace" in r.stderr), (4, True), f"what this kernel lacks is refused: {r.stderr}")
    return kernel_61


def status(events):
    r = run_sonda("policy", "status")
    rules = {row["rule"]: row for row in r.rows if "rule" in row}
    told = {}
    for row in events:
        if row["verdict"] == "denied":
            told[row["rule"]] = told.get(row["rule"], 0) + 1
    check_equal({name: rules[name]["refused"] for name in expected}, expected, "each refusal is counted")
    check_equal(told, expected, "and told")
    check_equal([(rules[n]["matched"], rules[n]["refused"]) for n in ("audited", "told")], [(1, 0)] * 2, "others are counted")
    check_equal({row["rule"]: row["verdict"] for row in events if row["verdict"] != "denied"},
                {"audited": "audited", "told": "alerted"}, "and told too")


def prepare():
    global HAS_MODPROBE, HAS_SETUID, BEFORE
    os.chmod(FOLDER, 0o755)
    os.mkdir(at("mnt"))
    for name in ("victim", "attended", "other", "told", "users"):
        copied("sleep", name)
    for name in ("kill", "mount", "umount", "bpftool"):
        copied(name, name)
    os.chmod(copied("id", "become"), 0o4755)
    HAS_SETUID = outcome(as_user(65534, lambda: os.execv(at("become"), ["become", "-u"]))) == 0
    got = outcome(as_user(65532, lambda: call("unshare", NEWUSER)))
    BEFORE = {"unshare": errno.errorcode.get(got, got)}
    HAS_MODPROBE = os.path.exists(MODPROBE)
    if HAS_MODPROBE:
        with open(at("modprobe"), "w") as f:
            f.write(f"#!/bin/sh\n: > {FOLDER}/ran\n")
        os.chmod(at("modprobe"), 0o755)
        BEFORE["modprobe"] = open(MODPROBE).read().strip()
        open(MODPROBE, "w").write(at("modprobe"))
        call("fsopen", b"sonda-none", 0)
        check(os.path.exists(at("ran")), "modprobe is run for a file system that there isn't")
        os.unlink(at("ran"))


def recorded(victim):
    """What it refused, recorded, and put to another policy."""
    path = at("recorded")
    with subprocess.Popen([SONDA, "record", "guard.kernel", "--to", path], stderr=subprocess.PIPE, text=True) as s:
        while "watching" not in s.stderr.readline():
            pass
        refused("kill", "recorded", lambda: os.kill(victim.pid, signal.SIGCONT))
        refused("kill", "recorded", lambda: os.kill(victim.pid, signal.SIGCONT))
        refused("become", "recorded", lambda: os.setuid(65533))
        refused("mount", "recorded", lambda: call("umount2", b"/proc", 0))
        s.send_signal(signal.SIGINT)
        s.stderr.read()
    with open(at("other.policy"), "w") as f:
        f.write(f"rule kill deny kill of exe {FOLDER}/victim\nrule less deny kill of exe {FOLDER}/other\nrule become deny setuid to 65533 when user in root\n"
                "rule mount deny umount unless terminal\n")
    rows = run_sonda("policy", "test", at("other.policy"), path).rows
    judged = {r["rule"]: (r["operation"], r["times"], r["perhaps"]) for r in rows if "times" in r}
    check_equal(judged, {"kill": ("kill", 2, False), "become": ("setuid", 1, False), "mount": ("umount", 1, True)}, "a recording judged")


def main():
    processes = {}
    try:
        prepare()
        victim = started("victim", 65534)
        processes = {"victim": victim, "other": started("other", 0), "told": started("told", 0),
                     "user": started("users", 65531), "attended": started("attended", 0)}
        kernel_61 = applied()
        with Sonda("trace", "guard.kernel") as s:
            kills(victim, processes)
            traces(victim, processes)
            mounts()
            modules()
            programs()
            users()
            if kernel_61:
                namespaces()
            wanted = sum(expected.values()) + 2
            s.wait_row(lambda row, seen=set(): seen.add(repr(row)) or len(seen) == wanted, 30)
        status(s.rows)
        recorded(victim)
        why = run_sonda("policy", "why", "kill", at("victim"), "--exe", "/bin/true", json_output=False).stdout
        check("rule kill (" in why and "rule audited" not in why, f"why: {why}")
        why = run_sonda("policy", "why", "setuid", "root", "--user", "65534", json_output=False).stdout
        check("rule root (" in why and "rule become" not in why, f"why: {why}")
        check_equal(run_sonda("policy", "off", json_output=False).code, 0, "off")
        passes("afterwards", lambda: os.kill(victim.pid, signal.SIGCONT))
        ends("no module", lambda: call("init_module", bytes(256), 256, b""), "ENOEXEC")
    finally:
        subprocess.run([SONDA, "policy", "off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for p in processes.values():
            p.kill()
            p.wait()
        if "modprobe" in BEFORE:
            open(MODPROBE, "w").write(BEFORE["modprobe"])
        shutil.rmtree(FOLDER, ignore_errors=True)
    done()


main()
