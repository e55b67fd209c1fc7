/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the kernel knows the files by that sonda itself has open, which stat(2) doesn't tell of every
 * file system: inode number, device of the super block, version of the inode.
 */
#include "sonda.bpf.h"

#include "file_id.h"
#include "kernel/iter.h"

PROBE(identity, "guard", "Identities of files that sonda has open", INTERNAL);

ROW(file_identity, "A descriptor and the file behind it")
{
	u32 fd;
	u32 device;
	u64 inode;
	u32 version;
	u32 pad;
};

SEC("iter/task_file")
ROWS(file_identity)
int identify(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file_identity row = {};
	struct file *file = ctx->file;
	struct file_id id = {};

	if (!task || !file || BPF_CORE_READ(task, tgid) != bpf_get_current_pid_tgid() >> 32)
		return 0;
	id_read(&id, BPF_CORE_READ(file, f_inode));
	row.fd = ctx->fd;
	row.device = id.device;
	row.inode = id.inode;
	row.version = id.version;
	row_write(ctx->meta->seq, &row);
	return 0;
}
