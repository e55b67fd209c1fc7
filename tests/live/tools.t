#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""list, check, doctor and cost tell the truth, and leave nothing behind."""

import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from sondatest import *

HERE = os.path.dirname(os.path.abspath(__file__))
OBJECTS = os.environ.get("SONDA_TEST_OBJECTS", os.path.join(HERE, "../../build/test-probes"))


def json_rows(*args, code=0):
    r = run_sonda(*args, "-o", "json", json_output=False)
    check_equal(r.code, code, f"{args}: exit code ({r.stderr.strip()})")
    return [json.loads(l) for l in r.stdout.split("\n") if l]


def programs():
    """Ids of the BPF programs that no process holds: what somebody left behind."""
    return {row["id"] for row in json_rows("cost", "--for", "1ms", "--all") if not row["pid"]}


def works(path):
    try:
        return open(path).read().strip()
    except OSError:
        return None


def doctor():
    before = programs()
    rows = json_rows("doctor")
    facts = {r["fact"]: r for r in rows if "fact" in r}
    features = {r["feature"]: r for r in rows if "feature" in r}
    check_equal(facts["kernel"]["value"], os.uname().release, "the kernel's release")
    check_equal(facts["BTF"]["good"], os.path.exists("/sys/kernel/btf/vmlinux"), "BTF")
    check_equal(facts["unprivileged_bpf_disabled"]["value"], works("/proc/sys/kernel/unprivileged_bpf_disabled"), "sysctl")
    # without the PMU there are no kprobes; and every kernel of ours has these
    if not os.path.exists("/sys/bus/event_source/devices/kprobe"):
        check(not features["kprobe"]["works"], "no kprobe PMU, no kprobes")
    for name in ("tracepoint", "raw_tp", "tp_btf", "uprobe", "ring buffer", "cgroup_skb"):
        check(features[name]["works"], f"{name} works: {features[name]}")
    for r in features.values():
        check(r["works"] or r["why"], f"{r['feature']} says why it doesn't work")
    # the kernel frees programs a little after their last user has gone
    end = time.monotonic() + 10
    while (left := programs() - before) and time.monotonic() < end:
        time.sleep(0.1)
    check_equal(left, set(), "doctor leaves no program behind")
    text = run_sonda("doctor", json_output=False).stdout
    check(all(name in text for name in features), "the text names every method")
    check_equal([features[f]["since"] for f in ("ring buffer", "netfilter", "tracepoint")], ["5.8", "6.4", "4.7"], "since when")
    check("SINCE" in text and re.search("ring buffer +works +5.8 ", text), "so does the text")
    return features


TARGET = os.path.join(OBJECTS, "target")
# what must be given to some, and the one that is told by bpf(2) and has no program
GIVEN = {"fs.file": ["--file", "/etc"], "user.call": ["--function", f"{TARGET}:work"],
         "user.usdt": ["--mark", f"{TARGET}:sonda:step"], "kernel.call": ["--function", "vfs_read"]}
NO_PROGRAM = {"kernel.bpf"}


def lists_and_checks():
    rows = json_rows("list")
    names = {r["probe"] for r in rows}
    check({"process.exec", "process.exit", "fs.open", "net.dns", "net.tcp", "block.io"} <= names, "the probes")
    for r in rows:
        fields = [f["name"] for e in r["events"] for f in e["fields"]]
        check(all(f["doc"] for e in r["events"] for f in e["fields"]), f"{r['probe']}: each field has a doc")
        checked = json_rows("check", r["probe"], code=0 if r["works"] else 4)[0]
        check_equal(checked["verdict"] == "ok", r["works"], f"{r['probe']}: list and check agree")
        if r["works"]:
            check(r["probe"] in NO_PROGRAM or checked["insns"] > 0 and checked["hooks"],
                  f"{r['probe']}: check tells instructions and hooks")
            if fields:
                t = run_sonda("trace", r["probe"], *GIVEN.get(r["probe"], ()), "--for", "100ms", "-o", "null", json_output=False)
                check_equal(t.code, 0, f"{r['probe']} runs: {t.stderr}")


def refusal():
    bad = os.path.join(OBJECTS, "unverifiable.bpf.o")
    if not os.path.exists(bad):
        return
    r = run_sonda("check", bad, json_output=False)
    check_equal(r.code, 4, "a refused probe: exit code")
    check("*count += 1" in r.stdout, f"the C line is named: {r.stdout}")
    check("unverifiable.bpf.c:" in r.stdout, "with its file and line")
    check("advice:" in r.stdout, "and there is advice")
    r = run_sonda("trace", bad, json_output=False)
    check_equal(r.code, 4, f"trace of it: exit code ({r.stderr})")
    check("sonda check" in r.stderr, f"and where to look: {r.stderr}")


def cost():
    stats = "/proc/sys/kernel/bpf_stats_enabled"
    was = works(stats)
    with Sonda("trace", "process.exit", "--pid", os.getpid()) as s:
        measuring = subprocess.Popen([SONDA, "cost", "--for", "2s", "-o", "json"], stdout=subprocess.PIPE)
        done_ = 0
        while measuring.poll() is None:  # exits while it measures; how many fall into the window is its own affair
            subprocess.run(["true"], check=True)
            done_ += 1
        mine = [json.loads(l) for l in measuring.stdout if b'"sonda"' in l and b"exit" in l]
        check(mine, "the program of process.exit is in the list")
        check(any(r["pid"] == s.process.pid for r in mine), "held by the sonda that traces")
        runs = sum(r["runs"] for r in mine if r["pid"] == s.process.pid)
        check(0 < runs, f"it ran: {runs} of {done_}")
        check(all(r["cpu_percent"] < 100 and r["map_bytes"] > 0 for r in mine), "its share and its memory")
    check_equal(works(stats), was, "statistics are as they were")


if os.geteuid() != 0:
    skip("needs root")
doctor()
lists_and_checks()
refusal()
cost()
done()
