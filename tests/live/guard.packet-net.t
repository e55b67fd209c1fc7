#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.packet on a network of its own: what is sent from one side, what sockets get on the other, limits, connections
that go on, other people's programs, and what stays behind."""

from sondatest import *
from packets import *

own_place()
peer = Peer()


def receiver(port, family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE: frames of veth take a page each
    s.bind(("10.99.1.1" if family == socket.AF_INET else "2001:db8:1::1", port))
    s.setblocking(False)
    return s


def received(s):
    """How many datagrams wait; what is sent over veth is there when send() returns."""
    count = 0
    while True:
        try:
            s.recv(2048)
            count += 1
        except BlockingIOError:
            return count


def send_udp(port, times, source="10.99.1.2", payload=b"x" * 10):
    return peer.send(ipv4(udp(port, payload=payload), source=source, to="10.99.1.1", protocol=UDP), times=times)


def send_udp6(port, times, source="2001:db8:1::2"):
    return peer.send(ipv6(udp6(port, source), source=source, to="2001:db8:1::1", protocol=UDP), IP6, times)


def udp6(port, source):
    """With a checksum, without which IPv6 takes none."""
    head = udp(port, payload=b"x" * 10)
    pseudo = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "2001:db8:1::1")
    total = checksum(pseudo + struct.pack("!II", len(head), UDP) + head)
    return head[:6] + struct.pack("!H", total) + head[8:]


def connects(port, here=True, patience_s=0.4):
    """Does a TCP connection come about: to us from the peer, or from us to the peer?"""
    def attempt():
        with socket.socket() as s:
            s.settimeout(patience_s)
            try:
                s.connect(("10.99.1.1" if here else "10.99.1.2", port))
                return True
            except OSError:
                return False
    return peer.inside(attempt) if here else attempt()


def row(rule):
    r = counts()[rule]
    return r["matched"], r["refused"], r["bytes"]


one, two, six = receiver(1111), receiver(2222), receiver(1111, socket.AF_INET6)

# ---- counts are exact, of packets and bytes; audit, watch, and rules that have expired ----
apply("""rule audited
    drop packet udp port 2222 mode audit
rule seen
    watch packet udp
rule no-1111
    drop packet udp port 1111 on guarded
rule over
    drop packet udp expires 2020-01-01
""")
check("native on 1" in counts()["no-1111"]["strength"], "veth is guarded in native mode")
size = len(send_udp(1111, 300)) + 0
send_udp(2222, 200)
send_udp6(1111, 50)
check_equal((received(one), received(two), received(six)), (0, 200, 0), "what sockets got")
check_equal(row("no-1111"), (350, 350, 300 * size + 50 * (size + 20)), "matched, refused, bytes of the drop")
check_equal(row("audited"), (200, 0, 200 * size), "of the audit")
check_equal(row("seen"), (550, 0, 500 * size + 50 * (size + 20)), "of the watch")
check_equal(row("over"), (0, 0, 0), "of the rule that has expired")

# ---- told: the first of each rule in a second on a CPU, and how many there were since ----
os.sched_setaffinity(0, {0})  # veth delivers where it is sent
apply("rule told\n    drop packet udp port 1111\nrule odd\n    drop packet malformed\n")
with Sonda("trace", "guard.packet") as s:
    size = len(send_udp(1111, 40))
    peer.send(ipv4(tcp(22, flags=SYN | FIN), source="10.99.1.2", to="10.99.1.1"))
    s.wait_row(lambda r: r["rule"] == "odd")
    ended = threading.Event()
    more = threading.Thread(target=lambda: [send_udp(1111, 1) for _ in iter(lambda: ended.wait(0.05), True)])
    more.start()
    s.wait_row(lambda r: r["rule"] == "told" and r["since"] > 1)
    ended.set()
    more.join()
first = next(r for r in s.rows if r["rule"] == "told")
check_equal({k: first[k] for k in ("outcome", "form", "protocol", "from", "from_port", "to", "to_port", "length_bytes", "since")},
            {"outcome": "refused", "form": "whole", "protocol": "udp", "from": "10.99.1.2", "from_port": 12345,
             "to": "10.99.1.1", "to_port": 1111, "length_bytes": size, "since": 1}, "what is told of the first")
check_equal([r["form"] for r in s.rows if r["rule"] == "odd"], ["bad_flags"], "what is wrong with it is told")
told = [r["since"] for r in s.rows if r["rule"] == "told"]
check(len(told) <= 10 and 41 <= sum(told) <= counts()["told"]["refused"], f"a few tell of all: {told}")

# ---- why: the guard itself answers ----
why = policy("why", "packet", "udp", "10.99.1.2:9", "10.99.1.1:1111").stdout
check("dropped: rule 'told' (line 1) decides" in why, why)
why = policy("why", "packet", "udp", "[2001:db8::1]:9", "[2001:db8::2]:1112", "on", "guarded").stdout
check("no rule decides" in why, why)

# ---- the next policy, by the guard that stands; limits ----
apply("""rule few
    limit packet udp port 1111 to 1/h burst 5 per source
rule network
    limit packet udp port 2222 to 1/h burst 7 per network
rule all
    limit packet udp port 3333 to 1/h burst 9
""")
three = receiver(3333)
send_udp(1111, 20)
send_udp(1111, 20, source="10.99.1.3")
send_udp6(1111, 20)
send_udp6(1111, 20, source="2001:db8:1::3")
check_equal((received(one), received(six)), (10, 5), "five for each source; a /64 is one")
send_udp(2222, 20)
send_udp(2222, 20, source="10.99.1.77")
check_equal(received(two), 7, "seven for all of a network")
for host in range(20):
    send_udp(3333, 1, source=f"10.99.1.{50 + host}")
check_equal(received(three), 9, "nine for all")
check_equal(row("few")[:2], (80, 65), "matched and refused by the limit")

# a rate: as many as a bucket lets through that holds 10 and gets 100 a second, at the times that they were sent
apply("rule rate\n    limit packet udp port 1111 to 100/s burst 10 per source\n")
held, model, sent, begin = 10.0, 0, 0, time.monotonic()
last = begin
while last - begin < 1:
    send_udp(1111, 10, source="10.99.1.9")
    now = time.monotonic()
    held = min(10, held + 100 * (now - last))
    let = min(10, int(held))
    held, model, sent, last = held - let, model + let, sent + 10, now
got = received(one)
# (fewer, where the guest's ticks came late)
check(sent > model and 20 <= got <= model + 12 + model / 20, f"100/s: {got} of {sent}, the model says {model}")

# limits of bytes: as long as less than the burst was taken, a packet passes whole
apply("""rule small
    limit packet udp port 1111 to 3600B/h burst 10kB per source
rule all
    limit packet udp port 2222 to 1B/s burst 3000B
""")
small = len(send_udp(1111, 0, payload=b"y" * 101))
send_udp(1111, 90, source="10.99.1.30", payload=b"y" * 101)
send_udp(1111, 20, source="10.99.1.31", payload=b"y" * 1000)
check_equal(received(one), -(-10000 // small) + -(-10000 // (small + 899)), f"10 kB of each source, in frames of {small} and {small + 899} bytes")
for host in range(4):
    send_udp(2222, 3, source=f"10.99.1.{40 + host}", payload=b"y" * 500)
check_equal(received(two), -(-3000 // (small + 399)), "3000 bytes of all")
check_equal(row("small")[:1] + row("small")[2:], (110, 90 * small + 20 * (small + 899)), "matched, and bytes")

# 40 kB in a second and a bucket of 4 kB, by what the receiver counts
apply("rule rate\n    limit packet udp port 1111 to 40kB/s burst 4kB per source\n")
held, model, sent, begin = 4000.0, 0, 0, time.monotonic()
last = begin
while last - begin < 1:
    send_udp(1111, 10, source="10.99.1.32", payload=b"y" * 501)
    now = time.monotonic()
    held = min(4000, held + 40000 * (now - last))
    for _ in range(10):
        sent += 1
        if held > 0:
            held, model = held - small - 400, model + small + 400
    last = now
got = received(one) * (small + 400)
check(sent * 543 > model and 8000 <= got <= model + 3000 + model / 20, f"40 kB/s: {got} bytes of {sent} packets, the model says {model}")

# then drop: all of the source that was too much, and nobody else
apply("rule ban\n    limit packet udp port 1111 to 1000/s burst 5 per source then drop for 10m\n")
send_udp(1111, 50, source="10.99.1.20")
first = received(one)
time.sleep(0.05)
send_udp(1111, 3, source="10.99.1.20")
send_udp(1111, 3, source="10.99.1.21")
check(5 <= first < 50, f"the first five pass, and what the time made good: {first}")
check_equal(received(one), 3, "who was too much is dropped, the other not")

# a flood from addresses that nobody has takes nothing from others but with bad luck
for i in range(3000):
    send_udp(1111, 1, source=f"172.{16 + i % 16}.{i // 16 % 256}.{i * 7 % 256}")
received(one)
send_udp(1111, 5, source="10.99.1.22")
check(received(one) >= 4, "a source has its own limit in a flood of others")

# ---- connections ----
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("10.99.1.1", 5001))
listener.listen()
outside = peer.inside(socket.socket)
outside.bind(("10.99.1.2", 5002))
outside.listen()
client = peer.inside(socket.socket)
client.connect(("10.99.1.1", 5001))
server, _ = listener.accept()
peer.sh("ip neighbour flush all")
apply("rule nothing\n    drop packet\n")
client.settimeout(PATIENCE_S)
server.settimeout(PATIENCE_S)
client.send(b"still")
check_equal(server.recv(16), b"still", "an established connection goes on")
server.send(b"there")
check_equal(client.recv(16), b"there", "both ways")
check(not connects(5001), "a new one doesn't come about")
check(connects(5002, here=False, patience_s=PATIENCE_S), "one of our own does")
peer.send(ipv4(tcp(5001, 40000, flags=ACK), source="10.99.1.2", to="10.99.1.1"))
kept = forms()
check(kept["established"] >= 3, f"counted as let through: {kept['established']}")
check("lladdr" in peer.sh("ip neighbour show 10.99.1.1"), "the neighbour was found again, by ARP")
check(row("nothing")[1] >= 2, "and the rest was refused")
for s in (client, server, listener, outside):
    s.close()

# ---- another interface joins, the program stays where it is ----
sh("ip link add plain type dummy || ip link add plain type vxlan id 5 dstport 4789 local 10.99.1.1")
sh("ip link set plain up")
program = link_program()
apply("rule both\n    drop packet udp port 1111 on guarded, plain\n")
check("native on 1 interface, generic on 1 interface" in counts()["both"]["strength"], f"{counts()['both']['strength']}: not every driver has a native mode")
again = link_program()
check_equal(os.path.exists(f"{PINS}/packet/link1"), True, "its link is pinned too")
send_udp(1111, 3)
check_equal(received(one), 0, "the rule holds")
os.close(program)
os.close(again)

# ---- wrong ones change nothing ----
refused = apply("rule typo\n    drop packet on nowhere0\n", ok=False)
check(refused.code == 5 and "nowhere0" in refused.stderr and "line 2" in refused.stderr, refused.stderr)
if subprocess.run("ip tuntap add dev tunnel mode tun", shell=True, stderr=subprocess.DEVNULL).returncode == 0:
    refused = apply("rule no-frames\n    drop packet on tunnel\n", ok=False)
    check(refused.code == 5 and "tunnel" in refused.stderr and "Ethernet" in refused.stderr, refused.stderr)
    sh("ip link delete tunnel")
many = apply("".join(f"rule w{i}\n    watch packet udp port {i + 1}\n" for i in range(65)), ok=False)
check(many.code == 5 and "64" in many.stderr, many.stderr)
send_udp(1111, 3)
check_equal(received(one), 0, "the policy before is in force")
policy("off")
send_udp(1111, 3)
check_equal(received(one), 3, "off: all pass")
check(not os.path.exists(PINS), "nothing is left behind")
check(detached("guarded"), "no program is left on an interface")

# ---- somebody else's program ----
foreign = empty_program(PASS)
link = link_xdp(foreign, "guarded")
refused = apply("rule b\n    drop packet udp port 1111 on guarded\n", ok=False)
check(refused.code == 1 and "guarded" in refused.stderr and "'empty'" in refused.stderr, refused.stderr)
check("prog/xdp" in sh("ip link show guarded"), "it is still there")
send_udp(1111, 3)
check_equal(received(one), 3, "and nothing of ours")
check(not os.path.exists(PINS), "nothing is left behind")
os.close(link)
peer.close()
done()
