/* SPDX-License-Identifier: BSD-2-Clause */
/* top -o folded: a line a group, for flame graphs. */
#include "cmd/reading.h"

#include "base/mem.h"
#include "base/str.h"
#include "schema/kind.h"
#include "schema/stack.h"

/* What the rows are sorted by, or the first counter. */
static uint64_t group_weight(const struct reading *r, const struct fold_row *row)
{
	const struct fold_columns *c = fold_columns(r->fold);
	size_t nth = r->order.nth;

	if (r->order.what == FOLD_HIST && nth < c->hist_count)
		return (r->whole ? row->sums_total : row->sums)[nth];
	if (r->order.what != FOLD_VALUE || nth >= c->value_count)
		nth = 0;
	return c->value_count ? (r->whole ? row->totals : row->deltas)[nth] : 0;
}

/* Labels that are no stacks come first, then the user's stack, then the kernel's. */
static unsigned label_place(const struct field *f)
{
	if (f->kind->class != CLASS_STACK)
		return 0;
	return str_eq(f->kind->name, "kstack") ? 2 : 1;
}

static void append_label(const struct field *f, struct value v, struct strbuf *line,
			 struct strbuf *text)
{
	if (v.type == VALUE_NONE)
		return;
	strbuf_reset(text);
	value_text_form(text, f, v);
	if (line->len && text->len)
		strbuf_putc(line, ';');
	if (f->kind->class == CLASS_STACK)
		frames_fold(frames_all(strbuf_str(text), text->len), line);
	else
		strbuf_append(line, strbuf_str(text), text->len);
}

void reading_folded(const struct reading *r, struct strbuf *out)
{
	const struct fold_columns *c = fold_columns(r->fold);
	auto_done(strbuf) line = { 0 }, text = { 0 };
	size_t count, left_out;
	const struct fold_row *rows = fold_sorted(r->fold, &r->order, &count, &left_out);

	for (size_t i = 0; i < count; i++) {
		uint64_t weight = group_weight(r, &rows[i]);

		strbuf_reset(&line);
		for (unsigned place = 0; place < 3 && !rows[i].is_other; place++)
			for (size_t k = 0; k < c->label_count; k++)
				if (label_place(c->labels[k]) == place)
					append_label(c->labels[k], rows[i].labels[k], &line, &text);
		if (rows[i].is_other)
			strbuf_puts(&line, "[other]");
		if (weight)
			strbuf_appendf(out, "%s %llu\n", strbuf_str(&line),
				       (unsigned long long)weight);
	}
}
