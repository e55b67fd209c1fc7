#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""top on a terminal: drawn in place, every key, and the terminal as it was when it ends, in whatever way."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

from sondatest import *

os.environ["LC_ALL"] = "C.UTF-8"
directory = tempfile.TemporaryDirectory()
PATH = directory.name
open(f"{PATH}/there", "w").close()

UP, DOWN, RIGHT, LEFT, ESCAPE = "\033[A", "\033[B", "\033[C", "\033OD", "\033"


class Opener:
    """A process of that name that opens a file again and again."""

    def __init__(self, name):
        code = f"""
import os, signal, sys
open("/proc/self/comm", "w").write({name!r})
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    os.close(os.open({PATH + "/there"!r}, os.O_RDONLY))
    signal.sigtimedwait([], 0.01)
"""
        self.process = subprocess.Popen([sys.executable, "-c", code])

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()


class Terminal:
    """sonda on a terminal of its own, 24 lines by 100 columns."""

    def __init__(self, *args):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(SONDA, [SONDA, *args])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.out = ""

    def wait(self, text, count=1):
        end = time.monotonic() + PATIENCE_S
        while self.out.count(text) < count and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.out += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    break
        return check(self.out.count(text) >= count, f"the terminal shows {text!r}: {self.out[-300:]!r}")

    def press(self, key):
        self.out = ""
        os.write(self.fd, key.encode())

    def resize(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def is_cooked(self):
        return bool(termios.tcgetattr(self.fd)[3] & (termios.ICANON | termios.ECHO))

    def ends(self, code):
        self.wait("seen ")
        check(self.is_cooked(), "the terminal is as it was")
        check("\033[?25h" in self.out, "the cursor is back")
        check_equal(os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), code, "exit code")
        os.close(self.fd)


def terminal():
    args = ("top", "fs.open", "--by", "comm", "--interval", "100ms")
    t = Terminal(*args)
    t.wait("OPENS/S▼")
    check(not t.is_cooked(), "keys are read one by one")
    check("\033[H" in t.out and "q quit" in t.out, "drawn in place, with its keys")
    t.press("s")
    t.wait("TOOK-P99▼")
    t.press(RIGHT)
    t.wait("COMM▼")
    t.press(LEFT)
    t.wait("TOOK-P99▼")
    t.press("<")
    t.wait("OPENS/S▼")
    t.press("r")
    t.wait("OPENS/S▲")
    t.press("t")
    t.wait("OPENS▲")
    t.press("h")
    t.wait("only groups whose labels hold")
    t.press(" ")  # leaves the help, and does not pause
    t.wait("OPENS▲")
    check("paused" not in t.out, "a key that leaves the help does nothing else")
    t.press(" ")
    t.wait("paused")
    t.press(" ")
    t.press("/")
    t.wait("only with '_'")
    with Opener("sonda-one") as one, Opener("sonda-two") as two:
        t.press("a-Onx\x7fE")  # q and r would be letters here
        t.wait("only with 'a-OnE_'")
        t.press("\r")
        t.wait("sonda-one", 2)
        check("sonda-two" not in t.out.split("only with 'a-OnE'")[-1], "the filter holds")
        t.press(ESCAPE)
        t.wait("sonda-two")
    t.resize(40, 60)
    t.wait("\033[H", 2)
    t.press("q")
    t.ends(0)
    lines = re.sub(r"\033\[[^A-Za-z]*[A-Za-z]", "", t.out).split("\r\n")
    check(max(len(line) for line in lines if not line.startswith("sonda: ")) <= 100, "no line is wider")
    check(lines[-4:] and any("OPENS/S" in line and len(line) <= 60 for line in lines), "the narrow screen is drawn")
    for sig in signal.SIGINT, signal.SIGTERM:
        t = Terminal(*args)
        t.wait("OPENS/S▼")
        os.kill(t.pid, sig)
        t.ends(0)


terminal()
done()
