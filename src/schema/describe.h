/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Schemas as bytes, and back: a recording carries them, so that replay needs neither the object nor
 * the kernel. Versioned, little-endian, numbers as LEB128; see describe.c. Reading trusts nothing.
 */
#include <stddef.h>

#include "base/attr.h"
#include "schema/schema.h"

struct err;
struct strbuf;

/* Appends the schema. Fields keep everything but `derive`: a derived field's value is to be
 * recorded with each row (struct row, `derived`). */
void schema_encode(const struct schema *s, struct strbuf *out);

/* Reads one schema; *ret_used gets how many bytes it took. The result owns its strings and ends
 * with schema_free(). Kinds that this program doesn't know become plain numbers, texts and so
 * on. Errors: EINVAL (malformed, or a newer version: what). */
MUST_USE int schema_decode(const void *bytes, size_t len, struct schema **ret_schema,
			   size_t *ret_used, struct err *e);
