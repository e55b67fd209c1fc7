/* SPDX-License-Identifier: BSD-2-Clause */
/* The common filters: a row for each set, with how its elements are read. */
#include "pipeline/filters.h"

#include "abi/conf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/passwd.h"
#include "base/str.h"
#include "base/units.h"
#include "base/vec.h"
#include "bpf/object.h"
#include "bpf/sets.h"
#include "pipeline/catalog.h"
#include "pipeline/cgroups.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* clang-format off */
static const struct opt filter_opts[] = {
	{ "pid",    OPT_LIST,     offsetof(struct filters, pid),    "PID,...",  "only these processes (!PID: all but)", .letter = 'p' },
	{ "tid",    OPT_LIST,     offsetof(struct filters, tid),    "TID,...",  "only these threads" },
	{ "comm",   OPT_LIST,     offsetof(struct filters, comm),   "NAME,...", "only threads of this command name, at most 15 bytes" },
	{ "exe",    OPT_LIST,     offsetof(struct filters, exe),    "PATH,...", "only processes that run this executable" },
	{ "user",   OPT_LIST,     offsetof(struct filters, user),   "USER,...", "only this user, by name or number", .letter = 'u' },
	{ "cgroup", OPT_LIST,     offsetof(struct filters, cgroup), "PATH,...", "only this cgroup or systemd unit, and those below it" },
	{ "tree",   OPT_LIST,     offsetof(struct filters, tree),   "PID,...",  "only this process and its descendants" },
	{ "errors", OPT_BOOL,     offsetof(struct filters, errors), NULL,       "only what failed", .letter = 'e' },
	{ "min",    OPT_DURATION, offsetof(struct filters, min_ns), "TIME",     "only what took at least this long (10ms)", .letter = 'm' },
};
/* clang-format on */

/* Reads one element of a set. */
typedef int element_fn(const char *text, uint64_t *a, uint64_t *b, struct err *e);

static int element_id(const char *text, uint64_t *a, uint64_t *b, struct err *e)
{
	int err = number_parse(text, a, e);

	*b = 0;
	if (!err && *a > UINT32_MAX)
		err = fail(e, ERANGE, "'%s' is too large for a process id", text);
	return err;
}

static int element_comm(const char *text, uint64_t *a, uint64_t *b, struct err *e)
{
	if (strlen(text) > 15)
		return fail(e, EINVAL, "'%s' is longer than the 15 bytes of a command name", text);
	sets_comm(text, a, b);
	return 0;
}

static int element_exe(const char *text, uint64_t *a, uint64_t *b, struct err *e)
{
	struct stat st;

	if (stat(text, &st) < 0)
		return fail(e, errno, "executable '%s': %s", text, strerror(errno));
	*a = st.st_ino;
	*b = (uint64_t)major(st.st_dev) << 20 | minor(st.st_dev);
	return 0;
}

static int element_user(const char *text, uint64_t *a, uint64_t *b, struct err *e)
{
	auto_ptr(accounts) users = accounts_new(ACCOUNTS_PATH);
	uint32_t uid;

	if (!user_id(users, text, &uid))
		return fail(e, ENOENT, "there is no user '%s' in /etc/passwd", text);
	*a = uid;
	*b = 0;
	return 0;
}

static int element_cgroup(const char *text, uint64_t *a, uint64_t *b, struct err *e)
{
	*b = 0;
	return cgroup_find(text, a, e);
}

static const struct set_row {
	enum filter_set set;
	const char *option;
	size_t offset; /* of the list in struct filters */
	element_fn *read;
	bool in_proc; /* its elements are there while they live */
} set_rows[] = {
	{ SET_PID, "pid", offsetof(struct filters, pid), element_id, true },
	{ SET_TID, "tid", offsetof(struct filters, tid), element_id, true },
	{ SET_UID, "user", offsetof(struct filters, user), element_user },
	{ SET_COMM, "comm", offsetof(struct filters, comm), element_comm },
	{ SET_EXE, "exe", offsetof(struct filters, exe), element_exe },
	{ SET_CGROUP, "cgroup", offsetof(struct filters, cgroup), element_cgroup },
	{ SET_TREE, "tree", offsetof(struct filters, tree), element_id, true },
};
static_assert(ARRAY_LEN(set_rows) == SET_COUNT, "a row for each set");

static const struct strlist *row_list(const struct filters *f, const struct set_row *row)
{
	return (const struct strlist *)(const void *)((const char *)f + row->offset);
}

void filters_init(struct filters *f)
{
	*f = (struct filters){ .sets_fd = -1, .min_ns = FILTER_MIN_UNSET };
}

void filters_done(struct filters *f)
{
	strlist_done(&f->pid);
	strlist_done(&f->tid);
	strlist_done(&f->comm);
	strlist_done(&f->exe);
	strlist_done(&f->user);
	strlist_done(&f->cgroup);
	strlist_done(&f->tree);
	fd_close(&f->sets_fd);
}

struct opt_table filters_options(struct filters *f)
{
	return (struct opt_table){ .title = "Filters (evaluated in the kernel; a list is a set)",
				   .rows = filter_opts,
				   .count = ARRAY_LEN(filter_opts),
				   .cfg = f };
}

/* Of a list of processes some may have ended since it was made: no error, but who mistyped one would wait for ever. */
static void missing_note(const struct set_row *row, uint64_t id)
{
	char path[32];

	str_format(path, sizeof(path), "/proc/%llu", (unsigned long long)id);
	if (row->in_proc && access(path, F_OK) < 0 && errno == ENOENT)
		log_note(NULL, "--%s %llu: there is no such process now", row->option,
			 (unsigned long long)id);
}

/* The elements of one option; all are negated or none. */
static int set_fill(struct filters *f, const struct set_row *row, struct err *e)
{
	const struct strlist *list = row_list(f, row);
	uint64_t a, b;
	int err;

	for (size_t i = 0; i < list->len; i++) {
		const char *text = list->at[i];
		bool negated = text[0] == '!';

		if (i && negated != (list->at[0][0] == '!'))
			return fail_as(e, EXIT_USAGE, EINVAL,
				       "--%s: either all elements have a '!' or none", row->option);
		err = row->read(text + negated, &a, &b, e);
		if (!err)
			err = sets_add(f->sets_fd, row->set, a, b, e);
		if (err) {
			if (e->exit_class == EXIT_OK && e->code != EPERM)
				e->exit_class = EXIT_USAGE;
			return wrap(e, "--%s", row->option);
		}
		f->on |= 1u << row->set;
		if (negated)
			f->negated |= 1u << row->set;
		else
			missing_note(row, a);
	}
	return 0;
}

int filters_ready(struct filters *f, struct err *e)
{
	bool any = f->follow != 0;
	int err;

	for (size_t i = 0; i < ARRAY_LEN(set_rows); i++)
		any |= row_list(f, &set_rows[i])->len > 0;
	if (!any)
		return 0;
	err = sets_new(&f->sets_fd, e);
	for (size_t i = 0; !err && i < ARRAY_LEN(set_rows); i++)
		err = set_fill(f, &set_rows[i], e);
	if (err || !f->follow)
		return err;
	if (f->negated & 1u << SET_TREE)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "--tree '!...' can't be joined with a COMMAND");
	f->on |= 1u << SET_TREE;
	return sets_add(f->sets_fd, SET_TREE, (uint64_t)f->follow, 0, e);
}

static int filter_lacking(const struct probe *p, const char *option, const char *instead,
			  struct err *e)
{
	fail_as(e, EXIT_USAGE, EINVAL, "%s has no --%s", p->name, option);
	return hint(e, "%s", instead);
}

int filters_apply(const struct filters *f, struct probe *p, struct err *e)
{
	const char *has = p->decl->filters;
	struct conf *conf = object_conf(p->object);
	bool min_given = f->min_ns != FILTER_MIN_UNSET;

	if (!conf)
		return f->on || f->errors || min_given
			       ? filter_lacking(p, "pid, --min or other filters", "use --where", e)
			       : 0;
	conf->self = (uint32_t)getpid();
	if (f->on && !strstr(has, "task"))
		return filter_lacking(
			p, "pid, --comm and the like",
			"it watches the whole machine; --where asks for what its rows tell", e);
	if (f->errors && !strstr(has, "errors"))
		return filter_lacking(p, "errors", "its operations can't fail", e);
	if (min_given && !strstr(has, "min"))
		return filter_lacking(p, "min", "its operations have no duration", e);
	conf->sets_on = f->on;
	conf->sets_negated = f->negated;
	conf->errors_only = f->errors;
	conf->min_ns = min_given ? f->min_ns : p->decl->min_ns;
	return f->sets_fd < 0 ? 0 : object_map_share(p->object, "sonda_sets", f->sets_fd, e);
}

bool filters_follow_tree(const struct filters *f)
{
	return f->on & 1u << SET_TREE;
}

/* The process whose child `pid` is; 0: gone. */
static uint64_t parent_of(const char *pid)
{
	char path[64], line[512], *end;
	struct err ignored;

	str_format(path, sizeof(path), "/proc/%s/stat", pid);
	if (file_line(path, line, sizeof(line), &ignored) < 0)
		return 0;
	end = strrchr(line, ')'); /* the name may hold anything */
	return end && strlen(end) > 4 ? strtoull(end + 4, NULL, 10) : 0;
}

struct seed {
	const struct filters *filters;
	bool grew;
};

static int seed_process(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	struct seed *seed = ctx;
	int fd = seed->filters->sets_fd;
	uint64_t pid, parent;

	(void)dir_fd, (void)type;
	if (name[0] < '0' || name[0] > '9')
		return 0;
	pid = strtoull(name, NULL, 10);
	parent = parent_of(name);
	if (!parent || sets_has(fd, SET_TREE, pid, 0) || !sets_has(fd, SET_TREE, parent, 0))
		return 0;
	seed->grew = true;
	return sets_add(fd, SET_TREE, pid, 0, e);
}

int filters_seed_tree(const struct filters *f, struct err *e)
{
	struct seed seed = { .filters = f, .grew = true };
	int err = 0;

	/* children may come before their parents in the listing: until nothing is added */
	while (!err && seed.grew && f->tree.len) {
		seed.grew = false;
		err = dir_each("/proc", seed_process, &seed, e);
	}
	return err;
}
