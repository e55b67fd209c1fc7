/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/test.h"

#include "base/str.h"
#include "symbols/demangle.h"
#include "symbols/kernel_symbols.h"
#include "symbols/perfmap.h"
#include "symbols/symtab.h"

static void add(struct symtab *t, uint64_t start, uint64_t size, const char *name, unsigned rank)
{
	symtab_add(t, start, size, name, strlen(name), "", rank);
}

static const char *name_at(struct symtab *t, uint64_t address)
{
	struct symbol s;

	return symtab_find(t, address, &s) ? s.name : NULL;
}

TEST(an_address_finds_its_symbol)
{
	auto_ptr(symtab) t = symtab_new();

	add(t, 0x300, 0, "third", 0);
	add(t, 0x100, 0x80, "first", 0);
	add(t, 0x200, 0, "second", 0);
	symtab_finish(t);
	CHECK(!name_at(t, 0xff));
	CHECK_STR(name_at(t, 0x100), "first");
	CHECK_STR(name_at(t, 0x17f), "first");
	CHECK(!name_at(t, 0x180)); /* behind it, and before the next one */
	CHECK_STR(name_at(t, 0x2ff), "second");
	CHECK_STR(name_at(t, UINT64_MAX), "third");
}

TEST(of_several_names_the_best_is_kept)
{
	auto_ptr(symtab) t = symtab_new();

	add(t, 0x100, 16, "local_alias", 2);
	add(t, 0x100, 16, "name", 0);
	add(t, 0x100, 16, "later_alias", 0);
	symtab_finish(t);
	CHECK_INT(symtab_count(t), 1);
	CHECK_STR(name_at(t, 0x108), "name");
}

TEST(an_empty_table_has_none)
{
	auto_ptr(symtab) t = symtab_new();

	symtab_finish(t);
	CHECK(!name_at(t, 0));
	CHECK(!name_at(t, UINT64_MAX));
}

TEST(names_are_demangled)
{
	auto_ptr(symtab) t = symtab_new();

	add(t, 0x100, 16, "_ZN3one3two5sleepEi", 0);
	add(t, 0x200, 16, "_RNvC5crate4doze", 0);
	add(t, 0x300, 16, "_ZN4core3fmt5write17h0123456789abcdefE", 0);
	add(t, 0x400, 16, "_Zx", 0);
	add(t, 0x500, 16, "a;b\nc", 0);
	symtab_finish(t);
	CHECK_STR(name_at(t, 0x100), "one::two::sleep");
	CHECK_STR(name_at(t, 0x100), "one::two::sleep"); /* and again */
	CHECK_STR(name_at(t, 0x200), "crate::doze");
	CHECK_STR(name_at(t, 0x300), "core::fmt::write");
	CHECK_STR(name_at(t, 0x400), "_Zx");
	CHECK_STR(name_at(t, 0x500), "a:b?c"); /* ';' parts frames */
}

TEST(long_names_are_cut)
{
	char name[3000];
	auto_free char *shown = NULL;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	shown = demangle(name);
	REQUIRE(shown);
	CHECK_INT(strlen(shown), 512);
	CHECK(str_endswith(shown, "..."));
}

TEST(modules_and_programs_of_kallsyms)
{
	static const char text[] = "ffffffff81000000 T _text\n"
				   "ffffffff81000100 t helper\n"
				   "ffffffff81000200 D no_code\n"
				   "not a line\n"
				   "ffffffffc0001000 t xfs_read\t[xfs]\n"
				   "ffffffffc0002000 t bpf_prog_0123456789abcdef_mine\t[bpf]\n";
	auto_ptr(symtab) t = kallsyms_parse(text, sizeof(text) - 1);
	struct symbol s;

	CHECK_INT(symtab_count(t), 4);
	REQUIRE(symtab_find(t, 0xffffffffc0001010, &s));
	CHECK_STR(s.name, "xfs_read");
	CHECK_STR(s.module, "xfs");
	CHECK_U64(s.start, 0xffffffffc0001000);
	REQUIRE(symtab_find(t, 0xffffffffc0002001, &s));
	CHECK_STR(s.module, "bpf");
	REQUIRE(symtab_find(t, 0xffffffff81000110, &s));
	CHECK_STR(s.name, "helper");
	CHECK_STR(s.module, "");
}

TEST(hidden_addresses_are_no_symbols)
{
	static const char text[] = "0000000000000000 T _text\n0000000000000000 t helper\n";
	auto_ptr(symtab) t = kallsyms_parse(text, sizeof(text) - 1);

	CHECK_INT(symtab_count(t), 0);
}

TEST(programs_are_told)
{
	auto_ptr(kernel_symbols) k = kernel_symbols_new();
	struct symbol s;

	kernel_symbols_program(k, 0xffffffffc0100000, 0x100, "bpf_prog_old", 12);
	kernel_symbols_program(k, 0xffffffffc0100000, 0x80, "bpf_prog_new", 12);
	REQUIRE(kernel_symbols_find(k, 0xffffffffc0100010, &s));
	CHECK_STR(s.name, "bpf_prog_new");
	CHECK_STR(s.module, "bpf");
	REQUIRE(kernel_symbols_find(k, 0xffffffffc0100090, &s));
	CHECK_STR(s.name, "bpf_prog_old");
}

TEST(a_perf_map)
{
	static const char text[] = "1000 20 one\nrubbish\n1020 10 two\n1000 20 one_again\n";
	auto_ptr(symtab) t = perfmap_parse(text, sizeof(text) - 1);

	CHECK_STR(name_at(t, 0x101f), "one_again"); /* made anew */
	CHECK_STR(name_at(t, 0x1020), "two");
	CHECK(!name_at(t, 0x1030));
}
