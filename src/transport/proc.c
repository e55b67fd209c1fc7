/* SPDX-License-Identifier: BSD-2-Clause */
/* Processes and open files out of /proc. */
#include "transport/proc.h"

#include "base/err.h"
#include "base/fdinfo.h"
#include "base/file.h"
#include "base/str.h"
#include "transport/proc_row.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PF_KTHREAD 0x00200000

static const struct proc_source *const sources[] = { &proc_processes, &proc_handles, &proc_sockets,
						     &proc_bpf };

const struct proc_source *proc_source_find(const char *probe)
{
	for (size_t i = 0; i < ARRAY_LEN(sources); i++)
		if (str_eq(sources[i]->probe, probe))
			return sources[i];
	return NULL;
}

bool proc_is_forced(void)
{
	return str_eq(getenv("SONDA_SNAPSHOT") ?: "", "proc");
}

/* A reading under way. */
struct reading {
	struct proc_walk walk;
	struct proc_row row;
	const struct schema *schema;
	proc_fn *fn;
	void *ctx;
};

static int row_hand_out(struct reading *r)
{
	return r->fn(r->row.bytes.s, (uint32_t)r->row.bytes.len, r->ctx);
}

static int reading_run(struct reading *r, struct err *e)
{
	int code;

	r->walk.ctx = r;
	code = proc_walk(&r->walk, e);
	proc_row_done(&r->row);
	return code;
}

/* ---- processes ---- */

static int count_one(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	uint32_t *count = ctx;
	char link[16];
	ssize_t n = readlinkat(dir_fd, name, link, sizeof(link));

	(void)type, (void)e;
	count[0]++;
	count[1] += n > 8 && !memcmp(link, "socket:[", 8);
	return 0;
}

/* The letters of /proc/PID/stat, in the order of the probe's enum. */
static uint64_t state_number(char letter)
{
	static const char letters[] = "RSDTtXZPI";
	const char *at = strchr(letters, letter);

	return at ? (uint64_t)(at - letters) : 0;
}

static int64_t oom_adj(pid_t pid)
{
	char path[64];
	int64_t adj = 0;
	struct err gone;

	str_format(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	return file_s64(path, &adj, &gone) < 0 ? 0 : adj;
}

static int on_process(struct proc_walk *w, const struct proc_process *p, int dir_fd, const char *fd,
		      struct err *e)
{
	struct reading *r = w->ctx;
	struct proc_row *row = &r->row;
	uint32_t fds[2] = { 0 };
	struct err gone;
	char path[64];

	(void)dir_fd, (void)fd, (void)e;
	str_format(path, sizeof(path), "/proc/%d/fd", (int)p->pid);
	(void)!dir_each(path, count_one, fds, &gone);
	proc_row_begin(row, r->schema);
	proc_row_u64(row, "pid", (uint64_t)p->pid);
	proc_row_u64(row, "ppid", (uint64_t)p->ppid);
	proc_row_u64(row, "uid", p->uid);
	proc_row_u64(row, "state", state_number(p->state));
	proc_row_u64(row, "threads", p->threads);
	proc_row_u64(row, "fds", fds[0]);
	proc_row_u64(row, "sockets", fds[1]);
	proc_row_u64(row, "nice", (uint64_t)(int64_t)p->nice);
	proc_row_u64(row, "rss_bytes", p->anon_bytes + p->file_bytes + p->shmem_bytes);
	proc_row_u64(row, "anon_bytes", p->anon_bytes);
	proc_row_u64(row, "file_bytes", p->file_bytes);
	proc_row_u64(row, "shmem_bytes", p->shmem_bytes);
	proc_row_u64(row, "swap_bytes", p->swap_bytes);
	proc_row_u64(row, "virtual_bytes", p->virtual_bytes);
	proc_row_u64(row, "cpu_ns", p->cpu_ns);
	proc_row_u64(row, "oom_adj", (uint64_t)oom_adj(p->pid));
	proc_row_u64(row, "kernel", (p->flags & PF_KTHREAD) != 0);
	proc_row_u64(row, "start_ns", p->start_ns);
	proc_row_text(row, "comm", p->comm);
	return row_hand_out(r);
}

static int processes_read(const struct schema *schema, proc_fn *fn, void *ctx, struct err *e)
{
	struct reading r = { .walk.fn = on_process, .schema = schema, .fn = fn, .ctx = ctx };

	return reading_run(&r, e);
}

const struct proc_source proc_processes = {
	.probe = "process.list",
	.without = "cgroups, descriptors that only root may see, and CPU time only to the tick",
	.read = processes_read,
};

/* ---- open files ---- */

static void handle_info(struct proc_row *row, pid_t pid, const char *fd)
{
	auto_free char *info = NULL;
	char path[80];
	struct err gone;

	str_format(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)pid, fd);
	if (file_read(path, &info, NULL, &gone) < 0)
		return;
	proc_row_u64(row, "offset_bytes", fdinfo_number(info, "pos:", 10));
	/* the kernel doesn't keep O_CLOEXEC with the file */
	proc_row_u64(row, "flags", fdinfo_number(info, "flags:", 8) & ~(uint64_t)O_CLOEXEC);
}

static void handle_file(struct proc_row *row, const struct stat *st)
{
	bool regular = S_ISREG(st->st_mode);

	proc_row_u64(row, "type", (st->st_mode & S_IFMT) >> 12);
	/* as the kernel has it inside */
	proc_row_u64(row, "device",
		     (uint64_t)major(st->st_dev) << 20 | (uint64_t)minor(st->st_dev));
	proc_row_u64(row, "inode", st->st_ino);
	if (!regular)
		return;
	proc_row_u64(row, "size_bytes", (uint64_t)st->st_size);
	proc_row_u64(row, "disk_bytes", (uint64_t)st->st_blocks * 512);
	proc_row_u64(row, "deleted", st->st_nlink == 0);
}

static int on_handle(struct proc_walk *w, const struct proc_process *p, int dir_fd, const char *fd,
		     struct err *e)
{
	struct reading *r = w->ctx;
	struct proc_row *row = &r->row;
	char path[4096];
	ssize_t len = readlinkat(dir_fd, fd, path, sizeof(path) - 1);
	struct stat st;

	(void)e;
	if (len < 0 || fstatat(dir_fd, fd, &st, 0))
		return 0;
	path[len] = '\0';
	proc_row_begin(row, r->schema);
	proc_row_u64(row, "pid", (uint64_t)p->pid);
	proc_row_u64(row, "fd", strtoull(fd, NULL, 10));
	proc_row_u64(row, "uid", p->uid);
	proc_row_u64(row, "start_ns", p->start_ns);
	proc_row_text(row, "comm", p->comm);
	handle_info(row, p->pid, fd);
	handle_file(row, &st);
	proc_row_text(row, "path", path);
	return row_hand_out(r);
}

static int handles_read(const struct schema *schema, proc_fn *fn, void *ctx, struct err *e)
{
	struct reading r = { .walk = { .fn = on_handle, .descriptors = true },
			     .schema = schema,
			     .fn = fn,
			     .ctx = ctx };

	return reading_run(&r, e);
}

const struct proc_source proc_handles = {
	.probe = "fs.handle",
	.without = "cgroups, and descriptors that only root may see",
	.read = handles_read,
};
