/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs of guard.file: slots, and the operations that need them. */
#include "enforce/file_hooks.h"

#include <assert.h>

#include "base/err.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "bpf/object.h"

#define READS     (POLICY_READ | POLICY_WRITE)
#define ALL       (POLICY_CHANGE * 2 - 1)
#define ALWAYS    ALL /* it also keeps what is known of files true */
#define CALLS     "opens_after"
#define RUNS      "runs_after"
#define OPENS     "opens"
#define HOOKS_MAX 64

/* clang-format off */
static const struct {
	const char *slot;
	unsigned operations;
	bool after; /* where nothing can be refused */
} hooks[] = {
	{ OPENS,               READS | POLICY_EXEC | POLICY_TRUNCATE, false },
	{ "receives",          READS,                      false },
	{ "maps",              POLICY_EXEC,                false },
	{ "protects",          POLICY_EXEC,                false },
	{ "creates",           POLICY_CREATE,              false },
	{ "makes_node",        POLICY_CREATE,              false },
	{ "makes_dir",         POLICY_CREATE,              false },
	{ "renews",            ALWAYS,                     false },
	{ "makes_symlink",     POLICY_CREATE,              false },
	{ "unlinks",           ALWAYS,                     false },
	{ "removes_dir",       POLICY_UNLINK,              false },
	{ "deleted",           ALWAYS,                     false },
	{ "replaced",          ALWAYS,                     false },
	{ "links",             ALWAYS,                     false },
	{ "renames",           ALWAYS,                     false },
	{ "changes",           POLICY_TRUNCATE | POLICY_CHANGE, false },
	{ "sets_attribute",    POLICY_CHANGE,              false },
	{ "removes_attribute", POLICY_CHANGE,              false },
	{ "sets_acl",          POLICY_CHANGE,              false },
	{ "removes_acl",       POLICY_CHANGE,              false },
	{ CALLS,               READS | POLICY_EXEC | POLICY_CREATE, true },
	{ "uring_after",       READS | POLICY_CREATE,      true },
	{ RUNS,                POLICY_EXEC,                true },
};
/* clang-format on */

/* ---- the ladder ---- */

static int leave_all_but(struct object *o, const char *slot, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
		if (object_slot_leave(o, hooks[i].slot, !str_eq(hooks[i].slot, slot), e) < 0)
			return -e->code;
	return 0;
}

static unsigned rank_in(const struct object *o, const char *slot)
{
	struct object_slot told;

	for (size_t i = 0; i < object_slot_count(o); i++) {
		object_slot(o, i, &told);
		if (str_eq(told.name, slot))
			return told.rank;
	}
	return 0;
}

static enum file_rung rung_of(const struct object *o)
{
	static const char *const slots[] = { OPENS, "unlinks" };

	for (size_t i = 0; i < ARRAY_LEN(slots); i++)
		if (rank_in(o, slots[i]))
			return rank_in(o, slots[i]) == 1 ? FILE_RUNG_LSM : FILE_RUNG_FMOD_RET;
	return FILE_RUNG_AFTER;
}

int file_ladder(struct object *o, const struct file_ladder **ret, struct err *e)
{
	static struct file_ladder known;
	const char *why;

	if (!known.rung) {
		if (leave_all_but(o, OPENS, e) < 0)
			return -e->code;
		if (object_preview(o, NULL, e) == 0) {
			known.rung = rung_of(o);
		} else {
			if (e->exit_class != EXIT_KERNEL)
				return -e->code;
			why = str_after(e->text, "can't run here: ");
			str_copy(known.why, sizeof(known.why), why ?: e->text);
			known.rung = FILE_RUNG_AFTER;
			err_clear(e);
		}
	}
	*ret = &known;
	return 0;
}

/* ---- which of them ---- */

unsigned file_operations(const struct policy *p)
{
	unsigned operations = 0;

	if (p)
		vec_for_each(r, &p->rules)
			if (r->domain == POLICY_FILE)
				operations |= r->operations;
	return operations;
}

uint64_t file_hooks_needed(const struct file_ladder *ladder, unsigned operations)
{
	uint64_t bits = 0;

	static_assert(ARRAY_LEN(hooks) <= HOOKS_MAX, "hooks are bits of a word");
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
		if (hooks[i].after == (ladder->rung == FILE_RUNG_AFTER) &&
		    hooks[i].operations & operations)
			bits |= 1ull << i;
	return bits;
}

int file_hooks_choose(struct object *o, uint64_t slots, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
		if (object_slot_leave(o, hooks[i].slot, !(slots >> i & 1), e) < 0)
			return -e->code;
	return 0;
}

/* ---- what became of it ---- */

enum { RUNS_PREPARED = 1 }; /* the rank of runs_after that knows the caller */

void file_hooks_tell(const struct object *o, struct file_proof *ret)
{
	ret->rung = rung_of(o);
	if (rank_in(o, RUNS) > RUNS_PREPARED)
		ret->flags |= FILE_PROOF_NO_CALLER;
}

void file_method(const struct file_proof *proof, unsigned operations, struct strbuf *out)
{
	static const char *const names[] = { [FILE_RUNG_LSM] = "lsm",
					     [FILE_RUNG_FMOD_RET] = "fmod_ret",
					     [FILE_RUNG_AFTER] = "sys_exit" };

	strbuf_puts(out, names[proof->rung]);
	if (proof->rung == FILE_RUNG_AFTER && operations & POLICY_EXEC)
		strbuf_puts(out, proof->flags & FILE_PROOF_NO_CALLER ? ", sched_process_exec"
								     : ", sched_prepare_exec");
}

const char *file_hooks_at_open(const struct object *o)
{
	static const char *const slots[] = { OPENS, CALLS };

	for (size_t i = 0; i < ARRAY_LEN(slots); i++)
		if (rank_in(o, slots[i]))
			return slots[i];
	return NULL;
}
