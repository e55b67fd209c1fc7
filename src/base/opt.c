/* SPDX-License-Identifier: BSD-2-Clause */
/* Option tables: parsing. Each type is a row: its usual metavar and how to store a value. */
#include "base/opt.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"

#include <assert.h>
#include <errno.h>

/* What is being stored, for a type's function; `value` is NULL where there is none. */
struct store {
	const struct opt *row;
	const char *value;
	bool negated;
	void *cfg, *field;
};

/* A row with the way it is written: "no-json" for "json" is the row, negated. */
struct name {
	const char *text;
	size_t len;
};

struct parse {
	struct opt_set *set;
	int argc, at;
	char **argv;
	struct opt_rest rest;
};

static int store_bool(const struct store *s, struct err *e)
{
	(void)e;
	*(bool *)s->field = !s->negated;
	return 0;
}

static int store_count(const struct store *s, struct err *e)
{
	(void)e;
	++*(unsigned *)s->field;
	return 0;
}

static int store_str(const struct store *s, struct err *e)
{
	(void)e;
	*(const char **)s->field = s->value;
	return 0;
}

static int store_list(const struct store *s, struct err *e)
{
	if (!str_split(s->value, s->field))
		return fail(e, EINVAL, "the list is empty");
	return 0;
}

static int check_range(const struct opt *row, uint64_t value, const char *text, struct err *e)
{
	char least[UNIT_TEXT_MAX], most[UNIT_TEXT_MAX];
	size_t (*format)(char *, uint64_t) = bytes_format_exact;

	if ((!row->least && !row->most) || (value >= row->least && value <= row->most))
		return 0;
	if (row->type == OPT_DURATION)
		format = duration_format_exact;
	format(least, row->least);
	format(most, row->most);
	return fail(e, ERANGE, "'%s' is out of range: expected %s to %s", text, least, most);
}

static int store_u64_of(const struct store *s, struct err *e,
			int (*parse)(const char *, uint64_t *, struct err *))
{
	uint64_t value = 0;

	if (parse(s->value, &value, e) < 0 || check_range(s->row, value, s->value, e) < 0)
		return -e->code;
	*(uint64_t *)s->field = value;
	return 0;
}

static int store_u64(const struct store *s, struct err *e)
{
	return store_u64_of(s, e, number_parse);
}

static int store_duration(const struct store *s, struct err *e)
{
	return store_u64_of(s, e, duration_parse);
}

static int store_bytes(const struct store *s, struct err *e)
{
	return store_u64_of(s, e, bytes_parse);
}

static int store_u32(const struct store *s, struct err *e)
{
	uint64_t value = 0;

	if (number_parse(s->value, &value, e) < 0 || check_range(s->row, value, s->value, e) < 0)
		return -e->code;
	if (value > UINT32_MAX)
		return fail(e, ERANGE, "'%s' is out of range: expected at most %u", s->value,
			    UINT32_MAX);
	*(uint32_t *)s->field = (uint32_t)value;
	return 0;
}

static int store_s64(const struct store *s, struct err *e)
{
	return signed_parse(s->value, s->field, e);
}

static const char *choice_nth(const void *ctx, size_t i)
{
	return ((const struct opt_choice *)ctx)[i].name;
}

static int store_enum(const struct store *s, struct err *e)
{
	auto_done(strbuf) known = { 0 };
	const char *near;

	assert(s->row->choices);
	for (const struct opt_choice *c = s->row->choices; c->name; c++) {
		if (strcmp(c->name, s->value))
			continue;
		*(int *)s->field = c->value;
		return 0;
	}
	opt_choices(s->row, ", ", &known);
	near = suggest_from(s->value, choice_nth, s->row->choices);
	return fail(e, EINVAL, "unknown '%s': expected one of %s%s%s%s", s->value,
		    strbuf_str(&known), near ? " (did you mean '" : "", near ? near : "",
		    near ? "'?)" : "");
}

static int store_call(const struct store *s, struct err *e)
{
	assert(s->row->call);
	return s->row->call(s->row, s->value, s->cfg, e);
}

static const struct {
	const char *metavar; /* NULL: takes no value */
	int (*store)(const struct store *s, struct err *e);
} types[] = {
	[OPT_BOOL] = { NULL, store_bool },
	[OPT_STR] = { "TEXT", store_str },
	[OPT_LIST] = { "LIST", store_list },
	[OPT_U32] = { "N", store_u32 },
	[OPT_U64] = { "N", store_u64 },
	[OPT_S64] = { "N", store_s64 },
	[OPT_DURATION] = { "TIME", store_duration },
	[OPT_BYTES] = { "SIZE", store_bytes },
	[OPT_COUNT] = { NULL, store_count },
	[OPT_ENUM] = { "WORD", store_enum },
	[OPT_CALL] = { NULL, store_call },
};
static_assert(ARRAY_LEN(types) == OPT_TYPE_COUNT, "a row for each type");

void opt_set_add(struct opt_set *set, struct opt_table table)
{
	size_t want = set->len + 1;

	set->table = vec_grow(set->table, &set->cap, want, sizeof(*set->table));
	set->table[set->len++] = table;
}

void opt_set_done(struct opt_set *set)
{
	free(set->table);
	set->table = NULL;
	set->len = set->cap = 0;
}

const char *opt_metavar(const struct opt *row)
{
	assert((unsigned)row->type < OPT_TYPE_COUNT);
	if (row->type == OPT_BOOL || row->type == OPT_COUNT)
		return NULL;
	return row->metavar ? row->metavar : types[row->type].metavar;
}

bool opt_takes_value(const struct opt *row)
{
	return opt_metavar(row) != NULL;
}

static bool name_is(const struct name *n, const char *text)
{
	return strlen(text) == n->len && !memcmp(text, n->text, n->len);
}

/* Is the row called so? *negated: by the opposite of its name. */
static bool row_is(const struct opt *row, const struct name *n, bool *negated)
{
	struct name opposite = { n->text + 3, n->len - 3 };
	const char *positive = str_after(row->name, "no-");

	*negated = false;
	if (name_is(n, row->name))
		return true;
	*negated = true;
	if (row->type != OPT_BOOL)
		return false;
	if (positive && name_is(n, positive))
		return true;
	return n->len > 3 && !memcmp(n->text, "no-", 3) && name_is(&opposite, row->name);
}

static const struct opt *set_find(const struct opt_set *set, const struct name *n)
{
	bool negated;

	for (size_t t = 0; t < set->len; t++)
		for (size_t i = 0; i < set->table[t].count; i++)
			if (row_is(&set->table[t].rows[i], n, &negated))
				return &set->table[t].rows[i];
	return NULL;
}

static const struct opt *set_find_letter(const struct opt_set *set, char letter)
{
	for (size_t t = 0; t < set->len; t++)
		for (size_t i = 0; i < set->table[t].count; i++)
			if (set->table[t].rows[i].letter == letter)
				return &set->table[t].rows[i];
	return NULL;
}

static const char *row_nth(const void *ctx, size_t i)
{
	const struct opt_set *set = ctx;

	for (size_t t = 0; t < set->len; t++) {
		if (i < set->table[t].count)
			return set->table[t].rows[i].name;
		i -= set->table[t].count;
	}
	return NULL;
}

/* Every mistake here is one of usage, whatever the callback said. */
static int usage(struct err *e)
{
	if (!e->exit_class)
		e->exit_class = EXIT_USAGE;
	return -e->code;
}

static int unknown_option(const struct opt_set *set, const struct name *n, struct err *e)
{
	auto_free char *name = xstrndup(n->text, n->len);
	const char *near = suggest_from(name, row_nth, set);

	if (near)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "unknown option '--%s' (did you mean '--%s'?)", name, near);
	fail_as(e, EXIT_USAGE, EINVAL, "unknown option '--%s'", name);
	return hint(e, "%s",
		    set->unknown
			    ?: "--help lists the options; those of a probe come after its name");
}

/* Sets the option in every table that has it. */
static int set_all(const struct opt_set *set, const struct name *n, const char *value,
		   struct err *e)
{
	for (size_t t = 0; t < set->len; t++) {
		const struct opt_table *table = &set->table[t];

		for (size_t i = 0; i < table->count; i++) {
			struct store s = { .row = &table->rows[i],
					   .value = value,
					   .cfg = table->cfg };

			if (!row_is(s.row, n, &s.negated))
				continue;
			s.field = (char *)table->cfg + s.row->offset;
			if (types[s.row->type].store(&s, e) < 0) {
				wrap(e, "option '--%s'", s.row->name);
				return usage(e);
			}
			if (table->given)
				table->given[i] = true;
		}
	}
	return 0;
}

/* The word after an option; not what stands behind `--`, and not `--`. */
static int next_value(struct parse *p, const struct opt *row, const char **ret_value, struct err *e)
{
	if (p->at + 1 >= p->argc || !strcmp(p->argv[p->at + 1], "--"))
		return fail_as(e, EXIT_USAGE, EINVAL, "option '--%s' needs a value: %s", row->name,
			       opt_metavar(row));
	*ret_value = p->argv[++p->at];
	return 0;
}

static int parse_long(struct parse *p, const char *text, struct err *e)
{
	const char *equals = strchr(text, '='), *value = equals ? equals + 1 : NULL;
	struct name n = { text, equals ? (size_t)(equals - text) : strlen(text) };
	const struct opt *row = set_find(p->set, &n);

	if (!row)
		return unknown_option(p->set, &n, e);
	if (equals && !opt_takes_value(row))
		return fail_as(e, EXIT_USAGE, EINVAL, "option '--%s' takes no value, but got '%s'",
			       row->name, value);
	if (!equals && opt_takes_value(row) && next_value(p, row, &value, e) < 0)
		return -e->code;
	return set_all(p->set, &n, value, e);
}

/* "abc": letters until one takes a value, which is what is left or the next word. */
static int parse_short(struct parse *p, const char *text, struct err *e)
{
	const struct opt *row;
	const char *value;

	for (; *text; text++) {
		row = set_find_letter(p->set, *text);
		if (!row) {
			fail_as(e, EXIT_USAGE, EINVAL, "unknown option '-%c'", *text);
			return hint(e, "--help lists the options");
		}
		value = NULL;
		if (opt_takes_value(row)) {
			value = text + 1;
			if (!*value && next_value(p, row, &value, e) < 0)
				return -e->code;
		}
		if (set_all(p->set, &(struct name){ row->name, strlen(row->name) }, value, e) < 0)
			return -e->code;
		if (value)
			return 0;
	}
	return 0;
}

static int parse_word(struct parse *p, char *word, struct err *e)
{
	if (p->set->word && p->set->word(p->set, word, p->set->ctx, e) < 0)
		return -e->code;
	p->argv[p->rest.count++] = word;
	return 0;
}

static int parse_one(struct parse *p, char *text, struct err *e)
{
	if (text[0] != '-' || !text[1] ||
	    (text[1] >= '0' && text[1] <= '9')) /* a number is a word */
		return parse_word(p, text, e);
	return text[1] == '-' ? parse_long(p, text + 2, e) : parse_short(p, text + 1, e);
}

int opt_parse(struct opt_set *set, int argc, char **argv, struct opt_rest *ret_rest, struct err *e)
{
	struct parse p = { .set = set, .argc = argc, .argv = argv };

	assert(set && argc >= 0 && ret_rest);
	p.rest.words = argv;
	p.rest.after = argv + argc;
	for (; p.at < argc && !p.rest.has_dashes; p.at++) {
		if (!strcmp(argv[p.at], "--")) {
			p.rest.has_dashes = true;
			p.rest.after = argv + p.at + 1;
			p.rest.after_count = (size_t)(argc - p.at - 1);
		} else if (parse_one(&p, argv[p.at], e) < 0) {
			return -e->code;
		}
	}
	*ret_rest = p.rest;
	return 0;
}
