#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Lock-out drills: policies that cut the admin off from ssh or from the shell come back by themselves, though
who applied them is gone; a rule about the pins doesn't lock sonda out. Truth: what connect, exec and unlink return."""

import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from calls import outcome, outcome_as, runs
from sondatest import *
from packets import apply, own_place, policy, sh

FOLDER = tempfile.mkdtemp(prefix="policy-lockout-", dir="/run")
USER = 1000
CONFIRM = "15s" if EMULATED else "5s"  # long enough to see that it is cut

os.chmod(FOLDER, 0o755)
own_place()
sh("ip link set lo up")


def comes_back(what, text, works):
    """A policy under which it doesn't work is applied, to be confirmed; who does it is killed when it is cut off: nobody reads
    what it says, so that it is still there."""
    said, says = os.pipe()
    os.set_blocking(says, False)
    try:
        while True:
            os.write(says, bytes(4096))
    except BlockingIOError:
        os.set_blocking(says, True)
    end = time.monotonic() + PATIENCE_S
    with tempfile.NamedTemporaryFile("w", suffix=".policy", dir="/run") as f:
        f.write(text)
        f.flush()
        process = subprocess.Popen([SONDA, "policy", "apply", f.name, "--confirm", CONFIRM], stderr=says)
        while works() and process.poll() is None and time.monotonic() < end:
            pass
        process.kill()
        check_equal(process.wait(), -9, f"{what}: who applied it was killed at it")
    os.close(said), os.close(says)
    cut = not works()
    end = time.monotonic() + PATIENCE_S
    while not works() and time.monotonic() < end:
        time.sleep(0.05)
    check(cut and works(), f"{what}: was cut off, and came back by itself")


def case_ssh():
    server = socket.create_server(("127.0.0.1", 22))

    def works():
        try:
            socket.create_connection(("127.0.0.1", 22), timeout=0.3).close()
            server.accept()[0].close()
            return True
        except OSError:
            return False

    comes_back("ssh", "rule cut drop packet tcp port 22 on lo\n", works)
    server.close()


def case_shell():
    shell = f"{FOLDER}/shell"
    shutil.copy(os.path.realpath("/bin/sh"), shell)
    comes_back("the shell", f"rule cut deny exec of file {shell}\n", lambda: outcome_as(USER, runs(shell, "-c", "true")) == 0)


def case_pins():
    """A rule about the pins keeps root from removing them by hand; sonda may, and so does unmounting."""
    apply("rule pins deny unlink, rename of file under /sys/fs/bpf\n")
    pin = "/sys/fs/bpf/sonda/policy/policy_state"
    check_equal(errno.errorcode.get(outcome(lambda: os.unlink(pin))), "EACCES", "pins stay")
    policy("off")
    check(not os.path.exists(pin), "but sonda may end it")


try:
    case_ssh()
    r = apply("rule a deny read of file /etc/day\n", ok=False)
    policy("off")
    if is_unsupported(r):
        print(f"not shown: rules about files can't be enforced here: {r.stderr.strip()}")
    else:
        case_shell()
        case_pins()
finally:
    policy("off", ok=False)
    shutil.rmtree(FOLDER)
done()
