#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.socket: who connects, sends and binds where, by every way there is to a denied network: the errno that the
program gets, and what arrives at the other end of a cable. Counts, events; programs of others at the cgroup."""

import errno
import ipaddress
import select
import shutil

from calls import Uring, outcome
from sondatest import *
from packets import *

TESTUSER = 61234
FOLDER = tempfile.mkdtemp(prefix="sonda-socket-")
TOOL = FOLDER + "/tool"  # may what others may not
GROUP = f"/sonda-socket-{os.getpid()}"
KNOWN, FREE, FREE6 = "10.99.0.2", "10.99.1.2", "fd98::2"
DENIED, DENIED6 = "10.99.0.3", "fd99::2"  # where nothing must arrive
MAPPED = "::ffff:" + DENIED
PORT = 8080  # where the other end answers
# further ways to reach somebody, where the kernel has them: kind of socket, protocol, the last byte of its address in a
# network that is denied and one that isn't
OTHERS_DENIED, OTHERS_FREE = "10.99.4", "10.99.5"
OTHERS = {"MPTCP": (socket.SOCK_STREAM, 262, 11), "SCTP": (socket.SOCK_STREAM, 132, 12), "SCTP to many": (socket.SOCK_SEQPACKET, 132, 13),
          "DCCP": (6, 33, 14), "UDP-Lite": (socket.SOCK_DGRAM, 136, 15), "L2TP": (socket.SOCK_DGRAM, 115, 16),
          "raw": (socket.SOCK_RAW, 253, 17)}
# who makes one is asked before the kernel looks whether it has such: kind of rule, family, type
KINDS = {"packet-socket": (17, 3), "xdp-socket": (44, 3), "alg-socket": (38, 5), "vsock-socket": (40, 1), "netlink-socket": (16, 3),
         "bluetooth-socket": (31, 3), "can-socket": (29, 3), "tipc-socket": (30, 4), "rds-socket": (21, 5)}
AF_SMC = 43
PROG_LOAD, PROG_ATTACH, PROG_DETACH, PROG_QUERY = 5, 8, 9, 16
CONNECT4, SOCK_ADDR, MULTI = 10, 18, 2
TCP_REPAIR = 19
LIBC = libc
wanted = {}  # by rule: how often it was seen to refuse
tried = set()  # of OTHERS

POLICY = f"""
rule net deny connect, send to 10.99.0.0/24, fd99::/64 unless exe in {TOOL}
rule user deny send to 10.99.1.0/24 port 5300-5310 udp when user in {TESTUSER}
rule tcp deny connect to 10.99.1.0/24 port 83 tcp
rule not-icmp deny connect, send to 10.99.3.0/24 icmp
rule not-tunnels deny connect, send to 10.99.3.0/24 protocol gre, 99
rule ports deny bind to port 7077, 7078
rule wide deny bind to 10.99.2.0/24 port 7079
rule chosen deny bind to port 10000-65535 when cgroup in {GROUP}
rule others deny connect, send to {OTHERS_DENIED}.0/24
rule raw deny raw-socket when cgroup in {GROUP}
rule audited deny connect to 10.99.1.0/24 port 81 mode audit
rule told alert connect to 10.99.1.0/24 port 82
rule expired deny connect to 10.99.1.0/24 port 84 expires 2001-01-01
rule last alert bind to port 7099
"""


# ---- the other end ----


def far_end(ready, go, report):
    """In a namespace of its own: answers TCP, and counts the IP packets that come to each address."""
    own_network()
    ready.send(os.getpid())
    go.recv()
    for a in (f"{KNOWN}/24", f"{DENIED}/24", f"{FREE}/24", "10.99.3.2/24"):
        sh(f"ip addr add {a} dev far")
    sh("; ".join(f"ip addr add {net}.{last}/24 dev far" for net in (OTHERS_DENIED, OTHERS_FREE) for _, _, last in OTHERS.values()))
    for a in (f"{DENIED6}/64", f"{FREE6}/64"):
        sh(f"ip addr add {a} dev far nodad")
    sh("ip link set far up")
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sniffer.bind(("far", 0))
    server = socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True)
    seen, held = {}, []
    ready.send(True)
    while True:
        for s in select.select([sniffer, server, go], [], [])[0]:
            if s is server:
                held.append(server.accept()[0])
            elif s is sniffer:
                frame, where = sniffer.recvfrom(2048)
                kind, at = struct.unpack_from("!H", frame, 12)[0], 30
                if where[2] == 4 or kind not in (IP, IP6):
                    continue  # what it sends itself
                size, at = (4, 30) if kind == IP else (16, 38)
                to = str(ipaddress.ip_address(frame[at:at + size]))
                seen[to] = seen.get(to, 0) + 1
            elif go.recv() == "end":
                report.send(seen)
                return


def sh(line):
    subprocess.run(line, shell=True, check=True)


class FarEnd:
    def __init__(self):
        import multiprocessing
        context = multiprocessing.get_context("fork")
        ready, self.go, self.report = context.Pipe(), context.Pipe(), context.Pipe()
        self.process = context.Process(target=far_end, args=(ready[1], self.go[1], self.report[1]), daemon=True)
        self.process.start()
        pid = ready[0].recv()
        sh(f"ip link add near type veth peer name far; ip link set far netns {pid}")
        self.go[0].send("set up")
        for a in ("10.99.0.1/24", "10.99.1.1/24", "10.99.2.1/24", "10.99.3.1/24", f"{OTHERS_DENIED}.1/24", f"{OTHERS_FREE}.1/24"):
            sh(f"ip addr add {a} dev near")
        for a in ("fd99::1/64", "fd98::1/64"):
            sh(f"ip addr add {a} dev near nodad")
        sh("ip link set near up")
        ready[0].recv()

    def end(self):
        """{address: packets that came there}"""
        self.go[0].send("end")
        seen = self.report[0].recv() if self.report[0].poll(PATIENCE_S) else {}
        self.process.join(PATIENCE_S)
        return seen


# ---- what is tried ----


def refused(rule, what, act):
    got = outcome(act)
    wanted[rule] = wanted.get(rule, 0) + (got == errno.EPERM)
    check_equal(errno.errorcode.get(got), "EPERM", what)


def passes(what, act):
    check_equal(outcome(act), 0, what)


def new(family, kind=socket.SOCK_DGRAM, protocol=0):
    s = socket.socket(family, kind, protocol)
    s.settimeout(PATIENCE_S)
    return s


def connects(to, port=PORT, family=None, kind=socket.SOCK_STREAM, protocol=0):
    def act():
        new(family or (socket.AF_INET6 if ":" in to else socket.AF_INET), kind, protocol).connect((to, port))
    return act


def sends(to, port=9, family=None, protocol=0):
    def act():
        new(family or (socket.AF_INET6 if ":" in to else socket.AF_INET), protocol=protocol).sendto(b"x", (to, port))
    return act


def binds(to, port, kind=socket.SOCK_STREAM):
    return lambda: new(socket.AF_INET6 if ":" in to else socket.AF_INET, kind).bind((to, port))


def as_user(act):
    return lambda: os.setresuid(TESTUSER, TESTUSER, TESTUSER) or act()


def in_group(act):
    def inside():
        with open(group_path() + "/cgroup.procs", "w") as f:
            f.write(str(os.getpid()))
        return act()
    return inside


def sockaddr(to, port, family=socket.AF_INET):
    return struct.pack("=H", family) + struct.pack("!H", port) + socket.inet_aton(to) + bytes(8)


def message(buffers, to, port):
    """struct msghdr of one byte."""
    name, data = ctypes.create_string_buffer(sockaddr(to, port)), ctypes.create_string_buffer(b"x")
    vector = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(data), 1))
    buffers += [name, data, vector]
    return struct.pack("QIIQQQQII", ctypes.addressof(name), 16, 0, ctypes.addressof(vector), 1, 0, 0, 0, 0)


def sends_many(*addresses):
    def act():
        kept = []
        many = b"".join(message(kept, a, 9) + bytes(8) for a in addresses)
        s = new(socket.AF_INET)
        got = LIBC.sendmmsg(s.fileno(), many, len(addresses), 0)
        return -ctypes.get_errno() if got < 0 else -100 - got
    return act


def unspecified():
    s = new(socket.AF_INET)
    return LIBC.sendto(s.fileno(), b"x", 1, 0, sockaddr(DENIED, 9, socket.AF_UNSPEC), 16) >= 0 or -ctypes.get_errno()


def connects_again():
    s = new(socket.AF_INET)
    s.connect((FREE, 9))
    s.send(b"x")
    s.connect((DENIED, 9))


def fast_open():
    new(socket.AF_INET, socket.SOCK_STREAM).sendto(b"x", socket.MSG_FASTOPEN, (DENIED, PORT))


def fast_open_connect():
    s = new(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.IPPROTO_TCP, 30, 1)  # TCP_FASTOPEN_CONNECT
    s.connect((DENIED, PORT))
    s.send(b"x")


def raw(to, payload, protocol, offset=0):
    """A whole IP packet, by a raw socket."""
    def act():
        s = new(socket.AF_INET, socket.SOCK_RAW, 255)
        s.sendto(ipv4(payload, source="10.99.0.1", to=to, protocol=protocol, offset=offset), (to, 0))
    return act


def raw_icmp(to):
    return lambda: new(socket.AF_INET, socket.SOCK_RAW, ICMP).sendto(b"\x08\0\xf7\xff\0\0\0\0", (to, 0))


def raw6(to):
    return lambda: new(socket.AF_INET6, socket.SOCK_RAW, 253).sendto(b"x" * 8, (to, 0))


def ping(to):
    return lambda: new(socket.AF_INET, socket.SOCK_DGRAM, ICMP).sendto(b"\x08\0\0\0\0\0\0\1", (to, 0))


def uring_connect():
    address = ctypes.create_string_buffer(sockaddr(DENIED, PORT))
    s = new(socket.AF_INET, socket.SOCK_STREAM)
    return Uring().do(16, s.fileno(), ctypes.addressof(address), offset=16)


def uring_send(polled=False, how=0):
    def act():
        kept = []
        header = ctypes.create_string_buffer(message(kept, DENIED, 9))
        s, ring = new(socket.AF_INET), Uring(polled)
        ring.register(s.fileno())
        return ring.do(9, 0, ctypes.addressof(header), length=1, how=Uring.FIXED_FILE | how)
    return act


def with_option(act, kind, level, option, value):
    """`act` on a socket that has the option; 255 where there is no such option."""
    def inside():
        s = new(socket.AF_INET6 if level == socket.IPPROTO_IPV6 else socket.AF_INET, kind)
        try:
            s.setsockopt(level, option, value)
        except OSError:
            return -255
        return act(s)
    return inside


def contacts_by(to):
    """By connect(2), and a byte."""
    def act(s):
        s.setblocking(False)
        try:
            s.connect((to, 9))
        except BlockingIOError:
            return
        s.send(b"x")
    return act


def connects_then(hop, to):
    """First to where it may, then by way of the hop: its route is looked for again when its packets are to be marked."""
    def act():
        s = new(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_STREAM)
        s.connect((to, PORT))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # nothing is tried again under another policy
        s.setsockopt(*routed_by(hop))
        if ":" not in to:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 8)
        s.send(b"x")
    return act


def routed_by(hop):
    """Options that send packets there first: (level, option, value)."""
    if ":" not in hop:
        return socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x83\x07\x04" + socket.inet_aton(hop) + b"\x01"
    return socket.IPPROTO_IPV6, socket.IPV6_RTHDR, struct.pack("BBBBBBH", 0, 4, 4, 1, 1, 0, 0) + bytes(16) + \
        socket.inet_pton(socket.AF_INET6, hop)


def has_smc():
    return outcome(lambda: new(AF_SMC, socket.SOCK_STREAM) and 0) == 0


def smc_call(name, to, port):
    s = new(AF_SMC, socket.SOCK_STREAM)
    if getattr(LIBC, name)(s.fileno(), sockaddr(to, port), 16):
        raise OSError(ctypes.get_errno(), name)
    return s


def lite_connected():
    s = new(socket.AF_INET, protocol=136)
    s.connect((DENIED, 9))
    s.send(b"x")


def tool(kind, to, port):
    """By the program that may."""
    return subprocess.run([TOOL, "-c", f"echo > /dev/{kind}/{to}/{port}"], stderr=subprocess.DEVNULL).returncode


# ---- the parts ----


def contacts():
    refused("net", "connect", connects(DENIED))
    refused("net", "IPv6", connects(DENIED6))
    refused("net", "IPv4 in IPv6", connects(MAPPED))
    refused("net", "UDP", sends(DENIED))
    refused("net", "UDP by IPv6", sends(DENIED6))
    refused("net", "UDP, IPv4 in IPv6", sends(MAPPED))
    refused("net", "UDP, to an address of no family", unspecified)
    refused("net", "sendmsg", lambda: new(socket.AF_INET).sendmsg([b"x"], [], 0, (DENIED, 9)))
    refused("net", "sendmmsg", sends_many(DENIED))
    check_equal(outcome(sends_many(FREE, DENIED)), 101, "sendmmsg: the first of two is sent")
    wanted["net"] += 1
    refused("net", "UDP connected", connects(DENIED, kind=socket.SOCK_DGRAM))
    refused("net", "UDP connected once more", connects_again)
    refused("net", "TCP fast open", fast_open)
    refused("net", "TCP fast open, at the first write", fast_open_connect)
    refused("net", "another user", as_user(connects(DENIED)))
    refused("net", "a cgroup below", in_group(connects(DENIED)))
    refused("net", "another network namespace", lambda: LIBC.unshare(0x40000000) or sh(
        "ip link set lo up; ip addr add 10.99.0.9/24 dev lo") or connects("10.99.0.9")())
    if outcome(lambda: Uring().do(0, -1, 0)) == 0:
        refused("net", "io_uring connect", uring_connect)
        refused("net", "io_uring sendmsg", uring_send())
        refused("net", "io_uring, by a worker", uring_send(how=Uring.BY_WORKER))
        refused("net", "io_uring, by a thread that polls", uring_send(polled=True))
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        refused("net", "bound to a device", with_option(contacts_by(DENIED), kind, socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"near"))
    refused("net", "TCP without its handshake", with_option(contacts_by(DENIED), socket.SOCK_STREAM, socket.IPPROTO_TCP, TCP_REPAIR, 1))
    if has_smc():
        refused("net", "SMC", lambda: smc_call("connect", DENIED, PORT) and 0)
    for free, hop in ((FREE, DENIED), (FREE6, DENIED6)):
        refused("net", f"UDP by way of {hop}", with_option(contacts_by(free), socket.SOCK_DGRAM, *routed_by(hop)))
        passes(f"TCP by way of {hop}, whose SYN isn't sent", with_option(contacts_by(free), socket.SOCK_STREAM, *routed_by(hop)))
        passes(f"TCP connected, then by way of {hop}: what it sends isn't sent", connects_then(hop, free))
        wanted["net"] += 2
    passes("another network", connects(FREE))
    passes("another network, IPv6", connects(FREE6))
    passes("UDP to another network", sends(FREE))
    check_equal(tool("tcp", KNOWN, PORT), 0, "the program that may: TCP")
    check_equal(tool("udp", KNOWN, 9), 0, "the program that may: UDP")


def packets_sent():
    refused("net", "raw, UDP", raw(DENIED, udp(), UDP))
    refused("net", "raw, TCP", raw(DENIED, tcp(), TCP))
    refused("net", "raw, a fragment", raw(DENIED, b"x" * 16, UDP, offset=32))
    refused("net", "raw, ICMP", raw_icmp(DENIED))
    refused("net", "raw, IPv6", raw6(DENIED6))
    refused("tcp", "raw, a SYN to a port", raw(FREE, tcp(to=83), TCP))
    refused("not-icmp", "by protocol", raw_icmp("10.99.3.2"))
    refused("not-tunnels", "by its name", raw("10.99.3.2", b"\0" * 16, 47))
    refused("not-tunnels", "by its number", raw("10.99.3.2", b"\0" * 16, 99))
    passes("another protocol there", sends("10.99.3.2"))
    passes("another raw one there", raw("10.99.3.2", b"\0" * 16, 98))
    passes("raw to another network", raw_icmp(FREE))
    passes("raw to another port", raw(FREE, tcp(to=85), TCP))
    with open("/proc/sys/net/ipv4/ping_group_range", "w") as f:
        f.write("0 2147483647")
    refused("net", "ping", ping(DENIED))
    passes("ping elsewhere", ping(FREE))
    if outcome(lambda: new(socket.AF_INET, socket.SOCK_DGRAM, 136) and 0) == 0:
        refused("net", "UDP-Lite", sends(DENIED, protocol=136))
        refused("net", "UDP-Lite, connected", lite_connected)
    refused("raw", "to make a raw socket", in_group(lambda: new(socket.AF_INET, socket.SOCK_RAW, 1) and 0))
    refused("raw", "an IPv6 one", in_group(lambda: new(socket.AF_INET6, socket.SOCK_RAW, 58) and 0))


def other_ways():
    """What has no hook of its own, or that of another protocol: by connect(2), where that goes by sendto(2) too."""
    for what, (kind, protocol, last) in OTHERS.items():
        try:
            socket.socket(socket.AF_INET, kind, protocol).close()
        except OSError as e:
            print(f"not shown: no {what} here: {e}")
            continue
        tried.add(what)
        for net in (OTHERS_FREE, OTHERS_DENIED):
            to = f"{net}.{last}", PORT
            for act in (lambda s: s.connect(to), lambda s: s.sendto(b"x" * 20, to)):
                with socket.socket(socket.AF_INET, kind, protocol) as s:
                    s.setblocking(False)
                    try:
                        act(s)
                        if kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
                            s.send(b"x" * 20)  # a connection of these sends nothing by itself
                    except OSError:
                        pass
    for what, make in (("MPTCP", (socket.SOCK_STREAM, 262)), ("DCCP", (6, 33)), ("UDP-Lite", (socket.SOCK_DGRAM, 136))):
        if what in tried:
            refused("ports", f"bind of {what}", lambda: socket.socket(socket.AF_INET, *make).bind(("0.0.0.0", 7077)))


def from_before(udp_before, tcp_before, raw_before):
    refused("net", "UDP connected before the policy", lambda: udp_before.send(b"x"))
    refused("net", "a second time", lambda: udp_before.send(b"x"))
    refused("net", "a raw socket from before", lambda: raw_before.sendto(b"\x08\0\xf7\xff\0\0\0\0", (DENIED, 0)))
    passes("TCP connected before the policy goes on", lambda: tcp_before.send(b"x"))


def conditions():
    refused("user", "a port, for a user", as_user(sends(FREE, 5305)))
    passes("the port next to it", as_user(sends(FREE, 5311)))
    passes("the port, another user", sends(FREE, 5305))
    passes("the port, TCP", as_user(lambda: outcome(connects(FREE, 5305)) == errno.ECONNREFUSED or -errno.EPERM))
    refused("tcp", "a port by TCP", connects(FREE, 83))
    passes("the port by UDP", sends(FREE, 83))
    for port, what in ((81, "audited"), (82, "alerted"), (84, "expired")):
        check_equal(errno.errorcode.get(outcome(connects(FREE, port))), "ECONNREFUSED", what)


def bindings():
    refused("ports", "bind", binds("0.0.0.0", 7077))
    refused("ports", "bind of IPv6", binds("::", 7078))
    refused("ports", "bind of IPv4 in IPv6", binds("::ffff:127.0.0.1", 7078))
    refused("ports", "bind of UDP", binds("127.0.0.1", 7077, socket.SOCK_DGRAM))
    passes("the port next to it", binds("0.0.0.0", 7076))
    refused("wide", "an address and port", binds("10.99.2.1", 7079))
    refused("wide", "all addresses are in every network", binds("0.0.0.0", 7079))
    refused("wide", "likewise by IPv6", binds("::", 7079))
    passes("another address", binds("127.0.0.1", 7079))
    passes("a port that the kernel chooses", binds("0.0.0.0", 0))
    refused("chosen", "when the rule is about it", in_group(binds("127.0.0.1", 0)))
    refused("chosen", "of IPv6", in_group(binds("::1", 0, socket.SOCK_DGRAM)))


# ---- programs of others ----


def assembled(*instructions):
    """(code, registers, offset, value) ..."""
    return b"".join(struct.pack("<BBhi", *i) for i in instructions)


def signed(address):
    return struct.unpack("<i", socket.inet_aton(address))[0]


def load_redirect(since, to):
    """A connect hook that writes `to` over `since`."""
    code = ctypes.create_string_buffer(assembled(
        (0x61, 0x10, 4, 0), (0x56, 0, 2, signed(since)), (0xb4, 2, 0, signed(to)), (0x63, 0x21, 4, 0),
        (0xb4, 0, 0, 1), (0x95, 0, 0, 0)))
    licence = ctypes.create_string_buffer(b"GPL")
    return bpf(PROG_LOAD, struct.pack("<IIQQIIQII16sII", SOCK_ADDR, 6, ctypes.addressof(code), ctypes.addressof(licence),
                                      0, 0, 0, 0, 0, b"foreign", 0, CONNECT4))[0]


def attached(cgroup):
    """Ids of the connect hooks of the cgroup itself."""
    ids = ctypes.create_string_buffer(256)
    _, after = bpf(PROG_QUERY, struct.pack("<IIIIQI", cgroup, CONNECT4, 0, 0, ctypes.addressof(ids), 64))
    return list(struct.unpack_from("<64I", ids.raw)[:struct.unpack_from("<I", after, 24)[0]])


def cgroup_root():
    return next(l.split()[1] for l in open("/proc/mounts") if l.split()[2] == "cgroup2")


def group_path():
    return cgroup_root() + GROUP


def foreign(root):
    """One before the guard, in a cgroup below; one behind it, at the root too: neither gets by."""
    group = os.open(group_path(), os.O_RDONLY)
    ours = set(attached(root))
    for where, what in ((group, "below"), (root, "at the root")):
        program = load_redirect("10.99.1.77", DENIED)
        bpf(PROG_ATTACH, struct.pack("<IIII", where, program, CONNECT4, MULTI))

        def act():
            s = new(socket.AF_INET, socket.SOCK_STREAM)
            s.setblocking(False)
            s.connect(("10.99.1.77", PORT))
        got = errno.errorcode.get(outcome(in_group(act)))
        check(got in ("EPERM", "EINPROGRESS"), f"another's program {what} that writes the address over: {got}")
        check(ours <= set(attached(root)), "both are there")
        passes("where it does nothing", in_group(connects(FREE)))
        bpf(PROG_DETACH, struct.pack("<IIII", where, program, CONNECT4, 0))
        os.close(program)
    os.close(group)


# ---- what is told ----


def told(s):
    rules = counts()
    events = {}
    for row in s.rows:
        if row["verdict"] == "denied":
            events[row["rule"]] = events.get(row["rule"], 0) + 1
    for rule, times in wanted.items():
        check_equal(rules[rule]["refused"], times, f"refusals of {rule}")
        check_equal(events.get(rule, 0), times, f"events of {rule}")
        check("deny (cgroup)" in rules[rule]["strength"], f"its strength: {rules[rule]}")
    for rule, verdict in (("audited", "audited"), ("told", "alerted")):
        check_equal((rules[rule]["matched"], rules[rule]["refused"]), (1, 0), f"{rule} is counted")
        check_equal([r["verdict"] for r in s.rows if r["rule"] == rule], [verdict], f"{rule} is told")
    check_equal(rules["expired"]["matched"], 0, "expired")
    check({"tcp", "udp", "icmp", "icmpv6"} <= {r["protocol"] for r in s.rows}, f"protocols by name: {set(r['protocol'] for r in s.rows)}")
    told_of = {(r["protocol"], r["to"]) for r in s.rows if r["rule"] == "others"}
    for what in tried:
        last = OTHERS[what][2]
        check(any(to == f"{OTHERS_DENIED}.{last}" for _, to in told_of), f"{what} is told as refused: {told_of}")
    row = next(r for r in s.rows if r["rule"] == "user")
    check_equal((row["uid"], row["operation"], row["to"], row["port"], row["protocol"]),
                (TESTUSER, "send", FREE, 5305, "udp"), "what is told of one")


def by_module():
    """`listen` and sockets other than those of IP are hooks of security modules: where there are none, the policy
    is refused, whole."""
    text = f"rule ok deny bind to port 7077\nrule listens deny listen to port 7080\n" \
           f"rule kinds deny {', '.join(KINDS)} when cgroup in {GROUP}\n"
    r = apply(text, ok=False)
    if r.code == 4:
        check("none of listen" in r.stderr, f"why not: {r.stderr}")
        return print("no rules about listen and packet-socket here")
    check_equal(r.code, 0, f"applied: {r.stderr}")

    def listens(port):
        s = new(socket.AF_INET, socket.SOCK_STREAM)
        s.bind(("127.0.0.1", port))
        s.listen()
    check_equal(outcome(lambda: listens(7080)), errno.EPERM, "listen")
    passes("listen at another port", lambda: listens(7081))
    smc = has_smc()
    if smc:
        check_equal(outcome(lambda: smc_call("bind", "127.0.0.1", 7081).listen()), errno.EPERM, "listen by SMC, at whatever port")
    for kind, (family, how) in KINDS.items():
        made = lambda: new(family, how) and 0
        check_equal(outcome(in_group(made)), errno.EPERM, f"a {kind}")
        check(outcome(made) in (0, errno.EAFNOSUPPORT), f"a {kind} of another cgroup")
    check_equal({n: c["refused"] for n, c in counts().items()}, {"ok": 0, "listens": 1 + smc, "kinds": len(KINDS)}, "counts")


def beside():
    """A policy beside the one in force: what it would deny passes, and is told once for hook and packet."""
    apply("rule ports deny bind to port 7077\n")
    with tempfile.NamedTemporaryFile("w", suffix=".policy") as f:
        f.write(f"rule later deny send to {FREE} port 86\n")
        f.flush()
        policy("apply", "--audit", f.name)
        with Sonda("trace", "guard.socket") as s:
            passes("what the policy beside would deny", sends(FREE, 86))
            check_equal(outcome(binds("127.0.0.1", 7077)), errno.EPERM, "what that in force denies")
            s.wait_row(lambda r: r["rule"] == "ports")
        check_equal([(r["rule"], r["verdict"]) for r in s.rows if r["rule"] in ("later", "ports")], [("later", "would_deny"), ("ports", "denied")], "both are told")
        policy("promote")
        check_equal(outcome(sends(FREE, 86)), errno.EPERM, "promoted")
        passes("what was in force before", binds("127.0.0.1", 7077))


def why():
    def said(*words):
        return policy("why", *words).stdout
    check("rule net" in said("connect", "tcp", f"{DENIED}:22") and "denies" in said("connect", "tcp", f"{DENIED}:22"), "why")
    check("no rule" in said("connect", "tcp", f"{DENIED}:22", "--exe", TOOL), "why, for who may")
    check("no rule" in said("connect", "udp", f"{FREE}:83"), "why, of another protocol")
    check("rule wide" in said("bind", "tcp", "0.0.0.0:7079"), "why bind")
    check("if its condition" in said("raw-socket"), "why, not knowing who")


def main():
    root = None
    own_place()
    os.makedirs(FOLDER, exist_ok=True)
    os.chmod(FOLDER, 0o755)
    shutil.copy(shutil.which("bash"), TOOL)
    far = FarEnd()
    try:
        os.makedirs(group_path())
        root = os.open(cgroup_root(), os.O_RDONLY)
        before = attached(root)
        udp_before, tcp_before = new(socket.AF_INET), new(socket.AF_INET, socket.SOCK_STREAM)
        raw_before = new(socket.AF_INET, socket.SOCK_RAW, ICMP)
        udp_before.connect((DENIED, 9))
        tcp_before.connect((KNOWN, PORT))
        apply(POLICY)
        check_equal(len(attached(root)), len(before) + 1, "stands at the root, with whom was there")
        with Sonda("trace", "guard.socket") as s:
            for part in (contacts, packets_sent, other_ways, conditions, bindings):
                part()
            from_before(udp_before, tcp_before, raw_before)
            passes("the last", binds("127.0.0.1", 7099))
            s.wait_row(lambda r: r["rule"] == "last")
        told(s)
        why()
        foreign(root)
        by_module()
        beside()
        policy("off")
        end = time.monotonic() + PATIENCE_S
        while attached(root) != before and time.monotonic() < end:
            time.sleep(0.02)  # the kernel takes a program away when nobody can be running it any more
        check_equal(attached(root), before, "off: as it was")
        passes("afterwards", sends("10.99.2.77"))
        seen = far.end()
        check(all(seen.get(a, 0) > 2 for a in (KNOWN, FREE, FREE6)), f"what may arrives: {seen}")
        others = {what: tuple(seen.get(f"{net}.{OTHERS[what][2]}", 0) for net in (OTHERS_FREE, OTHERS_DENIED)) for what in tried}
        check(all(free and not denied for free, denied in others.values()), f"other ways: what arrives where it may, and may not: {others}")
        check(not seen.get(DENIED) and not seen.get(DENIED6), f"what may not does not: {seen}")
    finally:
        subprocess.run([SONDA, "policy", "off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(FOLDER, ignore_errors=True)
        if os.path.isdir(group_path()):
            os.rmdir(group_path())
    done()


main()
