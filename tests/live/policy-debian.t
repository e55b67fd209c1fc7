#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A day of normal work under each policy that is shipped, done by Debian's own tools: apt installs and dpkg upgrades,
adduser makes accounts, passwd changes passwords, a compiler compiles, cron runs jobs, services start, people log in by
ssh with key and password and by su. Nothing of it is denied; and what the rules deny still is when files were
replaced by it. Truth: what the tools end with, and what they left on the disk.

Needs the disk of tests/vm/root, and a kernel that can deny."""

import errno
import os
import pty
import select
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import packets
import sondatest
from calls import outcome_as, runs
from sondatest import *
from packets import counts, own_place, policy, sh

HERE = os.path.dirname(os.path.abspath(__file__))
DISK = "/dev/vm-root"
ROOT = "/mnt/debian"
PERSON, WEB = "ana", 33
PASSWORDS = [f"violet-Harbour{i}-lamp" for i in range(9)]
INSTALL = "apt-get -qq install -y --no-download --no-install-recommends"
POLICIES = ("server", "web", "bastion", "workstation")

PACKAGE = """Package: day
Version: {version}
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: a service
"""
# As Debian's own packages do it: an account of its own, a change of mode, the service started anew.
POSTINST = """#!/bin/sh
set -e
adduser --quiet --system --group --home /var/lib/day daysvc
install -d -o www-data -m 750 /var/lib/day
chown root:daysvc /etc/day.conf
ldconfig
"""
SERVICE = """#!/bin/sh
# {version}
id -un </etc/passwd >/var/lib/day/served
cat /etc/day.conf >/dev/null
"""
SOURCE = '#include <stdio.h>\nint main(void) { puts("built"); return 0; }\n'


def debian_enter():
    """That disk is the root of this process from here on."""
    own_place()
    sh("ip link set lo up")
    os.makedirs(ROOT, exist_ok=True)
    sh(f"mount {DISK} {ROOT}")
    for name in ("proc", "sys", "dev"):
        sh(f"mount --rbind /{name} {ROOT}/{name}")
    for name, mode in (("run", 0o755), ("tmp", 0o1777), ("dev/shm", 0o1777)):
        sh(f"mount -t tmpfs -o mode={mode:o} none {ROOT}/{name}")
    sondatest.SONDA = "/run/" + os.path.basename(shutil.copy(SONDA, f"{ROOT}/run/sonda"))
    shutil.copytree(os.path.join(HERE, "../../policies"), f"{ROOT}/run/policies")
    os.chroot(ROOT)
    os.chdir("/")
    os.environ.update(PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root", LC_ALL="C",
                      DEBIAN_FRONTEND="noninteractive")


def put(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def works(what, command, says=""):
    """A command of the day: it ends with 0, and says what it should."""
    got = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = got.stdout.decode(errors="replace")
    check(got.returncode == 0 and says in text, f"{what}: exit {got.returncode}: {text[-600:]}")


def asked(what, argv, answers, says=""):
    """A program that asks on a terminal: `answers` are what it asks for and what it is told, in order."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(argv[0], argv)
    text, answers = b"", list(answers)
    while select.select([fd], [], [], PATIENCE_S)[0]:
        try:
            got = os.read(fd, 4096)
        except OSError:  # it has ended
            break
        text += got
        if answers and answers[0][0] in text:
            os.write(fd, answers[0][1].encode() + b"\n")
            text = text.split(answers.pop(0)[0], 1)[1]
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    check(code == 0 and says.encode() in text and not answers, f"{what}: exit {code}, {len(answers)} not asked for: {text[-300:]}")


# ---- the day ----


def packages(version):
    folder = "/run/day"
    shutil.rmtree(folder, ignore_errors=True)
    put(f"{folder}/DEBIAN/control", PACKAGE.format(version=version))
    put(f"{folder}/DEBIAN/conffiles", "/etc/day.conf\n")
    put(f"{folder}/DEBIAN/postinst", POSTINST, 0o755)
    put(f"{folder}/etc/day.conf", f"{version}\n")
    put(f"{folder}/usr/sbin/day-service", SERVICE.format(version=version), 0o755)
    works("a package built", f"dpkg-deb -b {folder} /run/day.deb")
    works("installed or upgraded", "dpkg -i /run/day.deb")
    works("installed again from apt", f"{INSTALL} --reinstall cron")
    with open("/etc/day.conf") as conf:
        check_equal(conf.read(), f"{version}\n", "the upgrade put its file there")


def accounts(name):
    works("an account made", f"adduser --quiet --disabled-password --gecos '' --uid 2000 {name}")
    works("its password set", f"echo {name}:{PASSWORDS[0]} | chpasswd")
    works("a group for it", f"addgroup --quiet day-{name} && adduser --quiet {name} day-{name}")
    works("its account removed", f"deluser --quiet --remove-home {name}")


def password(old, new):
    asked("passwd", ["su", "-s", "/bin/sh", "-c", "passwd", PERSON],
          ((b"Current password:", old), (b"New password:", new), (b"Retype new password:", new)), "updated successfully")
    asked("su", ["su", "-s", "/bin/sh", "-c", f"su - {PERSON} -c 'id -un; pwd'", "nobody"], ((b"Password:", new),), f"/home/{PERSON}")


def compiling(who):
    home = f"/home/{PERSON}" if who == PERSON else "/usr/src"
    put(f"{home}/hello.c", SOURCE)
    works(f"{who} compiles", f"su -s /bin/sh -c 'cd && cd {home} && mkdir -p bin && chmod 755 bin && tcc -o bin/hello hello.c && bin/hello && "
          f"rm -r bin' {who}", "built")


def cron(version):
    done = f"/home/{PERSON}/ran-{version}"
    put("/etc/cron.d/day", f"@reboot {PERSON} /usr/local/bin/day-job {version}\n@reboot root /usr/local/bin/day-job root-{version}\n")
    put("/usr/local/bin/day-job", f"#!/bin/sh\nmktemp >/dev/null; echo \"$1\" >/home/{PERSON}/ran.$1.new; mv /home/{PERSON}/ran.$1.new /home/{PERSON}/ran-$1\n", 0o755)
    subprocess.run("service cron stop", shell=True, stdout=subprocess.DEVNULL)  # its package may have started it
    if os.path.exists("/run/crond.reboot"):
        os.unlink("/run/crond.reboot")
    works("cron started", "service cron start")
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and not (os.path.exists(done) and os.path.exists(f"/home/{PERSON}/ran-root-{version}")):
        time.sleep(0.05)
    check(os.path.exists(done), "cron ran a job of a person")
    check(os.path.exists(f"/home/{PERSON}/ran-root-{version}"), "cron ran a job of root")
    works("cron stopped", "service cron stop")


def services():
    if os.path.exists("/var/lib/day/served"):
        os.unlink("/var/lib/day/served")
    works("a service started", "start-stop-daemon --start --chuid www-data --exec /usr/sbin/day-service")
    check(os.path.exists("/var/lib/day/served"), "the service served")
    works("sshd started", "service ssh start")


def logging_in(secret):
    options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    works("ssh with a key", f"ssh {options} -o BatchMode=yes -i /root/.ssh/id_ed25519 {PERSON}@127.0.0.1 'id -un && touch here && rm here'", PERSON)
    put("/run/askpass", f"#!/bin/sh\necho {secret}\n", 0o700)
    works("ssh with a password", f"SSH_ASKPASS=/run/askpass SSH_ASKPASS_REQUIRE=force setsid ssh {options} -o PubkeyAuthentication=no "
          f"-o NumberOfPasswordPrompts=1 {PERSON}@127.0.0.1 'echo in > file && cat file && rm file'", "in")
    works("sshd stopped", "service ssh stop")


def installed():
    """What the days need; the first of them installs it."""
    works("apt installs", f"{INSTALL} openssh-server openssh-client cron tcc libc6-dev")
    works("a person", f"adduser --quiet --disabled-password --gecos '' {PERSON}")
    works("a password", f"echo {PERSON}:{PASSWORDS[0]} | chpasswd")
    works("a key", "mkdir -p -m 700 /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
    works("a key let in", f"install -d -o {PERSON} -m 700 /home/{PERSON}/.ssh && "
          f"install -o {PERSON} -m 600 /root/.ssh/id_ed25519.pub /home/{PERSON}/.ssh/authorized_keys")


def day(name, nth):
    packages(nth + 1)
    accounts(f"day{nth}")
    password(PASSWORDS[nth], PASSWORDS[nth + 1])
    compiling("root")
    if name != "bastion":  # nobody brings programs there
        compiling(PERSON)
    cron(nth)
    services()
    logging_in(PASSWORDS[nth + 1])


# ---- the rules hold after it ----


def code(uid, act):
    return errno.errorcode.get(outcome_as(uid, act))


def attacks(name):
    """What the rules are there to deny, each of a file that the day replaced or made."""
    put("/dev/shm/find", "#!/bin/sh\nexit 0\n", 0o755)
    uid = {"bastion": 1000, "workstation": 1000}.get(name, WEB)
    check_equal(code(uid, runs("/dev/shm/find")), "EACCES", f"{name}: what was found is not run")
    if uid == WEB:
        os.chmod("/etc/day.conf", 0o666)  # so that only the rule refuses
        check_equal(code(uid, lambda: open("/etc/day.conf", "w")), "EACCES", f"{name}: configuration stays")
    if name == "web":
        os.chmod("/etc/shadow", 0o644)
        check_equal(code(uid, lambda: open("/etc/shadow")), "EACCES", f"{name}: hashes stay unread")
        os.chmod("/etc/shadow", 0o640)
    os.unlink("/dev/shm/find")


def case_days():
    for nth, name in enumerate(POLICIES):
        applied = policy("apply", f"/run/policies/{name}.policy", ok=False)
        check_equal(applied.code, 0, f"{name}: {applied.stderr}")
        if nth == 0:
            installed()
        day(name, nth)
        check_equal({rule: row["refused"] for rule, row in counts().items() if row["refused"]}, {}, f"{name}: nothing was refused")
        attacks(name)
        check(any(row["refused"] for row in counts().values()), f"{name}: that was refused by a rule")


if not os.path.exists(DISK):
    skip(f"no {DISK}: the Debian of tests/vm/root")
debian_enter()
try:
    case_days()
finally:
    subprocess.run("service ssh stop; service cron stop", shell=True, stdout=subprocess.DEVNULL)
    policy("off", ok=False)
done()
