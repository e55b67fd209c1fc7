/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/test.h"

#include "base/str.h"
#include "schema/names.h"

static struct arena arena;

#define NAMES(...)                                                        \
	names_new(&arena, "e", (const struct names_row[]){ __VA_ARGS__ }, \
		  sizeof((const struct names_row[]){ __VA_ARGS__ }) / sizeof(struct names_row))

TEST(the_common_prefix_is_cut_at_an_underscore)
{
	const struct names *n =
		NAMES({ 1, "REQ_OP_WRITE" }, { 0, "REQ_OP_READ" }, { 9, "REQ_OP_REST" });

	CHECK_STR(n->prefix, "REQ_OP_");
	CHECK_STR(names_get(n, 0), "read");
	CHECK_STR(names_get(n, 1), "write");
	CHECK_STR(names_get(n, 9), "rest");
	CHECK(!names_get(n, 2));
	CHECK(!names_get(n, UINT64_MAX));
	arena_done(&arena);
}

TEST(a_prefix_that_nearly_all_share_is_cut_from_those)
{
	struct names_row rows[24];
	char text[24][24];
	const struct names *n;

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		str_format(text[i], sizeof(text[i]), i < 3 ? "SKB_OTHER%c" : "SKB_DROP_REASON_%c",
			   'A' + (int)i);
		rows[i] = (struct names_row){ i, text[i] };
	}
	n = names_new(&arena, "reason", rows, ARRAY_LEN(rows));
	CHECK_STR(names_get(n, 0), "skb_othera");
	CHECK_STR(names_get(n, 5), "f");
	arena_done(&arena);
}

TEST(what_a_cut_would_spoil_stays)
{
	CHECK_STR(names_get(NAMES({ 1, "VERSION_1_OLD" }, { 2, "VERSION_1_NEW" }), 1), "old");
	CHECK_STR(names_get(NAMES({ 1, "BAND_2GHZ" }, { 2, "BAND_5GHZ" }), 1), "band_2ghz");
	CHECK_STR(names_get(NAMES({ 1, "A_B_" }, { 2, "A_B_C" }), 2), "b_c");
	CHECK_STR(names_get(NAMES({ 1, "SINGLE_One" }), 1), "SINGLE_One");
	CHECK_STR(names_get(NAMES({ 1, "FOO_A" }, { 2, "FOO_B" }, { 3, "__FOO_MAX" }), 2), "b");
	CHECK_STR(names_get(NAMES({ 1, "red" }, { 2, "green" }), 2), "green");
	CHECK_STR(names_get(NAMES({ 1, "X_A" }, { 1, "X_ALIAS" }, { 2, "X_B" }), 1), "a");
	CHECK_INT(NAMES({ 1, "X_A" }, { 2, "not a name" }, { 3, "X_\"" })->count, 1);
	arena_done(&arena);
}

TEST(names_are_found_however_they_are_written)
{
	const struct names *n = NAMES({ (uint64_t)-1, "SIGN_BELOW" }, { 5, "SIGN_ABOVE" });
	uint64_t value = 0;

	CHECK(names_value(n, "above", &value) && value == 5);
	CHECK(names_value(n, "ABOVE", &value) && value == 5);
	CHECK(names_value(n, "sign_above", &value) && value == 5);
	CHECK(names_value(n, "SIGN_BELOW", &value) && value == UINT64_MAX);
	CHECK(!names_value(n, "sign_", &value));
	CHECK(!names_value(n, "abov", &value));
	CHECK_STR(names_get(n, (uint64_t)-1), "below");
	arena_done(&arena);
}
