/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of iterators: those that gather run first, then those that tell. */
#include "pipeline/snapshot.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/vec.h"
#include "bpf/object.h"
#include "enrich/enrich.h"
#include "pipeline/session.h"
#include "transport/proc.h"

#include <errno.h>

/* A sort of rows with what is done to them. */
struct shown {
	const struct schema *base; /* the probe's own */
	const struct schema *schema;
	struct filter_bound *where;
};

struct snapshot {
	struct session *session;
	const struct watched *watched;
	vec(struct shown) schemas;
	const struct proc_source *proc; /* in place of the iterators; NULL: they run */
	snapshot_fn *fn;
	void *ctx;
};

int snapshot_new(struct session *s, struct snapshot **ret, struct err *e)
{
	auto_ptr(snapshot) snap = xnew(struct snapshot);
	const struct declaration *d;

	if (s->probes.len != 1)
		return fail_as(e, EXIT_USAGE, EINVAL, "one probe is expected");
	snap->session = s;
	snap->watched = &s->probes.at[0];
	d = snap->watched->probe->decl;
	if (!d->row_count)
		return probe_lacks(snap->watched->probe, "snapshots to show", e);
	for (size_t i = 0; i < d->row_count; i++) {
		struct shown *shown = vec_add(&snap->schemas);

		shown->base = &d->rows[i];
		shown->schema = s->enrich ? enrich_schema(s->enrich, shown->base) : shown->base;
		if (session_condition(s, snap->watched, shown->schema, &shown->where, e) < 0)
			return -e->code;
	}
	*ret = TAKE_PTR(snap);
	return 0;
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	vec_for_each(shown, &s->schemas)
		filter_bound_free(shown->where);
	vec_done(&s->schemas);
	free(s);
}

const struct schema *snapshot_schema(const struct snapshot *s, size_t nth)
{
	return nth < s->schemas.len ? s->schemas.at[nth].schema : NULL;
}

/* /proc is read whole: the filters are the kernel's. */
static int filters_refuse(struct err *e)
{
	return hint(e, "/proc knows no filters: use --where, like --where 'pid == 1'");
}

int snapshot_load(struct snapshot *s, struct err *e)
{
	const char *name = s->watched->probe->name;
	const struct proc_source *proc = proc_source_find(name);
	int err;

	if (proc && (proc->always || proc_is_forced())) {
		if (s->session->filters.on) {
			fail_as(e, EXIT_USAGE, EINVAL, "--pid and the like need iterators");
			return filters_refuse(e);
		}
		s->proc = proc;
		return 0;
	}
	err = session_load(s->session, e);
	if (!err || !proc || (e->exit_class != EXIT_KERNEL && e->exit_class != EXIT_DENIED))
		return err;
	if (s->session->filters.on)
		return filters_refuse(e);
	log_warn(NULL, "%s; this is what /proc tells, without %s", e->text, proc->without);
	err_clear(e);
	s->proc = proc;
	return 0;
}

static int row_pass(struct snapshot *s, const struct shown *shown, struct row *row)
{
	row->schema = shown->schema;
	return shown->where && !filter_matches(shown->where, row) ? 0 : s->fn(row, s->ctx);
}

static int on_record(const struct record *record, const void *bytes, void *ctx)
{
	struct snapshot *s = ctx;
	struct row row = { .bytes = bytes,
			   .size = record->size,
			   .cpu = record->cpu,
			   .seq = record->seq,
			   .at_ns = record->at_ns };

	vec_for_each(shown, &s->schemas)
		if (shown->base->type_id == record->type && record->size >= shown->base->size)
			return row_pass(s, shown, &row);
	return 0;
}

static int on_proc(const void *bytes, uint32_t size, void *ctx)
{
	struct snapshot *s = ctx;
	struct row row = { .bytes = bytes, .size = size, .at_ns = clock_boot_ns() };

	return row_pass(s, &s->schemas.at[0], &row);
}

/* Something found no room in a map or a scratch slot. */
static void losses_note(const struct object *o)
{
	struct stats stats;
	struct err ignored;
	uint64_t lost = 0;

	if (object_stats(o, &stats, &ignored) < 0)
		return;
	for (size_t i = 0; i < LOSS_COUNT; i++)
		lost += stats.lost[i];
	if (lost)
		log_warn(NULL, "%llu found no room: the snapshot is not whole",
			 (unsigned long long)lost);
}

static int iterators_run(struct snapshot *s, bool telling, struct err *e)
{
	const struct object *o = s->watched->probe->object;
	int err = 0;

	for (size_t i = 0; !err && i < object_program_count(o); i++) {
		struct object_program p;

		object_program(o, i, &p);
		if (!p.is_snapshot || p.state != PROGRAM_USED || (p.row_type != 0) != telling)
			continue;
		err = telling ? object_rows(o, p.name, on_record, s, e) : object_run(o, p.name, e);
	}
	return err;
}

int snapshot_read(struct snapshot *s, snapshot_fn *fn, void *ctx, struct err *e)
{
	int err;

	s->fn = fn;
	s->ctx = ctx;
	if (s->proc)
		return s->proc->read(s->schemas.at[0].base, on_proc, s, e);
	err = iterators_run(s, false, e);
	if (!err)
		err = iterators_run(s, true, e);
	losses_note(s->watched->probe->object);
	return err;
}
