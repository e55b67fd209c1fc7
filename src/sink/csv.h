/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* A value as CSV has it, for what is not a row of a stream. */
#include "base/strbuf.h"
#include "schema/schema.h"

/* Appends a text, quoted where needed. */
void csv_cell(struct strbuf *out, const char *text, size_t len);
/* Appends the value, quoted where needed; nothing for VALUE_NONE. `scratch` is used meanwhile. */
void csv_value(struct strbuf *out, struct strbuf *scratch, const struct field *f, struct value v);
