/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Reads, writes and syncs of files: how many, how many bytes came or went (not how many were asked
 * for), how long they took. By process and by file, whatever the call: read(2) and its kin, sendfile
 * and splice, io_uring, libaio. Pipes, sockets and terminals are left out.
 */
#include "sonda.bpf.h"

#define FILE_CALL_PATHS 0
#define FILE_IO_OFFSETS 0
#define FILE_IO_LOOKS_FIRST 1
#include "sonda/file_calls.h"

#define FILE_IO_OPS \
	(FILE_OP_BIT(READ) | FILE_OP_BIT(WRITE) | FILE_OP_BIT(SYNC) | FILE_OP_BIT(TRANSFER))
#include "sonda/file_io.h"
#include "sonda/file_name.h"

#include <asm/fcntl.h>

PROBE(rw, "fs", "Reads, writes and syncs of files, with bytes and latency");
FILTERS("task errors min");

enum rw_way { RW_WAY_BUFFERED, RW_WAY_DIRECT };

struct rw_labels {
	char comm[16] KIND("comm") DOC("command name of the thread");
	enum file_op op DOC("read, write, sync, or fault: a page read in through a mapping");
	s32 err KIND("errno") HIDE DOC("why it failed");
	u64 inode KIND("inode") HIDE DOC("inode of the file");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
	u32 pid KIND("pid") HIDE DOC("process");
	u32 uid KIND("uid") HIDE DOC("user the thread runs as");
	u32 device KIND("device") HIDE DOC("device of the file system");
	enum rw_way way HIDE DOC("buffered, or direct: past the page cache");
	char fs[16] HIDE DOC("type of the file system");
	char path[FILE_NAME_MAX] KIND("path") DOC("file; if long, its end");
};
struct rw_values {
	u64 bytes COUNTER UNIT("bytes") DOC("bytes that were really read or written");
	u64 calls COUNTER DOC("operations");
	u64 errors COUNTER DOC("operations that failed");
	HIST_LOG2(took_ns, 36, UNIT("ns") DOC("time an operation takes"));
};
METRICS(files, struct rw_labels, struct rw_values, 8192, "Reads, writes and syncs of files");
RATIO(files, error_ratio, errors, calls, DOC("share of the operations that failed"));
FRONT(files, struct rw_labels, struct rw_values, 2048);
#define LABEL_PATH 10

static __always_inline void label_file(struct rw_labels *key, struct file *file,
				       struct inode *inode)
{
	if (!inode && (label(files, 3) || label(files, 7) || label(files, 9)))
		inode = BPF_CORE_READ(file, f_inode);
	if (label(files, 3))
		key->inode = BPF_CORE_READ(inode, i_ino);
	if (label(files, 7))
		key->device = BPF_CORE_READ(inode, i_sb, s_dev);
	if (label(files, 8) && file && BPF_CORE_READ(file, f_flags) & O_DIRECT)
		key->way = RW_WAY_DIRECT;
	if (label(files, 9))
		bpf_probe_read_kernel_str(key->fs, sizeof(key->fs),
					  BPF_CORE_READ(inode, i_sb, s_type, name));
}

static __always_inline void label_task(struct rw_labels *key)
{
	if (label(files, 4))
		key->cgroup = task_cgroup_id(current_task());
	if (label(files, 5))
		key->pid = bpf_get_current_pid_tgid() >> 32;
	if (label(files, 6))
		key->uid = task_uid(current_task());
}

/* The labels without the path, which takes the most room and is known by a number. */
struct rw_head {
	u64 words[__builtin_offsetof(struct rw_labels, path) / sizeof(u64)];
};

/* A number of the labels. */
#define LABELS_SELDOM (((1ull << LABEL_PATH) - 1) & ~(1ull << 0 | 1ull << 1 | 1ull << 2))
static __always_inline u64 rw_id(const struct rw_head *head, u64 name_id)
{
	const u32 often = __builtin_offsetof(struct rw_labels, inode);
	u64 id = labels_id(head, often, name_id);

	if (any_label(files, LABELS_SELDOM))
		id = labels_id((const void *)head + often, sizeof(*head) - often, id);
	return id;
}

/* A row that is not in front yet. The number is that of the path that is copied. */
static __noinline struct rw_values *row_begin(const struct rw_head *head,
					      const struct file_name *name)
{
	struct rw_labels key = {};
	u64 id;

	if (!head)
		return NULL;
	__builtin_memcpy(&key, head, sizeof(*head));
	file_name_label(key.path, name);
	id = rw_id(head, name ? labels_id(key.path, sizeof(key.path), 0) : 0);
	return front_row(files, id) ?: front_begin(files, id, &key);
}

static __always_inline void count_in(struct rw_values *row, const struct file_io *io)
{
	add(row->calls, 1);
	if (io->ret < 0)
		add(row->errors, 1);
	else if (io->op != FILE_OP_SYNC)
		add(row->bytes, io->ret);
	if (io->op != FILE_OP_FAULT)
		observe(row->took_ns, io->took_ns);
}

static __always_inline void label_io(struct rw_head *head, const struct file_io *io)
{
	struct rw_labels *key = (struct rw_labels *)head;

	if (label(files, 0))
		comm_now(key->comm);
	if (label(files, 1))
		key->op = io->op;
	if (label(files, 2))
		key->err = io->ret < 0 ? io->ret : 0;
	if (!any_label(files, LABELS_SELDOM))
		return;
	label_task(key);
	label_file(key, io->file, io->inode);
}

static __always_inline u64 io_name_id(const struct file_io *io)
{
	struct dentry *dentry;

	if (!DIRECT)
		return file_name_id(io->file, io->dentry, io->inode_nr);
	dentry = file_dentry_number(io->file);
	return file_name_id(io->file, dentry, dentry_inode_nr(dentry));
}

static __noinline int io_done(void *ctx, struct file_io *io)
{
	struct file_name *name = NULL;
	struct rw_head head = {};
	struct rw_values *row;
	u64 name_id = 0;

	if (!io || !wanted_id(io->who) || !notable(io->ret < 0 ? io->ret : 0, io->took_ns))
		return 0;
	label_io(&head, io);
	if (label(files, LABEL_PATH))
		name_id = io_name_id(io);
	row = front_row(files, rw_id(&head, name_id));
	if (!row) {
		if (label(files, LABEL_PATH))
			name = file_name_of(io->file);
		row = row_begin(&head, name);
	}
	if (row)
		count_in(row, io);
	return 0;
}

FILE_IO_PROGRAMS

/* A page that a process reads through a mapping and that was not mapped yet. */
OPTIONAL("files read through mappings")
NEED("tp filemap/mm_filemap_fault")
SEC("?tp_btf/mm_filemap_fault") int BPF_PROG(mapping_faults, struct address_space *mapping)
{
	struct file_io io = { .op = FILE_OP_FAULT };
	struct file_name *name = NULL;
	struct rw_head head = {};
	struct rw_values *row;

	if (!mapping || !wanted() || !notable(0, 0)) /* it has no error and no duration */
		return 0;
	io.inode = mapping->host;
	if (label(files, LABEL_PATH))
		name = inode_named(io.inode);
	label_io(&head, &io);
	row = row_begin(&head, name);
	if (row)
		count_in(row, &io);
	return 0;
}
