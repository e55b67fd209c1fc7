#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""net.drop in a network namespace of its own: datagrams that a firewall rule drops and counts, and those
that nobody listens for, which the kernel counts as NoPorts; IPv4 and IPv6, rows and the table."""

import json
import os
import shutil
import socket
import subprocess

from networks import counted, own_network
from sondatest import *

COUNT = 40
KERNEL = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])
TELLS_WHY = KERNEL >= (5, 17)

own_network()
NETNS = os.stat("/proc/self/ns/net").st_ino


def snmp(name):
    """Of this namespace: UDP over IPv4 and over IPv6 together."""
    v6 = [int(l.split()[1]) for l in open("/proc/self/net/snmp6") if l.split()[0] == "Udp6" + name]
    return counted("Udp", name) + sum(v6)


def send(address, port, count=COUNT):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        for _ in range(count):
            s.sendto(b"x" * 100, (address, port))
        return s.getsockname()[1]


def firewall(*args):
    return subprocess.run(["nft", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def firewall_counts():
    rules = json.loads(firewall("-j", "list", "ruleset").stdout)["nftables"]
    for rule in (r["rule"] for r in rules if "rule" in r):
        for part in rule["expr"]:
            if "counter" in part:
                return part["counter"]["packets"]
    return None


def ours(rows, port):
    return [r for r in rows if r["netns"] == NETNS and r["to_port"] == port]


def nobody_listens():
    before = snmp("NoPorts")
    with Sonda("trace", "net.drop") as s, Sonda("top", "net.drop", "--by", "reason,protocol,to_port,netns") as t:
        from_port = send("127.0.0.1", 9)
        send("::1", 9)
    refused = snmp("NoPorts") - before
    check_equal(refused, 2 * COUNT, "the kernel's own count")
    rows = ours(s.rows, 9)
    check_told([(r["from"], r["to"]) for r in rows],
               [("127.0.0.1",) * 2] * COUNT + [("::1",) * 2] * COUNT, s.stats, "a row for each")
    check(all(r["protocol"] == 17 and r["device"] == "lo" for r in rows), "what they are")
    check_equal({r["from_port"] for r in rows if r["to"] == "127.0.0.1"}, {from_port}, "where they come from")
    check(all(r["length_bytes"] >= 100 for r in rows), "their size")
    check_equal({(r["to"], r["ethertype"]) for r in rows}, {("127.0.0.1", "0x800"), ("::1", "0x86dd")}, "their kind")
    if TELLS_WHY:
        check_equal({r["reason"] for r in rows}, {"no_socket"}, "why, by the kernel's name")
    check(all("udp" in (r["location"] or "") for r in rows), f"which function: {rows[:1]}")
    counted_rows = [r for r in t.rows if r.get("netns") == NETNS and r.get("to_port") == 9]
    packets = sum(r["packets"] for r in counted_rows)
    if not s.stats.get("missed", 0) + t.stats.get("missed", 0):
        check_equal(sum(r["bytes"] for r in counted_rows), sum(r["length_bytes"] for r in rows), "and their bytes")
    check(2 * COUNT - t.stats.get("missed", 0) <= packets <= 2 * COUNT, f"counted in the kernel: {packets}")
    check_equal(s.stats["seen"], s.stats["delivered"] + s.stats["filtered"] + s.stats["lost"], "the equation")


def firewall_drops():
    for args in (("add", "table", "inet", "t"), ("add", "chain", "inet", "t", "in", "{ type filter hook input priority 0; }"),
                 ("add", "rule", "inet", "t", "in", "udp", "dport", "4242", "counter", "drop")):
        made = firewall(*args) if shutil.which("nft") else None
        if not made:
            return
        if made.returncode:
            print(f"no firewall here: {made.stderr.strip()}")
            return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 4242))
        with Sonda("trace", "net.drop", "--where", "to_port == 4242") as s:
            send("127.0.0.1", 4242)
    rows = ours(s.rows, 4242)
    check_equal(firewall_counts(), COUNT, "the firewall's counter")
    check(COUNT - s.stats.get("missed", 0) <= len(rows) <= COUNT, f"as many rows as it has counted: {len(rows)}")
    if TELLS_WHY:
        check_equal({r["reason"] for r in rows}, {"netfilter_drop"}, "why, by the kernel's name")


def nothing_dropped():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        with Sonda("trace", "net.drop") as s:
            send("127.0.0.1", port)
    check_equal(ours(s.rows, port), [], "what arrives is not told")


for part in nobody_listens, firewall_drops, nothing_dropped:
    part()
done()
