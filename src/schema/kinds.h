/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The functions behind the rows of kind.c, by kind_*.c file. For this folder. A text or json
 * function may rely on the value having a type that its class takes (kind.c sees to that):
 * VALUE_U64, VALUE_S64 or VALUE_DOUBLE for CLASS_NUMBER, one of the first two for CLASS_NAME, and
 * so on.
 */
#include "base/json.h"
#include "base/strbuf.h"
#include "schema/kind.h"

typedef void kind_text_fn(struct strbuf *out, const struct field *f, struct value v);
typedef void kind_json_fn(struct json *out, const struct field *f, struct value v);
typedef int kind_parse_fn(const struct field *f, const char *text, struct value *ret_value,
			  struct err *e);

/* kind.c: by the value's type alone */
kind_text_fn plain_text;
kind_json_fn plain_json;
/* The text form as a JSON string; for text that needs no escaping. */
kind_json_fn quoted_json;

/* kind_number.c */
kind_text_fn duration_text, bytes_text, percent_text, ratio_text, rate_text, hex_text;
kind_parse_fn number_kind_parse, duration_kind_parse, bytes_kind_parse, percent_kind_parse,
	ratio_kind_parse;
kind_parse_fn bool_parse;

/* kind_enum.c */
kind_text_fn enum_text;
kind_parse_fn enum_parse;
/* Appends "a|b|0x40": the names of the bits of `value`; "0" when none is set and 0 has no name. */
void flags_text(struct strbuf *out, const struct names *n, uint64_t value);
/* "a|b|0x40" and single names or numbers. `what` is for the message: "flag". */
MUST_USE int flags_parse(const struct names *n, const char *what, const char *text,
			 uint64_t *ret_value, struct err *e);
/* One name or number. */
MUST_USE int names_parse(const struct names *n, const char *what, const char *text,
			 uint64_t *ret_value, struct err *e);

/* kind_system.c */
kind_text_fn errno_text, signal_text, syscall_text, capability_text, capabilities_text,
	exit_status_text;
kind_json_fn errno_json;
kind_parse_fn errno_parse, signal_parse, syscall_parse, capability_parse, capabilities_parse,
	exit_status_parse;

/* kind_file.c */
kind_text_fn fd_text, open_flags_text, mode_text, device_text;
kind_json_fn fd_json, device_json;
kind_parse_fn open_flags_parse, mode_parse, device_parse;

/* kind_time.c */
kind_text_fn boottime_text, time_text;
kind_json_fn time_json;
kind_parse_fn boottime_parse;
/* Are rows replayed from elsewhere? See kind_replays(). */
MUST_USE bool kind_is_replaying(void);

/* kind_text.c */
kind_text_fn argv_text, dns_name_text;
kind_json_fn argv_json, dns_name_json;

/* kind_dns.c */
kind_text_fn dns_records_text;
kind_json_fn dns_records_json;

/* kind_net.c */
kind_text_fn ip_kind_text, mac_text;
kind_json_fn mac_json;
kind_parse_fn ip_kind_parse;

/* kind_list.c */
kind_text_fn list_text, blob_text, frame_text, stack_text;
kind_json_fn list_json, blob_json, frame_json, stack_json;

/* The value as u64 and s64, whichever it holds. */
static inline uint64_t value_number(struct value v)
{
	return v.type == VALUE_BOOL ? v.boolean : v.u64;
}
/* The right one of VALUE_U64 and VALUE_S64 for the field. */
static inline struct value value_of_field(const struct field *f, uint64_t n)
{
	return f->is_signed ? value_s64((int64_t)n) : value_u64(n);
}
