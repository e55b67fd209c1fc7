#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.packet in floods: SYNs from addresses that nobody has, while clients connect; floods that a rule answers by
dropping all of them for a while, told when they begin and when they are over; samples as pcap."""

import shutil

from sondatest import *
from packets import *


own_place()
peer = Peer()
FLOOD, CLIENTS = 2000, 25


def netstat():
    """TcpExt counters of this namespace."""
    lines = [l.split() for l in open("/proc/thread-self/net/netstat") if l.startswith("TcpExt:")]
    return dict(zip(lines[0][1:], map(int, lines[1][1:])))


def transport_checksum(source, to, protocol, segment):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    pseudo = socket.inet_pton(family, source) + socket.inet_pton(family, to)
    return checksum(pseudo + struct.pack("!II", len(segment), protocol) + segment)


def syn(source, to, port, number):
    """A SYN as Linux sends it: MSS, SACK, timestamps, window scale."""
    options = struct.pack("!BBHBBBBIIBBBB", 2, 4, 1400, 4, 2, 8, 10, 1, 0, 1, 3, 3, 7)
    head = struct.pack("!HHIIBBHHH", 1024 + number % 60000, port, number * 7919 & 0xFFFFFFFF, 0, 10 << 4, SYN, 64240, 0, 0)
    segment = head + options
    return segment[:16] + struct.pack("!H", transport_checksum(source, to, TCP, segment)) + segment[18:]


def spoofed(number, six):
    if six:
        source, to = f"2001:db8:{0x8000 + (number >> 8):x}:{number & 255:x}::1", "2001:db8:1::1"
        return ipv6(syn(source, to, 8080, number), source=source, to=to), IP6
    source, to = f"172.{16 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", "10.99.1.1"
    return ipv4(syn(source, to, 8080, number), source=source, to=to), IP


def flood(begin, count, six=False):
    """`count` SYNs, each from another address, and from a device that isn't there: nobody gets the answers."""
    for number in range(begin, begin + count):
        payload, kind = spoofed(number, six)
        frame = ethernet(payload, kind, to=bytes.fromhex(peer.mac.replace(":", "")))
        peer.socket.send(frame)


def client(address, size=100000):
    """Connects, sends and gets `size` bytes back; what it knows of the connection."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as s:
        s.settimeout(PATIENCE_S)
        s.connect((address, 8080))
        s.sendall(b"x" * size)
        s.shutdown(socket.SHUT_WR)
        got = 0
        while piece := s.recv(65536):
            got += len(piece)
        return got == size


class Server:
    """Sends back what it gets, on IPv4 and IPv6, with a short queue."""

    def __init__(self, backlog=8):
        self.socket = socket.socket(socket.AF_INET6)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("::", 8080))
        self.socket.listen(backlog)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.echo, args=(s,), daemon=True).start()

    @staticmethod
    def echo(s):
        with s:
            while piece := s.recv(65536):
                s.sendall(piece)


def attacked(six):
    """All clients while the flood goes on: how many of them got through, and how much of the flood there was."""
    ended, sent = threading.Event(), [0]

    def attack():
        while not ended.is_set():
            flood(sent[0], 100, six)
            sent[0] += 100

    attacker = threading.Thread(target=lambda: peer.inside(attack))
    attacker.start()
    succeeded = 0
    while sent[0] < FLOOD:
        time.sleep(0.001)
    for _ in range(CLIENTS):
        try:
            succeeded += peer.inside(lambda: client("2001:db8:1::1" if six else "10.99.1.1"))
        except OSError as e:
            note(f"a client failed: {e}")
    ended.set()
    attacker.join()
    return succeeded, sent[0]


def note(text):
    print(f"# {text}", flush=True)


# the stack finds a way to send its answers by, and the peer's has none for them
sh("ip route add default via 10.99.1.2; ip -6 route add default via 2001:db8:1::2")


def since(before):
    """What rule web matched and refused since then."""
    row = counts()["web"]
    return row["matched"] - before["matched"], row["refused"] - before["refused"]


# ---- the kernel takes no cookies: refused ----
sh("sysctl -qw net.ipv4.tcp_syncookies=0")
RULE = "rule web\n    answer packet tcp syn port 8080 with cookies\n"
refused = apply(RULE, ok=False)
check(refused.code == 4 and "tcp_syncookies" in refused.stderr and "line 2" in refused.stderr, refused.stderr)
check(not os.path.exists(PINS), "and nothing is left behind")

# ---- each SYN answered: the listener never sees one ----
server = Server()
sh("sysctl -qw net.ipv4.tcp_syncookies=2")
apply(RULE)
check("each SYN" in counts()["web"]["strength"], counts()["web"]["strength"])
for six in (False, True):
    before, rows = netstat(), counts()["web"]
    succeeded, sent = attacked(six)
    after = netstat()
    changed = {k: after[k] - before[k] for k in after if after[k] != before[k]}
    note(f"{'IPv6' if six else 'IPv4'}: {sent} SYNs, {succeeded} clients; {changed}")
    check_equal(succeeded, CLIENTS, f"clients that got through, {'IPv6' if six else 'IPv4'}")
    check_equal(changed.get("SyncookiesSent", 0), 0, "cookies that the stack had to send")
    check_equal(changed.get("SyncookiesRecv", 0), CLIENTS, "cookies that came back, and were taken")
    check_equal((changed.get("ListenDrops", 0), changed.get("ListenOverflows", 0)), (0, 0), "SYNs that the listener dropped")
    matched, answered = since(rows)
    check(matched == answered and answered >= FLOOD, f"each that came is answered: {answered} of {matched}, {sent} were sent")

# ---- above a rate only; those below it are the listener's ----
apply("rule web\n    answer packet tcp syn port 8080 with cookies above 1/h for 4h\n")
before = counts()["web"]
peer.inside(lambda: [client("10.99.1.1", 10) for _ in range(6)])
check_equal(since(before), (6, 2), "four are below the rate, two are answered")

# ---- while the queue is full: the kernel says when ----
sh("sysctl -qw net.ipv4.tcp_syncookies=1")
apply(RULE)
before = counts()["web"]
check(peer.inside(lambda: client("10.99.1.1")), "a client")
check("queue is full" in before["strength"], before["strength"])
check_equal(since(before), (1, 0), "not answered, because the queue has room")
succeeded, sent = attacked(False)
check_equal(succeeded, CLIENTS, "clients that got through when the queue is full")
check(since(before)[1] >= FLOOD // 2, f"answered, because the queue is full: {since(before)}")

# ---- what can't be answered: not for this machine, no listener, and in audit ----
sh("sysctl -qw net.ipv4.tcp_syncookies=2 net.ipv4.ip_forward=1")
apply("rule web\n    answer packet tcp syn with cookies\n")
before = counts()["web"]
for what, source, to, port in (("another machine's", "10.99.1.2", "203.0.113.9", 8080), ("no listener", "10.99.1.2", "10.99.1.1", 8081)):
    peer.send(ipv4(syn(source, to, port, 5), source=source, to=to))
check_equal(since(before), (2, 0), "left to the stack")
apply(RULE + "    mode audit\n")
before = counts()["web"]
peer.send(ipv4(syn("10.99.1.2", "10.99.1.1", 8080, 6), source="10.99.1.2", to="10.99.1.1"))
check_equal(since(before), (1, 0), "audit answers nobody")

# ---- floods: dropped as a whole for a while, told when they begin and when they are over ----
apply("""rule reflected
    watch packet udp source-port @reflectors above 5/h for 1h per network, then drop for 1s
rule burst
    limit packet udp port 9000 to 1/h burst 3 per port, then drop for 1h
rule seen
    drop packet udp port 7777
""")


def send_udp(times, source, port=5000, source_port=5000):
    peer.send(ipv4(udp(port, source_port, b"x" * 20), source=source, to="10.99.1.1", protocol=UDP), times=times)


with Sonda("trace", "guard.packet") as s:
    send_udp(20, "10.99.1.9", source_port=123)
    send_udp(20, "10.99.7.1", source_port=500)
    begun = s.wait_row(lambda r: r.get("state") == "begun")
    check_equal({k: begun[k] for k in ("rule", "of", "address", "packets", "lasts_ns")},
                {"rule": "reflected", "of": "network", "address": "10.99.1.0", "packets": 1, "lasts_ns": 10**9}, "a flood begins")
    row = counts()["reflected"]
    check_equal((row["matched"], row["refused"]), (20, 15), "what is above the rate is dropped, of that network")
    over = s.wait_row(lambda r: r.get("state") == "ended")  # nobody sends any more
    check_equal({k: over[k] for k in ("rule", "of", "address", "packets", "lasts_ns")},
                {"rule": "reflected", "of": "network", "address": "10.99.1.0", "packets": 15, "lasts_ns": 10**9}, "and is over")
    send_udp(8, "10.99.3.1", port=9000)
    begun = s.wait_row(lambda r: r.get("state") == "begun" and r["rule"] == "burst")
    check_equal((begun["of"], begun["protocol"], begun["port"]), ("port", "udp", 9000), "a port's")
floods = [r for r in policy("status", json_output=True).rows if "flood" in r]
check_equal([(f["flood"], f["of_rule"], f["packets"]) for f in floods], [("udp port 9000", "burst", 5)], "status has those that go on")
text = policy("status").stdout
check("flood, rule burst: udp port 9000 dropped for" in text, text)

# ---- the first bytes of what was dropped, for tcpdump ----
frame = ethernet(ipv4(udp(7777, payload=b"y" * 60), source="10.99.1.2", to="10.99.1.1", protocol=UDP),
                 to=bytes.fromhex(peer.mac.replace(":", "")))
with Sonda("trace", "guard.packet") as s:
    peer.socket.send(frame)
    row = s.wait_row(lambda r: r.get("rule") == "seen")
check_equal((row["protocol"], row["outcome"], row.get("content")), ("udp", "refused", None), "protocols by name")
with Sonda("trace", "guard.packet", "-o", "pcap", "--snap", "64") as s:
    end = time.monotonic() + PATIENCE_S
    while len(b"".join(s._out)) < 24 + 16 and time.monotonic() < end:  # told once in a second
        peer.socket.send(frame)
        time.sleep(0.05)
data = b"".join(s._out)
check_equal(struct.unpack_from("<IHHIIII", data), (0xA1B23C4D, 2, 4, 0, 0, 65535, 1), "it is a pcap of Ethernet, in nanoseconds")
at_s, _, kept, length = struct.unpack_from("<IIII", data, 24)
check(abs(at_s - time.time()) < 60, "of now")
check_equal((kept, length, data[40:104]), (64, len(frame), frame[:64]), "the first 64 bytes of the frame")
if shutil.which("tcpdump"):
    seen = subprocess.run(["tcpdump", "-nr", "-"], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
    check("10.99.1.2.12345 > 10.99.1.1.7777: UDP, length 60" in seen, f"tcpdump reads it: {seen}")
# ---- in native mode a veth loses answers: not done ----
policy("off")
check(detached("guarded"), "off: no program is left on the interface")
apply("rule seen\n    drop packet udp port 7777\n")
refused = apply(RULE, ok=False)
check(refused.code == 1 and "native" in refused.stderr and "policy off" in refused.stderr, refused.stderr)
check_equal(list(counts()), ["seen"], "what was in force is")
policy("off")
check(not os.path.exists(PINS), "nothing is left behind")
check(detached("guarded"), "no program is left on the interface")
done()
