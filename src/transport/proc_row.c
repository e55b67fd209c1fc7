/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows made by hand, and the walk over /proc. */
#include "transport/proc_row.h"

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND_NS 1000000000ULL

void proc_row_begin(struct proc_row *r, const struct schema *schema)
{
	r->schema = schema;
	strbuf_reset(&r->bytes);
	strbuf_pad(&r->bytes, '\0', schema->size);
}

void proc_row_done(struct proc_row *r)
{
	strbuf_done(&r->bytes);
}

void proc_row_bytes(struct proc_row *r, const char *field, const void *bytes, size_t size)
{
	const struct field *f = schema_field(r->schema, field);

	if (f && f->type != FIELD_DERIVED)
		memcpy(r->bytes.s + f->offset, bytes, min(size, (size_t)f->size));
}

/* The low bytes come first on every machine that sonda runs on but s390x. */
void proc_row_u64(struct proc_row *r, const char *field, uint64_t value)
{
	const struct field *f = schema_field(r->schema, field);
	size_t size = f ? f->size : 0;

	if (!size || size > sizeof(value))
		return;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	value <<= 8 * (sizeof(value) - size);
#endif
	proc_row_bytes(r, field, &value, size);
}

void proc_row_text(struct proc_row *r, const char *field, const char *text)
{
	const struct field *f = schema_field(r->schema, field);
	struct text at;

	if (!f)
		return;
	if (f->type != FIELD_TEXT) {
		proc_row_bytes(r, field, text, strlen(text));
		return;
	}
	at = (struct text){ .at = (uint32_t)r->bytes.len, .size = (uint32_t)strlen(text) };
	strbuf_append(&r->bytes, text, at.size + 1);
	proc_row_bytes(r, field, &at, sizeof(at));
}

static uint64_t status_number(const char *status, const char *key)
{
	const char *at = strstr(status, key);

	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static void status_read(const char *status, struct proc_process *p)
{
	p->uid = (uint32_t)status_number(status, "\nUid:\t");
	p->anon_bytes = status_number(status, "\nRssAnon:\t") * 1024;
	p->file_bytes = status_number(status, "\nRssFile:\t") * 1024;
	p->shmem_bytes = status_number(status, "\nRssShmem:\t") * 1024;
	p->swap_bytes = status_number(status, "\nVmSwap:\t") * 1024;
	p->virtual_bytes = status_number(status, "\nVmSize:\t") * 1024;
}

static bool stat_read(char *stat, struct proc_process *p)
{
	uint64_t ticks_ns = SECOND_NS / (uint64_t)sysconf(_SC_CLK_TCK);
	char *name = strchr(stat, '('), *end = strrchr(stat, ')');
	unsigned long long user, system, start, flags;
	int ppid;

	if (!name || !end ||
	    sscanf(end + 1,
		   " %c %d %*d %*d %*d %*d %llu %*u %*u %*u %*u %llu %llu %*d %*d %*d %d "
		   "%u %*d %llu",
		   &p->state, &ppid, &flags, &user, &system, &p->nice, &p->threads, &start) != 8)
		return false;
	*end = '\0';
	str_copy(p->comm, sizeof(p->comm), name + 1);
	p->ppid = ppid;
	p->flags = flags;
	p->cpu_ns = (user + system) * ticks_ns;
	p->start_ns = start * ticks_ns;
	return true;
}

bool proc_process_read(const char *pid, struct proc_process *ret)
{
	struct proc_process p = { .pid = (pid_t)strtol(pid, NULL, 10) };
	auto_free char *stat = NULL, *status = NULL;
	char path[64];
	struct err gone;

	str_format(path, sizeof(path), "/proc/%s/stat", pid);
	if (file_read(path, &stat, NULL, &gone) < 0 || !stat_read(stat, &p))
		return false;
	str_format(path, sizeof(path), "/proc/%s/status", pid);
	if (file_read(path, &status, NULL, &gone) < 0)
		return false;
	status_read(status, &p);
	*ret = p;
	return true;
}

static int on_descriptor(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	struct proc_walk *w = ctx;

	(void)type;
	return w->fn(w, &w->process, dir_fd, name, e);
}

static int on_process(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	struct proc_walk *w = ctx;
	struct err gone = { 0 };
	char path[64];
	int code;

	(void)type;
	if (!isdigit((unsigned char)*name) || !proc_process_read(name, &w->process) ||
	    w->process.pid == getpid())
		return 0;
	if (!w->descriptors)
		return w->fn(w, &w->process, dir_fd, NULL, e);
	str_format(path, sizeof(path), "/proc/%s/fd", name);
	code = dir_each(path, on_descriptor, w, &gone);
	return code > 0 ? code : 0; /* it ended meanwhile, or is not ours to look into */
}

int proc_walk(struct proc_walk *w, struct err *e)
{
	return dir_each("/proc", on_process, w, e);
}
