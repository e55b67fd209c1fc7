/* SPDX-License-Identifier: BSD-2-Clause */
/* The forms of values: networks, ports, dates, rates. */
#include "policy/words.h"

#include "base/err.h"
#include "base/str.h"
#include "base/units.h"
#include "schema/kind.h"
#include "schema/schema.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <time.h>

static int unfit(enum policy_form form, const char *text, struct err *e)
{
	return fail_as(e, EXIT_POLICY, EINVAL, "'%s': expected %s", text, policy_form_name(form));
}

/* Decimal digits only, below `limit`. */
static bool digits(const char *text, size_t len, unsigned limit, unsigned *ret)
{
	unsigned value = 0;

	if (!len || len > 6)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	*ret = value;
	return value < limit;
}

static bool bits_clear(const uint8_t *bytes, size_t size, unsigned from_bit)
{
	for (unsigned bit = from_bit; bit < size * 8; bit++)
		if (bytes[bit / 8] & (0x80 >> bit % 8))
			return false;
	return true;
}

/* ::ffff:10.0.0.0/104 is 10.0.0.0/8: packets of IPv4 never carry the longer form. */
static void unmap(struct policy_network *n)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (n->family != AF_INET6 || n->bits < 96 || memcmp(n->bytes, mapped, sizeof(mapped)))
		return;
	memmove(n->bytes, n->bytes + 12, 4);
	memset(n->bytes + 4, 0, 12);
	n->family = AF_INET;
	n->bits = (uint8_t)(n->bits - 96);
}

int policy_network_parse(const char *text, struct policy_network *ret_network, struct err *e)
{
	struct policy_network n = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };
	const char *slash = strchrnul(text, '/');
	unsigned size = n.family == AF_INET ? 4 : 16, bits = size * 8;
	char address[INET6_ADDRSTRLEN];

	if ((size_t)(slash - text) >= sizeof(address))
		return unfit(FORM_NETWORK, text, e);
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (inet_pton(n.family, address, n.bytes) != 1 ||
	    (*slash && !digits(slash + 1, strlen(slash + 1), size * 8 + 1, &bits)))
		return unfit(FORM_NETWORK, text, e);
	n.bits = (uint8_t)bits;
	if (!bits_clear(n.bytes, size, bits)) {
		fail_as(e, EXIT_POLICY, EINVAL, "'%s': bits are set behind the prefix of %u", text,
			bits);
		return hint(e, "write the network's own address, or /%u for one host", size * 8);
	}
	unmap(&n);
	*ret_network = n;
	return 0;
}

int policy_ports_parse(const char *text, uint16_t *ret_first, uint16_t *ret_last, struct err *e)
{
	const char *dash = strchrnul(text, '-');
	unsigned first, last;

	if (!digits(text, (size_t)(dash - text), 65536, &first))
		return unfit(FORM_PORT, text, e);
	last = first;
	if (*dash && !digits(dash + 1, strlen(dash + 1), 65536, &last))
		return unfit(FORM_PORT, text, e);
	if (!first || last < first)
		return unfit(FORM_PORT, text, e);
	*ret_first = (uint16_t)first;
	*ret_last = (uint16_t)last;
	return 0;
}

int policy_date_parse(const char *text, int64_t now_s, int64_t *ret_s, struct err *e)
{
	static const char *const formats[] = { "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S" };
	struct tm tm = { .tm_isdst = -1 };
	uint64_t ns;

	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct tm read = tm;
		const char *end = strptime(text, formats[i], &read);
		time_t s;

		if (!end || *end)
			continue;
		s = mktime(&read);
		if (s == (time_t)-1)
			return unfit(FORM_DATE, text, e);
		*ret_s = s;
		return 0;
	}
	if (duration_parse(text, &ns, e) < 0 || !ns)
		return unfit(FORM_DATE, text, e);
	*ret_s = now_s + (int64_t)((ns + 999999999) / 1000000000);
	return 0;
}

int policy_capability_parse(const char *text, uint32_t *ret_number, struct err *e)
{
	const struct field f = { .name = "capability",
				 .kind = kind_find("capability"),
				 .size = sizeof(uint32_t) };
	struct value v;

	if (value_parse(&f, text, &v, e) < 0)
		return -e->code;
	*ret_number = (uint32_t)v.u64;
	return 0;
}

static int check_capability(const char *text, struct err *e)
{
	uint32_t number;

	return policy_capability_parse(text, &number, e);
}

static int check_network(const char *text, struct err *e)
{
	struct policy_network n;

	return policy_network_parse(text, &n, e);
}

static int check_port(const char *text, struct err *e)
{
	uint16_t first, last;

	return policy_ports_parse(text, &first, &last, e);
}

static int check_date(const char *text, struct err *e)
{
	int64_t s;

	return policy_date_parse(text, 0, &s, e);
}

static int check_rate(const char *text, struct err *e)
{
	uint64_t per_hour;

	if (rate_parse(text, &per_hour, e) < 0 || !per_hour)
		return unfit(FORM_RATE, text, e);
	return 0;
}

static int check_path(const char *text, struct err *e)
{
	return *text == '/' ? 0 : unfit(FORM_PATH, text, e);
}

static int check_interface(const char *text, struct err *e)
{
	size_t len = strlen(text);

	return len && len < IF_NAMESIZE && !strchr(text, '/') ? 0 : unfit(FORM_INTERFACE, text, e);
}

static int check_mode(const char *text, struct err *e)
{
	return str_eq(text, "audit") || str_eq(text, "enforce") ? 0 : unfit(FORM_MODE, text, e);
}

static int check_per(const char *text, struct err *e)
{
	return str_eq(text, "exe") || str_eq(text, "user") ? 0 : unfit(FORM_PER, text, e);
}

static int check_accept(const char *text, struct err *e)
{
	return str_eq(text, "kill") || str_eq(text, "detect") ? 0 : unfit(FORM_ACCEPT, text, e);
}

static int check_name(const char *text, struct err *e)
{
	return *text ? 0 : unfit(FORM_USER, text, e);
}

static int check_cgroup(const char *text, struct err *e)
{
	return *text == '/' || strchr(text, '.') ? 0 : unfit(FORM_CGROUP, text, e);
}

static int check_dscp(const char *text, struct err *e)
{
	uint8_t dscp;

	return policy_dscp_parse(text, &dscp, e);
}

static int check_number(const char *text, struct err *e)
{
	uint32_t number;

	return policy_number_parse(text, &number, e);
}

static int check_class(const char *text, struct err *e)
{
	uint32_t class;

	return policy_class_parse(text, &class, e);
}

static int check_protocol(const char *text, struct err *e)
{
	uint8_t protocol;

	return policy_protocol_parse(text, &protocol, e);
}

static int check_icmp_type(const char *text, struct err *e)
{
	int types[2];

	return policy_icmp_type_parse(text, &types[0], &types[1], e);
}

static int check_hook(const char *text, struct err *e)
{
	unsigned hook;

	return policy_hook_parse(text, &hook, e);
}

static int check_priority(const char *text, struct err *e)
{
	int priority;

	return policy_priority_parse(text, &priority, e);
}

int policy_form_check(enum policy_form form, const char *text, struct err *e)
{
	static int (*const checks[])(const char *, struct err *) = {
		[FORM_PATH] = check_path,           [FORM_USER] = check_name,
		[FORM_CGROUP] = check_cgroup,       [FORM_NETWORK] = check_network,
		[FORM_PORT] = check_port,           [FORM_INTERFACE] = check_interface,
		[FORM_DATE] = check_date,           [FORM_RATE] = check_rate,
		[FORM_MODE] = check_mode,           [FORM_PER] = check_per,
		[FORM_DSCP] = check_dscp,           [FORM_NUMBER] = check_number,
		[FORM_CLASS] = check_class,         [FORM_HOOK] = check_hook,
		[FORM_PRIORITY] = check_priority,   [FORM_CAPABILITY] = check_capability,
		[FORM_ACCEPT] = check_accept,       [FORM_PROTOCOL] = check_protocol,
		[FORM_ICMP_TYPE] = check_icmp_type,
	};
	int err = checks[form](text, e);

	if (err)
		e->exit_class = EXIT_POLICY;
	return err;
}
