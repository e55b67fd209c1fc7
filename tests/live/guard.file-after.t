#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""guard.file where nothing can be refused: who does it is killed before it can use what it got, if the rule
accepts that, or it is told; and a rule that accepts neither is not applied.

Truth: how processes that try end, and what of the file's content they could pass on.
"""

import errno
import os
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from filetest import *

os.environ["SONDA_WITHOUT"] = "lsm,fmod_ret"
FOLDER = os.path.realpath(tempfile.mkdtemp(prefix="guard-after-", dir="/tmp"))


def at(name):
    return os.path.join(FOLDER, name)


def make():
    for d in ("d", "d/e", "tree/a", "noexec", "told"):
        os.makedirs(at(d))
    os.chmod(FOLDER, 0o755)
    for f in ("d/secret", "d/detected", "d/audited", "d/users", "d/free", "tree/a/f", "told/x"):
        write(at(f), "x" * 100)
    os.link(at("d/secret"), at("linked"))
    os.symlink(at("d/secret"), at("symlink"))
    shutil.copy("/bin/true", at("noexec/true"))
    shutil.copy(shutil.which("cat"), at("tool"))
    shutil.copy(sys.executable, at("runner"))


POLICY = f"""
rule secret deny read, write of file {FOLDER}/d/secret unless exe in {FOLDER}/tool accept kill
rule tree deny read of file under {FOLDER}/tree accept kill, detect
rule noexec deny exec of file under {FOLDER}/noexec accept kill
rule detected deny read of file {FOLDER}/d/detected accept detect
rule audited deny read of file {FOLDER}/d/audited mode audit accept kill
rule users deny read of file {FOLDER}/d/users when user in 65534 accept kill
rule told alert read, create of file under {FOLDER}/told
"""


def apply(text):
    write(at("policy"), text)
    return run_sonda("policy", "apply", at("policy"), json_output=False)


def killed(what, path, **how):
    """Read and passed on; the process is killed, and nothing was."""
    r, w = os.pipe()
    got = outcome(lambda: os.write(w, os.read(os.open(path, os.O_RDONLY, **how), 1)) and 0)
    os.close(w)
    check_equal((got, os.read(r, 1)), (-signal.SIGKILL, b""), what)
    os.close(r)


def kills(what, act):
    check_equal(outcome(act), -signal.SIGKILL, what)


def not_weaker():
    """What isn't accepted, or isn't seen, is not applied."""
    deny = apply(f"rule a deny read of file {FOLDER}/d/secret\n")
    check_equal(deny.code, 4, "deny alone")
    check("line 1, column 8: this kernel can't deny" in deny.stderr and "accept kill" in deny.stderr,
          f"it says why: {deny.stderr}")
    unseen = apply(f"rule a deny read, unlink, rename of file {FOLDER}/d/secret accept kill\n")
    if unseen.code == 4 and "shows nobody read" in unseen.stderr:
        skip(f"not even that: {unseen.stderr.splitlines()[0]}")
    check_equal(unseen.code, 4, "what nobody sees")
    check("this kernel shows nobody unlink, rename" in unseen.stderr, f"it says what: {unseen.stderr}")
    check_equal(apply(f"rule a alert unlink of file {FOLDER}/d/secret\n").code, 4, "an alert that never comes")
    check_equal(run_sonda("policy", "status").rows[0]["in_force"], False, "nothing is in force")


def reads():
    secret = at("d/secret")
    base = os.open(at("d"), os.O_RDONLY)
    away = os.open(secret, os.O_PATH)
    killed("read", secret)
    kills("opened to write", lambda: os.open(secret, os.O_WRONLY))
    check_equal(os.stat(secret).st_size, 100, "it was not written")
    kills("emptied when opened", lambda: os.open(at("d/secret"), os.O_RDONLY | os.O_TRUNC))
    check_equal(os.stat(secret).st_size, 0, "which is done by then")
    write_by_tool = run(at("tool"), secret)
    check_equal(write_by_tool, 0, "who may")
    killed("by a descriptor of the directory", "secret", dir_fd=base)
    kills("openat2", lambda: call(NR_OPENAT2, base, b"secret", struct.pack("QQQ", 0, 0, 8), 24))
    killed("symbolic link", at("symlink"))
    killed("hard link", at("linked"))
    killed("/proc/self/root", "/proc/self/root" + secret)
    killed("an O_PATH descriptor opened again", f"/proc/self/fd/{away}")
    by_handle = handle_open(secret, FOLDER)
    if by_handle:
        kills("by handle", by_handle)
    if outcome(in_userns(lambda: 0, at("d"))) == 0:
        kills("user namespace and chroot", in_userns(read("/secret"), at("d")))
    if outcome(lambda: uring_open(at("d/free"))()) == 0:
        kills("io_uring", uring_open(secret))
    if outcome(lambda: syscall32(20) and 0) == 0:
        kills("32-bit open", lambda: syscall32(NR32_OPEN, low_text(os.fsencode(secret)), 0))
    killed("below a directory", at("tree/a/f"))
    os.rename(at("tree/a"), at("tree/b"))
    killed("below one that has another name", at("tree/b/f"))
    passes("what no rule is about", read(at("d/free")))
    passes("an O_PATH descriptor", lambda: os.close(os.open(secret, os.O_PATH)))
    passes("a user that the rule doesn't name", read(at("d/users")))
    kills("a user that it names", lambda: os.setresuid(65534, 65534, 65534) or read(at("d/users"))())


def told():
    passes("audited", read(at("d/audited")))
    passes("detected", read(at("d/detected")))
    passes("alerted", read(at("told/x")))
    passes("a file made", lambda: os.close(os.open(at("told/new"), os.O_CREAT | os.O_WRONLY)))


def executions():
    true = at("noexec/true")
    fd = os.open(true, os.O_RDONLY)
    path_fd = os.open(true, os.O_PATH)
    kills("exec", lambda: os.execv(true, ["true"]))
    kills("execveat", lambda: call(NR_EXECVEAT, path_fd, b"", 0, 0, AT_EMPTY_PATH))
    kills("mapped to run", lambda: mmap.mmap(fd, 4096, flags=mmap.MAP_PRIVATE,
                                             prot=mmap.PROT_READ | mmap.PROT_EXEC) and 0)
    loader = "/lib64/ld-linux-x86-64.so.2"
    if os.path.exists(loader) and run(loader, "/bin/true") == 0:
        kills("by the loader", lambda: os.execv(loader, [loader, true]))
    script(at("script"), f"#!{true}\n")
    kills("as the interpreter of a script", lambda: os.execv(at("script"), ["script"]))
    passes("what no rule is about", lambda: os.execv("/bin/true", ["true"]))


def events(watch):
    """One of each process that was killed; the others by what their rules say."""
    rows = [(r["rule"], r["verdict"]) for r in watch.rows]
    status = {row["rule"]: row for row in run_sonda("policy", "status").rows if "rule" in row}
    for rule, verdict in (("secret", "killed"), ("tree", "killed"), ("noexec", "killed"), ("users", "killed"),
                          ("detected", "detected"), ("audited", "audited"), ("told", "alerted")):
        check_equal(rows.count((rule, verdict)), status[rule]["matched"], f"{rule} is told each time")
        check_equal(status[rule]["refused"], status[rule]["matched"] if verdict == "killed" else 0, f"{rule}: refused")
    check_equal([r["operation"] for r in watch.rows if r["path"].endswith("/new")], ["write|create"], "a file made")
    for rule, how in (("secret", "kill after (sys_exit)"), ("detected", "detect (sys_exit)"),
                      ("told", "detect (sys_exit), create by open only")):
        check_equal(status[rule]["strength"], how, f"{rule}: strength")


def callers():
    """Which program runs it: the one before, not the one that it becomes."""
    applied = apply(f"rule alone alert read of file {FOLDER}/d/free\n")
    check_equal(applied.code, 0, f"a rule that needs less: {applied.stderr}")
    check_equal(apply(f"rule a alert exec of file {FOLDER}/nowhere/x\n").code, 5, "a policy that fails when more is loaded")
    applied = apply(f"rule a deny exec of file {FOLDER}/noexec/true unless exe in {at('runner')} accept kill\n")
    if applied.code == 4:
        check("not which one runs it" in applied.stderr, f"before 6.10: {applied.stderr}")
        return
    check_equal(applied.code, 0, f"a condition about who runs it, added to what is in force: {applied.stderr}")
    kills("run by another", lambda: os.execv(at("noexec/true"), ["true"]))
    check_equal(run_sonda("policy", "status").rows[1]["refused"], 1, "judged once")
    why = run_sonda("policy", "why", "exec", at("noexec/true"), json_output=False)
    check("kills who does it" in why.stdout, f"why says so: {why.stdout}")


def main():
    try:
        make()
        not_weaker()
        applied = apply(POLICY)
        check_equal(applied.code, 0, f"applied: {applied.stderr}")
        with Sonda("trace", "guard.file") as watch:
            for part in (reads, told, executions):
                part()
        events(watch)
        callers()
        check_equal(run_sonda("policy", "off", json_output=False).code, 0, "off")
        passes("afterwards", read(at("tree/b/f")))
    finally:
        subprocess.run([SONDA, "policy", "off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(FOLDER, ignore_errors=True)
    done()


main()
