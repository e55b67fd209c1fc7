/* SPDX-License-Identifier: BSD-2-Clause */
/* From probe to probe. */
#include "cmd/catalog_list.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/table.h"
#include "cmd/form.h"
#include "pipeline/catalog.h"
#include "sink/out.h"

#include <unistd.h>

enum { SETTLE_ROWS = 1000 };

static void probe_list(const struct catalog_entry *entry, const struct catalog_list *how,
		       struct table *table, struct strbuf *out)
{
	auto_ptr(probe) p = NULL;
	struct err e = { 0 };

	if (catalog_open(entry, &p, &e) < 0)
		log_warn(NULL, "%s", e.text);
	else if (p->decl->internal)
		return;
	else if (how->as_json)
		how->json(out, p, how->ctx);
	else
		how->text(table, p, how->ctx);
}

int catalog_list(const struct catalog *c, const struct catalog_list *how, struct err *e)
{
	struct table_style style = { .width_cols = term_width(STDOUT_FILENO),
				     .colour = term_has_colour(STDOUT_FILENO),
				     .no_header = how->no_header,
				     .settle_rows = SETTLE_ROWS };
	auto_done(strbuf) out = { 0 };
	auto_ptr(table) table = table_new(how->cols, how->col_count, style, &out);

	vec_for_each(entry, &c->entries)
		probe_list(entry, how, table, &out);
	if (!how->as_json)
		table_settle(table);
	if (how->csv_columns && form_csv(&out, how->csv_columns, how->no_header, e) < 0)
		return -e->code;
	return out_write(&out, STDOUT_FILENO, -1, e);
}
