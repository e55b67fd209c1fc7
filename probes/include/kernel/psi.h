/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Pressure (PSI): what the kernel keeps for each cgroup, and for the machine. */
#pragma once

enum psi_states {
	PSI_IO_SOME,
	PSI_IO_FULL,
	PSI_MEM_SOME,
	PSI_MEM_FULL,
	PSI_CPU_SOME,
	PSI_CPU_FULL, /* since 5.13 (e7fcd7622823) */
	PSI_TIMES
};

struct psi_group {
	struct psi_group *parent; /* since 5.20 */
	u64 avg_last_update;      /* when `total` was brought up to date */
	u64 total[PSI_TIMES];     /* ns stalled; two sets, the first is that of the files */
} __attribute__((preserve_access_index));
struct psi_group___sets {
	u64 total[2][PSI_TIMES]; /* so declared in 7.x */
} __attribute__((preserve_access_index));
struct cgroup___psi {
	struct psi_group *psi;
} __attribute__((preserve_access_index));
/* before 5.20 (5f69a6577bc3) it lay in the cgroup */
struct cgroup___psi_inside {
	struct psi_group psi;
} __attribute__((preserve_access_index));

/* NULL: it has none, as the root, or where pressure is switched off. */
static __always_inline struct psi_group *cgroup_psi(struct cgroup *cg)
{
	struct cgroup___psi *c = (void *)cg;

	if (bpf_core_field_exists(struct psi_group, parent))
		return BPF_CORE_READ(c, psi);
	return cgroup_parent(cg)
		       ? (void *)cg + bpf_core_field_offset(struct cgroup___psi_inside, psi)
		       : NULL;
}

static __always_inline u32 psi_total_offset(void)
{
	if (bpf_core_field_exists(struct psi_group___sets, total))
		return bpf_core_field_offset(struct psi_group___sets, total);
	return bpf_core_field_offset(struct psi_group, total);
}

/* Is there time stalled on CPU for all tasks of a group? */
static __always_inline bool psi_has_cpu_full(void)
{
	return bpf_core_enum_value_exists(enum psi_states, PSI_CPU_FULL);
}
