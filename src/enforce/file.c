/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard of files: rules turned into sets by object, operation and subject, and laid into its maps. */
#include "abi/policy_file.h"
#include "base/err.h"
#include "base/str.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "enforce/file_paths.h"
#include "enforce/file_trial.h"
#include "enforce/guard.h"
#include "enforce/subjects.h"

#include <errno.h>
#include <unistd.h>

/* What a generation is made of. */
struct filling {
	const struct policy *policy;
	size_t rule; /* at hand */
	struct file_paths paths;
	struct subjects subjects;
	struct file_rules rules;
	struct file_filter *filter;
	uint32_t gen;
	bool for_trial;
};

/* ---- from the policy ---- */

static int on_file(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct filling *f = ctx;
	const struct policy_rule *rule = &f->policy->rules.at[f->rule];
	struct file_object *object;
	size_t index;

	if (file_paths_add(&f->paths, text, &index, e) < 0)
		return policy_wrap(f->policy, at, e);
	object = &f->paths.all.at[index].object;
	rule_put(rule->under ? &object->under : &object->self, f->rule);
	return 0;
}

static int rule_read(struct filling *f, const struct policy_rule *rule, struct err *e)
{
	for (int i = 0; i < FILE_OPERATIONS; i++)
		if (rule->operations & 1u << i)
			rule_put(&f->rules.by_operation[i], f->rule);
	if (rule->under)
		rule_put(&f->rules.under, f->rule);
	f->filter->any = 1;
	f->filter->under |= rule->under;
	return policy_each(f->policy, &rule->objects, on_file, f, e);
}

static int policy_take(struct filling *f, struct err *e)
{
	for (f->rule = 0; f->policy && f->rule < f->policy->rules.len; f->rule++)
		if (f->policy->rules.at[f->rule].domain == POLICY_FILE &&
		    rule_read(f, &f->policy->rules.at[f->rule], e) < 0)
			return -e->code;
	if (!f->filter->any)
		return 0;
	if (subjects_read(&f->subjects, f->policy, POLICY_FILE, &f->paths, f->for_trial, e) < 0 ||
	    file_paths_nest(&f->paths, e) < 0)
		return -e->code;
	subjects_rules(&f->subjects, f->policy, POLICY_FILE, &f->rules.subjects);
	return file_paths_identify(&f->paths, e);
}

/* ---- into the maps ---- */

static void filter_set(struct file_filter *filter, const struct file_id *id)
{
	filter->seen[FILE_FILTER_AT(id->inode, id->device)] = 1;
}

static void paths_filter(struct filling *f)
{
	vec_for_each(file, &f->paths.all) {
		if (file->id.inode)
			filter_set(f->filter, &file->id);
		if (!file->is_mount && *file->name)
			filter_set(f->filter, &file->dir);
	}
}

static int filling_write(struct filling *f, const struct object *o, struct err *e)
{
	int filter = object_map_fd(o, "file_filter"), rules = object_map_fd(o, "file_rules");

	paths_filter(f);
	if (subjects_write(&f->subjects, &f->paths, o, f->gen, e) < 0 ||
	    map_set(rules, "the rules", &f->gen, &f->rules, e) < 0)
		return -e->code;
	return map_set(filter, "the filter", &f->gen, f->filter, e);
}

int file_guard_fill(const struct object *o, const struct policy *p, unsigned gen, bool for_trial,
		    struct err *e)
{
	auto_free struct file_filter *filter = xnew(struct file_filter);
	struct filling f = { .policy = p, .filter = filter, .gen = gen, .for_trial = for_trial };
	int err = policy_take(&f, e);

	if (!err)
		err = filling_write(&f, o, e);
	subjects_done(&f.subjects);
	file_paths_done(&f.paths);
	return err;
}

static int fill(const struct object *o, const struct policy *p, unsigned gen, struct err *e)
{
	return file_guard_fill(o, p, gen, false, e);
}

/* ---- what it is worth ---- */

static void strength(const struct object *o, const struct policy_rule *r, struct strbuf *out)
{
	struct file_trial trial;
	struct err why = { 0 };
	unsigned lacks;

	(void)o;
	if (file_trial(&trial, &why) < 0) {
		strbuf_appendf(out, "not proven (%s)", why.text);
		return;
	}
	lacks = r->operations & ~trial.denied;
	strbuf_puts(out, lacks == r->operations ? "none" : policy_verdict_name(r->verdict));
	strbuf_appendf(out, " (%s)", trial.method);
	for (unsigned bit = 1; lacks && bit <= POLICY_CHANGE; bit <<= 1)
		if (lacks & bit)
			strbuf_appendf(out, ", not of %s", policy_operation_name(POLICY_FILE, bit));
}

const struct guard guard_file = {
	.name = "file",
	.domain = POLICY_FILE,
	.fill = fill,
	.strength = strength,
	.cost = file_cost,
	.beside = guard_beside_anywhere,
};
