/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* A declaration in words: for `sonda list PROBE`, `sonda help PROBE`, docs/events.md. */
#include "schema/schema.h"

struct json;
struct strbuf;

/* Aligned text of everything a probe declares. */
void describe_text(struct strbuf *out, const struct declaration *d);
/* The same as keys of the JSON object that is open. */
void describe_json(struct json *j, const struct declaration *d);
/* The same as a section of docs/events.md. */
void describe_markdown(struct strbuf *out, const struct declaration *d);
