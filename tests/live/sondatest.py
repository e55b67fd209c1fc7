# SPDX-License-Identifier: BSD-2-Clause
"""What live tests share: start sonda, wait until it watches, run a workload, read what it said.

    from sondatest import *
    with Sonda("trace", "fs.open", "--comm", "cat") as s:
        subprocess.run(["cat", "/etc/hostname"])
    check_equal(s.stats["lost"], 0, "nothing lost")
    done()

Truth comes from outside sonda: the workload's own count, strace, /proc. Nothing here sleeps for luck.
"""

import ast
import atexit
import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback

SONDA = os.environ.get("SONDA", os.path.join(os.path.dirname(__file__), "../../build/sonda"))
IN_GUEST = os.path.exists("/dev/vm-scratch0")
PATIENCE_S = int(os.environ.get("SONDA_TEST_PATIENCE", "120"))  # a guest without KVM is slow

# in a guest every instruction is translated: workloads that only repeat themselves repeat less there
EMULATED = bool(os.environ.get("SONDA_TEST_EMULATED"))

# Who is started in the background of a script ignores it, as would all that a test starts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_failures = 0
_checks = 0
_running = []


def check(condition, what):
    """Counts a check; prints `what` when it does not hold."""
    global _failures, _checks
    _checks += 1
    if not condition:
        _failures += 1
        print(f"not true: {what}", flush=True)
    return bool(condition)


def unseen(n):
    """How many of `n` things that happen while anybody has the CPU (wake-ups, completions, interrupts) may be missing. The
    kernel of the machine that these tests run on outside a guest runs no BPF program while a thread of process 1 has the
    CPU, and counts none as skipped: about one in a thousand, more while that process is busy."""
    return 0 if IN_GUEST else max(n // 10, 1)


def check_equal(got, want, what):
    return check(got == want, f"{what}: got {got!r}, want {want!r}")


def check_told(got, want, stats, what):
    """All that was wanted is told, in order; but for as many as sonda says that it missed, where the kernel
    skipped its program because it ran already on that CPU (7.x, and under preemption)."""
    missed = stats.get("missed", 0)
    if not missed:
        first = next((pair for pair in zip(got, want) if pair[0] != pair[1]), None)
        return check(got == want, f"{what}: {len(got)} of {len(want)}, the first that differ (got, want): {first}")
    rest = iter(want)
    return check(all(g in rest for g in got) and len(got) >= len(want) - missed,
                 f"{what}: {len(got)} of {len(want)}, {missed} missed")


def skip(reason):
    """This machine can't show it: say why and leave with 77."""
    print(reason, flush=True)
    sys.exit(77)


def is_unsupported(r):
    """Has the kernel no hook for it? A program that the verifier refuses is no such reason."""
    return r.code == 4 and "the verifier refuses" not in r.stderr


def is_in_force(r):
    """Judges what `sonda policy apply` said; leaves the test where the kernel can't."""
    if is_unsupported(r):
        skip(f"the rules can't be enforced here: {r.stderr.strip().splitlines()[0]}")
    return check_equal(r.code, 0, f"applied: {r.stderr}")


def done():
    """The end of a test: the status says whether all checks held."""
    print(f"{_checks - _failures} of {_checks} checks hold", flush=True)
    sys.exit(1 if _failures else 0)


def parse_stats(stderr):
    """{"seen": S, "delivered": D, "filtered": F, "lost": L} of the closing line, and what follows
    it by name ("truncated", "missed" ...)."""
    line = next((l for l in reversed(stderr.splitlines()) if re.match(r"(sonda: )?seen \d", l)), "")
    return {word: int(n) for word, n in re.findall(r"([a-z]+) (\d+)", line)}


class Result:
    def __init__(self, stdout, stderr, code):
        self.stdout, self.stderr, self.code = stdout, stderr, code
        self.stats = parse_stats(stderr)
        self.lines = stdout.splitlines()

    @functools.cached_property
    def rows(self):
        """The JSON rows that are events (losses are in .losses, the counts at the end in .trailer)."""
        return [r for r in self.all_rows if "lost" not in r]

    @functools.cached_property
    def losses(self):
        return [r for r in self.all_rows if "lost" in r and "seen" not in r]

    @functools.cached_property
    def trailer(self):
        return next((r for r in self.all_rows[-1:] if "lost" in r and "seen" in r), None)

    @functools.cached_property
    def all_rows(self):
        # split at newlines only: names may hold what splitlines() takes for line ends
        rows = []
        for line in self.stdout.split("\n"):
            if not line.startswith("{"):
                continue
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as e:
                check(False, f"a line is JSON: {e}: {line!r}")
        return rows


def run_sonda(*args, json_output=True, timeout=None, env=None, input=None):
    """Runs sonda to its end: for `-- COMMAND`, list, check, errors."""
    argv = [SONDA, *_with_json(args, json_output)]
    done_ = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, input=input,
                           timeout=timeout or PATIENCE_S, env=env)
    return Result(done_.stdout.decode(errors="surrogateescape"), done_.stderr.decode(errors="replace"),
                  done_.returncode)


def columns_on_terminal(*args):
    """What a table's header shows on a terminal of 80 columns, which a new one is taken to have."""
    terminal, screen = os.openpty()
    with os.fdopen(terminal, "rb") as shown:
        ended = subprocess.Popen([SONDA, *map(str, args)], stdout=screen, stderr=subprocess.DEVNULL,
                                 env=dict(os.environ, NO_COLOR="1"))
        os.close(screen)
        header = shown.readline().decode().split()
        try:
            while shown.read1(4096):
                pass
        except OSError:  # its other end is closed
            pass
        ended.wait()
    return header


def _with_json(args, json_output):
    args = [str(a) for a in args]
    if not json_output or "-o" in args:
        return args
    at = args.index("--") if "--" in args else len(args)
    return args[:at] + ["-o", "json"] + args[at:]


def link_types(pid):
    """How a process has attached its programs, as the kernel tells: ["raw_tracepoint", "uprobe_multi", ...]."""
    types = []
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        with open(f"/proc/{pid}/fdinfo/{fd}") as f:
            types += re.findall(r"^link_type:\s*(\w+)", f.read(), re.M)
    return types


def in_process(body, *args):
    """Runs body(*args) in a child; its pid and what it returned: plain values, lists, tuples, dicts."""
    r, w = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with os.fdopen(w, "w") as f:
                f.write(repr(body(*args)))
            status = 0
        except Exception:
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
        finally:
            os._exit(status)
    os.close(w)
    with os.fdopen(r) as f:
        said = f.read()
    check_equal(os.waitpid(pid, 0)[1], 0, f"the workload {body.__name__} runs")
    return pid, ast.literal_eval(said) if said else None


class Sonda:
    """A sonda that watches while the block runs; ended by SIGINT when the block is left."""

    def __init__(self, *args, json_output=True, env=None):
        self.argv = [SONDA, *_with_json(args, json_output)]
        self.env = env
        self._out, self._err = [], []
        self.result = None

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env)
        _running.append(self.process)
        self._ready = threading.Event()
        self._grew = threading.Condition()
        self._threads = [threading.Thread(target=self._read_out), threading.Thread(target=self._read_err)]
        for t in self._threads:
            t.start()
        if not self._ready.wait(PATIENCE_S) or self.process.poll() is not None:
            self.stop()
            print("sonda did not start:", " ".join(self.argv), "\n" + self.result.stderr, flush=True)
            sys.exit(1)
        return self

    def __exit__(self, *exc):
        self.stop()
        return False

    def _read_out(self):
        for chunk in iter(lambda: os.read(self.process.stdout.fileno(), 1 << 16), b""):
            with self._grew:
                self._out.append(chunk)
                self._grew.notify_all()

    def _read_err(self):
        for line in self.process.stderr:
            self._err.append(line)
            if b"watching" in line:
                self._ready.set()
        self._ready.set()

    def wait_row(self, matches, timeout=None):
        """Waits until a row for which matches(row) holds has been printed; returns it or None."""
        end = time.monotonic() + (timeout or PATIENCE_S)
        chunks, rest = 0, b""
        while True:
            with self._grew:
                if chunks == len(self._out):
                    left = end - time.monotonic()
                    if left <= 0 or self.process.poll() is not None:
                        return None
                    self._grew.wait(min(left, 1))
                new, chunks = b"".join(self._out[chunks:]), len(self._out)
            *lines, rest = (rest + new).split(b"\n")
            for line in lines:
                text = line.decode(errors="surrogateescape")
                if text.startswith("{") and "lost" not in (row := json.loads(text)) and matches(row):
                    return row

    def stop(self, sig=signal.SIGINT):
        if self.result:
            return self.result
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            check(False, "sonda ends on SIGINT")
            self.process.kill()
            self.process.wait()
        for t in self._threads:
            t.join()
        _running.remove(self.process)
        self.result = Result(b"".join(self._out).decode(errors="surrogateescape"),
                             b"".join(self._err).decode(errors="replace"), self.process.returncode)
        return self.result

    def __getattr__(self, name):  # rows, stats, stderr, code ... of the finished run
        if name in ("rows", "losses", "trailer", "all_rows", "stats", "stdout", "stderr", "lines", "code"):
            return getattr(self.stop(), name)
        raise AttributeError(name)


@atexit.register
def _end_what_runs():
    for process in _running:
        if process.poll() is None:
            process.kill()
