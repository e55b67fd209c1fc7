/* SPDX-License-Identifier: BSD-2-Clause */
/* Kinds: names of enums and of flags, printed and read. */
#include "schema/kinds.h"

#include <errno.h>

#include "base/err.h"
#include "base/str.h"
#include "base/units.h"

enum { FLAG_NAMES_MAX = 64, FLAG_TEXT_MAX = 256 };

/* The number when it has no name: a small one in decimal, as the enum may count on. */
static void number_text(struct strbuf *out, struct value v)
{
	if (v.type == VALUE_S64)
		strbuf_s64(out, v.s64);
	else
		strbuf_u64(out, v.u64);
}

static void strbuf_or(struct strbuf *out, const char *name, bool *first)
{
	if (!*first)
		strbuf_putc(out, '|');
	strbuf_puts(out, name);
	*first = false;
}

void flags_text(struct strbuf *out, const struct names *n, uint64_t value)
{
	const char *found[FLAG_NAMES_MAX], *zero = names_get(n, 0);
	bool first = true;
	size_t count = 0;

	if (!value) {
		strbuf_puts(out, zero ? zero : "0");
		return;
	}
	/* from the highest down, so that a name for several bits goes before those for each */
	for (size_t i = n->count; i-- > 0 && count < FLAG_NAMES_MAX;) {
		if (!n->at[i].value || (value & n->at[i].value) != n->at[i].value)
			continue;
		found[count++] = n->at[i].name;
		value &= ~n->at[i].value;
	}
	while (count)
		strbuf_or(out, found[--count], &first);
	if (value) {
		strbuf_or(out, "0x", &first);
		strbuf_hex(out, value, 1);
	}
}

void enum_text(struct strbuf *out, const struct field *f, struct value v)
{
	const char *name;

	if (!f->names) {
		number_text(out, v);
		return;
	}
	if (f->flags & FIELD_FLAGS) {
		flags_text(out, f->names, v.u64);
		return;
	}
	name = names_get(f->names, v.u64);
	if (name)
		strbuf_puts(out, name);
	else
		number_text(out, v);
}

static const char *names_nth(const void *ctx, size_t i)
{
	const struct names *n = ctx;

	return i < n->count ? n->at[i].name : NULL;
}

static int unknown_name(const struct names *n, const char *what, const char *text, struct err *e)
{
	const char *near = suggest_from(text, names_nth, n);

	if (near)
		return fail(e, EINVAL, "unknown %s '%s' (did you mean '%s'?)", what, text, near);
	return fail(e, EINVAL, "unknown %s '%s': expected a name%s%s or a number", what, text,
		    n->count ? " like " : "", n->count ? n->at[0].name : "");
}

int names_parse(const struct names *n, const char *what, const char *text, uint64_t *ret_value,
		struct err *e)
{
	int64_t number;

	if (names_value(n, text, ret_value))
		return 0;
	if (*text == '-' && signed_parse(text, &number, e) == 0) {
		*ret_value = (uint64_t)number;
		return 0;
	}
	if (number_parse(text, ret_value, e) == 0)
		return 0;
	return unknown_name(n, what, text, e);
}

int flags_parse(const struct names *n, const char *what, const char *text, uint64_t *ret_value,
		struct err *e)
{
	char name[FLAG_TEXT_MAX];
	uint64_t all = 0, one;
	size_t len;

	for (;; text += len + 1) {
		len = strcspn(text, "|");
		if (len >= sizeof(name))
			return fail(e, EINVAL, "a %s name is too long", what);
		memcpy(name, text, len);
		name[len] = '\0';
		if (names_parse(n, what, name, &one, e) < 0)
			return -e->code;
		all |= one;
		if (!text[len])
			break;
	}
	*ret_value = all;
	return 0;
}

int enum_parse(const struct field *f, const char *text, struct value *ret_value, struct err *e)
{
	static const struct names none = { .enum_name = "", .prefix = "" };
	const struct names *n = f->names ? f->names : &none;
	uint64_t value;
	int err;

	if (f->flags & FIELD_FLAGS)
		err = flags_parse(n, "flag", text, &value, e);
	else
		err = names_parse(n, "name", text, &value, e);
	if (err)
		return err;
	*ret_value = value_of_field(f, value);
	return 0;
}
