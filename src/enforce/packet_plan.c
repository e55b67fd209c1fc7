/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules about packets as tables: a class for each value of a field, a mask of rules for each class. */
#include "enforce/packet.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "bpf/arrays.h"

enum {
	SIEVE_FROM =
		4096, /* places where the class of a source changes, from which the sieve pays */
	SPREADS_TRIED = 10000,
	LIMIT_CPUS = 1024,
};

/* A clause of a rule, numbered within its field. */
struct part {
	unsigned rule;
	bool unless;
	const struct policy_clause *clause;
};

struct field {
	struct classes classes;
	vec(struct part) parts;
};

struct range {
	uint16_t first, last, clause;
};

struct making {
	const struct policy *p;
	const struct packet_scope *scope;
	struct packet_tables *t;
	struct field fields[PACKET_POST];
	network_list networks[4]; /* as the plan's pieces */
	vec(struct range) ranges[2];
	vec(struct packet_device) devices;
	/* while values of a clause are read */
	unsigned field, clause;
};

static const struct {
	enum policy_word word;
	unsigned kind; /* enum packet_kind */
} kind_words[] = {
	{ WORD_TCP, PACKET_TCP },           { WORD_UDP, PACKET_UDP },
	{ WORD_ICMP, PACKET_ICMP },         { WORD_SYN, PACKET_SYN },
	{ WORD_FRAGMENT, PACKET_FRAGMENT }, { WORD_MALFORMED, PACKET_MALFORMED },
};

static void mask_set(struct packet_mask *mask, unsigned rule, bool on)
{
	uint64_t bit = 1ull << rule % 64;

	mask->words[rule / 64] = on ? mask->words[rule / 64] | bit : mask->words[rule / 64] & ~bit;
}

/* ---- values of clauses ---- */

static int network_take(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct making *m = ctx;
	struct policy_network n;
	struct network *added;

	if (policy_network_parse(text, &n, e) < 0)
		return policy_wrap(m->p, at, e);
	added = vec_add(&m->networks[m->field + (n.family == AF_INET ? 0 : 2)]);
	memcpy(added->bytes, n.bytes, sizeof(added->bytes));
	added->bits = n.bits;
	added->clause = (uint16_t)m->clause;
	return 0;
}

static int ports_take(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct making *m = ctx;
	struct range range = { .clause = (uint16_t)m->clause };

	if (policy_ports_parse(text, &range.first, &range.last, e) < 0)
		return policy_wrap(m->p, at, e);
	vec_push(&m->ranges[m->field == PACKET_PORT], range);
	return 0;
}

static int device_take(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct making *m = ctx;
	struct classes *classes = &m->fields[PACKET_ON].classes;
	struct packet_device *device = NULL;
	unsigned ifindex;

	if (interface_find(text, &ifindex, e) < 0)
		return policy_wrap(m->p, at, e);
	vec_for_each(d, &m->devices)
		if (d->ifindex == ifindex)
			device = d;
	if (!device) {
		device = vec_add(&m->devices);
		device->ifindex = ifindex;
	}
	device->class = class_with(classes, device->class, m->clause);
	return 0;
}

static void what_add(struct making *m, unsigned first, unsigned count)
{
	struct classes *classes = &m->fields[PACKET_WHAT].classes;

	for (unsigned what = first; what < first + count; what++) {
		uint16_t *class = &m->t->plan->whats[what];

		*class = (uint16_t)class_with(classes, *class, m->clause);
	}
}

static int protocol_take(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct making *m = ctx;
	uint8_t protocol;

	if (policy_protocol_parse(text, &protocol, e) < 0)
		return policy_wrap(m->p, at, e);
	what_add(m, protocol, 1);
	if (protocol == IPPROTO_ICMP)
		what_add(m, PACKET_ICMP_TYPES, 256);
	else if (protocol == IPPROTO_ICMPV6)
		what_add(m, PACKET_ICMP6_TYPES, 256);
	return 0;
}

static int icmp_type_take(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct making *m = ctx;
	int type, type6;

	if (policy_icmp_type_parse(text, &type, &type6, e) < 0)
		return policy_wrap(m->p, at, e);
	if (type >= 0)
		what_add(m, PACKET_ICMP_TYPES + (unsigned)type, 1);
	if (type6 >= 0)
		what_add(m, PACKET_ICMP6_TYPES + (unsigned)type6, 1);
	return 0;
}

static const struct word_field {
	enum policy_word word;
	enum packet_field field;
	policy_value_fn *take;
} word_fields[] = {
	{ WORD_FROM, PACKET_FROM, network_take },
	{ WORD_TO, PACKET_TO, network_take },
	{ WORD_SOURCE_PORT, PACKET_SOURCE_PORT, ports_take },
	{ WORD_PORT, PACKET_PORT, ports_take },
	{ WORD_ON, PACKET_ON, device_take },
	{ WORD_PROTOCOL, PACKET_WHAT, protocol_take },
	{ WORD_ICMP_TYPE, PACKET_WHAT, icmp_type_take },
};

static int clause_take(struct making *m, unsigned rule, const struct policy_clause *clause,
		       policy_value_fn *take, struct err *e)
{
	struct field *field = &m->fields[m->field];

	m->clause = (unsigned)field->parts.len;
	assert(m->clause < CLAUSES_MAX);
	vec_push(&field->parts, ((struct part){ rule, clause->unless, clause }));
	m->t->plan->uses |= 1u << m->field;
	return policy_each(m->p, &clause->values, take, m, e);
}

static int clauses_take(struct making *m, struct err *e)
{
	for (const struct word_field *w = word_fields; w < word_fields + ARRAY_LEN(word_fields);
	     w++) {
		m->field = w->field;
		for (unsigned rule = 0; rule < m->p->rules.len; rule++)
			vec_for_each(clause, &m->p->rules.at[rule].clauses)
				if (m->p->rules.at[rule].domain == m->scope->domain &&
				    clause->word->word == w->word &&
				    clause_take(m, rule, clause, w->take, e) < 0)
					return -e->code;
	}
	return 0;
}

/* ---- tables ---- */

static void networks_fill(struct making *m)
{
	static const unsigned fields[] = { PACKET_FROM, PACKET_TO, PACKET_FROM, PACKET_TO };
	struct packet_tables *t = m->t;

	t->sieve = xnew(struct packet_sieve);
	for (unsigned i = 0; i < ARRAY_LEN(fields); i++) {
		size_t places =
			networks_compile(&m->networks[i], &m->fields[fields[i]].classes, &t->steps,
					 t->plan->pieces[i], i ? NULL : t->sieve);

		vec_done(&m->networks[i]);
		if (!i)
			t->plan->has_sieve = places >= SIEVE_FROM;
	}
	memcpy(&t->plan->block, t->steps.at,
	       min(t->steps.len, (size_t)PACKET_BLOCK) * sizeof(*t->steps.at));
}

/* The class changes only where a range begins or has ended. */
static void ports_fill(struct making *m, unsigned which, struct classes *classes)
{
	auto_free bool *edge = xcalloc(65537, sizeof(*edge));
	uint16_t *ports = m->t->plan->ports[which];
	uint32_t class = 0;

	vec_for_each(r, &m->ranges[which])
		edge[r->first] = edge[r->last + 1] = true;
	for (unsigned port = 0; port < 65536; port++) {
		if (edge[port]) {
			struct clause_set set = { 0 };

			vec_for_each(r, &m->ranges[which])
				if (r->first <= port && port <= r->last)
					set.words[r->clause / 64] |= 1ull << r->clause % 64;
			class = class_of(classes, &set);
		}
		ports[port] = (uint16_t) class;
	}
}

static bool devices_spread(struct making *m, uint32_t spread)
{
	struct packet_plan *plan = m->t->plan;

	memset(plan->devices, 0, sizeof(plan->devices));
	plan->spread = spread;
	vec_for_each(d, &m->devices) {
		uint32_t slot = (d->ifindex * spread) >> 22;

		if (plan->devices[slot].ifindex)
			return false;
		plan->devices[slot] = *d;
	}
	return true;
}

static int devices_fill(struct making *m, struct err *e)
{
	for (uint32_t i = 0; i < SPREADS_TRIED; i++)
		if (devices_spread(m, 0x9e3779b1u + 2 * i * 0x85ebca6bu))
			return 0;
	return fail_as(e, EXIT_POLICY, E2BIG,
		       "rules name %zu network interfaces, which are too many", m->devices.len);
}

static int masks_fill(struct making *m, unsigned field, struct err *e)
{
	const struct field *f = &m->fields[field];

	if (f->classes.sets.len > PACKET_CLASSES) {
		fail_as(e, EXIT_POLICY, E2BIG,
			"what rules say behind '%s' overlaps in more than %u ways",
			f->parts.at[0].clause->word->name, PACKET_CLASSES - 1);
		return policy_wrap(m->p, f->parts.at[0].clause->at, e);
	}
	for (uint32_t class = 0; class < f->classes.sets.len; class ++) {
		struct packet_mask *mask = &m->t->plan->masks[field][class];

		memset(mask, 0xff, sizeof(*mask));
		for (unsigned i = 0; i < f->parts.len; i++)
			if (class_has(&f->classes, class, i) == f->parts.at[i].unless)
				mask_set(mask, f->parts.at[i].rule, false);
	}
	return 0;
}

static void posts_fill(struct making *m)
{
	struct packet_plan *plan = m->t->plan;

	plan->uses |= m->scope->posts ? 1u << PACKET_POST : 0;
	for (unsigned i = 0; m->scope->posts && i < m->p->rules.len; i++) {
		const struct policy_rule *r = &m->p->rules.at[i];

		if (r->domain == m->scope->domain)
			mask_set(&plan->masks[PACKET_POST][m->scope->post_of(r, m->scope->ctx)], i,
				 true);
	}
}

static bool kind_fits(const struct policy_rule *r, unsigned kinds)
{
	vec_for_each(c, &r->clauses)
		for (size_t i = 0; i < ARRAY_LEN(kind_words); i++)
			if (c->word->word == kind_words[i].word &&
			    !!(kinds & kind_words[i].kind) == c->unless)
				return false;
	return true;
}

static void kinds_fill(struct making *m)
{
	for (unsigned kinds = 0; kinds < PACKET_KINDS; kinds++)
		for (unsigned i = 0; i < m->p->rules.len; i++)
			mask_set(&m->t->plan->kinds[kinds], i,
				 m->p->rules.at[i].domain == m->scope->domain &&
					 kind_fits(&m->p->rules.at[i], kinds));
}

/* ---- rules ---- */

/* How much may come at once: as it is said, else what comes in a second. */
static uint64_t limit_burst(const struct policy_limit *limit)
{
	uint64_t for_ns = limit->for_ns ? limit->for_ns : 1000000000ull;
	double burst = (double)limit->per_hour * ((double)for_ns / 3600e9);

	if (limit->burst)
		return limit->burst;
	return burst < 1 ? 1 : burst < 1e18 ? (uint64_t)burst : (uint64_t)1e18;
}

/* The rate as time: of packets, or of bytes. false: it is too fast, too slow, or too much at once. */
static bool limit_steps(struct packet_rule *rule, uint64_t per_hour, uint64_t burst)
{
	unsigned shift = rule->bytes ? PACKET_BYTE_SHIFT : 0;
	/* what CPUs take at the same time, each the largest packet, comes on top */
	uint64_t at_once = rule->bytes ? LIMIT_CPUS * (65536 >> PACKET_BYTE_SHIFT) : LIMIT_CPUS;
	uint64_t room;

	rule->step = (PACKET_TIME(3600000000000ull) << shift) / per_hour;
	if (!rule->step || (rule->bytes && rule->step > 1ull << 44) ||
	    __builtin_mul_overflow(burst, rule->step, &room) || room >> shift > 1ull << 61)
		return false;
	rule->room = (room - rule->step) >> shift;
	rule->ahead = 2 * (room >> shift) + at_once * rule->step;
	return true;
}

static int limit_fill(const struct making *m, const struct policy_rule *r, struct packet_rule *rule,
		      struct err *e)
{
	static const enum packet_per pers[] = {
		[PER_ALL] = PACKET_PER_ALL,         [PER_SOURCE] = PACKET_PER_SOURCE,
		[PER_NETWORK] = PACKET_PER_NETWORK, [PER_DESTINATION] = PACKET_PER_DESTINATION,
		[PER_PORT] = PACKET_PER_PORT,
	};
	const struct policy_limit *limit = &r->limit;

	rule->per = (uint8_t)pers[limit->per];
	rule->bytes = limit->bytes;
	if (!limit_steps(rule, limit->per_hour, limit_burst(limit)) ||
	    limit->drop_ns > (1ull << 57)) {
		fail_as(e, EXIT_POLICY, ERANGE,
			"a limit of %llu%s an hour, %llu at once, can't be kept",
			(unsigned long long)limit->per_hour, limit->bytes ? " bytes" : "",
			(unsigned long long)limit_burst(limit));
		return policy_wrap(m->p, r->verdict_at, e);
	}
	rule->drop = PACKET_TIME(limit->drop_ns);
	/* the tick is too coarse where a bucket fills up within a few */
	rule->fine = rule->room + (rule->bytes ? 0 : rule->step) <
		     PACKET_TIME(8ull * m->t->plan->tick_ns);
	return 0;
}

/* The word's only value; NULL: it isn't said. */
static const char *said(const struct policy_rule *r, enum policy_word word)
{
	const struct policy_clause *c = policy_clause_find(r, word, 0);

	return c ? c->values.at[0].text : NULL;
}

static int target_fill(const struct making *m, const struct policy_rule *r, const char *name,
		       struct packet_rule *rule, struct err *e)
{
	rule->changes |= r->verdict == POLICY_MIRROR ? PACKET_MIRROR : PACKET_REDIRECT;
	if (interface_find(name, &rule->target, e) == 0)
		return 0;
	return policy_wrap(m->p, policy_clause_find(r, WORD_TARGET, 0)->values.at[0].at, e);
}

/* The forms of the values were checked with the policy. */
static int change_fill(const struct making *m, const struct policy_rule *r,
		       struct packet_rule *rule, struct err *e)
{
	const char *dscp = said(r, WORD_AS), *mark = said(r, WORD_FWMARK),
		   *class = said(r, WORD_CLASS), *target = said(r, WORD_TARGET);

	rule->changes = (uint8_t)((dscp ? PACKET_SET_DSCP : 0) | (mark ? PACKET_SET_MARK : 0) |
				  (class ? PACKET_SET_PRIORITY : 0));
	if ((dscp && policy_dscp_parse(dscp, &rule->dscp, e) < 0) ||
	    (mark && policy_number_parse(mark, &rule->mark, e) < 0) ||
	    (class && policy_class_parse(class, &rule->priority, e) < 0))
		return policy_wrap(m->p, r->verdict_at, e);
	return target ? target_fill(m, r, target, rule, e) : 0;
}

/* Does it leave the decision to the next rule, always or at times? */
static bool asks_on(const struct policy_rule *r)
{
	return r->verdict == POLICY_LIMIT || r->verdict == POLICY_WATCH ||
	       r->verdict == POLICY_ANSWER || r->verdict == POLICY_MARK ||
	       r->verdict == POLICY_MIRROR || policy_rule_audits(r) ||
	       policy_clause_find(r, WORD_EXPIRES, 0) || policy_clause_find(r, WORD_TRIP, 0);
}

/* To watch for what is above a rate is a limit that drops nothing before it is a flood. */
static uint8_t rule_verdict(const struct policy_rule *r)
{
	static const uint8_t verdicts[] = {
		[POLICY_DROP] = PACKET_DROP,       [POLICY_PASS] = PACKET_PASS,
		[POLICY_LIMIT] = PACKET_LIMIT,     [POLICY_WATCH] = PACKET_WATCH,
		[POLICY_MARK] = PACKET_CHANGE,     [POLICY_MIRROR] = PACKET_CHANGE,
		[POLICY_REDIRECT] = PACKET_CHANGE, [POLICY_ANSWER] = PACKET_ANSWER,
	};

	return r->verdict == POLICY_WATCH && r->limit.per_hour ? PACKET_LIMIT
							       : verdicts[r->verdict];
}

static int rules_fill(struct making *m, struct err *e)
{
	unsigned ask_on = 0;

	for (unsigned i = 0; i < m->p->rules.len; i++) {
		const struct policy_rule *r = &m->p->rules.at[i];
		struct packet_rule *rule = &m->t->plan->rules[i];

		if (r->domain != m->scope->domain)
			continue;
		rule->verdict = rule_verdict(r);
		if ((r->limit.per_hour && limit_fill(m, r, rule, e) < 0) ||
		    (rule->verdict == PACKET_CHANGE && change_fill(m, r, rule, e) < 0))
			return -e->code;
		ask_on += !m->scope->unordered && asks_on(r);
		if (ask_on <= PACKET_ASKED)
			continue;
		fail_as(e, EXIT_POLICY, E2BIG,
			"more than %u rules about packets that may leave the decision to the next one",
			PACKET_ASKED);
		hint(e,
		     "these are limit, watch, mark, mirror, and rules with mode audit, expires or trip");
		return policy_wrap(m->p, r->at, e);
	}
	return 0;
}

static void plan_begin(const struct policy *p, struct packet_plan *plan)
{
	struct timespec tick = { 0, 4000000 };

	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	plan->tick_ns = (uint32_t)tick.tv_nsec;
	plan->ticks_per_s = 1000000000u / plan->tick_ns;
	plan->words = p->rules.len > 64 ? PACKET_WORDS : 1;
	if (getrandom(&plan->seed, sizeof(plan->seed), GRND_NONBLOCK) < 0)
		plan->seed = (uint32_t)time(NULL);
}

static int tables_fill(struct making *m, struct err *e)
{
	plan_begin(m->p, m->t->plan);
	if (rules_fill(m, e) < 0 || clauses_take(m, e) < 0 || devices_fill(m, e) < 0)
		return -e->code;
	networks_fill(m);
	for (unsigned which = 0; which < 2; which++)
		ports_fill(m, which, &m->fields[which ? PACKET_PORT : PACKET_SOURCE_PORT].classes);
	if (m->t->steps.len > PACKET_STEPS_MAX)
		return fail_as(e, EXIT_POLICY, E2BIG, "networks that come to %zu steps; at most %u",
			       m->t->steps.len, PACKET_STEPS_MAX);
	for (unsigned field = 0; field < PACKET_POST; field++)
		if (masks_fill(m, field, e) < 0)
			return -e->code;
	posts_fill(m);
	kinds_fill(m);
	return 0;
}

int packet_tables_make(const struct policy *p, const struct packet_scope *scope,
		       struct packet_tables *ret_tables, struct err *e)
{
	struct packet_tables t = { .plan = xnew(struct packet_plan) };
	struct making m = { .p = p, .scope = scope, .t = &t };
	int code;

	for (unsigned i = 0; i < PACKET_POST; i++)
		classes_init(&m.fields[i].classes);
	code = tables_fill(&m, e);
	for (unsigned i = 0; i < PACKET_POST; i++) {
		classes_done(&m.fields[i].classes);
		vec_done(&m.fields[i].parts);
	}
	for (unsigned i = 0; i < ARRAY_LEN(m.networks); i++)
		vec_done(&m.networks[i]);
	vec_done(&m.ranges[0]);
	vec_done(&m.ranges[1]);
	vec_done(&m.devices);
	if (code < 0)
		packet_tables_done(&t);
	else
		*ret_tables = t;
	return code;
}

void packet_tables_done(struct packet_tables *t)
{
	free(t->plan);
	free(t->sieve);
	vec_done(&t->steps);
	*t = (struct packet_tables){ 0 };
}

/* ---- into the maps ---- */

/* Element `at` of an array that is mapped as memory; `from` NULL: zeroes. */
static int element_write(const struct object *o, const char *map, unsigned at, const void *from,
			 size_t size, struct err *e)
{
	struct array_view view;

	if (array_view(o, map, &view, e) < 0)
		return -e->code;
	if (from)
		memcpy((char *)view.at + at * size, from, size);
	else
		memset((char *)view.at + at * size, 0, size);
	array_view_done(&view);
	return 0;
}

int packet_tables_write(const struct object *o, unsigned gen, const struct packet_tables *t,
			struct err *e)
{
	if (element_write(o, "packet_plans", gen, t->plan, sizeof(*t->plan), e) < 0 ||
	    element_write(o, "packet_sieves", gen, t->sieve, sizeof(*t->sieve), e) < 0)
		return -e->code;
	return array_put(o, "packet_networks", gen, t->steps.at + PACKET_BLOCK,
			 sizeof(*t->steps.at) * max(t->steps.len, (size_t)PACKET_BLOCK) -
				 sizeof(struct packet_block),
			 sizeof(struct packet_block), e);
}
