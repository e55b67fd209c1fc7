/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that wait for the running kernel, in every section with code. */
#include "bpf/casts.h"

#include <string.h>

#include <linux/bpf.h>

#include "abi/direct.h"
#include "base/err.h"
#include "base/mem.h"
#include "bpf/kernel.h"
#include "bpf/parts.h"
#include "bpf/relocations.h"

static bool is_known(const struct bpf_insn *insn)
{
	return insn->code == (BPF_ALU64 | BPF_MOV | BPF_K) && insn->imm == DIRECT_KNOWN;
}

static bool is_cast(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && !insn->src_reg && insn->imm == DIRECT_CAST;
}

struct casts {
	uint32_t id; /* of bpf_rdonly_cast(); 0: there is none, and the calls are dead code */
	bool writes; /* else it is only asked whether there is anything to write */
	bool any;
};

static void code_patch(void *code, size_t size, void *ctx)
{
	struct bpf_insn *insn = code, *end = insn + size / sizeof(*insn);
	struct casts *c = ctx;

	for (; insn < end; insn++) {
		if (!is_known(insn) && !is_cast(insn))
			continue;
		c->any = true;
		if (!c->writes)
			return;
		if (is_known(insn)) {
			insn->imm = c->id != 0;
		} else if (c->id) {
			insn->src_reg = BPF_PSEUDO_KFUNC_CALL;
			insn->imm = (int32_t)c->id;
		}
	}
}

void *casts_copy(const void *elf, size_t size)
{
	struct casts c = { 0 };
	void *copy;

	elf_code_each((void *)(uintptr_t)elf, size, code_patch, &c);
	if (!c.any)
		return NULL;
	copy = xmemdup(elf, size);
	c.id = kernel_func_id("bpf_rdonly_cast");
	c.writes = true;
	elf_code_each(copy, size, code_patch, &c);
	return copy;
}

int casts_settle(struct object *o, struct err *e)
{
	void *copy = casts_copy(o->bytes, o->size);
	auto_free void *old = NULL;

	if (!copy)
		return 0;
	old = o->owned; /* libbpf may look at it until the object is opened anew */
	o->bytes = o->owned = copy;
	return object_reopen(o, e);
}
