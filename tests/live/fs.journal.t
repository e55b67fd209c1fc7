#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fs.journal: commits and waits inside ext4, btrfs and xfs.

Truth: ext4's own counts, of transactions in /proc/fs/jbd2/DEVICE/info and of fast commits in
/proc/fs/ext4/DEVICE/fc_info; btrfs' generation on the disk; /sys/fs/xfs/DEVICE/stats.
"""

import datetime
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *
from scratch import *

SYNCS = 12


def device_of(folder):
    dev = os.stat(folder).st_dev
    line = next(l.split() for l in open("/proc/self/mountinfo") if l.split()[4] == folder)
    return line[2], os.path.basename(line[line.index("-") + 2])


def transactions(disk):
    for name in os.listdir("/proc/fs/jbd2"):
        if name.startswith(disk + "-"):
            return int(open(f"/proc/fs/jbd2/{name}/info").read().split()[0])
    return None


def writes(folder):
    for i in range(SYNCS):
        with open(f"{folder}/file{i}", "wb") as f:
            f.write(b"x" * 100000)
            f.flush()
            os.fsync(f.fileno())
    os.sync()


def case_ext4():
    folder = scratch_fs("ext4")
    if not folder:
        return False
    device, disk = device_of(folder)
    os.sync()
    earlier = transactions(disk)
    with Sonda("trace", "fs.journal") as s:
        before = transactions(disk)
        writes(folder)
        s.wait_row(lambda r: r["op"] == "commit" and r["device"] == device)
        after = transactions(disk)
    most = transactions(disk) - earlier  # it commits on its own as well, each 5 seconds
    if "not seen here: journal commits of ext4" in s.stderr:
        return False
    commits = [r for r in s.rows if r["op"] == "commit" and r["device"] == device and r["fs"] == "ext4"]
    missed = s.stats.get("missed", 0)
    check(after - before >= SYNCS and after - before - missed <= len(commits) <= most,
          f"commits told: {len(commits)}, by ext4 itself {after - before} to {most}, {missed} missed")
    for r in commits:
        phases = r["locked_ns"] + r["flushing_ns"] + r["logging_ns"]
        check(missed or (0 < phases <= r["took_ns"] and r["blocks"] > 0 and r["handles"] > 0), f"a commit: {r}")
        check(r["comm"].startswith("jbd2/"), f"who commits: {r['comm']}")
    allocated = {r["comm"] for r in s.rows if r["op"] == "allocate" and r["device"] == device}
    check("not seen here: block allocations of ext4" in s.stderr or "python3" in allocated,
          f"who allocates: {allocated}")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + s.stats["lost"], "seen")
    return True


def fast_commits(disk):
    words = re.findall(r"^(\d+) (commits|ineligible)", open(f"/proc/fs/ext4/{disk}/fc_info").read(), re.M)
    return {name: int(n) for n, name in words}


def case_fast_commit():
    folder = scratch_fs("ext4", features=("-O", "fast_commit"))
    if not folder:
        return False
    device, disk = device_of(folder)
    if not os.path.exists(f"/proc/fs/ext4/{disk}/fc_info"):
        return False
    with Sonda("trace", "fs.journal") as s:
        before = fast_commits(disk)
        fd = os.open(folder + "/file", os.O_CREAT | os.O_WRONLY)
        for i in range(SYNCS):
            os.pwrite(fd, b"x" * 100, i * 100)
            os.fsync(fd)
        os.close(fd)
        after = fast_commits(disk)
    if "not seen here: fast commits of ext4" in s.stderr:
        return False
    commits, refused = (after[k] - before[k] for k in ("commits", "ineligible"))
    rows = [r for r in s.rows if (r["op"], r["device"], r["pid"]) == ("fast_commit", device, os.getpid())]
    check(commits > 0 and commits - s.stats.get("missed", 0) <= len(rows) <= commits + refused,
          f"fast commits told: {len(rows)}, by ext4 itself {commits} and {refused} that were none")
    check(all(r["took_ns"] > 0 and r["fs"] == "ext4" for r in rows), "each took its time")
    return True


def generation(image):
    text = subprocess.run(["btrfs", "inspect-internal", "dump-super", image], stdout=subprocess.PIPE).stdout.decode()
    return int(re.search(r"^generation\s+(\d+)", text, re.M).group(1))


def case_btrfs():
    folder = scratch_fs("btrfs", "120M")
    if not folder:
        return False
    device, _ = device_of(folder)
    with Sonda("top", "fs.journal", "--by", "fs,op,device", "--interval", "1h") as s:
        os.sync()
        before = generation(os.path.dirname(folder) + "/image")
        writes(folder)
        subprocess.run(["sync", "-f", folder])
        after = generation(os.path.dirname(folder) + "/image")
    if "not seen here: transaction commits of btrfs" in s.stderr:
        return False
    got = sum(r["times"] for r in s.rows if (r["fs"], r["op"], r["device"]) == ("btrfs", "commit", device))
    check(after > before and after - before - s.stats.get("missed", 0) <= got,
          f"btrfs: {got} commits, {after - before} on the disk: {s.rows} {s.stderr}")
    return True


def xfs_counts(disk):
    """How often its log was written, and how often somebody slept until there was room in it."""
    lines = dict(line.split(maxsplit=1) for line in open(f"/sys/fs/xfs/{disk}/stats/stats"))
    return int(lines["log"].split()[0]), int(lines["push_ail"].split()[1])


def crowd(folder, enough):
    """Several who make and remove directories at once, until it is enough: more than goes into a small log."""
    def make(name):
        while True:
            for call in os.mkdir, os.rmdir:
                for i in range(100):
                    call(f"{folder}/{name}-{i}")

    pids = []
    for name in range(6):
        pids.append(os.fork())
        if pids[-1] == 0:
            make(name)
    while not enough():
        os.sched_yield()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def case_xfs():
    folder = scratch_fs("xfs", "96M", ("--unsupported",))  # for a log of a few MiB
    if not folder:
        return False
    device, disk = device_of(folder)
    with Sonda("top", "fs.journal", "--by", "fs,op,device", "--interval", "200ms", "--totals") as s:
        before = xfs_counts(disk)
        writes(folder)
        end = time.monotonic() + (3 if EMULATED else 6)  # a busy or slow machine may not fill the log
        crowd(folder, lambda: xfs_counts(disk)[1] > before[1] + 2 or time.monotonic() > end)
        subprocess.run(["sync", "-f", folder])
        written, slept = (now - then for now, then in zip(xfs_counts(disk), before))
        after = datetime.datetime.utcnow().isoformat()
        s.wait_row(lambda r: r["time"] > after, 3)
        at_last = xfs_counts(disk)[0] - before[0]  # it writes on its own as well, each 30 seconds
    if "waits for room in the log of xfs" in s.stderr:
        return False
    last = max((r["time"] for r in s.rows), default=None)
    rows = {r["op"]: r for r in s.rows if (r["time"], r["fs"], r["device"]) == (last, "xfs", device)}
    missed = s.stats.get("missed", 0)
    got = {op: (rows[op]["times"], rows[op]["took_ns"]["count"]) if op in rows else (0, 0)
           for op in ("commit", "log_wait")}
    if "writes of xfs' log" not in s.stderr:
        check(written >= SYNCS and written - missed <= got["commit"][0] <= at_last,
              f"xfs: {got['commit']} writes of its log, {written} to {at_last} by its own account")
    if not slept:
        print("not shown: nobody waited for room in xfs' log")
    check(slept - missed <= got["log_wait"][0] <= slept,
          f"xfs: {got['log_wait']} waits for room in the log, {slept} by its own account")
    check(all(times == timed for times, timed in got.values()), f"xfs: each with its time: {got}")
    return True


def main():
    private_mounts()
    if not [case for case in (case_ext4, case_fast_commit, case_btrfs, case_xfs) if case()]:
        skip("no file system whose inside can be seen")
    done()


main()
