/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard of the kernel's surface: rules turned into sets by operation, subject and what it is done to. */
#include "abi/policy_kernel.h"
#include "base/err.h"
#include "base/str.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "enforce/file_paths.h"
#include "enforce/guard.h"
#include "enforce/kernel_trial.h"
#include "enforce/subjects.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct filling {
	struct file_paths paths;
	struct subjects subjects;
	struct kernel_rules rules;
};

static void rule_read(struct filling *f, const struct policy_rule *r, size_t nth)
{
	for (unsigned i = 0; i < KERNEL_OPERATIONS; i++)
		if (r->operations & 1u << i)
			rule_put(&f->rules.by_operation[i], nth);
	f->rules.operations |= r->operations;
}

static int policy_take(struct filling *f, const struct policy *p, bool for_trial, struct err *e)
{
	if (!guard_takes_any(&guard_kernel, p))
		return 0;
	for (size_t i = 0; i < p->rules.len; i++)
		if (p->rules.at[i].domain == POLICY_KERNEL)
			rule_read(f, &p->rules.at[i], i);
	if (subjects_read(&f->subjects, p, POLICY_KERNEL, &f->paths, for_trial, e) < 0)
		return -e->code;
	subjects_rules(&f->subjects, p, POLICY_KERNEL, &f->rules.subjects);
	return file_paths_identify(&f->paths, e);
}

int kernel_guard_fill(const struct object *o, const struct policy *p, unsigned gen, bool for_trial,
		      struct err *e)
{
	struct filling f = { 0 };
	uint32_t key = gen;
	int err = policy_take(&f, p, for_trial, e);

	if (!err)
		err = subjects_write(&f.subjects, &f.paths, o, gen, e);
	if (!err)
		err = map_set(object_map_fd(o, "kernel_rules"), "the rules", &key, &f.rules, e);
	subjects_done(&f.subjects);
	file_paths_done(&f.paths);
	return err;
}

static int fill(const struct object *o, const struct policy *p, unsigned gen, struct err *e)
{
	return kernel_guard_fill(o, p, gen, false, e);
}

/* All or nothing: a rule that holds for a part of what it names would be taken for the whole. */
static void strength(const struct object *o, const struct policy_rule *r, struct strbuf *out)
{
	struct kernel_trial trial;
	struct err why = { 0 };
	unsigned lacks;

	(void)o;
	if (kernel_trial(&trial, &why) < 0) {
		strbuf_appendf(out, "none: not proven (%s)", why.text);
		return;
	}
	lacks = r->operations & ~trial.denied;
	strbuf_appendf(out, "%s (%s)", lacks ? "none" : policy_verdict_name(r->verdict),
		       trial.method);
	for (unsigned bit = 1; lacks; bit <<= 1)
		if (lacks & bit) {
			strbuf_appendf(out, ", not of %s", policy_operation_name(r->domain, bit));
			lacks &= ~bit;
		}
}

/* ---- what it costs ---- */

enum { COST_RUNS = 500 };

static void signal_often(pid_t child)
{
	kill(child, SIGCONT);
}

static void inspect_often(pid_t child)
{
	char path[64], exe[16];

	(void)!str_format(path, sizeof(path), "/proc/%d/exe", (int)child);
	(void)!readlink(path, exe, sizeof(exe));
}

static void bpf_often(pid_t child)
{
	uint64_t attr[8] = { 0 };

	(void)child;
	syscall(SYS_bpf, 1 << 20, attr, sizeof(attr)); /* no command */
}

static void use_often(pid_t child)
{
	(void)child;
	(void)!chroot("/"); /* from where the root is "/" already */
}

/* What can be done over and over, and changes nothing. */
static const struct measured {
	enum policy_kernel_operation operation;
	const char *slot;
	void (*act)(pid_t child);
	const char *of;
} measures[] = {
	{ POLICY_KILL, "kills", signal_often, "a signal" },
	{ POLICY_INSPECT, "traces", inspect_often, "a look into /proc" },
	{ POLICY_PTRACE, "traces", inspect_often, "a look into /proc" },
	{ POLICY_BPF, "calls_bpf", bpf_often, "a bpf(2)" },
	{ POLICY_USE, "uses_capability", use_often, "a use of a capability" },
};

struct working {
	const struct measured *measured;
	pid_t child;
};

static void work(void *ctx)
{
	const struct working *w = ctx;

	for (int i = 0; i < COST_RUNS; i++)
		w->measured->act(w->child);
}

static int child_begin(pid_t *ret_child, struct err *e)
{
	*ret_child = fork();
	if (*ret_child < 0)
		return fail(e, errno, "fork: %s", strerror(errno));
	if (*ret_child)
		return 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static int cost(struct object *o, const struct policy *p, struct guard_cost *ret_cost,
		struct err *e)
{
	struct working w = { 0 };
	unsigned operations = 0;
	uint64_t ns = 0;
	int err;

	vec_for_each(r, &p->rules)
		operations |= r->domain == POLICY_KERNEL ? r->operations : 0;
	for (size_t i = 0; !w.measured && i < ARRAY_LEN(measures); i++)
		if (measures[i].operation & operations)
			w.measured = &measures[i];
	if (!w.measured)
		return fail(e, ENOTSUP,
			    "what these rules are about can't be done over and over for a trial");
	if (child_begin(&w.child, e) < 0)
		return -e->code;
	err = guard_measure(&guard_kernel, o, p, w.measured->slot, work, &w, &ns, e);
	kill(w.child, SIGKILL);
	waitpid(w.child, NULL, 0);
	*ret_cost = (struct guard_cost){ ns, w.measured->of };
	return err;
}

const struct guard guard_kernel = {
	.name = "kernel",
	.domain = POLICY_KERNEL,
	.fill = fill,
	.strength = strength,
	.beside = guard_beside_anywhere,
	.cost = cost,
};
