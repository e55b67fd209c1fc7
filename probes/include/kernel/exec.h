/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What a task becomes by execve(2): the program being loaded, and the privileges it ends up with.
 */
#pragma once

#include "kernel/fs.h"
#include "kernel/signal.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct linux_binprm {
	const char *filename; /* as given; /dev/fd/N/... where a descriptor was */
	const char *interp;   /* what is loaded in its place: the same pointer when nothing is */
	unsigned int secureexec : 1; /* it is told that it has more than its caller (AT_SECURE) */
};

struct cred___privileges {
	kuid_t uid;
	struct {
		u32 val;
	} gid;
	kuid_t euid;
	struct {
		u32 val;
	} egid;
	/* two words of 32 bits before 6.3, one of 64 since (commit f122a08b197d) */
	struct {
		u8 bytes[8];
	} cap_effective;
};

struct upid {
	int nr;
};
struct pid {
	struct upid numbers[1]; /* in the first pid namespace, and further in */
};
/* the first three are the process itself and its group */
struct signal_struct___session {
	struct pid *pids[4];
};

struct task_struct___exec {
	const struct cred___privileges *cred;
	kuid_t loginuid; /* only with CONFIG_AUDIT */
};

#pragma clang attribute pop

struct privileges {
	u32 euid;
	u32 egid;
	u64 caps;
};

static __always_inline void task_privileges(struct task_struct *task, struct privileges *out)
{
	struct task_struct___exec *t = (void *)task;
	const struct cred___privileges *cred;

	if (DIRECT) {
		cred = direct(struct task_struct___exec, t)->cred;
		out->euid = cred->euid.val;
		out->egid = cred->egid.val;
	} else {
		cred = BPF_CORE_READ(t, cred);
		out->euid = BPF_CORE_READ(cred, euid.val);
		out->egid = BPF_CORE_READ(cred, egid.val);
	}
	bpf_core_read(&out->caps, sizeof(out->caps), &cred->cap_effective);
}

/* The real user and group, which no program changes by being executed. */
static __always_inline void task_real_ids(struct task_struct *task, u32 *ret_uid, u32 *ret_gid)
{
	struct task_struct___exec *t = (void *)task;

	*ret_uid = BPF_CORE_READ(t, cred, uid.val);
	*ret_gid = BPF_CORE_READ(t, cred, gid.val);
}

/* Who logged in at the start of it all, for the audit system; -1: nobody, or no audit. */
static __always_inline s32 task_login_uid(struct task_struct *task)
{
	struct task_struct___exec *t = (void *)task;

	return bpf_core_field_exists(t->loginuid) ? (s32)BPF_CORE_READ(t, loginuid.val) : -1;
}

static __always_inline u32 task_session(struct task_struct *task)
{
	struct signal_struct___session *s = (void *)task_signal(task);

	if (DIRECT)
		return direct(struct signal_struct___session, s)->pids[3]->numbers[0].nr;
	return BPF_CORE_READ(s, pids[3], numbers[0].nr);
}

static __always_inline struct path *task_cwd(struct task_struct *task)
{
	return &BPF_CORE_READ(task, fs)->pwd;
}
