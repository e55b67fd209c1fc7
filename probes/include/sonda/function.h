/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What user.call and kernel.call have in common: parameters, labels and values of a function that the
 * user names, and what its return value means.
 */
#pragma once

#include "sonda/frames.h"

enum returns { RETURNS_LONG, RETURNS_INT, RETURNS_NOTHING };
enum fails { FAILS_NEVER, FAILS_NEGATIVE, FAILS_NULL, FAILS_NONZERO };

#define FUNCTION_PARAMS                                        \
	PARAM(enum returns, returns, RETURNS_LONG,             \
	      DOC("what it returns: an int is 32 bits wide")); \
	PARAM(enum fails, fails, FAILS_NEVER, DOC("which of its results is a failure (--errors)"))

struct function_labels {
	char function[TARGET_NAME] KIND("str") DOC("which function");
	char comm[16] KIND("comm") DOC("command name of the thread");
	u32 pid KIND("pid") HIDE DOC("process");
	u32 pad HIDE;
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
};
struct function_values {
	u64 calls COUNTER DOC("calls that returned");
	u64 errors COUNTER DOC("calls that failed, as --fails has it");
	u64 time_ns COUNTER UNIT("ns") DOC("time spent in them, with what they called");
	HIST_LOG2(took_ns, 38, UNIT("ns") DOC("time a call took"));
};

extern const volatile enum returns returns;
extern const volatile enum fails fails;

static __always_inline s64 function_result(u64 raw)
{
	if (returns == RETURNS_INT)
		return (s32)raw;
	return returns == RETURNS_NOTHING ? 0 : (s64)raw;
}

/* 0, or negative for a failure. */
static __always_inline long function_failed(s64 result)
{
	switch (fails) {
	case FAILS_NEGATIVE:
		return result < 0 ? -1 : 0;
	case FAILS_NULL:
		return !result ? -1 : 0;
	case FAILS_NONZERO:
		return result ? -1 : 0;
	default:
		return 0;
	}
}
