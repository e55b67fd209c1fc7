/* SPDX-License-Identifier: BSD-2-Clause */
/* Forms of output. */
#include "cmd/form.h"

#include "base/err.h"
#include "base/json_read.h"
#include "base/map.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "sink/csv.h"

#include <assert.h>
#include <errno.h>

int form_choose(const char *name, enum form *ret, struct err *e)
{
	static const char *const names[] = {
		[FORM_TEXT] = "text", [FORM_JSON] = "json", [FORM_CSV] = "csv"
	};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (name && !str_eq(name, names[i]))
			continue;
		*ret = (enum form)i;
		return 0;
	}
	return fail_as(e, EXIT_USAGE, EINVAL, "unknown format '%s' (expected text, json or csv)",
		       name);
}

static int on_member(const char *key, enum json_type type, const char *text, void *ctx,
		     struct err *e)
{
	(void)e;
	if (type != JSON_NULL && type != JSON_DEEPER)
		free(map_put_str(ctx, key, xstrdup(text)));
	return 0;
}

static int csv_line(struct strbuf *out, const char *line, const struct strlist *columns,
		    struct err *e)
{
	struct map members = { 0 };
	int err = json_read_object(line, on_member, &members, e);

	for (size_t i = 0; !err && i < columns->len; i++) {
		const char *text = map_get_str(&members, columns->at[i]);

		if (i)
			strbuf_putc(out, ',');
		if (text)
			csv_cell(out, text, strlen(text));
	}
	strbuf_putc(out, '\n');
	map_done(&members, free);
	return err;
}

int form_csv(struct strbuf *lines, const char *columns, bool no_header, struct err *e)
{
	auto_free char *json = xstrdup(strbuf_str(lines));
	struct strlist names = { 0 };
	int err = 0;

	assert(lines && columns && e);
	str_split(columns, &names);
	strbuf_reset(lines);
	if (!no_header)
		strbuf_appendf(lines, "%s\n", columns);
	for (char *rest = json, *line; !err && (line = strsep(&rest, "\n"));)
		if (*line)
			err = csv_line(lines, line, &names, e);
	strlist_done(&names);
	return err;
}
