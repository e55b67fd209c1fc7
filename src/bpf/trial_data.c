/* SPDX-License-Identifier: BSD-2-Clause */
/* Trials of maps, helpers and what only guards use. */
#include "bpf/trial.h"

#include <errno.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/mem.h"
#include "bpf/kernel.h"

static void map_try(struct trial *t, enum bpf_map_type type)
{
	int works = libbpf_probe_bpf_map_type(type, NULL);

	if (works == 1)
		return;
	errno = works < 0 ? -works : EINVAL;
	trial_failed(t, FEATURE_LOAD);
}

void try_ringbuf(struct trial *t)
{
	map_try(t, BPF_MAP_TYPE_RINGBUF);
}

void try_user_ringbuf(struct trial *t)
{
	map_try(t, BPF_MAP_TYPE_USER_RINGBUF);
}

void try_cgroup_storage(struct trial *t)
{
	map_try(t, BPF_MAP_TYPE_CGRP_STORAGE);
}

/* The map type is older than its use by tracing programs; the helper's name tells nothing of that, but
 * the first kernel with bpf_get_current_task_btf has both. */
void try_task_storage(struct trial *t)
{
	uint64_t value;

	map_try(t, BPF_MAP_TYPE_TASK_STORAGE);
	if (t->feature->code ||
	    kernel_enum_value("bpf_func_id", "BPF_FUNC_get_current_task_btf", &value))
		return;
	errno = ENOTSUP;
	trial_failed(t, FEATURE_LOAD);
}

void try_stats(struct trial *t)
{
	auto_close int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (fd < 0)
		trial_failed(t, FEATURE_LOAD);
}

void try_struct_ops(struct trial *t)
{
	if (kernel_has_type("bpf_struct_ops_tcp_congestion_ops"))
		return;
	errno = ENOENT;
	trial_failed(t, FEATURE_LOAD);
}

#define CALL(helper)                                        \
	{                                                   \
		.code = BPF_JMP | BPF_CALL, .imm = (helper) \
	}
#define EXIT                               \
	{                                  \
		.code = BPF_JMP | BPF_EXIT \
	}
#define SET(reg, number)                                                               \
	{                                                                              \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (reg), .imm = (number) \
	}
#define COPY(to, from)                                                                  \
	{                                                                               \
		.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (to), .src_reg = (from) \
	}

void try_send_signal(struct trial *t)
{
	static const struct bpf_insn insns[] = {
		SET(BPF_REG_1, 0),
		CALL(BPF_FUNC_send_signal),
		SET(BPF_REG_0, 0),
		EXIT,
	};

	(void)!trial_load_insns(t, BPF_PROG_TYPE_TRACEPOINT, insns, ARRAY_LEN(insns));
}

void try_override_return(struct trial *t)
{
	static const struct bpf_insn insns[] = {
		SET(BPF_REG_2, 0),
		CALL(BPF_FUNC_override_return),
		SET(BPF_REG_0, 0),
		EXIT,
	};

	(void)!trial_load_insns(t, BPF_PROG_TYPE_KPROBE, insns, ARRAY_LEN(insns));
}

void try_write_user(struct trial *t)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ST | BPF_DW | BPF_MEM, .dst_reg = BPF_REG_10, .off = -8 },
		SET(BPF_REG_1, 0),
		COPY(BPF_REG_2, BPF_REG_10),
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -8 },
		SET(BPF_REG_3, 8),
		CALL(BPF_FUNC_probe_write_user),
		SET(BPF_REG_0, 0),
		EXIT,
	};

	(void)!trial_load_insns(t, BPF_PROG_TYPE_TRACEPOINT, insns, ARRAY_LEN(insns));
}

/* bpf_loop needs a function to call, so the kernel's list of helpers is asked. */
void try_loop(struct trial *t)
{
	uint64_t value;

	if (kernel_enum_value("bpf_func_id", "BPF_FUNC_loop", &value))
		return;
	errno = EINVAL;
	trial_failed(t, FEATURE_LOAD);
}
