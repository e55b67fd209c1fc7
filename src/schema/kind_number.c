/* SPDX-License-Identifier: BSD-2-Clause */
/* Kinds: quantities (durations, sizes, percentages, rates), hexadecimal numbers, booleans. */
#include "schema/kinds.h"

#include <errno.h>
#include <math.h>
#include <strings.h>

#include "base/err.h"
#include "base/str.h"
#include "base/units.h"

/* How many nanoseconds one of the field's unit is. */
static uint64_t unit_ns(const struct field *f)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} row[] = { { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 } };

	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		if (str_eq(f->unit, row[i].unit))
			return row[i].ns;
	return 1;
}

/* Splits off the sign, which the formatters of base/ don't have. */
static uint64_t magnitude(struct strbuf *out, struct value v)
{
	if (v.type != VALUE_S64 || v.s64 >= 0)
		return v.u64;
	strbuf_putc(out, '-');
	return -(uint64_t)v.s64;
}

void duration_text(struct strbuf *out, const struct field *f, struct value v)
{
	char text[UNIT_TEXT_MAX];
	uint64_t ns;

	if (v.type == VALUE_DOUBLE) {
		plain_text(out, f, v);
		return;
	}
	if (__builtin_mul_overflow(magnitude(out, v), unit_ns(f), &ns))
		ns = UINT64_MAX;
	strbuf_append(out, text, duration_format(text, ns));
}

void bytes_text(struct strbuf *out, const struct field *f, struct value v)
{
	char text[UNIT_TEXT_MAX];

	if (v.type == VALUE_DOUBLE)
		plain_text(out, f, v);
	else
		strbuf_append(out, text, bytes_format(text, magnitude(out, v)));
}

void percent_text(struct strbuf *out, const struct field *f, struct value v)
{
	plain_text(out, f, v);
	strbuf_append(out, " %", 2);
}

/* What is not all is not "100 %", and what is something not "0 %". */
void ratio_text(struct strbuf *out, const struct field *f, struct value v)
{
	double percent = v.dbl * 100;

	if (v.type != VALUE_DOUBLE)
		plain_text(out, f, v);
	else if (percent <= 0 || percent >= 100)
		strbuf_puts(out, percent <= 0 ? "0 %" : "100 %");
	else if (percent < 0.1)
		strbuf_puts(out, "<0.1 %");
	else
		strbuf_appendf(out, "%.1f %%", percent < 99.9 ? percent : 99.9);
}

void rate_text(struct strbuf *out, const struct field *f, struct value v)
{
	char text[UNIT_TEXT_MAX];
	uint64_t milli;

	if (v.type == VALUE_DOUBLE && (!isfinite(v.dbl) || v.dbl < 0 || v.dbl > 1e15)) {
		plain_text(out, f, v);
		return;
	}
	milli = v.type == VALUE_DOUBLE ? (uint64_t)(v.dbl * 1000) : magnitude(out, v);
	strbuf_append(out, text,
		      rate_format(text, milli,
				  v.type == VALUE_DOUBLE ? 1000000000000ULL : 1000000000ULL));
}

void hex_text(struct strbuf *out, const struct field *f, struct value v)
{
	(void)f;
	strbuf_append(out, "0x", 2);
	strbuf_hex(out, v.type == VALUE_DOUBLE ? (uint64_t)0 : v.u64, 1);
}

static int needs_no_sign(const struct field *f, const char *text, struct err *e)
{
	if (*text == '-' && !f->is_signed)
		return fail(e, EINVAL, "'%s': '%s' is never negative", text, f->name);
	return 0;
}

/* A number with an optional sign, whose size `parse` reads; `units` such make one of the
 * field's. */
static int quantity_parse(const struct field *f, const char *text,
			  int (*parse)(const char *, uint64_t *, struct err *), uint64_t unit,
			  struct value *ret_value, struct err *e)
{
	bool negative = *text == '-';
	uint64_t n;

	if (needs_no_sign(f, text, e) < 0 || parse(text + negative, &n, e) < 0)
		return -e->code;
	if (n % unit)
		return fail(e, EINVAL, "'%s' isn't a whole number of %s", text, f->unit);
	n /= unit;
	if (f->is_signed && n > INT64_MAX)
		return fail(e, ERANGE, "'%s' is too large", text);
	*ret_value = value_of_field(f, negative ? -n : n);
	return 0;
}

int number_kind_parse(const struct field *f, const char *text, struct value *ret_value,
		      struct err *e)
{
	return quantity_parse(f, text, number_parse, 1, ret_value, e);
}

/* A plain number counts in the field's own unit: what JSON shows can be written back. */
static bool is_plain_number(const char *text)
{
	text += *text == '-';
	return *text && !text[strspn(text, "0123456789")];
}

int duration_kind_parse(const struct field *f, const char *text, struct value *ret_value,
			struct err *e)
{
	if (is_plain_number(text))
		return number_kind_parse(f, text, ret_value, e);
	return quantity_parse(f, text, duration_parse, unit_ns(f), ret_value, e);
}

int bytes_kind_parse(const struct field *f, const char *text, struct value *ret_value,
		     struct err *e)
{
	return quantity_parse(f, text, bytes_parse, 1, ret_value, e);
}

int percent_kind_parse(const struct field *f, const char *text, struct value *ret_value,
		       struct err *e)
{
	size_t len = strlen(text);
	char number[UNIT_TEXT_MAX];

	if (!len || text[len - 1] != '%' || len > sizeof(number))
		return number_kind_parse(f, text, ret_value, e);
	str_copy(number, len, text);
	return number_kind_parse(f, number, ret_value, e);
}

/* "12.4%" or "0.124" */
int ratio_kind_parse(const struct field *f, const char *text, struct value *ret_value,
		     struct err *e)
{
	size_t digits = strspn(text, "0123456789.");
	bool percent = str_eq(text + digits, "%");
	char *end;
	double n = strtod(text, &end);

	if (!digits || end != text + digits || (*end && !percent) || n > (percent ? 100 : 1))
		return fail(e, EINVAL, "'%s' is no share (for '%s'): 0 to 1, or 0%% to 100%%", text,
			    f->name);
	*ret_value = value_double(percent ? n / 100 : n);
	return 0;
}

int bool_parse(const struct field *f, const char *text, struct value *ret_value, struct err *e)
{
	static const struct {
		const char *name;
		bool value;
	} row[] = {
		{ "true", true }, { "false", false }, { "yes", true }, { "no", false },
		{ "on", true },   { "off", false },   { "1", true },   { "0", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		if (strcasecmp(row[i].name, text) != 0)
			continue;
		*ret_value = value_bool(row[i].value);
		return 0;
	}
	return fail(e, EINVAL, "'%s' is neither true nor false (for '%s')", text, f->name);
}
