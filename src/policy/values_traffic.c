/* SPDX-License-Identifier: BSD-2-Clause */
/* The forms of values that rules about protocols, traffic and hooks have: names that stand for numbers, or numbers. */
#include "policy/words.h"

#include "abi/ip_protocols.h"
#include "base/err.h"
#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
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

/* As the registry of ICMP parameters has them; -1: not in that one. */
static const struct {
	const char *name;
	int type, type6;
} icmp_types[] = {
	{ "echo-reply", 0, 129 },             { "destination-unreachable", 3, 1 }, { "packet-too-big", -1, 2 },
	{ "source-quench", 4, -1 },           { "redirect", 5, 137 },              { "echo-request", 8, 128 },
	{ "router-advertisement", 9, 134 },   { "router-solicitation", 10, 133 },  { "time-exceeded", 11, 3 },
	{ "parameter-problem", 12, 4 },       { "timestamp-request", 13, -1 },     { "timestamp-reply", 14, -1 },
	{ "address-mask-request", 17, -1 },   { "address-mask-reply", 18, -1 },    { "mld-query", -1, 130 },
	{ "mld-report", -1, 131 },            { "mld-done", -1, 132 },             { "neighbour-solicitation", -1, 135 },
	{ "neighbour-advertisement", -1, 136 },{ "router-renumbering", -1, 138 },  { "node-information-query", -1, 139 },
	{ "node-information-reply", -1, 140 },{ "mld2-report", -1, 143 },
};
/* clang-format on */

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
#define X(name, word, number) { #word, number },
	IP_PROTOCOLS(X)
#undef X
};

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

const char *policy_protocol_name(uint8_t protocol)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (protocols[i].number == protocol)
			return protocols[i].name;
	return NULL;
}

/* Headers of IPv6 are passed over: no packet is of them. */
static bool only_precedes(long long protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
	       protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_DSTOPTS;
}

int policy_protocol_parse(const char *text, uint8_t *ret_protocol, struct err *e)
{
	long long number = -1;

	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (str_eq(protocols[i].name, text))
			number = protocols[i].number;
	if (number < 0 && !number_read(text, 0, 0, 255, &number))
		return unfit(FORM_PROTOCOL, text, e);
	if (only_precedes(number)) {
		fail_as(e, EXIT_POLICY, EINVAL,
			"'%s' is a header of IPv6, behind which the protocol stands", text);
		return number == IPPROTO_FRAGMENT ? hint(e, "'fragment' is the word for parts")
						  : -e->code;
	}
	*ret_protocol = (uint8_t)number;
	return 0;
}

int policy_icmp_type_parse(const char *text, int *ret_type, int *ret_type6, struct err *e)
{
	long long number;

	for (size_t i = 0; i < ARRAY_LEN(icmp_types); i++)
		if (str_eq(icmp_types[i].name, text)) {
			*ret_type = icmp_types[i].type;
			*ret_type6 = icmp_types[i].type6;
			return 0;
		}
	if (!number_read(text, 0, 0, 255, &number))
		return unfit(FORM_ICMP_TYPE, text, e);
	*ret_type = *ret_type6 = (int)number;
	return 0;
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
