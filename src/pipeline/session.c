/* SPDX-License-Identifier: BSD-2-Clause */
/* A session's life: probes are named, made ready, loaded, attached, detached. */
#include "pipeline/session.h"

#include "base/err.h"
#include "base/log.h"
#include "base/opt.h"
#include "bpf/kernel.h"
#include "bpf/object.h"
#include "bpf/pins.h"
#include "enrich/enrich.h"
#include "pipeline/params.h"
#include "pipeline/push.h"
#include "pipeline/symbolise.h"
#include "transport/live.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <net/if.h>
#include <signal.h>

#define TRACKER          "process.tree"
#define FEED             "process.image"
#define COMMAND_GRACE_MS 1000
#define GUARDS           "guard." /* begins a guard's name */

/* clang-format off */
static const struct opt session_opts[] = {
	{ "where",     OPT_STR,   offsetof(struct session, where_text),   "EXPR", "only rows for which this holds (err != 0 and path ~ '/etc/**')", .letter = 'w' },
	{ "interface", OPT_STR,   offsetof(struct session, interface),    "NAME", "network interface for probes that attach to one", .letter = 'i' },
	{ "no-enrich", OPT_BOOL,  offsetof(struct session, no_enrich),    NULL,   "only what the kernel side tells: no exe, user, unit ..." },
};
static const struct opt stream_opts[] = {
	{ "buffer",    OPT_BYTES, offsetof(struct session, buffer_bytes), "SIZE", "size of each probe's ring (1MiB)", .least = 4096, .most = 1 << 30 },
};
/* clang-format on */

void session_init(struct session *s)
{
	*s = (struct session){ .child.gate = -1 };
	filters_init(&s->filters);
	catalog_read(&s->catalog);
}

static void watched_done(struct watched *w)
{
	vec_for_each(event, &w->events) {
		filter_bound_free(event->where);
		schema_free(event->shown);
	}
	vec_done(&w->events);
	free(w->schemas);
	filter_free(w->where);
	free(w->where_text);
	params_free(w->param_rows);
	probe_free(w->probe);
}

/* What sonda has started doesn't outlive it; a signal that was passed on is given time to work. */
static void command_end(struct child *c)
{
	if (!child_runs(c) || (c->told && child_ends(c, COMMAND_GRACE_MS)))
		return;
	child_kill(c, SIGTERM);
	log_note(NULL,
		 child_ends(c, COMMAND_GRACE_MS) ? "the command still ran: SIGTERM ended process %d"
						 : "the command goes on after SIGTERM: process %d",
		 (int)c->pid);
}

void session_done(struct session *s)
{
	session_stop(s);
	command_end(&s->child);
	child_done(&s->child);
	vec_for_each(w, &s->probes)
		watched_done(w);
	vec_done(&s->probes);
	probe_free(s->tracker);
	probe_free(s->feed);
	free(s->feed_schemas);
	filter_free(s->where);
	filters_done(&s->filters);
	symbolise_stop(s);
	enrich_free(s->enrich);
	catalog_done(&s->catalog);
}

void session_options(struct session *s, struct opt_set *set)
{
	opt_set_add(set, filters_options(&s->filters));
	opt_set_add(set, (struct opt_table){ .title = "Watching",
					     .rows = session_opts,
					     .count = ARRAY_LEN(session_opts),
					     .cfg = s });
	set->word = session_word;
	set->ctx = s;
}

void session_stream_options(struct session *s, struct opt_set *set)
{
	opt_set_add(set, (struct opt_table){ .title = "Stream",
					     .rows = stream_opts,
					     .count = ARRAY_LEN(stream_opts),
					     .cfg = s });
}

int session_word(struct opt_set *set, const char *word, void *ctx, struct err *e)
{
	struct session *s = ctx;
	const char *colon = strchr(word, ':'), *slash = strchr(word, '/');
	auto_free char *name = NULL;
	auto_ptr(probe) probe = NULL;
	struct watched *w;
	int err;

	if (slash && (!colon || slash < colon)) { /* a path, in which a colon may be */
		colon = strstr(word, ".o:");
		colon = colon ? colon + 2 : NULL;
	}
	name = colon ? xstrndup(word, (size_t)(colon - word)) : xstrdup(word);
	err = catalog_find(&s->catalog, name, &probe, e);
	if (err)
		return err;
	vec_for_each(other, &s->probes)
		if (str_eq(other->probe->name, probe->name))
			return fail_as(e, EXIT_USAGE, EINVAL, "%s is named twice", probe->name);
	w = vec_add(&s->probes);
	w->probe = TAKE_PTR(probe);
	if (colon) {
		w->where_text = xstrdup(colon + 1);
		err = filter_parse(w->where_text, &w->where, e);
		if (err)
			return wrap(e, "%s", w->probe->name);
	}
	w->param_rows = params_options(w->probe, set);
	return 0;
}

int session_command(struct session *s, char **argv, struct err *e)
{
	int err = child_fork(&s->child, argv, e);

	if (!err)
		s->filters.follow = s->child.pid;
	return err;
}

/* A guard is not loaded to be watched: a policy in force has done so, with its own configuration. Its
 * name below the pins; NULL: it is a probe. */
static const char *watched_guard(const struct watched *w)
{
	return str_after(w->probe->name, GUARDS);
}

/* One condition on one event: bound, pushed down, and kept when userland must look too. An event that
 * lacks the fields spoken of has no rows that pass. */
static int event_condition(struct watched *w, struct watched_event *event, struct filter *where,
			   struct err *e)
{
	struct conf *conf = object_conf(w->probe->object);
	auto_ptr(filter_bound) bound = NULL;
	int err = filter_bind(where, event->schema, &bound, e);

	if (err == -ENOENT && w->events.len > 1) {
		event->nothing = true;
		return 0;
	}
	if (err)
		return wrap(e, w->where_text ? "condition" : "--where");
	if (conf && !watched_guard(w) && push_where(bound, event->schema, conf))
		return 0;
	assert(!event->where);
	event->where = TAKE_PTR(bound);
	return 0;
}

/* --where and the probe's own condition become one. */
static int watched_condition(const struct session *s, struct watched *w, struct filter **ret,
			     struct err *e)
{
	auto_free char *both = NULL;

	if (!s->where || !w->where) {
		*ret = NULL;
		return 0;
	}
	both = xasprintf("(%s) and (%s)", s->where_text, w->where_text);
	return filter_parse(both, ret, e);
}

/* The condition on each event, unless the rows are others (of tables, of snapshots). */
static int watched_conditions(struct session *s, struct watched *w, struct err *e)
{
	struct filter *both, *where;
	int err = watched_condition(s, w, &both, e);
	size_t without = 0;

	if (err)
		return err;
	if (both) {
		filter_free(w->where);
		w->where = both;
	}
	where = s->without_events ? NULL : w->where ?: s->where;
	for (size_t i = 0; where && i < w->events.len; i++) {
		err = event_condition(w, &w->events.at[i], where, e);
		if (err)
			return err;
		without += w->events.at[i].nothing;
	}
	if (where && w->events.len && without == w->events.len)
		return -e->code; /* the last event's complaint */
	return 0;
}

int session_condition(const struct session *s, const struct watched *w, const struct schema *schema,
		      struct filter_bound **ret, struct err *e)
{
	const struct filter *where = w->where ?: s->where;

	if (!where) {
		*ret = NULL;
		return 0;
	}
	return filter_bind(where, schema, ret, e) < 0 ? wrap(e, "%s", w->probe->name) : 0;
}

#define USER_STACKS "sonda_user_stacks"

/* A stack that has to be taken each time it might be told costs too much to be taken for nobody. */
static int user_stacks_ready(const struct session *s, const struct watched *w, struct err *e)
{
	const struct filter *where = w->where ?: s->where;
	struct object_var var;
	bool wanted = s->wants_user_stacks;
	const char *name;

	for (size_t i = 0; where && (name = filter_field(where, i)); i++)
		wanted |= str_eq(name, "ustack");
	if (!wanted || !object_var_find(w->probe->object, USER_STACKS, &var))
		return 0;
	return object_var_set_u64(w->probe->object, USER_STACKS, 1, e);
}

static int watched_ready(struct session *s, struct watched *w, struct err *e)
{
	const struct declaration *d = w->probe->decl;
	struct conf *conf = object_conf(w->probe->object);
	int err = params_ready(w->probe, e);

	if (!err)
		err = filters_apply(&s->filters, w->probe, e);
	if (!err)
		err = user_stacks_ready(s, w, e);
	if (err)
		return err;
	for (size_t i = 0; i < d->event_count; i++) {
		struct watched_event *event = vec_add(&w->events);
		const struct schema *schema;

		event->shown = params_shown(w->probe, &d->events[i]);
		schema = event->shown ?: &d->events[i];
		event->schema = s->enrich ? enrich_schema(s->enrich, schema) : schema;
	}
	w->schemas = xcalloc(d->event_count + 1, sizeof(*w->schemas));
	for (size_t i = 0; i < d->event_count; i++)
		w->schemas[i] = w->events.at[i].schema;
	if (conf) {
		conf->events_off = s->without_events;
		conf->tables_off = s->without_tables;
		conf->cpus = (uint32_t)max(sysconf(_SC_NPROCESSORS_ONLN), 1L);
		/* a probe's own threshold is for its stream: tables count everything, unless it
		 * says otherwise */
		if (s->without_events && s->filters.min_ns == FILTER_MIN_UNSET &&
		    !d->min_for_tables)
			conf->min_ns = 0;
	}
	if (s->buffer_bytes && d->event_count)
		err = object_map_resize(w->probe->object, "sonda_ring", (uint32_t)s->buffer_bytes,
					e);
	return err ? err : watched_conditions(s, w, e);
}

static int tracker_load(struct session *s, struct err *e)
{
	int err;

	if (!filters_follow_tree(&s->filters))
		return 0;
	err = catalog_find(&s->catalog, TRACKER, &s->tracker, e);
	if (!err)
		err = object_map_share(s->tracker->object, "sonda_sets", s->filters.sets_fd, e);
	if (!err)
		err = object_load(s->tracker->object, NULL, e);
	if (err)
		return wrap(e, "following a tree of processes");
	return filters_seed_tree(&s->filters, e);
}

static bool asks_for_processes(const struct filter *where)
{
	const char *name;

	for (size_t i = 0; where && (name = filter_field(where, i)); i++)
		if (enrich_of_process(name))
			return true;
	return false;
}

/* The feed is attached before the probes, so that of one exec it tells first. */
static int feed_load(struct session *s, struct err *e)
{
	const struct declaration *d;
	int err;

	s->wants_processes |= asks_for_processes(s->where);
	vec_for_each(w, &s->probes)
		s->wants_processes |= asks_for_processes(w->where);
	if (!s->enrich || !s->wants_processes || s->without_events)
		return 0;
	err = catalog_find(&s->catalog, FEED, &s->feed, e);
	if (!err)
		err = object_load(s->feed->object, NULL, e);
	/* nobody has named it: what isn't permitted is said of no probe */
	if (err)
		return err_exit_code(e) == EXIT_DENIED ? err
						       : wrap(e, "joining events with processes");
	d = s->feed->decl;
	s->feed_schemas = xcalloc(d->event_count + 1, sizeof(*s->feed_schemas));
	for (size_t i = 0; i < d->event_count; i++)
		s->feed_schemas[i] = &d->events[i];
	return enrich_prime(s->enrich, e);
}

static int guard_adopt(struct watched *w, struct err *e)
{
	const struct load_options options = { .part = LOAD_PERIODIC };
	int err = object_adopt(w->probe->object, watched_guard(w), e);

	if (err == -ENOENT)
		hint(e, "`sonda policy apply FILE` puts a policy with such rules into force");
	return err ? err : object_load(w->probe->object, &options, e);
}

static int probes_load(struct session *s, struct err *e)
{
	struct load_options options = { .part = s->only_snapshots ? LOAD_SNAPSHOTS
								  : LOAD_WITHOUT_SNAPSHOTS };
	int err;

	if (s->interface) {
		options.ifindex = if_nametoindex(s->interface);
		if (!options.ifindex)
			return fail_as(e, EXIT_USAGE, ENODEV, "there is no interface '%s'",
				       s->interface);
	}
	vec_for_each(w, &s->probes) {
		err = watched_guard(w) ? guard_adopt(w, e)
				       : object_load(w->probe->object, &options, e);
		if (err)
			return wrap(e, "%s", w->probe->name);
	}
	return 0;
}

int session_ready(struct session *s, struct err *e)
{
	int err = 0;

	assert(s && e);
	if (!s->probes.len)
		return fail_as(e, EXIT_USAGE, EINVAL, "which probe? (`sonda list` shows them)");
	if (s->where_text)
		err = filter_parse(s->where_text, &s->where, e);
	if (err)
		return wrap(e, "--where");
	if (!s->no_enrich)
		s->enrich = enrich_new();
	err = filters_ready(&s->filters, e);
	for (size_t i = 0; !err && i < s->probes.len; i++)
		err = watched_ready(s, &s->probes.at[i], e);
	s->ready = !err;
	return err;
}

int session_load(struct session *s, struct err *e)
{
	int err = s->ready ? 0 : session_ready(s, e);

	if (!err)
		err = tracker_load(s, e);
	if (!err)
		err = feed_load(s, e);
	if (!err)
		err = symbolise_start(s, e);
	if (!err)
		err = probes_load(s, e);
	kernel_btf_release();
	malloc_trim(0);
	return err;
}

int session_go(struct session *s, struct err *e)
{
	struct strbuf hooks = { 0 };

	session_describe(s, &hooks);
	log_note(NULL, "watching %s", strbuf_str(&hooks));
	strbuf_done(&hooks);
	return s->child.pid ? child_go(&s->child, e) : 0;
}

int session_stream(struct session *s, struct stream **ret, struct err *e)
{
	struct stream *stream = NULL;
	int err = live_new(&stream, e);

	if (!err && s->feed)
		err = live_add(stream, s->feed->name, s->feed->object, s->feed_schemas,
			       s->feed->decl->event_count, LIVE_HELPER, e);
	/* what the tracker misses, its followers miss: that must be in the accounts */
	if (!err && s->tracker)
		err = live_add(stream, s->tracker->name, s->tracker->object, NULL, 0, LIVE_COUNTED,
			       e);
	for (size_t i = 0; !err && i < s->probes.len; i++) {
		const struct watched *w = &s->probes.at[i];

		err = live_add(stream, w->probe->name, w->probe->object, w->schemas, w->events.len,
			       watched_guard(w) ? LIVE_IN_FORCE : LIVE_COUNTED, e);
	}
	if (err) {
		stream_free(stream);
		return err;
	}
	*ret = stream;
	return 0;
}

/* "tp" of "tp/syscalls/sys_enter_openat" */
static size_t method_len(const char *hook)
{
	return strcspn(hook, "/");
}

/* Did a slot before the nth use the same method? Then it was told. */
static bool method_told(const struct object *o, size_t nth, const char *hook)
{
	struct object_slot slot;

	for (size_t i = 0; i < nth; i++) {
		object_slot(o, i, &slot);
		if (slot.rank && method_len(slot.hook) == method_len(hook) &&
		    !strncmp(slot.hook, hook, method_len(hook)))
			return true;
	}
	return false;
}

static void describe_methods(const struct object *o, struct strbuf *out)
{
	const char *separator = " (";
	struct object_slot slot;

	for (size_t i = 0; i < object_slot_count(o); i++) {
		object_slot(o, i, &slot);
		if (!slot.rank || !slot.hook[0] || method_told(o, i, slot.hook))
			continue;
		strbuf_appendf(out, "%s%.*s", separator, (int)method_len(slot.hook), slot.hook);
		separator = ", ";
	}
	if (separator[0] == ',')
		strbuf_putc(out, ')');
}

void session_describe(const struct session *s, struct strbuf *out)
{
	vec_for_each(w, &s->probes) {
		strbuf_appendf(out, "%s%s", w == s->probes.at ? "" : ", ", w->probe->name);
		describe_methods(w->probe->object, out);
	}
}

const char *session_slot_missed(const struct watched *w, const char *slot, const char **ret_reason)
{
	struct object_program p;

	for (size_t i = 0; i < object_program_count(w->probe->object); i++) {
		object_program(w->probe->object, i, &p);
		if (!p.missed || p.state != PROGRAM_REFUSED || !str_eq(p.slot, slot))
			continue;
		*ret_reason = p.reason;
		return p.missed;
	}
	return NULL;
}

void session_coverage(const struct session *s, struct strbuf *out)
{
	const char *missed, *reason;
	struct object_slot slot;

	vec_for_each(w, &s->probes)
		for (size_t i = 0; i < object_slot_count(w->probe->object); i++) {
			object_slot(w->probe->object, i, &slot);
			if (!slot.optional || slot.rank)
				continue;
			missed = session_slot_missed(w, slot.name, &reason);
			if (missed)
				strbuf_appendf(out, "%s: not seen here: %s (%s)\n", w->probe->name,
					       missed, reason);
		}
}

void session_stop(struct session *s)
{
	vec_for_each(w, &s->probes)
		object_detach(w->probe->object);
	if (s->tracker)
		object_detach(s->tracker->object);
	if (s->feed)
		object_detach(s->feed->object);
}
