/* SPDX-License-Identifier: BSD-2-Clause */
/* libbpf's messages as it wrote them, and whom they blame. */
#include "bpf/capture.h"

#include "base/test.h"

static const char text_verifier[] =
	"libbpf: prog 'pointer_followed': BPF program load failed: Permission denied\n"
	"libbpf: prog 'pointer_followed': -- BEGIN PROG LOAD LOG --\n"
	"1: (79) r0 = *(u64 *)(r1 +0)\n"
	"prog 'decoy': failed\n"
	"R1 invalid mem access 'scalar'\n"
	"-- END PROG LOAD LOG --\n"
	"libbpf: prog 'pointer_followed': failed to load: -13\n"
	"libbpf: failed to load object 'sonda'\n";

static const char text_missing[] =
	"libbpf: prog 'x_fentry': failed to find kernel BTF type ID of 'no_such_function': -3\n"
	"libbpf: prog 'x_fentry': failed to prepare load attributes: -3\n"
	"libbpf: prog 'x_fentry': failed to load: -3\n"
	"libbpf: failed to load object 'sonda'\n";

static const char text_map[] =
	"libbpf: Error in bpf_create_map_xattr(stores):Invalid argument(-22). Retrying without BTF.\n"
	"libbpf: map 'stores': failed to create: Invalid argument(-22)\n"
	"libbpf: failed to load object 'sonda'\n";

static const char text_not_made[] =
	"libbpf: prog 'tree_fork': BPF program load failed: Invalid argument\n"
	"libbpf: prog 'tree_fork': -- BEGIN PROG LOAD LOG --\n"
	"54: <invalid BPF map reference>\n"
	"BPF map 'sonda_sets' is referenced but wasn't created\n"
	"-- END PROG LOAD LOG --\n"
	"libbpf: prog 'tree_fork': failed to load: -22\n";

static const char text_within[] = "libbpf: prog 'helper_part': relo #3: failed to relocate: -22\n"
				  "libbpf: prog 'whole': failed to load: -22\n";

TEST(the_program_and_not_what_its_log_holds)
{
	struct blame b;

	capture_blame(text_verifier, &b);
	CHECK_STR(b.program, "pointer_followed");
	CHECK_STR(b.map, "");
	CHECK(b.words_len == strcspn(text_verifier, "\n"));
}

TEST(the_first_words_count)
{
	struct blame b;

	capture_blame(text_missing, &b);
	CHECK_STR(b.program, "x_fentry");
	CHECK(memmem(b.words, b.words_len, "no_such_function", 16));
}

TEST(a_map_that_cannot_be_made)
{
	struct blame b;

	capture_blame(text_map, &b);
	CHECK_STR(b.program, "");
	CHECK_STR(b.map, "stores");
}

TEST(a_map_that_was_not_made)
{
	struct blame b;

	capture_blame(text_not_made, &b);
	CHECK_STR(b.program, "tree_fork");
	CHECK_STR(b.map, "sonda_sets");
}

TEST(a_function_within)
{
	struct blame b;

	capture_blame(text_within, &b);
	CHECK_STR(b.program, "helper_part");
	CHECK_STR(b.outer, "whole");
}

TEST(nobody)
{
	struct blame b;

	capture_blame("", &b);
	CHECK(!b.program[0] && !b.map[0] && !b.words_len);
	capture_blame("libbpf: elf: /x is not a valid ELF\nprog '", &b);
	CHECK(!b.program[0] && !b.map[0]);
}
