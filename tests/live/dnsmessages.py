# SPDX-License-Identifier: BSD-2-Clause
"""DNS messages as the tests of net.dns send them."""

import os
import socket
import struct

A, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, CAA = 1, 5, 6, 12, 15, 16, 28, 33, 257
NXDOMAIN, SERVFAIL, NOTIMP, REFUSED, FORMERR = 3, 2, 4, 5, 1
QR, AA, TC, RD, RA, AD = 0x8000, 0x400, 0x200, 0x100, 0x80, 0x20
OPT = b"\0" + struct.pack(">HHIH", 41, 1232, 0, 0)


def wire_name(labels):
    if isinstance(labels, str):
        labels = labels.encode().split(b".") if labels else []
    return b"".join(bytes([len(l)]) + l for l in labels) + b"\0"


def query(name, qtype=A, txid=None, edns=False, flags=RD, questions=1):
    txid = int.from_bytes(os.urandom(2), "big") if txid is None else txid
    return (struct.pack(">HHHHHH", txid, flags, questions, 0, 0, edns)
            + (wire_name(name) + struct.pack(">HH", qtype, 1)) * questions + (OPT if edns else b""))


def record(qtype, data, ttl=60, name=b"\xc0\x0c"):
    return name + struct.pack(">HHIH", qtype, 1, ttl, len(data)) + data


def address(qtype, n=1):
    return bytes([10, 0, 0, n]) if qtype == A else socket.inet_pton(socket.AF_INET6, f"fd00::{n}")


def reply(q, records=(), rcode=0, flags=RA, extra=()):
    at = 12
    while q[at]:
        at += q[at] + 1
    return (q[:2] + struct.pack(">HHHHH", QR | RD | flags | rcode, 1, len(records), 0, len(extra))
            + q[12:at + 5] + b"".join(records) + b"".join(extra))
