#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""sonda policy test: recordings of operations whose number the workload itself knows, put to policies."""

import shutil
import signal
import socket
import subprocess
import sys

from sondatest import *
from packets import *

own_place()
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one CPU keeps the order of what is recorded
sh("ip link set lo up")
PYTHON, SLEEP = (os.path.realpath(p) for p in (sys.executable, shutil.which("sleep")))
PORT, NOBODY = 7081, 65534
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
old = subprocess.Popen([SLEEP, "1000"])  # its program is known when the recording begins
atexit.register(lambda: (old.kill(), old.wait()))
while os.readlink(f"/proc/{old.pid}/exe") != SLEEP:
    pass

# What is done: connects and listens, signals, changes of user, mounts. Each is told by how often it was.
WORK = f"""
import os, socket, subprocess
l = socket.socket()
l.bind(("127.0.0.1", {PORT}))
l.listen()
for _ in range(3):
    c = socket.create_connection(("127.0.0.1", {PORT}))
    a, _ = l.accept()
    c.close(), a.close()
victims = [subprocess.Popen(["{SLEEP}", "1000"], stdout=subprocess.PIPE) for _ in range(2)]
for v in victims:
    while os.readlink(f"/proc/{{v.pid}}/exe") != "{SLEEP}":
        pass
    v.kill(), v.wait()
os.kill({old.pid}, 18)
child = os.fork()
if not child:
    os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
    os._exit(0)
os.waitpid(child, 0)
"""


def trial(text, recording):
    """{rule: its rows}, {rule: why it wasn't judged}"""
    with tempfile.NamedTemporaryFile("w", suffix=".policy") as f:
        f.write(text)
        f.flush()
        rows = policy("test", f.name, recording, json_output=True).rows
    judged = {}
    for r in rows:
        if "times" in r:
            judged.setdefault(r["rule"], []).append(r)
    return judged, {r["rule"]: r["not_judged"] for r in rows if "not_judged" in r}


def times(rows, **want):
    return sum(r["times"] for r in rows or [] if all(r[k] == v for k, v in want.items()))


def case_probes(d):
    os.makedirs(f"{d}/mnt")
    run_sonda("record", "net.tcp", "net.listen", "process.signal", "process.setuid", "process.exec", "fs.mount", "fs.remove", "--to", f"{d}/rec",
              "--", "sh", "-c", f"{PYTHON} -c '{WORK}' && mount -t tmpfs x {d}/mnt && umount {d}/mnt && touch {d}/one && ln {d}/one {d}/two && mv {d}/two {d}/three",
              json_output=False)
    judged, missing = trial(f"""
rule connect deny connect to 127.0.0.1 port {PORT}
rule spared deny connect to port {PORT} unless exe in {PYTHON}
rule listen deny listen to port {PORT}
rule bind deny bind to port {PORT}
rule kill-exe deny kill of exe {SLEEP} when exe in {PYTHON}
rule kill-user deny kill of user {NOBODY}
rule setuid deny setuid to {NOBODY} when user in root
rule mount deny mount when exe in {os.path.realpath(shutil.which("mount"))}
rule terminal deny umount unless terminal
rule trace deny ptrace, kill of exe /nowhere/at-all
rule link deny create of file {d}/two
rule moved deny create, rename of file {d}/three
rule came drop packet from 127.0.0.1 tcp syn port {PORT} on lo
rule went drop packet out to 127.0.0.1 tcp port {PORT} on lo
rule input drop packet at input tcp port {PORT}
rule forward drop packet at forward tcp port {PORT}
rule elsewhere drop packet tcp port {PORT}
rule rate limit packet tcp to 5/s per source
rule told alert connect to port {PORT}
""", f"{d}/rec")
    check_equal(times(judged.get("connect"), exe=PYTHON, perhaps=False, operation="connect", object=f"tcp 127.0.0.1:{PORT}"), 3, "connections")
    check_equal(times(judged.get("listen"), exe=PYTHON, perhaps=False), 1, "a listener")
    check_equal(times(judged.get("bind"), exe=PYTHON, perhaps=True), 1, "whose port was bound, perhaps")
    # a program that sonda learned of too late makes its row a perhaps
    check_equal(times(judged.get("kill-exe"), exe=PYTHON), 3, "signals, by the target's program")
    check(times(judged.get("kill-exe"), exe=PYTHON, perhaps=False, object=SLEEP) >= 1, f"surely, where that is known: {judged.get('kill-exe')}")
    check_equal(times(judged.get("setuid"), perhaps=False, object=str(NOBODY)), 1, "a change of user, told once for all ids")
    check_equal(times(judged.get("mount"), perhaps=False, object=f"{d}/mnt"), 1, "a mount")
    check_equal(times(judged.get("terminal"), perhaps=True, object=f"{d}/mnt"), 1, "what a condition hangs on isn't recorded: perhaps")
    check_equal((times(judged.get("link"), perhaps=False), times(judged.get("moved"), perhaps=False)), (1, 1), "new names")
    check_equal([times(judged.get(r), operation="packet") for r in ("came", "went", "input")], [3, 3, 3], "what opens connections, as packets")
    check_equal([r for r in ("spared", "kill-user", "forward", "elsewhere", "rate", "told") if r in judged], [], "what no rule is about")
    check("ptrace (guard.kernel would)" in missing.get("trace", ""), f"what no event tells of is said: {missing}")
    check("terminal" in missing.get("terminal", "") and "how much" in missing.get("rate", "") and "which operation" in missing.get("bind", ""),
          f"and what can't be known: {missing}")
    check_equal(sorted(set(missing) - {"kill-exe"}), ["bind", "rate", "terminal", "trace"], "of no other rule")
    with tempfile.NamedTemporaryFile("w") as f:
        f.write("rule trace deny ptrace mode audit\n")
        f.flush()
        r = policy("test", f.name, f"{d}/rec")
    check_equal(r.stderr.count("rule trace"), 1, f"once: {r.stderr}")


def udp_send(port, count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(count):
            sock.sendto(b"x", ("127.0.0.1", port))


def case_guards(d):
    """Events of guards in force: what an alert or a watch told, put to stricter rules."""
    apply(f"rule sends alert send to port {PORT}\nrule came watch packet udp port {PORT} on lo\n")
    with subprocess.Popen([SONDA, "record", "guard.socket", "guard.packet", "--to", f"{d}/guards"], stderr=subprocess.PIPE, text=True) as s:
        while "watching" not in s.stderr.readline():
            pass
        udp_send(PORT, 2)
        while counts()["came"]["matched"] < 2:
            pass
        s.send_signal(signal.SIGINT)
        s.stderr.read()
    policy("off")
    judged, missing = trial(f"""
rule socket deny send to 127.0.0.0/8 port {PORT} when exe in {PYTHON}
rule other deny send to 10.0.0.0/8
rule first allow packet udp source-port 1 on lo
rule dropped drop packet from 127.0.0.1 udp port {PORT} on lo
rule tcp drop packet tcp on lo
""", f"{d}/guards")
    check_equal(times(judged.get("socket"), operation="send", object=f"udp 127.0.0.1:{PORT}", perhaps=False), 2, "what an alert told")
    check(times(judged.get("dropped"), operation="packet") >= 1, f"what a watch sampled: {judged}")
    check_equal([r for r in ("other", "tcp", "first") if r in judged], [], "and nothing else")
    check_equal(missing.get("socket"), None, "nothing is missing")


try:
    with tempfile.TemporaryDirectory() as folder:
        case_probes(folder)
        case_guards(folder)
finally:
    policy("off", ok=False)
done()
