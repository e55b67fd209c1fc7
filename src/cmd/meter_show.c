/* SPDX-License-Identifier: BSD-2-Clause */
/* Drawing what was read, and the keys that change it. */
#include "cmd/meter_show.h"

#include "base/str.h"
#include "base/term.h"
#include "cmd/meter.h"
#include "cmd/screen.h"
#include "sink/out.h"

#include <errno.h>
#include <unistd.h>

enum { PANEL_LINES_OTHER = 5, LIMIT_OFF_TERMINAL = 20 };

void meter_check(struct meter *m, int err)
{
	if (err >= 0)
		return;
	if (!m->failed)
		m->failed = err;
	ends_now(&m->ends);
}

static void show_text(struct meter *m, struct panel *p, struct strbuf *out)
{
	bool first = p == m->panels.at;
	size_t before = out->len, begin;

	if (!m->scrolls && !m->no_header && (!first || (!m->screen && m->shown)))
		strbuf_putc(out, '\n');
	begin = out->len;
	m->ops->text(m, p, out);
	if (out->len == begin)
		strbuf_cut(out, before);
}

static void show_json(struct meter *m, struct panel *p, struct strbuf *out)
{
	(void)m;
	reading_json(&p->reading, out);
}

static void show_csv(struct meter *m, struct panel *p, struct strbuf *out)
{
	reading_csv(&p->reading, !m->shown && !m->no_header, out);
}

static void show_folded(struct meter *m, struct panel *p, struct strbuf *out)
{
	(void)m;
	reading_folded(&p->reading, out);
}

static void show_nothing(struct meter *m, struct panel *p, struct strbuf *out)
{
	(void)m, (void)p, (void)out;
}

static const struct meter_form {
	const char *name;
	void (*show)(struct meter *m, struct panel *p, struct strbuf *out);
} forms[] = {
	{ "text", show_text },     { "json", show_json },    { "csv", show_csv },
	{ "folded", show_folded }, { "null", show_nothing },
};

int meter_form_choose(struct meter *m, struct err *e)
{
	if (!m->format)
		m->format = "text";
	for (size_t i = 0; !m->form && i < ARRAY_LEN(forms); i++)
		if (str_eq(forms[i].name, m->format))
			m->form = &forms[i];
	if (!m->form)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "unknown format '%s' (expected text, json, csv, folded or null)",
			       m->format);
	return 0;
}

bool meter_is_text(const struct meter *m)
{
	return m->form->show == show_text;
}

/* What stands behind the titles: losses, and how to find the keys. */
static void meter_note(struct meter *m)
{
	strbuf_reset(&m->note);
	if (m->tally.lost)
		strbuf_appendf(&m->note, ", lost %llu", (unsigned long long)m->tally.lost);
	if (m->tally.overflow)
		strbuf_appendf(&m->note, ", %llu into other",
			       (unsigned long long)m->tally.overflow);
	if (m->screen && m->paused)
		strbuf_puts(&m->note, ", paused");
	if (m->filtering || m->filter.len)
		strbuf_appendf(&m->note, ", only with '%s%s'", strbuf_str(&m->filter),
			       m->filtering ? "_" : "");
	if (m->screen && screen_has_keys(m->screen))
		strbuf_puts(&m->note, "   q quit, h help");
}

/* Lines of a panel, which share the screen. */
static size_t panel_limit(const struct meter *m)
{
	unsigned lines = m->screen ? screen_height_rows(m->screen) / (unsigned)m->panels.len : 0;

	if (m->limit != METER_LIMIT_UNSET)
		return m->limit;
	if (!meter_is_text(m))
		return 0;
	if (m->screen)
		return lines > 2 * PANEL_LINES_OTHER ? lines - PANEL_LINES_OTHER
						     : PANEL_LINES_OTHER;
	return m->limit_usual ?: LIMIT_OFF_TERMINAL;
}

static void panel_sizes(struct meter *m, struct panel *p)
{
	struct reading *r = &p->reading;

	r->width_cols = m->screen ? screen_width_cols(m->screen) : term_width(STDOUT_FILENO);
	r->order.limit = panel_limit(m);
	r->note = p == m->panels.at ? strbuf_str(&m->note) : NULL;
	r->filter = strbuf_str(&m->filter);
	reading_narrow(r);
}

/* What is the same for all commands. */
#define KEYS                                                                                 \
	"  q          quit\n"                                                                \
	"  space      pause, go on\n"                                                        \
	"  /          only groups whose labels hold a text; Enter keeps it, Esc clears it\n" \
	"  Tab        the next table, where there are several: the keys below are about it\n"

static void show_help(const struct meter *m, struct strbuf *out)
{
	strbuf_puts(out, "Keys\n\n" KEYS);
	strbuf_puts(out, m->ops->keys);
	strbuf_puts(out, "  h ?        this; any key goes back\n");
}

void meter_draw(struct meter *m)
{
	if (m->failed)
		return;
	meter_note(m);
	strbuf_reset(&m->text);
	if (m->helping)
		show_help(m, &m->text);
	vec_for_each(p, &m->panels) {
		panel_sizes(m, p);
		if (!m->helping)
			m->form->show(m, p, &m->text);
	}
	if (m->screen)
		screen_draw(m->screen, &m->text, &m->out);
	else
		strbuf_append(&m->out, strbuf_str(&m->text), m->text.len);
	meter_check(m, out_write(&m->out, STDOUT_FILENO, m->ends.cancel_fd, m->e));
}

/* ---- keys ---- */

enum { KEY_TAB = '\t', KEY_ENTER = '\n', KEY_RETURN = '\r', KEY_DELETE = 127, KEY_BACK = '\b' };

/* The text of the filter is being typed. */
static void filter_key(struct meter *m, int key)
{
	if (key == KEY_ENTER || key == KEY_RETURN || key == KEY_ESCAPE)
		m->filtering = false;
	if (key == KEY_ESCAPE)
		strbuf_reset(&m->filter);
	else if ((key == KEY_DELETE || key == KEY_BACK) && m->filter.len)
		strbuf_cut(&m->filter, m->filter.len - 1);
	else if (key >= ' ' && key < KEY_DELETE)
		strbuf_putc(&m->filter, (char)key);
}

static bool key_heeded(struct meter *m, int key)
{
	if (m->helping)
		m->helping = false;
	else if (m->filtering)
		filter_key(m, key);
	else if (key == 'q')
		ends_now(&m->ends);
	else if (key == ' ')
		m->paused = !m->paused;
	else if (key == '/')
		m->filtering = true;
	else if (key == KEY_ESCAPE)
		strbuf_reset(&m->filter);
	else if (key == KEY_TAB)
		m->focus = (m->focus + 1) % m->panels.len;
	else if (key == 'h' || key == '?')
		m->helping = true;
	else
		return m->ops->key(m, &m->panels.at[m->focus], key);
	return true;
}

void meter_key(int key, void *ctx)
{
	struct meter *m = ctx;

	if ((!key || key_heeded(m, key)) && m->shown)
		meter_draw(m);
}
