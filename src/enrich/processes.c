/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of processes. */
#include "enrich/processes.h"

#include "base/err.h"
#include "base/file.h"
#include "base/lru.h"
#include "base/str.h"

#include <assert.h>
#include <limits.h>

#define TICK_NS     10000000ULL /* /proc tells start times in 1/100 s */
#define IMAGES      4           /* programs remembered of one process, for rows that come late */
#define PARENTS_MAX 16
#define ARGS_MAX    4096 /* of what /proc tells */

/* What a process ran from when on. */
struct period {
	uint64_t from_ns;
	struct image *image;
};

struct process {
	uint32_t pid, ppid;
	uint64_t start_tick;
	char comm[16];
	struct period periods[IMAGES]; /* latest first */
};

/* Rows come in runs of one process: what was told last is kept until the table changes. */
#define CHAINS 16 /* a power of two */
struct chain {
	uint64_t changes; /* of the table, when the text was made; 0: never */
	uint32_t pid;
	struct strbuf text;
};

struct processes {
	struct lru *by_pid;
	uint64_t changes; /* counts from 1 */
	struct chain chains[CHAINS];
	struct process *last; /* that was found, as of `last_changes` */
	uint64_t last_changes;
};

static struct image *image_new(const char *exe, size_t exe_len, const char *args, size_t args_len)
{
	struct image *image = xnew(struct image);

	image->users = 1;
	image->exe = exe_len ? xstrndup(exe, exe_len) : NULL;
	image->args = xmemdup(args_len ? args : "", args_len + !args_len);
	image->args_len = (uint32_t)args_len;
	return image;
}

static struct image *image_use(struct image *image)
{
	if (image)
		image->users++;
	return image;
}

static void image_drop(struct image *image)
{
	if (!image || --image->users)
		return;
	free(image->exe);
	free(image->args);
	free(image);
}

static void process_free(void *value)
{
	struct process *p = value;

	for (size_t i = 0; i < IMAGES; i++)
		image_drop(p->periods[i].image);
	free(p);
}

struct processes *processes_new(size_t max_count)
{
	struct processes *p = xnew(struct processes);

	p->by_pid = lru_new(max_count, process_free);
	p->changes = 1;
	return p;
}

void processes_free(struct processes *p)
{
	if (!p)
		return;
	lru_free(p->by_pid);
	for (size_t i = 0; i < CHAINS; i++)
		strbuf_done(&p->chains[i].text);
	free(p);
}

/* Takes over `image`. */
static void process_runs(struct process *p, uint64_t from_ns, struct image *image)
{
	image_drop(p->periods[IMAGES - 1].image);
	memmove(&p->periods[1], &p->periods[0], sizeof(p->periods) - sizeof(p->periods[0]));
	p->periods[0] = (struct period){ from_ns, image };
}

static const struct period *process_period(const struct process *p, uint64_t at_ns)
{
	for (size_t i = 0; i < IMAGES; i++)
		if (p->periods[i].image && p->periods[i].from_ns <= at_ns)
			return &p->periods[i];
	return NULL;
}

static struct process *process_add(struct processes *all, uint32_t pid, uint64_t start_tick,
				   uint32_t ppid, const char comm[static 16])
{
	struct process *p = xnew(struct process);

	p->pid = pid;
	p->ppid = ppid;
	p->start_tick = start_tick;
	memcpy(p->comm, comm, sizeof(p->comm));
	p->comm[15] = '\0';
	lru_put(all->by_pid, pid, p);
	all->changes++;
	return p;
}

static struct process *process_find(struct processes *all, uint32_t pid, uint64_t start_tick)
{
	struct process *p = all->last_changes == all->changes ? all->last : NULL;

	if (!p || p->pid != pid) {
		p = lru_get(all->by_pid, pid);
		all->last = p;
		all->last_changes = all->changes;
	}
	return p && p->start_tick == start_tick ? p : NULL;
}

/* The nth blank-separated word, counted from 0; NULL: there are fewer. */
static const char *word_nth(const char *text, unsigned nth)
{
	text += strspn(text, " ");
	while (nth--) {
		text += strcspn(text, " ");
		text += strspn(text, " ");
	}
	return *text ? text : NULL;
}

/* Words of /proc/PID/stat behind the name, which may hold anything: proc_pid_stat(5) less 3. */
enum { STAT_PPID = 4 - 3, STAT_STARTTIME = 22 - 3 };

/* Name, parent and start time of a process. */
static bool stat_read(uint32_t pid, char comm[static 16], uint32_t *ret_ppid, uint64_t *ret_tick)
{
	char path[64], line[1024], *open, *close;
	const char *ppid, *tick;
	struct err ignored;

	str_format(path, sizeof(path), "/proc/%u/stat", pid);
	if (file_line(path, line, sizeof(line), &ignored) < 0)
		return false;
	open = strchr(line, '(');
	close = strrchr(line, ')');
	if (!open || !close || close < open)
		return false;
	ppid = word_nth(close + 1, STAT_PPID);
	tick = word_nth(close + 1, STAT_STARTTIME);
	if (!ppid || !tick)
		return false;
	*ret_ppid = (uint32_t)strtoul(ppid, NULL, 10);
	*ret_tick = strtoull(tick, NULL, 10);
	*close = '\0';
	memset(comm, 0, 16);
	str_copy(comm, 16, open + 1);
	return true;
}

/* The program that /proc shows now; NULL: gone, or not permitted. */
static struct image *image_read(uint32_t pid)
{
	char path[64], exe[PATH_MAX];
	auto_free char *args = NULL;
	struct err ignored;
	size_t args_len = 0;
	ssize_t exe_len;

	str_format(path, sizeof(path), "/proc/%u/exe", pid);
	exe_len = readlink(path, exe, sizeof(exe));
	str_format(path, sizeof(path), "/proc/%u/cmdline", pid);
	if (file_read(path, &args, &args_len, &ignored) < 0)
		return NULL;
	args_len = min(args_len, (size_t)ARGS_MAX);
	return image_new(exe, exe_len > 0 ? (size_t)exe_len : 0, args,
			 args_len ? args_len - 1 : 0); /* without the last NUL */
}

/* A process as /proc has it, if it is the one that started then (0: whichever it is). */
static struct process *process_read(struct processes *all, uint32_t pid, uint64_t start_tick)
{
	char comm[16], again[16];
	uint32_t ppid;
	uint64_t tick;
	struct process *p;
	struct image *image;

	if (!stat_read(pid, comm, &ppid, &tick) || (start_tick && tick != start_tick))
		return NULL;
	image = image_read(pid);
	/* still the same process? */
	if (!image || !stat_read(pid, again, &ppid, &start_tick) || start_tick != tick) {
		image_drop(image);
		return NULL;
	}
	p = process_add(all, pid, tick, ppid, comm);
	process_runs(p, 0, image);
	return p;
}

static int prime_one(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	(void)dir_fd, (void)type, (void)e;
	if (name[0] >= '1' && name[0] <= '9')
		process_read(ctx, (uint32_t)strtoul(name, NULL, 10), 0);
	return 0;
}

int processes_prime(struct processes *p, struct err *e)
{
	return dir_each("/proc", prime_one, p, e);
}

void processes_fork(struct processes *all, uint32_t pid, uint64_t start_ns, uint32_t ppid,
		    const char comm[static 16])
{
	struct process *parent = lru_get(all->by_pid, ppid);
	const struct period *period = parent ? process_period(parent, start_ns) : NULL;
	struct image *image = period ? image_use(period->image) : NULL;
	struct process *p = process_add(all, pid, start_ns / TICK_NS, ppid, comm);

	if (image)
		process_runs(p, start_ns, image);
}

void processes_exec(struct processes *all, uint32_t pid, uint64_t start_ns, uint32_t ppid,
		    const char comm[static 16], uint64_t at_ns, const char *exe, size_t exe_len,
		    const char *args, size_t args_len)
{
	struct process *p = process_find(all, pid, start_ns / TICK_NS);

	if (!p)
		p = process_add(all, pid, start_ns / TICK_NS, ppid, comm);
	memcpy(p->comm, comm, sizeof(p->comm));
	p->comm[15] = '\0';
	all->changes++;
	process_runs(p, at_ns, image_new(exe, exe_len, args, args_len));
}

const struct image *processes_image(struct processes *all, uint32_t pid, uint64_t start_ns,
				    uint64_t at_ns)
{
	struct process *p = process_find(all, pid, start_ns / TICK_NS);
	const struct period *period;

	if (!p)
		p = process_read(all, pid, start_ns / TICK_NS);
	period = p ? process_period(p, at_ns) : NULL;
	return period ? period->image : NULL;
}

static void chain_tell(struct processes *all, uint32_t ppid, struct strbuf *out)
{
	for (unsigned i = 0; ppid && i < PARENTS_MAX; i++) {
		struct process *p = lru_get(all->by_pid, ppid);

		if (!p)
			p = process_read(all, ppid, 0);
		if (!p)
			return;
		strbuf_puts(out, i ? " < " : "");
		strbuf_puts(out, p->comm);
		strbuf_putc(out, '(');
		strbuf_u64(out, ppid);
		strbuf_putc(out, ')');
		ppid = p->ppid;
	}
}

const struct strbuf *processes_parents(struct processes *all, uint32_t ppid)
{
	struct chain *c = &all->chains[ppid % CHAINS];

	if (c->pid == ppid && c->changes == all->changes)
		return &c->text;
	strbuf_reset(&c->text);
	chain_tell(all, ppid, &c->text);
	c->pid = ppid;
	c->changes = all->changes; /* the telling may have read some from /proc */
	return &c->text;
}
