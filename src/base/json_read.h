/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Reading a JSON object member by member, as events are written (json.h): what lies deeper is skipped. Any thread.
 */
#include "base/attr.h"

struct err;

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_DEEPER };

/* `text`: of a string without its escapes, of the others as they stand there; both live until it returns. Non-zero
 * ends the reading and is returned. */
typedef int json_member_fn(const char *key, enum json_type type, const char *text, void *ctx,
			   struct err *e);
/* One object, blanks around it. Errors: EINVAL, what was expected at which byte. */
MUST_USE int json_read_object(const char *text, json_member_fn *fn, void *ctx, struct err *e);
