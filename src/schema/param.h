/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Parameters of a probe: from what a user wrote to the bytes that go into its .rodata. Any
 * thread. */
#include "base/attr.h"
#include "schema/schema.h"

struct err;
struct strbuf;

/* Reads and checks the value of an option: type, kind, range, room. `text` is borrowed by a text
 * value. Errors: EINVAL, ERANGE; both name what was expected. */
MUST_USE int param_parse(const struct param *p, const char *text, struct value *ret_value,
			 struct err *e);

/* Writes the value as the variable holds it: exactly p->field.size bytes. */
void param_encode(const struct param *p, struct value v, unsigned char *out);

/* The default as a user would write it, "" for an empty text. */
void param_default_text(struct strbuf *out, const struct param *p);
/* What may be written, for help: "1 to 16", "read|write"; nothing when there is no more to say than
 * the type does. */
void param_choices_text(struct strbuf *out, const struct param *p);
