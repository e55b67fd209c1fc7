/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzzes DNS messages that are shown as texts. No crash, no read outside, and an end. */
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "schema/kind.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	auto_free char *message = len ? xmemdup(bytes, len) : NULL;
	const struct field field = { .name = "records", .kind = kind_find("dns_records") };
	struct value v = value_text(message, (uint32_t)len);
	auto_done(strbuf) out = { 0 };
	struct json json = { .out = &out };

	if (!len)
		return 0;
	v.cut = len & 1;
	value_text_form(&out, &field, v);
	strbuf_reset(&out);
	value_json_form(&json, &field, v);
	return 0;
}
