/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Unit tests: include this in x_test.c, write TEST(name) { CHECK(...); }, link with the objects
 * under test. main() is here (weak), so one file or several make a program. Run it with words to
 * run only the tests whose names contain one of them. A failed check prints file:line and the test
 * goes on; REQUIRE leaves the test. The last line is "N passed, N failed" (tests), the status 1 if
 * any failed.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

extern struct test *test_first, **test_end;
extern unsigned test_faults; /* in the test that runs */

#define TEST(id)                                                              \
	static void test_##id(void);                                          \
	static struct test test_row_##id = { .name = #id, .run = test_##id }; \
	__attribute__((constructor)) static void test_add_##id(void)          \
	{                                                                     \
		*(test_end ? test_end : &test_first) = &test_row_##id;        \
		test_end = &test_row_##id.next;                               \
	}                                                                     \
	static void test_##id(void)

#define TEST_FAULT(...)                                \
	do {                                           \
		test_faults++;                         \
		printf("%s:%d: ", __FILE__, __LINE__); \
		printf(__VA_ARGS__);                   \
		putchar('\n');                         \
	} while (0)

#define CHECK(x)                                        \
	do {                                            \
		if (!(x))                               \
			TEST_FAULT("not true: %s", #x); \
	} while (0)
#define REQUIRE(x)                                      \
	do {                                            \
		if (!(x)) {                             \
			TEST_FAULT("not true: %s", #x); \
			return;                         \
		}                                       \
	} while (0)
/* Both as signed 64-bit numbers: got, then wanted. */
#define CHECK_INT(got, want)                                                      \
	do {                                                                      \
		long long test_a = (long long)(got), test_b = (long long)(want);  \
		if (test_a != test_b)                                             \
			TEST_FAULT("%s is %lld, not %lld", #got, test_a, test_b); \
	} while (0)
#define CHECK_U64(got, want)                                                                 \
	do {                                                                                 \
		uint64_t test_a = (got), test_b = (want);                                    \
		if (test_a != test_b)                                                        \
			TEST_FAULT("%s is %" PRIu64 ", not %" PRIu64, #got, test_a, test_b); \
	} while (0)
/* Strings, NULL allowed: got, then wanted. */
#define CHECK_STR(got, want)                                                                       \
	do {                                                                                       \
		const char *test_a = (got), *test_b = (want);                                      \
		if (test_a != test_b && (!test_a || !test_b || strcmp(test_a, test_b)))            \
			TEST_FAULT("%s is\n  '%s', not\n  '%s'", #got, test_a ? test_a : "(NULL)", \
				   test_b ? test_b : "(NULL)");                                    \
	} while (0)
/* The text contains the part. */
#define CHECK_HAS(got, part)                                               \
	do {                                                               \
		const char *test_a = (got), *test_b = (part);              \
		if (!test_a || !strstr(test_a, test_b))                    \
			TEST_FAULT("%s is\n  '%s', without\n  '%s'", #got, \
				   test_a ? test_a : "(NULL)", test_b);    \
	} while (0)
#define CHECK_MEM(got, want, len)                                      \
	do {                                                           \
		if (memcmp(got, want, len))                            \
			TEST_FAULT("%s differs from %s", #got, #want); \
	} while (0)

__attribute__((weak)) struct test *test_first, **test_end;
__attribute__((weak)) unsigned test_faults;

static inline bool test_chosen(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return true;
	return argc < 2;
}

__attribute__((weak)) int main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (struct test *t = test_first; t; t = t->next) {
		if (!test_chosen(t->name, argc, argv))
			continue;
		test_faults = 0;
		t->run();
		if (test_faults)
			printf("FAILED %s\n", t->name);
		test_faults ? failed++ : passed++;
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
