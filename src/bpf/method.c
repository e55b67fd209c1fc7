/* SPDX-License-Identifier: BSD-2-Clause */
/* The ways to attach, one row each; whether they can work on this kernel is found out once. */
#include "bpf/attach.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "bpf/kernel.h"
#include "bpf/mounts.h"

static const struct bpf_insn return_zero[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
	{ .code = BPF_JMP | BPF_EXIT },
};

/* A function made for such tests, in every kernel that has trampolines. */
static const char test_function[] = "bpf_fentry_test1";

static int ready_trampoline(struct err *e)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY);
	auto_close int fd = -1;
	char lockdown[64];

	opts.attach_btf_id = kernel_func_id(test_function);
	if (!opts.attach_btf_id)
		return kernel_btf_check(e);
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "sonda_test", "GPL", return_zero,
			   ARRAY_LEN(return_zero), &opts);
	if (fd >= 0)
		return 0;
	if (errno != EPERM || geteuid())
		return fail_as(e, EXIT_KERNEL, ENOTSUP, "refused by the kernel (%s)",
			       strerror(errno));
	lockdown_mode(lockdown, sizeof(lockdown));
	return fail_as(e, EXIT_KERNEL, ENOTSUP, "refused by the kernel (EPERM; lockdown: %s)",
		       lockdown);
}

/* A program on an LSM hook loads and attaches even where "bpf" isn't among the active modules, and
 * never runs: so the list decides. */
static int ready_lsm(struct err *e)
{
	char list[256];

	if (securityfs_line("lsm", list, sizeof(list))) {
		struct strlist active = { 0 };
		bool has;

		str_split(list, &active);
		has = strlist_has(&active, "bpf");
		strlist_done(&active);
		if (!has)
			return fail_as(e, EXIT_KERNEL, ENOTSUP,
				       "'bpf' is not among the active security modules (boot with "
				       "lsm=%s,bpf)",
				       list);
	}
	return ready_trampoline(e);
}

static int ready_kprobe(struct err *e)
{
	if (file_exists("/sys/bus/event_source/devices/kprobe"))
		return 0;
	return fail_as(e, EXIT_KERNEL, ENOTSUP, "not in this kernel (CONFIG_KPROBES)");
}

static int ready_uprobe(struct err *e)
{
	if (file_exists("/sys/bus/event_source/devices/uprobe"))
		return 0;
	return fail_as(e, EXIT_KERNEL, ENOTSUP, "not in this kernel (CONFIG_UPROBES)");
}

static int ready_tracefs(struct err *e)
{
	int fd;

	return tracefs_fd(&fd, e);
}

static int ready_cgroup(struct err *e)
{
	int fd;

	return cgroup_root_fd(&fd, e);
}

/* clang-format off */
static const struct method methods[] = {
	{ "tp/",               "tracepoint",   ready_tracefs,    find_tracepoint,     attach_tracepoint },
	{ "tracepoint/",       "tracepoint",   ready_tracefs,    find_tracepoint,     attach_tracepoint },
	{ "raw_tp/",           "raw_tp",       NULL,             find_btf_tracepoint, attach_raw_tracepoint },
	{ "raw_tp.w/",         "raw_tp",       NULL,             find_btf_tracepoint, attach_raw_tracepoint },
	{ "raw_tracepoint/",   "raw_tp",       NULL,             find_btf_tracepoint, attach_raw_tracepoint },
	{ "tp_btf/",           "tp_btf",       kernel_btf_check, find_btf_tracepoint, attach_trace },
	{ "fentry/",           "fentry",       ready_trampoline, find_function,       attach_trace },
	{ "fentry.s/",         "fentry.s",     ready_trampoline, find_function,       attach_trace },
	{ "fexit/",            "fexit",        ready_trampoline, find_function,       attach_trace },
	{ "fexit.s/",          "fexit.s",      ready_trampoline, find_function,       attach_trace },
	{ "fmod_ret/",         "fmod_ret",     ready_trampoline, find_function,       attach_trace },
	{ "fmod_ret.s/",       "fmod_ret.s",   ready_trampoline, find_function,       attach_trace },
	{ "lsm/",              "lsm",          ready_lsm,        find_lsm,            attach_lsm },
	{ "lsm.s/",            "lsm.s",        ready_lsm,        find_lsm,            attach_lsm },
	{ "lsm_cgroup/",       "lsm_cgroup",   ready_lsm,        find_lsm,            attach_cgroup },
	{ "kprobe/",           "kprobe",       ready_kprobe,     find_kprobe,         attach_kprobe },
	{ "kretprobe/",        "kretprobe",    ready_kprobe,     find_kprobe,         attach_kretprobe },
	{ "kprobe.multi/",     "kprobe.multi", ready_kprobe,     find_kprobe_multi,   attach_kprobe_multi },
	{ "kretprobe.multi/",  "kretprobe.multi", ready_kprobe,  find_kprobe_multi,   attach_kretprobe_multi },
	{ "ksyscall/",         "ksyscall",     ready_kprobe,     NULL,                attach_ksyscall },
	{ "kretsyscall/",      "kretsyscall",  ready_kprobe,     NULL,                attach_kretsyscall },
	{ "uprobe/",           "uprobe",       ready_uprobe,     find_uprobe,         attach_uprobe },
	{ "uprobe.s/",         "uprobe.s",     ready_uprobe,     find_uprobe,         attach_uprobe },
	{ "uretprobe/",        "uretprobe",    ready_uprobe,     find_uprobe,         attach_uretprobe },
	{ "uretprobe.s/",      "uretprobe.s",  ready_uprobe,     find_uprobe,         attach_uretprobe },
	{ "usdt/",             "usdt",         ready_uprobe,     NULL,                attach_usdt },
	{ "perf_event/",       "perf_event",   NULL,             NULL,                attach_perf_event },
	{ "iter/",             "iter",         kernel_btf_check, NULL,                attach_iter },
	{ "iter.s/",           "iter.s",       kernel_btf_check, NULL,                attach_iter },
	{ "cgroup_skb/",       "cgroup_skb",   ready_cgroup,     NULL,                attach_cgroup },
	{ "cgroup/",           "cgroup",       ready_cgroup,     NULL,                attach_cgroup },
	{ "sockops/",          "sockops",      ready_cgroup,     NULL,                attach_cgroup },
	{ "sk_lookup/",        "sk_lookup",    NULL,             NULL,                attach_netns },
	{ "netfilter/",        "netfilter",    NULL,             NULL,                attach_netfilter },
	{ "xdp/",              "xdp",          NULL,             find_interface,      attach_xdp },
	{ "xdp.frags/",        "xdp.frags",    NULL,             find_interface,      attach_xdp },
	{ "tcx/ingress/",      "tc ingress",   NULL,             find_interface,      attach_tc_ingress },
	{ "tcx/egress/",       "tc egress",    NULL,             find_interface,      attach_tc_egress },
	{ "tc/ingress/",       "tc ingress",   NULL,             find_interface,      attach_tc_ingress },
	{ "tc/egress/",        "tc egress",    NULL,             find_interface,      attach_tc_egress },
	{ "tc/",               "tc ingress",   NULL,             find_interface,      attach_tc_ingress },
	{ "classifier/",       "tc ingress",   NULL,             find_interface,      attach_tc_ingress },
	{ "struct_ops/",       "struct_ops",   NULL,             NULL,                NULL },
	{ "syscall/",          "syscall",      NULL,             NULL,                NULL },
};
/* clang-format on */

/* What was found out about a test function (or, without one, about the row itself). */
static struct finding {
	bool known;
	struct err why; /* code 0: it works */
} findings[ARRAY_LEN(methods)];

/* The first row with the same test: methods that need the same share one finding. */
static struct finding *finding_of(const struct method *m)
{
	size_t i = (size_t)(m - methods);

	assert(i < ARRAY_LEN(methods));
	for (size_t k = 0; m->ready && k < i; k++)
		if (methods[k].ready == m->ready)
			return &findings[k];
	return &findings[i];
}

const struct method *method_find(const char *section, const char **ret_rest)
{
	const char *rest;

	if (*section == '?')
		section++;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		size_t len = strlen(methods[i].prefix) - 1; /* without the slash */

		if (strncmp(section, methods[i].prefix, len))
			continue;
		rest = section + len;
		if (*rest && *rest != '/')
			continue;
		*ret_rest = *rest ? rest + 1 : rest;
		return &methods[i];
	}
	return NULL;
}

bool list_word(const char *list, unsigned nth, char *word, size_t size)
{
	size_t len;

	for (;; list += len) {
		list += strspn(list, " ,");
		len = strcspn(list, " ,");
		if (!len)
			return false;
		if (!nth--)
			break;
	}
	return str_format(word, size, "%.*s", (int)len, list);
}

/* Methods that the environment says to do without, to try the alternatives of a probe. */
static bool left_out(const struct method *m)
{
	const char *list = getenv("SONDA_WITHOUT");
	char name[32];

	for (unsigned i = 0; list && list_word(list, i, name, sizeof(name)); i++)
		if (str_eq(name, m->name))
			return true;
	return false;
}

int method_ready(const struct method *m, struct err *e)
{
	struct finding *f = finding_of(m);

	if (left_out(m))
		return fail_as(e, EXIT_KERNEL, ENOTSUP, "%s: left out by SONDA_WITHOUT", m->name);
	if (!f->known) {
		if (m->ready)
			(void)!m->ready(&f->why);
		f->known = true;
	}
	if (!f->why.code)
		return 0;
	*e = f->why;
	return wrap(e, "%s", m->name);
}

void method_refuse(const struct method *m, const struct err *why)
{
	struct finding *f = finding_of(m);

	f->known = true;
	f->why = *why;
}

bool spec_target(const struct attach_spec *spec, unsigned nth, char *word, size_t size)
{
	return list_word(*spec->targets ? spec->targets : spec->rest, nth, word, size);
}
