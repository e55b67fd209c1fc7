#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Whatever happens on the way from the kernel to the output: losses are counted to the last event, outputs
may close, fill up or block, recordings may be cut, sonda may be killed; filters say the same wherever they
are evaluated."""

import ctypes
import errno
import fcntl
import platform
import select
import shutil
import struct
import sys
import tempfile
import termios

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from sondatest import *

HERE = os.getpid()
LIBC = ctypes.CDLL(None, use_errno=True)
scratch = tempfile.mkdtemp()
atexit.register(shutil.rmtree, scratch)
target = os.path.join(scratch, "target")
open(target, "w").close()

STORM = """
import os, sys
path, count, o, c = sys.argv[1], int(sys.argv[2]), os.open, os.close
for i in range(count):
    c(o(path, 0))
"""


def storm_command(count):
    return ["--", sys.executable, "-c", STORM, target, str(count)]


def opens(count):
    for _ in range(count):
        os.close(os.open(target, os.O_RDONLY))


def storm_size():
    """A million opens, or what takes this machine three seconds: a guest without KVM is slow."""
    begin = time.monotonic()
    opens(5000)
    return max(20_000, min(1_000_000, int(15_000 / (time.monotonic() - begin))))


MANY = storm_size()
SOME = max(4_000, MANY // 20)


def holds(stats, what):
    check(stats and stats["seen"] == stats["delivered"] + stats["filtered"] + stats["lost"],
          f"{what}: seen = delivered + filtered + lost: {stats}")


def until(condition, what):
    """Waits for something that has no event to wait for."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            return check(False, f"{what} within {PATIENCE_S} s")
        time.sleep(0.01)
    return True


def to_file(name, *args):
    """Runs sonda to its end with its output in a file; (path, Result without stdout)."""
    path = os.path.join(scratch, name)
    with open(path, "wb") as out:
        done_ = subprocess.run([SONDA, *map(str, args)], stdout=out, stderr=subprocess.PIPE, timeout=PATIENCE_S * 4)
    return path, Result("", done_.stderr.decode(errors="replace"), done_.returncode)


def storms_lose_nothing_unnoticed():
    for form in ("json", "text"):
        path, r = to_file(f"storm.{form}", "trace", "fs.open", "--path", target, "--buffer", 4096, "-o", form,
                          "--fields", "probe,fd", "--no-header", *storm_command(MANY))
        check_equal(r.code, 0, f"a storm as {form}: {r.stderr}")
        holds(r.stats, f"a storm as {form}")
        rows = lost = loss_rows = 0
        trailer = None
        with open(path) as lines:
            for line in lines:
                if form == "json" and '"lost"' in line:
                    row = json.loads(line)
                    check(trailer is None, f"nothing behind the trailer: {line}")
                    if "seen" in row:
                        trailer = row
                        continue
                    check(row["probe"] == "fs.open" and row["cause"] == "ring", f"what a loss says: {line}")
                    lost, loss_rows = lost + row["lost"], loss_rows + 1
                elif m := re.search(r"fs\.open: lost (\d+) \(ring\)", line):
                    lost, loss_rows = lost + int(m[1]), loss_rows + 1
                else:
                    rows += 1
        check_equal(rows, r.stats["delivered"], f"{form}: rows are what was delivered")
        if form == "json":
            counts = {word: trailer[word] for word in ("seen", "delivered", "filtered", "lost")}
            check_equal(counts, {word: r.stats[word] for word in counts}, "the trailer says what the closing line says")
            check_equal(trailer["lost_by"], {"ring": lost, "state": 0, "busy": 0, "room": 0, "missed": 0, "unread": 0}, "lost by")
            check(trailer["cpu_ms"] > 0 and [h["probe"] for h in trailer["hooks"] if h["hook"]], f"cost and hooks: {trailer}")
        check_equal(lost, r.stats["lost"], f"{form}: losses as rows add up")
        check(loss_rows > 1 and lost > 0, f"{form}: a ring of a page loses some of {MANY}, and says so as it happens")
        check_equal(rows + lost, MANY, f"{form}: every open of the workload is delivered or lost")


def strict_fails_when_something_is_lost():
    for probe, *more in (["fs.open", "--path", target, "--buffer", 4096, *storm_command(MANY)], ["process.exit", "--", "true"]):
        _, r = to_file("strict", "trace", probe, "--strict", "-o", "null", *more)
        lost = r.stats["lost"] > 0 or "not seen here" in r.stderr
        check(lost or probe == "process.exit", f"a ring of a page loses: {r.stderr}")
        check_equal((r.code, "--strict: not everything was seen" in r.stderr), (int(lost), lost), f"--strict {probe}: {r.stderr}")


def recordings_keep_losses_and_accounts():
    path = os.path.join(scratch, "storm.rec")
    r = run_sonda("record", "fs.open", "--path", target, "--buffer", 4096, "--to", path, *storm_command(SOME),
                  json_output=False)
    check_equal(r.code, 0, f"record: {r.stderr}")
    holds(r.stats, "record")
    check(r.stats["lost"] > 0, "some were lost")
    again = run_sonda("replay", path, "--fields", "fd")
    check_equal(again.stats, r.stats, "the closing line of replay is that of the recording")
    check_equal(len(again.rows), r.stats["delivered"], "replay shows every row")
    check_equal(sum(l["lost"] for l in again.losses), r.stats["lost"], "replay shows every loss")
    times = [row["time"] for row in again.losses]
    check_equal(times, sorted(times), "losses in the order of time")
    none = run_sonda("replay", path, "--where", "fd == -77")
    holds(none.stats, "replay with a condition")
    check_equal((none.stats["seen"], none.stats["delivered"]), (r.stats["seen"], 0), "a condition of replay's own")
    few = run_sonda("replay", path, "-n", 10)
    check_equal(len(few.rows), 10, "replay --count")
    holds(few.stats, "replay --count")
    check_equal(run_sonda("replay", path, "--strict", "-o", "null").code, 1, "--strict of a recording with losses")
    piped = subprocess.run(f"'{SONDA}' replay - -o null <'{path}'", shell=True, stderr=subprocess.PIPE, text=True)
    check_equal(parse_stats(piped.stderr), r.stats, "from standard input")


def cut_recordings_give_what_is_whole():
    cut = os.path.join(scratch, "cut.rec")
    path = os.path.join(scratch, "whole.rec")
    r = run_sonda("record", "fs.open", "--path", target, "--to", path, *storm_command(6000), json_output=False)
    check(r.code == 0 and r.stats["delivered"] > 3000, f"a recording of several blocks: {r.stderr}")
    with open(path, "rb") as f:
        whole = f.read()
    middle = len(whole) // 2
    damaged = whole[:middle] + bytes([whole[middle] ^ 0x55]) + whole[middle + 1:]
    cases = [(whole[: len(whole) * 2 // 3], "ends in the middle"), (whole[:-1], "ends in the middle"), (damaged, "is damaged"),
             (b"", "is empty"), (b"not a recording, but long enough to hold the head of one" * 9, "is no recording")]
    for bytes_, words in cases:
        with open(cut, "wb") as f:
            f.write(bytes_)
        r = run_sonda("replay", cut, "--fields", "fd")
        check_equal(r.code, 1, f"a recording that {words}: exit code")
        errors = [l for l in r.stderr.splitlines() if "seen" not in l]
        check(len(errors) == 1 and words in errors[0], f"a recording that {words}: one message: {errors}")
        if told := re.search(r"(\d+) rows read", r.stderr):
            check_equal(len(r.rows), int(told[1]), "rows shown are those told")
            check(len(r.rows) > 0, "what is whole is shown")
            holds(r.stats, f"a recording that {words}")


def a_full_disk_keeps_what_was_recorded():
    disk = os.path.join(scratch, "disk")
    os.mkdir(disk)

    def small_disk():  # in a mount namespace of its own, so that nothing is left of it
        if LIBC.unshare(0x00020000) or LIBC.mount(b"none", b"/", None, 0x4000 | 0x40000, None) or \
                LIBC.mount(b"none", disk.encode(), b"tmpfs", 0, b"size=16k"):
            raise OSError(ctypes.get_errno(), "mount")

    script = f"""
{SONDA} record fs.open --path {target} --to {disk}/full.rec -- "$@"
echo "code $?" >&2
{SONDA} replay {disk}/full.rec -o json --fields fd
echo "code $?" >&2
"""
    done_ = subprocess.run(["sh", "-c", script, "sh", *storm_command(2 * SOME)[1:]], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, preexec_fn=small_disk, timeout=PATIENCE_S)
    record, replay = done_.stderr.split("code 1\n")[:2] if done_.stderr.count("code 1\n") == 2 else ("", "")
    check(record, f"both exit with 1: {done_.stderr}")
    errors = [l for l in record.splitlines() if "No space left on device" in l]
    check_equal(len(errors), 1, f"one message about the disk: {record!r}")
    told = re.search(r"ends in the middle: (\d+) rows read", replay)
    check(told and int(told[1]) > 0, f"a valid prefix: {replay!r}")
    check_equal(len(done_.stdout.splitlines()), int(told[1]) if told else -1, "its rows")


def a_killed_recording_can_be_replayed():
    path = os.path.join(scratch, "killed.rec")
    with Sonda("record", "fs.open", "--pid", HERE, "--to", path, json_output=False) as s:
        head = os.path.getsize(path)
        until(lambda: opens(100) or os.path.getsize(path) > head + 2000, "the recording grows while it runs")
        s.process.kill()
    r = run_sonda("replay", path, "--fields", "pid")
    check_equal(r.code, 1, "replay of it")
    check("ends in the middle" in r.stderr and r.rows, f"what was written by then: {r.stderr!r}")
    check_equal({row["pid"] for row in r.rows}, {HERE}, "its rows")


def a_lost_terminal_ends_a_recording_well():
    """As SIGTERM does; but under nohup it goes on, which an open after the signal shows."""
    path = os.path.join(scratch, "hung-up.rec")
    for ignored in (False, True):
        was = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
        with Sonda("record", "fs.open", "--pid", HERE, "--to", path, json_output=False) as s:
            head = os.path.getsize(path)
            until(lambda: opens(100) or os.path.getsize(path) > head + 2000, "the recording grows")
            s.process.send_signal(signal.SIGHUP)
            head = os.path.getsize(path)
            if ignored:
                until(lambda: opens(100) or os.path.getsize(path) > head + 2000, "it still grows under nohup")
            else:
                until(lambda: s.process.poll() is not None, "SIGHUP ends it")
        signal.signal(signal.SIGHUP, was)
        holds(s.stats, "SIGHUP")
        r = run_sonda("replay", path, "--fields", "pid")
        check_equal((s.code, r.code, len(r.rows)), (0, 0, s.stats.get("delivered")), f"SIGHUP, ignored {ignored}: replay")


def a_recording_is_cut_by_time():
    """Each row's own time cuts at that row, as JSON has it and as text has it."""
    path = os.path.join(scratch, "times.rec")
    with Sonda("record", "fs.open", "--path", target, "--to", path, json_output=False):
        opens(20)
    rows = run_sonda("replay", path).rows
    check_equal(len(rows), 20, "rows of the recording")
    for at in (0, 7, 19):
        after = run_sonda("replay", path, "--where", f"time >= {rows[at]['time']}").rows
        check(after == rows[at:], f"time >= the row {at}: {len(after)} rows")
    text = run_sonda("replay", path, "--no-header", json_output=False).stdout.splitlines()
    clock = text[7].split()[0]
    late = run_sonda("replay", path, "--no-header", "--where", f"time < {clock}", json_output=False).stdout.splitlines()
    check(late == [l for l in text if l.split()[0] < clock], f"time < {clock}: {len(late)} rows")
    r = run_sonda("replay", path, "--pid", "1")
    check_equal(r.code, 2, "replay --pid: exit code")
    check("--where: 'pid == 1" in r.stderr, f"replay --pid says how: {r.stderr!r}")


def a_closed_pipe_is_told():
    for form in ("json", "text", "csv"):
        p = subprocess.Popen([SONDA, "trace", "fs.open", "-o", form], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while b"watching" not in p.stderr.readline():
            pass
        opens(10)
        p.stdout.readline()
        p.stdout.close()
        until(lambda: opens(10) or p.poll() is not None, "sonda ends when its output is closed")
        stderr = p.stderr.read().decode()
        check_equal(p.wait(), 1, f"{form} | head -1: exit code")
        check_equal(stderr.count("the reader of the output has gone"), 1, f"one message: {stderr!r}")
        holds(parse_stats(stderr), f"{form} | head -1")


def is_full(pipe):
    """As a writer finds it: how many bytes that are depends on the sizes of what was written."""
    fd = os.open(f"/proc/self/fd/{pipe.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    ready = poll.poll(0)
    os.close(fd)
    return not ready


def a_signal_ends_it_though_nobody_reads():
    for sig in (signal.SIGINT, signal.SIGTERM):
        p = subprocess.Popen([SONDA, "trace", "fs.open", "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while b"watching" not in p.stderr.readline():
            pass
        until(lambda: opens(100) or is_full(p.stdout), "the pipe fills")
        opens(100)
        p.send_signal(sig)
        try:
            check_equal(p.wait(PATIENCE_S), 1, f"{sig.name} on a full pipe: exit code")
        except subprocess.TimeoutExpired:
            check(False, f"{sig.name} ends sonda though its output is blocked")
            p.kill()
        holds(parse_stats(p.stderr.read().decode()), f"{sig.name} on a full pipe")
        p.stdout.close()


def bpf(command, attr):
    """bpf(2): a descriptor, or -errno."""
    number = {"x86_64": 321, "aarch64": 280}[platform.machine()]
    buf = ctypes.create_string_buffer(attr.ljust(128, b"\0"), 128)
    fd = LIBC.syscall(number, command, buf, 128)
    return fd if fd >= 0 else -ctypes.get_errno()


def program_exists(id_):
    fd = bpf(13, struct.pack("I", id_))  # BPF_PROG_GET_FD_BY_ID
    if fd >= 0:
        os.close(fd)
    return fd != -errno.ENOENT


def programs_of(pid):
    ids = set()
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        with open(f"/proc/{pid}/fdinfo/{name}") as f:
            ids |= {int(l.split()[1]) for l in f if l.startswith("prog_id:")}
    return ids


def nothing_is_left():
    for sig in (signal.SIGKILL, signal.SIGINT):
        with Sonda("trace", "fs.open", "process.exec", "net.dns", "--tree", HERE) as s:
            ids = programs_of(s.process.pid)
            check(len(ids) >= 4 and all(map(program_exists, ids)), f"its programs are there: {ids}")
            s.stop(sig)
        until(lambda: not any(map(program_exists, ids)), f"no program is left after {sig.name}")


def sonda_leaves_itself_out():
    with Sonda("trace", "fs.open", "process.exec") as s:
        pid = s.process.pid
        for _ in range(3):
            subprocess.run(["cat", target], check=True)
        s.wait_row(lambda r: r["probe"] == "fs.open" and r["path"] == target)
    check(len([r for r in s.rows if r["probe"] == "fs.open" and r["path"] == target]) >= 3, "others are seen")
    check_equal([r for r in s.rows if r["pid"] == pid], [], "sonda's own are not")
    holds(s.stats, "two probes")


def it_ends_when_it_should():
    with Sonda("trace", "fs.open", "--pid", HERE, "-n", 3) as s:
        opens(50)
        until(lambda: s.process.poll() is not None, "--count ends it")
    check_equal((len(s.rows), s.code, s.stats["delivered"]), (3, 0, 3), "--count 3")
    holds(s.stats, "--count")
    r = run_sonda("trace", "fs.open", "--pid", HERE, "--for", "200ms")
    check_equal((r.code, r.rows), (0, []), "--for ends it")


def a_command_ends_with_sonda():
    """Its pid is told by itself; a process that is gone can't be asked for."""
    pid_file = os.path.join(scratch, "command.pid")
    for what, script, said in (("that only sleeps", "exec sleep 1000", "SIGTERM ended process "),
                               ("that heeds no Ctrl-C", "trap '' INT; exec sleep 1000", "SIGTERM ended process "),
                               ("that ends by it", "trap 'exit 0' INT; while :; do sleep 0.05; done", None)):
        ends = ["--for", "200ms"] if "trap" not in script else []
        with Sonda("trace", "process.exec", *ends, "--", "sh", "-c", f"exec >/dev/null 2>&1; echo $$ > {pid_file}; {script}") as r:
            r.wait_row(lambda row: row["argv"][0] == "sleep")
            until(lambda: not ends or r.process.poll() is not None, "--for ends it")
        pid = int(open(pid_file).read())
        check_equal(r.code, 0, f"a command {what}: exit status")
        check(not os.path.exists(f"/proc/{pid}"), f"a command {what} is ended with sonda")
        check(said in r.stderr if said else "the command" not in r.stderr, f"a command {what}: {r.stderr!r}")


def a_command_is_followed_from_its_start():
    for script, code in (("exit 7", 7), ("exit 0", 0), ("kill -TERM $$", 128 + signal.SIGTERM)):
        r = run_sonda("trace", "process.exec", "process.exit", "--", "sh", "-c", script)
        check_equal(r.code, code, f"-- sh -c '{script}': its exit status is passed on")
        check_equal([row["argv"] for row in r.rows if row["probe"] == "process.exec"], [["sh", "-c", script]],
                    "its exec is seen")
        check_equal(len([row for row in r.rows if row["probe"] == "process.exit"]), 1, "so is its end")
        holds(r.stats, f"-- sh -c '{script}'")
    r = run_sonda("trace", "fs.open", "--", "cat", target)
    check(r.rows and r.rows[-1]["path"] == target, "its opens")
    check_equal(len({row["pid"] for row in r.rows}), 1, "and nobody else's")


def a_tree_is_followed_to_its_grandchildren():
    script = f"read go; sh -c 'sh -c \"cat {target}; true\"; true'; true"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as shell:
        with Sonda("trace", "fs.open", "--tree", shell.pid, "--path", target) as s:
            opens(5)
            shell.stdin.write(b"go\n")
            shell.stdin.flush()
            shell.wait()
            s.wait_row(lambda r: r["path"] == target)
    check_equal([(r["comm"], r["pid"] != shell.pid) for r in s.rows], [("cat", True)], "a grandchild's child, not us")
    check(len(s.rows) == 1 and f"sh({shell.pid})" in s.rows[0]["parents"], "with its parents")
    holds(s.stats, "--tree")


def mixed_opens():
    for i in range(200):
        for path, flags in ((target, os.O_RDONLY), (f"{target}-{i}", os.O_RDONLY), (target, os.O_RDWR | os.O_APPEND),
                            (f"{target}/x", os.O_WRONLY), (scratch, os.O_WRONLY)):
            try:
                os.close(os.open(path, flags))
            except OSError:
                pass


def conditions_say_the_same_in_the_kernel():
    seen = ["path", "err", "flags", "fd"]
    truth = {"err != 0 and fd < 0": 600, "flags ~ O_APPEND": 200, "err in (EISDIR, ENOTDIR)": 400,
             "comm in ('%s', nobody) and not (err == ENOENT)" % open("/proc/self/comm").read().strip(): 800,
             "err == ENOTDIR or flags ~ O_APPEND": 400}
    for where, count in truth.items():
        args = ["--pid", HERE, "--fields", ",".join(seen), "-v"]
        with Sonda("trace", "fs.open", *args, "--where", where) as kernel, \
                Sonda("trace", "fs.open", *args, "--where", f"({where}) or path == ''") as userland:
            mixed_opens()
        rows = [[[r[name] for name in seen] for r in s.rows] for s in (kernel, userland)]
        # the test's own other opens (of /proc, pipes) are of no interest
        ours = [[r for r in some if r[0].startswith(scratch)] for some in rows]
        check_equal(len(ours[0]), count, f"{where}: rows")
        check(ours[0] == ours[1], f"{where}: evaluated here and in the kernel")
        check("in the kernel: " in kernel.stderr and "the rest here" not in kernel.stderr, f"{where}: the kernel decides")
        check("in the kernel: " not in userland.stderr, f"{where} or a path: nothing of it")
        for s in (kernel, userland):
            holds(s.stats, where)
            check_equal(s.stats["lost"], s.stats.get("missed", 0), f"{where}: nothing lost")


def narrow_terminals_show_what_matters():
    needed = {"process.exec": "PID COMM PATH ARGV", "fs.open": "PID COMM ERR TOOK PATH",
              "net.tcp": "PID COMM PEER OUTCOME TOOK", "net.dns": "PID COMM NAME RESULT TOOK",
              "block.io": "PID COMM OP SIZE TOOK ERR", "process.exit": "PID COMM STATUS LIFETIME PEAK"}
    for probe, titles in needed.items():
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        r = subprocess.run([SONDA, "trace", probe, "--comm", "nobody-has-it", "--for", "1ms"], stdout=theirs,
                           stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, env={**os.environ, "TERM": "dumb"})
        header = os.read(ours, 4096).decode().splitlines()[0]
        os.close(ours), os.close(theirs)
        check(set(titles.split()) <= set(header.split()), f"{probe} on 80 columns: {header!r}")
        check(len(header) <= 80, f"{probe}: it fits: {len(header)}")
        last = header.split()[-1]
        if last in ("PATH", "ARGV"):
            check(80 - header.index(last) >= 20, f"{probe}: room for {last}: {header!r}")
        note = next((l for l in r.stderr.splitlines() if "no room in 80 columns for " in l), "")
        left_out = set(re.sub(" \\(.*", "", note).partition("columns for ")[2].split(", "))
        check("uid" in left_out and not left_out & set(header.lower().split()), f"{probe} says what is left out: {note!r}")
        check("-f LIST" in note, f"{probe}: and how to see it: {note!r}")
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    said = [subprocess.run([SONDA, "trace", *needed, "--comm", "nobody-has-it", "--for", "1ms", *more], stdout=theirs,
                           stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S).stderr.splitlines()
            for more in ([], ["-v"])]
    os.close(ours), os.close(theirs)
    notes, named = ([l for l in lines if "no room in 80 columns for " in l] for lines in said)
    check(len(notes) == 1 and len(notes[0]) <= 80 and "-v" in notes[0], f"several probes: one line: {notes}")
    check(len(named) > 4, f"with -v a line each: {named}")
    left_out = sum(len(re.sub(" \\(.*", "", note).partition("columns for ")[2].split(", ")) for note in named)
    check(f" {left_out} fields" in notes[0], f"and their sum: {left_out}, {notes}")


for test in (storms_lose_nothing_unnoticed, strict_fails_when_something_is_lost, recordings_keep_losses_and_accounts, cut_recordings_give_what_is_whole,
             a_full_disk_keeps_what_was_recorded, a_killed_recording_can_be_replayed,
             a_lost_terminal_ends_a_recording_well, a_recording_is_cut_by_time, a_closed_pipe_is_told,
             a_signal_ends_it_though_nobody_reads, nothing_is_left, sonda_leaves_itself_out, it_ends_when_it_should,
             a_command_ends_with_sonda, a_command_is_followed_from_its_start, a_tree_is_followed_to_its_grandchildren,
             conditions_say_the_same_in_the_kernel, narrow_terminals_show_what_matters):
    if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]:
        test()
done()
