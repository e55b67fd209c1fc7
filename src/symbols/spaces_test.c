/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/test.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "symbols/files.h"
#include "symbols/spaces.h"
#include "symbols/symbols.h"

#include <unistd.h>

/* Numbers above pid_max, so that /proc has nothing to say. */
enum { PARENT = 5000001, CHILD, OTHER };

static void map_of(struct spaces *s, uint32_t pid, uint64_t at_ns, uint64_t start, const char *path)
{
	spaces_map(s, &(struct mapping_told){ .pid = pid,
					      .at_ns = at_ns,
					      .start = start,
					      .bytes = 0x1000,
					      .offset = 0x2000,
					      .inode = 1,
					      .path = path,
					      .path_len = strlen(path) });
}

static const char *file_at(struct spaces *s, uint32_t pid, uint64_t at_ns, uint64_t address)
{
	uint64_t offset;
	const struct mapped_file *file = spaces_find(s, pid, at_ns, address, &offset);

	return file ? file->name : NULL;
}

TEST(an_address_finds_its_file_and_place)
{
	auto_ptr(files) f = files_new();
	auto_ptr(spaces) s = spaces_new(f);
	uint64_t offset = 0;

	map_of(s, PARENT, 10, 0x10000, "/nowhere/a");
	REQUIRE(spaces_find(s, PARENT, 20, 0x10123, &offset));
	CHECK_U64(offset, 0x2123);
	CHECK(!file_at(s, PARENT, 20, 0x11000));
	CHECK(!file_at(s, PARENT, 20, 0xffff));
	CHECK(!file_at(s, OTHER, 20, 0x10123));
}

TEST(what_is_mapped_in_its_place_later_is_another_file)
{
	auto_ptr(files) f = files_new();
	auto_ptr(spaces) s = spaces_new(f);

	map_of(s, PARENT, 10, 0x10000, "/nowhere/a");
	map_of(s, PARENT, 30, 0x10000, "/nowhere/b");
	CHECK_STR(file_at(s, PARENT, 20, 0x10000), "a");
	CHECK_STR(file_at(s, PARENT, 30, 0x10000), "b");
}

TEST(a_child_has_what_its_parent_had_and_its_own)
{
	auto_ptr(files) f = files_new();
	auto_ptr(spaces) s = spaces_new(f);

	map_of(s, PARENT, 10, 0x10000, "/nowhere/a");
	spaces_fork(s, CHILD, PARENT, 20);
	map_of(s, PARENT, 30, 0x20000, "/nowhere/of_parent");
	map_of(s, CHILD, 30, 0x20000, "/nowhere/of_child");
	CHECK_STR(file_at(s, CHILD, 40, 0x10000), "a");
	CHECK_STR(file_at(s, CHILD, 40, 0x20000), "of_child");
	CHECK_STR(file_at(s, PARENT, 40, 0x20000), "of_parent");
}

TEST(an_exec_begins_anew_and_late_rows_see_what_was_before)
{
	auto_ptr(files) f = files_new();
	auto_ptr(spaces) s = spaces_new(f);

	map_of(s, PARENT, 10, 0x10000, "/nowhere/a");
	spaces_exec(s, PARENT, 20);
	map_of(s, PARENT, 21, 0x30000, "/nowhere/b");
	CHECK_STR(file_at(s, PARENT, 15, 0x10000), "a");
	CHECK(!file_at(s, PARENT, 25, 0x10000));
	CHECK_STR(file_at(s, PARENT, 25, 0x30000), "b");
}

TEST(many_mappings_are_bounded)
{
	auto_ptr(files) f = files_new();
	auto_ptr(spaces) s = spaces_new(f);

	for (unsigned i = 0; i < 20000; i++)
		map_of(s, PARENT, 10, 0x10000 + 0x1000ULL * i, "/nowhere/a");
	CHECK_STR(file_at(s, PARENT, 20, 0x10000 + 0x1000ULL * 19999), "a");
	CHECK(!file_at(s, PARENT, 20, 0x10000)); /* forgotten */
}

__attribute__((noinline)) static void known_function(void)
{
	__asm__ volatile("");
}

/* Our own code, by /proc/self/maps and our own file's symbols. */
TEST(our_own_functions_have_names)
{
	auto_ptr(symbols) s = symbols_new();
	auto_done(strbuf) out = { 0 };
	uint64_t frames[] = { (uintptr_t)known_function, (uintptr_t)known_function + 1, 0x10 };
	struct stack_told told = { .pid = (uint32_t)getpid(),
				   .at_ns = clock_boot_ns(),
				   .frames = (const unsigned char *)frames,
				   .count = ARRAY_LEN(frames),
				   .is_cut = true };

	symbols_stack(s, &told, true, &out);
	CHECK_STR(strbuf_str(&out), "known_function+0x0;known_function+0x1;0x10;[deeper]");
	strbuf_reset(&out);
	symbols_stack(s, &told, false, &out);
	CHECK_STR(strbuf_str(&out), "known_function;known_function;[unknown];[deeper]");
	CHECK_U64(symbols_counts(s).frames, 6);
	CHECK_U64(symbols_counts(s).unknown, 2);
}

struct teller {
	struct symbols *symbols;
	unsigned asked;
};

static void tell(void *ctx)
{
	struct teller *t = ctx;

	if (!t->asked++)
		map_of(symbols_spaces(t->symbols), PARENT, 30, 0x10000, "/nowhere/a");
	symbols_fresh(t->symbols, 50);
}

static void name_at(struct symbols *s, uint64_t at_ns, struct strbuf *out)
{
	const uint64_t frame = 0x10123;

	strbuf_reset(out);
	symbols_stack(s,
		      &(struct stack_told){ .pid = PARENT,
					    .at_ns = at_ns,
					    .frames = (const unsigned char *)&frame,
					    .count = 1 },
		      true, out);
}

TEST(a_stack_that_is_newer_than_what_was_told_asks_for_more)
{
	auto_ptr(symbols) s = symbols_new();
	struct teller t = { .symbols = s };
	auto_done(strbuf) out = { 0 };

	symbols_refresh_by(s, tell, &t);
	name_at(s, 40, &out);
	CHECK_STR(strbuf_str(&out), "a+0x2123");
	name_at(s, 49, &out);
	CHECK_U64(t.asked, 1);
	name_at(s, 50, &out);
	CHECK_U64(t.asked, 2);
}
