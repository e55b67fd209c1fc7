/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON writer: the values that are more than a few bytes. */
#include "base/json.h"

#include <math.h>
#include <stdlib.h>

void json_bytes(struct json *j, const char *s, size_t len)
{
	json_sep(j);
	strbuf_putc(j->out, '"');
	json_escape(j->out, s, len);
	strbuf_putc(j->out, '"');
}

void json_key_prepare(struct strbuf *b, const char *key)
{
	strbuf_putc(b, '"');
	json_escape(b, key, strlen(key));
	strbuf_append(b, "\":", 2);
}

void json_double(struct json *j, double value)
{
	char text[32];
	int len;

	if (!isfinite(value)) {
		json_null(j);
		return;
	}
	if (value == (double)(int64_t)(value > -1e15 && value < 1e15 ? value : 0.5) &&
	    !(value == 0 && signbit(value))) {
		json_s64(j, (int64_t)value);
		return;
	}
	len = snprintf(text, sizeof(text), "%.15g", value);
	if (strtod(text, NULL) != value)
		len = snprintf(text, sizeof(text), "%.17g", value);
	json_raw(j, text, (size_t)len);
}
