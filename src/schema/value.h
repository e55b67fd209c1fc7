/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A value: what one field of one row holds, typed. Passed by value, allocates nothing: texts and
 * bytes point into the row (or into what an enricher keeps) and live as long as the row does.
 */
#include <stdbool.h>
#include <stdint.h>

#include "abi/record.h"

enum value_type {
	VALUE_NONE, /* not known, or does not apply: JSON null, "-" in text */
	VALUE_U64,
	VALUE_S64,
	VALUE_BOOL,
	VALUE_DOUBLE,
	VALUE_TEXT,  /* bytes that should be UTF-8 but need not be */
	VALUE_BYTES, /* MAC addresses, blobs */
	VALUE_IP,
	VALUE_LIST, /* elements of an array field: list.at, see field_element() */
};

struct value {
	enum value_type type;
	bool cut; /* VALUE_TEXT: the original was longer */
	union {
		uint64_t u64;
		int64_t s64;
		bool boolean;
		double dbl;
		struct {
			const char *s; /* not NUL-terminated */
			uint32_t len;
		} text;
		struct {
			const unsigned char *at;
			uint32_t len;
		} bytes;
		struct ip ip;
		struct {
			const unsigned char *at;
			uint32_t count;
		} list;
	};
};

static inline struct value value_none(void)
{
	return (struct value){ .type = VALUE_NONE };
}

static inline struct value value_u64(uint64_t n)
{
	return (struct value){ .type = VALUE_U64, .u64 = n };
}

static inline struct value value_s64(int64_t n)
{
	return (struct value){ .type = VALUE_S64, .s64 = n };
}

static inline struct value value_bool(bool b)
{
	return (struct value){ .type = VALUE_BOOL, .boolean = b };
}

static inline struct value value_double(double d)
{
	return (struct value){ .type = VALUE_DOUBLE, .dbl = d };
}

static inline struct value value_text(const char *s, uint32_t len)
{
	return (struct value){ .type = VALUE_TEXT, .text = { s, len } };
}
