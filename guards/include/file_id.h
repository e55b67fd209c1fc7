/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* What files, their places and the tasks that use them are known by, and the types of it. */
#pragma once

#include "abi/policy_file.h"

#include "kernel/pagecache.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct inode___version {
	u32 i_generation;
	u32 i_nlink;
};
struct vm_area_struct {
	struct file *vm_file;
};
struct iattr {
	unsigned int ia_valid;
};
struct signal_struct___tty {
	struct tty_struct *tty;
};
struct task_struct___subject {
	struct signal_struct___tty *signal;
	unsigned int personality;
	unsigned int in_execve : 1;
};

#pragma clang attribute pop

#define PF_IO_WORKER      0x00000010 /* works on what another task asked for, with its credentials */
#define PF_KTHREAD        0x00200000
#define READ_IMPLIES_EXEC 0x0400000

/* Of an inode that the hook was given, or reached from there: plain loads. */
#define ID_OF(of)                                                                  \
	((struct file_id){                                                         \
		.inode = (of)->i_ino,                                           \
		.device = (of)->i_sb->s_dev,                                    \
		.version = ((struct inode___version *)(of))->i_generation,      \
	})

static __always_inline struct inode *file_inode(struct file *file)
{
	return DIRECT ? direct(struct file, file)->f_inode : BPF_CORE_READ(file, f_inode);
}

static __always_inline struct inode *dentry_inode(struct dentry *dentry)
{
	return DIRECT ? direct(struct dentry, dentry)->d_inode : BPF_CORE_READ(dentry, d_inode);
}

/* The program that a task runs; NULL: a kernel thread's. */
static __always_inline struct file *task_program(struct task_struct *task)
{
	return DIRECT ? direct(struct task_struct, task)->mm->exe_file
		      : BPF_CORE_READ(task, mm, exe_file);
}

/* Of any other. */
static __always_inline void id_read(struct file_id *id, struct inode *inode)
{
	if (DIRECT) {
		inode = direct(struct inode, inode);
		*id = ID_OF(inode);
		return;
	}
	id->inode = BPF_CORE_READ(inode, i_ino);
	id->device = BPF_CORE_READ(inode, i_sb, s_dev);
	id->version = BPF_CORE_READ((struct inode___version *)inode, i_generation);
}
