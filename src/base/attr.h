/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Compiler attributes under short names, and the few macros that every file wants. */

#define MUST_USE           __attribute__((warn_unused_result))
#define PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define NORETURN           __attribute__((noreturn))
#define UNUSED             __attribute__((unused))
#define RETURNS_NONNULL    __attribute__((returns_nonnull))
#define CLEANUP(fn)        __attribute__((cleanup(fn)))
#define FALLTHROUGH        __attribute__((fallthrough))
#define likely(x)          __builtin_expect(!!(x), 1)
#define unlikely(x)        __builtin_expect(!!(x), 0)

/* Number of elements; refuses a pointer at compile time. */
#define ARRAY_LEN(a)                  \
	(sizeof(a) / sizeof((a)[0]) + \
	 0 * sizeof(char[1 -          \
			 2 * __builtin_types_compatible_p(__typeof__(a), __typeof__(&(a)[0]))]))

/* The structure that holds `member` at address `ptr`. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Each argument is evaluated once; calls may nest. */
#define min(a, b) ATTR_PICK(a, <, b, ATTR_JOIN(pick_a, __COUNTER__), ATTR_JOIN(pick_b, __COUNTER__))
#define max(a, b) ATTR_PICK(a, >, b, ATTR_JOIN(pick_a, __COUNTER__), ATTR_JOIN(pick_b, __COUNTER__))

/* Of use to the macros only. */
#define ATTR_JOIN(a, b)  ATTR_JOIN2(a, b)
#define ATTR_JOIN2(a, b) a##b
#define ATTR_PICK(a, op, b, x, y)      \
	({                             \
		__typeof__(a) x = (a); \
		__typeof__(b) y = (b); \
		x op y ? x : y;        \
	})
