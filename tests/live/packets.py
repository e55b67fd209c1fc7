# SPDX-License-Identifier: BSD-2-Clause
"""Packets byte by byte, a policy in force in a place of the test's own, and the guard's program run on frames."""

import ctypes
import os
import platform
import socket
import struct
import subprocess
import tempfile
import threading
import time

from networks import libc, own_network
from sondatest import PATIENCE_S, run_sonda, skip

CLONE_NEWNS = 0x00020000
MS_PRIVATE_ALL = 0x40000 | 0x4000  # private, recursive
PINS = "/sys/fs/bpf/sonda"
DROP, PASS = 1, 2  # actions of XDP
BPF = {"x86_64": 321, "aarch64": 280}.get(platform.machine(), 280)
PROG_TEST_RUN, PROG_GET_FD_BY_ID, OBJ_GET, OBJ_GET_INFO = 10, 13, 7, 15


def own_place():
    """A network namespace and a BPF file system of one's own: nothing of the machine's is touched."""
    own_network()
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_PRIVATE_ALL, None):
        skip("no mount namespace of its own here")
    os.makedirs("/sys/fs/bpf", exist_ok=True)
    if libc.mount(b"bpf", b"/sys/fs/bpf", b"bpf", 0, None):
        skip("no BPF file system here")


# ---- policies ----


def policy(*words, ok=True, json_output=False):
    result = run_sonda("policy", *words, json_output=json_output)
    if ok and result.code:
        raise RuntimeError(f"sonda policy {' '.join(words)}: exit {result.code}: {result.stderr}")
    return result


def apply(text, ok=True):
    with tempfile.NamedTemporaryFile("w", suffix=".policy") as f:
        f.write(text)
        f.flush()
        return policy("apply", f.name, ok=ok)


def counts():
    """{rule: its row of status}."""
    return {r["rule"]: r for r in policy("status", json_output=True).rows if "rule" in r}


# ---- bpf(2) ----


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(bytes(attributes), max(len(attributes), 120))
    result = libc.syscall(BPF, command, buffer, len(buffer))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result, buffer.raw


def link_program():
    """The program behind the guard's first link."""
    path = ctypes.create_string_buffer(f"{PINS}/packet/link0".encode())
    link, _ = bpf(OBJ_GET, struct.pack("<QII", ctypes.addressof(path), 0, 0))
    info = ctypes.create_string_buffer(64)
    bpf(OBJ_GET_INFO, struct.pack("<IIQ", link, len(info), ctypes.addressof(info)))
    os.close(link)
    return bpf(PROG_GET_FD_BY_ID, struct.pack("<III", struct.unpack_from("<III", info.raw)[2], 0, 0))[0]


class Program:
    """The guard as it stands, run on frames."""

    def __init__(self):
        self.fd = link_program()

    def run(self, frame, ifindex=0, repeat=1):
        """The action; and what a run took, in ns. ifindex: that it is to have come by (from 5.14 on)."""
        data = ctypes.create_string_buffer(bytes(frame), len(frame))
        attributes = bytearray(struct.pack("<IIIIQQII", self.fd, 0, len(frame), 0, ctypes.addressof(data), 0, repeat, 0))
        if ifindex:
            context = ctypes.create_string_buffer(struct.pack("<IIIIII", 0, len(frame), 0, ifindex, 0, 0), 24)
            attributes += struct.pack("<IIQQ", 24, 0, ctypes.addressof(context), 0)
        _, after = bpf(PROG_TEST_RUN, attributes)
        return struct.unpack_from("<I", after, 4)[0], struct.unpack_from("<I", after, 36)[0]

    def action(self, frame, ifindex=0):
        return self.run(frame, ifindex)[0]


# ---- frames ----

IP, IP6, ARP, VLAN, QINQ = 0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8
TCP, UDP, ICMP, ICMP6, SCTP, AH, NONE = 6, 17, 1, 58, 132, 51, 59
HOP, ROUTING, FRAGMENT, OPTIONS = 0, 43, 44, 60
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(payload, kind=IP, tags=(), to=b"\2\0\0\0\0\1", source=b"\2\0\0\0\0\2"):
    frame = to + source
    for tag in tags:
        frame += struct.pack("!HH", tag, 7)
    return frame + struct.pack("!H", kind) + payload


def ipv4(payload, source="192.0.2.7", to="198.51.100.1", protocol=TCP, size=None, version=4, words=None, options=b"",
         offset=0, more=False, hops=64, ident=1):
    words = 5 + len(options) // 4 if words is None else words
    size = 20 + len(options) + len(payload) if size is None else size
    head = struct.pack("!BBHHHBBH4s4s", version << 4 | words, 0, size, ident, (0x2000 if more else 0) | offset // 8,
                       hops, protocol, 0, socket.inet_aton(source), socket.inet_aton(to))
    head = head[:10] + struct.pack("!H", checksum(head + options)) + head[12:]
    return head + options + payload


def ipv6(payload, source="2001:db8::7", to="2001:db8:1::1", protocol=TCP, size=None, version=6, hops=64):
    size = len(payload) if size is None else size
    return struct.pack("!IHBB16s16s", version << 28, size, protocol, hops, socket.inet_pton(socket.AF_INET6, source),
                       socket.inet_pton(socket.AF_INET6, to)) + payload


def tcp(to=80, source=12345, flags=SYN, words=5, payload=b""):
    return struct.pack("!HHIIBBHHH", source, to, 1, 0, words << 4, flags, 8192, 0, 0) + payload


def udp(to=80, source=12345, payload=b"", size=None):
    return struct.pack("!HHHH", source, to, 8 + len(payload) if size is None else size, 0) + payload


def icmp(kind=8, code=0, payload=b"\0" * 4):
    return struct.pack("!BBH", kind, code, 0) + payload


def extension(protocol, payload, words=0, body=None):
    """A header before `payload`, which is of `protocol`; of IPv6, (words + 1) * 8 bytes."""
    body = b"\1\4\0\0\0\0" + b"\0" * (words * 8) if body is None else body
    return bytes([protocol, words]) + body + payload


def fragment6(protocol, payload, offset=0, more=False, reserved=0):
    return struct.pack("!BBHI", protocol, reserved, offset | more, 77) + payload


def empty_program(action=DROP):
    """An XDP program that does nothing but return `action`: what costs are compared with."""
    code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, action, 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"BSD")
    program = Program.__new__(Program)
    program.fd = bpf(5, struct.pack("<IIQQIIQII16s", 6, 2, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0,
                                    0, b"empty"))[0]
    return program


# ---- the guard's maps, as they are pinned ----


def pinned(name):
    path = ctypes.create_string_buffer(f"{PINS}/packet/{name}".encode())
    return bpf(OBJ_GET, struct.pack("<QII", ctypes.addressof(path), 0, 0))[0]


def possible_cpus():
    last = open("/sys/devices/system/cpu/possible").read().strip().split("-")[-1]
    return int(last.split(",")[-1]) + 1


FORMS = ("whole", "not_ip", "first_fragment", "later_fragment", "truncated", "too_many_tags", "too_many_headers",
         "contradiction", "tiny_fragment", "port_zero", "bad_flags", "land", "bad_source")
KEEPS = ("none", "neighbour", "path_mtu", "dhcp", "established")


def forms():
    """How many packets there were of each form, and how many of each kind were let through in spite of a rule."""
    fd = pinned("packet_forms")
    found = {}
    for i, name in enumerate(FORMS + KEEPS):
        key, value = ctypes.create_string_buffer(struct.pack("<I", i), 4), ctypes.create_string_buffer(8 * possible_cpus())
        bpf(1, struct.pack("<IIQQQ", fd, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
        found[name] = sum(struct.unpack(f"<{possible_cpus()}Q", value.raw))
    os.close(fd)
    return found


def link_xdp(program, interface):
    """Someone else's XDP program, attached by a link: its descriptor."""
    return bpf(28, struct.pack("<IIIIII", program.fd, socket.if_nametoindex(interface), 37, 0, 0, 0))[0]


# ---- a network to send over ----


class Peer:
    """Another network namespace, joined by a pair of veth: `here` in ours, "peer" in there."""

    def __init__(self, here="guarded", net=1):
        self.here, self.net = here, net
        self.process = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.process.stdout.readline()
        pid = self.process.pid
        sh(f"ip link add {here} type veth peer name peer netns {pid}")
        for prefix, device, host in (("", here, 1), (f"nsenter -t {pid} -n ", "peer", 2)):
            sh(f"{prefix}sysctl -qw net.ipv6.conf.{device}.accept_dad=0 net.ipv4.conf.{device}.rp_filter=0"
               " net.ipv4.conf.all.rp_filter=0 || true")
            sh(f"{prefix}ip address add 10.99.{net}.{host}/24 dev {device}")
            sh(f"{prefix}ip address add 2001:db8:{net}::{host}/64 dev {device} nodad")
            sh(f"{prefix}ip link set {device} up")
        self.mac = open(f"/sys/class/net/{here}/address").read().strip() if os.path.exists(
            f"/sys/class/net/{here}/address") else device_mac(here)
        self.socket = self.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        self.socket.bind(("peer", 0))

    def inside(self, body):
        """What body() returns, run in the peer's namespace."""
        result = []

        def run():
            fd = os.open(f"/proc/{self.process.pid}/ns/net", os.O_RDONLY)
            libc.setns(fd, 0x40000000)
            os.close(fd)
            try:
                result.append(body())
            except OSError as e:
                result.append(e)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if isinstance(result[0], OSError):
            raise result[0]
        return result[0]

    def sh(self, command):
        return sh(f"nsenter -t {self.process.pid} -n {command}")

    def send(self, payload, kind=IP, times=1, **more):
        """Frames to us from the peer; they have come in when this returns. Few at a time are under way, because a veth
        device keeps no more than 256 and drops the others, in older kernels without a word."""
        frame = ethernet(payload, kind, to=bytes.fromhex(self.mac.replace(":", "")), **more)
        for first in range(0, times, 100):
            came, sent = self.came_in(), min(100, times - first)
            for _ in range(sent):
                self.socket.send(frame)
            end = time.monotonic() + PATIENCE_S
            while self.came_in() < came + sent and time.monotonic() < end:
                os.sched_yield()
        return frame

    def came_in(self):
        """Packets that our end has taken in, those that were dropped then too."""
        with open("/proc/thread-self/net/dev") as f:
            return next(int(l.split(":")[1].split()[1]) for l in f if l.split(":")[0].strip() == self.here)

    def close(self):
        self.socket.close()
        self.process.stdin.close()
        self.process.wait()


def sh(command):
    return subprocess.run(command, shell=True, check=True, stdout=subprocess.PIPE).stdout.decode()


def device_mac(device):
    return next(l.split()[1] for l in sh(f"ip link show {device}").splitlines() if "link/ether" in l)


def detached(device):
    """No XDP program is on it any more: the kernel detaches when the last that held a link has let it go, soon after."""
    end = time.monotonic() + PATIENCE_S
    while "xdp" in sh(f"ip link show {device}"):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
