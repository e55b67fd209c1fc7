#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.file with a policy beside the one in force: what is in force refuses as before, the other is judged by the
same files, places and directories, is counted and told, and refuses once it is promoted. Truth: what open(2),
rename(2) and the like return to processes that try."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sondatest import *
from packets import policy, sh

FOLDER = os.path.realpath(tempfile.mkdtemp(prefix="guard-beside-", dir="/tmp"))
OLD = f"rule old deny read of file {FOLDER}/old\n"
NEW = f"""
rule old deny read of file {FOLDER}/old
rule file deny read of file {FOLDER}/d/file unless user in 65534
rule place deny create of file {FOLDER}/d/place
rule tree deny read, unlink of file under {FOLDER}/tree
rule bound deny read of file under {FOLDER}/mounted
rule watched alert read of file {FOLDER}/d/watched
"""


def at(name):
    return os.path.join(FOLDER, name)


def written(name, text="x"):
    os.makedirs(os.path.dirname(at(name)), exist_ok=True)
    with open(at(name), "w") as f:
        f.write(text)
    return at(name)


def outcome(act, uid=0):
    """0, or the name of the errno, of a process of its own."""
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            os.setresuid(uid, uid, uid)
            act()
        except OSError as e:
            code = e.errno
        os._exit(code)
    return errno.errorcode.get(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)


def reads(name, uid=0):
    return outcome(lambda: open(at(name)).read(), uid)


def does_all():
    """What each act returns: old, file, file as nobody, by another name, place, tree, below a mount in it, unlink, watched."""
    got = [reads("old"), reads("d/file"), reads("d/file", 65534), reads("link"), outcome(lambda: written("d/place")),
           reads("tree/a/b/c"), reads("mounted/x"), outcome(lambda: os.unlink(at("tree/gone"))), reads("d/watched")]
    written("tree/gone") if not os.path.exists(at("tree/gone")) else None
    if os.path.exists(at("d/place")):
        os.unlink(at("d/place"))
    return got


def by_rule(beside):
    return {r["rule"]: (r["matched"], r["refused"], r["would"]) for r in policy("status", json_output=True).rows
            if "rule" in r and r["beside"] == beside}


def case():
    old, new = written("old.policy", OLD), written("new.policy", NEW)
    for name in ("old", "d/file", "tree/a/b/c", "tree/gone", "d/watched", "source/x", "mounted/none"):
        written(name)
    os.chmod(FOLDER, 0o755)
    os.link(at("d/file"), at("link"))
    sh(f"mount --bind {FOLDER}/source {FOLDER}/mounted")
    is_in_force(policy("apply", old, ok=False))
    before = does_all()
    check_equal(before, ["EACCES"] + [0] * 8, "what is in force refuses one")
    policy("apply", "--audit", new)
    with Sonda("trace", "guard.file") as s:
        check_equal(does_all(), before, "with another beside it the same")
        told = s.wait_row(lambda r: r["rule"] == "watched")
    check(told, "the new rule that only tells")
    check_equal(by_rule(False), {"old": (2, 2, 0)}, "the one in force counts its own")
    check_equal(by_rule(True), {"old": (1, 0, 1), "file": (2, 0, 2), "place": (1, 0, 1), "tree": (2, 0, 2), "bound": (1, 0, 1),
                                "watched": (1, 0, 0)}, "what the other would refuse, by inode, name, place, directory and mount")
    # where a hook isn't told of mounts, a path begins at the root of its file system
    below = os.path.basename(FOLDER) + "/"
    seen = sorted((r["rule"], r["verdict"], r["path"].removesuffix(" (deleted)").split(below)[-1]) for r in s.rows if r["rule"] not in ("old", "watched"))
    check_equal(seen, [("bound", "would_deny", "mounted/x"), ("file", "would_deny", "d/file"), ("file", "would_deny", "link"),
                       ("place", "would_deny", "d/place"), ("tree", "would_deny", "tree/a/b/c"), ("tree", "would_deny", "tree/gone")],
                "each is told")
    os.rename(written("d/fresh"), at("d/file"))  # the place keeps its rules, learned also by what lies beside
    os.link(at("d/file"), at("link2"))
    check_equal((reads("d/file"), reads("link2"), by_rule(True)["file"]), (0, 0, (4, 0, 4)), "replaced, and by the new one's other name")
    policy("promote")
    check_equal(does_all(), ["EACCES", "EACCES", 0, "EACCES", "EACCES", "EACCES", "EACCES", "EACCES", 0], "promoted: it refuses what it said")
    check_equal(reads("link2"), "EACCES", "also what it learned meanwhile")
    policy("rollback")
    check_equal(does_all(), before, "and back")


try:
    case()
finally:
    policy("off", ok=False)
    subprocess.run(["umount", at("mounted")], stderr=subprocess.DEVNULL)
    shutil.rmtree(FOLDER, ignore_errors=True)
done()
