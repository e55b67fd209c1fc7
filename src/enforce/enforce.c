/* SPDX-License-Identifier: BSD-2-Clause */
/* Putting a policy into force, and out of it. The maps that all guards share are shared.c's. */
#include "enforce/enforce.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "bpf/object.h"
#include "bpf/pins.h"
#include "enforce/guard.h"
#include "enforce/lists.h"
#include "enforce/names.h"
#include "enforce/packet.h"
#include "enforce/shared.h"
#include "enforce/state.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define LOCKED           "/sys/fs/bpf"
#define LOCK_PATIENCE_NS 5000000000ull

/* ---- opening ---- */

/* On the BPF file system itself, of which there may be several. Waits a little for another sonda. */
static int lock_take(int *ret_fd, struct err *e)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	uint64_t until_ns = clock_mono_ns() + LOCK_PATIENCE_NS;
	int fd = open(LOCKED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail_as(e, errno == EACCES ? EXIT_DENIED : EXIT_FAILED, errno,
			       "open '%s': %s", LOCKED, strerror(errno));
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (clock_mono_ns() > until_ns) {
			close(fd);
			return fail(e, EBUSY, "another sonda is changing the policy");
		}
		nanosleep(&pause, NULL);
	}
	*ret_fd = fd;
	return 0;
}

/* What a deadline that has passed has done already is written down. */
static void settle(struct enforce *f)
{
	uint64_t word = *f->shared.word, deadline_ms = POLICY_DEADLINE(word);
	unsigned gen = POLICY_ACTIVE(word);

	if (!deadline_ms)
		return;
	if (clock_boot_ns() <= deadline_ms * 1000000) {
		f->state.waits_ns = deadline_ms * 1000000 - clock_boot_ns();
		return;
	}
	f->state.fell_back = true;
	shared_switch(&f->shared, (word & POLICY_HOLDS(gen ^ 1)) | (gen ^ 1));
}

static int policy_look(const struct enforce *f, unsigned gen, const char *name,
		       struct policy **ret_policy, uint64_t *ret_applied_ns, struct err *e)
{
	auto_free struct policy_text *text = xnew(struct policy_text);

	if (shared_text(&f->shared, gen, text, e) < 0 ||
	    policy_parse(name, text->text, ret_policy, e) < 0)
		return -e->code;
	*ret_applied_ns = text->applied_ns;
	return 0;
}

static int look(struct enforce *f, struct err *e)
{
	struct enforce_state *s = &f->state;
	unsigned active;
	uint64_t word;

	settle(f);
	word = *f->shared.word;
	active = POLICY_ACTIVE(word);
	if (word & POLICY_BESIDE &&
	    policy_look(f, active ^ 1, "policy beside", &s->beside, &s->beside_applied_ns, e) < 0)
		return -e->code;
	if (!(word & POLICY_HOLDS(active)))
		return 0;
	f->generation = active;
	if (policy_look(f, active, "policy in force", &s->policy, &s->applied_ns, e) < 0)
		return -e->code;
	s->in_force = s->policy->rules.len;
	return 0;
}

/* What was interrupted is begun again: those of the other version are back. */
static int aside_mend(struct err *e)
{
	return pins_are_aside() && (pins_remove("", e) < 0 || pins_back(e) < 0) ? -e->code : 0;
}

static bool any_guard_pinned(void)
{
	for (const struct guard *const *g = guards; *g; g++)
		if (pins_have((*g)->name))
			return true;
	return false;
}

static int orphaned(struct err *e)
{
	fail(e, ESTALE,
	     "guards are attached, but what they go by was removed from '" PINS_ROOT "/policy': "
	     "they refuse what they refused then");
	return hint(e,
		    "`sonda policy apply FILE` takes over from them; `sonda policy off` ends it");
}

static int open_state(const struct enforce_source *source, bool over, struct enforce **ret,
		      struct err *e)
{
	auto_ptr(enforce) f = xnew(struct enforce);
	bool there;
	int err;

	f->source = guard_source = source;
	f->lock = -1;
	f->generation = POLICY_NOBODY;
	shared_init(&f->shared);
	if (lock_take(&f->lock, e) < 0 || pins_check(e) < 0 || aside_mend(e) < 0)
		return -e->code;
	err = shared_find(&f->shared, &there, e);
	if (!err && !there && any_guard_pinned())
		err = orphaned(e);
	if (err == -ESTALE && over) {
		err_clear(e);
		f->over = true;
		there = false;
		shared_done(&f->shared);
		shared_init(&f->shared);
	} else if (err < 0)
		return err;
	if (there && look(f, e) < 0)
		return -e->code;
	*ret = TAKE_PTR(f);
	return 0;
}

int enforce_open(const struct enforce_source *source, struct enforce **ret, struct err *e)
{
	assert(source && ret && e);
	return open_state(source, false, ret, e);
}

int enforce_open_over(const struct enforce_source *source, struct enforce **ret, struct err *e)
{
	assert(source && ret && e);
	return open_state(source, true, ret, e);
}

static void parts_close(struct enforce *f)
{
	for (unsigned i = 0; i < f->part_count; i++)
		f->source->close(f->parts[i].handle);
	memset(f->parts, 0, sizeof(f->parts));
	f->part_count = 0;
}

void enforce_free(struct enforce *f)
{
	if (!f)
		return;
	parts_close(f);
	shared_done(&f->shared);
	policy_free(f->state.policy);
	policy_free(f->state.beside);
	fd_close(&f->lock);
	free(f);
}

const struct enforce_state *enforce_state(const struct enforce *f)
{
	return &f->state;
}

/* ---- applying ---- */

int part_open(struct enforce *f, const struct guard *g, struct part **ret, struct err *e)
{
	struct part *part = &f->parts[f->part_count];
	auto_free char *name = xasprintf("guard.%s", g->name);

	if (f->source->open(name, &part->handle, &part->object, e) < 0)
		return -e->code;
	part->guard = g;
	f->part_count++;
	*ret = part;
	return 0;
}

static int part_load(struct enforce *f, struct part *part, const struct object *before,
		     const struct policy *p, struct err *e)
{
	/* of a guard that is loaded now nothing is filled, so nothing decides by its maps */
	unsigned gen = f->generation == POLICY_NOBODY ? 1 : f->generation;
	const struct load_options options = { .part = LOAD_WITHOUT_PERIODIC };
	const struct guard *g = part->guard;

	part->fresh = !before;
	part->adds = before;
	if (shared_give(&f->shared, part->object, e) < 0 ||
	    (g->prepare && g->prepare(part->object, before, p, e) < 0))
		return -e->code;
	if (object_load(part->object, &options, e) < 0)
		return wrap(e, "guard.%s", g->name);
	return g->prove ? g->prove(part->object, before, p, gen, e) : 0;
}

/* What is new: the whole guard, or what one that was there was attached to now. */
static int part_pin(struct part *part, struct err *e)
{
	const char *name = part->guard->name;

	return pins_make(name, e) < 0 ? -e->code : object_pin(part->object, name, e);
}

/* What the guard in force lacks for `p`. Pinned at once: from now on it knows that it has it, also if applying
 * fails. */
static int part_extend(struct enforce *f, const struct part *in_force, const struct policy *p,
		       struct err *e)
{
	struct part *more;

	if (part_open(f, in_force->guard, &more, e) < 0 ||
	    object_maps_share(more->object, in_force->object, e) < 0)
		return -e->code;
	return part_load(f, more, in_force->object, p, e) < 0 ? -e->code : part_pin(more, e);
}

static int part_adopt(struct enforce *f, struct part *part, const struct policy *p, struct err *e)
{
	const struct guard *g = part->guard;

	if (object_adopt(part->object, g->name, e) < 0)
		return wrap(e, "guard.%s", g->name);
	if (part_check(part, e) < 0)
		return -e->code;
	return g->lacks && g->lacks(part->object, p) ? part_extend(f, part, p, e) : 0;
}

/* Guards that are pinned, or that the policy needs. */
static int parts_ready(struct enforce *f, const struct policy *p, struct err *e)
{
	for (const struct guard *const *g = guards; *g; g++) {
		bool pinned = pins_have((*g)->name);
		struct part *part = NULL;

		if (!pinned && guard_takes_any(*g, f->state.policy))
			return guard_lost(*g, e);
		if (!pinned && !guard_takes_any(*g, p))
			continue;
		if (part_open(f, *g, &part, e) < 0)
			return -e->code;
		if ((pinned ? part_adopt(f, part, p, e) : part_load(f, part, NULL, p, e)) < 0)
			return -e->code;
	}
	return 0;
}

/* May all guards that take part look at `p` beside what is in force? */
static int parts_beside(struct enforce *f, const struct policy *p, struct err *e)
{
	for (unsigned i = 0; i < f->part_count; i++) {
		const struct guard *g = f->parts[i].guard;

		if (!guard_takes_any(g, p))
			continue;
		if (!g->beside)
			return fail_as(e, EXIT_POLICY, ENOTSUP,
				       "guard.%s looks at no policy beside the one in force",
				       g->name);
		if (g->beside(f->parts[i].object, f->state.policy, p, e) < 0)
			return -e->code;
	}
	return 0;
}

static int parts_fill(struct enforce *f, const struct policy *p, unsigned gen, struct err *e)
{
	for (unsigned i = 0; i < f->part_count; i++)
		if (!f->parts[i].adds && f->parts[i].guard->fill(f->parts[i].object, p, gen, e) < 0)
			return -e->code;
	return 0;
}

static int parts_attach(struct enforce *f, const struct policy *p, struct err *e)
{
	for (unsigned i = 0; i < f->part_count; i++) {
		const struct guard *g = f->parts[i].guard;

		if (!f->parts[i].adds && g->attach && g->attach(f->parts[i].object, p, e) < 0)
			return wrap(e, "guard.%s", g->name);
	}
	return 0;
}

static int parts_pin(struct enforce *f, struct err *e)
{
	for (unsigned i = 0; i < f->part_count; i++)
		if (!f->parts[i].adds && part_pin(&f->parts[i], e) < 0)
			return -e->code;
	return 0;
}

/* A guard that was pinned now, taken away again: the policy is not going to be in force. */
static void parts_unpin(struct enforce *f)
{
	for (unsigned i = 0; i < f->part_count; i++)
		if (f->parts[i].fresh)
			guard_remove(f->parts[i].guard);
}

static void strength(const struct enforce *f, const struct policy_rule *r, struct strbuf *out)
{
	for (unsigned i = 0; i < f->part_count; i++)
		if (f->parts[i].guard->domain == r->domain && !f->parts[i].adds &&
		    f->parts[i].guard->strength)
			f->parts[i].guard->strength(f->parts[i].object, r, out);
}

static int rows_write(struct enforce *f, const struct policy *p, unsigned gen, bool beside,
		      struct err *e)
{
	auto_done(strbuf) words = { 0 };
	auto_done(slots) slots = { 0 };

	slots_init(&slots, f->generation == POLICY_NOBODY ? NULL : &f->shared, f->generation);
	slots.apart = beside;
	for (size_t i = 0; i < p->rules.len; i++) {
		const struct policy_rule *r = &p->rules.at[i];

		strbuf_reset(&words);
		strength(f, r, &words);
		if (guard_strength_check(p, r, strbuf_str(&words), e) < 0 ||
		    shared_rule(&f->shared, &slots, gen, (unsigned)i, p, r, strbuf_str(&words), e) <
			    0)
			return -e->code;
	}
	return shared_no_rules(&f->shared, gen, (unsigned)p->rules.len, e);
}

/* Everything but the switch. */
static int prepare(struct enforce *f, const struct policy *p, const char *text, unsigned gen,
		   bool beside, struct err *e)
{
	if (parts_ready(f, p, e) < 0 || (beside && parts_beside(f, p, e) < 0) ||
	    shared_set_lists(&f->shared, gen, p, e) < 0 || parts_fill(f, p, gen, e) < 0 ||
	    parts_attach(f, p, e) < 0 || rows_write(f, p, gen, beside, e) < 0 ||
	    shared_set_text(&f->shared, gen, text, e) < 0)
		return -e->code;
	return parts_pin(f, e);
}

static void alerts_tidy(const struct enforce *f)
{
	for (unsigned i = 0; i < f->part_count; i++)
		shared_alerts_tidy(&f->shared, object_map_fd(f->parts[i].object, "policy_alerts"));
}

/* Guards that neither generation has rules for. */
static void drop_idle_guards(const struct policy *now, const struct policy *before)
{
	for (const struct guard *const *g = guards; *g; g++)
		if (!guard_takes_any(*g, now) && !guard_takes_any(*g, before))
			guard_remove(*g);
}

/* A policy of no rules, for another to lie beside. */
static int lay_none(struct enforce *f, struct err *e)
{
	unsigned gen = POLICY_ACTIVE(*f->shared.word);

	if (parts_fill(f, NULL, gen, e) < 0 || shared_no_rules(&f->shared, gen, 0, e) < 0 ||
	    shared_set_text(&f->shared, gen, "", e) < 0)
		return -e->code;
	shared_switch(&f->shared, *f->shared.word | POLICY_HOLDS(gen));
	return 0;
}

/* Lays `p` into the generation `gen`, which nobody is to judge by meanwhile. On failure what was in force
 * is as it was. */
static int lay(struct enforce *f, const struct policy *p, const char *text, bool beside,
	       unsigned *ret_gen, struct err *e)
{
	unsigned gen;

	if (f->state.waits_ns)
		return hint((fail(e, EBUSY, "the policy in force waits for confirmation"), e),
			    "`sonda policy confirm` or `sonda policy rollback` first");
	if (!f->shared.word && shared_make(&f->shared, e) < 0)
		return -e->code;
	gen = POLICY_ACTIVE(*f->shared.word) ^ (f->generation != POLICY_NOBODY || beside);
	shared_switch(&f->shared, f->generation == POLICY_NOBODY
					  ? POLICY_ACTIVE(*f->shared.word)
					  : POLICY_HOLDS(f->generation) | f->generation);
	if (prepare(f, p, text, gen, beside, e) < 0 ||
	    (beside && f->generation == POLICY_NOBODY && lay_none(f, e) < 0)) {
		parts_unpin(f);
		if (f->generation == POLICY_NOBODY) {
			struct err ignored;

			(void)!pins_remove("", &ignored);
		}
		return -e->code;
	}
	*ret_gen = gen;
	return 0;
}

static uint64_t until(uint64_t confirm_ns)
{
	return confirm_ns ? (clock_boot_ns() + confirm_ns) / 1000000 << 8 : 0;
}

/* In force in the new guards first, which stand beside the old; then one takes the other's place where only one
 * can stand, and the old go. */
static int over_begin(struct enforce *f, const struct policy *p, const char *text,
		      uint64_t confirm_ns, struct err *e)
{
	if (shared_make(&f->shared, e) < 0 || parts_ready(f, p, e) < 0 ||
	    shared_set_lists(&f->shared, 0, p, e) < 0 || parts_fill(f, p, 0, e) < 0 ||
	    rows_write(f, p, 0, false, e) < 0 || shared_set_text(&f->shared, 0, text, e) < 0)
		return -e->code;
	shared_switch(&f->shared, POLICY_HOLDS(0) | until(confirm_ns));
	return parts_attach(f, p, e) < 0 ? -e->code : parts_pin(f, e);
}

static int take_over(struct enforce *f, const struct policy *p, const char *text,
		     uint64_t confirm_ns, struct err *e)
{
	struct err ignored;

	if (pins_aside(e) < 0)
		return -e->code;
	if (over_begin(f, p, text, confirm_ns, e) < 0) {
		parts_unpin(f);
		(void)!pins_remove("", &ignored);
		(void)!pins_back(&ignored);
		return -e->code;
	}
	return guards_aside_remove(e);
}

/* As if nothing was in force; the lock stays. */
static void forget(struct enforce *f)
{
	parts_close(f);
	shared_done(&f->shared);
	shared_init(&f->shared);
	policy_free(f->state.policy);
	policy_free(f->state.beside);
	f->state = (struct enforce_state){ 0 };
	f->generation = POLICY_NOBODY;
	f->over = false;
}

/* As if it was opened now. */
static int look_again(struct enforce *f, struct err *e)
{
	bool there;

	forget(f);
	return shared_find(&f->shared, &there, e) < 0 || look(f, e) < 0 ? -e->code : 0;
}

static int no_way_back(struct err *e)
{
	(void)wrap(e, "there would be no way back to what is in force");
	return hint(e, "without --confirm the new one takes over from it");
}

/* The way back leads to the policy that is in force now: it is put into force in this version's guards first,
 * word by word, so that the kernel has both generations. */
static int take_over_with_a_way_back(struct enforce *f, const struct policy *p, const char *text,
				     uint64_t confirm_ns, struct err *e)
{
	auto_free struct policy_text *before = xnew(struct policy_text);
	auto_ptr(policy) was = NULL;
	bool any;

	if (shared_text_of_another(before, &any, e) < 0)
		return no_way_back(e);
	if (!any)
		return take_over(f, p, text, confirm_ns, e);
	if (policy_parse("policy in force", before->text, &was, e) < 0 ||
	    take_over(f, was, before->text, 0, e) < 0)
		return no_way_back(e);
	return look_again(f, e) < 0 ? -e->code : enforce_apply(f, p, text, confirm_ns, e);
}

int enforce_apply(struct enforce *f, const struct policy *p, const char *text, uint64_t confirm_ns,
		  struct err *e)
{
	unsigned gen;

	assert(f && p && text && e);
	if (!f->over && lay(f, p, text, false, &gen, e) < 0) {
		if (e->code != ESTALE)
			return -e->code;
		err_clear(e);
		forget(f);
		f->over = true;
	}
	if (f->over)
		return (confirm_ns ? take_over_with_a_way_back : take_over)(f, p, text, confirm_ns,
									    e);
	shared_switch(&f->shared, (*f->shared.word & POLICY_HOLDS(gen ^ 1)) | POLICY_HOLDS(gen) |
					  gen | until(confirm_ns));
	alerts_tidy(f);
	drop_idle_guards(p, f->state.policy);
	return 0;
}

int enforce_beside(struct enforce *f, const struct policy *p, const char *text, struct err *e)
{
	unsigned gen;

	assert(f && p && text && e);
	if (lay(f, p, text, true, &gen, e) < 0)
		return -e->code;
	shared_switch(&f->shared, *f->shared.word | POLICY_HOLDS(gen) | POLICY_BESIDE);
	alerts_tidy(f);
	drop_idle_guards(p, f->state.policy);
	return 0;
}

int enforce_promote(struct enforce *f, uint64_t confirm_ns, struct err *e)
{
	uint64_t word;
	unsigned gen;

	if (!f->state.beside)
		return hint((fail(e, ENOENT, "no policy lies beside the one in force"), e),
			    "`sonda policy apply --audit FILE` lays one there");
	word = *f->shared.word;
	gen = POLICY_ACTIVE(word) ^ 1;
	if (shared_trips_reset(&f->shared, gen, e) < 0)
		return -e->code;
	shared_switch(&f->shared,
		      (word & (POLICY_HOLDS(0) | POLICY_HOLDS(1))) | gen | until(confirm_ns));
	return 0;
}

int enforce_confirm(struct enforce *f, struct err *e)
{
	if (!f->state.waits_ns) {
		fail(e, ENOENT, "no policy waits for confirmation");
		if (f->state.fell_back)
			hint(e, "the time was over: %s",
			     f->state.in_force ? "the policy before it is in force again"
					       : "nothing is in force");
		return -e->code;
	}
	shared_switch(&f->shared, *f->shared.word & 7);
	return 0;
}

static bool holds_rules(const struct enforce *f, unsigned gen)
{
	struct policy_rule_row row = { 0 };

	return *f->shared.word & POLICY_HOLDS(gen) && shared_read_row(&f->shared, gen, 0, &row) &&
	       row.name[0];
}

int enforce_rollback(struct enforce *f, bool *ret_ended, struct err *e)
{
	unsigned other = f->generation ^ 1;

	if (!f->state.in_force && !f->state.beside)
		return fail(e, ENOENT, "no policy is in force");
	if (f->state.in_force && f->state.beside) {
		shared_switch(&f->shared, POLICY_HOLDS(f->generation) | f->generation);
		drop_idle_guards(f->state.policy, NULL);
		*ret_ended = false;
		return 0;
	}
	*ret_ended = f->state.beside || !holds_rules(f, other);
	if (*ret_ended && !f->state.beside && !f->state.waits_ns)
		return hint((fail(e, ENOENT, "there is no policy to go back to"), e),
			    "what is in force stays; `sonda policy off` ends it");
	if (*ret_ended) {
		bool was;

		return enforce_off(&was, e);
	}
	shared_switch(&f->shared, POLICY_HOLDS(other) | other);
	return 0;
}

int enforce_off(bool *ret_was, struct err *e)
{
	bool guards_were = any_guard_pinned();
	struct shared shared;
	struct err ignored;

	if (pins_check(e) < 0)
		return -e->code;
	/* The kernel takes what is attached away a little after its pin: until then nothing is in
	 * force. Also where half of it is gone, so without complaint. */
	shared_init(&shared);
	if (shared_find(&shared, ret_was, &ignored) == 0 && *ret_was)
		shared_switch(&shared, 0);
	shared_done(&shared);
	*ret_was |= guards_were;
	for (const struct guard *const *g = guards; *g; g++)
		guard_remove(*g);
	if (guards_aside_remove(e) < 0)
		return -e->code;
	return pins_remove("", e);
}

void enforce_rule(const struct enforce *f, size_t nth, struct enforce_rule *ret)
{
	assert(f->state.in_force && nth < f->state.policy->rules.len);
	shared_read_rule(&f->shared, f->generation, (unsigned)nth, ret);
}

void enforce_rule_beside(const struct enforce *f, size_t nth, struct enforce_rule *ret)
{
	assert(f->state.beside && nth < f->state.beside->rules.len);
	shared_read_rule(&f->shared, POLICY_ACTIVE(*f->shared.word) ^ 1, (unsigned)nth, ret);
}

void enforce_cautions(const struct policy *p, struct strbuf *out)
{
	names_caution(p, out);
	interfaces_caution(p, out);
	lists_caution(p, out);
	for (const struct guard *const *g = guards; *g; g++)
		if ((*g)->caution)
			(*g)->caution(p, out);
}
