#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What README.md and the pages in docs/ tell people to type: each command is run as it stands (but for a
moment only, and with `true` as its COMMAND) and must be one that sonda accepts."""

import glob
import os
import re
import shlex
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

from sondatest import *

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
PAGES = ["README.md", "docs/top-hist-show.md", *sorted(glob.glob("docs/subsystems/*.md", root_dir=ROOT))]
RUNS_UNTIL_STOPPED = {"trace", "top", "hist", "record"}
if not os.path.exists(os.path.join(ROOT, "README.md")):
    skip("the pages are not here")


def commands(page):
    """Every `sonda ...` in code, with a trailing comment cut."""
    with open(os.path.join(ROOT, page)) as f:
        text = f.read()
    for line in re.findall(r"^(?:\$|#) (sonda .*)$", text, re.M):
        yield line
    for code in re.findall(r"`(sonda [^`\n]+)`", text):
        yield code


def words_of(line):
    """As a shell takes them, up to the first pipe, redirection or comment."""
    lex = shlex.shlex(line, posix=True, punctuation_chars=True)
    lex.whitespace_split = True
    words = []
    for word in lex:
        if re.fullmatch(r"[();<>|&]+", word):
            break
        words.append(word)
    return words


def is_runnable(argv):
    """Not a pattern such as `sonda trace PROBE`, nor part of a longer shell line."""
    words = argv[:argv.index("--")] if "--" in argv else argv
    return len(argv) > 1 and not any(re.fullmatch(r"\[?[A-Z]{2,}[A-Z_,.\]]*|\.\.\.|…", w) for w in words)


def for_a_moment(argv, where):
    if "--" in argv:
        return argv[:argv.index("--")] + ["--", "true"]
    if argv[1] == "record" and "--to" not in argv:
        argv = argv + ["--to", os.path.join(where, "x.rec")]
    if argv[1] in RUNS_UNTIL_STOPPED and "--help" not in argv:
        return argv + ["--for", "1ms"]
    return argv


def run(argv):
    with tempfile.TemporaryDirectory() as where:
        if "replay" in argv:
            return None
        argv = for_a_moment(argv, where)
        return subprocess.run([SONDA, *argv[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, errors="replace", cwd=where, timeout=120)


# what a reader has and this machine need not
THEIR_OWN = re.compile(r"No such file or directory|there is no (cgroup|user)|not found")

found = {}
for page in PAGES:
    for line in commands(page):
        try:
            argv = words_of(line)
        except ValueError:
            check(False, f"{page}: {line}: quotes don't match")
            continue
        if is_runnable(argv):
            found.setdefault(tuple(argv), page)
check(len(found) >= 30, f"{len(found)} commands were found")
with ThreadPoolExecutor(4) as pool:
    for (argv, page), r in zip(found.items(), pool.map(lambda a: run(list(a)), found)):
        if r:
            # 4: this kernel lacks it, and sonda says so
            check(r.returncode in (0, 4) or THEIR_OWN.search(r.stderr),
                  f"{page}: {shlex.join(argv)}: exit {r.returncode}: {r.stderr.strip()[-300:]}")
done()
