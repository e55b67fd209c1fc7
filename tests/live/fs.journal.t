#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fs.journal: commits and waits inside ext4, btrfs and xfs.

Truth: ext4's own counts, of transactions in /proc/fs/jbd2/DEVICE/info and of fast commits in
/proc/fs/ext4/DEVICE/fc_info; btrfs' generation on the disk.
"""

import os
import re
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
    with Sonda("trace", "fs.journal") as s:
        before = transactions(disk)
        writes(folder)
        s.wait_row(lambda r: r["op"] == "commit" and r["device"] == device)
        after = transactions(disk)
    if "not seen here: journal commits of ext4" in s.stderr:
        return False
    commits = [r for r in s.rows if r["op"] == "commit" and r["device"] == device and r["fs"] == "ext4"]
    missed = s.stats.get("missed", 0)
    check(after - before >= SYNCS and after - before - missed <= len(commits) <= after - before,
          f"commits told: {len(commits)}, by ext4 itself {after - before}, {missed} missed")
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
    check(after > before and after - before - s.stats.get("missed", 0) <= got, f"btrfs: {got} commits, {after - before} "
          "on the disk")
    return True


def main():
    private_mounts()
    if not [case for case in (case_ext4, case_fast_commit, case_btrfs) if case()]:
        skip("no file system whose inside can be seen")
    done()


main()
