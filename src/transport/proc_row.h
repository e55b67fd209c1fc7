/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* A row of a schema made by hand, field by field. Inside src/transport only. One thread. */
#include <sys/types.h>

#include "base/strbuf.h"
#include "schema/schema.h"

struct err;

struct proc_row {
	const struct schema *schema;
	struct strbuf bytes; /* the struct, then the texts */
};

/* Begins a row: all zero. */
void proc_row_begin(struct proc_row *r, const struct schema *schema);
void proc_row_done(struct proc_row *r);
/* What the schema doesn't have is left out. Numbers are cut to the field's size; texts too. */
void proc_row_u64(struct proc_row *r, const char *field, uint64_t value);
void proc_row_bytes(struct proc_row *r, const char *field, const void *bytes, size_t size);
void proc_row_text(struct proc_row *r, const char *field, const char *text);

/* ---- what of a process all rows need ---- */

struct proc_process {
	pid_t pid, ppid;
	uint32_t uid, threads;
	char comm[16];
	char state; /* as in /proc/PID/stat */
	int nice;
	uint64_t flags, cpu_ns, start_ns, virtual_bytes;
	/* of /proc/PID/status */
	uint64_t anon_bytes, file_bytes, shmem_bytes, swap_bytes;
};
/* False: it is gone. */
MUST_USE bool proc_process_read(const char *pid, struct proc_process *ret);

/* Calls `fn` for each process and, with `descriptors`, for each of its descriptors instead. */
struct proc_walk {
	void *ctx;
	/* `fd`: its number, or NULL; `dir_fd`: of /proc/PID/fd. */
	int (*fn)(struct proc_walk *w, const struct proc_process *p, int dir_fd, const char *fd,
		  struct err *e);
	bool descriptors;
	struct proc_process process; /* now */
};
MUST_USE int proc_walk(struct proc_walk *w, struct err *e);
