/* SPDX-License-Identifier: BSD-2-Clause */
/* The maps that all guards share. */
#include "enforce/shared.h"

#include "abi/policy_ancestry.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "base/units.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "bpf/pins.h"
#include "enforce/lists.h"

#include <errno.h>
#include <unistd.h>

#define DIR "policy"

/* clang-format off */
static const struct map_shape shapes[SHARED_COUNT] = {
	[SHARED_STATE] =    { "policy_state",    MAP_ARRAY,        4, sizeof(uint64_t),               2, .mappable = true },
	[SHARED_RULES] =    { "policy_rules",    MAP_ARRAY,        4, sizeof(struct policy_rule_row), 2 * POLICY_RULES },
	[SHARED_COUNTS] =   { "policy_counts",   MAP_PERCPU_ARRAY, 4, sizeof(struct policy_count),    POLICY_SLOTS },
	[SHARED_TRIPS] =    { "policy_trips",    MAP_ARRAY,        4, sizeof(struct policy_trip),     POLICY_SLOTS },
	[SHARED_TEXT] =     { "policy_text",     MAP_ARRAY,        4, sizeof(struct policy_text),     2 },
	[SHARED_STRENGTH] = { "policy_strength", MAP_ARRAY,        4, POLICY_STRENGTH,                2 * POLICY_RULES },
	[SHARED_LISTS] =    { "policy_lists",    MAP_ARRAY,        4, sizeof(struct policy_lists),    2 * POLICY_RULES },
	[SHARED_LINES] =    { "policy_lines",    MAP_HASH,         8, sizeof(struct policy_line),     POLICY_LINES, .on_demand = true },
};
/* clang-format on */

void shared_init(struct shared *s)
{
	*s = (struct shared){ 0 };
	for (unsigned i = 0; i < SHARED_COUNT; i++)
		s->fd[i] = -1;
}

void shared_done(struct shared *s)
{
	map_word_done(s->word);
	for (unsigned i = 0; i < SHARED_COUNT; i++)
		fd_close(&s->fd[i]);
}

static void pin_name(char out[static 64], unsigned i)
{
	(void)str_format(out, 64, DIR "/%s", shapes[i].name);
}

static int another_version(struct err *e)
{
	fail(e, ESTALE, "what is in force was put there by another version of sonda");
	return hint(e, "`sonda policy apply FILE` takes over from it without a gap; "
		       "`sonda policy off` ends it");
}

int shared_find(struct shared *s, bool *ret_there, struct err *e)
{
	char name[64];

	pin_name(name, SHARED_STATE);
	*ret_there = pins_have(name);
	for (unsigned i = 0; *ret_there && i < SHARED_COUNT; i++) {
		pin_name(name, i);
		if (pin_open(name, &s->fd[i], e) < 0)
			return hint(e, "`sonda policy off` removes what is left");
		if (!map_has_shape(s->fd[i], &shapes[i]))
			return another_version(e);
		if (i == SHARED_STATE && map_word(s->fd[i], &s->word, e) < 0)
			return -e->code;
		if (s->word[1] != POLICY_ABI)
			return another_version(e);
	}
	return 0;
}

int shared_make(struct shared *s, struct err *e)
{
	char name[64];

	/* without the state, what is there is of one who was stopped here */
	if (pins_remove(DIR, e) < 0 || pins_make(DIR, e) < 0)
		return -e->code;
	for (unsigned i = SHARED_COUNT; i-- > 0;) { /* the state last: where it is, all are */
		pin_name(name, i);
		if (map_make(&shapes[i], &s->fd[i], e) < 0 || pin_fd(s->fd[i], name, e) < 0)
			return -e->code;
	}
	if (map_word(s->fd[SHARED_STATE], &s->word, e) < 0)
		return -e->code;
	s->word[1] = POLICY_ABI;
	return 0;
}

int shared_give(const struct shared *s, struct object *o, struct err *e)
{
	struct object_map told;

	for (unsigned i = 0; i < SHARED_COUNT; i++)
		if (object_map_find(o, shapes[i].name, &told) &&
		    object_map_share(o, shapes[i].name, s->fd[i], e) < 0)
			return -e->code;
	return 0;
}

void shared_switch(struct shared *s, uint64_t word)
{
	__atomic_store_n(s->word, word, __ATOMIC_SEQ_CST);
}

/* ---- rules ---- */

static uint32_t place(unsigned gen, unsigned n)
{
	return gen * POLICY_RULES + n;
}

void slots_init(struct slots *slots, const struct shared *s, unsigned gen)
{
	*slots = (struct slots){ 0 };
	if (!s)
		return;
	slots->before = xcalloc(POLICY_RULES, sizeof(*slots->before));
	for (unsigned n = 0; n < POLICY_RULES; n++) {
		uint32_t at = place(gen, n);

		if (map_get_value(s->fd[SHARED_RULES], &at, &slots->before[n]) &&
		    slots->before[n].name[0])
			slots->taken[slots->before[n].slot % POLICY_SLOTS] = true;
	}
}

void slots_done(struct slots *slots)
{
	free(slots->before);
}

/* *ret_new: its counts begin at zero. */
static uint32_t slot_for(struct slots *slots, const char *name, bool *ret_new, uint32_t *ret_stamp)
{
	uint32_t slot = 0;

	*ret_stamp = (uint32_t)(clock_boot_ns() / 1000);

	for (unsigned n = 0; slots->before && !slots->apart && n < POLICY_RULES; n++)
		if (str_eq(slots->before[n].name, name)) {
			*ret_new = false;
			*ret_stamp = slots->before[n].stamp;
			return slots->before[n].slot;
		}
	while (slots->taken[slot])
		slot++;
	slots->taken[slot] = true;
	*ret_new = true;
	return slot;
}

static int expires(const struct policy *p, const struct policy_rule *r, uint64_t *ret_ns,
		   struct err *e)
{
	const struct policy_clause *c = policy_clause_find(r, WORD_EXPIRES, 0);
	uint64_t now_ns = clock_real_ns();
	int64_t at_s, left_s;

	*ret_ns = 0;
	if (!c)
		return 0;
	if (policy_date_parse(c->values.at[0].text, (int64_t)(now_ns / 1000000000), &at_s, e) < 0)
		return policy_wrap(p, c->at, e);
	left_s = at_s - (int64_t)(now_ns / 1000000000);
	*ret_ns = left_s > 0 ? clock_boot_ns() + (uint64_t)left_s * 1000000000 : 1;
	return 0;
}

static int trip_per_min(const struct policy *p, const struct policy_rule *r, uint32_t *ret,
			struct err *e)
{
	const struct policy_clause *c = policy_clause_find(r, WORD_TRIP, 0);
	uint64_t per_hour;

	*ret = 0;
	if (!c)
		return 0;
	if (rate_parse(c->values.at[0].text, &per_hour, e) < 0)
		return policy_wrap(p, c->at, e);
	*ret = (uint32_t)min(max(per_hour / 60, 1ull), (uint64_t)UINT32_MAX);
	return 0;
}

/* "10/min": 10 in windows of a minute. */
static int alerts_take(const struct policy *p, const struct policy_rule *r,
		       struct policy_rule_row *row, struct err *e)
{
	const struct policy_clause *most = policy_clause_find(r, WORD_AT_MOST, 0);
	const struct policy_clause *per = policy_clause_find(r, WORD_PER, 0);
	const char *slash, *text = most ? most->values.at[0].text : "";
	uint64_t per_hour, window_s;

	if (!most)
		return 0;
	if (rate_parse(text, &per_hour, e) < 0)
		return policy_wrap(p, most->at, e);
	slash = strchr(text, '/');
	window_s = !slash || slash[1] == 's' ? 1 : slash[1] == 'm' ? 60 : 3600;
	row->alert_most =
		(uint32_t)min(max(per_hour * window_s / 3600, 1ull), (uint64_t)UINT32_MAX);
	row->alert_window_ns = window_s * 1000000000;
	row->alert_per = !per                                    ? POLICY_ALERT_ALL
			 : str_eq(per->values.at[0].text, "exe") ? POLICY_ALERT_EXE
								 : POLICY_ALERT_USER;
	return 0;
}

/* A rule that is applied anew may refuse again, whatever it did before. */
static int slot_reset(struct shared *s, uint32_t slot, bool new, struct err *e)
{
	struct policy_trip trip = { 0 };

	if (map_set(s->fd[SHARED_TRIPS], "the rules' limits", &slot, &trip, e) < 0)
		return -e->code;
	return new ? map_zero_percpu(s->fd[SHARED_COUNTS], "the rules' counts", &slot,
				     sizeof(struct policy_count), e)
		   : 0;
}

int shared_trips_reset(struct shared *s, unsigned gen, struct err *e)
{
	for (unsigned n = 0; n < POLICY_RULES; n++) {
		struct policy_rule_row row = { 0 };
		uint32_t at = place(gen, n);

		if (map_get_value(s->fd[SHARED_RULES], &at, &row) && row.name[0] &&
		    slot_reset(s, row.slot, false, e) < 0)
			return -e->code;
	}
	return 0;
}

int shared_rule(struct shared *s, struct slots *slots, unsigned gen, unsigned n,
		const struct policy *p, const struct policy_rule *r, const char *strength,
		struct err *e)
{
	struct policy_rule_row row = { .mode = policy_rule_audits(r) ? POLICY_AUDIT
								     : POLICY_ENFORCE };
	char words[POLICY_STRENGTH] = "";
	uint64_t expires_ns = 0;
	uint32_t at = place(gen, n), trip = 0;
	bool new;

	str_copy(row.name, sizeof(row.name), r->name);
	str_copy(words, sizeof(words), strength);
	row.slot = slot_for(slots, r->name, &new, &row.stamp);
	if (expires(p, r, &expires_ns, e) < 0 || trip_per_min(p, r, &trip, e) < 0 ||
	    alerts_take(p, r, &row, e) < 0)
		return -e->code;
	row.expires_ns = expires_ns;
	row.trip_per_min = trip;
	if (slot_reset(s, row.slot, new, e) < 0 ||
	    map_set(s->fd[SHARED_RULES], "the rules", &at, &row, e) < 0)
		return -e->code;
	return map_set(s->fd[SHARED_STRENGTH], "the rules", &at, words, e);
}

int shared_set_lists(struct shared *s, unsigned gen, const struct policy *p, struct err *e)
{
	for (unsigned n = 0; n < p->rules.len; n++) {
		struct policy_lists lists = { 0 };
		uint32_t at = place(gen, n);

		if (lists_sum(p, &p->rules.at[n], &lists, e) < 0 ||
		    map_set(s->fd[SHARED_LISTS], "the rules' lists", &at, &lists, e) < 0)
			return -e->code;
	}
	return 0;
}

int shared_no_rules(struct shared *s, unsigned gen, unsigned n, struct err *e)
{
	static const struct policy_rule_row none;

	for (; n < POLICY_RULES; n++) {
		uint32_t at = place(gen, n);

		if (map_set(s->fd[SHARED_RULES], "the rules", &at, &none, e) < 0)
			return -e->code;
	}
	return 0;
}

void shared_alerts_tidy(const struct shared *s, int fd)
{
	uint32_t stamps[2][POLICY_SLOTS] = { 0 };
	struct policy_alert_key key, next;
	bool more = fd >= 0 && map_next_key(fd, NULL, &next);

	for (uint32_t at = 0; at < 2 * POLICY_RULES; at++) {
		struct policy_rule_row row = { 0 };

		if (map_get_value(s->fd[SHARED_RULES], &at, &row) && row.name[0])
			stamps[at / POLICY_RULES][row.slot % POLICY_SLOTS] = row.stamp;
	}
	while (more) {
		key = next;
		more = map_next_key(fd, &key, &next);
		if (stamps[0][key.slot % POLICY_SLOTS] != key.stamp &&
		    stamps[1][key.slot % POLICY_SLOTS] != key.stamp)
			map_unset(fd, &key);
	}
}

bool shared_read_row(const struct shared *s, unsigned gen, unsigned n, struct policy_rule_row *ret)
{
	uint32_t at = place(gen, n);

	return map_get_value(s->fd[SHARED_RULES], &at, ret);
}

void shared_read_rule(const struct shared *s, unsigned gen, unsigned n, struct enforce_rule *ret)
{
	uint64_t now_ns = clock_boot_ns();
	struct policy_rule_row row = { 0 };
	struct policy_trip trip = { 0 };
	uint32_t at = place(gen, n);

	*ret = (struct enforce_rule){ 0 };
	if (!map_get_value(s->fd[SHARED_RULES], &at, &row))
		return;
	(void)!map_get_value(s->fd[SHARED_STRENGTH], &at, ret->strength);
	(void)!map_get_value(s->fd[SHARED_LISTS], &at, &ret->lists);
	(void)!map_get_value(s->fd[SHARED_TRIPS], &row.slot, &trip);
	(void)!map_sum(s->fd[SHARED_COUNTS], &row.slot, (uint64_t *)&ret->count,
		       sizeof(ret->count) / sizeof(uint64_t));
	ret->mode = row.mode;
	ret->slot = row.slot;
	ret->tripped = trip.tripped;
	ret->expired = row.expires_ns && row.expires_ns <= now_ns;
	ret->expires_in_ns = row.expires_ns > now_ns ? row.expires_ns - now_ns : 0;
}

/* ---- the source ---- */

int shared_set_text(struct shared *s, unsigned gen, const char *text, struct err *e)
{
	auto_free struct policy_text *t = xnew(struct policy_text);
	uint32_t at = gen;

	t->size = (uint32_t)strlen(text);
	t->applied_ns = clock_real_ns();
	str_copy(t->text, sizeof(t->text), text);
	return map_set(s->fd[SHARED_TEXT], "the policy's text", &at, t, e);
}

int shared_text(const struct shared *s, unsigned gen, struct policy_text *ret, struct err *e)
{
	uint32_t at = gen;

	if (!map_get_value(s->fd[SHARED_TEXT], &at, ret))
		return fail(e, EIO, "the text of the policy in force can't be read");
	ret->text[sizeof(ret->text) - 1] = '\0';
	return 0;
}

/* One of the maps that all versions have. */
static int pinned_open(unsigned i, int *ret_fd, struct err *e)
{
	char name[64];

	pin_name(name, i);
	if (pin_open(name, ret_fd, e) < 0)
		return -e->code;
	return map_has_shape(*ret_fd, &shapes[i])
		       ? 0
		       : fail(e, ENOTSUP,
			      "'%s' of the other version of sonda is not as it should be",
			      shapes[i].name);
}

int shared_text_of_another(struct policy_text *ret, bool *ret_any, struct err *e)
{
	auto_close int state = -1, text = -1;
	uint64_t *mapped = NULL, word;

	if (pinned_open(SHARED_STATE, &state, e) < 0 || pinned_open(SHARED_TEXT, &text, e) < 0 ||
	    map_word(state, &mapped, e) < 0)
		return -e->code;
	word = __atomic_load_n(mapped, __ATOMIC_SEQ_CST);
	map_word_done(mapped);
	if (POLICY_DEADLINE(word) * 1000000 > clock_boot_ns())
		return fail(e, EBUSY, "the policy in force waits for confirmation");
	if (POLICY_DEADLINE(word))
		word ^= 1; /* its time was over: the one before it decides */
	*ret_any = word & POLICY_HOLDS(POLICY_ACTIVE(word));
	if (!*ret_any)
		return 0;
	if (!map_get_value(text, &(uint32_t){ POLICY_ACTIVE(word) }, ret))
		return fail(e, EIO, "the text of the policy in force can't be read");
	ret->text[sizeof(ret->text) - 1] = '\0';
	return 0;
}
