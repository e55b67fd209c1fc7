/* SPDX-License-Identifier: BSD-2-Clause */
/* A program that counts its runs: five instructions and a map whose memory is ours too. */
#include "bpf/trial.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/perf_event.h>

#include "base/err.h"
#include "base/mem.h"
#include "bpf/kernel.h"
#include "bpf/types.h"

enum { FIRES_MAX = 10000 };

bool trial_failed(struct trial *t, enum feature_stage stage)
{
	t->feature->stage = stage;
	t->feature->code = errno ? errno : EIO;
	return false;
}

static bool counter_make(struct trial *t)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	void *at;

	t->map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sonda_test", 4, 8, 1, &opts);
	if (t->map < 0)
		return trial_failed(t, FEATURE_LOAD);
	at = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, t->map,
		  0);
	if (at == MAP_FAILED)
		return trial_failed(t, FEATURE_LOAD);
	t->count = at;
	return true;
}

/* A function, or the type that stands for a tracepoint. */
static uint32_t place_id(const char *name)
{
	const struct types *types = NULL;
	uint32_t id = kernel_func_id(name);
	struct err e;

	if (!id && !kernel_types(&types, &e))
		id = types_find(types, name, TYPE_TYPEDEF);
	return id;
}

bool trial_load(struct trial *t, enum bpf_prog_type type, enum bpf_attach_type attach,
		const char *function, int verdict, uint32_t flags)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach);
	struct bpf_insn insns[] = {
		/* r1 = address of the counter; *r1 += 1; return verdict */
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
		  .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_VALUE },
		{ .code = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_STX | BPF_DW | BPF_ATOMIC,
		  .dst_reg = BPF_REG_1,
		  .src_reg = BPF_REG_0,
		  .imm = BPF_ADD },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	if (function) {
		opts.attach_btf_id = place_id(function);
		if (!opts.attach_btf_id) {
			errno = ENOENT;
			return trial_failed(t, FEATURE_LOAD);
		}
	}
	if (!counter_make(t))
		return false;
	insns[0].imm = t->map;
	opts.prog_flags = flags;
	t->program = bpf_prog_load(type, "sonda_test", "GPL", insns, ARRAY_LEN(insns), &opts);
	return t->program >= 0 || trial_failed(t, FEATURE_LOAD);
}

bool trial_load_insns(struct trial *t, enum bpf_prog_type type, const struct bpf_insn *insns,
		      size_t count)
{
	t->program = bpf_prog_load(type, "sonda_test", "GPL", insns, count, NULL);
	return t->program >= 0 || trial_failed(t, FEATURE_LOAD);
}

bool trial_link(struct trial *t, int target, enum bpf_attach_type attach)
{
	t->link = bpf_link_create(t->program, target, attach, NULL);
	return t->link >= 0 || trial_failed(t, FEATURE_ATTACH);
}

bool trial_perf(struct trial *t, int event)
{
	t->link = event;
	if (event < 0 || ioctl(event, PERF_EVENT_IOC_SET_BPF, t->program) < 0 ||
	    ioctl(event, PERF_EVENT_IOC_ENABLE, 0) < 0)
		return trial_failed(t, FEATURE_ATTACH);
	return true;
}

void trial_fire(struct trial *t, void (*action)(void))
{
	for (int i = 0; i < FIRES_MAX && !*t->count; i++)
		action();
	if (*t->count)
		return;
	errno = ENODATA;
	trial_failed(t, FEATURE_FIRE);
}
