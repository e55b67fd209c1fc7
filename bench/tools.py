# SPDX-License-Identifier: BSD-2-Clause
"""Programs that a benchmark starts and stops, and what the kernel says of them."""

import contextlib
import ctypes
import os
import re
import signal
import statistics
import subprocess
import time

SONDA = os.path.abspath(os.environ.get("SONDA", "build/sonda"))
BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
BENCH = os.path.dirname(os.path.abspath(__file__))
OUT = f"{BUILD}/bench"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PATIENCE_S = 20
SYSCALL_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
BPF_ENABLE_STATS = 32
WORK_CPU = os.cpu_count() - 1  # workloads run here, tracers on the others
TRACER_CPUS = set(range(os.cpu_count() - 1)) or {0}
HOOK = re.compile(r"anon_inode:(bpf_link|bpf-link|\[perf_event\]|bpf-raw-tracepoint|\[?bpf.*link)")


class Tracer:
    """A program that attaches BPF programs: runs from `with` to its end, on CPUs the workload is not on.
    What it says on stderr is in `said` afterwards."""

    def __init__(self, *command, stdout=subprocess.DEVNULL):
        self.command, self.stdout, self.said = command, stdout, ""

    def __enter__(self):
        if not self.command[0]:
            raise SystemExit("bench/run: a program to compare with is missing: run tools/setup --bench")
        self.process = subprocess.Popen(self.command, stdout=self.stdout, stderr=subprocess.PIPE,
                                        text=True, preexec_fn=lambda: os.sched_setaffinity(0, TRACER_CPUS))
        try:
            self.await_hooks()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.said = self.process.communicate(timeout=PATIENCE_S)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.said = self.process.communicate()[1]

    def hooks(self):
        """How many hooks it has attached by now."""
        fds, n = f"/proc/{self.process.pid}/fd", 0
        for fd in os.listdir(fds):
            with contextlib.suppress(OSError):
                n += bool(HOOK.match(os.readlink(f"{fds}/{fd}")))
        return n

    def await_hooks(self):
        """Until it has attached all of them: none was added in three looks."""
        same, before, until = 0, 0, time.monotonic() + PATIENCE_S
        while same < 3:
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{' '.join(self.command)}: attached nothing: {self.process.stderr.read()}")
            time.sleep(0.03)
            now = self.hooks()
            same = same + 1 if now and now == before else 0
            before = now

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            user, system = f.read().rsplit(") ", 1)[1].split()[11:13]
        return (int(user) + int(system)) / TICKS_PER_S

    def cpu_ns(self):
        with open(f"/proc/{self.process.pid}/schedstat") as f:
            return int(f.read().split()[0])

    def status(self, key):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(rf"^{key}:\s+(\d+)", f.read(), re.M).group(1))

    def wakeups(self):
        return self.status("voluntary_ctxt_switches")

    def run_ns(self):
        """Time spent in its BPF programs while the kernel kept statistics."""
        fds, seen = f"/proc/{self.process.pid}/fdinfo", {}
        for fd in os.listdir(fds):
            with contextlib.suppress(OSError), open(f"{fds}/{fd}") as f:
                of = dict(line.split(":\t", 1) for line in f if ":\t" in line)
                if "run_time_ns" in of:
                    seen[of["prog_id"]] = int(of["run_time_ns"])
        return sum(seen.values())

    def accounts(self):
        """sonda's closing line, as {"seen": 1, "delivered": 1 ...}."""
        return {what: int(n) for what, n in re.findall(r"(seen|delivered|filtered|lost) (\d+)", self.said)}


class Work:
    """A workload that answers each line on its stdin with one on its stdout."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=lambda: os.sched_setaffinity(0, {WORK_CPU}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def do(self, *numbers):
        print(*numbers, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


@contextlib.contextmanager
def background(*command):
    """Runs `command`, and what it starts, until the block ends."""
    process = subprocess.Popen(command, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def without_run_statistics():
    """The kernel doesn't time BPF programs in the block, unless somebody holds a descriptor for it."""
    path = "/proc/sys/kernel/bpf_stats_enabled"
    with open(path) as f:
        before = f.read()
    with open(path, "w") as f:
        f.write("0")
    try:
        yield
    finally:
        with open(path, "w") as f:
            f.write(before)


@contextlib.contextmanager
def run_statistics():
    """The kernel times every BPF program in the block, whatever others do to the sysctl meanwhile. It makes
    them slower: keep it short."""
    attr = ctypes.create_string_buffer(128)  # type: BPF_STATS_RUN_TIME, 0
    fd = ctypes.CDLL(None, use_errno=True).syscall(SYSCALL_BPF, BPF_ENABLE_STATS, attr, len(attr))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "BPF_ENABLE_STATS")
    try:
        yield
    finally:
        os.close(fd)


def struct_bytes(probe, name):
    """The size of an event's struct, from the probe's BTF."""
    text = subprocess.run(["bpftool", "btf", "dump", "file", f"{BUILD}/probes/{probe}.bpf.o"],
                          capture_output=True, check=True, text=True).stdout
    return int(re.search(rf"STRUCT '{name}' size=(\d+)", text).group(1))


def median(values):
    return statistics.median(values)
