/* SPDX-License-Identifier: BSD-2-Clause */
/* Is the place to attach there? Cheap looks before anything is loaded. */
#include "bpf/attach.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "bpf/kernel.h"
#include "bpf/mounts.h"

enum { TARGET_MAX = 512 };

int find_tracepoint(const struct attach_spec *spec, struct err *e)
{
	char name[TARGET_MAX];
	uint64_t id;
	int err;

	err = tracepoint_id(spec->rest, &id, e);
	for (unsigned i = 0; !err && list_word(spec->also, i, name, sizeof(name)); i++)
		err = tracepoint_id(name, &id, e);
	return err;
}

int find_btf_tracepoint(const struct attach_spec *spec, struct err *e)
{
	if (!*spec->rest || !kernel_has_btf() || kernel_tracepoint_args(spec->rest) >= 0 ||
	    (kernel_has_module_btf() && tracepoint_is_listed(spec->rest)))
		return 0;
	return fail_as(e, EXIT_KERNEL, ENOENT, "tracepoint %s: not in this kernel", spec->rest);
}

/* With targets: the first that is there. */
int find_function(const struct attach_spec *spec, struct err *e)
{
	char name[TARGET_MAX];

	/* to be named by a parameter; `check` and `list` have none, and any function will do */
	if (!*spec->targets && !*spec->rest)
		return bpf_program__set_attach_target(spec->program, 0, "vfs_read")
			       ? fail(e, ENOENT, "no function is named")
			       : 0;
	if (spec->each && spec_target(spec, 1, name, sizeof(name)))
		return fail_as(e, EXIT_KERNEL, ENOTSUP, "a trampoline is for one function");
	for (unsigned i = 0; spec_target(spec, i, name, sizeof(name)); i++) {
		if (!kernel_has_func(name))
			continue;
		if (!*spec->targets)
			return 0;
		if (!bpf_program__set_attach_target(spec->program, 0, name))
			return 0;
	}
	if (!*spec->targets && kernel_has_module_btf())
		return 0;
	return fail_as(e, EXIT_KERNEL, ENOENT, "function %s: not in this kernel",
		       *spec->targets ? spec->targets : spec->rest);
}

int find_lsm(const struct attach_spec *spec, struct err *e)
{
	char name[TARGET_MAX];

	if (str_format(name, sizeof(name), "bpf_lsm_%s", spec->rest) && kernel_has_func(name))
		return 0;
	return fail_as(e, EXIT_KERNEL, ENOENT, "LSM hook %s: not in this kernel", spec->rest);
}

/* A program that does nothing, for links of that type; negative: there are none. */
static int multi_program(enum bpf_attach_type type)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, load, .expected_attach_type = type);

	return bpf_prog_load(BPF_PROG_TYPE_KPROBE, "sonda_test", "GPL", insns, ARRAY_LEN(insns),
			     &load);
}

static bool kprobe_multi_try(const char **symbols, size_t count)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	auto_close int prog = -1, link = -1;

	opts.kprobe_multi.syms = symbols;
	opts.kprobe_multi.cnt = (__u32)count;
	prog = multi_program(BPF_TRACE_KPROBE_MULTI);
	if (prog >= 0)
		link = bpf_link_create(prog, 0, BPF_TRACE_KPROBE_MULTI, &opts);
	return link >= 0;
}

/* One symbol of many at once, as a test: whether the kernel was built with fprobes shows only then. */
static bool kprobe_multi_works(void)
{
	const char *symbol = "bpf_fentry_test1";
	static int known;

	if (!known)
		known = kprobe_multi_try(&symbol, 1) ? 1 : -1;
	return known > 0;
}

/* A place in a directory, as a test: a kernel that has such links (6.6) gets as far as to see that it is
 * no file. A real one would take as long to be taken away as these links are there to save. */
static bool uprobe_multi_works(void)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	auto_close int prog = -1, link = -1;
	unsigned long offset = 0;
	static int known;

	if (known)
		return known > 0;
	opts.uprobe_multi.path = "/";
	opts.uprobe_multi.offsets = &offset;
	opts.uprobe_multi.cnt = 1;
	prog = multi_program(BPF_TRACE_UPROBE_MULTI);
	if (prog >= 0)
		link = bpf_link_create(prog, 0, BPF_TRACE_UPROBE_MULTI, &opts);
	known = prog >= 0 && link == -EBADF ? 1 : -1;
	return known > 0;
}

/* A perf event takes ten times as long to be taken away as such a link, and one after the other. */
int find_uprobe(const struct attach_spec *spec, struct err *e)
{
	(void)e;
	if (uprobe_multi_works())
		bpf_program__set_expected_attach_type(spec->program, BPF_TRACE_UPROBE_MULTI);
	return 0;
}

/* Where many can't be attached at once, the same program is attached to one after the other; it must
 * be loaded as a plain one then, or its helpers would read another context. */
int find_kprobe_multi(const struct attach_spec *spec, struct err *e)
{
	(void)e;
	if (!kprobe_multi_works())
		bpf_program__set_expected_attach_type(spec->program, 0);
	return 0;
}

/* Several functions: all by one link, if there is such a link to just these; else each by a kprobe of its
 * own, which also says what is wrong with one. */
int find_kprobe(const struct attach_spec *spec, struct err *e)
{
	struct strlist names = { 0 };
	char name[TARGET_MAX];

	(void)e;
	for (unsigned i = 0; spec->each && spec_target(spec, i, name, sizeof(name)); i++)
		strlist_add(&names, name);
	if (names.len > 1 && kprobe_multi_works() &&
	    kprobe_multi_try((const char **)(void *)names.at, names.len))
		bpf_program__set_expected_attach_type(spec->program, BPF_TRACE_KPROBE_MULTI);
	strlist_done(&names);
	return 0;
}

int find_interface(const struct attach_spec *spec, struct err *e)
{
	if (spec->ifindex)
		return 0;
	fail_as(e, EXIT_USAGE, ENODEV, "it needs to know the network interface");
	return hint(e, "name it with --interface");
}
