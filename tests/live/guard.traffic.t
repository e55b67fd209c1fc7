#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.traffic: what reaches the other side of rules about packets that leave, of marks, copies and other ways; who
sends; connections that go on; what belongs to others, and what stays behind."""

import errno

from sondatest import *
from packets import *

own_place()
peer, second = Peer(), Peer("second", 2)
END = b"\x88\xb5"  # what no rule is about
cgroups = next((d for d in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if os.path.exists(f"{d}/cgroup.procs")), None)
IP_RECVTOS, AUXDATA, OUTGOING = 13, 8, 4


class Side:
    """A pair of veth: frames are sent into `here`, and captured where they come out."""

    def __init__(self, there):
        self.there = there
        self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.raw.bind((there.here, 0))
        self.capture = there.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
        self.capture.bind(("peer", 3))
        self.capture.setsockopt(263, AUXDATA, 1)
        self.capture.settimeout(PATIENCE_S)
        self.mac = bytes.fromhex(there.sh("ip link show peer").split("link/ether")[1].split()[0].replace(":", ""))

    def end(self):
        self.raw.send(self.mac + b"\2\0\0\0\0\1" + END + b"end" + b"\0" * 40)

    def came(self):
        """Frames of our tests that came out since the last time."""
        self.end()
        frames = []
        while True:
            frame, aux, _, address = self.capture.recvmsg(65600, 256)
            if frame[12:14] == END:
                return frames
            tag = next((struct.unpack("=IIIHHHH", data[:20])[:4:-1] for _, kind, data in aux
                        if kind == AUXDATA and struct.unpack("=I", data[:4])[0] & 0x10), None)
            if frame[6:12] == b"\2\0\0\0\0\2" and address[2] != OUTGOING:
                frames.append(frame if tag is None else frame[:12] + struct.pack("!HH", *tag) + frame[12:])

    def send(self, *frames):
        for frame in frames:
            try:
                self.raw.send(self.mac + frame[6:])
            except OSError as e:
                if e.errno != errno.ENOBUFS:  # how who sends is told of a drop
                    raise
        return self.came()


first, other = Side(peer), Side(second)


def dscp(frame):
    """What the receiver reads, the header's checksum being right."""
    at = 14
    while frame[at - 2:at] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    if frame[at] >> 4 == 6:
        return struct.unpack_from("!H", frame, at)[0] >> 4 & 0xFF
    check_equal(checksum(frame[at:at + (frame[at] & 15) * 4]), 0, "the checksum of the header")
    return frame[at + 1]


def with_tos(frame, tos):
    head = bytearray(frame)
    if head[14] >> 4 == 6:
        head[14:16] = struct.pack("!H", 0x6000 | tos << 4)
        return bytes(head)
    head[15], head[24:26] = tos, b"\0\0"
    head[24:26] = struct.pack("!H", checksum(bytes(head[14:34])))
    return bytes(head)


def unmarked(frame):
    """The frame but for its DSCP and the checksum over that."""
    at = 14 + 4 * (frame[12:14] == b"\x81\x00") + 4 * (frame[12:14] == b"\x88\xa8") * 2
    if frame[at] >> 4 == 6:
        return frame[12:at] + bytes([frame[at] & 0xF0, frame[at + 1] & 0x3F]) + frame[at + 2:]
    return frame[12:at + 1] + bytes([frame[at + 1] & 3]) + frame[at + 2:at + 10] + frame[at + 12:]


def row(rule):
    r = counts()[rule]
    return r["matched"], r["refused"], r["bytes"]


def v4(port, **more):
    return ethernet(ipv4(udp(port, payload=b"x" * 20), protocol=UDP, to="10.99.1.2", **more))


def v6(payload, protocol):
    return ethernet(ipv6(payload, protocol=protocol, to="2001:db8:1::2"), IP6)


voip6 = udp(5060, payload=b"x" * 20)
VOIP = {
    "IPv4": v4(5060),
    "options": v4(5060, options=b"\1" * 8),
    "ECN stays": with_tos(v4(5060), 0x03),
    "marked otherwise before": with_tos(v4(5060), 0x88),
    "first fragment": v4(5060, more=True),
    "VLAN": ethernet(ipv4(voip6, protocol=UDP, to="10.99.1.2"), tags=[VLAN]),
    "QinQ": ethernet(ipv4(voip6, protocol=UDP, to="10.99.1.2"), tags=[QINQ, VLAN]),
    "IPv6": v6(voip6, UDP),
    "IPv6, ECN stays": with_tos(v6(voip6, UDP), 0x02),
    "IPv6 with options": v6(extension(UDP, voip6), OPTIONS),
    "IPv6 in a VLAN": ethernet(ipv6(voip6, protocol=UDP, to="2001:db8:1::2"), IP6, tags=[VLAN]),
}
NOT_VOIP = {
    "another port": v4(5061),
    "a later fragment": v4(5060, offset=800),
    "TCP": ethernet(ipv4(tcp(5060), to="10.99.1.2")),
    "elsewhere": ethernet(ipv4(voip6, protocol=UDP, to="192.0.2.1")),
}


def case_mark():
    apply("""rule voip
    mark packet out to 10.99.1.0/24, 2001:db8:1::/64 udp port 5060 as ef
rule seen
    watch packet out udp port 5060, 5061
""")
    for what, frame in VOIP.items():
        came = first.send(frame)
        check_equal(len(came), 1, f"{what}: it arrives once")
        inner = frame[14 + 4 * (what == "VLAN" or what == "IPv6 in a VLAN") + 8 * (what == "QinQ"):]
        ecn = (inner[1] & 3) if inner[0] >> 4 == 4 else inner[1] >> 4 & 3
        check_equal(dscp(came[0]), 46 << 2 | ecn, f"{what}: DSCP ef")
        check_equal(unmarked(came[0]), unmarked(frame), f"{what}: nothing else has changed")
    for what, frame in NOT_VOIP.items():
        came = first.send(frame)
        check_equal((len(came), came and came[0][12:]), (1, frame[12:]), f"{what}: as it was")
    check_equal(row("voip"), (len(VOIP), 0, sum(map(len, VOIP.values()))), "matched, refused, bytes")
    check_equal(row("seen")[0], len(VOIP) + 2, "a rule behind it is asked too")
    strength = counts()["voip"]["strength"]
    check("TCX egress" in strength or "TC clsact egress" in strength, strength)
    check("2 interfaces" in strength, f"at both: {strength}")
    tos = peer.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    tos.bind(("10.99.1.2", 5060))
    tos.setsockopt(socket.IPPROTO_IP, IP_RECVTOS, 1)
    tos.settimeout(PATIENCE_S)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.sendto(b"hello", ("10.99.1.2", 5060))
    data, aux, _, _ = tos.recvmsg(100, 100)
    check_equal((data, aux[0][2][0]), (b"hello", 46 << 2), "a socket gets it, with the checksum that it checks")


def case_drop():
    apply("""rule mail
    drop packet out udp port 25
rule audited
    drop packet out udp port 26 mode audit
rule few
    limit packet out udp port 27 to 1/h burst 3 per source
rule bytes
    limit packet out udp port 31 to 1B/s burst 250B per source
rule tripping
    drop packet out udp port 28 trip at 2/min
rule allowed
    allow packet out udp port 29 from 192.0.2.8
rule the-others
    drop packet out udp port 29
""")
    check_equal(len(first.send(*[v4(25)] * 5)), 0, "dropped before it leaves")
    check_equal(len(first.send(*[v4(26)] * 5)), 5, "audit lets it leave")
    check_equal(len(first.send(*[v4(27)] * 5 + [v4(27, source="192.0.2.8")] * 5)), 6, "three of each source")
    size = len(v4(31))
    check_equal(len(first.send(*[v4(31)] * 9 + [v4(31, source="192.0.2.8")] * 9)), 2 * -(-250 // size), f"250 bytes of each source, {size} each")
    check_equal(len(first.send(*[v4(28)] * 5)), 3, "two refused, then only counted")
    check_equal(len(first.send(v4(29), v4(29, source="192.0.2.8"))), 1, "the first that decides")
    check_equal(len(peer.send(ipv4(udp(25), source="10.99.1.2", to="10.99.1.1", protocol=UDP))) > 0 and row("mail"),
                (5, 5, 5 * len(v4(25))), "counts, and not what comes in")
    check_equal((row("audited")[:2], row("few")[:2], row("tripping")[:2]), ((5, 0), (10, 4), (5, 2)), "and of the others")
    check_equal(counts()["tripping"]["mode"], "tripped", "tripped")
    with Sonda("trace", "guard.traffic") as s:
        told = s.wait_row(lambda r: r["rule"] == "mail")
    check_equal({k: told[k] for k in ("outcome", "from", "to", "to_port", "place", "length_bytes")},
                {"outcome": "refused", "from": "192.0.2.7", "to": "10.99.1.2", "to_port": 25, "place": "out",
                 "length_bytes": len(v4(25))}, "what is told")
    why = policy("why", "packet", "out", "udp", "192.0.2.7:9", "10.99.1.2:25").stdout
    check("dropped: rule 'mail' (line 1) decides" in why, why)
    why = policy("why", "packet", "out", "udp", "192.0.2.7:9", "10.99.1.2:30").stdout
    check("no rule decides" in why, why)


def case_elsewhere():
    apply("""rule copy
    mirror packet out udp port 53 to second
rule copy-in
    mirror packet udp port 54 on guarded to second
rule away
    redirect packet out udp port 55 to second
rule away-in
    redirect packet udp port 56 on guarded to second
rule unsure
    redirect packet out udp port 57 to second mode audit
rule marked
    mark packet out udp port 53 as cs1
""")
    came, copies = first.send(v4(53)), other.came()
    check_equal((len(came), len(copies)), (1, 1), "one arrives, one copy of it")
    check_equal(copies[0][12:], v4(53)[12:], "the copy as it was then")
    check_equal(dscp(came[0]), 32, "the next rule is asked about the packet")
    came, copies = first.send(v4(55), v4(57)), other.came()
    check_equal(([f[36:38] for f in came], [f[36:38] for f in copies]), ([b"\0\x39"], [b"\0\x37"]), "sent elsewhere; audit doesn't")
    check_equal(len(other.send(v4(53), v4(55))), 2, "what is at the target is neither copied nor sent there")
    for port, kept in ((54, True), (56, False)):
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind(("10.99.1.1", port))
        bound.setblocking(False)
        for tags in ([], [VLAN]):
            frame = peer.send(ipv4(udp(port), source="10.99.1.2", to="10.99.1.1", protocol=UDP), tags=tags)
            copies = other.came()
            check_equal([c[12:] for c in copies], [frame[12:]], f"port {port}, {len(tags)} tags: what came in goes out there as it came")
        try:
            arrived = bound.recv(100) is not None
        except BlockingIOError:
            arrived = False
        check_equal(arrived, kept, f"port {port}: it arrives here too, or doesn't")
    check_equal([row(r)[:2] for r in ("copy", "copy-in", "away", "away-in", "unsure")],
                [(1, 0), (2, 0), (1, 0), (2, 0), (1, 0)], "counted once")


def send_as(port, uid=None, cgroup=None):
    """A datagram of another process."""
    pid = os.fork()
    if pid == 0:
        if cgroup:
            open(f"{cgroups}{cgroup}/cgroup.procs", "w").write("0")
        if uid:
            os.setuid(uid)
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.sendto(b"x", ("10.99.1.2", port))
        os._exit(0)
    os.waitpid(pid, 0)


def arrives(port, **who):
    receiver = peer.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    receiver.bind(("10.99.1.2", port))
    end = peer.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    end.bind(("10.99.1.2", 9))
    end.settimeout(PATIENCE_S)
    send_as(port, **who)
    send_as(9)
    end.recv(10)
    receiver.setblocking(False)
    try:
        receiver.recv(10)
        return True
    except BlockingIOError:
        return False
    finally:
        receiver.close()
        end.close()


def case_sender():
    os.sched_setaffinity(0, {0})  # veth delivers in the order of sending where it is sent
    apply("""rule users
    drop packet out udp port 1001 when user in 65534
rule spared
    drop packet out udp port 1002 unless user in 65534
""")
    check_equal([arrives(1001), arrives(1001, uid=65534), arrives(1002), arrives(1002, uid=65534)], [True, False, False, True], "by user")
    if not cgroups:
        print("not shown: there is no cgroup v2 here")
        return
    top = f"/sonda-test-{os.getpid()}"
    made = [top, f"{top}/a", f"{top}/a/b", f"{top}/c"]
    for d in made:
        os.mkdir(cgroups + d)
    try:
        apply(f"""rule below
    drop packet out udp port 1003 when cgroup in {top}/a
rule not-b
    drop packet out udp port 1004 when cgroup in {top} unless cgroup in {top}/a/b
rule nobody-else
    drop packet out udp port 1005 unless cgroup in {top}/c, {top}/a
""")
        check_equal([arrives(1003), arrives(1003, cgroup=f"{top}/a"), arrives(1003, cgroup=f"{top}/a/b"), arrives(1003, cgroup=f"{top}/c")],
                    [True, False, False, True], "by cgroup and what is below it")
        check_equal([arrives(1004), arrives(1004, cgroup=f"{top}/a"), arrives(1004, cgroup=f"{top}/a/b")], [True, False, True], "with an exception")
        check_equal([arrives(1005), arrives(1005, cgroup=f"{top}/a/b")], [False, True], "only from there")
        check_equal(len(first.send(v4(1005))), 0, "a packet of another socket")
    finally:
        for d in reversed(made):
            os.rmdir(cgroups + d)


def streamed(client, server, size):
    """How much of it arrives as it was sent."""
    server.settimeout(PATIENCE_S)
    sender = threading.Thread(target=lambda: client.sendall(bytes(range(250)) * (size // 250)))
    sender.start()
    at = 0
    while at < size:
        data = server.recv(65536)
        if not data or data != (bytes(range(250)) * (len(data) // 250 + 2))[at % 250:][:len(data)]:
            break
        at += len(data)
    sender.join()
    return at


def case_connections():
    apply("rule watch-all\n    watch packet out\n")
    listener = peer.inside(socket.socket)
    listener.bind(("10.99.1.2", 5002))
    listener.listen()
    client = socket.create_connection(("10.99.1.2", 5002), timeout=PATIENCE_S)
    server, _ = listener.accept()
    own = socket.socket()
    own.bind(("10.99.1.1", 5003))
    own.listen()
    apply("rule none\n    drop packet out tcp\n")
    check_equal(streamed(client, server, 300000), 300000, "a connection that is there goes on")
    try:
        socket.create_connection(("10.99.1.2", 5002), timeout=0.4)
        check(False, "a new one must not come about")
    except OSError:
        check(True, "no new one comes about")

    def attempt():
        with socket.socket() as s:
            s.settimeout(0.4)
            try:
                s.connect(("10.99.1.1", 5003))
                return True
            except OSError:
                return False
    check_equal(peer.inside(attempt), False, "nor one from there, whose answer would leave")
    check(row("none")[1] >= 2, "refused")
    found = {r["found"] for r in policy("status", json_output=True).rows if "found" in r}
    check("at TC: let through: of an established TCP connection of this machine" in found, f"why it goes on: {found}")
    apply("rule all-marked\n    mark packet out tcp as af21\n")
    capture_tcp(first)
    check_equal(streamed(client, server, 1000000), 1000000, "a stream whose packets are marked arrives whole")
    check(row("all-marked")[2] >= 1000000, "bytes as on the wire, large packets by their segments")
    check_equal({dscp(f) for f in capture_tcp(first)}, {18 << 2}, "each packet of it is marked")
    for s in (client, server, listener, own):
        s.close()


def capture_tcp(side):
    """TCP from our own address that was captured (of many, some are not)."""
    frames = []
    side.capture.setblocking(False)
    while True:
        try:
            frame = side.capture.recv(65600)
        except BlockingIOError:
            side.capture.settimeout(PATIENCE_S)
            return frames
        if frame[12:14] == b"\x08\0" and frame[23] == TCP and frame[26:30] == socket.inet_aton("10.99.1.1"):
            frames.append(frame)


def case_kernel_marks():
    apply("rule routed\n    mark packet udp port 1111 on guarded fwmark 0x77\n")
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("10.99.1.1", 1111))
    bound.setblocking(False)
    packet = ipv4(udp(1111), source="10.99.1.2", to="10.99.1.1", protocol=UDP)
    peer.send(packet)
    check_equal(len(bound.recv(10)), 0, "it arrives")
    sh("ip rule add pref 1 fwmark 0x77 blackhole")
    sh("ip rule del pref 0; ip rule add pref 2 lookup local")
    peer.send(packet)
    try:
        bound.recv(10)
        check(False, "a routing rule goes by the mark")
    except BlockingIOError:
        check(True, "a routing rule goes by the mark")
    sh("ip rule add pref 0 lookup local; ip rule del pref 1; ip rule del pref 2")
    if subprocess.run("tc qdisc add dev guarded root handle 1: htb && tc class add dev guarded parent 1: classid 1:10 htb rate 1gbit",
                      shell=True, stderr=subprocess.DEVNULL).returncode == 0:
        apply("rule classed\n    mark packet out udp port 5060 class 1:10\n")
        first.send(*[v4(5060)] * 7)
        sent = sh("tc -s class show dev guarded").split("Sent")[1].split()
        check_equal(int(sent[2]), 7, "the queue's class goes by the class")
        sh("tc qdisc del dev guarded root")


def case_confirm():
    apply("rule a\n    drop packet out udp port 25\n")
    with tempfile.NamedTemporaryFile("w", suffix=".policy") as f:
        f.write("rule b\n    drop packet out udp port 26\nrule c\n    mark packet out udp port 25 as ef\n")
        f.flush()
        policy("apply", f.name, "--confirm", "100ms")
        end = time.monotonic() + PATIENCE_S
        while not first.send(v4(26)) and time.monotonic() < end:
            pass
        check_equal([len(first.send(v4(p))) for p in (25, 26)], [0, 1], "what was before decides again")
        policy("apply", f.name, "--confirm", "1h")
        check_equal([[dscp(x) for x in first.send(v4(p))] for p in (25, 26)], [[46 << 2], []], "until it must be confirmed")
        policy("rollback")
        check_equal([len(first.send(v4(p))) for p in (25, 26)], [0, 1], "rolled back")


def qdisc(device):
    return "clsact" in sh(f"tc qdisc show dev {device}")


def case_others():
    """Programs and queueing disciplines of others are left alone."""
    policy("off")
    code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, -1, 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"BSD")
    program, _ = bpf(5, struct.pack("<IIQQIIQII16sI", 3, 2, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0, 0, b"foreign", 0))
    try:  # by TCX, after which ours comes first
        link, _ = bpf(28, struct.pack("<IIII", program, socket.if_nametoindex("guarded"), 47, 0))
    except OSError:
        link = None
    sh("tc qdisc add dev guarded clsact")
    apply("rule a\n    drop packet out udp port 25\n")
    check_equal(len(first.send(v4(25))), 0, "ours decides beside them")
    if link is None:
        check(qdisc("second"), "clsact was made where it wasn't")
        check("traffic_out" in sh("tc filter show dev second egress"), "a filter there")
    policy("off")
    check(qdisc("guarded"), "a queueing discipline that was there stays")
    check(not qdisc("second"), "that which was made is gone")
    check_equal(sh("tc filter show dev guarded egress; tc filter show dev second egress; tc filter show dev second ingress"), "", "no filter is left")
    if link is not None:
        info = ctypes.create_string_buffer(64)
        bpf(OBJ_GET_INFO, struct.pack("<IIQ", link, len(info), ctypes.addressof(info)))
        check_equal(struct.unpack_from("<I", info.raw, 16)[0], socket.if_nametoindex("guarded"), "a program of others stays attached")
        os.close(link)
    sh("tc qdisc del dev guarded clsact")
    os.close(program)
    refused = apply("rule a\n    mirror packet out to nowhere0\n", ok=False)
    check(refused.code == 5 and "line 2" in refused.stderr and "nowhere0" in refused.stderr, refused.stderr)
    check(not os.path.exists(PINS), "nothing is left behind")
    check(not qdisc("guarded") and not qdisc("second"), "nor clsact")


try:
    case_mark()
    case_drop()
    case_elsewhere()
    case_sender()
    case_connections()
    case_kernel_marks()
    case_confirm()
    case_others()
finally:
    policy("off", ok=False)
    peer.close()
    second.close()
done()
