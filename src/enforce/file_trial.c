/* SPDX-License-Identifier: BSD-2-Clause */
/* The trial: sonda denies itself a directory of its own, and sees whether it is obeyed. */
#include "enforce/file_trial.h"

#include "abi/policy.h"
#include "base/err.h"
#include "base/str.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "bpf/weight.h"
#include "enforce/enforce.h"
#include "enforce/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COST_RUNS = 500 };

struct place {
	char dir[64], file[80], other[80];
	int fd; /* of `file`, opened while it may be */
};

static int try_read(const struct place *p)
{
	return open(p->file, O_RDONLY | O_CLOEXEC);
}

static int try_write(const struct place *p)
{
	return open(p->file, O_WRONLY | O_CLOEXEC);
}

static int try_exec(const struct place *p)
{
	void *at = mmap(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, p->fd, 0);

	if (at == MAP_FAILED)
		return -1;
	munmap(at, 1);
	return 0;
}

static int try_create(const struct place *p)
{
	return mkdir(p->other, 0700);
}

static int try_unlink(const struct place *p)
{
	return unlink(p->file);
}

static int try_rename(const struct place *p)
{
	return rename(p->file, p->other);
}

static int try_link(const struct place *p)
{
	return link(p->file, p->other);
}

static int try_truncate(const struct place *p)
{
	return truncate(p->file, 0);
}

static int try_change(const struct place *p)
{
	return chmod(p->file, 0600);
}

/* Those that leave the file where it is come first, should nothing be denied. */
static const struct {
	enum policy_operation operation;
	int (*try)(const struct place *p);
} tries[] = {
	{ POLICY_READ, try_read },     { POLICY_WRITE, try_write },
	{ POLICY_EXEC, try_exec },     { POLICY_TRUNCATE, try_truncate },
	{ POLICY_CHANGE, try_change }, { POLICY_CREATE, try_create },
	{ POLICY_LINK, try_link },     { POLICY_RENAME, try_rename },
	{ POLICY_UNLINK, try_unlink },
};

static unsigned try_all(const struct place *p)
{
	unsigned denied = 0;

	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		int got = tries[i].try(p);

		if (got < 0 && errno == EACCES)
			denied |= tries[i].operation;
		if (got > 0)
			close(got);
	}
	return denied;
}

static int place_make(struct place *p, struct err *e)
{
	p->fd = -1;
	str_copy(p->dir, sizeof(p->dir), "/run/sonda-trial.XXXXXX");
	if (!mkdtemp(p->dir))
		return fail(e, errno, "make '%s': %s", p->dir, strerror(errno));
	(void)!str_format(p->file, sizeof(p->file), "%s/file", p->dir);
	(void)!str_format(p->other, sizeof(p->other), "%s/other", p->dir);
	p->fd = open(p->file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	if (p->fd < 0 || write(p->fd, "", 1) != 1)
		return fail(e, errno, "make '%s': %s", p->file, strerror(errno));
	return 0;
}

static void place_remove(struct place *p)
{
	fd_close(&p->fd);
	unlink(p->file);
	rmdir(p->other);
	unlink(p->other);
	rmdir(p->dir);
}

/* One rule, in force at once, in maps that nobody else has. */
static int trial_arm(const struct object *o, const struct place *p, struct err *e)
{
	struct policy_rule_row row = { .name = "trial", .mode = POLICY_ENFORCE };
	uint64_t word = POLICY_HOLDS(0);
	auto_ptr(policy) policy = NULL;
	auto_free char *text =
		xasprintf("rule trial deny read, write, exec, create, unlink, rename, link, "
			  "truncate, change of file under %s\n",
			  p->dir);
	uint32_t zero = 0;

	if (policy_parse("trial", text, &policy, e) < 0 ||
	    file_guard_fill(o, policy, 0, true, e) < 0 ||
	    map_set(object_map_fd(o, "policy_rules"), "the rules", &zero, &row, e) < 0)
		return -e->code;
	return map_set(object_map_fd(o, "policy_state"), "the state", &zero, &word, e);
}

static const char *method_of(const struct object *o)
{
	struct object_slot slot;

	for (size_t i = 0; i < object_slot_count(o); i++) {
		object_slot(o, i, &slot);
		if (str_eq(slot.name, "opens"))
			return slot.rank == 1 ? "lsm" : "fmod_ret";
	}
	return "";
}

static void open_often(void *ctx)
{
	(void)ctx;
	for (int i = 0; i < COST_RUNS; i++) {
		int fd = open("/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0)
			close(fd);
	}
}

int file_cost(struct object *o, struct guard_cost *ret_cost, struct err *e)
{
	struct file_trial trial;

	(void)o;
	if (file_trial(&trial, e) < 0)
		return -e->code;
	if (!trial.open_ns)
		return fail(e, ENOTSUP, "this kernel doesn't count what programs take");
	*ret_cost = (struct guard_cost){ trial.open_ns, "an open that no rule is about" };
	return 0;
}

static int trial_run(struct object *o, struct place *p, struct file_trial *ret, struct err *e)
{
	struct err ignored = { 0 };

	if (place_make(p, e) < 0 || object_load(o, NULL, e) < 0 || trial_arm(o, p, e) < 0)
		return -e->code;
	ret->denied = try_all(p);
	ret->method = method_of(o);
	(void)!object_run_ns(o, "opens", open_often, NULL, &ret->open_ns, &ignored);
	return 0;
}

int file_trial(struct file_trial *ret, struct err *e)
{
	static struct file_trial known;
	struct place place = { .fd = -1 };
	struct object *o;
	void *handle;
	int err;

	if (!known.method) {
		if (guard_source->open("guard.file", &handle, &o, e) < 0)
			return -e->code;
		err = trial_run(o, &place, &known, e);
		guard_source->close(handle);
		place_remove(&place);
		if (err < 0)
			return err;
	}
	*ret = known;
	return 0;
}
