#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A day of normal work under each policy that is shipped: accounts are made, passwords changed, packages installed and
upgraded, programs compiled and run, services and cron jobs started, sessions begun. Nothing of it is denied, and
what the rules deny still is when files were replaced by it. Then the drills: policies that cut the admin off come back by
themselves. Truth: what the work's own system calls return.

The work is done as dpkg, useradd, cron and login do it: files are written beside and renamed over, users changed for good."""

import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *
from packets import apply, counts, own_place, policy, sh

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = tempfile.mkdtemp(prefix="policy-day-", dir="/run")
POLICIES = f"{FOLDER}/policies"
WEB, USER = 33, 1000

import sondatest

shutil.copytree(os.path.join(HERE, "../../policies"), POLICIES)
sondatest.SONDA = SONDA = shutil.copy(SONDA, FOLDER)  # what it lies in may be covered
own_place()  # also a mount namespace: this machine's /etc and /usr are covered by copies
sh("ip link set lo up")


def as_user(uid, act):
    """0 or an errno, of a process with that user for good."""
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            act()
        except OSError as e:
            code = e.errno
        except subprocess.CalledProcessError as e:
            code = 255
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def put(path, text, mode=0o644):
    """As dpkg and the tools for accounts do: beside it, then over it."""
    with open(path + ".new", "w") as f:
        f.write(text)
        os.fchmod(f.fileno(), mode)
        os.fsync(f.fileno())
    if os.path.exists(path):
        if os.path.exists(path + ".old"):
            os.unlink(path + ".old")
        os.link(path, path + ".old")
    os.rename(path + ".new", path)


def run(*argv):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


SCRIPT = "#!/bin/sh\nexit 0\n"


def accounts():
    for name in ("passwd", "group", "shadow", "gshadow"):
        for i in range(2):
            put(f"/etc/{name}", f"root:x:0:0::/root:/bin/sh\nuser{i}:x:{USER}:{USER}::/home/user:/bin/sh\n", 0o600 if "shadow" in name else 0o644)
    with open("/etc/shadow") as f:
        f.read()


def packages():
    for version in range(2):  # installed, then upgraded
        for path in ("/usr/bin/day-tool", "/usr/sbin/day-service", "/usr/lib/day.so"):
            put(path, f"#!/bin/sh\n# {version}\nexit 0\n", 0o755)
        os.makedirs("/var/lib/dpkg/info", exist_ok=True)
        put("/var/lib/dpkg/info/day.postinst", SCRIPT, 0o755)
        put("/tmp/day.config", SCRIPT, 0o755)  # debconf runs them from there
        run("/var/lib/dpkg/info/day.postinst")
        run("/tmp/day.config")
        run("/usr/bin/day-tool")
        put("/etc/day.conf", f"{version}\n")
    os.unlink("/usr/lib/day.so")


def compiling(folder):
    os.makedirs(folder, exist_ok=True)
    for i in range(20):
        with open(f"{folder}/{i}.o", "w") as f:
            f.write("x" * 1000)
    put(f"{folder}/a.out", SCRIPT, 0o755)
    run(f"{folder}/a.out")
    shutil.rmtree(folder)


def serving():
    run("/usr/sbin/day-service")
    with open("/etc/passwd") as f:
        f.read()
    with open("/var/www/log", "a") as f:
        f.write("GET /\n")
    with tempfile.TemporaryFile(dir="/tmp") as f:
        f.write(b"upload")


def logging_in():
    with open("/etc/passwd") as f:
        f.read()
    run("/bin/sh", "-c", "cd /home/user && echo x > file && cat file && rm file && /usr/bin/day-tool")


def day(name):
    done_as = [("accounts", as_user(0, accounts)), ("packages", as_user(0, packages)), ("compiling", as_user(0, lambda: compiling("/usr/src/day"))),
               ("service", as_user(WEB, serving)), ("cron", as_user(0, lambda: run("/bin/sh", "-c", "/usr/bin/day-tool && ls /var > /dev/null"))),
               ("login", as_user(USER, logging_in))]
    if name != "bastion":
        done_as.append(("user compiles", as_user(USER, lambda: compiling("/home/user/src"))))
    for what, got in done_as:
        check_equal(errno.errorcode.get(got, got), 0, f"{name}: {what}")


def attack(name):
    """What the rules are there to deny, each by a file that the day replaced or made."""
    put("/dev/shm/find", SCRIPT, 0o755)
    uid = USER if name in ("bastion", "workstation") else WEB
    denied = [("find", lambda: run("/dev/shm/find"))]
    if uid == WEB:
        os.chmod("/etc/day.conf", 0o666)  # so that only the rule refuses
        denied.append(("configuration", lambda: open("/etc/day.conf", "w")))
    if name == "web":
        os.chmod("/etc/shadow", 0o644)
        denied.append(("hashes", lambda: open("/etc/shadow").read()))
    for what, act in denied:
        check_equal(errno.errorcode.get(as_user(uid, act)), "EACCES", f"{name}: {what} is denied after the day")
    os.unlink("/dev/shm/find")


def machine_make():
    """Copies over what the work changes."""
    for path, mode in (("/etc", 0o755), ("/home", 0o755), ("/var", 0o755), ("/tmp", 0o1777), ("/dev/shm", 0o1777)):
        keep = "/etc" if path == "/etc" else None
        os.makedirs(path, exist_ok=True)
        copy = tempfile.mkdtemp(dir="/run")
        if keep:
            sh(f"cp -a /etc/. {copy}/")
        sh(f"mount -t tmpfs -o mode={mode:o} day {path}")
        if keep:
            sh(f"cp -a {copy}/. /etc/")
        shutil.rmtree(copy)
    for path in ("/var/tmp", "/var/www", "/var/lib", "/home/user", "/usr/src", "/usr/lib", "/usr/sbin"):
        os.makedirs(path, exist_ok=True)
    os.chmod("/var/tmp", 0o1777)
    os.chown("/var/www", WEB, WEB)
    os.chown("/home/user", USER, USER)
    accounts()


def case_days():
    for name in ("server", "web", "bastion", "workstation"):
        r = policy("apply", f"{POLICIES}/{name}.policy", ok=False)
        check_equal(r.code, 0, f"{name}: {r.stderr}")
        if r.code:
            continue
        day(name)
        check_equal({rule: row["refused"] for rule, row in counts().items() if row["refused"]}, {}, f"{name}: nothing was refused")
        attack(name)
        check(any(row["refused"] for row in counts().values()), f"{name}: that was refused by a rule")


def comes_back(what, works):
    """A policy under which it doesn't work was just applied, to be confirmed."""
    end = time.monotonic() + 60
    cut = not works()
    while not works() and time.monotonic() < end:
        time.sleep(0.05)
    check(cut and works(), f"{what}: was cut off, and came back by itself")


def applied(text):
    """And whoever applied it is gone: killed, should it still be there."""
    with tempfile.NamedTemporaryFile("w", suffix=".policy", dir="/run") as f:
        f.write(text)
        f.flush()
        process = subprocess.Popen([SONDA, "policy", "apply", f.name, "--confirm", "6s"], stderr=subprocess.PIPE, text=True)
        said = process.communicate()[1]
        process.kill()
        check_equal(process.returncode, 0, said)


def case_ssh():
    server = socket.create_server(("127.0.0.1", 22))

    def works():
        try:
            socket.create_connection(("127.0.0.1", 22), timeout=0.3).close()
            return True
        except OSError:
            return False

    applied("rule cut drop packet tcp port 22 on lo\n")
    comes_back("ssh", works)
    server.close()


def case_shell():
    shell = "/home/user/shell"
    shutil.copy(os.path.realpath("/bin/sh"), shell)
    applied(f"rule cut deny exec of file {shell}\n")
    comes_back("the shell", lambda: as_user(USER, lambda: run(shell, "-c", "true")) == 0)


def case_pins():
    """A rule about the pins keeps root from removing them by hand; sonda may, and so does unmounting."""
    apply("rule pins deny unlink, rename of file under /sys/fs/bpf\n")
    pin = "/sys/fs/bpf/sonda/policy/policy_state"
    check_equal(errno.errorcode.get(as_user(0, lambda: os.unlink(pin))), "EACCES", "pins stay")
    policy("off")
    check(not os.path.exists(pin), "but sonda may end it")


try:
    machine_make()
    case_ssh()
    r = apply("rule a deny read of file /etc/day\n", ok=False)
    policy("off")
    if r.code == 4:
        print(f"not shown: rules about files can't be enforced here: {r.stderr.strip()}")
    else:
        case_shell()
        case_pins()
        policy("off")
        case_days()
finally:
    policy("off", ok=False)
    shutil.rmtree(FOLDER)
done()
