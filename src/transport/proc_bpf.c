/* SPDX-License-Identifier: BSD-2-Clause */
/* BPF objects as rows of kernel.bpf. */
#include "transport/proc.h"

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "bpf/listing.h"
#include "transport/proc_row.h"

struct reading {
	struct proc_row row;
	const struct schema *schema;
	proc_fn *fn;
	void *ctx;
};

static void row_holder(struct proc_row *row, pid_t pid)
{
	char path[64], comm[32];
	struct err gone;

	if (!pid)
		return;
	proc_row_u64(row, "pid", (uint64_t)pid);
	str_format(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (!file_line(path, comm, sizeof(comm), &gone))
		proc_row_text(row, "comm", comm);
}

static int on_listed(const struct listed *l, void *ctx)
{
	struct reading *r = ctx;
	struct proc_row *row = &r->row;

	proc_row_begin(row, r->schema);
	proc_row_u64(row, "what", l->what);
	proc_row_u64(row, "id", l->id);
	proc_row_text(row, "type", l->type);
	proc_row_text(row, "name", l->name);
	proc_row_u64(row, "memory_bytes", l->memory_bytes);
	proc_row_u64(row, "max_entries", l->max_entries);
	proc_row_u64(row, "program", l->program);
	proc_row_u64(row, "loaded_ns", l->loaded_at_ns);
	proc_row_u64(row, "uid", l->uid);
	row_holder(row, l->pid);
	proc_row_u64(row, "holders", l->holders);
	return r->fn(row->bytes.s, (uint32_t)row->bytes.len, r->ctx);
}

static int bpf_read(const struct schema *schema, proc_fn *fn, void *ctx, struct err *e)
{
	struct reading r = { .schema = schema, .fn = fn, .ctx = ctx };
	int code = listing_read(on_listed, &r, e);

	proc_row_done(&r.row);
	return code;
}

const struct proc_source proc_bpf = { .probe = "kernel.bpf", .always = true, .read = bpf_read };
