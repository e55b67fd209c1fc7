/* SPDX-License-Identifier: BSD-2-Clause */
/* libbpf's rows for the sections with a BTF id, with our own way to find the id. */
#include "bpf/sections.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/mem.h"
#include "base/str.h"
#include "bpf/kernel.h"

enum { NAME_MAX_BYTES = 256 };

/* clang-format off */
static const struct section {
	const char *name;            /* "+": with or without "/target" */
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
	const char *prefix;          /* of the target's name in BTF */
	uint32_t (*id)(const char *name);
	uint32_t flags;
} sections[] = {
	{ "tp_btf+",     BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP,    "btf_trace_", kernel_typedef_id, 0 },
	{ "fentry+",     BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY,    "",           kernel_func_id,    0 },
	{ "fentry.s+",   BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY,    "",           kernel_func_id,    BPF_F_SLEEPABLE },
	{ "fexit+",      BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT,     "",           kernel_func_id,    0 },
	{ "fexit.s+",    BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT,     "",           kernel_func_id,    BPF_F_SLEEPABLE },
	{ "fmod_ret+",   BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN,   "",           kernel_func_id,    0 },
	{ "fmod_ret.s+", BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN,   "",           kernel_func_id,    BPF_F_SLEEPABLE },
	{ "lsm+",        BPF_PROG_TYPE_LSM,     BPF_LSM_MAC,         "bpf_lsm_",   kernel_func_id,    0 },
	{ "lsm.s+",      BPF_PROG_TYPE_LSM,     BPF_LSM_MAC,         "bpf_lsm_",   kernel_func_id,    BPF_F_SLEEPABLE },
	{ "lsm_cgroup+", BPF_PROG_TYPE_LSM,     BPF_LSM_CGROUP,      "bpf_lsm_",   kernel_func_id,    0 },
	{ "iter+",       BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER,      "bpf_iter_",  kernel_func_id,    0 },
	{ "iter.s+",     BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER,      "bpf_iter_",  kernel_func_id,    BPF_F_SLEEPABLE },
};
/* clang-format on */

/* "fentry/vfs_read" -> "vfs_read"; NULL: it names none. */
static const char *target_of(const struct bpf_program *program)
{
	const char *slash = strchr(bpf_program__section_name(program), '/');

	return slash && slash[1] ? slash + 1 : NULL;
}

/* 0: the kernel's own BTF has none. */
static uint32_t target_id(const struct section *s, const struct bpf_program *program)
{
	const char *target = target_of(program);
	char name[NAME_MAX_BYTES];

	return target && str_format(name, sizeof(name), "%s%s", s->prefix, target) ? s->id(name)
										   : 0;
}

static int section_setup(struct bpf_program *program, long nth)
{
	return bpf_program__set_flags(program, bpf_program__flags(program) | sections[nth].flags);
}

/* Where the id is known already, section_target_settle() or who chose the target has set it. */
static int section_prepare(struct bpf_program *program, struct bpf_prog_load_opts *opts, long nth)
{
	const struct section *s = &sections[nth];

	if (!opts->attach_btf_id)
		opts->attach_btf_id = target_id(s, program);
	return opts->attach_btf_id ? bpf_program__set_type(program, s->type) : -ENOENT;
}

/* Until the id is found the programs pass for some other type: of their own it wants the whole BTF. */
void sections_register(void)
{
	static bool done;

	for (size_t i = 0; !done && i < ARRAY_LEN(sections); i++) {
		LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .cookie = (long)i,
			    .prog_setup_fn = section_setup,
			    .prog_prepare_load_fn = section_prepare);

		/* without it libbpf goes its own way */
		(void)libbpf_register_prog_handler(sections[i].name, BPF_PROG_TYPE_RAW_TRACEPOINT,
						   sections[i].attach, &opts);
	}
	done = true;
}

static const struct section *section_of(const struct bpf_program *program)
{
	const char *name = bpf_program__section_name(program);
	size_t len = strcspn(name, "/");

	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		if (strlen(sections[i].name) == len + 1 && !strncmp(sections[i].name, name, len))
			return &sections[i];
	return NULL;
}

void section_target_settle(struct bpf_program *program)
{
	const struct section *s = section_of(program);

	if (s && target_of(program) && !target_id(s, program))
		(void)bpf_program__set_attach_target(program, 0, target_of(program));
}
