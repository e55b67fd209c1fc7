/* SPDX-License-Identifier: BSD-2-Clause */
/* Owners, arenas and growable arrays. */
#include "base/arena.h"
#include "base/mem.h"
#include "base/test.h"
#include "base/vec.h"

#include <errno.h>
#include <fcntl.h>

static unsigned freed;

struct thing {
	int x;
};
static void thing_free(struct thing *t)
{
	freed += t != NULL;
	free(t);
}
AUTO_PTR(thing)

static struct thing *thing_make(bool keep)
{
	auto_ptr(thing) t = xnew(struct thing);

	t->x = 7;
	return keep ? TAKE_PTR(t) : NULL;
}

TEST(auto_ptr_frees_unless_taken)
{
	struct thing *t = thing_make(true);

	CHECK_INT(freed, 0);
	CHECK_INT(t->x, 7);
	thing_free(t);
	thing_make(false);
	CHECK_INT(freed, 2);
}

static int fd_open(bool keep)
{
	auto_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int number = fd;

	return keep ? TAKE_FD(fd) : number;
}

TEST(auto_close_closes_unless_taken)
{
	int fd = fd_open(true);

	CHECK(fcntl(fd, F_GETFD) >= 0);
	errno = 5;
	fd_close(&fd);
	CHECK_INT(fd, -1);
	CHECK_INT(errno, 5);
	fd = fd_open(false);
	CHECK(fcntl(fd, F_GETFD) < 0);
}

TEST(strings_are_copied)
{
	auto_free char *a = xasprintf("%s-%d", "a", 1), *b = xstrndup("abcdef", 3);
	auto_free char *c = xstrdup("");

	CHECK_STR(a, "a-1");
	CHECK_STR(b, "abc");
	CHECK_STR(c, "");
}

TEST(arena_is_aligned_zeroed_and_apart)
{
	struct arena a = { 0 };
	unsigned char *before = NULL;

	for (size_t size = 0; size < 3000; size += 7) {
		unsigned char *at = arena_alloc(&a, size);

		CHECK((uintptr_t)at % _Alignof(max_align_t) == 0);
		for (size_t i = 0; i < size; i++)
			if (at[i])
				CHECK(!"zero");
		memset(at, 0xff, size);
		CHECK(at != before);
		before = at;
	}
	CHECK_STR(arena_strdup(&a, "text"), "text");
	CHECK_STR(arena_memdup(&a, "text", 2), "te");
	CHECK_STR(arena_printf(&a, "%05d", 42), "00042");
	arena_done(&a);
}

TEST(arena_reset_uses_the_same_memory_again)
{
	struct arena a = { 0 };
	char *first = arena_alloc(&a, 100);
	char *big = arena_alloc(&a, 100000);

	big[99999] = 1;
	arena_reset(&a);
	CHECK(arena_alloc(&a, 100) == first);
	CHECK(arena_alloc(&a, 100000) == big);
	CHECK_INT(big[99999], 0);
	arena_done(&a);
	CHECK_STR(arena_strdup(&a, "again"), "again");
	arena_done(&a);
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

TEST(vec_grows_and_keeps)
{
	vec(int) v = { 0 };
	int sum = 0;

	vec_for_each(it, &v)
		sum += *it;
	vec_sort(&v, by_value);
	for (int i = 1000; i > 0; i--)
		vec_push(&v, i);
	vec_sort(&v, by_value);
	CHECK_INT(v.at[0], 1);
	vec_for_each(it, &v)
		sum += *it;
	CHECK_INT(sum, 500500);
	CHECK_INT(vec_pop(&v), 1000);
	CHECK_INT(v.len, 999);
	CHECK_INT(*vec_add(&v), 0);
	vec_done(&v);
	CHECK_INT(v.len, 0);
}

TEST(min_max_nest_and_evaluate_once)
{
	int i = 0;

	CHECK_INT(min(3, max(1, min(2, 5))), 2);
	CHECK_INT(max(i++, -1), 0);
	CHECK_INT(i, 1);
	CHECK_INT(ARRAY_LEN(((int[]){ 1, 2, 3 })), 3);
}
