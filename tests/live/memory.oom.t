#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""memory.oom: processes of the test's own in a cgroup with a limit, of which one has more than all
others and is to be killed first; who is said to be next is killed next; two cgroups that run out at once. The truth: what it had touched, its exit status, the cgroup's own
count of kills, the limit as it was set."""

from memorytest import *

LIMIT, ANON, SHMEM = 48 * MIB, 24 * MIB, 4 * MIB
SLACK = 32 * PAGE  # what it touches after it was looked at
NEARLY = 128 * PAGE  # the kernel counts a process's memory roughly, and here so does sonda

if os.geteuid() != 0:
    skip("needs root, for a cgroup")


def before_it_runs_out(cgroup, victims=1):
    """`victims` processes with memory, and one that wants more than there is once it is let go. Returns the victims'
    children and what each had, and the one that wants more."""

    def victim(child):
        cgroup.join()
        with open("/proc/self/oom_score_adj", "w") as f:
            f.write("900")
        kept = anonymous(ANON // victims), shared(SHMEM // victims)
        child.ready()
        signal.pause()
        return kept

    def wants_more(child):
        cgroup.join()
        with contextlib.suppress(PermissionError), open("/proc/self/oom_score_adj", "w") as f:
            f.write("-1000")  # not to be killed as well, however long the victim takes to die
        kept = []
        child.ready()
        for kills in 1, 2:
            while cgroup.kills() < kills:
                kept.append(anonymous(MIB))
            child.ready()

    killed = [Child(victim, f"victim{i}") for i in range(victims)]
    for child in killed:
        child.wait_ready()
    had = [rollup(child.pid) | status_bytes(child.pid) for child in killed]
    trigger = Child(wants_more, "wants more")
    trigger.wait_ready()
    return killed, had, trigger


def runs_out(cgroup, victims=1):
    """The same, and it is let go."""
    killed, had, trigger = before_it_runs_out(cgroup, victims)
    trigger.go()
    return killed, had, trigger


def check_row(row, pid, had, trigger, cgroup, told):
    check_equal((row["pid"], row["comm"], row["oom_score_adj"]), (pid, "victim0", 900), "the victim")
    check_equal((row["trigger_pid"], row["trigger_comm"]), (trigger.pid, "wants more"), "who wanted more")
    check_equal(row["why"], "cgroup_limit", "why")
    check_equal(row["why_is_told"], told, "how that is known")
    check(row["cgroup_at_limit"].endswith("/" + cgroup.name), f"whose limit: {row['cgroup_at_limit']}")
    check_equal(row["limit_bytes"], LIMIT, "the limit")
    check(LIMIT - MIB <= row["usage_bytes"] <= LIMIT, f"what is used of it: {row['usage_bytes']}")
    check_equal(row["rss_bytes"], row["anon_bytes"] + row["file_bytes"] + row["shmem_bytes"], "the sum")
    check(abs(row["rss_bytes"] - had["Rss"]) <= SLACK, f"memory: {row['rss_bytes']}, in fact {had['Rss']}")
    check(abs(row["anon_bytes"] - had["Anonymous"]) <= SLACK, f"its own: {row['anon_bytes']}")
    # a guest's programs lie in a tmpfs themselves
    others = had["Rss"] - had["Anonymous"] - SHMEM
    check(SHMEM <= row["shmem_bytes"] <= SHMEM + others, f"shared memory: {row['shmem_bytes']}")
    check_equal(row["virtual_bytes"], had["VmSize"], "address space")
    check_equal(row["pgtables_bytes"], had["VmPTE"], "page tables")
    check(row["swap_bytes"] == 0 or had["VmSwap"], "swapped out")
    if told:
        check_equal(row["order"], 0, "pages asked for")
        check(row["points"] * PAGE > row["rss_bytes"], "badness has the adjustment in it")


def case_one(told):
    with MemoryCgroup() as cgroup, Sonda("trace", "memory.oom") as s, \
            Sonda("trace", "memory.oom", json_output=False) as text:
        cgroup.limit(LIMIT)
        (killed,), (had,), trigger = runs_out(cgroup)
        status, _ = killed.wait()
        trigger.wait_ready()
        died = s.wait_row(lambda r: "took_ns" in r and r["pid"] == killed.pid)
        kills = cgroup.kills()
        trigger.end()
    check_equal(status, signal.SIGKILL, "the victim was killed")
    rows = [r for r in s.rows if "why" in r and r["trigger_pid"] == trigger.pid]
    check_equal(len(rows), kills, "a row for each kill that the cgroup counts")
    for row in rows[:1]:
        check_row(row, killed.pid, had, trigger, cgroup, told)
    check(died and 0 < died["took_ns"] < 60e9 or s.stats.get("missed"), f"its death is told: {s.stats}")
    headers = [line.split()[4] for line in text.lines if line.startswith("TIME")]
    check(text.stats.get("missed") or {"WHY", "TOOK"} <= set(headers), f"in text each event has its columns: {text.stdout}")
    check_equal((s.stats["lost"], s.stats["filtered"]), (s.stats.get("missed", 0), 0), "nothing lost or left out")


def bystander(cgroup, size, adj):
    """One more in the cgroup, with so much memory."""
    def work(child):
        cgroup.join()
        with open("/proc/self/oom_score_adj", "w") as f:
            f.write(str(adj))
        kept = anonymous(size)
        child.ready()
        signal.pause()
        return kept

    child = Child(work, "bystander")
    child.wait_ready()
    return child


def case_next():
    """Who is said to be next is the one that the kernel kills when memory runs out once more: not the largest,
    but the one that is to be preferred."""
    with MemoryCgroup() as cgroup, Sonda("trace", "memory.oom") as s:
        cgroup.limit(LIMIT)
        large, preferred = bystander(cgroup, 9 * MIB, 0), bystander(cgroup, 6 * MIB, 300)
        (killed,), _, trigger = runs_out(cgroup)
        killed.wait()
        trigger.wait_ready()
        spared = open(f"/proc/{trigger.pid}/oom_score_adj").read().strip() == "-1000"
        if cgroup.kills() > 1:  # the victim was slow to die: then it need not be told either who is next
            print("not shown: who is next; the kernel has killed that one too")
            trigger.end()
            return
        begun = s.wait_row(lambda r: "why" in r and r["pid"] == killed.pid)
        row = begun and s.wait_row(lambda r: "victim_pid" in r and r["victim_pid"] == killed.pid)
        had = rollup(preferred.pid) | status_bytes(preferred.pid)
        if spared:
            trigger.go()
            check_equal(preferred.wait()[0], signal.SIGKILL, "the kernel's choice")
            trigger.wait_ready()
            if cgroup.kills() == 2:
                check_equal(os.waitpid(large.pid, os.WNOHANG), (0, 0), "and nobody else")
        trigger.end()
    if not check(row and row["victim_pid"] == killed.pid, f"who is next is told: {s.all_rows}"):
        return
    check_equal((row["pid"], row["comm"], row["oom_score_adj"]), (preferred.pid, "bystander", 300), "who")
    check(abs(row["rss_bytes"] - had["Rss"]) <= NEARLY, f"memory: {row['rss_bytes']}, in fact {had['Rss']}")
    points = (had["Rss"] + had["VmPTE"]) // PAGE + 300 * (LIMIT // PAGE // 1000)
    check(abs(row["points"] - points) <= NEARLY // PAGE, f"points {row['points']}, reckoned {points}")


def check_told_whole(s, cgroup, limit, victim, had, trigger, bystander):
    """A kill, and who is next there."""
    row = s.wait_row(lambda r: "why" in r and r["pid"] == victim.pid, 5)
    if not check(row, f"the kill in {cgroup.name} is told: {s.all_rows}"):
        return
    check_equal((row["trigger_pid"], row["why"], row["limit_bytes"]), (trigger.pid, "cgroup_limit", limit), "its trigger and why")
    check(row["cgroup_at_limit"].endswith("/" + cgroup.name), f"whose limit: {row['cgroup_at_limit']}")
    check(abs(row["rss_bytes"] - had["Rss"]) <= SLACK, f"memory: {row['rss_bytes']}, in fact {had['Rss']}")
    following = s.wait_row(lambda r: "victim_pid" in r and r["victim_pid"] == victim.pid, 5)
    check_equal(following and following["pid"], bystander.pid, "who is next there")


def case_two():
    """Two cgroups that run out of memory at once: each kill is told, with who is next in its cgroup."""
    with MemoryCgroup("-a") as one, MemoryCgroup("-b") as other, Sonda("trace", "memory.oom") as s:
        limits = LIMIT, LIMIT + 4 * MIB
        placed = []
        for cgroup, limit in zip((one, other), limits):
            cgroup.limit(limit)
            left = bystander(cgroup, 6 * MIB, 300)
            (victim,), (had,), trigger = before_it_runs_out(cgroup)
            placed.append((cgroup, limit, victim, had, trigger, left))
        for *_, trigger, _ in placed:
            trigger.go()
        for cgroup, limit, victim, had, trigger, left in placed:
            victim.wait()
            trigger.wait_ready()
        for cgroup, *rest in placed:
            if cgroup.kills() == 1:  # else the victim was slow to die, and the other was killed too
                check_told_whole(s, cgroup, *rest)
        for *_, trigger, _ in placed:
            trigger.end()


def case_filters(told):
    """--comm is about the victim, and the table counts by victim."""
    with MemoryCgroup() as cgroup, Sonda("trace", "memory.oom", "--comm", "wants more") as other:
        with Sonda("top", "memory.oom", "--interval", "20ms") as top:
            cgroup.limit(LIMIT)
            (killed,), _, trigger = runs_out(cgroup)
            killed.wait()
            trigger.wait_ready()
            row = top.wait_row(lambda r: r["comm"] == "victim0")
            trigger.end()
    # who wanted more is a victim too if it is ended while it wants more, or if the first was slow to die
    check_equal([r for r in other.rows if r["pid"] != trigger.pid], [], "the victim has another name")
    check_equal(other.stats["filtered"], 1, "it is counted as filtered")
    check(row and (row["kills"], row["why"]) == (1, "cgroup_limit"), f"counted: {row}")
    check(row and row["bytes"] >= ANON + SHMEM, "with what it had")


def case_group():
    """memory.oom.group: all processes of the cgroup are killed, and each is told."""
    with MemoryCgroup() as cgroup, Sonda("trace", "memory.oom") as s:
        cgroup.limit(LIMIT)
        cgroup.write("memory.oom.group", 1)
        killed, _, trigger = runs_out(cgroup, victims=2)
        pids = {c.pid for c in killed}
        statuses = [c.wait()[0] for c in killed]
        trigger.wait_ready()
        trigger.end()
        for pid in pids:
            s.wait_row(lambda r: "took_ns" in r and r["pid"] == pid)
    check_equal(statuses, [signal.SIGKILL] * 2, "all but the one that is spared")
    rows = [r for r in s.rows if "why" in r]
    check_equal({r["pid"] for r in rows}, pids, "all are told")
    check_equal({r["why"] for r in rows}, {"cgroup_limit"}, "with the same reason")


listed = run_sonda("check", "memory.oom", json_output=False).stdout
told = bool(re.search(r"^ *loads +begins_", listed, re.M))
case_one(told)
case_next()
case_two()
case_filters(told)
if memory_root()[0]:
    case_group()
done()
