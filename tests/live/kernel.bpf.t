#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""kernel.bpf (sonda show bpf): a map that this test made and what a running sonda holds, against what their
descriptors say in /proc."""

import ctypes
import os
import re
import struct

from sondatest import *

BPF_MAP_CREATE, BPF_MAP_TYPE_ARRAY = 0, 2
NR_BPF = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine)
if not NR_BPF:
    skip("the number of bpf(2) on this machine is not known to the test")


def make_map():
    attr = ctypes.create_string_buffer(
        struct.pack("=IIIIIII16s", BPF_MAP_TYPE_ARRAY, 4, 8, 1000, 0, 0, 0, b"sonda_test_map").ljust(72, b"\0"))
    fd = ctypes.CDLL(None, use_errno=True).syscall(NR_BPF, BPF_MAP_CREATE, attr, 72)
    if fd < 0:
        skip(f"a map can't be made: errno {ctypes.get_errno()}")
    return fd


def held(pid, link, key):
    """ids of what the process's descriptors of that sort refer to: {id: how many}"""
    ids = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{fd}") != link:
                continue
            n = int(re.search(rf"^{key}:\s*(\d+)", open(f"/proc/{pid}/fdinfo/{fd}").read(), re.M)[1])
            ids[n] = ids.get(n, 0) + 1
        except OSError:
            pass
    return ids


def show(*args):
    r = run_sonda("show", "bpf", *args)
    check_equal(r.code, 0, "exit code")
    return r.rows


fd = make_map()
info = open(f"/proc/self/fdinfo/{fd}").read()
number = lambda key: int(re.search(rf"^{key}:\s*(\d+)", info, re.M)[1])
spare = os.dup(fd)
rows = show("--where", f"what == map and pid == {os.getpid()}")
check_equal([(r["id"], r["name"], r["type"], r["max_entries"], r["memory_bytes"], r["holders"]) for r in rows],
            [(number("map_id"), "sonda_test_map", "array", 1000, number("memlock"), 2)], "the test's own map")
check_equal(rows[0]["comm"], open("/proc/self/comm").read().strip(), "who holds it")
os.close(spare)
os.close(fd)
check_equal(show("--where", f"what == map and id == {number('map_id')}"), [], "what is gone is gone")

with Sonda("trace", "process.exit") as s:
    pid = s.process.pid
    truth = {"program": held(pid, "anon_inode:bpf-prog", "prog_id"), "map": held(pid, "anon_inode:bpf-map", "map_id"),
             "link": held(pid, "anon_inode:bpf_link", "link_id")}
    rows = show("--where", f"pid == {pid}")
    for what, ids in truth.items():
        check_equal({r["id"]: r["holders"] for r in rows if r["what"] == what}, ids, f"its {what}s")
    check(truth["program"] and truth["map"], "there are some")
    check_equal({r["comm"] for r in rows}, {"sonda"}, "sonda holds them")
    check("exit_" in " ".join(r["name"] for r in rows if r["what"] == "program"), "programs by name")
    check({r["program"] for r in rows if r["what"] == "link"} <= set(truth["program"]), "links name their program")
    kinds = {r["type"] for r in rows if r["what"] == "map"}
    check("ringbuf" in kinds, "a map's type by name")
    text = run_sonda("show", "bpf", "--where", f"pid == {pid}", json_output=False).lines
    check_equal(text[0].split()[:4], ["WHAT", "ID", "TYPE", "NAME"], "text: columns")
check_equal(show("--where", f"pid == {pid}"), [], "sonda left nothing")

for args, words in [(["trace", "kernel.bpf"], "sonda show kernel.bpf"), (["top", "kernel.bpf"], "sonda show kernel.bpf")]:
    r = run_sonda(*args, json_output=False)
    check_equal(r.code, 2, f"{args} is a mistake")
    check(words in r.stderr, f"{args}: what would be right: {r.stderr!r}")
done()
