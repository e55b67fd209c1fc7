/* SPDX-License-Identifier: BSD-2-Clause */
/* Option tables: the help text, and spellings for man pages and completion. */
#include "base/mem.h"
#include "base/opt.h"

#include <assert.h>

enum {
	HELP_WIDTH = 80,
	NAMES_MAX_COLS = 32, /* a longer spelling has its help on the next line */
	HELP_MIN_COLS = 20,
};

void opt_choices(const struct opt *row, const char *sep, struct strbuf *b)
{
	assert(row->choices);
	for (const struct opt_choice *c = row->choices; c->name; c++) {
		if (c != row->choices)
			strbuf_puts(b, sep);
		strbuf_puts(b, c->name);
	}
}

void opt_spelling(const struct opt *row, struct strbuf *b)
{
	const char *metavar = opt_metavar(row);

	if (row->letter)
		strbuf_appendf(b, "-%c, ", row->letter);
	strbuf_appendf(b, "--%s", row->name);
	if (row->type == OPT_ENUM && !row->metavar) {
		strbuf_putc(b, ' ');
		opt_choices(row, "|", b);
	} else if (metavar) {
		strbuf_appendf(b, " %s", metavar);
	}
}

/* What stands in the left column; options without a letter line up with those that have one. */
static void names_text(const struct opt *row, struct strbuf *b)
{
	strbuf_reset(b);
	strbuf_puts(b, row->letter ? "  " : "      ");
	opt_spelling(row, b);
}

static unsigned names_cols(const struct opt_set *set)
{
	auto_done(strbuf) text = { 0 };
	unsigned cols = 0;

	for (size_t t = 0; t < set->len; t++)
		for (size_t i = 0; i < set->table[t].count; i++) {
			names_text(&set->table[t].rows[i], &text);
			if (text.len <= NAMES_MAX_COLS)
				cols = max(cols, (unsigned)text.len);
		}
	return cols + 2;
}

/* Bytes of `text` that fit `cols`, cut at a blank where there is one. */
static size_t line_len(const char *text, unsigned cols)
{
	size_t len = strlen(text), fits, at;
	unsigned used;

	fits = utf8_fit(text, len, cols, &used);
	if (fits == len)
		return len;
	for (at = fits; at > 0 && text[at] != ' '; at--)
		;
	if (at)
		return at;
	return fits ? fits : 1;
}

/* The words of `text` from column `indent` on; the cursor is at column `at`. */
static void print_wrapped(FILE *out, const char *text, unsigned at, unsigned indent, unsigned width)
{
	unsigned cols = width > indent + HELP_MIN_COLS ? width - indent : HELP_MIN_COLS;
	size_t len;

	for (; *text; text += len) {
		while (*text == ' ')
			text++;
		len = line_len(text, cols);
		if (at > indent) {
			fputc('\n', out);
			at = 0;
		}
		fprintf(out, "%*s%.*s", (int)(indent - at), "", (int)len, text);
		at = indent + 1;
	}
	fputc('\n', out);
}

static void print_choices(const struct opt *row, FILE *out, unsigned indent, unsigned width)
{
	auto_done(strbuf) text = { 0 };

	for (const struct opt_choice *c = row->choices; c->name; c++) {
		if (!c->help)
			continue;
		strbuf_reset(&text);
		strbuf_appendf(&text, "%s: %s", c->name, c->help);
		print_wrapped(out, text.s, 0, indent + 2, width);
	}
}

static void print_row(const struct opt *row, FILE *out, unsigned indent, unsigned width)
{
	auto_done(strbuf) names = { 0 };

	names_text(row, &names);
	fputs(names.s, out);
	if (names.len + 2 > indent) {
		fputc('\n', out);
		names.len = 0;
	}
	print_wrapped(out, row->help ? row->help : "", (unsigned)names.len, indent, width);
	if (row->type == OPT_ENUM)
		print_choices(row, out, indent, width);
}

void opt_help(const struct opt_set *set, FILE *out, unsigned width)
{
	unsigned indent = names_cols(set);
	bool first = true;

	assert(set && out);
	width = width ? width : HELP_WIDTH;
	for (size_t t = 0; t < set->len; t++) {
		const struct opt_table *table = &set->table[t];

		if (!table->count)
			continue;
		if (!first)
			fputc('\n', out);
		first = false;
		if (table->title)
			fprintf(out, "%s\n", table->title);
		for (size_t i = 0; i < table->count; i++)
			print_row(&table->rows[i], out, indent, width);
	}
}
