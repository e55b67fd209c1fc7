/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* fs.handle: what files processes have open, those too whose name is gone. */
#define EVENT_MAX 4608 /* a whole path and the struct */
#include "sonda.bpf.h"

#include "sonda/iter.h"
#include "sonda/path.h"

PROBE(handle, "fs", "Files that processes have open");
FILTERS("task");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct inode___blocks {
	u64 i_blocks;
};
#pragma clang attribute pop

ROW(handle, "A descriptor")
{
	u32 pid KIND("pid") KEY DOC("process (thread-group id)");
	u32 fd KEY DOC("its descriptor");
	u32 uid KIND("uid") HIDE DOC("user it runs as");
	u32 flags KIND("open_flags") DOC("how it is open");
	enum file_type type DOC("type of the file");
	u32 device KIND("device") HIDE DOC("device of its file system");
	u64 inode KIND("inode") HIDE DOC("its inode");
	u64 offset_bytes KIND("bytes") DOC("where the next read or write begins");
	u64 size_bytes KIND("bytes") DOC("its length");
	u64 disk_bytes KIND("bytes")
		HIDE DOC("what it takes on the device, without what is not written yet");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
	u64 start_ns KIND("boottime") HIDE DOC("when the process began");
	bool deleted DOC("it has no name any more: its space is free when the last descriptor is closed");
	u8 pad[7] HIDE;
	char comm[16] KIND("comm") DOC("command name of the process");
	struct text path KIND("path") DOC("its path, up to the root of the mount namespace");
};

static __noinline int file_fill(struct handle *e, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	if (!e)
		return 0;
	e->flags = BPF_CORE_READ(file, f_flags);
	e->offset_bytes = BPF_CORE_READ(file, f_pos);
	e->type = inode_type(inode);
	e->device = BPF_CORE_READ(inode, i_sb, s_dev);
	e->inode = BPF_CORE_READ(inode, i_ino);
	if (e->type != FILE_TYPE_REGULAR)
		return 0;
	e->size_bytes = BPF_CORE_READ(inode, i_size);
	e->disk_bytes = BPF_CORE_READ((struct inode___blocks *)inode, i_blocks) * 512;
	e->deleted = !BPF_CORE_READ(inode, i_nlink);
	return 0;
}

SEC("iter/task_file")
ROWS(handle)
int handles(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = (void *)iter_address(ctx, file);
	struct handle *e;

	if (!task || !file || !wanted_task(task))
		return 0;
	e = event_new(handle);
	if (!e)
		return 0;
	e->pid = BPF_CORE_READ(task, tgid);
	e->fd = ctx->fd;
	e->uid = task_uid(task);
	e->cgroup = task_cgroup_id(task);
	e->start_ns = task_start_ns(task);
	BPF_CORE_READ_STR_INTO(&e->comm, task, comm);
	file_fill(e, file);
	text_path(e, path, &file->f_path);
	row_send(ctx->meta->seq, e);
	return 0;
}
