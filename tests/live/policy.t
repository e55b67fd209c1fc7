#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""sonda policy, by what becomes of datagrams on a loopback of the test's own: applying, replacing, confirming,
falling back, rolling back, ending; what is wrong leaves what was in force; modes; what is told."""

import contextlib
import ctypes
import errno
import json
import shutil
import socket
import struct
import subprocess
import sys
import time

from sondatest import *
from packets import *

HERE = os.path.dirname(os.path.abspath(__file__))

own_place()
sh("ip link set lo up")
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one CPU's queue keeps the order


def bound(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", port))
    return sock


receiver = {port: bound(port) for port in (5001, 5002, 5003)}
for sock in receiver.values():
    sock.setblocking(False)
KERNEL = tuple(int(n) for n in os.uname().release.split(".")[:2])
marks = bound(5009)  # which no rule is about
marks.settimeout(20)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def arrives(port):
    """When the mark that was sent after it is there, so is the datagram, or it was dropped."""
    with contextlib.suppress(OSError):  # how who sends is told of a drop
        sender.sendto(b"x", ("127.0.0.1", port))
    sender.sendto(b"mark", ("127.0.0.1", 5009))
    marks.recv(10)
    try:
        return receiver[port].recv(10) == b"x"
    except BlockingIOError:
        return False


def passing():
    return [port for port in receiver if arrives(port)]


def written(text):
    f = tempfile.NamedTemporaryFile("w", suffix=".policy")
    f.write(text)
    f.flush()
    return f


def head():
    return policy("status", json_output=True).rows[0]


def pins():
    return [name for _, dirs, files in os.walk("/sys/fs/bpf") for name in dirs + files if "debug" not in name]


def drop(port, *more):
    return f"rule drop-{port}\n    drop packet udp port {port} on lo {' '.join(more)}\n"


def no_way_back(still_passing, what):
    r = policy("rollback", ok=False)
    check_equal((r.code, "there is no policy to go back to" in r.stderr, "policy off" in r.stderr), (1, True, True), f"{what}: {r.stderr}")
    check_equal(passing(), still_passing, f"{what}: what is in force stays")


def case_life():
    check_equal((head()["in_force"], passing()), (False, [5001, 5002, 5003]), "nothing is in force")
    apply(drop(5001))
    check_equal((head()["in_force"], passing()), (True, [5002, 5003]), "applied")
    check_equal((counts()["drop-5001"]["matched"], counts()["drop-5001"]["refused"]), (1, 1), "counted")
    apply(drop(5001) + drop(5002))
    check_equal(passing(), [5003], "replaced")
    check_equal([counts()[r]["refused"] for r in ("drop-5001", "drop-5002")], [2, 1], "a rule keeps its counts with its name")
    policy("rollback")
    check_equal(passing(), [5002, 5003], "rolled back")
    no_way_back([5002, 5003], "once more")
    policy("off")
    apply(drop(5001))
    no_way_back([5002, 5003], "before the first")
    check("any more" in policy("off").stderr, "off says what it ended")
    check_equal((passing(), pins(), head()["in_force"]), ([5001, 5002, 5003], [], False), "off leaves nothing")
    check("no policy was" in policy("off").stderr, "off again says so")


def case_confirm():
    apply(drop(5001))
    with written(drop(5002)) as new:
        policy("apply", new.name, "--confirm", "1h")
        check_equal(passing(), [5001, 5003], "in force until it must be confirmed")
        check(0 < head()["waits_ns"] <= 3600e9, "status tells how long it waits")
        again = policy("apply", new.name, ok=False)
        check_equal((again.code, "waits for confirmation" in again.stderr), (1, True), "one at a time")
        policy("confirm")
        check_equal((passing(), head()["waits_ns"]), ([5001, 5003], 0), "confirmed")
        check_equal(policy("confirm", ok=False).code, 1, "nothing waits any more")
    with written(drop(5003)) as new:
        policy("apply", new.name, "--confirm", "100ms")
        end = time.monotonic() + 30
        while arrives(5002) and time.monotonic() < end:
            pass
        check_equal(passing(), [5001, 5003], "what was before comes back without anybody's help")
        check_equal(head()["fell_back"], True, "and status says why")
        no_way_back([5001, 5003], "what was not confirmed is gone")
    policy("off")
    with written(drop(5003)) as new:
        policy("apply", new.name, "--confirm", "100ms")
        while not arrives(5003) and time.monotonic() < end:
            pass
        check_equal(passing(), [5001, 5002, 5003], "where there was none, none")
        policy("apply", new.name, "--confirm", "1h")
        check("nothing is in force now" in policy("rollback").stderr, "rolled back before it is confirmed")
        check_equal((passing(), pins()), ([5001, 5002, 5003], []), "which is the end, as there was none before")
        r = policy("apply", new.name, "--confirm", "0s", ok=False)
        check_equal((r.code, pins()), (2, []), f"no time to confirm is a mistake: {r.stderr}")
    policy("off")


def case_wrong():
    apply(drop(5001))
    cut = written("127.0.0.1\n\0\0\0")  # as a loss of power leaves files
    for text, code, says in (
            ("# nothing yet\n", 5, "there is no rule in it"),
            (f"set s = lines of {cut.name}\nrule a drop packet from @s on lo\n", 5, "a NUL at byte 10: this is no text"),
            ("rule a\n  drop packet form 10.0.0.0/8\n", 5, "line 2, column 15: there is no word 'form' (did you mean 'from'?)"),
            ("set s = lines of /nowhere/list\nrule a drop packet from @s on lo\n", 5, "/nowhere/list"),
            ("rule a drop packet on nosuchif\n", None, "nosuchif"),
            ("rule a deny exec of file under /\n", 5, "would lock you out")):
        r = apply(text, ok=False)
        check(r.code == code if code else r.code != 0, f"{text!r}: exit {r.code}: {r.stderr}")
        check(says in r.stderr and len(r.stderr.strip().splitlines()) <= 2, f"{text!r}: {r.stderr}")
        check_equal(passing(), [5002, 5003], "what was in force is as it was")
        check_equal(list(counts()), ["drop-5001"], "also by its status")
    policy("off")
    r = apply("rule a\n drop packet\n on nosuchif\n", ok=False)
    check_equal(pins(), [], "a first policy that fails leaves nothing")


def case_modes():
    apply(drop(5001, "mode audit") + drop(5002, "expires 1h") + drop(5003, "trip at 3/min"))
    check_equal(passing(), [5001], "audit lets pass")
    row = counts()["drop-5001"]
    check_equal((row["mode"], row["matched"], row["refused"]), ("audit", 1, 0), "and counts")
    check(0 < counts()["drop-5002"]["expires_in_ns"] <= 3600e9, "expires is told")
    check_equal([arrives(5003) for _ in range(6)], [False, False, True, True, True, True], "refuses three, then only counts")
    check_equal(counts()["drop-5003"]["mode"], "tripped", "which is told")
    apply(drop(5002, "expires 2000-01-01"))
    check_equal((passing(), counts()["drop-5002"]["mode"]), ([5001, 5002, 5003], "expired"), "expired: it matches nothing")
    policy("off")


def case_told():
    """Events lie in the ring until somebody reads them."""
    apply(drop(5001))
    arrives(5001)
    with Sonda("trace", "guard.packet") as s:
        row = s.wait_row(lambda r: r["rule"] == "drop-5001")
    check(row and row["to_port"] == 5001, f"what was dropped before sonda looked is told: {row}")
    check_equal((s.stats["seen"], s.stats["lost"]), (s.stats["delivered"] + s.stats["filtered"] + s.stats["lost"], s.stats.get("missed", 0)),
                "the account of what was read")
    check_equal(passing(), [5002, 5003], "who watches doesn't end it")
    with Sonda("trace", "guard.packet") as s:
        s.process.kill()
        s.process.wait()
    check_equal(passing(), [5002, 5003], "nor who is killed while watching")
    policy("off")
    r = run_sonda("trace", "guard.packet")
    check_equal((r.code != 0, "not in force" in r.stderr), (True, True), f"without a policy it says so: {r.stderr}")


def case_plan():
    apply(drop(5001) + drop(5002))
    with written(drop(5001) + drop(5002, "mode audit") + drop(5003)) as new:
        rows = policy("plan", new.name, json_output=True).rows
        check_equal([(r["rule"], r["change"]) for r in rows if "rule" in r],
                    [("drop-5001", "same"), ("drop-5002", "changed"), ("drop-5003", "new")], "what would change")
        check(all(r["strength"].startswith("drop (XDP") for r in rows if "rule" in r), f"how each is enforced here: {rows}")
        [guard] = [r for r in rows if "guard" in r]
        answers = KERNEL >= (6, 9)  # its program at TC is loaded too
        check_equal((guard["guard"], guard["programs"], guard["hooks"].startswith("xdp")), ("guard.packet", 1 + answers, True), "by what")
        check(guard.get("verified_insns", guard.get("code_insns", 0)) > 1000 and guard["map_bytes"] > 1 << 20 and guard["cost_ns"] > 0,
              f"what it costs: {guard}")
        check_equal((passing(), list(counts())), ([5003], ["drop-5001", "drop-5002"]), "and nothing of it is in force")
    with written(drop(5002)) as new:
        rows = policy("plan", new.name, json_output=True).rows
        check_equal({r["rule"]: r["change"] for r in rows if "rule" in r}, {"drop-5002": "same", "drop-5001": "gone"}, "and what would go")
    with written("127.0.0.1\n") as values, written(f"set s = lines of {values.name}\n{drop(5001)} from @s\n") as new:
        change = lambda: [(r["change"], r["list_values"], r["list_values_before"]) for r in policy("plan", new.name, json_output=True).rows if "rule" in r]
        policy("apply", new.name)
        check_equal(change(), [("same", 1, 1)], "its list is as it was")
        values.write("127.0.0.2\n"), values.flush()
        check_equal(change(), [("changed", 2, 1)], "a line more in it")
        said = policy("plan", new.name).stdout
        check("# its lists have changed: 2 values, before 1" in said and said.endswith("1 change\n"), f"to people too: {said}")
        values.truncate(0)
        check("line 1: {values.name}, of set 's', has no values".format(values=values) in policy("check", new.name).stderr, "a list without values")
    policy("off")
    with written("rule a drop packet on nosuchif\n") as new:
        r = policy("plan", new.name, ok=False)
        check("line 1, column 23: there is no network interface 'nosuchif'" in r.stderr, f"what apply would refuse: {r.stderr}")
    with written(drop(5001)) as new:
        rows = policy("plan", new.name, json_output=True).rows
    check_equal(([r["strength"] for r in rows if "rule" in r], pins()), (["drop (XDP, on 1 interface)"], []), "planned where nothing is")


def planned(text):
    """{guard: its row}; {} where this kernel can't."""
    with written(text) as new:
        r = policy("plan", new.name, ok=False, json_output=True)
    check(r.code in (0, 4), f"plan: {r.stderr}")
    return {row["guard"]: row for row in r.rows if "guard" in row} if r.code == 0 else {}


def case_measured():
    """plan measures each guard, or says why not; and while it does, nobody is refused anything."""
    for words, of in (("connect", "a connect"), ("send", "a datagram sent"), ("bind", "a bind")):
        [guard] = planned(f"rule a deny {words} to 127.0.0.1 port 9\n").values()
        check(guard["cost_ns"] > 0 and guard["cost_of"] == of, f"{words}: {guard}")
    for text in ("rule a drop packet out udp port 9 on lo\n", "rule a mark packet udp as ef on lo\n", "rule a drop packet at output udp port 9\n"):
        for guard in planned(text).values():
            check(guard["cost_ns"] > 0 and guard["cost_of"] == "a packet", f"{text}: {guard}")
    [guard] = planned("rule a mirror packet udp on lo to lo\n").values()
    check("cost_ns" not in guard and "would send copies, as rule 'a'" in guard["not_measured"], f"why not: {guard}")
    with written("rule a deny connect, send to port 5001-5009\nrule b deny bind to port 5010\n") as new:
        plan = subprocess.Popen([SONDA, "policy", "plan", new.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times = 0
        while plan.poll() is None:
            check_equal(passing(), [5001, 5002, 5003], "while it is measured")
            bound(5010).close()
            times += 1
    check(plan.returncode == 0 and times, f"planned, {times} looks")
    check_equal(pins(), [], "and nothing is left")


def both():
    """{rule: matched, refused, would}: of the policy in force, of the one beside it."""
    rows = [r for r in policy("status", json_output=True).rows if "rule" in r]
    return [{r["rule"]: (r["matched"], r["refused"], r["would"]) for r in rows if r["beside"] == beside} for beside in (False, True)]


BESIDE = """
rule first allow packet udp port 5001 on lo
rule drop-5001 drop packet udp port 5001-5002 on lo
rule audited drop packet udp port 5003 on lo mode audit
rule last drop packet udp port 5003 on lo
"""


def case_beside():
    """A new policy is judged beside the one in force: as if it were alone, but nothing is refused by it."""
    apply(drop(5001))
    with written(BESIDE) as new:
        policy("apply", "--audit", new.name)
        check_equal((passing(), head()["beside_rules"]), ([5002, 5003], 4), "what is in force decides as before")
        check_equal(both(), [{"drop-5001": (1, 1, 0)}, {"first": (1, 0, 0), "drop-5001": (1, 0, 1), "audited": (1, 0, 1), "last": (1, 0, 1)}],
                    "the other counts what it alone would do, its namesake apart")
        with Sonda("trace", "guard.packet") as s:
            s.wait_row(lambda r: r["rule"] == "last")
        told = sorted((r["rule"], r["outcome"], r["to_port"]) for r in s.rows)
        check_equal(told, [("audited", "audited", 5003), ("drop-5001", "refused", 5001), ("drop-5001", "would_refuse", 5002),
                           ("last", "would_refuse", 5003)], "and is told as such")
        policy("apply", "--audit", new.name)
        check_equal((passing(), both()[1]["last"]), ([5002, 5003], (1, 0, 1)), "laid beside again, it counts from zero")
        check_equal(policy("rollback").stderr.strip(), "sonda: the policy that lay beside is gone", "taken away")
        check_equal((passing(), both()), ([5002, 5003], [{"drop-5001": (3, 3, 0)}, {}]), "what is in force goes on")
        policy("apply", "--audit", new.name)
        policy("promote", "--confirm", "1h")
        check_equal((passing(), both()[1]), ([5001], {}), "promoted: it decides")
        policy("rollback")
        check_equal(passing(), [5002, 5003], "and back")
        r = policy("promote", ok=False)
        check_equal((r.code, "no policy lies beside" in r.stderr), (1, True), f"nothing to promote: {r.stderr}")
        check_equal(policy("apply", "--audit", "--confirm", "1s", new.name, ok=False).code, 2, "--audit and --confirm")
        policy("off")
        policy("apply", "--audit", new.name)
        check_equal((passing(), head()["in_force"], both()[1]["last"]), ([5001, 5002, 5003], False, (1, 0, 1)), "beside nothing")
        policy("promote", "--confirm", "1h")
        check_equal(passing(), [5001], "promoted from there")
        policy("rollback")
        check_equal(pins(), [], "before that there was none")
    sh("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up")
    said = apply("rule everywhere drop packet udp port 5001\nrule out drop packet out udp port 5009\n").stderr  # at v0 and v1, not at lo
    check("2 rules without `on` stand at v" in said and "need another `apply`" in said, f"apply says where: {said}")
    uncovered = lambda: sorted((r["uncovered"], r["of_rule"]) for r in policy("status", json_output=True).rows if "uncovered" in r)
    check_equal(uncovered(), [], "all interfaces are guarded")
    sh("ip link add v2 type veth peer name v3 && ip link set v2 up")
    check_equal(uncovered(), [("v2", "everywhere"), ("v2", "out")], "one that came later is named")
    check("v2 is not guarded: rule everywhere (line 1)" in policy("status").stdout, "to people too")
    apply("rule everywhere drop packet udp port 5001\n")
    check_equal(uncovered(), [], "applied again")
    sh("ip link del v2")
    with written(drop(5002)) as new:
        r = policy("apply", "--audit", new.name, ok=False)
        check_equal((r.code, "'lo' is not guarded now" in r.stderr), (5, True), f"rules in force would reach further: {r.stderr}")
        check_equal((passing(), both()[1]), ([5001, 5002, 5003], {}), "so it is left alone")
    policy("off")
    sh("ip link del v0")


def case_top():
    apply(drop(5001) + drop(5002, "mode audit"))
    arrives(5001)
    top = subprocess.Popen([SONDA, "policy", "top", "--every", "1s", "--times", "1", "-o", "json"], stdout=subprocess.PIPE, text=True)
    before = {r["rule"]: r["matched"] for r in counts().values()}
    sent = 0
    while top.poll() is None:
        arrives(5001), arrives(5002)
        sent += 1
    rows = {r["rule"]: r for r in map(json.loads, top.stdout)}
    one, two = rows["drop-5001"], rows["drop-5002"]
    check(0 < one["matched"] <= sent and one["refused"] == one["matched"] and one["would"] == 0, f"of {sent} sent meanwhile: {one}")
    check(0 < two["matched"] <= sent and two["would"] == two["matched"] and two["refused"] == 0, f"in audit: {two}")
    check_equal(one["bytes"], one["matched"] * 43, "bytes: 14 + 20 + 8 + 1 each")
    check(one["window_ns"] >= 1e9 and one["matched_all"] - one["matched"] >= before["drop-5001"] == 1, f"of the window only: {one}")
    policy("off")
    check_equal(policy("top", ok=False).code, 1, "nothing to look at")


def case_killed():
    """Nothing is left, and nothing opens, when sonda is killed while it changes the policy, over and over."""
    apply(drop(5001))
    whole = set(pins())
    with written(drop(5001) + drop(5002)) as new:
        for delay_ms in (1, 3, 10, 20, 40, 80, 160):
            process = subprocess.Popen([SONDA, "policy", "apply", new.name], stderr=subprocess.DEVNULL)
            end = time.monotonic() + delay_ms / 1000
            while time.monotonic() < end:
                check(not arrives(5001), "refused at every moment")
            process.kill()
            process.wait()
            check(5001 not in passing(), f"killed after {delay_ms} ms")
        apply(drop(5001))
        for delay_ms in (10, 20, 40):
            process = subprocess.Popen([SONDA, "policy", "apply", new.name, "--confirm", "1s"], stderr=subprocess.DEVNULL)
            try:
                process.wait(delay_ms / 1000)
            except subprocess.TimeoutExpired:
                process.kill()
            process.wait()
            end = time.monotonic() + 30
            while passing() != [5002, 5003] and time.monotonic() < end:
                pass
            check_equal(passing(), [5002, 5003], f"to be confirmed, killed after {delay_ms} ms: what was before, soon")
        policy("apply", new.name)
        check_equal((passing(), set(pins())), ([5003], whole), "and the next one works, on the same pins")
    policy("off")
    check_equal(pins(), [], "off leaves nothing")


def out(port):
    """At TC, and at netfilter's hooks where the kernel takes rules there."""
    text = f"rule out-{port} drop packet out udp port {port} on lo\n"
    return text + (f"rule at-{port} drop packet at input udp port {port}\n" if KERNEL >= (6, 4) else "")


def case_other_version():
    """What another version of sonda left in force stays so until this one's guards are; nothing opens between."""
    apply(drop(5001) + out(5003))
    check_equal(passing(), [5002], "the other version's")
    whole = set(pins())
    path = ctypes.create_string_buffer(b"/sys/fs/bpf/sonda/policy/policy_state")
    state, _ = bpf(OBJ_GET, struct.pack("<QII", ctypes.addressof(path), 0, 0))
    key, value = ctypes.create_string_buffer(struct.pack("<I", 1)), ctypes.create_string_buffer(struct.pack("<Q", 1))
    bpf(2, struct.pack("<IIQQQ", state, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
    os.close(state)
    r = policy("status", ok=False)
    check_equal((r.code, "another version of sonda" in r.stderr, "takes over" in r.stderr), (1, True, True), f"it says so: {r.stderr}")
    check_equal(apply("rule a drop packet on nosuchif\n", ok=False).code, 5, "taking over fails")
    check_equal((passing(), set(pins())), ([5002], whole), "and leaves all as it was")
    with written(drop(5001) + drop(5002) + out(5004)) as new:
        process = subprocess.Popen([SONDA, "policy", "apply", new.name], stderr=subprocess.DEVNULL)
        opened = times = 0
        while process.poll() is None:
            opened += arrives(5001)
            times += 1
    check_equal((process.returncode, opened), (0, 0), f"taken over: refused at each of {times} moments meanwhile")
    check_equal((passing(), set(pins())), ([5003], whole), "the new policy is in force, on pins of the same names, and nothing of the old")
    check_equal(counts()["drop-5002"]["refused"], 1, "and counts")
    policy("off")
    check_equal((passing(), pins()), ([5001, 5002, 5003], []), "off leaves nothing")
    qdiscs = subprocess.run(["tc", "qdisc", "show", "dev", "lo"], capture_output=True, text=True, check=True).stdout
    check("clsact" not in qdiscs, f"nor at the interface: {qdiscs}")


LINK_DETACH = 34


def links_detach():
    """As `bpftool link detach` would. Which guards had any."""
    having = set()
    for where, _, names in os.walk("/sys/fs/bpf/sonda"):
        for name in names:
            if not name.startswith("link"):
                continue
            path = ctypes.create_string_buffer(f"{where}/{name}".encode())
            link, _ = bpf(OBJ_GET, struct.pack("<QII", ctypes.addressof(path), 0, 0))
            bpf(LINK_DETACH, struct.pack("<I", link))
            os.close(link)
            having.add(os.path.basename(where))
    return having


def denied():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return s.connect_ex(("127.0.0.1", 5010)) == errno.EPERM


def unattached():
    """Rules that status says aren't attached, all or in part."""
    rows = counts().values()
    check(all(r["attached"] != r["strength"].startswith(("not attached: ", "in part: ")) for r in rows), f"in words too: {rows}")
    return [r["rule"] for r in rows if not r["attached"]]


def case_attached():
    """What isn't attached any more status says, and applying mends."""
    sh("ip link add v0 type veth peer name v1 && ip link set v0 up")
    text = drop(5001) + out(5002) + "rule con deny connect to port 5010\nrule v drop packet udp on lo, v0\n  port 9\n"
    apply(text)
    check_equal((unattached(), passing(), denied()), ([], [5003], True), "all is as it should be")
    uncovered = lambda: [(r["uncovered"], r["of_rule"]) for r in policy("status", json_output=True).rows if "uncovered" in r]
    sh("ip link del v0")
    check_equal((unattached(), uncovered()), (["v"], [("v0", "v")]), "an interface is gone")
    sh("ip link add v0 type veth peer name v1 && ip link set v0 up")
    check_equal((unattached(), uncovered()), (["v"], [("v0", "v")]), "and made anew")
    check("v0 is not guarded: rule v" in policy("status").stdout and "in part: drop (XDP" in policy("status").stdout, "to people too")
    apply(text)
    check_equal((unattached(), uncovered(), counts()["drop-5001"]["refused"]), ([], [], 1), "applied again, and no count is lost")
    os.remove("/sys/fs/bpf/sonda/socket/link1")
    check_equal(unattached(), ["con"], "a pin was removed")
    having = links_detach()
    check({"packet", "socket"} <= having and denied() is False and 5001 in passing(), f"detached: {having}")
    at_tc = [] if "traffic" in having else ["out-5002"]  # by a filter there, not by a link
    check_equal([r for r in counts() if r not in at_tc], unattached(), "nothing is attached")
    shutil.rmtree("/sys/fs/bpf/sonda/socket")
    check_equal([r for r in counts() if r not in at_tc], unattached(), "nor where all pins of a guard are gone")
    with written(drop(5003) + "rule con deny connect to port 5010\n") as new:
        r = policy("apply", "--audit", new.name, ok=False)
        check_equal((r.code, "guard.socket is not attached any more" in r.stderr), (1, True), f"nothing to lie beside: {r.stderr}")
        policy("apply", new.name, "--confirm", "1h")
        check_equal((unattached(), passing(), denied()), ([], [5001, 5002], True), "mended by a policy to be confirmed")
        policy("rollback")
        check_equal((unattached(), passing(), denied()), ([], [5003], True), "so is the one that it goes back to")
        shutil.rmtree("/sys/fs/bpf/sonda/policy")
        for verb in ("status", "rollback"):
            r = policy(verb, ok=False)
            check_equal((r.code, "what they go by was removed" in r.stderr), (1, True), f"{verb}: {r.stderr}")
        check_equal((passing(), denied()), ([5003], True), "they refuse what they refused")
        policy("apply", new.name)
    check_equal((unattached(), passing(), denied()), ([], [5001, 5002], True), "taken over from them")
    shutil.rmtree("/sys/fs/bpf/sonda/policy")
    check("any more" in policy("off").stderr, "off ends them too")
    end = time.monotonic() + 30  # the kernel lets go of a link a little later
    while (denied() or len(passing()) < 3) and time.monotonic() < end:
        pass
    check_equal((passing(), denied(), pins()), ([5001, 5002, 5003], False, []), "nothing is left")
    sh("ip link del v0")


def pinned_map(name):
    path = ctypes.create_string_buffer(f"/sys/fs/bpf/sonda/policy/{name}".encode())
    return bpf(OBJ_GET, struct.pack("<QII", ctypes.addressof(path), 0, 0))[0]


def element_put(name, key, value):
    fd, key, value = pinned_map(name), ctypes.create_string_buffer(struct.pack("<I", key)), ctypes.create_string_buffer(value)
    bpf(2, struct.pack("<IIQQQ", fd, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
    os.close(fd)


def case_other_version_confirmed():
    """Taken over with --confirm: the way back leads to the policy that the other version had in force."""
    apply(drop(5001))
    element_put("policy_state", 1, struct.pack("<Q", 1))
    with written(drop(5001) + drop(5002)) as new, written("rule a drop packet on nosuchif\n") as wrong:
        check_equal((policy("apply", wrong.name, "--confirm", "1h", ok=False).code, passing()), (5, [5002, 5003]), "what fails changes nothing")
        element_put("policy_state", 1, struct.pack("<Q", 1))
        process = subprocess.Popen([SONDA, "policy", "apply", new.name, "--confirm", "1h"], stderr=subprocess.DEVNULL)
        opened = 0
        while process.poll() is None:
            opened += arrives(5001)
        check_equal((process.returncode, opened, passing()), (0, 0, [5003]), "taken over, refused at each moment meanwhile")
        check(0 < head()["waits_ns"] <= 3600e9, "and it waits for confirmation")
        policy("rollback")
        check_equal((passing(), list(counts())), ([5002, 5003], ["drop-5001"]), "rolled back: what was before")
        element_put("policy_state", 1, struct.pack("<Q", 1))
        policy("apply", new.name, "--confirm", "100ms")
        end = time.monotonic() + 30
        while not arrives(5002) and time.monotonic() < end:
            pass
        check_equal((passing(), head()["fell_back"]), ([5002, 5003], True), "it comes back by itself")
        element_put("policy_state", 1, struct.pack("<Q", 1))
        policy("apply", new.name, "--confirm", "1h")
        policy("confirm")
        check_equal((passing(), head()["waits_ns"]), ([5003], 0), "confirmed")
        policy("off")
        apply(drop(5001))
        for gen in (0, 1):
            element_put("policy_text", gen, struct.pack("<IIQ", 9, 0, 0) + b"rul x y z".ljust(65536, b"\0"))
        element_put("policy_state", 1, struct.pack("<Q", 1))
        r = policy("apply", new.name, "--confirm", "1h", ok=False)
        check("no way back" in r.stderr and "there is no statement 'rul'" in r.stderr, f"what can't be read: {r.stderr}")
        check_equal((r.code, passing()), (5, [5002, 5003]), "is left as it is")
        policy("apply", new.name)
        check_equal(passing(), [5003], "without a way back it is taken over")
    policy("off")
    check_equal(pins(), [], "off leaves nothing")


def as_nobody(*words):
    """sonda, wherever it lies, as a user who may nothing."""
    fd = os.open(SONDA, os.O_RDONLY)
    try:
        return subprocess.run([f"/proc/self/fd/{fd}", *words], pass_fds=[fd], user=65534, group=65534, extra_groups=[], capture_output=True, text=True)
    finally:
        os.close(fd)


def case_others():
    """Of a BPF file system where everybody may make directories: who isn't root is told nothing and ends nothing."""
    apply(drop(5001))
    for verb in ("status", "off"):
        r = as_nobody("policy", verb)
        check_equal((r.returncode, "Permission denied" in r.stderr), (3, True), f"{verb} as nobody: {r.stdout}{r.stderr}")
    for name, verb in (("sonda-before", "status"), ("sonda-before", "off")):
        os.mkdir(f"/sys/fs/bpf/{name}")
        os.chown(f"/sys/fs/bpf/{name}", 65534, 65534)
        r = policy(verb, ok=False)
        check_equal((r.code, "is not root's alone (user 65534" in r.stderr, passing()), (1, True, [5002, 5003]), f"nobody's {name}: {r.stderr}")
        os.rmdir(f"/sys/fs/bpf/{name}")
    policy("off")
    os.mkdir("/sys/fs/bpf/sonda")
    os.chmod("/sys/fs/bpf/sonda", 0o777)
    r = apply(drop(5001), ok=False)
    check_equal((r.code, "mode 0777" in r.stderr, passing()), (1, True, [5001, 5002, 5003]), f"a directory for everybody: {r.stderr}")
    os.rmdir("/sys/fs/bpf/sonda")


def case_break_glass():
    """How a policy is ended without sonda."""
    apply(drop(5001))
    sh("rm -rf /sys/fs/bpf/sonda")
    end = time.monotonic() + 30  # the kernel lets go of a link a little later
    while not arrives(5001) and time.monotonic() < end:
        pass
    check_equal((passing(), head()["in_force"]), ([5001, 5002, 5003], False), "the pins removed")
    apply(drop(5001))
    sh("umount /sys/fs/bpf")
    while not arrives(5001) and time.monotonic() < end:
        pass
    check_equal(passing(), [5001, 5002, 5003], "the file system unmounted")
    sh("mount -t bpf bpf /sys/fs/bpf")


def case_files():
    """check and fmt, on the policy that the docs show."""
    docs = os.path.join(HERE, "../../docs/policies.md")
    if not os.path.exists(docs):
        print("not shown: the documentation's policy is not here")
        return
    text = open(docs).read().split("```")[1].strip("\n") + "\n"
    with written(text) as f:
        once = policy("fmt", f.name).stdout
        with written(once) as g:
            check_equal(policy("fmt", g.name).stdout, once, "fmt again changes nothing")
            with tempfile.TemporaryDirectory() as d:
                os.chown(f.name, 1000, 1000), os.chmod(f.name, 0o664), os.symlink(f.name, f"{d}/link")
                policy("fmt", "--write", f"{d}/link")
                st = os.stat(f.name)
                check_equal((st.st_uid, st.st_gid, st.st_mode & 0o777, os.path.islink(f"{d}/link")), (1000, 1000, 0o664, True),
                            "fmt --write leaves a file whose it was, and a link one")
            check_equal(open(f.name).read(), once, "fmt --write")
    r = policy("chek", ok=False)
    check_equal((r.code, "did you mean 'check'" in r.stderr), (2, True), f"a wrong verb: {r.stderr}")
    r = policy("check", ok=False)
    check_equal((r.code, "expected a policy's file" in r.stderr), (2, True), f"no file: {r.stderr}")


def agree(text, says, code=5):
    """check and apply say the same of what a policy names."""
    with written(text) as f:
        one, other = policy("check", f.name, ok=False), policy("apply", f.name, ok=False)
    check_equal((one.code, other.code), (code, code), f"check and apply of {text!r}: {one.stderr} {other.stderr}")
    check(says in one.stderr and says in other.stderr, f"{text!r}: {one.stderr} {other.stderr}")
    return one


def case_names():
    """What isn't there is said by check, as apply would."""
    sh("ip link add guarded type veth peer name other && ip link set guarded up")
    base = "rule a\n    deny connect to 192.0.2.1\n    when "
    agree(base + "user in roott\n", "line 3, column 18: there is no user 'roott' (did you mean 'root'?)")
    agree(base + "user in nobody, 4000000\n    when exe in /nowhere/a\n", "line 4, column 17: '/nowhere/a': there is no directory '/nowhere'")
    agree(base + "cgroup in no-such.service\n", "line 3, column 20: there is no cgroup of a unit 'no-such.service'")
    agree(base + "cgroup in /no/such\n", "line 3, column 20: cgroup '/no/such'")
    agree("rule a drop packet on guardde\n", "there is no network interface 'guardde' (did you mean 'guarded'?)")
    agree("rule a mirror packet udp on guarded to guardet\n", "there is no network interface 'guardet' (did you mean 'guarded'?)")
    agree("set s = lines of /nowhere/list\nrule a drop packet from @s on lo\n", "/nowhere/list")
    with tempfile.TemporaryDirectory() as d:
        open(f"{d}/list", "w").write("root\nrooot\n")
        agree(f"set s = lines of {d}/list\n" + base + "user in @s\n", "there is no user 'rooot' (did you mean 'root'?)")
        open(f"{d}/program", "w").close()
        with written(base + f"exe in {d}/progam\n") as f:
            one, other = policy("check", f.name), policy("apply", f.name)
        for r in (one, other):  # its place is what counts
            check(f"line 3, column 17: there is no program '{d}/progam' (did you mean '{d}/program'?)" in r.stderr, r.stderr)
    policy("off")
    check_equal(pins(), [], "nothing is left")
    sh("ip link del guarded")


def case_why_beside():
    """why tells also what the policy beside would do."""
    def why(*words):
        return policy("why", *words).stdout
    apply(drop(5001) + "rule con deny connect to 192.0.2.1\n")
    with written("rule one allow packet udp port 5002 on lo\nrule two drop packet udp port 5001-5003 on lo\nrule con deny connect to 192.0.2.0/24 port 80\n"
                 "rule audited deny connect to 192.0.2.7 mode audit\n") as new:
        policy("apply", "--audit", new.name)
    asked = ("packet", "udp", "127.0.0.1:9")
    check_equal(why(*asked, "127.0.0.1:5001", "on", "lo").splitlines(),
                ["dropped: rule 'drop-5001' (line 1) decides", "beside: rule 'two' (line 2) would drop it, unless it is always let through"], "both drop it")
    check_equal(why(*asked, "127.0.0.1:5002", "on", "lo").splitlines(),
                ["passes: no rule decides about it", "beside: rule 'one' (line 1) would let it pass"], "the first that decides")
    check("beside: no rule is about it" in why(*asked, "127.0.0.1:5009", "on", "lo"), "none of the policy beside")
    check_equal(why("connect", "tcp", "192.0.2.1:80").splitlines(),
                ["rule con (line 3) denies it", "beside: rule con (line 3) would deny it"], "an operation")
    check_equal(why("connect", "tcp", "192.0.2.7:22").splitlines(),
                ["no rule is about it: it is let through", "beside: rule audited (line 4) would deny it, but only counts (mode audit)"], "of each by itself")
    policy("rollback")
    check_equal(why("connect", "tcp", "192.0.2.1:80").splitlines(), ["rule con (line 3) denies it"], "none lies beside any more")
    policy("off")
    with written("rule con deny connect to 192.0.2.1\n") as new:
        policy("apply", "--audit", new.name)
        check_equal(why("connect", "tcp", "192.0.2.1:80").splitlines(), ["beside: rule con (line 1) would deny it"], "beside nothing")
    policy("off")


def why(*words, **more):
    return policy("why", *words, **more).stdout.splitlines()


def case_why_files():
    """Files are what they are, by whatever name; who asks is a process, too, or what an event tells."""
    with tempfile.TemporaryDirectory(dir="/run") as d:
        os.makedirs(f"{d}/dir"), os.makedirs(f"{d}/mounted")
        open(f"{d}/dir/secret", "w").write("x")
        os.link(f"{d}/dir/secret", f"{d}/hard"), os.symlink(f"{d}/dir/secret", f"{d}/soft")
        sh(f"mount --bind {d}/dir {d}/mounted")
        me = os.path.realpath(f"/proc/{os.getpid()}/exe")
        r = apply(f"rule secret deny read, write of file {d}/dir/secret accept kill\n"
                  f"rule below alert write of file under {d}/dir when exe in {me}\n"
                  f"rule home alert read of file {d}/hard when ancestor in {d}/nobody\n"
                  f"rule con deny connect to 192.0.2.1 when user in 0 unless exe in {d}/nobody\n", ok=False)
        if is_unsupported(r):
            print(f"not shown: rules about files can't be enforced here: {r.stderr.strip()}")
        else:
            check_equal(r.code, 0, r.stderr)
            names = lambda lines: [line.split()[1] for line in lines if line.startswith("rule ")]
            for name in ("dir/secret", "hard", "soft", "mounted/secret"):
                check_equal(names(why("read", f"{d}/{name}", "--ancestor", "/bin/true")), ["secret"], f"why read {name}")
            check_equal(names(why("write", f"{d}/mounted/other", "--exe", me)), ["below"], "below the directory, by a bind mount")
            check_equal(names(why("write", f"{d}/mounted/other", "--pid", str(os.getpid()))), ["below"], "whom a pid is of")
            check_equal(names(why("write", f"{d}/mounted/other", "--pid", str(os.getpid()), "--exe", "/bin/true")), [], "what is said counts")
            of = why(f"{d}/mounted/secret")
            check("read, write" in of[0] and names(of) == ["secret", "below", "home"], f"whatever is done to a file: {of}")
            of = why(str(os.getpid()))
            terminal = int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[4])
            check(of[0].startswith(f"{os.getpid()}: {me}, user 0, cgroup /") and ("with a terminal" if terminal else "no terminal") in of[0], f"who it is: {of[0]}")
            check(os.path.realpath(f"/proc/{os.getppid()}/exe") in of[0].split("below")[1], f"whom it comes of: {of[0]}")
            check_equal(names(of), ["secret", "below", "home", "con"], f"whatever a process does: {of}")
            check(any(f"write of file under {d}/dir" in line for line in of) and "if 'ancestor' fits" in of[4], f"to what: {of}")
            told = {"probe": "fs.open", "flags": "O_WRONLY", "path": f"{d}/mounted/x", "exe": me, "user": "root", "args": ["a"], "err": None}
            answer = subprocess.run([SONDA, "policy", "why", "-"], input=json.dumps(told) + "\n", capture_output=True, text=True).stdout.splitlines()
            check_equal((answer[0], names(answer)), (f"write {d}/mounted/x by {me}, user root:", ["below"]), "what an event tells of")
        sh(f"umount {d}/mounted")
    policy("off")


def case_why_packets():
    apply(drop(5001))
    arrives(5001)
    asked = ("udp", "127.0.0.1:9", "127.0.0.1:5001")
    for place in (("out",), ("in",), ("at", "input")):
        check_equal(why("packet", *place, *asked), ["passes: no rule is about packets there"], f"where no rules are: {place}")
    traced = subprocess.run([SONDA, "trace", "guard.packet", "-o", "json", "--count", "1"], capture_output=True, text=True).stdout
    told = subprocess.run([SONDA, "policy", "why", "-"], input=traced, capture_output=True, text=True).stdout.splitlines()
    check(told[0].endswith("127.0.0.1:5001:") and told[1].startswith("rule 'drop-5001' (line 1) drops it"), f"an event: {told}")
    for words, code, says in ((("read", "/etc/passwd", "--user", "roott"), 2, "there is no user 'roott'"),
                              (("read", "/etc/passwd", "--pid", "4194304"), 1, "there is no process 4194304")):
        r = policy("why", *words, ok=False)
        check_equal((r.code, says in r.stderr), (code, True), f"{words}: {r.stderr}")
    r = subprocess.run([SONDA, "policy", "why", "-"], input='{"probe":"fs.opem"}', capture_output=True, text=True)
    check("line 1: unknown probe 'fs.opem'" in r.stderr, f"no event: {r.stderr}")
    policy("off")


SSHD = """
import socket, sys
s = socket.create_server(("127.0.0.1", 2222))
print("listens", flush=True)
sys.stdin.read()
"""


def case_logins():
    """Who is logged in by ssh must be able to connect anew, unless --confirm takes it back."""
    cut, let = "rule cut drop packet tcp port 22 on lo\n", "rule let allow packet from 127.0.0.1 tcp port 22 on lo\n"
    apply(cut)
    policy("off")  # nobody listens
    with socket.create_server(("127.0.0.1", 22)) as server, socket.create_connection(("127.0.0.1", 22)), server.accept()[0]:
        r = apply(cut, ok=False)
        check_equal((r.code, "line 1, column 6: rule 'cut' would lock you out: 127.0.0.1 could not log in by ssh again (port 22)" in r.stderr),
                    (5, True), f"refused: {r.stderr}")
        check_equal(pins(), [], "nothing of it is in force")
        with written(cut) as f:
            r = policy("check", f.name)
            check("would lock you out" in r.stderr and "without --confirm" in r.stderr, f"check tells it: {r.stderr}")
            policy("apply", "--audit", f.name)
            check_equal(policy("promote", ok=False).code, 5, "nor promoted")
            policy("apply", f.name, "--confirm", "1h")
        policy("off")
        apply(let + cut)
        policy("off")
        os.environ["SSH_CONNECTION"] = "127.0.0.2 4000 127.0.0.1 22"
        r = apply(let + cut, ok=False)
        check_equal((r.code, "127.0.0.2 could not" in r.stderr), (5, True), f"who applies it is known: {r.stderr}")
        del os.environ["SSH_CONNECTION"]
    with tempfile.TemporaryDirectory(dir="/run") as d:  # sshd at another port
        shutil.copy(os.path.realpath(sys.executable), f"{d}/sshd")
        sshd = subprocess.Popen([f"{d}/sshd", "-c", SSHD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                env=dict(os.environ, PYTHONHOME=sys.prefix))
        sshd.stdout.readline()
        with socket.create_connection(("127.0.0.1", 2222)):
            r = apply("rule cut drop packet on lo\n", ok=False)
        check_equal((r.code, "(port 2222)" in r.stderr), (5, True), f"where sshd listens: {r.stderr}")
        sshd.communicate()
    check_equal(pins(), [], "nothing is left")


def case_sshd_session():
    """What reads the passwords from OpenSSH 9.8 on."""
    folder = "/usr/lib/openssh"
    if not os.path.isdir(folder) or not os.path.exists("/etc/shadow"):
        print("not shown: sshd-session has no place here")
        return
    sh(f"mount -t tmpfs tmpfs {folder}")
    open(f"{folder}/sshd-session", "w").close()
    agree("rule a deny read of file /etc/shadow\n  unless exe in /usr/sbin/sshd\n", f"{folder}/sshd-session must get at /etc/shadow")
    sh(f"umount {folder}")


def case_recorded():
    with tempfile.TemporaryDirectory() as d, written(f"rule d deny read, exec of file under {d} unless exe in /usr/bin/cat\n") as f:
        with open(f"{d}/file", "w") as g:
            g.write("x")
        cat, head_ = os.path.realpath(shutil.which("cat")), os.path.realpath(shutil.which("head"))
        with written(f"rule d\n deny read of file under {d}\n unless exe in {cat}\n") as f:
            run_sonda("record", "fs.open", "--to", f"{d}/rec", "--", "sh", "-c",
                      f"{cat} {d}/file; {cat} {d}/file; {head_} {d}/file; {head_} {d}/file; {head_} {d}/file", json_output=False)
            rows = policy("test", f.name, f"{d}/rec", json_output=True).rows
            text = policy("plan", f.name, "--against", f"{d}/rec", ok=False)
            if text.code == 0:  # where rules about files can be enforced
                check(all(w in text.stdout for w in ("# here: deny (", "guard.file:", head_)), f"plan against it: {text.stdout}")
            else:
                check_equal(text.code, 4, f"rules about files can't be enforced here: {text.stderr}")
    own = [(r["rule"], r["times"], os.path.basename(r["object"])) for r in rows if r["exe"] == head_]
    check_equal(own, [("d", 3, "file")], "what would have been refused")
    check(all(r["exe"] != cat for r in rows), "and not what the rule spares")


try:
    case_life()
    case_confirm()
    case_wrong()
    case_modes()
    case_told()
    case_plan()
    if not EMULATED:  # they load guards over and over, which takes minutes there
        case_attached()
        case_measured()
        case_names()
        case_sshd_session()
        case_other_version_confirmed()
    case_beside()
    case_top()
    case_killed()
    case_other_version()
    case_others()
    case_break_glass()
    case_files()
    case_why_beside()
    case_why_files()
    case_why_packets()
    case_logins()
    case_recorded()
finally:
    policy("off", ok=False)
done()
