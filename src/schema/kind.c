/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of kinds, and the forms of a value: by its field's kind, or else by its own type. */
#include "schema/kind.h"

#include <assert.h>
#include <errno.h>

#include "base/err.h"
#include "base/str.h"
#include "schema/kinds.h"

#define INTS    (1u << FIELD_INT | 1u << FIELD_ENUM)
#define NUMBERS (INTS | 1u << FIELD_HIST)
#define TEXTS   (1u << FIELD_CHARS | 1u << FIELD_TEXT)
#define BYTES   (1u << FIELD_BYTES)
#define ARRAYS  (1u << FIELD_ARRAY)
#define STACKS  (ARRAYS | 1u << FIELD_STACK | 1u << FIELD_STACK_ID)

#define ROW(n, cols, u, c, t, right, fn_text, fn_json, fn_parse, d)                             \
	{                                                                                       \
		.name = n, .doc = d, .unit = u, .class = c, .types = t, .right_aligned = right, \
		.min_cols = cols, .text = fn_text, .json = fn_json, .parse = fn_parse           \
	}
#define NUMBER(n, cols, d) \
	ROW(n, cols, "", CLASS_NUMBER, NUMBERS, true, plain_text, plain_json, number_kind_parse, d)
#define QUANTITY(n, cols, u, fn_text, fn_parse, d) \
	ROW(n, cols, u, CLASS_NUMBER, NUMBERS, true, fn_text, plain_json, fn_parse, d)
#define HEX(n, cols, d) \
	ROW(n, cols, "", CLASS_NUMBER, INTS, true, hex_text, quoted_json, number_kind_parse, d)
#define NAME(n, cols, fn, d) \
	ROW(n, cols, "", CLASS_NAME, INTS, false, fn##_text, quoted_json, fn##_parse, d)
#define TEXT(n, cols, fn, d) \
	ROW(n, cols, "", CLASS_TEXT, TEXTS, false, fn##_text, fn##_json, NULL, d)
#define STACK(n, d) ROW(n, 20, "", CLASS_STACK, STACKS, false, stack_text, stack_json, NULL, d)
#define OTHER(n, cols, fn, t, d) \
	ROW(n, cols, "", CLASS_OTHER, t, false, fn##_text, fn##_json, NULL, d)

/* clang-format off */
static const struct kind kinds[] = {
	NUMBER("number", 6, "a plain number"),
	NUMBER("counter", 6, "a number that only grows"),
	HEX("hex", 10, "a number in hexadecimal; JSON: a string, \"0x2a\""),
	QUANTITY("duration", 8, "ns", duration_text, duration_kind_parse,
		 "a time span, \"1.24 ms\"; JSON: the number, in the field's unit"),
	QUANTITY("bytes", 8, "bytes", bytes_text, bytes_kind_parse,
		 "a size, \"4.0 KiB\"; JSON: the number of bytes"),
	QUANTITY("percent", 6, "percent", percent_text, percent_kind_parse,
		 "a percentage, \"12.4 %\"; JSON: the number, 12.4"),
	ROW("ratio", 6, "ratio", CLASS_NUMBER, 1u << FIELD_RATIO, true, ratio_text, plain_json, ratio_kind_parse,
	    "a share of a whole, of RATIO: \"12.4 %\"; JSON: the number, from 0 to 1; written as \"12.4%\" or \"0.124\""),
	QUANTITY("rate", 8, "hz", rate_text, number_kind_parse,
		 "events a second, \"12.5k/s\"; JSON: the number"),
	NUMBER("pid", 7, "process (thread-group) id"),
	NUMBER("tid", 7, "thread id"),
	NUMBER("uid", 5, "user id"),
	NUMBER("gid", 5, "group id"),
	NUMBER("cgroup", 8, "cgroup v2 id"),
	NUMBER("mntns", 10, "mount namespace id"),
	NUMBER("netns", 10, "network namespace id"),
	NUMBER("inode", 8, "inode number"),
	NUMBER("ifindex", 3, "network interface index"),
	NUMBER("port", 5, "TCP or UDP port"),
	NUMBER("sector", 10, "position on a device in 512-byte sectors"),
	HEX("address", 18, "place in the kernel's code: the function, \"tcp_v4_rcv\"; without names, and in JSON then a string, \"0xffffffff81000000\""),
	HEX("user_address", 14, "address in the process; JSON: a string, \"0x7f0000001000\""),
	QUANTITY("boottime", 19, "ns", boottime_text, boottime_parse,
		 "when; text: local date and time; JSON: nanoseconds since boot (CLOCK_BOOTTIME); written as \"02:30\", \"2026-11-22 02:30:00\", or a span since boot"),
	ROW("time", 19, "ns", CLASS_NUMBER, INTS, false, time_text, time_json, number_kind_parse,
	    "when, from nanoseconds since 1970; text: local date and time; JSON: RFC 3339 in UTC"),
	ROW("errno", 6, "", CLASS_NUMBER, INTS, false, errno_text, errno_json, errno_parse,
	    "error of a call, \"ENOENT\"; no error is \"ok\", in JSON null"),
	ROW("fd", 6, "", CLASS_NUMBER, INTS, true, fd_text, fd_json, number_kind_parse,
	    "file descriptor; none (a negative number) is \"-\", in JSON null"),
	ROW("mode", 4, "", CLASS_NUMBER, INTS, false, mode_text, quoted_json, mode_parse,
	    "permissions of a file, \"0644\"; with its type where that is known, \"dir 0755\""),
	NAME("enum", 6, enum, "a name from the kernel's or the probe's enum, else the number"),
	NAME("open_flags", 8, open_flags, "flags of open(2), \"O_RDWR|O_CREAT\""),
	ROW("device", 6, "", CLASS_NAME, INTS, false, device_text, device_json, device_parse,
	    "block device: its name, \"vda1\", or \"254:1\", none is \"-\"; JSON: \"254:1\""),
	NAME("syscall", 10, syscall, "name of a system call, else its number"),
	NAME("signal", 7, signal, "signal, \"SIGTERM\"; \"none\" for 0"),
	NAME("capability", 12, capability, "capability, \"CAP_SYS_ADMIN\""),
	NAME("capabilities", 12, capabilities, "capabilities, \"CAP_CHOWN|CAP_KILL\", \"all\", \"none\""),
	NAME("exit_status", 6, exit_status,
	     "how a process ended: \"exit 1\", \"killed by SIGSEGV, core dumped\""),
	ROW("bool", 5, "", CLASS_BOOL, 1u << FIELD_INT, false, plain_text, plain_json, bool_parse,
	    "true or false"),
	TEXT("text", 8, plain, "a text"),
	TEXT("str", 8, plain, "a text"),
	TEXT("comm", 15, plain, "command name of a thread"),
	TEXT("path", 20, plain, "path of a file"),
	TEXT("argv", 20, argv, "arguments; text: quoted for a shell; JSON: an array of strings"),
	TEXT("dns_name", 20, dns_name, "domain name"),
	TEXT("dns_records", 15, dns_records,
	     "records of a DNS message, \"10.0.0.7, MX 10 mail.example\"; JSON: an array of strings, \"A 10.0.0.7\""),
	ROW("ip", 15, "", CLASS_IP, 1u << FIELD_IP, false, ip_kind_text, quoted_json, ip_kind_parse,
	    "IPv4 or IPv6 address"),
	OTHER("mac", 17, mac, BYTES, "hardware address, \"02:00:5e:10:00:01\""),
	OTHER("blob", 16, blob, BYTES, "bytes, in hexadecimal"),
	TEXT("frame", 16, frame, "first bytes of a network frame, in hexadecimal; `-o pcap` writes them as they are"),
	TEXT("packet", 16, frame, "first bytes of an IP packet, in hexadecimal; `-o pcap` writes them behind an Ethernet header of its own"),
	OTHER("list", 16, list, ARRAYS, "numbers, \"1,2,3\"; JSON: an array"),
	STACK("stack", "stack, innermost first, \"read_page+0x1c [xfs];vfs_read\"; JSON: an array of strings"),
	STACK("kstack", "kernel stack, innermost first; JSON: an array of strings"),
	STACK("ustack", "user stack, innermost first; JSON: an array of strings"),
};
/* clang-format on */

/* Which values each class takes, as bits of 1 << enum value_type. */
static const unsigned class_takes[] = {
	[CLASS_NUMBER] = 1u << VALUE_U64 | 1u << VALUE_S64 | 1u << VALUE_DOUBLE,
	[CLASS_NAME] = 1u << VALUE_U64 | 1u << VALUE_S64,
	[CLASS_TEXT] = 1u << VALUE_TEXT,
	[CLASS_IP] = 1u << VALUE_IP,
	[CLASS_BOOL] = 1u << VALUE_BOOL,
	[CLASS_STACK] = 1u << VALUE_TEXT | 1u << VALUE_LIST,
	[CLASS_OTHER] = 1u << VALUE_BYTES | 1u << VALUE_LIST,
};
static_assert(ARRAY_LEN(class_takes) == CLASS_COUNT, "a row for each class");

static inline bool kind_takes(const struct kind *k, enum value_type type)
{
	return class_takes[k->class] & (1u << type);
}

const struct kind *kind_table(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(kinds);
	return kinds;
}

const struct kind *kind_find(const char *name)
{
	assert(name);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_eq(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

static const char *kind_nth(const void *ctx, size_t i)
{
	(void)ctx;
	return i < ARRAY_LEN(kinds) ? kinds[i].name : NULL;
}

const char *kind_suggest(const char *name)
{
	return suggest_from(name, kind_nth, NULL);
}

static const struct kind *kind_get(const char *name)
{
	const struct kind *k = kind_find(name);

	assert(k);
	return k;
}

const struct kind *kind_default(enum field_type type, bool is_bool)
{
	static const char *const name[] = {
		[FIELD_INT] = "number",  [FIELD_ENUM] = "enum",      [FIELD_CHARS] = "text",
		[FIELD_TEXT] = "text",   [FIELD_BYTES] = "blob",     [FIELD_IP] = "ip",
		[FIELD_ARRAY] = "list",  [FIELD_DERIVED] = "text",   [FIELD_HIST] = "number",
		[FIELD_STACK] = "stack", [FIELD_STACK_ID] = "stack", [FIELD_RATIO] = "ratio",
	};

	static_assert(ARRAY_LEN(name) == FIELD_TYPE_COUNT, "a default for each type");
	assert((size_t)type < ARRAY_LEN(name));
	return kind_get(is_bool ? "bool" : name[type]);
}

const struct kind *kind_of_unit(const char *unit)
{
	static const struct {
		const char *unit, *kind;
	} row[] = {
		{ "ns", "duration" }, { "us", "duration" }, { "ms", "duration" },
		{ "s", "duration" },  { "bytes", "bytes" }, { "percent", "percent" },
		{ "hz", "rate" },
	};

	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		if (str_eq(row[i].unit, unit))
			return kind_get(row[i].kind);
	return kind_get("number");
}

bool kind_fits(const struct kind *k, enum field_type type)
{
	return type == FIELD_DERIVED || k->types & (1u << type);
}

void plain_text(struct strbuf *out, const struct field *f, struct value v)
{
	switch (v.type) {
	case VALUE_NONE:
		strbuf_putc(out, '-');
		return;
	case VALUE_U64:
		strbuf_u64(out, v.u64);
		return;
	case VALUE_S64:
		strbuf_s64(out, v.s64);
		return;
	case VALUE_BOOL:
		strbuf_puts(out, v.boolean ? "true" : "false");
		return;
	case VALUE_DOUBLE:
		strbuf_appendf(out, "%.6g", v.dbl);
		return;
	case VALUE_TEXT:
		strbuf_append(out, v.text.s, v.text.len);
		if (v.cut)
			strbuf_append(out, "...", 3);
		return;
	case VALUE_BYTES:
		blob_text(out, f, v);
		return;
	case VALUE_IP:
		ip_text(out, &v.ip);
		return;
	case VALUE_LIST:
		list_text(out, f, v);
		return;
	}
}

void plain_json(struct json *out, const struct field *f, struct value v)
{
	switch (v.type) {
	case VALUE_NONE:
		json_null(out);
		return;
	case VALUE_U64:
		json_u64(out, v.u64);
		return;
	case VALUE_S64:
		json_s64(out, v.s64);
		return;
	case VALUE_BOOL:
		json_bool(out, v.boolean);
		return;
	case VALUE_DOUBLE:
		json_double(out, v.dbl);
		return;
	case VALUE_TEXT:
		json_bytes(out, v.text.s, v.text.len);
		return;
	case VALUE_BYTES:
		blob_json(out, f, v);
		return;
	case VALUE_IP:
		json_sep(out);
		strbuf_putc(out->out, '"');
		ip_text(out->out, &v.ip);
		strbuf_putc(out->out, '"');
		return;
	case VALUE_LIST:
		list_json(out, f, v);
		return;
	}
}

void quoted_json(struct json *out, const struct field *f, struct value v)
{
	json_sep(out);
	strbuf_putc(out->out, '"');
	f->kind->text(out->out, f, v);
	strbuf_putc(out->out, '"');
}

void value_text_form(struct strbuf *out, const struct field *f, struct value v)
{
	if (kind_takes(f->kind, v.type))
		f->kind->text(out, f, v);
	else
		plain_text(out, f, v);
}

void value_json_form(struct json *out, const struct field *f, struct value v)
{
	if (kind_takes(f->kind, v.type))
		f->kind->json(out, f, v);
	else
		plain_json(out, f, v);
}

int value_parse(const struct field *f, const char *text, struct value *ret_value, struct err *e)
{
	assert(f && f->kind && text);
	if (f->kind->parse)
		return f->kind->parse(f, text, ret_value, e);
	if (f->kind->class != CLASS_TEXT && f->kind->class != CLASS_STACK)
		return fail(e, EINVAL, "'%s' (%s) can't be compared with a value", f->name,
			    f->kind->name);
	*ret_value = value_text(text, (uint32_t)strlen(text));
	return 0;
}
