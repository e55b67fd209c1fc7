/* SPDX-License-Identifier: BSD-2-Clause */
/* Quantities: one reader of "number unit" for all of them, and one writer with rounding. */
#include "base/units.h"

#include "base/err.h"
#include "base/str.h"
#include "base/strbuf.h"

#include <assert.h>
#include <errno.h>
#include <strings.h>

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL
#define NS_PER_M  (60 * NS_PER_S)
#define NS_PER_H  (60 * NS_PER_M)
#define NS_PER_D  (24 * NS_PER_H)

struct unit {
	const char *name;
	uint64_t size;
};

/* What a parser takes; `expected` ends its messages. */
struct quantity {
	const char *noun, *expected;
	const struct unit *unit;
	size_t count;
	bool ignore_case;
};

/* clang-format off */
static const struct unit duration_units[] = {
	{ "ns", 1 }, { "us", NS_PER_US }, { "\u00b5s", NS_PER_US }, { "\u03bcs", NS_PER_US },
	{ "ms", NS_PER_MS }, { "s", NS_PER_S }, { "m", NS_PER_M }, { "min", NS_PER_M },
	{ "h", NS_PER_H }, { "d", NS_PER_D },
};
static const struct unit bytes_units[] = {
	{ "", 1 }, { "B", 1 },
	{ "K", 1ULL << 10 }, { "KiB", 1ULL << 10 }, { "KB", 1000ULL },
	{ "M", 1ULL << 20 }, { "MiB", 1ULL << 20 }, { "MB", 1000000ULL },
	{ "G", 1ULL << 30 }, { "GiB", 1ULL << 30 }, { "GB", 1000000000ULL },
	{ "T", 1ULL << 40 }, { "TiB", 1ULL << 40 }, { "TB", 1000000000000ULL },
	{ "P", 1ULL << 50 }, { "PiB", 1ULL << 50 }, { "PB", 1000000000000000ULL },
	{ "E", 1ULL << 60 }, { "EiB", 1ULL << 60 }, { "EB", 1000000000000000000ULL },
};
static const struct unit number_units[] = {
	{ "", 1 }, { "k", 1000ULL }, { "M", 1000000ULL }, { "G", 1000000000ULL },
	{ "T", 1000000000000ULL },
};
/* Parts per million. */
/* A number before the slash times this is a count an hour. */
static const struct unit rate_units[] = {
	{ "s", 3600 }, { "sec", 3600 }, { "m", 60 }, { "min", 60 }, { "h", 1 }, { "hour", 1 },
};
/* clang-format on */

#define QUANTITY(n, e, units, ...)                                                              \
	{                                                                                       \
		.noun = n, .expected = e, .unit = units, .count = ARRAY_LEN(units), __VA_ARGS__ \
	}

static const struct quantity duration_quantity =
	QUANTITY("a duration", "a number and one of ns, us, ms, s, m, h, d, like 10ms or 1.5s",
		 duration_units);
static const struct quantity bytes_quantity =
	QUANTITY("a size", "a number of bytes, or one with KiB, MiB, GiB, KB, MB, GB, like 4KiB",
		 bytes_units, .ignore_case = true);
static const struct quantity number_quantity = QUANTITY(
	"a number", "digits, 0x and hex digits, or digits with k, M, G, T, like 10k", number_units);

static const char *skip_blanks(const char *at)
{
	while (*at == ' ' || *at == '\t')
		at++;
	return at;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* digits[.digits] as value / 10^decimals, at most 18 decimals. Moves *at behind it; false when
 * there is no digit or too many of them. */
static bool read_decimal(const char **at, unsigned __int128 *value, uint64_t *scale)
{
	const char *p = *at;
	unsigned digits = 0, decimals = 0;

	*value = 0;
	*scale = 1;
	for (; is_digit(*p); p++, digits++)
		if ((*value = *value * 10 + (unsigned)(*p - '0')) > UINT64_MAX)
			return false;
	if (*p == '.' && digits)
		for (p++; is_digit(*p); p++, decimals++) {
			if (decimals == 18)
				return false;
			*value = *value * 10 + (unsigned)(*p - '0');
			*scale *= 10;
		}
	if (p == *at || p[-1] == '.')
		return false;
	*at = p;
	return true;
}

static size_t word_len(const char *at)
{
	return strcspn(at, " \t0123456789.,;/+-");
}

static const struct unit *unit_find(const struct quantity *q, const char *name, size_t len)
{
	for (size_t i = 0; i < q->count; i++) {
		const char *known = q->unit[i].name;

		if (strlen(known) == len &&
		    (q->ignore_case ? !strncasecmp(known, name, len) : !strncmp(known, name, len)))
			return &q->unit[i];
	}
	return NULL;
}

static int not_understood(const struct quantity *q, const char *text, struct err *e)
{
	return fail(e, EINVAL, "'%s' is not %s: expected %s", text, q->noun, q->expected);
}

/* Reads one "number unit" at *at and moves behind it. `text` is the whole, for messages. */
static int read_quantity(const struct quantity *q, const char **at, const char *text,
			 uint64_t *ret_value, struct err *e)
{
	const struct unit *unit;
	unsigned __int128 value;
	uint64_t scale;
	size_t len;

	*at = skip_blanks(*at);
	if (!read_decimal(at, &value, &scale))
		return not_understood(q, text, e);
	*at = skip_blanks(*at);
	len = word_len(*at);
	unit = unit_find(q, *at, len);
	if (!unit && !(value == 0 && !len))
		return not_understood(q, text, e);
	*at = skip_blanks(*at + len);
	if (!unit) {
		*ret_value = 0;
		return 0;
	}
	if (value > ~(unsigned __int128)0 / unit->size)
		return fail(e, ERANGE, "'%s' is too large", text);
	value *= unit->size;
	if (value % scale)
		return fail(e, EINVAL, "'%s' is finer than can be counted", text);
	if (value / scale > UINT64_MAX)
		return fail(e, ERANGE, "'%s' is too large", text);
	*ret_value = (uint64_t)(value / scale);
	return 0;
}

static int read_whole(const struct quantity *q, const char *text, uint64_t *ret_value,
		      struct err *e)
{
	const char *at = text;
	uint64_t value;

	assert(text);
	if (read_quantity(q, &at, text, &value, e) < 0)
		return -e->code;
	if (*at)
		return not_understood(q, text, e);
	*ret_value = value;
	return 0;
}

int duration_parse(const char *text, uint64_t *ret_ns, struct err *e)
{
	const char *at = text;
	uint64_t total_ns = 0, part_ns;

	assert(text);
	do {
		if (read_quantity(&duration_quantity, &at, text, &part_ns, e) < 0)
			return -e->code;
		if (__builtin_add_overflow(total_ns, part_ns, &total_ns))
			return fail(e, ERANGE, "'%s' is too large", text);
	} while (*at);
	*ret_ns = total_ns;
	return 0;
}

int bytes_parse(const char *text, uint64_t *ret_bytes, struct err *e)
{
	return read_whole(&bytes_quantity, text, ret_bytes, e);
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int hex_parse(const char *text, const char *at, uint64_t *ret_value, struct err *e)
{
	uint64_t value = 0;
	const char *start = at;
	int digit;

	for (; (digit = hex_digit(*at)) >= 0; at++) {
		if (value >> 60)
			return fail(e, ERANGE, "'%s' is too large", text);
		value = value << 4 | (unsigned)digit;
	}
	if (at == start || *skip_blanks(at))
		return not_understood(&number_quantity, text, e);
	*ret_value = value;
	return 0;
}

int number_parse(const char *text, uint64_t *ret_value, struct err *e)
{
	const char *at = skip_blanks(text);

	if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X'))
		return hex_parse(text, at + 2, ret_value, e);
	return read_whole(&number_quantity, text, ret_value, e);
}

int signed_parse(const char *text, int64_t *ret_value, struct err *e)
{
	const char *at = skip_blanks(text);
	bool negative = *at == '-';
	uint64_t size;

	if (*at == '-' || *at == '+')
		at++;
	if (!is_digit(*at))
		return fail(e, EINVAL, "'%s' is not a number: expected digits, with a sign or not",
			    text);
	if (number_parse(at, &size, e) < 0)
		return -e->code;
	if (size > (uint64_t)INT64_MAX + negative)
		return fail(e, ERANGE, "'%s' is too large", text);
	*ret_value = negative ? (int64_t)-size : (int64_t)size;
	return 0;
}

/* `parse` reads what is before the slash. */
static int rate_of(const struct quantity *rate, const char *text,
		   int (*parse)(const char *, uint64_t *, struct err *), uint64_t *ret_per_hour,
		   struct err *e)
{
	const char *slash = strchr(text, '/'), *name = slash ? skip_blanks(slash + 1) : "s";
	const struct unit *unit = unit_find(rate, name, strcspn(name, " \t"));
	char number[UNIT_TEXT_MAX];
	uint64_t value;

	if (!unit || *skip_blanks(name + strcspn(name, " \t")))
		return not_understood(rate, text, e);
	if (!str_format(number, sizeof(number), "%.*s",
			slash ? (int)min((size_t)(slash - text), sizeof(number))
			      : (int)sizeof(number),
			text) ||
	    parse(number, &value, e) < 0)
		return not_understood(rate, text, e);
	if (__builtin_mul_overflow(value, unit->size, &value))
		return fail(e, ERANGE, "'%s' is too large", text);
	*ret_per_hour = value;
	return 0;
}

int rate_parse(const char *text, uint64_t *ret_per_hour, struct err *e)
{
	static const struct quantity rate =
		QUANTITY("a rate", "a number and one of /s, /m, /h, like 1000/s", rate_units);

	return rate_of(&rate, text, number_parse, ret_per_hour, e);
}

int byte_rate_parse(const char *text, uint64_t *ret_per_hour, struct err *e)
{
	static const struct quantity rate = QUANTITY(
		"a rate of bytes", "a size and one of /s, /m, /h, like 10MiB/s", rate_units);
	const char *slash = strchr(text, '/');

	if (!slash || slash == text || (slash[-1] != 'B' && slash[-1] != 'b'))
		return not_understood(&rate, text, e);
	return rate_of(&rate, text, bytes_parse, ret_per_hour, e);
}

/* A step of a scale: values that round to less than `limit` units are written in it. */
struct step {
	const char *suffix;
	uint64_t size;
	unsigned limit;
};

/* Writes `value` in the first step that it fits: `decimals` of them, fewer where that makes more
 * than three digits, none for a step of size 1. */
static size_t format_scaled(char *out, uint64_t value, const struct step *step, size_t count,
			    unsigned decimals)
{
	static const unsigned ten_to[] = { 1, 10, 100 };
	unsigned d = 0;
	uint64_t q = 0;

	for (size_t i = 0; i < count; i++, step++) {
		for (d = step->size == 1 ? 0 : decimals;; d--) {
			q = (uint64_t)(((unsigned __int128)value * ten_to[d] + step->size / 2) /
				       step->size);
			if (!d || q < 1000)
				break;
		}
		if (i == count - 1 || q < (uint64_t)step->limit * ten_to[d])
			break;
	}
	if (d)
		snprintf(out, UNIT_TEXT_MAX, "%llu.%0*llu%s", (unsigned long long)(q / ten_to[d]),
			 (int)d, (unsigned long long)(q % ten_to[d]), step->suffix);
	else
		snprintf(out, UNIT_TEXT_MAX, "%llu%s", (unsigned long long)q, step->suffix);
	return strlen(out);
}

size_t duration_format(char out[static UNIT_TEXT_MAX], uint64_t ns)
{
	static const struct step steps[] = {
		{ " ns", 1, 1000 },      { " us", NS_PER_US, 1000 }, { " ms", NS_PER_MS, 1000 },
		{ " s", NS_PER_S, 100 }, { " m", NS_PER_M, 100 },    { " h", NS_PER_H, 100 },
		{ " d", NS_PER_D, 0 },
	};

	return format_scaled(out, ns, steps, ARRAY_LEN(steps), 2);
}

size_t bytes_format(char out[static UNIT_TEXT_MAX], uint64_t bytes)
{
	static const struct step steps[] = {
		{ " B", 1, 1024 },
		{ " KiB", 1ULL << 10, 1024 },
		{ " MiB", 1ULL << 20, 1024 },
		{ " GiB", 1ULL << 30, 1024 },
		{ " TiB", 1ULL << 40, 1024 },
		{ " PiB", 1ULL << 50, 1024 },
		{ " EiB", 1ULL << 60, 0 },
	};

	return format_scaled(out, bytes, steps, ARRAY_LEN(steps), 1);
}

size_t number_format(char out[static UNIT_TEXT_MAX], uint64_t value)
{
	static const struct step steps[] = {
		{ "", 1, 1000 },
		{ "k", 1000ULL, 1000 },
		{ "M", 1000000ULL, 1000 },
		{ "G", 1000000000ULL, 1000 },
		{ "T", 1000000000000ULL, 1000 },
		{ "P", 1000000000000000ULL, 1000 },
		{ "E", 1000000000000000000ULL, 0 },
	};

	return format_scaled(out, value, steps, ARRAY_LEN(steps), 2);
}

/* value * factor / divisor, as much as fits. */
static uint64_t scale_u64(uint64_t value, uint64_t factor, uint64_t divisor)
{
	unsigned __int128 wide;

	if (!divisor)
		return 0;
	wide = (unsigned __int128)value * factor / divisor;
	return wide > UINT64_MAX ? UINT64_MAX : (uint64_t)wide;
}

size_t rate_format(char out[static UNIT_TEXT_MAX], uint64_t count, uint64_t ns)
{
	static const struct step thousandths[] = {
		{ "/s", 1000ULL, 1000 },
		{ "k/s", 1000000ULL, 1000 },
		{ "M/s", 1000000000ULL, 1000 },
		{ "G/s", 1000000000000ULL, 0 },
	};

	return format_scaled(out, scale_u64(count, 1000 * NS_PER_S, ns), thousandths,
			     ARRAY_LEN(thousandths), 2);
}

size_t percent_format(char out[static UNIT_TEXT_MAX], uint64_t part, uint64_t whole)
{
	static const struct step thousandths[] = { { " %", 1000, 0 } };

	return format_scaled(out, scale_u64(part, 100 * 1000, whole), thousandths, 1, 2);
}

/* The largest of `unit` (in rising order) that divides the value. */
static size_t format_exact(char *out, uint64_t value, const struct unit *unit, size_t count)
{
	size_t best = 0;

	for (size_t i = 0; value && i < count; i++)
		if (value % unit[i].size == 0)
			best = i;
	snprintf(out, UNIT_TEXT_MAX, "%llu%s", (unsigned long long)(value / unit[best].size),
		 unit[best].name);
	return strlen(out);
}

size_t duration_format_exact(char out[static UNIT_TEXT_MAX], uint64_t ns)
{
	static const struct unit units[] = {
		{ "ns", 1 },       { "us", NS_PER_US }, { "ms", NS_PER_MS }, { "s", NS_PER_S },
		{ "m", NS_PER_M }, { "h", NS_PER_H },   { "d", NS_PER_D },
	};

	return format_exact(out, ns, units, ARRAY_LEN(units));
}

size_t bytes_format_exact(char out[static UNIT_TEXT_MAX], uint64_t bytes)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "KiB", 1ULL << 10 },
		{ "MiB", 1ULL << 20 },
		{ "GiB", 1ULL << 30 },
		{ "TiB", 1ULL << 40 },
		{ "PiB", 1ULL << 50 },
		{ "EiB", 1ULL << 60 },
	};

	return format_exact(out, bytes, units, ARRAY_LEN(units));
}
