#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.filter: rules at hooks of netfilter, of what comes in, goes out and is forwarded; their order by priority;
connections that go on, at prerouting as connection tracking knows them; beside nftables; samples as pcap; where the
kernel has no such hooks the policy is refused."""

import shutil

from sondatest import *
from packets import *

own_place()
KERNEL = tuple(int(n) for n in os.uname().release.split(".")[:2])
if KERNEL < (6, 4):
    refused = apply("rule a\n    drop packet at input\n", ok=False)
    check_equal(refused.code, 4, f"this kernel can't: {refused.stderr}")
    check("netfilter" in refused.stderr, refused.stderr)
    check(not os.path.exists(PINS), "nothing is left behind")
    done()
peer, second = Peer(), Peer("second", 2)
for knob in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
    open(f"/proc/sys/net/{knob}", "w").write("1")
peer.sh("ip route add default via 10.99.1.1")
second.sh("ip route add default via 10.99.2.1")
peer.sh("ip -6 route add default via 2001:db8:1::1")
second.sh("ip -6 route add default via 2001:db8:2::1")
os.sched_setaffinity(0, {0})  # veth delivers in the order of sending where it is sent
OURS, THERE, BEHIND = ("10.99.1.1", "2001:db8:1::1"), ("10.99.1.2", "2001:db8:1::2"), ("10.99.2.2", "2001:db8:2::2")


def receiver(place, address, port):
    s = place(lambda: socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM))
    s.bind((address, port))
    s.settimeout(PATIENCE_S)
    return s


def here(body):
    return body()


def arrives(send, take, to, port):
    """Does a datagram arrive? Another is sent behind it that no rule is about."""
    ends = receiver(take, to, port), receiver(take, to, 9)
    s = send(lambda: socket.socket(ends[0].family, socket.SOCK_DGRAM))
    s.sendto(b"x" * 20, (to, 9))  # neighbours are found before it counts
    ends[1].recv(100)
    try:
        s.sendto(b"x" * 20, (to, port))
    except PermissionError:  # how who sends is told of a drop
        pass
    s.sendto(b"x" * 20, (to, 9))
    ends[1].recv(100)
    ends[0].setblocking(False)
    try:
        return len(ends[0].recv(100)) == 20
    except BlockingIOError:
        return False
    finally:
        for each in (*ends, s):
            each.close()


def both(send, take, to, port):
    """By IPv4, by IPv6."""
    return [arrives(send, take, address, port) for address in to]


def row(rule):
    r = counts()[rule]
    return r["matched"], r["refused"], r["bytes"]


def case_hooks():
    apply("".join(f"rule {hook}\n    drop packet at {hook} udp port {port}\n" for port, hook in
                  enumerate(("prerouting", "input", "forward", "output", "postrouting"), 1000)))
    ways = {"in": (peer.inside, here, OURS), "out": (here, peer.inside, THERE), "through": (peer.inside, second.inside, BEHIND)}
    met = {"in": (1000, 1001), "out": (1003, 1004), "through": (1000, 1002, 1004)}
    for name, way in ways.items():
        for port in range(1000, 1005):
            check_equal(both(*way, port), [port not in met[name]] * 2, f"{name}, port {port}")
    size = 20 + 8 + 20
    check_equal([row(r) for r in ("prerouting", "input", "forward", "output", "postrouting")],
                [(n, n, n * size + n // 2 * 20) for n in (4, 2, 2, 2, 4)], "counted, from the IP header on")
    check_equal(counts()["forward"]["strength"], "drop (netfilter forward, priority -10)", "strength")


def case_rules():
    apply("""rule first
    allow packet at input udp port 1 from 10.99.1.0/24
rule then
    drop packet at input udp port 1
rule early
    drop packet at input priority -20 udp port 2
rule late
    allow packet at input priority -30 udp port 2
rule audited
    drop packet at output udp port 3 mode audit
rule few
    limit packet at input udp port 4 to 1/h burst 2 per source
rule by-interface
    drop packet at input udp port 5 on second
rule watched
    watch packet at input udp port 1, 2, 3, 4
rule out-by
    drop packet at output udp port 6 on guarded
""")
    way = peer.inside, here, OURS
    check_equal(both(*way, 1), [True, False], "the first rule of a place decides")
    check_equal(both(*way, 2), [False, False], "allowed at one priority, it is asked about at the next")
    check_equal(both(here, peer.inside, THERE, 3), [True, True], "audit")
    check_equal([arrives(*way[:2], OURS[0], 4) for _ in range(4)], [True, True, False, False], "no more than two")
    check_equal((both(*way, 5), both(second.inside, here, ("10.99.2.1", "2001:db8:2::1"), 5)), ([True] * 2, [False] * 2), "by interface")
    check_equal(both(here, peer.inside, THERE, 6), [False] * 2, "by that which it leaves by")
    check_equal([row(r)[:2] for r in ("first", "then", "late", "early", "audited", "few", "watched")],
                [(1, 0), (1, 1), (2, 0), (2, 2), (2, 0), (4, 2), (2, 0)], "counted")
    with Sonda("trace", "guard.filter") as s:
        told = s.wait_row(lambda r: r["rule"] == "early")
    check_equal({k: told[k] for k in ("outcome", "to_port", "place")}, {"outcome": "refused", "to_port": 2, "place": "input"}, "told")
    for priority, says in ((-20, "dropped: rule 'early'"), (-30, "passes: rule 'late'"), (-10, "no rule decides")):
        why = policy("why", "packet", "at", "input", "priority", str(priority), "udp", "10.99.1.2:9", "10.99.1.1:2").stdout
        check(says in why, f"{priority}: {why}")
    why = policy("why", "packet", "at", "input", "udp", "[2001:db8::1]:9", "[2001:db8::2]:1").stdout
    check("dropped: rule 'then'" in why, why)


def case_change():
    """The next policies at other priorities: what is not needed any more leaves its place to others."""
    for round_ in range(6):
        apply("".join(f"rule p{i}\n    drop packet at input priority {-1000 - round_ * 10 - i} udp port {1 + i}\n" for i in range(4)))
        check_equal([arrives(peer.inside, here, OURS[0], 1 + i) for i in range(5)], [False] * 4 + [True], f"policy {round_}")
    policy("rollback")
    check_equal([arrives(peer.inside, here, OURS[0], 1 + i) for i in range(5)], [False] * 4 + [True], "and back")
    for priority in (-10, 5, 7, -10, 5):  # a place that was left is stood at again
        apply(f"rule a drop packet at input priority {priority} udp port 1\n")
        check(not arrives(peer.inside, here, OURS[0], 1), f"at {priority}")
    many = apply("".join(f"rule q{i}\n    drop packet at input priority {i} udp port {1 + i}\n" for i in range(9)), ok=False)
    check_equal((many.code, "priorities" in many.stderr), (5, True), many.stderr)
    check_equal(arrives(peer.inside, here, OURS[0], 1), False, "what was in force is")
    policy("off")
    check_equal(arrives(peer.inside, here, OURS[0], 1), True, "off")


def pcap_packets(data):
    """[(kept bytes, length)] of a pcap of Ethernet."""
    check_equal(struct.unpack_from("<IHHIIII", data)[::6], (0xA1B23C4D, 1), "a pcap of Ethernet")
    found, at = [], 24
    while at + 16 <= len(data):
        kept, length = struct.unpack_from("<II", data, at + 8)
        found.append((data[at + 16:at + 16 + kept], length))
        at += 16 + kept
    return found


def case_samples():
    """The packets that were dropped, as they were sent: whole, cut, by IPv4 and IPv6."""
    apply("rule v4\n    drop packet at prerouting udp port 4001\nrule v6\n    drop packet at input udp port 4002\n"
          "rule out\n    drop packet at output udp port 4003\n")
    sent = {
        "v4": ipv4(udp(4001, payload=b"a" * 60), source="10.99.1.2", to=OURS[0], protocol=UDP),
        "v6": ipv6(udp(4002, payload=b"b" * 300), source=THERE[1], to=OURS[1], protocol=UDP),
    }
    SNAP, ETHERNET = 200, 14
    with Sonda("trace", "guard.filter", "-o", "pcap", "--snap", str(SNAP)) as s:
        end = time.monotonic() + PATIENCE_S
        seen = {}
        while len(seen) < 3 and time.monotonic() < end:  # each rule is told of once in a second
            peer.send(sent["v4"])
            peer.send(sent["v6"], kind=IP6)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                try:
                    out.sendto(b"c" * 50, (THERE[0], 4003))
                except PermissionError:
                    pass
            time.sleep(0.05)
            data = b"".join(s._out)
            for frame, length in pcap_packets(data) if len(data) >= 24 else ():
                port = struct.unpack_from("!H", frame, ETHERNET + (42 if frame[12:14] == b"\x86\xdd" else 22))[0]
                seen[port] = frame, length
    check_equal(sorted(seen), [4001, 4002, 4003], "samples of each rule")
    check_equal(seen[4001], (bytes(12) + b"\x08\x00" + sent["v4"], ETHERNET + len(sent["v4"])), "IPv4, whole")
    check_equal(seen[4002], (bytes(12) + b"\x86\xdd" + sent["v6"][:SNAP], ETHERNET + len(sent["v6"])), "IPv6, its first bytes")
    check_equal((seen[4003][0][-50:], seen[4003][1]), (b"c" * 50, ETHERNET + 78), "what this machine sends")
    if shutil.which("tcpdump"):
        read = subprocess.run(["tcpdump", "-nr", "-"], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode()
        check("10.99.1.2.12345 > 10.99.1.1.4001: UDP, length 60" in read and f"{THERE[1]}.12345 > {OURS[1]}.4002: UDP, length 300" in read,
              f"tcpdump reads it: {read}")


def case_tracked():
    """At prerouting nobody has looked for sockets yet: connection tracking knows what goes on, our own and what is
    forwarded, where it comes before."""
    track = "nft add table inet track; nft 'add chain inet track c { type filter hook prerouting priority -150; }';" \
        "nft add rule inet track c ct state established counter"
    if subprocess.run(track, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        print("not shown: no connection tracking here")
        return
    for name, place, address in (("here", here, OURS[1]), ("through", second.inside, BEHIND[0])):
        listener = place(lambda: socket.create_server((address, 5002), family=socket.AF_INET6 if ":" in address else socket.AF_INET))
        listener.settimeout(PATIENCE_S)

        def connect(wait=PATIENCE_S):
            return peer.inside(lambda: socket.create_connection((address, 5002), timeout=wait))
        client = connect()
        server, _ = listener.accept()
        for priority, goes_on in ((-190, True), (-300, False)):
            apply(f"rule none\n    drop packet at prerouting priority {priority} tcp port 5002\n")
            client.sendall(b"still")
            server.settimeout(PATIENCE_S if goes_on else 0.4)
            try:
                got = server.recv(16)
            except TimeoutError:
                got = None
            check_equal(got, b"still" if goes_on else None, f"{name}, {address}: a connection at priority {priority}")
            if goes_on:
                server.sendall(b"there")
                check_equal(client.recv(16), b"there", f"{name}, {address}: both ways")
                try:
                    connect(0.4).close()
                    new = True
                except OSError:
                    new = False
                check_equal(new, False, f"{name}, {address}: no new one")
        policy("off")
        for s in (client, server, listener):
            s.close()
    sh("nft delete table inet track")


def case_connections():
    listener = socket.socket()
    listener.bind((OURS[0], 5001))
    listener.listen()
    client = peer.inside(lambda: socket.create_connection((OURS[0], 5001), timeout=PATIENCE_S))
    server, _ = listener.accept()
    for hook in ("input", "output", "postrouting"):
        apply(f"rule none\n    drop packet at {hook} tcp\n")
        client.sendall(b"still")
        check_equal(server.recv(16), b"still", f"{hook}: a connection goes on")
        server.sendall(b"there")
        check_equal(client.recv(16), b"there", f"{hook}: both ways")

        def attempt():
            with socket.socket() as s:
                s.settimeout(0.4)
                try:
                    s.connect((OURS[0], 5001))
                    return True
                except OSError:
                    return False
        check_equal(peer.inside(attempt), False, f"{hook}: no new one")
    policy("off")
    for s in (client, server, listener):
        s.close()


def case_nftables():
    if subprocess.run("nft list tables", shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        print("not shown: nft is not here")
        return
    sh("nft add table inet t; nft 'add chain inet t c { type filter hook input priority 0; }'; nft add rule inet t c udp dport 1 counter drop;"
       "nft add rule inet t c udp dport 2 counter accept")
    apply("rule ours\n    allow packet at input udp port 1\nrule drops\n    drop packet at input udp port 2\n")
    check_equal([arrives(peer.inside, here, OURS[0], p) for p in (1, 2, 3)], [False, False, True], "nft decides about what we allow; not about what we drop")
    said = sh("nft list table inet t").split("counter packets ")
    check_equal([int(s.split()[0]) for s in said[1:]], [1, 0], "nft's own counts")
    taken = apply("rule ours\n    drop packet at input priority 0 udp port 3\n", ok=False)
    check_equal((taken.code, "priority 0" in taken.stderr), (1, True), f"what is nft's is left to it: {taken.stderr}")
    check_equal(arrives(peer.inside, here, OURS[0], 2), False, "and what was in force is")
    policy("off")
    check_equal([arrives(peer.inside, here, OURS[0], p) for p in (1, 2)], [False, True], "off: nft decides as before")
    sh("nft delete table inet t")


try:
    case_hooks()
    case_rules()
    case_change()
    case_samples()
    case_connections()
    case_tracked()
    case_nftables()
    check(not os.path.exists(PINS), "nothing is left behind")
finally:
    policy("off", ok=False)
    peer.close()
    second.close()
done()
