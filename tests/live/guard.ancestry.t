#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.ancestry: whatever a process does to get away from what it descends from, rules about its ancestors hold.

Truth: what connect(2), open(2) and kill(2) return to processes whose line the test itself has made.
"""

import ctypes
import errno
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

PORTS = {"born": 7101, "spared": 7102, "both": 7103, "later": 7104}
LIBC = ctypes.CDLL(None, use_errno=True)
NR_CLONE, NR_BPF, CLONE_PARENT = 56, 321, 0x8000
os.environ["LC_ALL"] = "C"
NEVER = 9  # the port that no rule is about


def connects(port):
    """The errno of connect(2) to a port where nobody listens."""
    with socket.socket() as s:
        return errno.errorcode[s.connect_ex(("127.0.0.1", port))]


def in_bash(port):
    """A command of bash that ends with 0 if it was refused to connect."""
    return f"(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>&1 | grep -q 'not permitted'"


# ---- what a descendant does, run as FOLDER/web ----

def told(act):
    """What `act`, called with a function that tells, tells from whatever process."""
    r, w = os.pipe()
    act(lambda text: os.write(w, text.encode()))
    os.close(w)
    with os.fdopen(r) as f:
        return f.read()


def forked(act):
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def adrift(tell, port):
    """Two forks, a session of its own; nothing is asked before the process in between is gone."""
    def between():
        parent = os.getpid()
        os.setsid()
        if os.fork() == 0:
            while os.getppid() == parent:
                pass
            tell(connects(port))
            os._exit(0)
    forked(between)


def as_sibling(tell, port):
    if LIBC.syscall(NR_CLONE, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        tell(connects(port))
        os._exit(0)


def in_thread(tell, port):
    t = threading.Thread(target=lambda: tell(connects(port)))
    t.start()
    t.join()


def run_by(tell, *argv):
    p = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    tell("EPERM" if p.returncode == 0 else f"ended with {p.returncode}")


def spawned(tell, argv):
    pid = os.posix_spawn(argv[0], argv, os.environ)
    tell("EPERM" if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 else "not refused")


def exec_by_thread(tell, argv):
    pid = os.fork()
    if pid == 0:
        t = threading.Thread(target=lambda: os.execv(argv[0], argv))
        t.start()
        t.join()
        os._exit(99)
    tell("EPERM" if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 else "not refused")


def storm(tell, port):
    """Many processes that end at once, and make others first."""
    for _ in range(4):
        if os.fork() == 0:
            for _ in range(50):
                if os.fork() == 0:
                    tell("." if connects(port) == "EPERM" else "!")
                    os._exit(0)
            os._exit(0)


def family(folder, port):
    bash = os.path.join(folder, "bash")
    once = in_bash(port)
    cases = {
        "itself": lambda tell: tell(connects(port)),
        "a child": lambda tell: forked(lambda: tell(connects(port))),
        "a daemon": lambda tell: adrift(tell, port),
        "a daemon's daemon": lambda tell: forked(lambda: adrift(lambda _: adrift(tell, port), NEVER)),
        "CLONE_PARENT": lambda tell: as_sibling(tell, port),
        "a thread": lambda tell: in_thread(tell, port),
        "another program": lambda tell: run_by(tell, bash, "-c", once),
        "one program after the other": lambda tell: run_by(tell, bash, "-c", f'exec {bash} -c "exec {bash} -c \\"$0\\""', once),
        "vfork": lambda tell: spawned(tell, [bash, "-c", once]),
        "execve by a thread": lambda tell: exec_by_thread(tell, [bash, "-c", once]),
        "many": lambda tell: storm(tell, port),
    }
    print(json.dumps({name: told(act) for name, act in cases.items()}), flush=True)


if len(sys.argv) > 1 and sys.argv[1] == "family":
    family(sys.argv[2], int(sys.argv[3]))
    sys.exit(0)
if len(sys.argv) > 1 and sys.argv[1] == "waits":  # told a port by line, tells what came of it: itself, or another program as its child or as a daemon
    def answer():
        for line in sys.stdin:
            print(connects(int(line)), flush=True)
    if sys.argv[2] != "alone":
        if os.fork() == 0:
            os.execv(sys.argv[3], [sys.argv[3], sys.argv[0], "waits", "alone"])
        if sys.argv[2] == "child":
            os.wait()
        os._exit(0)
    answer()
    os._exit(0)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *  # noqa: E402

PLAIN = os.path.realpath(sys.executable)
FOLDER = os.path.realpath(tempfile.mkdtemp(prefix="guard-ancestry-", dir="/tmp"))


def at(name):
    return os.path.join(FOLDER, name)


def rule(name, port, conditions, more=""):
    return f"rule {name} deny connect to 127.0.0.1 port {port} {conditions} {more}\n"


POLICY = (rule("born", PORTS["born"], f"when ancestor in {FOLDER}/web, {FOLDER}/shell, {FOLDER}/absent") +
          rule("spared", PORTS["spared"], f"unless ancestor in {FOLDER}/login") +
          rule("both", PORTS["both"], f"when ancestor in {FOLDER}/shell unless ancestor in {FOLDER}/login"))


def make():
    os.chmod(FOLDER, 0o755)
    bash = os.path.realpath(shutil.which("bash"))
    for name in ("web", "later"):
        shutil.copy(PLAIN, at(name))
    for name in ("bash", "shell", "login", "other"):
        shutil.copy(bash, at(name))
    with open(at("secret"), "w") as f:
        f.write("x\n")


def apply(text):
    with open(at("policy"), "w") as f:
        f.write(text)
    return run_sonda("policy", "apply", at("policy"), json_output=False)


def applied(text, what):
    r = apply(text)
    check_equal(r.code, 0, f"{what}: {r.stderr}")


class Waiting:
    """A process of the program that does what it is told."""

    def __init__(self, program, how):
        self.p = subprocess.Popen([at(program), os.path.abspath(__file__), "waits", how, PLAIN], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        check_equal(self.asked(NEVER), "ECONNREFUSED", f"{program} {how} runs")
        if how == "daemon":
            self.p.wait()

    def asked(self, port):
        self.p.stdin.write(f"{port}\n")
        self.p.stdin.flush()
        return self.p.stdout.readline().strip()

    def end(self):
        self.p.stdin.close()
        self.p.stdout.read()
        self.p.wait()


def grown(program, port):
    out = subprocess.run([at(program), os.path.abspath(__file__), "family", FOLDER, str(port)], stdout=subprocess.PIPE,
                         check=True).stdout
    return json.loads(out)


def lines():
    """Each way to leave the line."""
    for case, got in grown("web", PORTS["born"]).items():
        check_equal(got, "." * 200 if case == "many" else "EPERM", f"descends from web: {case}")
    check_equal(connects(PORTS["born"]), "ECONNREFUSED", "who doesn't")
    os.rename(at("shell"), at("renamed"))
    check_equal(run_bash("renamed", PORTS["born"]), "EPERM", "by another name")
    os.rename(at("renamed"), at("shell"))
    shutil.copy(at("shell"), at("new"))
    os.rename(at("new"), at("shell"))
    check_equal(run_bash("shell", PORTS["born"]), "EPERM", "replaced by another of that name")


def started_by(program, code):
    """The status of a bash that `program`, another, starts."""
    return subprocess.run([at(program), "-c", f'{at("bash")} -c "$0"; exit $?', code], stderr=subprocess.DEVNULL).returncode


def run_bash(program, port):
    return "EPERM" if started_by(program, in_bash(port)) == 0 else "not refused"


def conditions():
    check_equal(connects(PORTS["spared"]), "EPERM", "who isn't spared")
    check_equal(run_bash("login", PORTS["spared"]), "not refused", "who is")
    check_equal(run_bash("shell", PORTS["spared"]), "EPERM", "of another line")
    check_equal(run_bash("shell", PORTS["both"]), "EPERM", "of the one")
    check_equal(run_bash("login", PORTS["both"]), "not refused", "of the other")
    chain = f"exec {at('login')} -c 'exec {at('bash')} -c \"$0\"' \"$0\""
    r = subprocess.run([at("shell"), "-c", chain, in_bash(PORTS["both"])])
    check_equal(r.returncode, 1, "of both, by execve: spared")


def numbers():
    """A number that a descendant had is a stranger's now."""
    last = "/proc/sys/kernel/ns_last_pid"
    if not os.path.exists(last):
        return
    p = subprocess.Popen([at("shell"), "-c", ":"])
    p.wait()
    for _ in range(20):
        with open(last, "w") as f:
            f.write(str(p.pid - 1))
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(w, connects(PORTS["born"]).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        os.close(w)
        got = os.read(r, 100).decode()
        os.close(r)
        check_equal(got, "ECONNREFUSED", "a stranger")
        if pid == p.pid:
            return


def policies(early):
    """Lines go on when policies change; processes from before a policy are known by who is above them."""
    check_equal(early["alone"].asked(PORTS["born"]), "EPERM", "from before the policy")
    check_equal(early["child"].asked(PORTS["born"]), "EPERM", "from before the policy, a child of another program")
    check_equal(early["daemon"].asked(PORTS["born"]), "ECONNREFUSED", "from before the policy, its parent gone: not known")
    adrift_now = Waiting("web", "daemon")
    check_equal(adrift_now.asked(PORTS["born"]), "EPERM", "a daemon")
    waiting = Waiting("later", "alone")
    for n in range(2):  # each of two generations
        applied(rule(f"again{n}", PORTS["later"], f"when ancestor in {FOLDER}/later, {FOLDER}/web"), "another policy")
        check_equal(adrift_now.asked(PORTS["later"]), "EPERM", f"a daemon from before the change ({n})")
        check_equal(waiting.asked(PORTS["later"]), "EPERM", f"a program that is named since ({n})")
        check_equal(adrift_now.asked(PORTS["born"]), "ECONNREFUSED", "the old policy is gone")
    applied(rule("none", PORTS["later"], "unless user in 12345"), "a policy without ancestors")
    applied(POLICY, "the first again")
    check_equal(adrift_now.asked(PORTS["born"]), "EPERM", "a daemon from before both")
    for n in range(2):  # more than there are bits, with the first's
        names = ", ".join(f"{FOLDER}/p{n}-{i}" for i in range(31))
        applied(rule("many", PORTS["later"], f"when ancestor in {names}"), "31 others")
    check_equal(adrift_now.asked(PORTS["later"]), "ECONNREFUSED", "nobody took a bit of another's")
    names = ", ".join(f"{FOLDER}/q{i}" for i in range(65))
    refusal = apply(rule("many", PORTS["later"], f"when ancestor in {names}"))
    check_equal(refusal.code, 5, "too many")
    check("more than 64 programs are named as ancestors" in refusal.stderr, f"it says so: {refusal.stderr}")
    applied(POLICY, "the first once more")
    for one in (adrift_now, waiting):
        one.end()


def guards():
    """Rules about files and the kernel's surface."""
    applied(f"rule secret deny read of file {FOLDER}/secret when ancestor in {FOLDER}/shell accept kill\n", "files")
    for program, want in (("shell", True), ("login", False)):
        got = started_by(program, f"read x < {at('secret')}")
        check_equal(got != 0, want, f"a file is read by who descends from {program}: {got}")
    r = apply(f"rule kill deny kill of exe {FOLDER}/other when ancestor in {FOLDER}/shell\n")
    if is_unsupported(r):
        return
    check_equal(r.code, 0, f"kernel: {r.stderr}")
    victim = subprocess.Popen([at("other"), "-c", "echo; read x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    victim.stdout.readline()
    for program, want in (("shell", True), ("login", False)):
        got = started_by(program, f"kill -CONT {victim.pid}")
        check_equal(got != 0, want, f"a signal is sent by who descends from {program}: {got}")
    victim.communicate()


def unknown():
    """Of nobody anything is known: no condition saves, and no later one does either."""
    applied(POLICY, "again")
    path = b"/sys/fs/bpf/sonda/policy/policy_lines\0"
    name = ctypes.create_string_buffer(path)
    attr = struct.pack("QII", ctypes.addressof(name), 0, 0).ljust(128, b"\0")
    fd = LIBC.syscall(NR_BPF, 7, attr, len(attr))
    check(fd >= 0, "the lines are pinned")
    key = ctypes.create_string_buffer(8)
    found = 0
    while True:
        attr = struct.pack("IIQQ", fd, 0, 0, ctypes.addressof(key)).ljust(128, b"\0")
        if LIBC.syscall(NR_BPF, 4, attr, len(attr)):
            break
        attr = struct.pack("IIQQ", fd, 0, ctypes.addressof(key), 0).ljust(128, b"\0")
        found += LIBC.syscall(NR_BPF, 3, attr, len(attr)) == 0
    os.close(fd)
    check(found >= len(os.listdir("/proc/self/task")), f"all tasks have a line: {found}")
    check_equal(connects(PORTS["born"]), "EPERM", "who isn't known is taken for one that descends")
    check_equal(run_bash("login", PORTS["spared"]), "EPERM", "and is not spared")


def told_about():
    """`why` answers by program and ancestor; the lint knows who may descend from what."""
    for program, want in ((at("web"), 0), (os.path.realpath("/bin/sh"), 5)):
        with open(at("linted"), "w") as f:
            f.write(f"rule a deny exec of file under /usr/bin when ancestor in {program}\n")
        check_equal(run_sonda("policy", "check", at("linted"), json_output=False).code, want, f"nothing of {program} is run")
    rows = run_sonda("policy", "why", "connect", "tcp", f"127.0.0.1:{PORTS['born']}", "--exe", "/bin/ls", json_output=False).stdout
    check("if its condition holds" in rows, f"not known: {rows}")
    rows = run_sonda("policy", "why", "connect", "tcp", f"127.0.0.1:{PORTS['born']}", "--exe", "/bin/ls", "--ancestor",
                     at("web"), json_output=False).stdout
    check("rule born" in rows and "if its condition" not in rows, f"descends from web: {rows}")
    rows = run_sonda("policy", "why", "connect", "tcp", f"127.0.0.1:{PORTS['born']}", "--exe", "/bin/ls", "--ancestor",
                     at("login"), json_output=False).stdout
    check("no rule is about it" in rows, f"descends from login: {rows}")


def main():
    early = {}
    try:
        make()
        for how in ("alone", "child", "daemon"):
            early[how] = Waiting("web", how)
        is_in_force(apply(POLICY))
        lines()
        conditions()
        numbers()
        told_about()
        policies(early)
        guards()
        unknown()
        check_equal(run_sonda("policy", "off", json_output=False).code, 0, "off")
        check_equal(early["alone"].asked(PORTS["born"]), "ECONNREFUSED", "afterwards")
        check(not os.path.exists("/sys/fs/bpf/sonda"), "nothing is left")
    finally:
        subprocess.run([SONDA, "policy", "off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for one in early.values():
            one.end()
        shutil.rmtree(FOLDER, ignore_errors=True)
    done()


main()
