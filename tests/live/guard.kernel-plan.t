#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What `sonda policy plan` measures of guard.kernel, by loading it: what it adds to a signal."""

import tempfile

from sondatest import *

if os.geteuid() != 0:
    skip("needs root")
with tempfile.NamedTemporaryFile("w", suffix=".policy") as f:
    f.write("rule kill deny kill of user 65530\n")
    f.flush()
    r = run_sonda("policy", "plan", f.name)
if is_unsupported(r):
    skip(f"the rules can't be enforced here: {r.stderr.strip().splitlines()[0]}")
guards = [row for row in r.rows if "guard" in row]
check_equal([(row["guard"], row["cost_of"]) for row in guards], [("guard.kernel", "a signal")], f"one guard: {r.stderr}")
check(guards and guards[0].get("cost_ns", 0) > 0, f"what plan measures: {guards}")
done()
