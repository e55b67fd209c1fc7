/* SPDX-License-Identifier: BSD-2-Clause */
/* Kinds: errors, signals, system calls, capabilities, exit statuses. */
#include "schema/kinds.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "base/err.h"
#include "base/names.h"
#include "base/str.h"
#include "base/units.h"
#include "schema/syscalls.h"

enum { SYSCALL_UNKNOWN = 0x1fffffff, SYSCALL_32BIT = 0x20000000 };
#define X(number, name)   { number, #name },
#define X32(number, name) { SYSCALL_32BIT | number, "i386:" #name },
/* clang-format off */
static const struct names_row syscall_rows[] = {
	SYSCALLS_OWN(X) SYSCALLS_COMMON(X)
	{ SYSCALL_UNKNOWN, "unknown" },
	SYSCALLS_32BIT(X32) SYSCALLS_COMMON(X32)
};
/* clang-format on */
#undef X
#undef X32
static const struct names syscalls = {
	.enum_name = "", .prefix = "", .at = syscall_rows, .count = ARRAY_LEN(syscall_rows)
};

/* clang-format off */
#define CAPABILITIES(X) \
	X(CHOWN) X(DAC_OVERRIDE) X(DAC_READ_SEARCH) X(FOWNER) X(FSETID) X(KILL) X(SETGID) \
	X(SETUID) X(SETPCAP) X(LINUX_IMMUTABLE) X(NET_BIND_SERVICE) X(NET_BROADCAST) \
	X(NET_ADMIN) X(NET_RAW) X(IPC_LOCK) X(IPC_OWNER) X(SYS_MODULE) X(SYS_RAWIO) \
	X(SYS_CHROOT) X(SYS_PTRACE) X(SYS_PACCT) X(SYS_ADMIN) X(SYS_BOOT) X(SYS_NICE) \
	X(SYS_RESOURCE) X(SYS_TIME) X(SYS_TTY_CONFIG) X(MKNOD) X(LEASE) X(AUDIT_WRITE) \
	X(AUDIT_CONTROL) X(SETFCAP) X(MAC_OVERRIDE) X(MAC_ADMIN) X(SYSLOG) X(WAKE_ALARM) \
	X(BLOCK_SUSPEND) X(AUDIT_READ) X(PERFMON) X(BPF) X(CHECKPOINT_RESTORE)
/* clang-format on */
enum {
#define X(name) NUMBER_OF_##name,
	CAPABILITIES(X)
#undef X
};
static const struct names_row capability_rows[] = {
#define X(name) { NUMBER_OF_##name, "CAP_" #name },
	CAPABILITIES(X)
#undef X
};
static const struct names capabilities = {
	.enum_name = "", .prefix = "", .at = capability_rows, .count = ARRAY_LEN(capability_rows)
};

static const struct names_row capability_bit_rows[] = {
#define X(name) { 1ull << NUMBER_OF_##name, "CAP_" #name },
	CAPABILITIES(X)
#undef X
};
static const struct names capability_bits = { .enum_name = "",
					      .prefix = "",
					      .at = capability_bit_rows,
					      .count = ARRAY_LEN(capability_bit_rows) };
#define CAPABILITIES_BUT 8 /* so many missing are told instead of those that are there */
#define CAPABILITIES_ALL ((1ull << ARRAY_LEN(capability_bit_rows)) - 1)

static void name_or_number(struct strbuf *out, const char *name, struct value v)
{
	if (name)
		strbuf_puts(out, name);
	else if (v.type == VALUE_S64)
		strbuf_s64(out, v.s64);
	else
		strbuf_u64(out, v.u64);
}

/* The name of an error number of either sign; NULL for none. */
static const char *errno_of(struct value v)
{
	int64_t n = (int64_t)v.u64;

	/* the error of a 32-bit call in an unsigned field */
	if (v.type == VALUE_U64 && v.u64 > INT32_MAX && v.u64 <= UINT32_MAX)
		n = (int32_t)v.u64;
	return n >= -4095 && n <= 4095 ? errno_name((int)n) : NULL;
}

void errno_text(struct strbuf *out, const struct field *f, struct value v)
{
	if (v.type == VALUE_DOUBLE)
		plain_text(out, f, v);
	else
		name_or_number(out, v.u64 ? errno_of(v) : "ok", v);
}

void errno_json(struct json *out, const struct field *f, struct value v)
{
	const char *name = v.type == VALUE_DOUBLE ? NULL : errno_of(v);

	if (name)
		json_str(out, name);
	else if (v.u64 == 0)
		json_null(out);
	else
		plain_json(out, f, v);
}

int errno_parse(const struct field *f, const char *text, struct value *ret_value, struct err *e)
{
	const char *near;
	int number = strcasecmp(text, "ok") ? errno_number(text) : 0;

	if (number >= 0) {
		*ret_value =
			value_of_field(f, (uint64_t)(f->is_signed ? -(int64_t)number : number));
		return 0;
	}
	if (number_kind_parse(f, text, ret_value, e) == 0)
		return 0;
	near = suggest_from(text, errno_nth, NULL);
	if (near)
		return fail(e, EINVAL, "unknown error '%s' (did you mean '%s'?)", text, near);
	return fail(e, EINVAL, "unknown error '%s': expected a name like ENOENT, ok, or a number",
		    text);
}

void signal_text(struct strbuf *out, const struct field *f, struct value v)
{
	char name[SIGNAL_NAME_MAX];

	(void)f;
	if (v.u64 == 0)
		strbuf_puts(out, "none");
	else
		name_or_number(out, v.u64 < 128 ? signal_name((int)v.u64, name) : NULL, v);
}

int signal_parse(const struct field *f, const char *text, struct value *ret_value, struct err *e)
{
	bool none = !strcasecmp(text, "none") || str_eq(text, "0");
	int number = none ? 0 : signal_number(text);

	if (number < 0)
		return fail(e, EINVAL,
			    "unknown signal '%s': expected a name like SIGTERM, or a number", text);
	*ret_value = value_of_field(f, (uint64_t)number);
	return 0;
}

void syscall_text(struct strbuf *out, const struct field *f, struct value v)
{
	(void)f;
	name_or_number(out, names_get(&syscalls, v.u64), v);
}

void capability_text(struct strbuf *out, const struct field *f, struct value v)
{
	(void)f;
	name_or_number(out, names_get(&capabilities, v.u64), v);
}

void capabilities_text(struct strbuf *out, const struct field *f, struct value v)
{
	uint64_t missing = CAPABILITIES_ALL & ~v.u64;

	(void)f;
	if (!v.u64) {
		strbuf_puts(out, "none");
	} else if (v.u64 == CAPABILITIES_ALL) {
		strbuf_puts(out, "all");
	} else if (__builtin_popcountll(missing) <= CAPABILITIES_BUT) {
		strbuf_puts(out, "all but ");
		flags_text(out, &capability_bits, missing);
	} else {
		flags_text(out, &capability_bits, v.u64);
	}
}

/* "none", "all", "all but CAP_BPF", "CAP_CHOWN|CAP_KILL" or a number. */
int capabilities_parse(const struct field *f, const char *text, struct value *ret_value,
		       struct err *e)
{
	const char *missing = str_after(text, "all but ");
	uint64_t bits = 0;

	if (str_eq(text, "all"))
		bits = CAPABILITIES_ALL;
	else if (!str_eq(text, "none") && flags_parse(&capability_bits, "capability",
						      missing ? missing : text, &bits, e) < 0)
		return -e->code;
	*ret_value = value_of_field(f, missing ? CAPABILITIES_ALL & ~bits : bits);
	return 0;
}

static int parse_name(const struct names *n, const char *what, const struct field *f,
		      const char *text, struct value *ret_value, struct err *e)
{
	uint64_t number;

	if (names_parse(n, what, text, &number, e) < 0)
		return -e->code;
	*ret_value = value_of_field(f, number);
	return 0;
}

int syscall_parse(const struct field *f, const char *text, struct value *ret_value, struct err *e)
{
	return parse_name(&syscalls, "system call", f, text, ret_value, e);
}

/* With or without CAP_. */
int capability_parse(const struct field *f, const char *text, struct value *ret_value,
		     struct err *e)
{
	char full[64];

	if (!strncasecmp(text, "cap_", 4) || (*text >= '0' && *text <= '9') ||
	    !str_format(full, sizeof(full), "CAP_%s", text))
		return parse_name(&capabilities, "capability", f, text, ret_value, e);
	return parse_name(&capabilities, "capability", f, full, ret_value, e);
}

/* The parts of a wait status. */
enum { STATUS_SIGNAL = 0x7f, STATUS_CORE = 0x80, STATUS_CODE_SHIFT = 8, STATUS_CODE = 0xff };

void exit_status_text(struct strbuf *out, const struct field *f, struct value v)
{
	char name[SIGNAL_NAME_MAX];
	int signo = v.u64 & STATUS_SIGNAL;

	(void)f;
	if (signo == 0) {
		strbuf_puts(out, "exit ");
		strbuf_u64(out, v.u64 >> STATUS_CODE_SHIFT & STATUS_CODE);
		return;
	}
	strbuf_puts(out, "killed by ");
	strbuf_puts(out, signal_name(signo, name));
	if (v.u64 & STATUS_CORE)
		strbuf_puts(out, ", core dumped");
}

/* "exit 1", "1", "killed by SIGKILL", "SIGKILL", each as the status that says so. */
int exit_status_parse(const struct field *f, const char *text, struct value *ret_value,
		      struct err *e)
{
	const char *rest = str_after(text, "killed by ");
	uint64_t code;
	int number = 0;

	if (!rest) {
		rest = str_after(text, "exit ");
		if (number_parse(rest ? rest : text, &code, e) == 0 && code <= STATUS_CODE) {
			*ret_value = value_of_field(f, code << STATUS_CODE_SHIFT);
			return 0;
		}
		rest = text;
	}
	number = signal_number(rest);
	if (number <= 0)
		return fail(e, EINVAL,
			    "'%s': expected an exit code (0 to 255) or a signal like SIGKILL",
			    text);
	*ret_value = value_of_field(f, (uint64_t)number);
	return 0;
}
