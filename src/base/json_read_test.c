/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/json_read.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "base/test.h"

static int join(const char *key, enum json_type type, const char *text, void *ctx, struct err *e)
{
	(void)e;
	strbuf_appendf(ctx, "%s/%d/%s ", key, (int)type, text);
	return 0;
}

TEST(members)
{
	auto_done(strbuf) out = { 0 };
	struct err e = { 0 };

	CHECK(!json_read_object(
		" {\"a\":\"x\\\"\\n\\u00e9\\ud83d\\ude00\", \"b\" : -1.5e3,\"c\":null,\"d\":true,"
		"\"e\":[1,{\"f\":\"]}\"}],\"g\":{}}\n",
		join, &out, &e));
	CHECK_STR(strbuf_str(&out),
		  "a/3/x\"\n\xc3\xa9\xf0\x9f\x98\x80 b/2/-1.5e3 c/0/null d/1/true e/4/ g/4/ ");
	CHECK(!json_read_object("{}", join, &out, &e));
}

TEST(what_is_none)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{\"a\":1",
		"{\"a\":[1}",
		"{\"a\":\"x}",
		"{\"a\":1} x",
		"{\"a\":\"\\x\"}",
		"{\"a\":oh}",
		"{\"a\":\"\\u12\"}",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		auto_done(strbuf) out = { 0 };
		struct err e = { 0 };

		if (!json_read_object(texts[i], join, &out, &e))
			CHECK_STR(texts[i], "refused");
	}
}
