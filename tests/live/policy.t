#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""sonda policy, by what becomes of datagrams on a loopback of the test's own: applying, replacing, confirming,
falling back, rolling back, ending; what is wrong leaves what was in force; modes; what is told."""

import ctypes
import json
import shutil
import socket
import struct
import subprocess
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
marks = bound(5009)  # which no rule is about
marks.settimeout(20)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def arrives(port):
    """When the mark that was sent after it is there, so is the datagram, or it was dropped."""
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
    check("nothing is in force" in policy("rollback").stderr, "before that there was none")
    check_equal((passing(), pins()), ([5001, 5002, 5003], []), "so that rolling back is the end")
    apply(drop(5001))
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
    policy("off")
    with written(drop(5003)) as new:
        policy("apply", new.name, "--confirm", "100ms")
        while not arrives(5003) and time.monotonic() < end:
            pass
        check_equal(passing(), [5001, 5002, 5003], "where there was none, none")
    policy("off")


def case_wrong():
    apply(drop(5001))
    for text, code, says in (
            ("rule a\n  drop packet form 10.0.0.0/8\n", 5, "line 2, column 15: there is no word 'form' (did you mean 'from'?)"),
            ("set s = lines of /nowhere/list\nrule a drop packet from @s on lo\n", 1, "/nowhere/list"),
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
    check_equal((s.stats["seen"], s.stats["lost"]), (s.stats["delivered"] + s.stats["filtered"], 0), "the account of what was read")
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
        check_equal((guard["guard"], guard["programs"], guard["hooks"].startswith("xdp")), ("guard.packet", 1, True), "by what")
        check(guard.get("verified_insns", guard.get("code_insns", 0)) > 1000 and guard["map_bytes"] > 1 << 20 and guard["cost_ns"] > 0,
              f"what it costs: {guard}")
        check_equal((passing(), list(counts())), ([5003], ["drop-5001", "drop-5002"]), "and nothing of it is in force")
    with written(drop(5002)) as new:
        rows = policy("plan", new.name, json_output=True).rows
        check_equal({r["rule"]: r["change"] for r in rows if "rule" in r}, {"drop-5002": "same", "drop-5001": "gone"}, "and what would go")
    policy("off")
    with written("rule a drop packet on nosuchif\n") as new:
        r = policy("plan", new.name, ok=False)
        check("line 1, column 23: there is no network interface 'nosuchif'" in r.stderr, f"what apply would refuse: {r.stderr}")
    with written(drop(5001)) as new:
        rows = policy("plan", new.name, json_output=True).rows
    check_equal(([r["strength"] for r in rows if "rule" in r], pins()), (["drop (XDP, on 1 interface)"], []), "planned where nothing is")


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
        policy("promote")
        check_equal(passing(), [5001], "promoted from there")
        policy("rollback")
        check_equal(pins(), [], "before that there was none")
    sh("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up")
    apply("rule everywhere drop packet udp port 5001\n")  # at v0 and v1, not at lo
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
        policy("apply", new.name)
        check_equal((passing(), set(pins())), ([5003], whole), "and the next one works, on the same pins")
    policy("off")
    check_equal(pins(), [], "off leaves nothing")


def case_other_version():
    """What another version of sonda left in force stays so until this one's guards are; nothing opens between."""
    apply(drop(5001))
    whole = set(pins())
    path = ctypes.create_string_buffer(b"/sys/fs/bpf/sonda/policy/policy_state")
    state, _ = bpf(OBJ_GET, struct.pack("<QII", ctypes.addressof(path), 0, 0))
    key, value = ctypes.create_string_buffer(struct.pack("<I", 1)), ctypes.create_string_buffer(struct.pack("<Q", 1))
    bpf(2, struct.pack("<IIQQQ", state, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
    os.close(state)
    r = policy("status", ok=False)
    check_equal((r.code, "another version of sonda" in r.stderr, "takes over" in r.stderr), (1, True, True), f"it says so: {r.stderr}")
    check_equal(apply("rule a drop packet on nosuchif\n", ok=False).code, 5, "taking over fails")
    check_equal((passing(), set(pins())), ([5002, 5003], whole), "and leaves all as it was")
    with written(drop(5001) + drop(5002)) as new:
        process = subprocess.Popen([SONDA, "policy", "apply", new.name], stderr=subprocess.DEVNULL)
        opened = times = 0
        while process.poll() is None:
            opened += arrives(5001)
            times += 1
    check_equal((process.returncode, opened), (0, 0), f"taken over: refused at each of {times} moments meanwhile")
    check_equal((passing(), set(pins())), ([5003], whole), "the new policy is in force, on pins of the same names")
    check_equal(counts()["drop-5002"]["refused"], 1, "and counts")
    policy("off")
    check_equal((passing(), pins()), ([5001, 5002, 5003], []), "off leaves nothing")


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
        policy("check", f.name)
        once = policy("fmt", f.name).stdout
        with written(once) as g:
            check_equal(policy("fmt", g.name).stdout, once, "fmt again changes nothing")
            policy("fmt", "--write", f.name)
            check_equal(open(f.name).read(), once, "fmt --write")
    r = policy("chek", ok=False)
    check_equal((r.code, "did you mean 'check'" in r.stderr), (2, True), f"a wrong verb: {r.stderr}")
    r = policy("check", ok=False)
    check_equal((r.code, "expected a policy's file" in r.stderr), (2, True), f"no file: {r.stderr}")


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
    own = [(r["rule"], r["times"], os.path.basename(r["path"])) for r in rows if r["exe"] == head_]
    check_equal(own, [("d", 3, "file")], "what would have been refused")
    check(all(r["exe"] != cat for r in rows), "and not what the rule spares")


try:
    case_life()
    case_confirm()
    case_wrong()
    case_modes()
    case_told()
    case_plan()
    case_beside()
    case_top()
    case_killed()
    case_other_version()
    case_break_glass()
    case_files()
    case_recorded()
finally:
    policy("off", ok=False)
done()
