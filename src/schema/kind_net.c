/* SPDX-License-Identifier: BSD-2-Clause */
/* Kinds: IP and hardware addresses. */
#include "schema/kinds.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/str.h"

enum { GROUPS = 8, MAC_BYTES = 6 };

static const unsigned char mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

static bool is_mapped(const struct ip *ip)
{
	return ip->family == AF_INET6 && !memcmp(ip->bytes, mapped_prefix, sizeof(mapped_prefix));
}

static void ip4_text(struct strbuf *out, const unsigned char *bytes)
{
	char text[24], *to = text;

	for (unsigned i = 0; i < 4; i++) {
		if (i)
			*to++ = '.';
		to += u64_digits(to, bytes[i]);
	}
	strbuf_append(out, text, (size_t)(to - text));
}

/* The longest run of at least two zero groups, the first of equals. */
static unsigned longest_zeros(const unsigned *group, unsigned *ret_at)
{
	unsigned best = 1, run = 0;

	*ret_at = GROUPS;
	for (unsigned i = 0; i < GROUPS; i++) {
		run = group[i] ? 0 : run + 1;
		if (run <= best)
			continue;
		best = run;
		*ret_at = i + 1 - run;
	}
	return best;
}

static void ip6_text(struct strbuf *out, const unsigned char *bytes)
{
	unsigned group[GROUPS], zeros_at, zeros;

	for (unsigned i = 0; i < GROUPS; i++)
		group[i] = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
	zeros = longest_zeros(group, &zeros_at);
	for (unsigned i = 0; i < GROUPS; i++) {
		if (i == zeros_at) {
			strbuf_append(out, "::", 2);
			i += zeros - 1;
			continue;
		}
		if (i && i != zeros_at + zeros)
			strbuf_putc(out, ':');
		strbuf_hex(out, group[i], 1);
	}
}

void ip_text(struct strbuf *out, const struct ip *ip)
{
	if (ip->family == AF_INET)
		ip4_text(out, ip->bytes);
	else if (is_mapped(ip))
		ip4_text(out, ip->bytes + sizeof(mapped_prefix));
	else if (ip->family == AF_INET6)
		ip6_text(out, ip->bytes);
	else
		strbuf_putc(out, '-');
}

void ip_kind_text(struct strbuf *out, const struct field *f, struct value v)
{
	(void)f;
	ip_text(out, &v.ip);
}

int ip_parse(const char *text, struct ip *ret_ip, struct err *e)
{
	struct ip ip = { .family = AF_INET };

	if (inet_pton(AF_INET, text, ip.bytes) != 1) {
		ip.family = AF_INET6;
		if (inet_pton(AF_INET6, text, ip.bytes) != 1)
			return fail(e, EINVAL, "'%s' isn't an IPv4 or IPv6 address", text);
	}
	if (is_mapped(&ip)) {
		struct ip inner = { .family = AF_INET };

		memcpy(inner.bytes, ip.bytes + sizeof(mapped_prefix), 4);
		ip = inner;
	}
	*ret_ip = ip;
	return 0;
}

int ip_kind_parse(const struct field *f, const char *text, struct value *ret_value, struct err *e)
{
	struct value v = { .type = VALUE_IP };

	(void)f;
	if (ip_parse(text, &v.ip, e) < 0)
		return -e->code;
	*ret_value = v;
	return 0;
}

void mac_text(struct strbuf *out, const struct field *f, struct value v)
{
	if (v.type != VALUE_BYTES || v.bytes.len != MAC_BYTES) {
		plain_text(out, f, v);
		return;
	}
	for (unsigned i = 0; i < MAC_BYTES; i++) {
		if (i)
			strbuf_putc(out, ':');
		strbuf_hex(out, v.bytes.at[i], 2);
	}
}

void mac_json(struct json *out, const struct field *f, struct value v)
{
	json_sep(out);
	strbuf_putc(out->out, '"');
	mac_text(out->out, f, v);
	strbuf_putc(out->out, '"');
}
