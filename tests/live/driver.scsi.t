#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""driver.scsi on the kernel's own debugging host, scsi_debug, which is told how long to take and what to
fail: the commands that the test sent, their latency, the medium error at sector 4660, a timeout."""

import errno
import glob
import mmap
import os

from sondatest import *

DRIVER = "/sys/bus/pseudo/drivers/scsi_debug"
BAD_SECTOR = 4660  # what scsi_debug can't read when it is told to have medium errors
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
    check(got in (errno.EIO, errno.ENODATA), f"the read fails: {got}")
    rows = moves(s.rows)
    check(len(rows) >= 1 or s.stats.get("missed", 0), "it is told")
    check(all((r["result"], r["block"], r["blocks"]) == ("check_condition", BAD_SECTOR, 1) for r in rows),
          f"and nothing else: {rows}")
    if "(tp)" not in s.stderr:  # the records of older kernels don't have it
        check(all((r["sense"], r["sense_code"]) == ("medium_error", "0x1100") for r in rows), "by its reason")


def case_timeout():
    """One command gets no answer; the kernel aborts it and tries again."""
    timeout = f"/sys/block/{os.path.basename(disk)}/device/timeout"
    kept = open(timeout).read()
    with Sonda("trace", "driver.scsi") as s:
        open(timeout, "w").write("1")
        told("every_nth", -1)
        told("opts", TIMEOUTS)
        try:
            pid = os.fork()
            if not pid:
                transfer("read", 800, 4096)
                os._exit(0)
            row = s.wait_row(lambda r: r["result"] == "timed_out", 30)
        finally:
            told("opts", 0)
            told("every_nth", 0)
            os.waitpid(pid, 0)
            open(timeout, "w").write(kept)
    check(row, "the timeout is told")
    if row:
        check_equal((row["command"], row["block"], row["blocks"]), ("read_10", 800, 8), "which command it was")
        check(row["took_ns"] >= 1000000000, f"after the second that it was given: {row['took_ns']}")


hosts = sorted(glob.glob(f"{DRIVER}/adapter*/host*"))
if os.geteuid() != 0 or not hosts:
    skip("needs root, and the module scsi_debug, as guests have it")
host = int(hosts[0].rsplit("host", 1)[1])
disk = "/dev/" + os.path.basename(glob.glob(f"{hosts[0]}/target*/*/block/*")[0])
case_every_command()
case_medium_error()
case_timeout()
done()
