/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON writer: exact text. */
#include "base/json.h"
#include "base/mem.h"
#include "base/test.h"

TEST(objects_and_arrays_nest)
{
	auto_done(strbuf) b = { 0 };
	struct json j = { .out = &b };

	json_obj_begin(&j);
	json_key(&j, "a\"b");
	json_u64(&j, UINT64_MAX);
	json_key(&j, "n");
	json_s64(&j, INT64_MIN);
	json_key(&j, "list");
	json_arr_begin(&j);
	json_bool(&j, true);
	json_bool(&j, false);
	json_null(&j);
	json_arr_begin(&j);
	json_arr_end(&j);
	json_str(&j, "x\n\xff");
	json_obj_begin(&j);
	json_obj_end(&j);
	json_arr_end(&j);
	json_key_raw(&j, "\"raw\":", 6);
	json_raw(&j, "1e3", 3);
	json_obj_end(&j);
	json_line_end(&j);
	json_obj_begin(&j);
	json_obj_end(&j);
	CHECK_STR(b.s, "{\"a\\\"b\":18446744073709551615,\"n\":-9223372036854775808,"
		       "\"list\":[true,false,null,[],\"x\\n\\udcff\",{}],\"raw\":1e3}\n{}");
}

static void check_double(double x, const char *want)
{
	auto_done(strbuf) b = { 0 };
	struct json j = { .out = &b };

	json_double(&j, x);
	CHECK_STR(b.s, want);
}

TEST(doubles_read_back_the_same)
{
	check_double(0, "0");
	check_double(-0.0, "-0");
	check_double(5, "5");
	check_double(-12345, "-12345");
	check_double(0.1, "0.1");
	check_double(0.5, "0.5");
	check_double(1.0 / 3, "0.33333333333333331");
	check_double(1e300, "1e+300");
	check_double(1e15, "1e+15");
	check_double(__builtin_nan(""), "null");
	check_double(-__builtin_inf(), "null");
}

TEST(prepared_keys)
{
	auto_done(strbuf) key = { 0 };

	json_key_prepare(&key, "took_ns");
	CHECK_STR(key.s, "\"took_ns\":");
}
