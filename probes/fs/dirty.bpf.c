/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Who makes pages of files dirty, and so causes the writes that a kernel thread does later. A page is
 * charged when it goes from clean to dirty, to the process that changed it, as the kernel itself
 * charges it (write_bytes in /proc/PID/io). Writing a page twice before it is written back counts
 * once; O_DIRECT makes no page dirty.
 */
#include "sonda.bpf.h"

#include "sonda/dirtied.h"
#include "sonda/file_name.h"

PROBE(dirty, "fs", "Pages of files made dirty, by the process that wrote: who causes write-back");
FILTERS("task");

struct dirty_labels {
	char comm[16] KIND("comm") DOC("command name of the thread");
	char path[FILE_NAME_MAX] KIND("path")
		DOC("file; [device]: what the file system itself keeps on it; empty: deleted");
	u64 inode KIND("inode") HIDE DOC("inode of the file");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
	u32 pid KIND("pid") HIDE DOC("process");
	u32 uid KIND("uid") HIDE DOC("user the thread runs as");
	u32 device KIND("device") HIDE DOC("device of the file system");
	u32 pad;
};
struct dirty_values {
	u64 dirtied_bytes COUNTER UNIT("bytes") DOC("pages that were clean before");
	u64 times COUNTER DOC("times that a page, or several as one, became dirty");
};
METRICS(dirtied, struct dirty_labels, struct dirty_values, 8192, "Pages made dirty");

static __noinline int count_dirtied(struct inode *inode, u64 bytes, struct file_name *name)
{
	struct dirty_labels key = {};
	struct dirty_values *row;

	if (!inode)
		return 0;
	if (label(dirtied, 0))
		comm_now(key.comm);
	if (label(dirtied, 1))
		inode_name_label(key.path, inode, name);
	if (label(dirtied, 2))
		key.inode = BPF_CORE_READ(inode, i_ino);
	if (label(dirtied, 3))
		key.cgroup = task_cgroup_id(current_task());
	if (label(dirtied, 4))
		key.pid = bpf_get_current_pid_tgid() >> 32;
	if (label(dirtied, 5))
		key.uid = task_uid(current_task());
	if (label(dirtied, 6))
		key.device = inode_device(inode);
	row = row_of(dirtied, &key);
	if (!row)
		return 0;
	add(row->dirtied_bytes, bytes);
	add(row->times, 1);
	return 0;
}

static __noinline int page_dirtied(struct inode *inode, u64 bytes)
{
	struct file_name *name = NULL;

	if (!inode || !wanted())
		return 0;
	if (label(dirtied, 1))
		name = inode_named(inode);
	return count_dirtied(inode, bytes, name);
}

DIRTIED()
