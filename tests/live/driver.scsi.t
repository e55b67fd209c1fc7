#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""driver.scsi on the kernel's own debugging host, scsi_debug, which is told how long to take and what to
fail: the commands that the test sent, their latency, the medium error at sector 4660, a timeout, resets; counts
against the kernel's own in /sys/block/*/device, and scsi_debug's."""

import contextlib
import errno
import glob
import mmap
import os
import re

from sondatest import *

DRIVER = "/sys/bus/pseudo/drivers/scsi_debug"
BAD_SECTOR = 4660  # what scsi_debug can't read when it is told to have medium errors
BAD = errno.EIO, errno.ENODATA  # how a read of it fails
MEDIUM_ERRORS, TIMEOUTS = 2, 4
TAKES_NS = 3000000


def told(name, value):
    with open(f"{DRIVER}/{name}", "w") as f:
        f.write(str(value))


def transfer(op, sector, size):
    """Past the cache; returns what it took in ns, or the errno."""
    fd = os.open(disk, os.O_RDWR | os.O_DIRECT)
    begin = time.monotonic_ns()
    try:
        call = os.preadv if op == "read" else os.pwritev
        call(fd, [mmap.mmap(-1, size)], 512 * sector)
    except OSError as e:
        return e.errno
    finally:
        os.close(fd)
    return time.monotonic_ns() - begin


def moves(rows):
    return [r for r in rows if r["command"] in ("read_10", "write_10") and r["host"] == host]


def case_every_command():
    calls = [("read" if i % 3 else "write", 8 * (i * 7 % 500), 4096 << i % 3) for i in range(40)]
    told("ndelay", TAKES_NS)
    with Sonda("trace", "driver.scsi") as s, Sonda("top", "driver.scsi", "--interval", "100ms", "--totals") as top:
        took = [transfer(*c) for c in calls]
        s.wait_row(lambda r: r["block"] == calls[-1][1] and r["blocks"] == calls[-1][2] // 512)
        reads = sum(op == "read" for op, _, _ in calls)
        top.wait_row(lambda r: r["command"] == "read_10" and r["commands"] >= reads, 5)
    missed = s.stats.get("missed", 0)
    rows = moves(s.rows)
    if not missed:
        check_equal([(r["command"], r["block"], r["blocks"]) for r in rows],
                    [(f"{op}_10", sector, size // 512) for op, sector, size in calls], "a row for each, in order")
        check(all(TAKES_NS <= r["took_ns"] < t for r, t in zip(rows, took)),
              "no less than the host was told to take, no more than the call took")
    check_equal({(r["result"], r["target"], r["lun"]) for r in rows}, {("good", 0, 0)}, "well, by the one disk")
    last = max(r["time"] for r in top.rows)
    counted = {r["command"]: r for r in top.rows if r["time"] == last and r["host"] == host}
    for op in "read", "write":
        want = [c for c in calls if c[0] == op]
        got = counted[f"{op}_10"]
        if not top.stats.get("missed", 0):
            check_equal((got["commands"], got["blocks"]), (len(want), sum(c[2] for c in want) // 512), op)
        check_equal((got["errors"], got["took_ns"]["count"]), (0, got["commands"]), "without errors, and timed")


def case_medium_error():
    with Sonda("trace", "driver.scsi", "--errors") as s:
        told("opts", MEDIUM_ERRORS)
        got = transfer("read", BAD_SECTOR, 512)
        told("opts", 0)
        transfer("read", 0, 512)
    check(got in BAD, f"the read fails: {got}")
    rows = moves(s.rows)
    check(len(rows) >= 1 or s.stats.get("missed", 0), "it is told")
    check(all((r["result"], r["block"], r["blocks"]) == ("check_condition", BAD_SECTOR, 1) for r in rows),
          f"and nothing else: {rows}")
    if "(tp)" not in s.stderr:  # the records of older kernels don't have it
        check(all((r["sense"], r["sense_code"]) == ("medium_error", "0x1100") for r in rows), "by its reason")


def device_counts():
    """Commands that were done, and of them those that failed, by the kernel's own account of the disk."""
    path = f"/sys/block/{os.path.basename(disk)}/device/"
    return [int(open(path + name).read(), 16) for name in ("iodone_cnt", "ioerr_cnt")]


def case_counts():
    """Errors among commands that go well: as many as were injected, and as the kernel counts."""
    injected = 0
    with Sonda("trace", "driver.scsi") as s, Sonda("trace", "driver.scsi", "--errors") as errors, \
            Sonda("top", "driver.scsi", "--by", "host,result", "--interval", "100ms", "--totals") as top:
        before = device_counts()
        told("opts", MEDIUM_ERRORS)
        for i in range(60):
            at = BAD_SECTOR - 8 * (i % 3 == 0)
            injected += transfer("read", at, 512) in BAD
        told("opts", 0)
        transfer("write", 128, 4096)
        done, failed = (now - then for now, then in zip(device_counts(), before))
        s.wait_row(lambda r: (r["command"], r["block"]) == ("write_10", 128))
        top.wait_row(lambda r: r["host"] == host and r["result"] == "good" and r["commands"] >= done - failed, 5)
    check_equal((injected, failed), (40, 40), "what was injected failed, and the kernel counts it")
    last = max(r["time"] for r in top.rows)
    table = [r for r in top.rows if r["time"] == last and r["host"] == host]
    if s.stats.get("missed", 0) + errors.stats.get("missed", 0) + top.stats.get("missed", 0):
        return
    mine = [r for r in s.rows if r["host"] == host]
    check_equal((len(mine), sum(r["result"] != "good" for r in mine)), (done, failed), "a row for each command")
    check_equal((len(errors.rows), errors.stats["filtered"]), (failed, done - failed), "--errors: these only")
    check_equal((sum(r["commands"] for r in table), sum(r["errors"] for r in table)), (done, failed), "the table")
    check_equal({(r["result"], r["errors"]) for r in table if r["errors"]}, {("check_condition", failed)}, "why")


def resets():
    """Of the host, by its own count; None where it doesn't tell."""
    path = f"/proc/scsi/scsi_debug/{host}"
    found = re.search(r"RESETs:.*\bhost=(\d+)", open(path).read()) if os.path.exists(path) else None
    return int(found[1]) if found else None


@contextlib.contextmanager
def unanswered(no_aborts):
    """The disk answers nothing, and has a second. `no_aborts`: nor is there time to abort, the host is reset."""
    timeout = f"/sys/block/{os.path.basename(disk)}/device/timeout"
    deadline = f"/sys/class/scsi_host/host{host}/eh_deadline"
    kept = {path: open(path).read() for path in (timeout, deadline)}
    open(timeout, "w").write("1")
    if no_aborts:
        open(deadline, "w").write("0")
    told("every_nth", -1)
    told("opts", TIMEOUTS)
    try:
        yield
    finally:
        told("opts", 0)
        told("every_nth", 0)
        for path, text in kept.items():
            open(path, "w").write(text)


def case_timeout():
    """One command gets no answer; the kernel aborts it and tries again."""
    with Sonda("trace", "driver.scsi") as s:
        with unanswered(False):
            pid = os.fork()
            if not pid:
                transfer("read", 800, 4096)
                os._exit(0)
            row = s.wait_row(lambda r: r["result"] == "timed_out", 30)
        os.waitpid(pid, 0)
    check(row, "the timeout is told")
    if row:
        check_equal((row["command"], row["block"], row["blocks"]), ("read_10", 800, 8), "which command it was")
        check(row["took_ns"] >= 1000000000, f"after the second that it was given: {row['took_ns']}")


def case_recovery():
    """Nothing answers, and there is no time to abort: the host's error handler begins, and resets the host."""
    with Sonda("trace", "driver.scsi", "--errors") as s, \
            Sonda("top", "driver.scsi", "--by", "host,command,result", "--interval", "100ms", "--totals") as top:
        before = resets()
        with unanswered(True):
            pid = os.fork()
            if not pid:
                transfer("read", 800, 4096)
                os._exit(0)
            row = s.wait_row(lambda r: r["result"] == "recovery", 30)
        os.waitpid(pid, 0)
        top.wait_row(lambda r: r["recoveries"] >= 1)
        after = resets()
    check(row, "the recovery is told")
    if row:
        check_equal((row["command"], row["host"], row["took_ns"]), ("no_command", host, 0), "of which host")
    told_rows = [r for r in s.rows if r["result"] == "recovery"]
    check(len(told_rows) >= 1 and all(r["host"] == host for r in told_rows), "and of no other")
    if before is None or s.stats.get("missed", 0) + top.stats.get("missed", 0):
        return
    check_equal(len(told_rows), after - before, "one for each reset of the host")
    last = max(r["time"] for r in top.rows)
    table = [r for r in top.rows if r["time"] == last and r["recoveries"]]
    check_equal([(r["host"], r["command"], r["commands"], r["errors"], r["recoveries"]) for r in table],
                [(host, "no_command", 0, 0, after - before)], "the table")


hosts = sorted(glob.glob(f"{DRIVER}/adapter*/host*"))
if os.geteuid() != 0 or not hosts:
    skip("needs root, and the module scsi_debug, as guests have it")
host = int(hosts[0].rsplit("host", 1)[1])
disk = "/dev/" + os.path.basename(glob.glob(f"{hosts[0]}/target*/*/block/*")[0])
case_every_command()
case_medium_error()
case_counts()
case_timeout()
case_recovery()
done()
