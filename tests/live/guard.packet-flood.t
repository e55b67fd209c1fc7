#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.packet in floods: SYNs from addresses that nobody has, while clients connect, with the options of TCP that they
have without a flood; ACKs that nobody was asked for; floods that a rule answers by dropping all of them for a while, told
when they begin and when they are over; samples as pcap."""

import shutil

from sondatest import *
from packets import *


own_place()
peer = Peer()
FLOOD, CLIENTS = 2000, 25
KERNEL = tuple(int(n) for n in os.uname().release.split(".")[:2])
HANDED = KERNEL >= (6, 9)  # the stack can be handed the options of a connection that it didn't open
OPTIONS = {"timestamps": 1, "sack": 2, "scale": 4}


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


def options(s):
    """What both ends agreed on, as one of them has it: the options, its window's scale, the other's, the size of segments."""
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return {name for name, bit in OPTIONS.items() if info[5] & bit}, info[6] >> 4, info[6] & 15, struct.unpack_from("I", info, 16)[0]


def client(address, size=100000, seen=None):
    """Connects, sends and gets `size` bytes back."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as s:
        s.settimeout(PATIENCE_S)
        s.connect((address, 8080))
        if seen is not None:
            seen.append(options(s))
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
        self.accepted = []  # (address, port, options())
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s, (address, port, *_) = self.socket.accept()
                self.accepted.append((address.replace("::ffff:", ""), port, options(s)))
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


def agreed(address):
    """What a client and the server agree on, as both have it."""
    seen = []
    peer.inside(lambda: client(address, 10, seen))
    return seen[0], server.accepted[-1][2]


OURS = "10.99.1.1", "2001:db8:1::1"
plain = [agreed(a) for a in OURS]
check_equal(plain[0][1][0], set(OPTIONS), "a connection without cookies has all options")
sh("sysctl -qw net.ipv4.tcp_syncookies=2")
apply(RULE)
strength = counts()["web"]["strength"]
check("each SYN" in strength and ("kept (TC)" if HANDED else "no TCP options kept") in strength, strength)
for six in (False, True):
    before, rows = netstat(), counts()["web"]
    succeeded, sent = attacked(six)
    after = netstat()
    changed = {k: after[k] - before[k] for k in after if after[k] != before[k]}
    note(f"{'IPv6' if six else 'IPv4'}: {sent} SYNs, {succeeded} clients; {changed}")
    check_equal(succeeded, CLIENTS, f"clients that got through, {'IPv6' if six else 'IPv4'}")
    check_equal(changed.get("SyncookiesSent", 0), 0, "cookies that the stack had to send")
    seen = changed.get("SyncookiesRecv", 0)  # one is seen twice whose client had to ask again
    check(seen >= CLIENTS if not HANDED else seen == 0, f"cookies that the stack looked at by itself: {seen}")
    check_equal(changed.get("SyncookiesFailed", 0), 0, "cookies that were refused")
    check_equal((changed.get("ListenDrops", 0), changed.get("ListenOverflows", 0)), (0, 0), "SYNs that the listener dropped")
    matched, answered = since(rows)
    check(matched == answered and answered >= FLOOD, f"each that came is answered: {answered} of {matched}, {sent} were sent")

# ---- what both ends agree on is what they do without cookies ----
NOTHING = [set()] * 2
for six, address in enumerate(OURS):
    seen = agreed(address)
    if HANDED:
        check_equal(seen, plain[six], f"options with cookies, {address}")
    else:
        check_equal([side[0] for side in seen], NOTHING, f"no options with cookies, {address}")
sh("sysctl -qw net.ipv4.tcp_timestamps=2")
before = netstat()["SyncookiesRecv"]
for six, address in enumerate(OURS):
    check_equal(agreed(address), plain[six], f"options in plain timestamps, {address}")
check(netstat()["SyncookiesRecv"] - before >= 2, "which the stack reads itself")
sh("sysctl -qw net.ipv4.tcp_sack=0")
without = {"timestamps", "scale"}
check_equal([side[0] for side in agreed(OURS[0])], [without] * 2, "what this machine has switched off is not granted")
sh("sysctl -qw net.ipv4.tcp_timestamps=1")
check_equal([side[0] for side in agreed(OURS[0])], [without if HANDED else set()] * 2, "nor by TC")
sh("sysctl -qw net.ipv4.tcp_sack=1; nsenter -t %d -n sysctl -qw net.ipv4.tcp_timestamps=0" % peer.process.pid)
check_equal([side[0] for side in agreed(OURS[0])], NOTHING, "a client without timestamps")
peer.sh("sysctl -qw net.ipv4.tcp_timestamps=1 net.ipv4.tcp_window_scaling=0")
check_equal([side[0] for side in agreed(OURS[0])], [{"timestamps", "sack"} if HANDED else set()] * 2, "one without window scaling")
peer.sh("sysctl -qw net.ipv4.tcp_window_scaling=1")


# ---- ACKs that nobody was asked for ----
CLIENT = "10.99.1.77", 7001  # nobody has the address: what is answered is only seen


def segment(source, port, flags, seq, ack=0, stamps=(77, 0)):
    head = struct.pack("!HHIIBBHHH", port, 8080, seq, ack, (8 if ack else 10) << 4, flags, 64240, 0, 0)
    head += struct.pack("!BBBBII", 1, 1, 8, 10, *stamps) + (b"" if ack else struct.pack("!BBHBBBB", 2, 4, 1400, 1, 3, 3, 7))
    head = head[:16] + struct.pack("!H", transport_checksum(source, OURS[0], TCP, head)) + head[18:]
    return ipv4(head, source=source, to=OURS[0])


def answered():
    """A SYN of that client: (cookie, timestamp) of what it is answered."""
    sniffer = peer.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(IP)))
    sniffer.bind(("peer", IP))
    sniffer.settimeout(PATIENCE_S)
    peer.send(segment(*CLIENT, SYN, 1000))
    while True:
        frame = sniffer.recv(200)
        if frame[30:34] == socket.inet_aton(CLIENT[0]) and frame[47] == SYN | ACK:
            sniffer.close()
            at = frame.find(b"\x08\x0a", 54)
            return struct.unpack_from("!I", frame, 38)[0], struct.unpack_from("!I", frame, at + 2)[0] if at > 0 else 0


def came_of(*payloads):
    """Who was accepted because of these; another client's connection shows that they were looked at."""
    begin = len(server.accepted)
    for payload in payloads:
        peer.send(payload)
    peer.inside(lambda: client(OURS[0], 10))
    return [a[:2] for a in server.accepted[begin:] if not a[0].endswith(".2")]


cookie, stamp = answered()
good = segment(*CLIENT, ACK, 1001, cookie + 1 & 0xFFFFFFFF, (78, stamp))
before = netstat()["SyncookiesFailed"]
forged = {
    "another cookie": segment(*CLIENT, ACK, 1001, cookie + 1001 & 0xFFFFFFFF, (78, stamp)),
    "another sequence": segment(*CLIENT, ACK, 1500, cookie + 1 & 0xFFFFFFFF, (78, stamp)),
    "from another port": segment(CLIENT[0], 7002, ACK, 1001, cookie + 1 & 0xFFFFFFFF, (78, stamp)),
    "from another address": segment("10.99.1.78", CLIENT[1], ACK, 1001, cookie + 1 & 0xFFFFFFFF, (78, stamp)),
}
check_equal(came_of(*forged.values()), [], f"forged ACKs: {', '.join(forged)}")
check_equal(netstat()["SyncookiesFailed"] - before, len(forged), "all by the kernel's own check")
check_equal(came_of(good), [CLIENT], "the true one")
check_equal(came_of(good, good), [], "which comes again: it is of the connection that is there")

# ---- above a rate only; those below it are the listener's ----
sh("sysctl -qw net.ipv4.tcp_timestamps=2")
apply("rule web\n    answer packet tcp syn port 8080 with cookies above 1/h for 4h\n")
before = counts()["web"]
check("kept (timestamps)" in before["strength"], before["strength"])
sh("sysctl -qw net.ipv4.tcp_timestamps=1")
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
apply("rule web\n    answer packet tcp syn with cookies\nrule marked\n    mark packet udp port 7000 fwmark 5\n")
before = counts()["web"]
peer.send(ipv4(udp(7000, payload=b"x" * 20), source="10.99.1.2", to="10.99.1.1", protocol=UDP))
check_equal(counts()["marked"]["matched"], 1, "a rule at TC sees what generic XDP has let through")
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
