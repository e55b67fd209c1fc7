/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions of a compiled probe that wait for the running kernel. */
#include "bpf/casts.h"

#include <stdlib.h>
#include <string.h>

#include <linux/bpf.h>

#include "abi/direct.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "base/test.h"
#include "bpf/kernel.h"
#include "bpf/relocations.h"

struct counts {
	size_t moves, calls, kernel_calls;
	int32_t id;
};

static void code_count(void *code, size_t size, void *ctx)
{
	const struct bpf_insn *insn = code, *end = insn + size / sizeof(*insn);
	struct counts *n = ctx;

	for (; insn < end; insn++) {
		n->moves +=
			insn->code == (BPF_ALU64 | BPF_MOV | BPF_K) && insn->imm == DIRECT_KNOWN;
		if (insn->code != (BPF_JMP | BPF_CALL))
			continue;
		n->calls += !insn->src_reg && insn->imm == DIRECT_CAST;
		if (insn->src_reg != BPF_PSEUDO_KFUNC_CALL)
			continue;
		n->kernel_calls++;
		n->id = insn->imm;
	}
}

TEST(they_become_what_the_kernel_has)
{
	const char *dir = getenv("SONDA_OBJECTS");
	struct counts before = { 0 }, after = { 0 };
	uint32_t id = kernel_func_id("bpf_rdonly_cast");
	auto_free char *bytes = NULL;
	auto_free void *copy = NULL;
	char path[512];
	struct err e;
	size_t size;

	REQUIRE(dir && str_format(path, sizeof(path), "%s/fs.open.bpf.o", dir));
	REQUIRE(!file_read(path, &bytes, &size, &e));
	elf_code_each(bytes, size, code_count, &before);
	CHECK(before.moves > 0 && before.calls > 0 && !before.kernel_calls);
	copy = casts_copy(bytes, size);
	REQUIRE(copy);
	elf_code_each(copy, size, code_count, &after);
	CHECK(!after.moves);
	CHECK_INT(after.calls, id ? 0 : before.calls);
	CHECK_INT(after.kernel_calls, id ? before.calls : 0);
	CHECK_INT(after.id, id);
	kernel_btf_release();
}

TEST(what_asks_for_none_is_not_copied)
{
	static const char no_object[] =
		"\177ELF, but long enough for a header of sixty-four bytes ....";

	CHECK(!casts_copy("", 0));
	CHECK(!casts_copy(no_object, sizeof(no_object)));
}
