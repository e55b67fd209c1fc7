/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guard that keeps the lines of descent. Programs keep their bits while the policy in force or the other
 * one names them; so a change of policy makes nobody forget. A bit is another's only when no task has it any more.
 */
#include "enforce/ancestry.h"

#include "base/err.h"
#include "base/str.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "bpf/pins.h"
#include "bpf/weight.h"
#include "enforce/enforce.h"
#include "enforce/guard.h"
#include "enforce/shared.h"
#include "enforce/subjects.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SWEEPS = 16, COST_RUNS = 100 };

/* As it was written last. */
static struct ancestor_program programs[POLICY_ANCESTORS];

struct filling {
	const struct object *o;
	const struct policy *policy; /* NULL: none */
	struct file_paths paths;
	unsigned gen;
	int lines; /* "policy_lines", borrowed or of `pinned` */
};

/* ---- bits ---- */

static struct file_place place_of(const struct file_path *f)
{
	size_t len = strlen(f->name);
	struct file_place place = { .dir = f->dir, .len = (uint32_t)len };

	memcpy(place.name, f->name, min(len, sizeof(place.name)));
	return place;
}

/* POLICY_ANCESTORS: it has none. */
static unsigned program_find(const struct file_path *f)
{
	struct file_place place = place_of(f);
	unsigned bit = 0;

	while (bit < POLICY_ANCESTORS && memcmp(&programs[bit].place, &place, sizeof(place)))
		bit++;
	return bit;
}

int ancestry_bit(const struct file_path *program, uint64_t *ret_bit, struct err *e)
{
	unsigned bit = program_find(program);

	if (bit == POLICY_ANCESTORS)
		return fail(e, ENOENT, "'%s': nobody looks who descends from it", program->path);
	*ret_bit = 1ull << bit;
	return 0;
}

static bool is_taken(const struct ancestor_program *program)
{
	return program->place.len;
}

/* Those that a generation names, but for `but`. */
static uint64_t bits_named(uint32_t but)
{
	uint64_t bits = 0;

	for (unsigned bit = 0; bit < POLICY_ANCESTORS; bit++)
		if (programs[bit].gens & ~but)
			bits |= 1ull << bit;
	return bits;
}

/* Those that nobody names any more, but tasks may have. */
static uint64_t bits_left(void)
{
	uint64_t bits = 0;

	for (unsigned bit = 0; bit < POLICY_ANCESTORS; bit++)
		if (is_taken(&programs[bit]) && !programs[bit].gens)
			bits |= 1ull << bit;
	return bits;
}

static int programs_read(const struct object *o, struct err *e)
{
	int map = object_map_fd(o, "ancestor_programs");

	for (uint32_t bit = 0; bit < POLICY_ANCESTORS; bit++)
		if (!map_get_value(map, &bit, &programs[bit]))
			return fail(e, EIO, "the programs that others descend from can't be read");
	return 0;
}

/* What is in use is handed on. */
static int programs_write(const struct object *o, struct err *e)
{
	int map = object_map_fd(o, "ancestor_programs");
	uint64_t known = bits_named(0);
	uint32_t zero = 0;

	for (uint32_t bit = 0; bit < POLICY_ANCESTORS; bit++)
		if (map_set(map, "the ancestors", &bit, &programs[bit], e) < 0)
			return -e->code;
	return map_set(object_map_fd(o, "ancestors_known"), "the ancestors", &zero, &known, e);
}

/* The generation names what `f` has, as far as that has bits. */
static void programs_claim(const struct filling *f)
{
	for (unsigned bit = 0; bit < POLICY_ANCESTORS; bit++)
		programs[bit].gens &= ~(1u << f->gen);
	vec_for_each(file, &f->paths.all) {
		unsigned bit = program_find(file);

		if (bit < POLICY_ANCESTORS)
			programs[bit].gens |= 1u << f->gen;
	}
}

/* The others get theirs. */
static int programs_take(const struct filling *f, struct err *e)
{
	vec_for_each(file, &f->paths.all) {
		unsigned bit = 0;

		if (program_find(file) < POLICY_ANCESTORS)
			continue;
		while (bit < POLICY_ANCESTORS && is_taken(&programs[bit]))
			bit++;
		if (bit == POLICY_ANCESTORS)
			return fail_as(
				e, EXIT_POLICY, E2BIG,
				"more than %u programs are named as ancestors, with those of the policy before",
				POLICY_ANCESTORS);
		programs[bit] =
			(struct ancestor_program){ .place = place_of(file), .gens = 1u << f->gen };
	}
	return 0;
}

/* ---- the tasks that there are ---- */

static int on_change(const struct record *record, const void *bytes, void *ctx)
{
	(void)record, (void)bytes;
	++*(unsigned *)ctx;
	return 0;
}

static int descent_load(const struct filling *f, struct object *o, uint64_t fresh, uint64_t gone,
			struct err *e)
{
	static const char *const maps[] = { "file_objects", "file_names" };

	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		if (object_map_share(o, maps[i], object_map_fd(f->o, maps[i]), e) < 0)
			return -e->code;
	if (object_map_share(o, "policy_lines", f->lines, e) < 0 ||
	    object_var_set_u64(o, "fresh", fresh, e) < 0 ||
	    object_var_set_u64(o, "gone", gone, e) < 0)
		return -e->code;
	return object_load(o, NULL, e);
}

/* Until all tasks are as they should be: one may make another while those before it are looked at. */
static int sweep(const struct filling *f, uint64_t fresh, uint64_t gone, struct err *e)
{
	unsigned changes = 1;
	struct object *o;
	void *handle;
	int err;

	if (guard_source->open("guard.descent", &handle, &o, e) < 0)
		return -e->code;
	err = descent_load(f, o, fresh, gone, e);
	for (unsigned i = 0; !err && changes && i < SWEEPS; i++) {
		changes = 0;
		err = object_rows(o, "descend", on_change, &changes, e);
	}
	guard_source->close(handle);
	return err;
}

/* ---- filling ---- */

static int on_program(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct filling *f = ctx;
	size_t index;

	return file_paths_add(&f->paths, text, &index, e) < 0 ? policy_wrap(f->policy, at, e) : 0;
}

static int policy_take(struct filling *f, struct err *e)
{
	if (!f->policy)
		return 0;
	vec_for_each(r, &f->policy->rules)
		vec_for_each(c, &r->clauses)
			if (c->word->word == WORD_ANCESTOR &&
			    policy_each(f->policy, &c->values, on_program, f, e) < 0)
				return -e->code;
	return f->paths.all.len ? file_paths_identify(&f->paths, e) : 0;
}

/* For what is run from now on. */
static int objects_write(struct filling *f, struct err *e)
{
	static const struct subjects none;

	vec_for_each(file, &f->paths.all) {
		unsigned bit = program_find(file);

		file->object = (struct file_object){ .flags = FILE_IS_ANCESTOR };
		if (bit < POLICY_ANCESTORS)
			file->object.line = 1ull << bit;
	}
	return subjects_write(&none, &f->paths, f->o, f->gen, e);
}

/* When nobody hands them on any more, which those do who are at it still. */
static int programs_clear(const struct filling *f, struct err *e)
{
	uint64_t left = bits_left();

	if (!left)
		return 0;
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	if (sweep(f, 0, left, e) < 0)
		return -e->code;
	for (unsigned bit = 0; bit < POLICY_ANCESTORS; bit++)
		if (left >> bit & 1)
			programs[bit] = (struct ancestor_program){ 0 };
	return 0;
}

static int filling_write(struct filling *f, struct err *e)
{
	uint64_t fresh;

	if (programs_read(f->o, e) < 0)
		return -e->code;
	programs_claim(f);
	if (objects_write(f, e) < 0 || programs_write(f->o, e) < 0 || programs_clear(f, e) < 0 ||
	    programs_take(f, e) < 0 || programs_write(f->o, e) < 0 || objects_write(f, e) < 0)
		return -e->code;
	fresh = bits_named(0) & ~bits_named(1u << f->gen);
	return fresh ? sweep(f, fresh, 0, e) : 0;
}

static int fill(const struct object *o, const struct policy *p, unsigned gen, struct err *e)
{
	struct filling f = { .o = o, .policy = p, .gen = gen };
	auto_close int pinned = -1;
	int err;

	f.lines = object_map_fd(o, "policy_lines");
	if (f.lines < 0) { /* the guard is in force, and they are not its own */
		if (pin_open(SHARED_LINES_PIN, &pinned, e) < 0)
			return -e->code;
		f.lines = pinned;
	}
	err = policy_take(&f, e);
	if (!err)
		err = filling_write(&f, e);
	file_paths_done(&f.paths);
	return err;
}

/* It has places of a few programs only. */
static int prepare(struct object *o, const struct object *before, const struct policy *p,
		   struct err *e)
{
	(void)before, (void)p;
	return object_map_resize(o, "file_objects", 4 * POLICY_ANCESTORS, e) < 0 ||
			       object_map_resize(o, "file_names", 2 * POLICY_ANCESTORS, e) < 0
		       ? -e->code
		       : 0;
}

/* What an earlier one left, which nobody has kept true since. */
static int prove(struct object *o, const struct object *before, const struct policy *p,
		 unsigned gen, struct err *e)
{
	int lines = object_map_fd(o, "policy_lines");
	uint64_t key, next;
	bool more = map_next_key(lines, NULL, &next);

	(void)before, (void)p, (void)gen, (void)e;
	while (more) {
		key = next;
		more = map_next_key(lines, &key, &next);
		map_unset(lines, &key);
	}
	return 0;
}

static void fork_often(void *ctx)
{
	(void)ctx;
	for (int i = 0; i < COST_RUNS; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
}

static int cost(struct object *o, const struct policy *p, struct guard_cost *ret_cost,
		struct err *e)
{
	uint64_t ns;

	(void)p;
	if (object_run_ns(o, "task_is_made", fork_often, NULL, &ns, e) < 0)
		return -e->code;
	*ret_cost = (struct guard_cost){ ns, "a process that is made" };
	return 0;
}

static bool takes(const struct policy *p)
{
	vec_for_each(r, &p->rules)
		if (policy_clause_find(r, WORD_ANCESTOR, 0))
			return true;
	return false;
}

const struct guard guard_ancestry = {
	.name = "ancestry",
	.domain = POLICY_DOMAINS,
	.takes = takes,
	.prepare = prepare,
	.prove = prove,
	.fill = fill,
	.cost = cost,
	.beside = guard_beside_anywhere,
};
