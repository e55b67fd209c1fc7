/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard of files: rules turned into sets by object, operation and subject, and laid into its maps. */
#include "abi/policy_file.h"
#include "base/err.h"
#include "base/str.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "enforce/file_paths.h"
#include "enforce/file_subjects.h"
#include "enforce/file_trial.h"
#include "enforce/guard.h"

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

static void rule_put(struct rule_set *set, size_t rule)
{
	set->words[rule / 64] |= 1ull << rule % 64;
}

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
	if (rule->verdict == POLICY_ALERT)
		rule_put(&f->rules.alerting, f->rule);
	else if (!policy_rule_audits(rule))
		rule_put(&f->rules.refusing, f->rule);
	if (rule->under)
		rule_put(&f->rules.under, f->rule);
	f->filter->any = 1;
	f->filter->under |= rule->under;
	return policy_each(f->policy, &rule->files, on_file, f, e);
}

static int sonda_add(struct filling *f, struct err *e)
{
	size_t index;

	if (file_paths_add(&f->paths, "/proc/self/exe", &index, e) < 0)
		return -e->code;
	f->paths.all.at[index].object.flags |= FILE_IS_SONDA;
	return 0;
}

static int policy_take(struct filling *f, struct err *e)
{
	for (f->rule = 0; f->policy && f->rule < f->policy->rules.len; f->rule++)
		if (f->policy->rules.at[f->rule].domain == POLICY_FILE &&
		    rule_read(f, &f->policy->rules.at[f->rule], e) < 0)
			return -e->code;
	if (!f->filter->any)
		return 0;
	if (subjects_read(&f->subjects, f->policy, &f->paths, e) < 0 ||
	    (!f->for_trial && sonda_add(f, e) < 0))
		return -e->code;
	vec_for_each(s, &f->subjects.of[SUBJECT_EXE]) {
		f->paths.all.at[s->value].object.flags |= FILE_IS_SUBJECT;
		f->paths.all.at[s->value].object.subject = s->fulfils;
	}
	memcpy(f->rules.others, f->subjects.others, sizeof(f->rules.others));
	f->rules.asks = f->subjects.asks;
	if (file_paths_nest(&f->paths, e) < 0)
		return -e->code;
	return file_paths_identify(&f->paths, e);
}

/* ---- into the maps ---- */

static void set_add(struct rule_set *to, const struct rule_set *from)
{
	for (int i = 0; i < RULE_WORDS; i++)
		to->words[i] |= from->words[i];
}

/* Adds to what is there of that inode: it may have several names. */
static int object_put(struct filling *f, int map, const struct file_id *id,
		      const struct file_object *more, struct err *e)
{
	struct file_key key = { .id = *id, .gen = f->gen };
	struct file_object object = { 0 };

	(void)!map_get_value(map, &key, &object);
	set_add(&object.self, &more->self);
	set_add(&object.under, &more->under);
	set_add(&object.subject, &more->subject);
	object.name_lengths |= more->name_lengths;
	object.flags |= more->flags;
	f->filter->seen[FILE_FILTER_AT(id->inode, id->device)] = 1;
	return map_set(map, "the files", &key, &object, e);
}

static int place_put(struct filling *f, int objects, int names, const struct file_path *file,
		     struct err *e)
{
	size_t len = strlen(file->name);
	struct file_place place = { .dir = file->dir, .gen = f->gen, .len = (uint32_t)len };
	struct file_object dir = { .name_lengths = 1ull << len % 64 };

	memcpy(place.name, file->name, min(len, sizeof(place.name)));
	if (map_set(names, "the names of files", &place, &file->object, e) < 0)
		return -e->code;
	return object_put(f, objects, &file->dir, &dir, e);
}

static int paths_write(struct filling *f, const struct object *o, struct err *e)
{
	int objects = object_map_fd(o, "file_objects"), names = object_map_fd(o, "file_names");

	vec_for_each(file, &f->paths.all) {
		if (file->id.inode && object_put(f, objects, &file->id, &file->object, e) < 0)
			return -e->code;
		if (!file->is_mount && *file->name && place_put(f, objects, names, file, e) < 0)
			return -e->code;
	}
	return 0;
}

static int subjects_write(struct filling *f, const struct object *o, struct err *e)
{
	int map = object_map_fd(o, "file_subjects");

	for (unsigned kind = SUBJECT_USER; kind < SUBJECT_KINDS; kind++)
		vec_for_each(s, &f->subjects.of[kind]) {
			struct subject_key key = { s->value, kind, f->gen };

			if (map_set(map, "the subjects", &key, &s->fulfils, e) < 0)
				return -e->code;
		}
	return 0;
}

/* Takes the generation's elements out of a hash, whose keys have it at the offset `at`. */
static void generation_clear(int map, size_t key_size, size_t at, uint32_t gen)
{
	char key[sizeof(struct file_place)], next[sizeof(struct file_place)];
	bool more = map_next_key(map, NULL, next);

	while (more) {
		memcpy(key, next, key_size);
		more = map_next_key(map, key, next);
		if (!memcmp(key + at, &gen, sizeof(gen)))
			map_unset(map, key);
	}
}

static int filling_write(struct filling *f, const struct object *o, struct err *e)
{
	int filter = object_map_fd(o, "file_filter"), rules = object_map_fd(o, "file_rules");

	generation_clear(object_map_fd(o, "file_objects"), sizeof(struct file_key),
			 offsetof(struct file_key, gen), f->gen);
	generation_clear(object_map_fd(o, "file_names"), sizeof(struct file_place),
			 offsetof(struct file_place, gen), f->gen);
	generation_clear(object_map_fd(o, "file_subjects"), sizeof(struct subject_key),
			 offsetof(struct subject_key, gen), f->gen);
	if (paths_write(f, o, e) < 0 || subjects_write(f, o, e) < 0 ||
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
			strbuf_appendf(out, ", not of %s",
				       policy_operation_name((enum policy_operation)bit));
}

const struct guard guard_file = {
	.name = "file",
	.domain = POLICY_FILE,
	.fill = fill,
	.strength = strength,
	.cost = file_cost,
};
