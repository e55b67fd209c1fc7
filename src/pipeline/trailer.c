/* SPDX-License-Identifier: BSD-2-Clause */
/* The trailer of a stream. */
#include "pipeline/trailer.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "bpf/object.h"
#include "pipeline/losses.h"
#include "pipeline/session.h"

#include <assert.h>

static void put_count(struct json *j, const char *name, uint64_t n)
{
	json_key(j, name);
	json_u64(j, n);
}

static void put_counts(struct json *j, const struct tally *t)
{
	put_count(j, "seen", t->seen);
	put_count(j, "delivered", t->delivered);
	put_count(j, "filtered", t->filtered);
	put_count(j, "lost", t->lost);
	json_key(j, "lost_by");
	json_obj_begin(j);
	for (unsigned cause = 0; cause < LOSS_CAUSES; cause++)
		put_count(j, loss_cause(cause), t->lost_by[cause]);
	json_obj_end(j);
	put_count(j, "truncated", t->cut);
	put_count(j, "unresolved", t->unresolved);
	put_count(j, "overflowed", t->overflow);
}

static void put_text(struct json *j, const char *name, const char *text)
{
	json_key(j, name);
	if (text)
		json_str(j, text);
	else
		json_null(j);
}

/* {"probe":...,"slot":...,"hook":...} of what is seen; without a hook: what isn't seen, and why. */
static void put_slot(struct json *j, const struct watched *w, const struct object_slot *slot)
{
	const char *missed = NULL, *reason = NULL;

	json_obj_begin(j);
	put_text(j, "probe", w->probe->name);
	put_text(j, "slot", slot->name);
	put_text(j, "hook", slot->rank ? slot->hook : NULL);
	if (!slot->rank && slot->optional)
		missed = session_slot_missed(w, slot->name, &reason);
	if (missed) {
		put_text(j, "not_seen", missed);
		put_text(j, "reason", reason);
	}
	json_obj_end(j);
}

static void put_hooks(struct json *j, const struct session *s)
{
	struct object_slot slot;
	const char *reason;

	json_arr_begin(j);
	vec_for_each(w, &s->probes)
		for (size_t i = 0; i < object_slot_count(w->probe->object); i++) {
			object_slot(w->probe->object, i, &slot);
			if ((slot.rank && slot.hook[0]) ||
			    (slot.optional && session_slot_missed(w, slot.name, &reason)))
				put_slot(j, w, &slot);
		}
	json_arr_end(j);
}

int trailer_tell(const struct tally *t, const struct session *s, const struct sink_ops *ops,
		 struct sink *sink, struct err *e)
{
	auto_done(strbuf) members = { 0 };
	struct json j = { .out = &members };

	assert(t && ops && sink && e);
	if (!ops->trailer)
		return 0;
	put_counts(&j, t);
	json_key(&j, "hooks");
	if (s)
		put_hooks(&j, s);
	else
		json_null(&j);
	json_key(&j, "cpu_ms");
	if (s)
		json_u64(&j, t->cpu_ms);
	else
		json_null(&j);
	return ops->trailer(sink, strbuf_str(&members), s ? clock_boot_ns() : 0, e);
}
