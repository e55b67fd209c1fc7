/* SPDX-License-Identifier: BSD-2-Clause */
/* Columns on a narrow terminal: which go first. */
#include "sink/narrow.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "schema/kind.h"
#include "sink/columns.h"

#include <assert.h>

enum {
	ENUM_MOST_COLS = 16, /* that are kept free for names of an enum */
	COMM_COLS = 10,
	NAME_COLS = 8,
	LONG_COLS = 16, /* will do on a narrow terminal */
	LAST_LONG_COLS = 20,
	ROUNDS = 8,
};

/* Each round takes the columns that it names, from the right, until the others fit. 0: never. */
struct goes {
	const char *name;     /* of a kind, or of a field */
	unsigned first, next; /* of its kind in the row; further ones of it */
};

/* Of sockets as they are: where one listens says more than its path, what it does more than its times;
 * of processes: what they take says more than who began them. */
static const struct goes sockets_go[] = {
	{ "path", 1, 1 },     { "holders", 1, 1 }, { "rtt_us", 2, 2 }, { "tx_bytes", 2, 2 },
	{ "rx_bytes", 3, 3 }, { "peer", 7, 7 },    { "local", 7, 7 },  { "state", 7, 7 },
};
static const struct goes processes_go[] = {
	{ "start_ns", 1, 1 }, { "user", 3, 3 },       { "ppid", 2, 2 },
	{ "unit", 2, 2 },     { "swap_bytes", 2, 2 }, { "rss_bytes", 7, 7 },
};

/* The same thing has the same name in all probes. */
static const struct goes fields_go[] = {
	{ "local", 3, 3 },  /* the peer says more */
	{ "server", 7, 7 }, /* mostly the same one */
	{ "outcome", 8, 8 },
	{ "result", 8, 8 },
};

static const struct goes kinds_go[] = {
	{ "bool", 1, 1 },        { "uid", 1, 1 },   { "gid", 1, 1 },        { "inode", 1, 1 },
	{ "netns", 1, 1 },       { "mntns", 1, 1 }, { "cgroup", 1, 1 },     { "sector", 1, 1 },
	{ "ifindex", 1, 1 },     { "hex", 1, 1 },   { "open_flags", 2, 2 }, { "duration", 0, 2 },
	{ "number", 3, 2 },      { "bytes", 4, 2 }, { "percent", 4, 2 },    { "rate", 4, 2 },
	{ "comm", 0, 6 },        { "pid", 0, 6 },   { "ip", 8, 4 },         { "errno", 7, 7 },
	{ "dns_records", 7, 7 },
};

/* Of the kinds that are not named above. */
static const struct goes classes_go[] = {
	[CLASS_NUMBER] = { "number", 3, 2 }, [CLASS_NAME] = { "name", 0, 5 },
	[CLASS_TEXT] = { "text", 0, 4 },     [CLASS_IP] = { "ip", 8, 4 },
	[CLASS_BOOL] = { "bool", 1, 1 },     [CLASS_STACK] = { "stack", 0, 0 },
	[CLASS_OTHER] = { "other", 3, 2 },
};
static_assert(ARRAY_LEN(classes_go) == CLASS_COUNT, "a row for each class");

static const struct goes *goes_find(const struct goes *table, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(table[i].name, name))
			return &table[i];
	return NULL;
}

static bool has_field(const struct columns *c, const char *name)
{
	for (size_t i = 0; i < c->at.len; i++)
		if (str_eq(c->at.at[i].name, name))
			return true;
	return false;
}

static const struct goes *goes_of(const struct columns *c, const struct field *f)
{
	const struct goes *here = NULL;

	if (has_field(c, "protocol") && has_field(c, "state"))
		here = goes_find(sockets_go, ARRAY_LEN(sockets_go), f->name);
	else if (has_field(c, "cpu_ns") && has_field(c, "state"))
		here = goes_find(processes_go, ARRAY_LEN(processes_go), f->name);
	return here ?: goes_find(fields_go, ARRAY_LEN(fields_go), f->name)
		       ?: goes_find(kinds_go, ARRAY_LEN(kinds_go), f->kind->name)
		       ?: &classes_go[f->kind->class];
}

static bool is_first(const struct columns *c, size_t nth)
{
	for (size_t i = 0; i < nth; i++)
		if (c->at.at[i].field && c->at.at[i].field->kind == c->at.at[nth].field->kind)
			return false;
	return true;
}

static bool is_outcome(const struct field *f)
{
	return f && (str_eq(f->kind->name, "errno") || str_eq(f->name, "result") ||
		     str_eq(f->name, "outcome"));
}

/* A line of words without what came of it, or about what, says little; how long it took may go. */
static unsigned words_round(const struct field *f, unsigned round)
{
	if (is_outcome(f))
		return 0;
	return str_eq(f->kind->name, "duration") && !round ? ROUNDS : round;
}

static unsigned round_of(const struct columns *c, size_t nth, enum narrow_form form)
{
	const struct field *f = c->at.at[nth].field;
	const struct goes *goes;
	unsigned round;

	if (!f)
		return 0;
	if (f->flags & FIELD_FLAGS)
		return 2;
	goes = goes_of(c, f);
	round = is_first(c, nth) ? goes->first : goes->next;
	return form == NARROW_WORDS ? words_round(f, round) : round;
}

/* Names of an enum are known beforehand: the longest counts, or the rows of a slow stream would not
 * stand below each other. */
static unsigned field_cols(const struct field *f)
{
	const struct names *names =
		f->type == FIELD_ENUM && !(f->flags & FIELD_FLAGS) ? f->names : NULL;
	unsigned cols = f->kind->min_cols;

	for (size_t i = 0; names && i < names->count; i++)
		cols = max(cols,
			   min((unsigned)strlen(names->at[i].name), (unsigned)ENUM_MOST_COLS));
	return cols;
}

static unsigned narrow_most(const struct field *f)
{
	if (str_eq(f->kind->name, "comm"))
		return COMM_COLS;
	return f->kind->class == CLASS_NAME   ? NAME_COLS
	       : f->kind->class == CLASS_TEXT ? LONG_COLS
					      : ~0u;
}

unsigned column_cols(const struct column *c, bool narrow)
{
	if (c->what == COLUMN_TIME)
		return wall_text_len(c->time ?: narrow ? WALL_S : WALL_MS);
	if (!c->field)
		return 0;
	return min(field_cols(c->field), narrow ? narrow_most(c->field) : ~0u);
}

bool column_is_apart(const struct column *c)
{
	return c->what != COLUMN_FIELD || str_eq(c->name, "pid") || str_eq(c->name, "comm");
}

/* A path, arguments: as long as there is room. */
static bool is_long(const struct column *c)
{
	return c->field && c->field->kind->class == CLASS_TEXT && column_cols(c, true) >= LONG_COLS;
}

static unsigned taken_cols(const struct columns *c, enum narrow_form form, bool narrow)
{
	const struct column *last = c->at.len ? &c->at.at[c->at.len - 1] : NULL;
	unsigned cols = 0;

	vec_for_each(column, &c->at) {
		unsigned name_cols = (unsigned)columns_name_len(column->name, column->field);
		unsigned value_cols = column_cols(column, narrow);

		if (column == last && is_long(column))
			value_cols = max(value_cols, (unsigned)LAST_LONG_COLS);
		/* words need not stand below each other: the usual value counts, not the longest name */
		if (form == NARROW_WORDS && column->field &&
		    column->field->kind->class == CLASS_NAME)
			value_cols = min(value_cols, column->field->kind->min_cols);
		if (form == NARROW_TABLE)
			cols += max(name_cols, value_cols) + (column == last ? 0 : NARROW_GAP_COLS);
		else if (!column_is_apart(column))
			cols += name_cols + strlen("=") + value_cols + strlen(" ");
	}
	return cols;
}

static void column_leave(struct columns *c, size_t nth, struct strbuf *ret_left_out)
{
	strbuf_appendf(ret_left_out, "%s%s", ret_left_out->len ? ", " : "", c->at.at[nth].name);
	for (size_t i = nth + 1; i < c->at.len; i++)
		c->at.at[i - 1] = c->at.at[i];
	c->at.len--;
}

/* Before names and paths, behind which it would be cut. */
static void outcome_first(struct columns *c)
{
	size_t to = 0;

	for (size_t i = 0; i < c->at.len; i++) {
		struct column outcome = c->at.at[i];

		if (!is_outcome(outcome.field))
			continue;
		for (size_t k = i; k > to; k--)
			c->at.at[k] = c->at.at[k - 1];
		c->at.at[to++] = outcome;
	}
}

bool columns_narrow(struct columns *c, enum narrow_form form, unsigned width_cols,
		    struct strbuf *ret_left_out)
{
	if (taken_cols(c, form, false) <= width_cols)
		return false;
	for (unsigned round = 1; round <= ROUNDS; round++)
		for (size_t i = c->at.len; i-- > 0;)
			if (taken_cols(c, form, true) > width_cols && round_of(c, i, form) == round)
				column_leave(c, i, ret_left_out);
	if (form == NARROW_WORDS)
		outcome_first(c);
	return true;
}
