/* SPDX-License-Identifier: BSD-2-Clause */
/* Guards loaded on trial. */
#include "enforce/preview.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "enforce/guard.h"

void preview_done(struct preview *p)
{
	vec_for_each(g, &p->guards) {
		free(g->name);
		free(g->hooks);
		free(g->no_cost);
	}
	vec_done(&p->guards);
	free(p->strength);
	*p = (struct preview){ 0 };
}

static void hooks_list(const struct object *o, struct strbuf *out)
{
	for (size_t i = 0; i < object_program_count(o); i++) {
		struct object_program told;

		object_program(o, i, &told);
		if (told.state == PROGRAM_USED)
			strbuf_appendf(out, "%s%s", out->len ? ", " : "", told.hook);
	}
}

/* The rows of the rules, so that what is measured takes the ways that it will take. */
static int rows_write(const struct object *o, const struct policy *p, struct err *e)
{
	int fd = object_map_fd(o, "policy_rules");

	for (uint32_t n = 0; fd >= 0 && n < p->rules.len; n++) {
		struct policy_rule_row row = {
			.slot = n,
			.mode = policy_rule_audits(&p->rules.at[n]) ? POLICY_AUDIT : POLICY_ENFORCE,
		};

		str_copy(row.name, sizeof(row.name), p->rules.at[n].name);
		if (map_set(fd, "the rules", &n, &row, e) < 0)
			return -e->code;
	}
	return 0;
}

static void cost_measure(const struct guard *g, struct object *o, const struct policy *p,
			 struct preview_guard *told)
{
	struct guard_cost cost = { 0 };
	struct err why = { 0 };

	told->has_cost = !g->cost(o, p, &cost, &why);
	told->cost_ns = cost.ns;
	told->cost_of = cost.of;
	if (!told->has_cost)
		told->no_cost = xstrdup(why.text);
}

static int guard_look(const struct guard *g, struct object *o, const struct policy *p,
		      struct preview *out, struct err *e)
{
	const struct load_options options = { .part = LOAD_WITHOUT_PERIODIC };
	struct preview_guard *told = vec_add(&out->guards);
	auto_done(strbuf) words = { 0 };

	told->name = xasprintf("guard.%s", g->name);
	if (g->prepare && g->prepare(o, NULL, p, e) < 0)
		return -e->code;
	if (object_load(o, &options, e) < 0)
		return wrap(e, "%s", told->name);
	if ((g->prove && g->prove(o, NULL, p, 1, e) < 0) || g->fill(o, p, 0, e) < 0 ||
	    rows_write(o, p, e) < 0)
		return -e->code;
	hooks_list(o, &words);
	told->hooks = xstrdup(strbuf_str(&words));
	object_weigh(o, &told->weight);
	for (size_t i = 0; i < p->rules.len; i++) {
		if (p->rules.at[i].domain != g->domain)
			continue;
		strbuf_reset(&words);
		g->strength(o, &p->rules.at[i], &words);
		str_copy(out->strength[i], POLICY_STRENGTH, strbuf_str(&words));
		if (guard_strength_check(p, &p->rules.at[i], out->strength[i], e) < 0)
			return -e->code;
	}
	cost_measure(g, o, p, told);
	return 0;
}

static int guards_look(const struct enforce_source *source, const struct policy *p,
		       struct preview *out, struct err *e)
{
	for (const struct guard *const *g = guards; *g; g++) {
		auto_free char *name = xasprintf("guard.%s", (*g)->name);
		struct object *o;
		void *handle;
		int err;

		if (!guard_takes_any(*g, p))
			continue;
		if (source->open(name, &handle, &o, e) < 0)
			return -e->code;
		err = guard_look(*g, o, p, out, e);
		source->close(handle);
		if (err < 0)
			return err;
	}
	return 0;
}

int preview_make(const struct enforce_source *source, const struct policy *p,
		 struct preview *ret_preview, struct err *e)
{
	struct preview out = { 0 };

	assert(source && p && ret_preview && e);
	guard_source = source;
	out.strength = xcalloc(p->rules.len + 1, sizeof(*out.strength));
	if (guards_look(source, p, &out, e) < 0) {
		preview_done(&out);
		return -e->code;
	}
	*ret_preview = out;
	return 0;
}
