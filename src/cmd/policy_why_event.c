/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `sonda policy why -`: what was told of something, as JSON, put to the policies as `test` does with recordings. The
 * object's members become a row of the probe's event, in which every field is derived.
 */
#include "cmd/policy_why.h"

#include "base/err.h"
#include "base/file.h"
#include "base/json_read.h"
#include "base/map.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "base/vec.h"
#include "cmd/policy_asked.h"
#include "cmd/policy_who.h"
#include "pipeline/catalog.h"
#include "policy/words.h"
#include "schema/kind.h"
#include "schema/schema.h"

#include <errno.h>
#include <unistd.h>

struct event {
	char *probe;
	struct map texts; /* by the member's name */
	vec(struct field) fields;
	vec(struct value) values;
	struct schema schema;
};

static void event_done(struct event *ev)
{
	free(ev->probe);
	map_done(&ev->texts, free);
	vec_done(&ev->fields);
	vec_done(&ev->values);
}

static int on_member(const char *key, enum json_type type, const char *text, void *ctx,
		     struct err *e)
{
	struct event *ev = ctx;

	(void)e;
	if (type == JSON_NULL || type == JSON_DEEPER)
		return 0;
	if (str_eq(key, "probe") && !ev->probe)
		ev->probe = xstrdup(text);
	else
		free(map_put_str(&ev->texts, key, xstrdup(text)));
	return 0;
}

static void field_add(struct event *ev, const struct field *like)
{
	struct field f = *like;
	const char *text = map_get_str(&ev->texts, f.name);
	struct value v = value_none();
	struct err ignored;

	if (text && value_parse(like, text, &v, &ignored) < 0)
		v = value_none();
	f.type = FIELD_DERIVED;
	f.offset = (uint32_t)ev->values.len;
	vec_push(&ev->fields, f);
	vec_push(&ev->values, v);
}

/* Fields of the probe's events, then what is told beside them. */
static void row_make(struct event *ev, const struct declaration *d)
{
	static const char *const beside[] = { "exe", "user", "cgroup_path" };

	for (size_t i = 0; i < d->event_count; i++)
		for (size_t n = 0; n < d->events[i].field_count; n++)
			field_add(ev, &d->events[i].fields[n]);
	for (size_t i = 0; i < ARRAY_LEN(beside); i++)
		field_add(ev, &(struct field){ .name = beside[i],
					       .doc = "",
					       .unit = "",
					       .kind = kind_find("text") });
	ev->schema = (struct schema){ .probe = ev->probe,
				      .name = "",
				      .doc = "",
				      .fields = ev->fields.at,
				      .field_count = ev->fields.len };
}

/* ---- what it asks ---- */

static int tell_packet(const struct why *w, const struct asked_operation *asked, struct err *e)
{
	struct why_side sides[2];
	unsigned count = why_sides(w->enforce, sides);

	for (unsigned s = 0; s < count; s++) {
		unsigned rules = 0;

		for (unsigned i = 0; i < asked->count; i++) {
			const struct policy_question *q = &asked->questions[i];

			if (policy_domain_row(q->domain)->subject &&
			    why_packet_rules(w, &sides[s], q, NULL,
					     asked->maybe_spared ? "whether it is spared" : NULL,
					     &rules, e) < 0)
				return -e->code;
		}
		if (!rules)
			strbuf_appendf(w->out, "%sno rule is about it: it %s\n", sides[s].mark,
				       sides[s].beside ? "would pass" : "passes");
	}
	return 0;
}

static int tell(const struct why *w, const struct asked_operation *asked, struct err *e)
{
	bool packet = false;

	for (unsigned i = 0; i < asked->count; i++) {
		struct policy_question q = asked->questions[i];
		auto_done(strbuf) what = { 0 };

		if (policy_domain_row(q.domain)->subject) {
			packet = true;
			continue;
		}
		q.files = w->files;
		policy_operations_name(q.domain, q.operations | q.maybe, &what);
		strbuf_appendf(w->out, "%s %s by %s, user %s:\n", strbuf_str(&what), asked->object,
			       q.exe ?: "a program that isn't told", q.user ?: "not told");
		if (why_operation(w, &q, e) < 0)
			return -e->code;
	}
	if (!packet)
		return 0;
	strbuf_appendf(w->out, "packet %s:\n", asked->object);
	return tell_packet(w, asked, e);
}

static int why_event(const struct why *w, struct asker *asker, const char *text,
		     struct catalog *catalog, struct err *e)
{
	auto_done(event) ev = { 0 };
	auto_ptr(probe) p = NULL;
	struct asked_operation asked[ASKED_MAX];
	struct row row = { .schema = &ev.schema };
	unsigned count;

	if (json_read_object(text, on_member, &ev, e) < 0)
		return -e->code;
	if (map_get_str(&ev.texts, "lost")) /* of no event: what was lost, or the trailer */
		return 0;
	if (!ev.probe)
		return fail(e, EINVAL, "no event: the member 'probe' is missing");
	if (catalog_find(catalog, ev.probe, &p, e) < 0)
		return -e->code;
	row_make(&ev, p->decl);
	row.derived = ev.values.at;
	count = asker_row(asker, &row, asked);
	if (!count)
		strbuf_appendf(w->out, "%s: nothing that a rule could be about\n", ev.probe);
	for (unsigned i = 0; i < count; i++)
		if (tell(w, &asked[i], e) < 0)
			return -e->code;
	return 0;
}

int why_events(const struct why *w, struct err *e)
{
	auto_ptr(asker) asker = asker_new(w->accounts);
	struct catalog catalog = { 0 };
	auto_free char *text = NULL;
	unsigned number = 0;
	int err;

	err = file_read_fd(STDIN_FILENO, "standard input", &text, NULL, e);
	catalog_read(&catalog);
	for (char *rest = text, *line; !err && (line = strsep(&rest, "\n"));) {
		number++;
		if (line[strspn(line, " \t\r")] && why_event(w, asker, line, &catalog, e) < 0)
			err = wrap(e, "standard input, line %u", number);
	}
	catalog_done(&catalog);
	return err;
}
