#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.packet with a list of a million networks of both families: who is in it is dropped, who is next to it passes;
loading takes seconds at most, and the memory of both generations is bounded."""

import ipaddress
import random

from sondatest import *
from packets import *

own_place()
sh("ip link add guarded type veth peer name other; ip link set guarded up")
MANY = 20000 if EMULATED else 1000000
MEMORY_MAX = 100 << 20
rng = random.Random(5)


def network4():
    bits = rng.choice((32,) * 8 + (24, 24, 22, 20, 28, 30))
    return rng.getrandbits(bits) << (32 - bits), bits


def network6():
    bits = rng.choice((64, 64, 64, 48, 56, 128, 127))
    return (0x20 << 120 | rng.getrandbits(bits - 8) << (128 - bits)), bits


def frame4(address):
    return ethernet(ipv4(udp(), source=str(ipaddress.IPv4Address(address)), protocol=UDP))


def frame6(address):
    return ethernet(ipv6(udp(), source=str(ipaddress.IPv6Address(address)), protocol=UDP), IP6)


class Known:
    """The same question answered by sets, one for each length."""

    def __init__(self, networks, size):
        self.size, self.sets = size, {}
        for address, bits in networks:
            self.sets.setdefault(bits, set()).add(address >> (size - bits))

    def holds(self, address):
        return any(address >> (self.size - bits) in found for bits, found in self.sets.items())




def write(path, four, six):
    with open(path, "w") as f:
        f.write("# a list\n\n")
        f.writelines(f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}/{bits}\n" for a, bits in four)
        f.writelines(":".join(f"{a >> shift & 0xffff:x}" for shift in range(112, -1, -16)) + f"/{bits}  # six\n"
                     for a, bits in six)


def check_list(four, six, what):
    guard = Program()
    for networks, size, frame in ((four, 32, frame4), (six, 128, frame6)):
        known, wrong, asked = Known(networks, size), 0, 0
        for address, bits in rng.sample(networks, 200):
            last = address | ((1 << (size - bits)) - 1)
            for a in (address, last, address - 1, last + 1, rng.getrandbits(size)):
                if 0 < a < 1 << size:
                    asked += 1
                    wrong += (guard.action(frame(a)) == DROP) != known.holds(a)
        check_equal(wrong, 0, f"{what}: wrong of {asked} addresses of {size} bits")
    os.close(guard.fd)


def kernel_bytes():
    """Of all the guard's maps, those in maps among them, as the kernel counts it."""
    total = 0
    for name in os.listdir(f"{PINS}/packet"):
        if name.startswith("link"):
            continue
        fd = pinned(name)
        fields = dict(l.split(":") for l in open(f"/proc/self/fdinfo/{fd}").read().splitlines())
        total += int(fields.get("memlock", 0))
        if name == "packet_networks":
            for generation in range(2):
                key, value = (ctypes.create_string_buffer(struct.pack("<I", n), 4) for n in (generation, 0))
                try:
                    bpf(1, struct.pack("<IIQQQ", fd, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
                except OSError:
                    continue
                inner = bpf(14, struct.pack("<III", struct.unpack("<I", value.raw[:4])[0], 0, 0))[0]
                fields = dict(l.split(":") for l in open(f"/proc/self/fdinfo/{inner}").read().splitlines())
                total += int(fields.get("memlock", 0))
                os.close(inner)
        os.close(fd)
    return total


with tempfile.TemporaryDirectory() as directory:
    path = f"{directory}/blocked.txt"
    text = f"set blocked = lines of {path}\nrule blocked\n    drop packet from @blocked\n"
    for turn, count in (("a list", MANY), ("another list", MANY // 10)):
        four = list({network4() for _ in range(count * 3 // 4)})
        six = list({network6() for _ in range(count // 4)})
        write(path, four, six)
        begin = time.monotonic()
        apply(text)
        took = time.monotonic() - begin
        print(f"{turn}: {len(four) + len(six)} networks in {took:.2f} s, {kernel_bytes() >> 20} MiB in the kernel")
        check_list(four, six, turn)
    check(kernel_bytes() < 2 * MEMORY_MAX, f"two generations in the kernel: {kernel_bytes()} bytes")
    # all of a list within one /16, which is the longest search
    four = [(10 << 24 | i << 1, 32) for i in range(32768)]
    six = [(0x20010db8 << 96 | i << 65, 64) for i in range(MANY // 10)]
    write(path, four, six)
    apply(text)
    check_list(four, six, "one piece")
    with open(path, "a") as f:
        f.write("10.0.0.1/8\n")
    refused = apply(text, ok=False)
    check(refused.code == 5 and f"{path}" in refused.stderr and "10.0.0.1/8" in refused.stderr, refused.stderr)
    check_list(four, six, "after a wrong list")
policy("off")
check(not os.path.exists(PINS), "nothing is left behind")
done()
