# SPDX-License-Identifier: BSD-2-Clause
"""A network namespace of a test's own, where nobody else talks, and what the kernel counts there."""

import ctypes
import os
import subprocess

from sondatest import skip

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def own_network():
    """From here on this process is in a namespace of its own, where only loopback is there."""
    if os.geteuid() != 0:
        skip("needs root, for a network namespace of its own")
    if libc.unshare(CLONE_NEWNET):
        skip(f"no network namespaces here: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def counted(protocol, name):
    """What the kernel has counted in this namespace: /proc/net/snmp and netstat."""
    lines = [l.split() for f in ("snmp", "netstat") for l in open(f"/proc/net/{f}")]
    names, values = [l for l in lines if l[0] == protocol + ":"]
    return int(values[names.index(name)])
