/* SPDX-License-Identifier: BSD-2-Clause */
/* What guards in force tell besides their rules' counts. */
#include "enforce/enforce.h"

#include "base/err.h"
#include "base/str.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "bpf/pins.h"
#include "enforce/file_paths.h"
#include "enforce/guard.h"
#include "enforce/packet.h"
#include "enforce/state.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int part_look(struct enforce *f, const struct guard *g, struct part **ret_part, struct err *e)
{
	struct part *part = NULL;

	*ret_part = NULL;
	for (unsigned i = 0; i < f->part_count; i++)
		if (f->parts[i].guard == g)
			part = &f->parts[i];
	if (!part && pins_have(g->name)) {
		if (part_open(f, g, &part, e) < 0)
			return -e->code;
		if (object_adopt(part->object, g->name, e) < 0) {
			f->source->close(part->handle);
			f->part_count--;
			return wrap(e, "guard.%s", g->name);
		}
	}
	*ret_part = part;
	return 0;
}

/* The file, and the directories that it lies below. */
static int paths_up(struct file_paths *paths, const char *path, struct err *e)
{
	auto_free char *up = realpath(path, NULL);
	size_t index;

	if (!up)
		return fail(e, errno, "'%s': %s", path, strerror(errno));
	for (;;) {
		char *slash = strrchr(up, '/');

		if (file_paths_add(paths, up, &index, e) < 0)
			return -e->code;
		if (!up[1])
			return 0;
		slash[slash == up] = '\0';
	}
}

/* What the guard knows of the first, and of directories what is said of all below them. */
static void rules_gather(const struct file_paths *paths, int map, unsigned gen, struct rule_set *to)
{
	for (size_t i = 0; i < paths->all.len; i++) {
		struct file_key key = { .id = paths->all.at[i].id, .gen = gen };
		struct file_object object;

		if (!map_get_value(map, &key, &object))
			continue;
		for (unsigned k = 0; k < RULE_WORDS; k++)
			to->words[k] |= object.under.words[k] | (i ? 0 : object.self.words[k]);
	}
}

int enforce_file_rules(struct enforce *f, const char *path, bool beside, struct rule_set *ret,
		       struct err *e)
{
	struct file_paths paths = { 0 };
	struct part *part;
	int err;

	*ret = (struct rule_set){ 0 };
	if (part_look(f, &guard_file, &part, e) < 0)
		return -e->code;
	if (!part || access(path, F_OK) < 0)
		return 0;
	err = paths_up(&paths, path, e);
	if (!err)
		err = file_paths_identify(&paths, e);
	if (!err)
		rules_gather(&paths, object_map_fd(part->object, "file_objects"),
			     beside ? POLICY_ACTIVE(*f->shared.word) ^ 1 : f->generation, ret);
	file_paths_done(&paths);
	return err;
}

int enforce_counts(struct enforce *f, enforce_count_fn *fn, void *ctx, struct err *e)
{
	for (const struct guard *const *g = guards; *g; g++) {
		struct part *part;

		if (!(*g)->counts)
			continue;
		if (part_look(f, *g, &part, e) < 0)
			return -e->code;
		if (part && (*g)->counts(part->object, fn, ctx, e) < 0)
			return wrap(e, "guard.%s", (*g)->name);
	}
	return 0;
}

struct telling {
	const struct enforce *f;
	enforce_flood_fn *fn;
	void *ctx;
};

/* Of rules that are in force. */
static void flood_tell(const struct guard_flood *flood, void *ctx)
{
	const struct telling *t = ctx;

	for (unsigned i = 0; i < t->f->state.policy->rules.len; i++) {
		struct enforce_rule rule;

		shared_read_rule(&t->f->shared, t->f->generation, i, &rule);
		if (rule.slot != flood->slot || !t->f->state.policy->rules.at[i].limit.drop_ns)
			continue;
		t->fn(&(struct enforce_flood){ .rule = t->f->state.policy->rules.at[i].name,
					       .of = flood->of,
					       .left_ns = flood->left_ns,
					       .packets = flood->packets,
					       .bytes = flood->bytes },
		      t->ctx);
		return;
	}
}

int enforce_floods(struct enforce *f, enforce_flood_fn *fn, void *ctx, struct err *e)
{
	struct telling telling = { f, fn, ctx };

	for (const struct guard *const *g = guards; f->state.in_force && *g; g++) {
		struct part *part;

		if (!(*g)->floods)
			continue;
		if (part_look(f, *g, &part, e) < 0)
			return -e->code;
		if (part && (*g)->floods(part->object, flood_tell, &telling, e) < 0)
			return wrap(e, "guard.%s", (*g)->name);
	}
	return 0;
}

struct uncovering {
	const struct part *part;
	const struct policy_rule *rule;
	struct strlist *told; /* interfaces of rules without `on`, which all are about the same */
	enforce_uncovered_fn *fn;
	void *ctx;
};

static int on_interface(const char *name, unsigned ifindex, void *ctx, struct err *e)
{
	const struct uncovering *u = ctx;

	(void)e;
	if (ifindex && u->part->guard->stands(u->part->object, u->rule, ifindex))
		return 0;
	if (!rule_names_interfaces(u->rule) && strlist_has(u->told, name))
		return 0;
	if (!rule_names_interfaces(u->rule))
		strlist_add(u->told, name);
	u->fn(u->rule, name, u->ctx);
	return 0;
}

static int part_uncovered(const struct enforce *f, const struct part *part,
			  enforce_uncovered_fn *fn, void *ctx, struct err *e)
{
	struct strlist told = { 0 };
	int err = 0;

	vec_for_each(r, &f->state.policy->rules) {
		struct uncovering u = { part, r, &told, fn, ctx };

		if (!err && r->domain == part->guard->domain)
			err = rule_each_interface(f->state.policy, r, on_interface, &u, e);
	}
	strlist_done(&told);
	return err;
}

int enforce_uncovered(struct enforce *f, enforce_uncovered_fn *fn, void *ctx, struct err *e)
{
	for (const struct guard *const *g = guards; f->state.in_force && *g; g++) {
		struct part *part;

		if (!(*g)->stands || !guard_takes_any(*g, f->state.policy))
			continue;
		if (part_look(f, *g, &part, e) < 0)
			return -e->code;
		if (part && part_uncovered(f, part, fn, ctx, e) < 0)
			return wrap(e, "guard.%s", (*g)->name);
	}
	return 0;
}
