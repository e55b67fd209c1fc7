/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kinds: the records of a DNS answer (RFC 1035), from the message's first bytes. They are foreign, and may
 * be cut: what can't be read ends the list.
 */
#include "schema/kinds.h"

#include <ctype.h>
#include <resolv.h>
#include <string.h>
#include <sys/socket.h>

#include "base/str.h"

enum {
	HEADER_BYTES = 12,
	QUESTIONS_AT = 4,
	ANSWERS_AT = 6,
	KIND_BYTES = 4,    /* type and class, behind a question's name */
	RECORD_BYTES = 10, /* type, class, time to live, size, behind a record's name */
	SIZE_AT = 8,
	TYPE_A = 1,
	TYPE_AAAA = 28,
};

struct message {
	const unsigned char *begin, *end;
	const unsigned char *at; /* of the next record */
	unsigned left;           /* records of the answer that are to come */
};

/* What is behind the head of a record; the data are taken from its front. */
struct dns_record {
	unsigned type;
	const unsigned char *data, *end;
};

static unsigned be16(const unsigned char *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static bool message_begin(struct message *m, struct value v)
{
	m->begin = (const unsigned char *)v.text.s;
	m->end = m->begin + v.text.len;
	if (v.text.len < HEADER_BYTES)
		return false;
	m->at = m->begin + HEADER_BYTES;
	m->left = be16(m->begin + ANSWERS_AT);
	for (unsigned i = be16(m->begin + QUESTIONS_AT); i; i--) {
		int n = dn_skipname(m->at, m->end);

		if (n < 0 || m->end - m->at < n + KIND_BYTES)
			return false;
		m->at += n + KIND_BYTES;
	}
	return true;
}

/* False at the end of the answers, or of what can be read. */
static bool message_next(struct message *m, struct dns_record *r)
{
	const unsigned char *head;
	int n = m->left ? dn_skipname(m->at, m->end) : -1;

	if (n < 0 || m->end - m->at < n + RECORD_BYTES)
		return false;
	head = m->at + n;
	r->type = be16(head);
	r->data = head + RECORD_BYTES;
	if (m->end - r->data < be16(head + SIZE_AT))
		return false;
	r->end = m->at = r->data + be16(head + SIZE_AT);
	m->left--;
	return true;
}

/* ---- the data ---- */

static void number_put(struct strbuf *out, struct dns_record *r, size_t size)
{
	uint64_t n = 0;

	for (; size && r->data < r->end; size--)
		n = n << 8 | *r->data++;
	strbuf_u64(out, n);
}

static void name_put(struct strbuf *out, struct dns_record *r, const struct message *m)
{
	char name[NS_MAXDNAME];
	int n = dn_expand(m->begin, r->end, r->data, name, sizeof(name));

	strbuf_puts(out, n < 0 ? "?" : *name ? name : ".");
	r->data = n < 0 ? r->end : r->data + n;
}

/* In quotes; what isn't a plain character as zone files have it, "\010". */
static void quoted_put(struct strbuf *out, const unsigned char *s, const unsigned char *end)
{
	strbuf_putc(out, '"');
	for (; s < end; s++) {
		if (*s == '"' || *s == '\\')
			strbuf_appendf(out, "\\%c", *s);
		else if (isprint(*s))
			strbuf_putc(out, (char)*s);
		else
			strbuf_appendf(out, "\\%03u", *s);
	}
	strbuf_putc(out, '"');
}

/* A text with its length before it. */
static void string_put(struct strbuf *out, struct dns_record *r)
{
	const unsigned char *s = r->data + 1;
	size_t len = r->data < r->end ? *r->data : 0;

	len = min(len, (size_t)(r->end - min(s, r->end)));
	quoted_put(out, s, s + len);
	r->data = min(s + len, r->end);
}

static void hex_put(struct strbuf *out, struct dns_record *r)
{
	while (r->data < r->end)
		strbuf_hex(out, *r->data++, 2);
}

/* How the data of each type are laid out: 1, 2, 4 a number of so many bytes; n a name; s a text; r what is left as
 * a text; x that in hexadecimal. The last is repeated until nothing is left. */
/* clang-format off */
static const struct layout {
	unsigned type;
	const char *name, *parts;
} layouts[] = {
	{ 2, "NS", "n" },       { 5, "CNAME", "n" },  { 6, "SOA", "nn44444" }, { 12, "PTR", "n" },
	{ 13, "HINFO", "ss" },  { 15, "MX", "2n" },   { 16, "TXT", "s" },      { 33, "SRV", "222n" },
	{ 35, "NAPTR", "22sssn" }, { 39, "DNAME", "n" }, { 43, "DS", "211x" }, { 44, "SSHFP", "11x" },
	{ 46, "RRSIG", "2114442nx" }, { 47, "NSEC", "nx" }, { 48, "DNSKEY", "211x" },
	{ 52, "TLSA", "111x" }, { 64, "SVCB", "2nx" }, { 65, "HTTPS", "2nx" }, { 257, "CAA", "1sr" },
};
/* clang-format on */

static void part_put(struct strbuf *out, char part, struct dns_record *r, const struct message *m)
{
	strbuf_putc(out, ' ');
	if (part == 'n') {
		name_put(out, r, m);
	} else if (part == 's') {
		string_put(out, r);
	} else if (part == 'x') {
		hex_put(out, r);
	} else if (part == 'r') {
		quoted_put(out, r->data, r->end);
		r->data = r->end;
	} else {
		number_put(out, r, (size_t)(part - '0'));
	}
}

static void parts_put(struct strbuf *out, const char *parts, struct dns_record *r,
		      const struct message *m)
{
	for (; r->data < r->end; parts += !!parts[1])
		part_put(out, *parts, r, m);
}

/* "10.0.0.7", "MX 10 mail.example.com"; a type that is in no table: "TYPE99 0a0b". */
static void record_put(struct strbuf *out, const struct message *m, struct dns_record *r,
		       bool types)
{
	size_t size = (size_t)(r->end - r->data);
	struct value ip = { .type = VALUE_IP };

	if ((r->type == TYPE_A && size == 4) || (r->type == TYPE_AAAA && size == 16)) {
		ip.ip.family = size == 4 ? AF_INET : AF_INET6;
		memcpy(ip.ip.bytes, r->data, size);
		if (types)
			strbuf_puts(out, size == 4 ? "A " : "AAAA ");
		ip_kind_text(out, NULL, ip);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(layouts); i++)
		if (layouts[i].type == r->type) {
			strbuf_puts(out, layouts[i].name);
			parts_put(out, layouts[i].parts, r, m);
			return;
		}
	strbuf_appendf(out, "TYPE%u ", r->type);
	hex_put(out, r);
}

void dns_records_text(struct strbuf *out, const struct field *f, struct value v)
{
	const char *between = "";
	struct message m;
	struct dns_record r;

	(void)f;
	if (message_begin(&m, v))
		for (; message_next(&m, &r); between = ", ") {
			strbuf_puts(out, between);
			record_put(out, &m, &r, false);
		}
	if (v.cut && m.left)
		strbuf_puts(out, "...");
}

void dns_records_json(struct json *out, const struct field *f, struct value v)
{
	struct message m;
	struct dns_record r;

	(void)f;
	json_arr_begin(out);
	if (message_begin(&m, v))
		while (message_next(&m, &r)) {
			auto_done(strbuf) text = { 0 };

			record_put(&text, &m, &r, true);
			json_bytes(out, strbuf_str(&text), text.len);
		}
	json_arr_end(out);
}
