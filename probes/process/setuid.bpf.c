/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Changes of what a process may do: its users, groups and capabilities, before and after. Every way to
 * them ends in one function of the kernel, which costs nothing to those who don't change anything.
 * Where functions can't be hooked, the system calls that lead there are.
 */
#include "sonda.bpf.h"

#include "kernel/cred.h"
#include "sonda/calls.h"

PROBE(setuid, "process", "Privilege changes: users, groups and capabilities, before and after");
FILTERS("task");

PARAM(bool, gains, false, DOC("only changes by which a process may do more than before"));

EVENT(setuid, "The credentials of a thread changed")
{
	struct task task;
	u32 call KIND("syscall") DOC("the call that did it");
	bool gained DOC("it may do more than before: it became root, or has more capabilities");
	u8 pad[3] HIDE;
	u32 old_uid KIND("uid") DOC("real user before");
	u32 new_uid KIND("uid") DOC("real user after");
	u32 old_euid KIND("uid") DOC("effective user before");
	u32 new_euid KIND("uid") DOC("effective user after");
	u32 old_gid KIND("gid") HIDE DOC("real group before");
	u32 new_gid KIND("gid") HIDE DOC("real group after");
	u32 old_egid KIND("gid") DOC("effective group before");
	u32 new_egid KIND("gid") DOC("effective group after");
	u32 old_suid KIND("uid") HIDE DOC("saved user before");
	u32 new_suid KIND("uid") HIDE DOC("saved user after");
	u32 old_sgid KIND("gid") HIDE DOC("saved group before");
	u32 new_sgid KIND("gid") HIDE DOC("saved group after");
	u32 old_fsuid KIND("uid") HIDE DOC("user for files before");
	u32 new_fsuid KIND("uid") HIDE DOC("user for files after");
	u32 old_fsgid KIND("gid") HIDE DOC("group for files before");
	u32 new_fsgid KIND("gid") HIDE DOC("group for files after");
	u32 old_groups HIDE DOC("supplementary groups before, so many");
	u32 new_groups HIDE DOC("supplementary groups after, so many");
	u64 caps_gained KIND("capabilities") DOC("capabilities in effect that were not before");
	u64 caps_lost KIND("capabilities") HIDE DOC("capabilities no longer in effect");
	u64 old_permitted KIND("capabilities") HIDE DOC("capabilities permitted before");
	u64 new_permitted KIND("capabilities") HIDE DOC("capabilities permitted after");
};

struct setuid_labels {
	char comm[16] KIND("comm") DOC("command name of the thread");
	u32 call KIND("syscall") DOC("the call that did it");
	u32 old_euid KIND("uid") DOC("effective user before");
	u32 new_euid KIND("uid") DOC("effective user after");
	u32 gained DOC("1: it may do more than before");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
};
struct setuid_values {
	u64 changes COUNTER DOC("changes of credentials");
};
METRICS(setuids, struct setuid_labels, struct setuid_values, 1024, "Privilege changes");

struct change {
	struct credentials old;
	struct credentials new;
	u32 call;
	bool gained;
};

static __always_inline bool is_change(const struct credentials *a, const struct credentials *b)
{
	bool same = a->permitted == b->permitted && a->effective == b->effective &&
		    a->inheritable == b->inheritable && a->ambient == b->ambient &&
		    a->groups == b->groups;

	for (int i = 0; i < ID_COUNT; i++)
		same = same && a->uids[i] == b->uids[i] && a->gids[i] == b->gids[i];
	return !same;
}

static __always_inline bool is_gain(const struct credentials *old, const struct credentials *new)
{
	return (!new->uids[ID_EFFECTIVE] && old->uids[ID_EFFECTIVE]) ||
	       new->effective & ~old->effective || new->permitted & ~old->permitted;
}

static __noinline int count_change(const struct change *c)
{
	struct setuid_labels key = {};
	struct setuid_values *row;

	if (!c)
		return 0;
	if (label(setuids, 0))
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (label(setuids, 1))
		key.call = c->call;
	if (label(setuids, 2))
		key.old_euid = c->old.uids[ID_EFFECTIVE];
	if (label(setuids, 3))
		key.new_euid = c->new.uids[ID_EFFECTIVE];
	if (label(setuids, 4))
		key.gained = c->gained;
	if (label(setuids, 5))
		key.cgroup = task_cgroup_id(current_task());
	row = row_of(setuids, &key);
	if (row)
		add(row->changes, 1);
	return 0;
}

static __noinline int tell_change(void *ctx, const struct change *c)
{
	struct setuid *e;

	if (!c)
		return 0;
	e = event_new(setuid);
	if (!e)
		return 0;
	task_now(&e->task);
	e->call = c->call;
#define BOTH(u, g, id)                \
	e->old_##u = c->old.uids[id]; \
	e->new_##u = c->new.uids[id]; \
	e->old_##g = c->old.gids[id]; \
	e->new_##g = c->new.gids[id];
	BOTH(uid, gid, ID_REAL)
	BOTH(euid, egid, ID_EFFECTIVE)
	BOTH(suid, sgid, ID_SAVED)
	BOTH(fsuid, fsgid, ID_FILES)
#undef BOTH
	e->old_groups = c->old.group_count;
	e->new_groups = c->new.group_count;
	e->caps_gained = c->new.effective & ~c->old.effective;
	e->caps_lost = c->old.effective & ~c->new.effective;
	e->old_permitted = c->old.permitted;
	e->new_permitted = c->new.permitted;
	e->gained = c->gained;
	event_send(ctx, e);
	return 0;
}

/* The current task's credentials change, from `old` to `new`, if those differ. */
static __noinline int changes(void *ctx, struct change *c)
{
	if (!c || !is_change(&c->old, &c->new) || !wanted())
		return 0;
	c->gained = is_gain(&c->old, &c->new);
	if (gains && !c->gained) {
		count_filtered();
		return 0;
	}
	if (tables_wanted())
		count_change(c);
	if (events_wanted())
		tell_change(ctx, c);
	return 0;
}

/* --- where functions can be hooked --- */

ENTRY(change, commit_creds, committed, const struct cred *new)
{
	struct change c = {};

	credentials_read(&c.old, BPF_CORE_READ(current_task(), real_cred));
	credentials_read(&c.new, new);
	c.call = call_number(current_call());
	return changes(ctx, &c);
}

/* --- where only system calls can be --- */

/* What they were at the entry of a call that may change them. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32); /* thread */
	__type(value, struct credentials);
} before SEC(".maps");

/* The calls, and those of 32-bit programs, where the numbers are others. */
static __always_inline bool may_change(long nr)
{
	switch (nr) {
	case __NR_setuid:
	case __NR_setgid:
	case __NR_setreuid:
	case __NR_setregid:
	case __NR_setresuid:
	case __NR_setresgid:
	case __NR_setfsuid:
	case __NR_setfsgid:
	case __NR_setgroups:
	case __NR_capset:
	case __NR_prctl:
	case __NR_unshare:
	case __NR_setns:
	case __NR_execve:
	case __NR_execveat:
		return true;
	}
	return false;
}

static __always_inline bool may_change_32bit(long nr)
{
	switch (nr) {
	case 11: /* execve */
	case 23: /* setuid, of 16 bits, and so on */
	case 46:
	case 70:
	case 71:
	case 81:
	case 138:
	case 139:
	case 164:
	case 170:
	case 172:         /* prctl */
	case 185:         /* capset */
	case 203 ... 206: /* setreuid, setregid, setgroups */
	case 208:         /* setresuid */
	case 210:         /* setresgid */
	case 213 ... 216: /* setuid, setgid, setfsuid, setfsgid */
	case 310:         /* unshare */
	case 346:         /* setns */
	case 358:         /* execveat */
		return true;
	}
	return false;
}

static __always_inline void call_ends(void *ctx, u32 tid, long nr)
{
	struct credentials *old = bpf_map_lookup_elem(&before, &tid);
	struct change c = {};

	if (!old)
		return;
	c.old = *old;
	bpf_map_delete_elem(&before, &tid);
	credentials_read(&c.new, BPF_CORE_READ(current_task(), real_cred));
	c.call = call_number(nr);
	changes(ctx, &c);
}

ALT(change, 3) SEC("?tp_btf/sys_enter") int BPF_PROG(enters, struct pt_regs *regs, long nr)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct credentials now = {};

	if (!(may_change(nr) || may_change_32bit(nr)) ||
	    !(syscall_is_32bit() ? may_change_32bit(nr) : may_change(nr)))
		return 0;
	credentials_read(&now, BPF_CORE_READ(current_task(), real_cred));
	if (bpf_map_update_elem(&before, &tid, &now, BPF_ANY))
		count_lost(LOSS_STATE);
	return 0;
}

ALT(change, 3) SEC("?tp_btf/sys_exit") int BPF_PROG(leaves, struct pt_regs *regs, long ret)
{
	long nr = syscall_nr_raw(regs);

	if (may_change(nr) || may_change_32bit(nr))
		call_ends(ctx, bpf_get_current_pid_tgid(), nr);
	return 0;
}

/* The thread that executes becomes the first one. */
ALT(change, 3)
SEC("?tp_btf/sched_process_exec")
int BPF_PROG(executed, struct task_struct *task, int old_tid)
{
	call_ends(ctx, old_tid, syscall_is_32bit() ? 11 : __NR_execve);
	return 0;
}
