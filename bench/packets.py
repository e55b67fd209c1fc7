#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the packet guard costs, a packet, beside an empty XDP program in the same run: BPF_PROG_TEST_RUN on one frame, in
turns. Then over a pair of veth, beside xdp-filter and nft, frames put in by XDP itself. Prints lines "NAME NS RATIO". A
program of its own, for it moves into namespaces of its own."""

import contextlib
import fcntl
import os
import shutil
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/live"))
from packets import *  # noqa: E402

TURNS, REPEAT = int(os.environ.get("SONDA_BENCH_TURNS", "9")) * 20, 8000
HAS_BUFFERS, ATTACH_XDP = 1 << 5, 37
VETH_TURNS, VETH_FRAMES, LIVE_FRAMES = int(os.environ.get("SONDA_BENCH_TURNS", "9")), 400000, 2
SIOCETHTOOL, ETHTOOL_SGRO = 0x8946, 0x2C


def insn(code, registers=0, offset=0, imm=0):
    return struct.pack("<BBhi", code, registers, offset, imm)


def program_of(code, flags=0):
    text = ctypes.create_string_buffer(code)
    licence = ctypes.create_string_buffer(b"BSD")
    program = Program.__new__(Program)
    program.fd = bpf(5, struct.pack("<IIQQIIQII16sII", 6, len(code) // 8, ctypes.addressof(text),
                                    ctypes.addressof(licence), 0, 0, 0, 0, flags, b"random", 0, ATTACH_XDP))[0]
    return program


def from_a_million(program):
    """Runs `program` by tail call with one of a million source addresses, 10.0.0.0 and up, at random."""
    key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(struct.pack("<I", program.fd), 4)
    for flags in (HAS_BUFFERS, 0):  # an array holds programs of one sort
        array = bpf(0, struct.pack("<IIIII", 3, 4, 4, 1, 0))[0]
        code = (insn(0xBF, 0x16) + insn(0x85, imm=7) + insn(0x57, 0, imm=0xFFFFF) + insn(0x47, 0, imm=0x0A000000) +
                insn(0xDC, 0, imm=32) + insn(0x61, 0x62) + insn(0x61, 0x63, 4) + insn(0xBF, 0x24) +
                insn(0x07, 4, imm=34) + insn(0x2D, 0x34, 6) + insn(0x63, 0x02, 26) + insn(0xBF, 0x61) +
                insn(0x18, 0x12, imm=array) + insn(0) + insn(0xB7, 3) + insn(0x85, imm=12) + insn(0xB7, 0, imm=PASS) +
                insn(0x95))
        try:
            random = program_of(code, flags)
            bpf(2, struct.pack("<IIQQQ", array, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
            return random
        except OSError as e:
            last = e
    raise last


def networks(count):
    return ", ".join(f"{1 + i // 65536 % 200}.{i // 256 % 256}.{i % 256}.0/24" for i in range(count))


FULL = """set friends = 192.0.2.0/28, 203.0.113.0/24
set blocked = lines of {path}
rule bad
    drop packet malformed
rule friends
    allow packet from @friends
rule blocked
    drop packet from @blocked
rule closed
    drop packet tcp syn port 1-21, 23-79, 81-442
rule amplified
    drop packet udp source-port 17, 19, 53, 123, 389, 1900, 11211 unless port 1-1023
rule ping
    limit packet icmp to 100/s
rule many
    limit packet udp to 1000000/s burst 100000 per source
"""
UDP_FRAME = ethernet(ipv4(udp(4000), source="11.0.0.9", protocol=UDP))


def measure(empty, cases):
    """{case: (ns, times the empty program)}: the least, and the median of the ratios of runs next to each other."""
    best, ratios = {}, {}
    for _ in range(TURNS):
        for name, (program, frame, want) in cases.items():
            _, nothing = empty.run(frame, repeat=REPEAT)
            action, took = program.run(frame, repeat=REPEAT)
            if action != want:
                raise RuntimeError(f"{name}: action {action}")
            best[name] = min(best.get(name, took), took)
            ratios.setdefault(name, []).append(took / nothing)
    return {name: (best[name], statistics.median(ratios[name])) for name in cases}


def in_force(text):
    """A policy's guard alone, and what it leaves when the next comes: nothing."""
    apply(text)
    return Program()


# ---- over veth ----


class Flood:
    """Frames that an XDP program sends to our end of the pair, one by one of a batch (5.18)."""

    def __init__(self, frame):
        index = socket.if_nametoindex("other")
        self.program = program_of(insn(0xB7, 1, imm=index) + insn(0xB7, 2, imm=0) + insn(0x85, imm=23) + insn(0x95))
        self.frame = ctypes.create_string_buffer(bytes(frame), len(frame))

    def run(self):
        """ns that a frame took, put in and dropped; all on this CPU, in turns."""
        attributes = struct.pack("<IIIIQQIIIIQQIII", self.program.fd, 0, len(self.frame), 0, ctypes.addressof(self.frame), 0,
                                 VETH_FRAMES, 0, 0, 0, 0, 0, LIVE_FRAMES, 0, 64)
        came, begin = came_in(), time.monotonic_ns()
        bpf(PROG_TEST_RUN, attributes)
        took = time.monotonic_ns() - begin
        if came_in() - came < VETH_FRAMES * 0.99:
            raise RuntimeError(f"of {VETH_FRAMES} frames {came_in() - came} came in")
        return took / VETH_FRAMES


def came_in():
    with open("/proc/thread-self/net/dev") as f:
        return next(int(l.split(":")[1].split()[1]) for l in f if l.split(":")[0].strip() == "guarded")


@contextlib.contextmanager
def empty_drop():
    link = link_xdp(empty_program(), "guarded")
    yield
    os.close(link)


@contextlib.contextmanager
def sonda_drop():
    apply(FULL.format(path="/dev/null") + "rule last\n    drop packet from 10.0.0.0/8\n")
    yield
    policy("off")


@contextlib.contextmanager
def xdp_filter_drop():
    sh("xdp-filter load -m native guarded && xdp-filter ip -m src 10.99.9.9")
    yield
    sh("xdp-filter unload --all")


@contextlib.contextmanager
def nft_drop():
    sh("nft 'table ip b { chain c { type filter hook prerouting priority raw; ip saddr 10.99.9.9 counter drop; }; }'")
    yield
    sh("nft delete table ip b")


def gro_on(device):
    """Without it a veth whose end has no program takes no frames from another's."""
    value = ctypes.create_string_buffer(struct.pack("<II", ETHTOOL_SGRO, 1))
    with socket.socket() as s:
        fcntl.ioctl(s, SIOCETHTOOL, struct.pack("<16sQ", device.encode(), ctypes.addressof(value)) + b"\0" * 16)


def veth():
    """{who: (ns, times the empty program)}: what a frame costs that is put in and dropped."""
    peers = {"veth_empty": empty_drop, "veth_sonda": sonda_drop}
    if shutil.which("xdp-filter"):
        peers["veth_xdp_filter"] = xdp_filter_drop
    if shutil.which("nft"):
        peers["veth_nft"] = nft_drop
    sh("ip link set other up")
    gro_on("guarded")
    flood = Flood(ethernet(ipv4(udp(9999), source="10.99.9.9", protocol=UDP),
                           to=bytes.fromhex(device_mac("guarded").replace(":", ""))))
    took = {name: [] for name in peers}
    for _ in range(VETH_TURNS):
        for name, dropping in peers.items():
            with dropping():
                took[name].append(flood.run())
    return {name: (min(ns), statistics.median(a / b for a, b in zip(ns, took["veth_empty"]))) for name, ns in took.items()}


def main():
    own_place()
    sh("ip link add guarded type veth peer name other; ip link set guarded up")
    os.sched_setaffinity(0, {os.cpu_count() - 1})
    empty = program_of(insn(0xB7, 0, imm=DROP) + insn(0x95))
    found = {}
    hit = ethernet(ipv4(udp(), source="1.0.0.9", protocol=UDP))
    with tempfile.TemporaryDirectory() as directory:
        for count in (100000, 1000000):
            with open(f"{directory}/{count}", "w") as f:
                f.writelines(f"{11 + i % 200}.{i // 200 % 256}.{i // 51200 % 256}.{i * 7 % 256}\n" for i in range(count))
        in_list = ethernet(ipv4(udp(), source="11.0.0.0", protocol=UDP))
        for name, text, frame, want in (
                ("port", "rule r\n    drop packet udp port 80\n", hit, DROP),
                ("other_port", "rule r\n    drop packet udp port 81\n", hit, PASS),
                ("one_network", f"rule r\n    drop packet from {networks(1)}\n", hit, DROP),
                ("thousand_networks", f"rule r\n    drop packet from {networks(1000)}\n", hit, DROP),
                ("million_networks", f"set s = lines of {directory}/1000000\nrule r\n    drop packet from @s\n", in_list, DROP),
                ("full", FULL.format(path=f"{directory}/100000"), UDP_FRAME, PASS)):
            guard = in_force(text)
            cases = {"empty": (empty, frame, DROP), name: (guard, frame, want)}
            if name in ("full", "million_networks"):
                cases[name + "_random"] = (from_a_million(guard), UDP_FRAME, PASS)
                cases["empty_random"] = (from_a_million(empty), UDP_FRAME, DROP)
            found.update(measure(empty, cases))
            policy("off")
    found.update(veth())
    for name, (took, ratio) in found.items():
        print(name, took, round(ratio, 3))


main()
