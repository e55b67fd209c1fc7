/* SPDX-License-Identifier: BSD-2-Clause */
/* Pushdown of conditions. */
#include "pipeline/push.h"

#include "base/log.h"
#include "base/strbuf.h"

static const unsigned char push_ops[] = {
	[PUSH_EQ] = COND_EQ,
	[PUSH_LT] = COND_LT,
	[PUSH_GT] = COND_GT,
	[PUSH_ANY_BIT] = COND_ANY_BIT,
};

static unsigned conf_room(const struct conf *conf)
{
	unsigned used = 0;

	while (used < COND_MAX && conf->where[used].op != COND_NONE)
		used++;
	return used;
}

static struct cond cond_of(const struct filter_push *push, const struct schema *schema)
{
	return (struct cond){
		.type = schema->type_id,
		.offset = (__u16)push->offset,
		.size = push->size,
		.op = push_ops[push->op],
		.negated = push->negated,
		.is_signed = push->field->is_signed,
		.or_next = push->or_next,
		.value = push->value,
	};
}

static void push_say(const struct schema *schema, const struct filter_push *pushed, unsigned n)
{
	auto_done(strbuf) line = { 0 };
	const char *text = NULL;
	bool joined = false;

	for (unsigned i = 0; i < n; i++) {
		/* a list is several comparisons with one text */
		if (pushed[i].text != text) {
			if (!joined && line.len) {
				log_debug("filter", "%s: in the kernel: %s", schema->probe,
					  strbuf_str(&line));
				strbuf_reset(&line);
			}
			text = pushed[i].text;
			strbuf_appendf(&line, pushed[i].inverted ? "%snot (%s)" : "%s%s",
				       joined ? " or " : "", text);
		}
		joined = pushed[i].or_next;
	}
	if (line.len)
		log_debug("filter", "%s: in the kernel: %s", schema->probe, strbuf_str(&line));
}

bool push_where(const struct filter_bound *where, const struct schema *schema, struct conf *conf)
{
	struct filter_push pushed[COND_MAX];
	unsigned at = conf_room(conf), n;
	bool all = false;

	n = filter_pushable(where, pushed, COND_MAX - at, &all);
	for (unsigned i = 0; i < n; i++)
		conf->where[at + i] = cond_of(&pushed[i], schema);
	push_say(schema, pushed, n);
	if (!all)
		log_debug("filter", "%s: the rest here", schema->probe);
	return all;
}
