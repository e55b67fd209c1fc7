/* SPDX-License-Identifier: BSD-2-Clause */
/* The forms of values that rules about traffic and hooks have: names that stand for numbers, or numbers. */
#include "policy/words.h"

#include "base/err.h"
#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

struct named {
	const char *name;
	int value;
};

/* clang-format off */
static const struct named dscps[] = {
	{ "cs0", 0 },   { "be", 0 },    { "le", 1 },    { "cs1", 8 },   { "af11", 10 }, { "af12", 12 }, { "af13", 14 },
	{ "cs2", 16 },  { "af21", 18 }, { "af22", 20 }, { "af23", 22 }, { "cs3", 24 },  { "af31", 26 }, { "af32", 28 },
	{ "af33", 30 }, { "cs4", 32 },  { "af41", 34 }, { "af42", 36 }, { "af43", 38 }, { "cs5", 40 },  { "va", 44 },
	{ "ef", 46 },   { "cs6", 48 },  { "cs7", 56 },
};
static const struct named hooks[] = {
	{ "prerouting", 0 }, { "input", 1 }, { "forward", 2 }, { "output", 3 }, { "postrouting", 4 },
};
/* clang-format on */

static bool named_find(const struct named *all, size_t count, const char *text, int *ret)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(all[i].name, text)) {
			*ret = all[i].value;
			return true;
		}
	return false;
}

/* The whole text, which begins with a digit or a minus. */
static bool number_read(const char *text, int base, long long min, long long max, long long *ret)
{
	const char *first = text + (*text == '-');
	char *end;

	if (*first < '0' || (*first > '9' && base != 16))
		return false;
	errno = 0;
	*ret = strtoll(text, &end, base);
	return !errno && !*end && *ret >= min && *ret <= max;
}

static int unfit(enum policy_form form, const char *text, struct err *e)
{
	return fail_as(e, EXIT_POLICY, EINVAL, "'%s': expected %s", text, policy_form_name(form));
}

int policy_dscp_parse(const char *text, uint8_t *ret_dscp, struct err *e)
{
	long long number;
	int value;

	if (named_find(dscps, ARRAY_LEN(dscps), text, &value))
		number = value;
	else if (!number_read(text, 0, 0, 63, &number))
		return unfit(FORM_DSCP, text, e);
	*ret_dscp = (uint8_t)number;
	return 0;
}

int policy_number_parse(const char *text, uint32_t *ret_number, struct err *e)
{
	long long number;

	if (!number_read(text, 0, 0, UINT_MAX, &number))
		return unfit(FORM_NUMBER, text, e);
	*ret_number = (uint32_t)number;
	return 0;
}

int policy_class_parse(const char *text, uint32_t *ret_class, struct err *e)
{
	const char *colon = strchr(text, ':');
	long long major, minor;
	char first[8];

	if (!colon || !str_format(first, sizeof(first), "%.*s", (int)(colon - text), text) ||
	    !number_read(first, 16, 0, 0xffff, &major) ||
	    !number_read(colon + 1, 16, 0, 0xffff, &minor))
		return unfit(FORM_CLASS, text, e);
	*ret_class = (uint32_t)(major << 16 | minor);
	return 0;
}

int policy_hook_parse(const char *text, unsigned *ret_hook, struct err *e)
{
	int value;

	if (!named_find(hooks, ARRAY_LEN(hooks), text, &value))
		return unfit(FORM_HOOK, text, e);
	*ret_hook = (unsigned)value;
	return 0;
}

/* The first and the last are not to be had. */
int policy_priority_parse(const char *text, int *ret_priority, struct err *e)
{
	long long number;

	if (!number_read(text, 10, -INT_MAX, INT_MAX - 1, &number))
		return unfit(FORM_PRIORITY, text, e);
	*ret_priority = (int)number;
	return 0;
}
