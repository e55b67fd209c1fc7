#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.packet, the parser and the matching: the guard as it stands, run on frames byte by byte. The first are the
packets by which other filters were passed or went wrong."""

from sondatest import *
from packets import *

own_place()
sh("ip link add guarded type veth peer name other; ip link set guarded up; ip link set other up")
GUARDED = socket.if_nametoindex("guarded")
KERNEL = tuple(int(n) for n in os.uname().release.split(".")[:2])
CONTEXT = KERNEL >= (5, 14)  # a test run can say which interface


def outcome(program, frame, ifindex=0):
    return {DROP: "drop", PASS: "pass"}.get(program.action(frame, ifindex if CONTEXT else 0), "?")


def expect(program, want, frames, ifindex=0):
    for what, frame in frames.items():
        check_equal(outcome(program, frame, ifindex), want, what)


def v6(payload, protocol, **more):
    return ethernet(ipv6(payload, protocol=protocol, **more), IP6)


def chain(headers):
    """TCP to port 80 behind so many option headers."""
    payload, protocol = tcp(), TCP
    for _ in range(headers):
        payload, protocol = extension(protocol, payload), OPTIONS
    return v6(payload, protocol)


ah = struct.pack("!BBHII", TCP, 4, 0, 1, 1) + b"\0" * 12
PORT_80 = {
    "IPv4": ethernet(ipv4(tcp())),
    "options of IPv4": ethernet(ipv4(tcp(), options=b"\1" * 40)),
    "padding behind the packet": ethernet(ipv4(tcp()) + b"\0" * 30),
    "first fragment": ethernet(ipv4(tcp(payload=b"x" * 44), more=True)),
    "VLAN": ethernet(ipv4(tcp()), tags=[VLAN]),
    "QinQ": ethernet(ipv4(tcp()), tags=[QINQ, VLAN]),
    "four tags": ethernet(ipv4(tcp()), tags=[QINQ, QINQ, VLAN, 0x9100]),
    "IPv6": v6(tcp(), TCP),
    "IPv6 in QinQ": ethernet(ipv6(tcp()), IP6, tags=[QINQ, VLAN]),
    "atomic fragment of IPv6": v6(fragment6(TCP, tcp()), FRAGMENT),
    "its reserved byte": v6(fragment6(TCP, tcp(), reserved=255), FRAGMENT),
    "first fragment of IPv6": v6(fragment6(TCP, tcp(payload=b"x" * 44), more=True), FRAGMENT),
    "hop-by-hop": v6(extension(TCP, tcp()), HOP),
    "routing header": v6(extension(TCP, tcp(), body=b"\4\0\0\0\0\0"), ROUTING),
    "destination options": v6(extension(TCP, tcp(), words=30), OPTIONS),
    "authentication": v6(ah + tcp(), AH),
    "hop-by-hop, options, fragment, authentication":
        v6(extension(OPTIONS, extension(FRAGMENT, fragment6(AH, ah + tcp()))), HOP),
    "eight headers": chain(8),
}
NOT_PORT_80 = {
    "another port": ethernet(ipv4(tcp(81))),
    "source port 80": ethernet(ipv4(tcp(81, source=80))),
    "UDP to port 80": ethernet(ipv4(udp(), protocol=UDP)),
    "later fragment that looks like it": ethernet(ipv4(tcp() + b"\0" * 4, offset=128)),
    "later fragment of IPv6 that looks like it": v6(fragment6(TCP, tcp() + b"\0" * 4, offset=128), FRAGMENT),
    "ARP": ethernet(b"\0\1\x08\0\6\4\0\1" + b"\0" * 20, ARP),
    "five tags": ethernet(ipv4(tcp()), tags=[VLAN] * 5),
    "nine headers": chain(9),
    "cut in the IP header": ethernet(ipv4(tcp())[:12]),
    "padding that looks like TCP": ethernet(ipv4(tcp(), size=20)),
    "in the payload of ESP": v6(tcp(), 50),
    "no next header": v6(tcp(), NONE),
}
MALFORMED = {
    "cut in the Ethernet header's tag": ethernet(b"", VLAN) + b"\0",
    "five tags": ethernet(ipv4(tcp()), tags=[VLAN] * 5),
    "nine headers": chain(9),
    "cut in the IP header": ethernet(ipv4(tcp())[:12]),
    "cut in the TCP header": ethernet(ipv4(tcp())[:32]),
    "longer than the frame": ethernet(ipv4(tcp(), size=60)),
    "no room for TCP": ethernet(ipv4(tcp(), size=20)),
    "version 5": ethernet(ipv4(tcp(), version=5)),
    "version 4 said to be IPv6": ethernet(ipv4(tcp() + b"\0" * 40), IP6),
    "header of four words": ethernet(ipv4(tcp(), words=4)),
    "header longer than the packet": ethernet(ipv4(tcp(), words=15)),
    "TCP header of four words": ethernet(ipv4(tcp(words=4))),
    "TCP header longer than the packet": ethernet(ipv4(tcp(words=15))),
    "no flags": ethernet(ipv4(tcp(flags=0))),
    "SYN and FIN": ethernet(ipv4(tcp(flags=SYN | FIN))),
    "SYN and RST": ethernet(ipv4(tcp(flags=SYN | RST))),
    "christmas tree": ethernet(ipv4(tcp(flags=FIN | PSH | URG))),
    "FIN alone": v6(tcp(flags=FIN), TCP),
    "from port 0": ethernet(ipv4(tcp(source=0))),
    "to port 0": v6(udp(to=0), UDP),
    "UDP shorter than its header": ethernet(ipv4(udp(size=7), protocol=UDP)),
    "UDP longer than the packet": ethernet(ipv4(udp(size=9), protocol=UDP)),
    "fragment of the TCP header": ethernet(ipv4(b"\0" * 8, more=True)),
    "fragment over the TCP header": ethernet(ipv4(b"\0" * 16, offset=8)),
    "fragment behind the end of all packets": ethernet(ipv4(b"\0" * 64, offset=65528)),
    "fragment of odd size, with more to come": ethernet(ipv4(b"\0" * 33, offset=800, more=True)),
    "fragment of nothing": ethernet(ipv4(b"", offset=800)),
    "fragment in a fragment": v6(fragment6(FRAGMENT, fragment6(TCP, tcp(), offset=8), more=True), FRAGMENT),
    "hop-by-hop in the middle": v6(extension(HOP, extension(TCP, tcp())), OPTIONS),
    "source route of IPv6": v6(extension(TCP, tcp(), body=b"\0\1\0\0\0\0"), ROUTING),
    "extension longer than the packet": v6(extension(TCP, tcp(), body=b"\1\4\0\0\0\0")[:1] + b"\xff" + tcp() + b"\0" * 6, OPTIONS),
    "IPv6 longer than the frame": ethernet(ipv6(tcp(), size=60), IP6),
    "cut in ICMP": ethernet(ipv4(icmp()[:6], protocol=ICMP)),
}
BAD_ADDRESSES = {
    "land": ethernet(ipv4(tcp(), source="198.51.100.1")),
    "land of IPv6": v6(tcp(), TCP, source="2001:db8:1::1"),
    "from a group": ethernet(ipv4(udp(), source="224.0.0.1", protocol=UDP)),
    "from everybody": ethernet(ipv4(udp(), source="255.255.255.255", protocol=UDP)),
    "from loopback": ethernet(ipv4(udp(), source="127.0.0.1", protocol=UDP)),
    "to loopback": v6(udp(), UDP, to="::1"),
    "from nowhere": ethernet(ipv4(udp(), source="0.0.0.0", protocol=UDP)),
    "from a group of IPv6": v6(udp(), UDP, source="ff02::1"),
    "with no hops left": ethernet(ipv4(udp(), hops=0, protocol=UDP)),
    "with no hops left, IPv6": v6(udp(), UDP, hops=0),
    "from an IPv4 address in IPv6": v6(udp(), UDP, source="::ffff:10.0.0.1"),
}
WELL_FORMED = {
    "plain": ethernet(ipv4(tcp())),
    "SYN and ACK": ethernet(ipv4(tcp(flags=SYN | ACK))),
    "SYN with ECN bits": ethernet(ipv4(tcp(flags=SYN | 0xC0))),
    "FIN and ACK with PSH and URG": ethernet(ipv4(tcp(flags=FIN | ACK | PSH | URG))),
    "RST alone": ethernet(ipv4(tcp(flags=RST))),
    "UDP with nothing in it": ethernet(ipv4(udp(), protocol=UDP)),
    "UDP shorter than the packet": ethernet(ipv4(udp(payload=b"x" * 8, size=12), protocol=UDP)),
    "first fragment": ethernet(ipv4(udp(size=2000, payload=b"x" * 40), protocol=UDP, more=True)),
    "later fragment": ethernet(ipv4(b"x" * 33, offset=1480)),
    "a host that asks for an address": ethernet(ipv4(udp(67, 68), source="0.0.0.0", to="255.255.255.255", protocol=UDP)),
    "query of groups": ethernet(ipv4(b"\x11\0\0\0\0\0\0\0", source="0.0.0.0", to="224.0.0.1", protocol=2)),
    "is the address free": v6(icmp(135, payload=b"\0" * 20), ICMP6, source="::", to="ff02::1", hops=255),
    "SCTP": ethernet(ipv4(udp() + b"\0" * 8, protocol=SCTP)),
    "GRE": ethernet(ipv4(b"\0" * 24, protocol=47)),
    "ARP": NOT_PORT_80["ARP"],
}

# a rule by port
apply("rule eighty\n    drop packet tcp port 80\n")
guard = Program()
expect(guard, "drop", PORT_80)
expect(guard, "pass", NOT_PORT_80)

# malformed ones, and only those; each counted under what it is
apply("rule bad\n    drop packet malformed\n")
before = forms()
expect(guard, "drop", MALFORMED)
expect(guard, "pass", WELL_FORMED)
counted_forms = {name: n - before[name] for name, n in forms().items()}
check_equal(sum(n for name, n in counted_forms.items() if name in FORMS[4:]), len(MALFORMED), "each counted as malformed")
check_equal(counted_forms["too_many_tags"], 1, "counted as too many tags")
check_equal(counted_forms["too_many_headers"], 1, "counted as too many headers")
check_equal(counted_forms["port_zero"], 2, "counted as port 0")
check_equal(counted_forms["bad_flags"], 5, "counted as bad flags")
check_equal(counted_forms["first_fragment"] + counted_forms["later_fragment"], 2, "fragments counted as such")
check_equal(next((r["packets"] for r in policy("status", json_output=True).rows if r.get("found") == "malformed: port 0"), 0), 2,
            "and told by status")
if CONTEXT:
    expect(guard, "drop", BAD_ADDRESSES, GUARDED)
    expect(guard, "pass", WELL_FORMED, GUARDED)
check_equal(counts()["bad"]["refused"], len(MALFORMED) + len(BAD_ADDRESSES) * CONTEXT, "refusals counted")

# fields, conditions and exceptions, order
apply("""set friends = 192.0.2.0/28, 2001:db8::/64, 10.0.0.0/8
rule friend
    allow packet from @friends tcp port 22
rule within
    allow packet from 10.1.2.3
rule not-ours
    drop packet from 10.0.0.0/8
rule pieces
    drop packet fragment udp
rule amplified
    drop packet udp source-port 53, 1000-2000 unless port 4000
rule ping
    drop packet icmp to 198.51.100.0/24, 2001:db8:1::/48
rule ssh
    drop packet tcp port 22
rule opening
    drop packet tcp syn port 8000-8999
rule elsewhere
    drop packet to 198.51.100.99 on guarded
""")
expect(guard, "pass", {
    "a friend": ethernet(ipv4(tcp(22))),
    "a friend by IPv6": v6(tcp(22), TCP),
    "within a network that is not": ethernet(ipv4(tcp(), source="10.1.2.3")),
    "a friend first": ethernet(ipv4(tcp(22), source="10.9.9.9")),
    "not a fragment": ethernet(ipv4(udp(), protocol=UDP)),
    "port 4000 is excepted": ethernet(ipv4(udp(4000, 53), protocol=UDP)),
    "before the range": ethernet(ipv4(udp(7, 999), protocol=UDP)),
    "behind the range": ethernet(ipv4(udp(7, 2001), protocol=UDP)),
    "ping to others": ethernet(ipv4(icmp(), protocol=ICMP, to="198.51.101.1")),
    "ICMP of the other family": v6(icmp(), ICMP),
    "not opening": ethernet(ipv4(tcp(8080, flags=ACK))),
    "below the ports": ethernet(ipv4(tcp(7999))),
    "another interface": ethernet(ipv4(tcp(), to="198.51.100.99")),
})
expect(guard, "drop", {
    "a stranger": ethernet(ipv4(tcp(22), source="192.0.2.16")),
    "a stranger by IPv6": v6(tcp(22), TCP, source="2001:db8:0:1::1"),
    "first address of a network": ethernet(ipv4(tcp(), source="10.0.0.0")),
    "last address of a network": ethernet(ipv4(tcp(), source="10.255.255.255")),
    "first fragment": ethernet(ipv4(udp(payload=b"x" * 8), protocol=UDP, more=True)),
    "later fragment": ethernet(ipv4(b"x" * 8, protocol=UDP, offset=800)),
    "source port": ethernet(ipv4(udp(7, 53), protocol=UDP)),
    "first of a range": ethernet(ipv4(udp(7, 1000), protocol=UDP)),
    "last of a range": ethernet(ipv4(udp(7, 2000), protocol=UDP)),
    "ping": ethernet(ipv4(icmp(), protocol=ICMP)),
    "ping by IPv6": v6(icmp(128), ICMP6),
    "opening": ethernet(ipv4(tcp(8080))),
    "opening by IPv6": v6(tcp(8999), TCP),
})
if CONTEXT:
    expect(guard, "drop", {"on the interface": ethernet(ipv4(tcp(), to="198.51.100.99"))}, GUARDED)

# protocols, and types of ICMP: by name, by number, in both families
apply("""rule tunnels
    drop packet protocol gre, ipip, 99 unless from 192.0.2.0/28
rule only-these-types
    drop packet icmp unless icmp-type echo-request, echo-reply, 40
rule answers
    drop packet icmp-type echo-reply to 198.51.100.0/25, 2001:db8:1::/64
rule of-six
    drop packet protocol icmpv6, sctp from 2001:db8:9::/48
""")
stranger = {"source": "203.0.113.9"}
expect(guard, "drop", {
    "GRE": ethernet(ipv4(b"\0" * 24, protocol=47, **stranger)),
    "IPIP": ethernet(ipv4(ipv4(tcp()), protocol=4, **stranger)),
    "a number": ethernet(ipv4(b"\0" * 24, protocol=99, **stranger)),
    "later fragment of GRE": ethernet(ipv4(b"\0" * 24, protocol=47, offset=800, **stranger)),
    "GRE in IPv6": v6(b"\0" * 24, 47),
    "GRE behind options of IPv6": v6(extension(47, b"\0" * 24), OPTIONS),
    "redirect": ethernet(ipv4(icmp(5, payload=b"\0" * 28), protocol=ICMP)),
    "redirect of IPv6": v6(icmp(137, payload=b"\0" * 40), ICMP6),
    "later fragment of ICMP, which has no type": ethernet(ipv4(b"\x08" + b"\0" * 23, protocol=ICMP, offset=800)),
    "echo reply": ethernet(ipv4(icmp(0), protocol=ICMP)),
    "echo reply of IPv6": v6(icmp(129), ICMP6),
    "ICMPv6": v6(icmp(128), ICMP6, source="2001:db8:9::1"),
    "SCTP": v6(udp() + b"\0" * 8, SCTP, source="2001:db8:9::1"),
})
expect(guard, "pass", {
    "GRE, excepted": ethernet(ipv4(b"\0" * 24, protocol=47)),
    "ESP": ethernet(ipv4(b"\0" * 24, protocol=50, **stranger)),
    "TCP": ethernet(ipv4(tcp(), **stranger)),
    "not IP": NOT_PORT_80["ARP"],
    "echo request": ethernet(ipv4(icmp(8), protocol=ICMP)),
    "echo request of IPv6": v6(icmp(128), ICMP6),
    "a number of IPv4": ethernet(ipv4(icmp(40), protocol=ICMP)),
    "a number of IPv6": v6(icmp(40), ICMP6),
    "echo reply to others": ethernet(ipv4(icmp(0), protocol=ICMP, to="198.51.100.200")),
    "what would be an echo reply in the other family": ethernet(ipv4(icmp(40), protocol=ICMP)),
    "ICMPv6 of others": v6(icmp(129), ICMP6, to="2001:db8:2::1"),
    "TCP of IPv6": v6(tcp(), TCP, source="2001:db8:9::1"),
})
for words, rule in ((["gre", "203.0.113.9", "198.51.100.1"], "tunnels"), (["99", "203.0.113.9", "198.51.100.1"], "tunnels"),
                    (["icmp", "192.0.2.1", "198.51.100.1", "type", "redirect"], "only-these-types"),
                    (["icmp", "2001:db8::1", "2001:db8:1::1", "type", "echo-reply"], "answers")):
    said = policy("why", "packet", *words).stdout
    check(f"rule '{rule}'" in said and "dropped" in said, f"why packet {' '.join(words)}: {said}")
said = policy("why", "packet", "icmp", "192.0.2.1", "198.51.100.1").stdout
check("dropped" not in said, f"an echo request unless said otherwise: {said}")

# what passes in spite of all
apply("rule all\n    drop packet\n")
before = forms()
expect(guard, "pass", {
    "ARP": NOT_PORT_80["ARP"],
    "neighbour solicitation": v6(icmp(135, payload=b"\0" * 20), ICMP6, hops=255),
    "router advertisement": v6(icmp(134, payload=b"\0" * 12), ICMP6, hops=255),
    "too big": v6(icmp(2, payload=b"\0" * 44), ICMP6),
    "fragmentation needed": ethernet(ipv4(icmp(3, 4, payload=b"\0" * 28), protocol=ICMP)),
    "answer of a DHCP server": ethernet(ipv4(udp(68, 67), protocol=UDP)),
    "answer of a DHCPv6 server": v6(udp(546, 547), UDP),
})
expect(guard, "drop", {
    "neighbour solicitation from afar": v6(icmp(135, payload=b"\0" * 20), ICMP6, hops=254),
    "unreachable": ethernet(ipv4(icmp(3, 1, payload=b"\0" * 28), protocol=ICMP)),
    "five tags": MALFORMED["five tags"],
    "nine headers": MALFORMED["nine headers"],
    "UDP": ethernet(ipv4(udp(), protocol=UDP)),
    "no connection of ours": ethernet(ipv4(tcp(flags=ACK))),
})
kept = {name: n - before[name] for name, n in forms().items()}
check_equal((kept["neighbour"], kept["path_mtu"], kept["dhcp"]), (2, 2, 2), "what passed is counted by why")

# rules beyond the first word of the masks, and as many as there may be
many = "".join(f"rule r{i}\n    drop packet udp port {1000 + i}\n" for i in range(255))
apply(many + "rule last\n    drop packet tcp port 5\n")
expect(guard, "drop", {f"rule {i}": ethernet(ipv4(udp(1000 + i), protocol=UDP)) for i in (0, 1, 63, 64, 127, 128, 254)})
expect(guard, "drop", {"the last rule": ethernet(ipv4(tcp(5)))})
expect(guard, "pass", {"no rule": ethernet(ipv4(udp(1255), protocol=UDP))})
rows = counts()
check_equal([rows[r]["refused"] for r in ("r0", "r64", "r254", "last", "r5")], [1, 1, 1, 1, 0], "counted by rule")
policy("off")

check(not os.path.exists(PINS), "nothing is left behind")
check(detached("guarded"), "no program is left on the interface")
done()
