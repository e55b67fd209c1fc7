/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/test.h"

#include <math.h>
#include <sys/socket.h>

#include <asm/unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "schema/kind.h"
#include "schema/syscalls.h"

static struct field field_of(const char *kind)
{
	struct field f = { .name = "f", .doc = "", .kind = kind_find(kind) };

	if (!f.kind)
		TEST_FAULT("no kind '%s'", kind);
	f.unit = f.kind ? f.kind->unit : "";
	return f;
}

static void check_forms(struct field f, struct value v, const char *text, const char *json)
{
	auto_done(strbuf) out = { 0 };
	struct json j = { .out = &out };

	value_text_form(&out, &f, v);
	CHECK_STR(strbuf_str(&out), text);
	strbuf_reset(&out);
	value_json_form(&j, &f, v);
	CHECK_STR(strbuf_str(&out), json);
}

static struct value text(const char *s)
{
	return value_text(s, (uint32_t)strlen(s));
}

TEST(forms_of_numbers)
{
	static const struct {
		const char *kind;
		int64_t value;
		bool is_signed;
		const char *text, *json;
	} want[] = {
		{ "number", -1, false, "18446744073709551615", "18446744073709551615" },
		{ "number", -1, true, "-1", "-1" },
		{ "duration", 1240000, false, "1.24 ms", "1240000" },
		{ "duration", -1, true, "-1 ns", "-1" },
		{ "bytes", 4096, false, "4.0 KiB", "4096" },
		{ "percent", 12, false, "12 %", "12" },
		{ "rate", 12500, false, "12.5k/s", "12500" },
		{ "hex", 42, false, "0x2a", "\"0x2a\"" },
		{ "address", -1, false, "0xffffffffffffffff", "\"0xffffffffffffffff\"" },
		{ "errno", 0, true, "ok", "null" },
		{ "errno", -2, true, "ENOENT", "\"ENOENT\"" },
		{ "errno", 2, true, "ENOENT", "\"ENOENT\"" },
		{ "errno", 0xfffffffe, false, "ENOENT", "\"ENOENT\"" },
		{ "errno", -5000, true, "-5000", "-5000" },
		{ "errno", INT64_MIN, true, "-9223372036854775808", "-9223372036854775808" },
		{ "fd", 0, true, "0", "0" },
		{ "fd", -1, true, "-", "null" },
		{ "fd", -100, true, "-", "null" },
		{ "fd", 7, false, "7", "7" },
		{ "mode", 0644, false, "0644", "\"0644\"" },
		{ "mode", 0104755, false, "file 4755", "\"file 4755\"" },
		{ "mode", 040755, false, "dir 0755", "\"dir 0755\"" },
		{ "open_flags", 0, false, "O_RDONLY", "\"O_RDONLY\"" },
		{ "open_flags", 02000102, false, "O_RDWR|O_CREAT|O_CLOEXEC",
		  "\"O_RDWR|O_CREAT|O_CLOEXEC\"" },
		{ "open_flags", 020200001, false, "O_WRONLY|O_TMPFILE", "\"O_WRONLY|O_TMPFILE\"" },
		{ "open_flags", 0x40000003, false, "0x3|0x40000000", "\"0x3|0x40000000\"" },
		{ "signal", 15, false, "SIGTERM", "\"SIGTERM\"" },
		{ "signal", 0, false, "none", "\"none\"" },
		{ "signal", -1, true, "-1", "\"-1\"" },
		{ "syscall", 437, false, "openat2", "\"openat2\"" },
		{ "syscall", 9999, false, "9999", "\"9999\"" },
		{ "syscall", 0x20000005, false, "i386:open", "\"i386:open\"" },
		{ "syscall", 0x1fffffff, false, "unknown", "\"unknown\"" },
		{ "capability", 21, false, "CAP_SYS_ADMIN", "\"CAP_SYS_ADMIN\"" },
		{ "capabilities", 0x21, false, "CAP_CHOWN|CAP_KILL", "\"CAP_CHOWN|CAP_KILL\"" },
		{ "capabilities", 0x1fffffffffe, false, "all but CAP_CHOWN",
		  "\"all but CAP_CHOWN\"" },
		{ "capabilities", 0, false, "none", "\"none\"" },
		{ "capabilities", 0x1ffffffffff, false, "all", "\"all\"" },
		{ "capability", 40, false, "CAP_CHECKPOINT_RESTORE", "\"CAP_CHECKPOINT_RESTORE\"" },
		{ "exit_status", 1 << 8, false, "exit 1", "\"exit 1\"" },
		{ "exit_status", 0, false, "exit 0", "\"exit 0\"" },
		{ "exit_status", 9, false, "killed by SIGKILL", "\"killed by SIGKILL\"" },
		{ "exit_status", 11 | 0x80, false, "killed by SIGSEGV, core dumped",
		  "\"killed by SIGSEGV, core dumped\"" },
		{ "port", 443, false, "443", "443" },
	};

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct field f = field_of(want[i].kind);

		f.is_signed = want[i].is_signed;
		check_forms(f,
			    want[i].is_signed ? value_s64(want[i].value)
					      : value_u64((uint64_t)want[i].value),
			    want[i].text, want[i].json);
	}
}

TEST(a_unit_scales_a_duration)
{
	struct field f = field_of("duration");
	struct value v;
	struct err e;

	f.unit = "us";
	check_forms(f, value_u64(1500), "1.50 ms", "1500");
	CHECK_INT(value_parse(&f, "1.5ms", &v, &e), 0);
	CHECK_U64(v.u64, 1500);
	CHECK_INT(value_parse(&f, "10", &v, &e), 0);
	CHECK_U64(v.u64, 10);
	CHECK_INT(value_parse(&f, "10ns", &v, &e), -22);
	CHECK(kind_of_unit("us") == kind_find("duration") &&
	      kind_of_unit("pages") == kind_find("number"));
}

TEST(forms_of_texts)
{
	struct value cut = text("/etc/ho"), args = value_text("ls\0-l\0it's \"x\"\0", 14);

	cut.cut = true;
	check_forms(field_of("path"), text("/etc/passwd"), "/etc/passwd", "\"/etc/passwd\"");
	check_forms(field_of("path"), text("a\xff\n"), "a\xff\n", "\"a\\udcff\\n\"");
	check_forms(field_of("path"), cut, "/etc/ho...", "\"/etc/ho\"");
	check_forms(field_of("argv"), args, "ls -l 'it'\\''s \"x\"'",
		    "[\"ls\",\"-l\",\"it's \\\"x\\\"\"]");
	check_forms(field_of("argv"), value_text("a\0\0b", 4), "a '' b", "[\"a\",\"\",\"b\"]");
	check_forms(field_of("argv"), text(""), "", "[]");
	check_forms(field_of("dns_name"), text("example.org"), "example.org", "\"example.org\"");
	check_forms(field_of("dns_name"), text(""), ".", "\".\"");
	check_forms(field_of("text"), value_none(), "-", "null");
}

TEST(values_of_another_type_than_the_kind_takes)
{
	check_forms(field_of("duration"), text("soon"), "soon", "\"soon\"");
	check_forms(field_of("path"), value_u64(7), "7", "7");
	check_forms(field_of("ip"), value_bool(true), "true", "true");
	check_forms(field_of("errno"), value_double(1.5), "1.5", "1.5");
	check_forms(field_of("percent"), value_double(12.4), "12.4 %", "12.4");
	check_forms(field_of("rate"), value_double(0.25), "0.25/s", "0.25");
	check_forms(field_of("rate"), value_double(INFINITY), "inf", "null");
}

static struct value ip(const char *s)
{
	struct value v = { .type = VALUE_IP };
	struct err e;

	if (ip_parse(s, &v.ip, &e) < 0)
		TEST_FAULT("%s", e.text);
	return v;
}

TEST(addresses_as_rfc_5952_writes_them)
{
	static const char *const want[][2] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "255.255.255.255", "255.255.255.255" },
		{ "::", "::" },
		{ "::1", "::1" },
		{ "2001:DB8:0:0:0:0:2:1", "2001:db8::2:1" },
		{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
		{ "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
		{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
		{ "fe80:0:0:0:0:0:0:0", "fe80::" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
	};
	struct value mapped = { .type = VALUE_IP,
				.ip = { .bytes = { [10] = 0xff, [11] = 0xff, 10, 0, 0, 7 },
					.family = AF_INET6 } };
	struct err e;
	struct ip none;

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		char json[64];

		snprintf(json, sizeof(json), "\"%s\"", want[i][1]);
		check_forms(field_of("ip"), ip(want[i][0]), want[i][1], json);
	}
	check_forms(field_of("ip"), mapped, "10.0.0.7", "\"10.0.0.7\"");
	CHECK_INT(ip_parse("1.2.3", &none, &e), -22);
	CHECK_HAS(e.text, "'1.2.3' isn't an IPv4 or IPv6 address");
}

TEST(forms_of_bytes_and_arrays)
{
	static const unsigned char mac[] = { 2, 0, 0x5e, 0x10, 0, 1 };
	static const uint64_t stack[4] = { 0xffffffff81000000, 0x10 };
	struct value bytes = { .type = VALUE_BYTES, .bytes = { mac, 6 } };
	struct value list = { .type = VALUE_LIST, .list = { (const unsigned char *)stack, 4 } };
	struct field f = field_of("kstack");

	check_forms(field_of("mac"), bytes, "02:00:5e:10:00:01", "\"02:00:5e:10:00:01\"");
	check_forms(field_of("blob"), bytes, "02005e100001", "\"02005e100001\"");
	f.element_size = 8;
	f.count = 4;
	check_forms(f, list, "0xffffffff81000000;0x10", "[\"0xffffffff81000000\",\"0x10\"]");
	f.kind = kind_find("list");
	list.list.count = 2;
	check_forms(f, list, "18446744071578845184,16", "[18446744071578845184,16]");
}

TEST(enums_and_flags)
{
	static const struct names_row rows[] = {
		{ 1, "read" }, { 2, "write" }, { 3, "both" }, { 8, "run" }
	};
	static const struct names names = {
		.enum_name = "right", .prefix = "RIGHT_", .at = rows, .count = 4
	};
	struct field f = field_of("enum");
	struct value v;
	struct err e;

	f.names = &names;
	check_forms(f, value_u64(2), "write", "\"write\"");
	check_forms(f, value_u64(9), "9", "\"9\"");
	CHECK_INT(value_parse(&f, "RIGHT_RUN", &v, &e), 0);
	CHECK_U64(v.u64, 8);
	CHECK_INT(value_parse(&f, "rnu", &v, &e), -22);
	CHECK_HAS(e.text, "unknown name 'rnu' (did you mean 'run'?)");
	f.flags = FIELD_FLAGS;
	check_forms(f, value_u64(11), "both|run", "\"both|run\"");
	check_forms(f, value_u64(0x42), "write|0x40", "\"write|0x40\"");
	check_forms(f, value_u64(0), "0", "\"0\"");
	CHECK_INT(value_parse(&f, "read|0x10", &v, &e), 0);
	CHECK_U64(v.u64, 0x11);
	CHECK_INT(value_parse(&f, "read|", &v, &e), -22);
}

TEST(shares)
{
	static const struct {
		double share;
		const char *text, *json;
	} forms[] = {
		{ 0, "0 %", "0" },
		{ 1, "100 %", "1" },
		{ 0.5, "50.0 %", "0.5" },
		{ 0.0004, "<0.1 %", "0.0004" },
		{ 0.124, "12.4 %", "0.124" },
		{ 0.99999, "99.9 %", "0.99999" },
	};
	static const struct {
		const char *text;
		double share; /* -1: refused */
	} want[] = {
		{ "50%", 0.5 }, { "12.5%", 0.125 }, { "0.5", 0.5 },  { ".5", 0.5 },  { "1", 1 },
		{ "100%", 1 },  { "0", 0 },         { "2", -1 },     { "101%", -1 }, { "-1", -1 },
		{ "", -1 },     { "%", -1 },        { "0.5 %", -1 }, { "1e-1", -1 }, { "0x1", -1 },
		{ "nan", -1 },  { "50%%", -1 },     { "0.5.5", -1 }, { ".", -1 },
	};
	struct field f = field_of("ratio");
	struct value v;
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		check_forms(f, value_double(forms[i].share), forms[i].text, forms[i].json);
	check_forms(f, value_none(), "-", "null");
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		int err = value_parse(&f, want[i].text, &v, &e);

		CHECK_INT(err, want[i].share < 0 ? -22 : 0);
		CHECK(err || (v.type == VALUE_DOUBLE && v.dbl == want[i].share));
	}
}

TEST(what_users_write)
{
	static const struct {
		const char *kind, *text;
		bool is_signed;
		int64_t value; /* -22: refused */
		const char *error;
	} want[] = {
		{ "number", "0x2a", false, 42, NULL },
		{ "number", "-5", true, -5, NULL },
		{ "number", "-5", false, -22, "never negative" },
		{ "pid", "many", false, -22, "'many'" },
		{ "bytes", "4KiB", false, 4096, NULL },
		{ "duration", "10ms", false, 10000000, NULL },
		{ "duration", "10", false, 10, NULL },
		{ "duration", "soon", false, -22, "10ms" },
		{ "percent", "12%", false, 12, NULL },
		{ "errno", "ENOENT", true, -2, NULL },
		{ "errno", "enoent", false, 2, NULL },
		{ "errno", "-13", true, -13, NULL },
		{ "errno", "ok", true, 0, NULL },
		{ "errno", "ENOENTT", true, -22, "did you mean 'ENOENT'?" },
		{ "open_flags", "O_CREAT|O_EXCL", false, 0300, NULL },
		{ "open_flags", "O_CRAET", false, -22, "did you mean 'O_CREAT'?" },
		{ "mode", "0644", false, 0644, NULL },
		{ "mode", "755", false, 0755, NULL },
		{ "mode", "dir 0755", false, 040755, NULL },
		{ "mode", "rwx", false, -22, "octal" },
		{ "device", "254:1", false, (254 << 20) + 1, NULL },
		{ "device", "/dev/no-such", false, -22, "no block device" },
		{ "signal", "TERM", false, 15, NULL },
		{ "signal", "none", false, 0, NULL },
		{ "signal", "SIGNOTHING", false, -22, "SIGTERM" },
		{ "syscall", "openat2", false, 437, NULL },
		{ "syscall", "opeant2", false, -22, "openat2" },
		{ "syscall", "i386:openat2", false, 0x200001b5, NULL },
		{ "capability", "sys_admin", false, 21, NULL },
		{ "capability", "CAP_BPF", false, 39, NULL },
		{ "capabilities", "CAP_CHOWN|CAP_KILL", false, 0x21, NULL },
		{ "capabilities", "all but CAP_CHOWN", false, 0x1fffffffffe, NULL },
		{ "capabilities", "all", false, 0x1ffffffffff, NULL },
		{ "exit_status", "exit 3", false, 3 << 8, NULL },
		{ "exit_status", "1", false, 1 << 8, NULL },
		{ "exit_status", "SIGKILL", false, 9, NULL },
		{ "exit_status", "killed by SIGSEGV", false, 11, NULL },
		{ "exit_status", "well", false, -22, "exit code" },
		{ "boottime", "1s", false, 1000000000, NULL },
		{ "blob", "0x1", false, -22, "can't be compared" },
	};

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct field f = field_of(want[i].kind);
		struct value v = { 0 };
		struct err e = { 0 };
		int err;

		f.is_signed = want[i].is_signed;
		err = value_parse(&f, want[i].text, &v, &e);
		if (want[i].error) {
			CHECK(err == -22 || err == -34);
			CHECK_HAS(e.text, want[i].error);
			continue;
		}
		if (err)
			TEST_FAULT("%s '%s': %s", want[i].kind, want[i].text, e.text);
		CHECK_INT(v.type, want[i].is_signed ? VALUE_S64 : VALUE_U64);
		CHECK_INT(v.s64, want[i].value);
	}
}

/* What is printed can be written back: filters are pasted from output. */
TEST(what_is_printed_can_be_parsed)
{
	static const char *const kinds[] = { "number", "hex",        "errno",      "open_flags",
					     "mode",   "syscall",    "capability", "signal",
					     "device", "exit_status" };
	static const uint64_t values[] = { 1, 3, 9, 15, 256, 420, 16877 };

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (size_t i = 0; i < ARRAY_LEN(values); i++) {
			auto_done(strbuf) out = { 0 };
			struct field f = field_of(kinds[k]);
			uint64_t n = strcmp(kinds[k], "exit_status") ? values[i] : values[i] & 0xf;
			struct value v = { 0 };
			struct err e;

			if (!strcmp(kinds[k], "signal") && n > 31)
				continue;
			value_text_form(&out, &f, value_u64(n));
			if (value_parse(&f, strbuf_str(&out), &v, &e) < 0 || v.u64 != n)
				TEST_FAULT("%s %llu: '%s' was read as %llu", kinds[k],
					   (unsigned long long)n, strbuf_str(&out),
					   (unsigned long long)v.u64);
		}
}

static void check_moment(const char *text, uint64_t boot_ns)
{
	struct field f = field_of("boottime");
	struct value v = { 0 };
	struct err e = { 0 };

	CHECK_INT(value_parse(&f, text, &v, &e), 0);
	CHECK_U64(v.u64, boot_ns);
}

TEST(times)
{
	struct field f = field_of("time"), boot = field_of("boottime");
	struct err e = { 0 };
	struct value v = value_u64(1700000000123456789);

	check_forms(field_of("boottime"), value_u64(0), "-", "0");
	setenv("TZ", "UTC", 1);
	check_forms(f, v, "2023-11-14 22:13:20", "\"2023-11-14T22:13:20.123456789Z\"");
	kind_replays(1700000000000000000, 3600000000000);
	check_forms(field_of("boottime"), value_u64(5000000000), "2023-11-14 22:13:25",
		    "5000000000");
	check_moment("22:13:25", 5000000000);
	check_moment("23:00", 2800000000000);
	check_moment("2023-11-14 22:13:25", 5000000000);
	check_moment("2023-11-14T22:13:25Z", 5000000000);
	check_moment("2023-11-14T22:13:25.000000123Z", 5000000123);
	check_moment("22:13:25.120", 5120000000);
	check_moment("2023-11-15", 6400000000000);
	check_moment("2023-11-01", 0);
	check_moment("5s", 5000000000);
	setenv("TZ", "EST5", 1);
	check_moment("17:13:25", 5000000000);
	CHECK_INT(value_parse(&boot, "soon", &v, &e), -22);
	CHECK_HAS(e.text, "'soon' is no time: 02:30, '2026-11-22 02:30:00'");
}

#define HEADER(answers)    "\x12\x34\x81\x80\0\1\0" answers "\0\0\0\0"
#define QUESTION           "\1a\4test\0\0\1\0\1"
#define RECORD(type, size) "\xc0\x0c\0" type "\0\1\0\0\0\x3c\0" size

TEST(records_of_dns_answers)
{
#define MESSAGE(bytes) bytes, sizeof(bytes) - 1
	static const struct {
		const char *bytes;
		size_t size;
		const char *text, *json;
	} want[] = {
		{ MESSAGE(""), "", "[]" },
		{ MESSAGE(HEADER("\0") QUESTION), "", "[]" },
		{ MESSAGE(HEADER("\2") QUESTION RECORD("\1", "\4") "\12\0\0\7" RECORD(
			  "\17", "\11") "\0\12\4mail\xc0\x0c"),
		  "10.0.0.7, MX 10 mail.a.test", "[\"A 10.0.0.7\",\"MX 10 mail.a.test\"]" },
		/* cut in the question, in a record's head, in its data; a name that points behind the end */
		{ MESSAGE(HEADER("\1") "\1a\4te"), "", "[]" },
		{ MESSAGE(HEADER("\1") QUESTION "\xc0\x0c\0\1"), "", "[]" },
		{ MESSAGE(HEADER("\2") QUESTION RECORD("\1", "\4") "\12\0\0\7" RECORD(
			  "\20", "\377") "\3abc"),
		  "10.0.0.7", "[\"A 10.0.0.7\"]" },
		{ MESSAGE(HEADER("\1") QUESTION RECORD("\5", "\2") "\xff\xff"), "CNAME ?",
		  "[\"CNAME ?\"]" },
		{ MESSAGE(HEADER("\1") QUESTION RECORD("\20", "\3") "\7ab"), "TXT \"ab\"",
		  "[\"TXT \\\"ab\\\"\"]" },
	};
	struct value cut = value_text(want[2].bytes, (uint32_t)want[2].size - 1);

	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		check_forms(field_of("dns_records"),
			    value_text(want[i].bytes, (uint32_t)want[i].size), want[i].text,
			    want[i].json);
	cut.cut = true;
	check_forms(field_of("dns_records"), cut, "10.0.0.7...", "[\"A 10.0.0.7\"]");
}

TEST(names_near_a_kind)
{
	size_t count;
	const struct kind *k = kind_table(&count);

	CHECK_STR(kind_suggest("errnoo"), "errno");
	CHECK(!kind_find("errnoo"));
	for (size_t i = 0; i < count; i++) {
		CHECK(*k[i].doc && k[i].text && k[i].json && k[i].types && k[i].min_cols);
		CHECK(kind_find(k[i].name) == &k[i]);
	}
}

/* The list of system calls against the C library's, as far as that knows them: a macro that isn't
 * defined stays a word. */
TEST(system_calls_have_their_numbers)
{
#define AS_TEXT(x)      AS_TEXT2(x)
#define AS_TEXT2(x)     #x
#define X(number, name) { number, AS_TEXT(__NR_##name) },
	static const struct {
		long number;
		const char *of_libc;
	} calls[] = { SYSCALLS_OWN(X) SYSCALLS_COMMON(X) };
	size_t known = 0;

	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		if (calls[i].of_libc[0] == '_')
			continue;
		known++;
		CHECK_INT(calls[i].number, strtol(calls[i].of_libc, NULL, 10));
	}
	CHECK(known > 20);
}
