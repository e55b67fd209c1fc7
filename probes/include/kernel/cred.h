/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* All that a process may do by its credentials: users, groups, capabilities. */
#pragma once

#include "kernel/task.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct cred_id {
	u32 val;
};
/* two words of 32 bits before 6.3, one of 64 since (commit f122a08b197d) */
struct cred_caps {
	u8 bytes[8];
};
struct group_info {
	int ngroups;
};
struct cred___full {
	struct cred_id uid, gid, suid, sgid, euid, egid, fsuid, fsgid;
	struct cred_caps cap_inheritable, cap_permitted, cap_effective, cap_ambient;
	struct group_info *group_info;
};

#pragma clang attribute pop

enum credential_id { ID_REAL, ID_EFFECTIVE, ID_SAVED, ID_FILES, ID_COUNT };

struct credentials {
	u32 uids[ID_COUNT];
	u32 gids[ID_COUNT];
	u64 permitted;
	u64 effective;
	u64 inheritable;
	u64 ambient;
	u64 groups; /* where the list is */
	u32 group_count;
	u32 pad;
};

static __noinline int credentials_read(struct credentials *out, const struct cred *of)
{
	const struct cred___full *cred = (const void *)of;

	if (!out)
		return 0;
	out->uids[ID_REAL] = BPF_CORE_READ(cred, uid.val);
	out->uids[ID_EFFECTIVE] = BPF_CORE_READ(cred, euid.val);
	out->uids[ID_SAVED] = BPF_CORE_READ(cred, suid.val);
	out->uids[ID_FILES] = BPF_CORE_READ(cred, fsuid.val);
	out->gids[ID_REAL] = BPF_CORE_READ(cred, gid.val);
	out->gids[ID_EFFECTIVE] = BPF_CORE_READ(cred, egid.val);
	out->gids[ID_SAVED] = BPF_CORE_READ(cred, sgid.val);
	out->gids[ID_FILES] = BPF_CORE_READ(cred, fsgid.val);
	bpf_core_read(&out->permitted, sizeof(u64), &cred->cap_permitted);
	bpf_core_read(&out->effective, sizeof(u64), &cred->cap_effective);
	bpf_core_read(&out->inheritable, sizeof(u64), &cred->cap_inheritable);
	bpf_core_read(&out->ambient, sizeof(u64), &cred->cap_ambient);
	out->groups = (u64)BPF_CORE_READ(cred, group_info);
	out->group_count = BPF_CORE_READ(cred, group_info, ngroups);
	return 0;
}
