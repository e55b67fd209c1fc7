/* SPDX-License-Identifier: BSD-2-Clause */
/* Aligned text tables. Cells of rows that wait for the widths lie in one buffer, escaped. */
#include "base/table.h"

#include "base/str.h"
#include "base/vec.h"

#include <assert.h>

enum {
	SETTLE_ROWS = 64,
	GAP_COLS = 2, /* between columns */
	TEXT_MIN_COLS = 6,
	NUMBER_COLS = 9,    /* "1023 MiB", and one more */
	LAST_MIN_COLS = 16, /* what narrower columns leave to the last one on a terminal */
};

struct cell {
	size_t at, len; /* in the buffer */
	unsigned cols;
	enum term_style style;
};

struct column {
	char *title;
	struct table_col declared;
	unsigned width_cols;
};

struct table {
	struct column *column;
	size_t count;
	struct table_style style;
	struct strbuf *out;
	struct strbuf text;     /* of `cells` */
	vec(struct cell) cells; /* whole rows, then the row in hand */
	size_t rows;            /* whole ones in `cells` */
	bool settled;
};

/* A line on its way out. */
struct line {
	unsigned used_cols,
		pad_cols; /* pad: owed before the next text, so that no line ends in blanks */
	bool full;        /* cut: nothing more fits */
};

struct table *table_new(const struct table_col *cols, size_t count, struct table_style style,
			struct strbuf *out)
{
	struct table *t = xnew(struct table);

	assert(count > 0 && out);
	t->column = xcalloc(count, sizeof(*t->column));
	t->count = count;
	t->style = style;
	t->out = out;
	if (!t->style.settle_rows)
		t->style.settle_rows = SETTLE_ROWS;
	for (size_t i = 0; i < count; i++) {
		struct column *c = &t->column[i];

		c->declared = cols[i];
		c->title = xstrdup(cols[i].title);
		c->width_cols = max(cols[i].min_cols, utf8_width(c->title, strlen(c->title)));
	}
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++)
		free(t->column[i].title);
	free(t->column);
	strbuf_done(&t->text);
	vec_done(&t->cells);
	free(t);
}

static unsigned title_cols(const struct column *c)
{
	return max(c->declared.min_cols, utf8_width(c->title, strlen(c->title)));
}

/* What all columns take now, the last one with at most LAST_MIN_COLS. */
static unsigned needed_cols(const struct table *t)
{
	unsigned cols = 0;

	for (size_t i = 0; i + 1 < t->count; i++)
		cols += t->column[i].width_cols + GAP_COLS;
	return cols + min(t->column[t->count - 1].width_cols, (unsigned)LAST_MIN_COLS);
}

enum need { NEED_ROOM, NEED_NAMES, NEED_ALL };

/* How narrow a column may get: texts may lose more than their usual width when nothing else helps, and
 * at last numbers their end ("20.2 MiB"), which says more than a name's. */
static unsigned least_cols(const struct column *c, enum need need)
{
	if (c->declared.align == TABLE_RIGHT && need < NEED_ALL)
		return max(title_cols(c), min(c->width_cols, (unsigned)NUMBER_COLS));
	if (need == NEED_ROOM || c->declared.whole || c->declared.align == TABLE_RIGHT)
		return title_cols(c);
	return max(utf8_width(c->title, strlen(c->title)), (unsigned)TEXT_MIN_COLS);
}

/* Takes from the widest column until all fit; false: none can give. */
static bool shrink_to(struct table *t, enum need need)
{
	struct column *widest;

	while (needed_cols(t) > t->style.width_cols) {
		widest = NULL;
		for (size_t i = 0; i + 1 < t->count; i++) {
			struct column *c = &t->column[i];

			if (c->width_cols > least_cols(c, need) &&
			    (!widest || c->width_cols > widest->width_cols))
				widest = c;
		}
		if (!widest)
			return false;
		widest->width_cols--;
	}
	return true;
}

/* On a terminal the last column is not to vanish: it is what people look for. */
static void shrink(struct table *t)
{
	if (t->style.width_cols && !shrink_to(t, NEED_ROOM) && !shrink_to(t, NEED_NAMES))
		shrink_to(t, NEED_ALL);
}

/* A wider cell widens its column, up to its limit, and on a terminal while there is room. */
static void grow(struct table *t, size_t i, unsigned cols)
{
	struct column *c = &t->column[i];
	unsigned limit = c->declared.max_cols ? max(c->declared.max_cols, title_cols(c)) : ~0u;
	unsigned need, room;

	cols = min(cols, limit);
	if (cols <= c->width_cols)
		return;
	if (t->settled && t->style.width_cols && i + 1 < t->count) {
		need = needed_cols(t);
		room = t->style.width_cols > need ? t->style.width_cols - need : 0;
		cols = min(cols, c->width_cols + room);
	}
	c->width_cols = cols;
}

/* Columns that the cell may take: its own width or the rest of the terminal's line; any number
 * where nothing is cut. */
static unsigned cell_room(const struct table *t, const struct line *line, size_t i)
{
	unsigned taken = line->used_cols + line->pad_cols, room;

	if (!t->style.width_cols)
		return ~0u;
	room = t->style.width_cols > taken ? t->style.width_cols - taken : 0;
	return i + 1 < t->count ? min(room, t->column[i].width_cols) : room;
}

enum cut { CUT_NOT, CUT_END, CUT_BEGINNING };

static void put_text(struct table *t, struct line *line, const struct cell *cell, const char *text,
		     size_t len, unsigned cols, enum cut cut)
{
	bool styled = t->style.colour && cell->style != TERM_PLAIN;

	if (!cols)
		return;
	strbuf_pad(t->out, ' ', line->pad_cols);
	if (styled)
		strbuf_puts(t->out, term_style_on(cell->style));
	if (cut == CUT_BEGINNING)
		strbuf_puts(t->out, "\u2026");
	strbuf_append(t->out, text, len);
	if (cut == CUT_END)
		strbuf_puts(t->out, "\u2026");
	if (styled)
		strbuf_puts(t->out, term_style_off(cell->style));
	line->used_cols += line->pad_cols + cols;
	line->pad_cols = 0;
}

/* Bytes of the shortest beginning without which the text takes at most `cols` columns; *cols gets those. */
static size_t beginning_len(const char *text, size_t len, unsigned *cols)
{
	unsigned all = utf8_width(text, len), over = all - *cols, taken;
	size_t at = utf8_fit(text, len, over, &taken);

	if (taken < over) /* in the middle of a wide one */
		at = utf8_fit(text, len, over + 1, &taken);
	*cols = all - taken;
	return at;
}

static void put_cell(struct table *t, struct line *line, size_t i, const struct cell *cell,
		     const char *text)
{
	const struct column *c = &t->column[i];
	unsigned fill = c->width_cols > cell->cols ? c->width_cols - cell->cols : 0;
	unsigned room, cols = cell->cols;
	size_t len = cell->len, left_out;
	enum cut cut = CUT_NOT;

	if (line->full)
		return;
	room = cell_room(t, line, i);
	if (c->declared.align == TABLE_RIGHT && cols < room) {
		line->pad_cols += min(fill, room - cols);
		room = cell_room(t, line, i);
	}
	if (cols > room && room && c->declared.keep_end) {
		cut = CUT_BEGINNING;
		cols = room - 1;
		left_out = beginning_len(text, len, &cols);
		text += left_out;
		len -= left_out;
		cols++;
	} else if (cols > room && room) {
		cut = CUT_END;
		len = utf8_fit(text, len, room - 1, &cols);
		cols++;
	}
	if (room)
		put_text(t, line, cell, text, len, cols, cut);
	line->full = !room && cell->cols;
	if (c->declared.align == TABLE_LEFT && c->width_cols > cols)
		line->pad_cols += c->width_cols - cols;
	line->pad_cols += GAP_COLS;
}

void table_header(struct table *t)
{
	struct line line = { 0 };

	assert(t);
	for (size_t i = 0; i < t->count; i++) {
		const char *title = t->column[i].title;
		struct cell cell = { .len = strlen(title), .style = TERM_BOLD };

		cell.cols = utf8_width(title, cell.len);
		put_cell(t, &line, i, &cell, title);
	}
	strbuf_putc(t->out, '\n');
}

static void put_row(struct table *t, const struct cell *row)
{
	struct line line = { 0 };

	for (size_t i = 0; i < t->count; i++)
		put_cell(t, &line, i, &row[i], t->text.s + row[i].at);
	strbuf_putc(t->out, '\n');
}

void table_settle(struct table *t)
{
	assert(t && t->cells.len == t->rows * t->count); /* not in the middle of a row */
	if (!t->settled) {
		shrink(t);
		t->settled = true;
		if (!t->style.no_header)
			table_header(t);
	}
	for (size_t i = 0; i < t->rows; i++)
		put_row(t, &t->cells.at[i * t->count]);
	vec_clear(&t->cells);
	t->rows = 0;
	strbuf_reset(&t->text);
}

void table_cell(struct table *t, enum term_style style, const char *text, size_t len)
{
	size_t i = t->cells.len - t->rows * t->count, at = t->text.len;
	struct cell cell = { .at = at, .style = style };

	assert((text || !len) && i < t->count);
	if (text_is_plain(text, len))
		strbuf_append(&t->text, text, len);
	else
		text_escape(&t->text, text, len);
	cell.len = t->text.len - at;
	cell.cols = utf8_width(t->text.s + at, cell.len);
	vec_push(&t->cells, cell);
	grow(t, i, cell.cols);
}

void table_cellf(struct table *t, enum term_style style, const char *fmt, ...)
{
	auto_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	table_cell(t, style, text, strlen(text));
}

void table_row_end(struct table *t)
{
	while (t->cells.len < (t->rows + 1) * t->count)
		table_cell(t, TERM_PLAIN, "", 0);
	t->rows++;
	if (t->settled || t->rows >= t->style.settle_rows)
		table_settle(t);
}
