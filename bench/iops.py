# SPDX-License-Identifier: BSD-2-Clause
"""What watching requests takes from a disk, in requests a second, in guests whose clock is what they executed:
10^9 instructions a second, on one processor. Two disks that only pretend: one is done with a request as soon
as it has it, so that the processor sets the rate; the other takes its time, 32 at a time, and sets the rate
itself: as many for these instructions as 200,000 a second are for the 2.2 in a ns of a real processor.
Nobody, block.io and biolatency watch in turns."""

import concurrent.futures
import re
import shutil
import subprocess

from hot import INSNS_PER_NS
from tools import *

TURNS, REQUESTS = 2, 3000
DEPTH, DISK_IOPS = 32, 200e3 / INSNS_PER_NS
DISKS = {
    "processor": "1 irqmode=0",
    "disk": f"{DEPTH} irqmode=2 completion_nsec={DEPTH * 1e9 / DISK_IOPS:.0f}",
}
LOSS_PERCENT = 2  # of a disk's 200,000 a second
KERNELS = ["6.12", "5.10", "7.x"]


def with_libraries(program):
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [f"{program}:/bench/{os.path.basename(program)}", *(f"{l}:{l}" for l in re.findall(r"(/\S+) \(0x", said))]


def guest_says(kernel):
    vm, listed = f"{BENCH}/../tests/vm", f"{OUT}/iops.disks"
    with open(listed, "w") as f:
        f.writelines(f"{name} {settings}\n" for name, settings in DISKS.items())
    subprocess.run([f"{vm}/fetch", kernel], stdout=subprocess.DEVNULL, check=True)
    files = [f"{SONDA}:/bench/sonda", f"{OUT}/iops:/bench/iops", *(f"{BENCH}/{f}:/bench/{f}" for f in ("iops_guest", "guest_lib")),
             f"{listed}:/bench/list", *with_libraries(shutil.which("biolatency") or "biolatency")]
    return subprocess.run([f"{vm}/run", "-i", "-t", "600", "-m", "null_blk", *(a for f in files for a in ("-f", f)), kernel,
                           f"sh /bench/iops_guest {TURNS} {REQUESTS} </bench/list"], stdout=subprocess.PIPE, text=True, check=True).stdout


def rates(said):
    """{(disk, who watches): requests a second}, of the quickest turn: a guest that has just begun has other work, too."""
    found = {}
    for disk, who, iops in re.findall(r"^(\w+) (\S+) ([\d.]+)$", said, re.M):
        found.setdefault((disk, who), []).append(float(iops))
    return {key: max(of) for key, of in found.items()}


def iops_cost():
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        said = dict(zip(KERNELS, pool.map(guest_says, KERNELS)))
    for kernel in KERNELS:
        rate = rates(said[kernel])
        for disk in DISKS:
            alone = rate[disk, "nobody"]
            yield f"{kernel}: requests that the {disk} sets the rate of, watched by nobody", alone, "/s", None
            for who in [w for d, w in rate if d == disk and w != "nobody"]:  # 5.10 refuses biolatency
                gate = ("<", LOSS_PERCENT) if (disk, who) == ("disk", "block.io") else None
                yield f"... lost to {who}", 100 * (1 - rate[disk, who] / alone), "%", gate
                yield "... instructions more for each", 1e9 / rate[disk, who] - 1e9 / alone, "", None
