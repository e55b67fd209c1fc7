/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard of files: rules turned into sets by object, operation and subject, and laid into its maps. */
#include "abi/policy_file.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "enforce/enforce.h"
#include "enforce/file_hooks.h"
#include "enforce/file_paths.h"
#include "enforce/file_trial.h"
#include "enforce/guard.h"
#include "enforce/subjects.h"

#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

/* What a generation is made of. */
struct filling {
	const struct policy *policy;
	size_t rule; /* at hand */
	struct file_paths paths;
	struct subjects subjects;
	struct file_rules rules;
	struct file_filter *filter;
	struct file_proof proof;
	uint32_t gen;
};

/* Of a guard that was pinned before there were proofs, none. */
static void proof_read(const struct object *o, struct file_proof *ret)
{
	int map = object_map_fd(o, "file_proof");
	uint32_t zero = 0;

	if (map < 0 || !map_get_value(map, &zero, ret))
		*ret = (struct file_proof){ 0 };
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

/* "unlink, rename" */
static void operations_name(unsigned operations, struct strbuf *out)
{
	const char *between = "";

	for (unsigned bit = 1; bit <= POLICY_CHANGE; bit <<= 1)
		if (operations & bit) {
			strbuf_appendf(out, "%s%s", between,
				       policy_operation_name(POLICY_FILE, bit));
			between = ", ";
		}
}

/* What sees it at all, where nothing can be refused: making a file only by open(2), so that a rule that
 * denies it isn't kept, but one that tells is of use. */
static unsigned seen(const struct file_proof *proof)
{
	return proof->rung == FILE_RUNG_AFTER && proof->denied & POLICY_READ
		       ? proof->denied | POLICY_CREATE
		       : proof->denied;
}

static bool has_program_condition(const struct policy_rule *rule)
{
	return policy_clause_find(rule, WORD_EXE, 0) || policy_clause_find(rule, WORD_ANCESTOR, 0);
}

/* The rule is enforced, in the strength that it wants or accepts, or the policy is refused. */
static int rule_check(const struct filling *f, const struct policy_rule *rule, struct err *e)
{
	bool denies = rule->verdict == POLICY_DENY;
	unsigned lacks = rule->operations & ~(denies ? f->proof.denied : seen(&f->proof));
	auto_done(strbuf) words = { 0 };

	if (f->proof.flags & FILE_PROOF_NO_CALLER && rule->operations & POLICY_EXEC &&
	    has_program_condition(rule)) {
		fail_as(e, EXIT_KERNEL, ENOTSUP,
			"this kernel sees a program that is run, but not which one runs it");
		return policy_wrap(f->policy, rule->verdict_at, e);
	}
	if (!lacks || (!denies && lacks != rule->operations))
		return 0;
	operations_name(lacks, &words);
	fail_as(e, EXIT_KERNEL, ENOTSUP, "this kernel %s %s of files",
		f->proof.rung == FILE_RUNG_AFTER ? "shows nobody" : "lets nobody deny",
		strbuf_str(&words));
	return policy_wrap(f->policy, rule->verdict_at, e);
}

/* Rules that deny, but only tell here. */
static bool only_detects(const struct file_proof *proof, const struct policy_rule *rule)
{
	return proof->rung == FILE_RUNG_AFTER && rule->verdict == POLICY_DENY &&
	       !policy_rule_audits(rule) && !(policy_rule_accepts(rule) & ACCEPT_KILL);
}

static void detecting_sort(struct file_rules *rules)
{
	for (int i = 0; i < RULE_WORDS; i++) {
		rules->subjects.refusing.words[i] &= ~rules->detecting.words[i];
		rules->subjects.alerting.words[i] |= rules->detecting.words[i];
	}
}

static int rule_read(struct filling *f, const struct policy_rule *rule, struct err *e)
{
	if (rule_check(f, rule, e) < 0)
		return -e->code;
	for (int i = 0; i < FILE_OPERATIONS; i++)
		if (rule->operations & 1u << i)
			rule_put(&f->rules.by_operation[i], f->rule);
	if (only_detects(&f->proof, rule))
		rule_put(&f->rules.detecting, f->rule);
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
	if (subjects_read(&f->subjects, f->policy, POLICY_FILE, &f->paths, false, e) < 0 ||
	    file_paths_nest(&f->paths, e) < 0)
		return -e->code;
	subjects_rules(&f->subjects, f->policy, POLICY_FILE, &f->rules.subjects);
	detecting_sort(&f->rules);
	return file_paths_identify(&f->paths, e);
}

/* ---- into the maps ---- */

static void filter_set(struct file_filter *filter, const struct file_id *id)
{
	filter->seen[FILE_FILTER_AT(id->inode)] |= FILE_SEEN;
}

static void filter_set_place(struct file_filter *filter, const struct file_path *file)
{
	uint64_t first = file_name_first(file->name), len = strlen(file->name);

	filter_set(filter, &file->dir);
	filter->seen[FILE_FILTER_PLACE_AT(file->dir.inode, first, len)] |= FILE_SEEN_PLACE;
}

static int filter_fill(struct filling *f, struct err *e)
{
	f->filter->epoch = clock_boot_ns();
	if (getrandom(f->filter->secrets, sizeof(f->filter->secrets), 0) !=
	    sizeof(f->filter->secrets))
		return fail(e, EAGAIN, "no random numbers are to be had");
	vec_for_each(file, &f->paths.all) {
		if (file->id.inode)
			filter_set(f->filter, &file->id);
		if (!file->is_mount && *file->name)
			filter_set_place(f->filter, file);
	}
	return 0;
}

static int filling_write(struct filling *f, const struct object *o, struct err *e)
{
	int filter = object_map_fd(o, "file_filter"), rules = object_map_fd(o, "file_rules");

	if (filter_fill(f, e) < 0 ||
	    subjects_write(&f->subjects, &f->paths, o, f->gen, e) < 0 ||
	    map_set(rules, "the rules", &f->gen, &f->rules, e) < 0)
		return -e->code;
	return map_set(filter, "the filter", &f->gen, f->filter, e);
}

static int filling_end(struct filling *f, const struct object *o, int err, struct err *e)
{
	if (!err)
		err = filling_write(f, o, e);
	subjects_done(&f->subjects);
	file_paths_done(&f->paths);
	return err;
}

int file_guard_fill(const struct object *o, const struct policy *p, unsigned gen, struct err *e)
{
	auto_free struct file_filter *filter = xnew(struct file_filter);
	struct filling f = { .policy = p, .filter = filter, .gen = gen };

	proof_read(o, &f.proof);
	return filling_end(&f, o, policy_take(&f, e), e);
}

static int trial_take(struct filling *f, const char *const *paths, size_t count, struct err *e)
{
	size_t index;

	f->filter->any = 1;
	for (size_t i = 0; i < count; i++) {
		if (file_paths_add(&f->paths, paths[i], &index, e) < 0)
			return -e->code;
		f->paths.all.at[index].object.flags |= FILE_IS_TRIAL;
	}
	return file_paths_identify(&f->paths, e);
}

int file_guard_fill_trial(const struct object *o, const char *const *paths, size_t count,
			  unsigned gen, struct err *e)
{
	auto_free struct file_filter *filter = xnew(struct file_filter);
	struct filling f = { .filter = filter, .gen = gen };

	return filling_end(&f, o, trial_take(&f, paths, count, e), e);
}

/* ---- loading ---- */

static int deny_check(const struct policy *p, const struct file_ladder *ladder, struct err *e)
{
	vec_for_each(r, &p->rules) {
		if (r->domain != POLICY_FILE || r->verdict != POLICY_DENY ||
		    policy_rule_accepts(r) || ladder->rung != FILE_RUNG_AFTER)
			continue;
		fail_as(e, EXIT_KERNEL, ENOTSUP, "this kernel can't deny: %s", ladder->why);
		policy_wrap(p, r->verdict_at, e);
		return hint(
			e,
			"`accept kill` has who does it killed afterwards, `accept detect` has it told; "
			"or `alert`");
	}
	return 0;
}

static int prepare(struct object *o, const struct object *before, const struct policy *p,
		   struct err *e)
{
	const struct file_ladder *ladder;
	struct file_proof proof = { 0 };

	if (before)
		proof_read(before, &proof);
	if (file_ladder(o, &ladder, e) < 0 || deny_check(p, ladder, e) < 0)
		return -e->code;
	return file_hooks_choose(o, file_hooks_needed(ladder, file_operations(p)) & ~proof.slots,
				 e);
}

static bool lacks(const struct object *in_force, const struct policy *p)
{
	struct file_ladder ladder = { 0 };
	struct file_proof proof;

	proof_read(in_force, &proof);
	ladder.rung = (enum file_rung)proof.rung;
	return file_hooks_needed(&ladder, file_operations(p)) & ~proof.slots;
}

/* With all that the policy needs loaded once more, in maps of its own: those of the guard are in use. */
static int prove_aside(const struct policy *p, struct file_proof *ret, struct err *e)
{
	struct object *o;
	void *handle;
	int err;

	if (guard_source->open("guard.file", &handle, &o, e) < 0)
		return -e->code;
	err = prepare(o, NULL, p, e);
	if (!err)
		err = object_load(o, NULL, e);
	if (!err)
		err = file_trial(o, 1, ret, e);
	guard_source->close(handle);
	return err;
}

static int prove(struct object *o, const struct object *before, const struct policy *p,
		 unsigned gen, struct err *e)
{
	struct file_proof known = { 0 }, proof = { 0 };
	const struct file_ladder *ladder;
	uint32_t zero = 0;

	if (before)
		proof_read(before, &known);
	if (file_ladder(o, &ladder, e) < 0 ||
	    (before ? prove_aside(p, &proof, e) : file_trial(o, gen, &proof, e)) < 0)
		return -e->code;
	proof.rung = ladder->rung;
	proof.slots = known.slots | file_hooks_needed(ladder, file_operations(p));
	proof.denied |= known.denied;
	proof.flags |= known.flags;
	return map_set(object_map_fd(o, "file_proof"), "what was proven", &zero, &proof, e);
}

/* ---- what it is worth ---- */

static void strength(const struct object *o, const struct policy_rule *r, struct strbuf *out)
{
	struct file_proof proof;
	unsigned lacks;

	proof_read(o, &proof);
	lacks = r->operations & ~seen(&proof);
	if (lacks == r->operations)
		strbuf_puts(out, "none");
	else if (proof.rung != FILE_RUNG_AFTER)
		strbuf_puts(out, policy_verdict_name(r->verdict));
	else
		strbuf_puts(out, policy_rule_accepts(r) & ACCEPT_KILL ? "kill after" : "detect");
	strbuf_puts(out, " (");
	file_method(&proof, r->operations, out);
	strbuf_putc(out, ')');
	if (proof.rung == FILE_RUNG_AFTER && r->operations & POLICY_CREATE)
		strbuf_puts(out, ", create by open only");
	if (lacks)
		strbuf_puts(out, "; not of ");
	operations_name(lacks, out);
}

const struct guard guard_file = {
	.name = "file",
	.domain = POLICY_FILE,
	.prepare = prepare,
	.lacks = lacks,
	.prove = prove,
	.fill = file_guard_fill,
	.strength = strength,
	.cost = file_cost,
	.caution = file_caution,
	.beside = guard_beside_anywhere,
};
