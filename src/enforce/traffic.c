/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard of traffic, at TC: filling its maps, attaching it to interfaces. */
#include "enforce/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/passwd.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "bpf/pins.h"
#include "bpf/tc.h"
#include "enforce/guard.h"
#include "enforce/subjects.h"

#define DIR "traffic"
#define MADE \
	"clsact_" /* pins whose name goes on with an interface's number: its queueing discipline is ours */

static const char *const programs[] = { "traffic_in", "traffic_out" };

static bool leaves(const struct policy_rule *r)
{
	const struct policy_clause *c = policy_clause_find(r, WORD_OUT, 0);

	return c && !c->unless;
}

/* ---- maps ---- */

static unsigned post_of(const struct policy_rule *r, const void *ctx)
{
	(void)ctx;
	return leaves(r) ? PACKET_OUT : PACKET_IN;
}

/* Who sends: *ret_asks says whether rules want to know. */
static int senders_write(const struct object *o, const struct policy *p, uint32_t gen,
			 uint32_t *ret_asks, struct err *e)
{
	struct traffic_senders senders = { .asked_user = ~0ull, .asked_cgroup = ~0ull };
	int map = object_map_fd(o, "traffic_senders");
	struct file_paths no_paths = { 0 };
	struct subjects subjects = { 0 };
	int code;

	code = subjects_read(&subjects, p, POLICY_TRAFFIC, &no_paths, true, e);
	if (!code)
		code = subjects_write(&subjects, &no_paths, o, gen, e);
	senders.asks = *ret_asks = subjects.asks;
	memcpy(senders.others, subjects.others, sizeof(senders.others));
	if (!code)
		code = map_set(map, "who sends", &gen, &senders, e);
	subjects_done(&subjects);
	return code;
}

static int traffic_fill(const struct object *o, const struct policy *p, unsigned gen, struct err *e)
{
	static const struct packet_scope scope = { .domain = POLICY_TRAFFIC,
						   .posts = PACKET_PLACES,
						   .post_of = post_of };
	static const struct policy no_policy;
	struct packet_tables t = { 0 };
	uint32_t asks;
	int code;

	if (senders_write(o, p ?: &no_policy, gen, &asks, e) < 0 ||
	    (p && packet_tables_make(p, &scope, &t, e) < 0))
		return -e->code;
	if (t.plan)
		t.plan->asks_sender = asks;
	code = packet_tables_write(o, gen, &t, e);
	packet_tables_done(&t);
	return code;
}

/* ---- attaching ---- */

int traffic_program_open(bool out, int *ret_fd, struct err *e)
{
	auto_free char *pin = xasprintf(DIR "/%s", programs[out]);

	return pin_open(pin, ret_fd, e);
}

/* A later policy may need the direction that this one doesn't. */
static int programs_pin(const struct object *o, struct err *e)
{
	for (int out = 0; out < 2; out++) {
		auto_free char *pin = xasprintf(DIR "/%s", programs[out]);
		int fd = object_program_fd(o, programs[out]);

		if (fd >= 0 && !pins_have(pin) && (pins_make(DIR, e) < 0 || pin_fd(fd, pin, e) < 0))
			return -e->code;
	}
	return 0;
}

static int interface_attach(struct object *o, int program, unsigned ifindex, bool out,
			    struct err *e)
{
	auto_free char *pin = xasprintf(DIR "/" MADE "%u", ifindex);
	struct err why = { 0 };
	bool made = false;
	int code = tc_attach(o, program, ifindex, out, &made, e);

	if (!made || pins_have(pin) || pin_fd(program, pin, &why) == 0)
		return code;
	tc_detach(program, ifindex, out);
	tc_unmake(ifindex);
	*e = why;
	return -e->code;
}

static int rule_attach(struct object *o, const struct policy *p, const struct policy_rule *r,
		       struct err *e)
{
	ifindex_list list = { 0 };
	auto_close int program = -1;
	bool out = leaves(r);
	int code;

	if (traffic_program_open(out, &program, e) < 0)
		return -e->code;
	code = rule_interfaces(p, r, &list, e);
	vec_for_each(ifindex, &list)
		if (!code)
			code = interface_attach(o, program, *ifindex, out, e);
	vec_done(&list);
	return code;
}

static int traffic_attach(struct object *o, const struct policy *p, struct err *e)
{
	if (programs_pin(o, e) < 0)
		return -e->code;
	vec_for_each(r, &p->rules)
		if (r->domain == POLICY_TRAFFIC && rule_attach(o, p, r, e) < 0)
			return -e->code;
	return 0;
}

static bool stands(const struct object *o, const struct policy_rule *r, unsigned ifindex)
{
	auto_close int program = -1;
	struct err ignored = { 0 };

	return traffic_program_open(leaves(r), &program, &ignored) == 0 &&
	       tc_attached(o, program, ifindex, leaves(r)) != TC_NONE;
}

static bool whole(const struct object *o)
{
	struct err ignored = { 0 };

	(void)o;
	for (int out = 0; out < 2; out++) {
		auto_close int program = -1;

		if (traffic_program_open(out, &program, &ignored) < 0)
			return false;
	}
	return true;
}

static void standing(const struct object *o, const struct policy *p, const struct policy_rule *r,
		     struct guard_standing *ret)
{
	interfaces_standing(o, p, r, stands, ret);
}

static int traffic_beside(const struct object *o, const struct policy *now, const struct policy *p,
			  struct err *e)
{
	return interfaces_beside(o, now, p, POLICY_TRAFFIC, stands, e);
}

/* ---- taking it away: links end with their pins, filters don't ---- */

/* It goes with the last filter in it: with those of this version, where that stands there now. */
static int made_remove(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	const char *number = str_after(name, MADE);

	(void)type, (void)ctx, (void)e;
	if (number && tc_unmake((unsigned)strtoul(number, NULL, 10)) && pins_have(DIR)) {
		auto_free char *own = xasprintf(PINS_ROOT "/" DIR "/%s", name);

		(void)!renameat(dir_fd, name, AT_FDCWD, own);
	}
	return 0;
}

static void traffic_detach(const char *dir)
{
	auto_free char *pins = xasprintf(PINS_ROOT "/%s", dir);
	struct if_nameindex *all = if_nameindex();
	struct err ignored = { 0 };

	for (int out = 0; out < 2; out++) {
		auto_free char *pin = xasprintf("%s/%s", dir, programs[out]);
		auto_close int program = -1;

		if (pin_open(pin, &program, &ignored) < 0)
			continue;
		for (const struct if_nameindex *i = all; all && i->if_index; i++)
			tc_detach(program, i->if_index, out);
	}
	if (all)
		if_freenameindex(all);
	(void)!dir_each(pins, made_remove, NULL, &ignored);
}

/* ---- telling ---- */

/* The lowest cgroup on the way to `path` that rules of the generation mention; ~0: none. */
static uint64_t cgroup_mentioned(int subjects, char *path, uint32_t gen)
{
	struct rule_set ignored;
	struct err why = { 0 };

	for (char *slash = path + strlen(path); slash; slash = strrchr(path, '/')) {
		struct subject_key key = { .kind = SUBJECT_CGROUP, .gen = gen };
		auto_free char *same = NULL;
		uint64_t id;

		*slash = '\0';
		if (subject_cgroup(*path ? path : "/", &same, &id, &why) < 0)
			continue;
		key.value = id;
		if (map_get_value(subjects, &key, &ignored))
			return id;
	}
	return ~0ull;
}

int traffic_sender_put(const struct object *o, const char *user, const char *cgroup, struct err *e)
{
	int map = object_map_fd(o, "traffic_senders"), subjects = object_map_fd(o, "subjects");
	auto_ptr(accounts) accounts = accounts_new(ACCOUNTS_PATH);
	auto_free char *path = NULL;
	uint32_t uid = 0;
	uint64_t id;

	if (user && !user_id(accounts, user, &uid))
		return fail_as(e, EXIT_USAGE, ENOENT, "there is no user '%s'", user);
	if (cgroup && subject_cgroup(cgroup, &path, &id, e) < 0)
		return -e->code;
	for (uint32_t gen = 0; gen < 2; gen++) {
		struct traffic_senders senders;
		auto_free char *walk = path ? xstrdup(path) : NULL;

		if (!map_get_value(map, &gen, &senders))
			continue;
		senders.asked_user = user ? uid : ~0ull;
		senders.asked_cgroup = walk ? cgroup_mentioned(subjects, walk, gen) : ~0ull;
		if (map_set(map, "who sends", &gen, &senders, e) < 0)
			return -e->code;
	}
	return 0;
}

static void traffic_strength(const struct object *o, const struct policy_rule *r,
			     struct strbuf *out)
{
	static const char *const ways[] = { "TC", "TCX", "TC clsact" };
	const struct policy none = { 0 };
	unsigned counts[ARRAY_LEN(ways)] = { 0 };
	ifindex_list list = { 0 };
	auto_close int program = -1;
	struct err ignored = { 0 };
	const char *between = "";

	if (pins_have(DIR))
		(void)!traffic_program_open(leaves(r), &program, &ignored);
	(void)!rule_interfaces(&none, r, &list, &ignored);
	vec_for_each(ifindex, &list)
		counts[tc_attached(o, program, *ifindex, leaves(r))]++;
	vec_done(&list);
	strbuf_appendf(out, "%s (", policy_verdict_name(r->verdict));
	for (size_t i = 0; i < ARRAY_LEN(ways); i++)
		if (counts[i]) {
			strbuf_appendf(out, "%s%s %s on %u interface%s", between, ways[i],
				       leaves(r) ? "egress" : "ingress", counts[i],
				       counts[i] == 1 ? "" : "s");
			between = ", ";
		}
	strbuf_puts(out, ")");
}

static int traffic_counts(const struct object *o, guard_count_fn *fn, void *ctx, struct err *e)
{
	return packet_counts_at(o, "at TC: ", fn, ctx, e);
}

const struct guard guard_traffic = {
	.name = "traffic",
	.domain = POLICY_TRAFFIC,
	.fill = traffic_fill,
	.attach = traffic_attach,
	.detach = traffic_detach,
	.counts = traffic_counts,
	.strength = traffic_strength,
	.beside = traffic_beside,
	.stands = stands,
	.standing = standing,
	.whole = whole,
	.cost = traffic_cost,
};
