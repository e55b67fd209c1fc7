/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the kernel keeps account of for each thread, and in signal_struct for the threads of a process
 * that are gone. To be read by plain loads: of the task of a tp_btf or iterator program.
 */
#pragma once

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_io_accounting {
	u64 rchar; /* what read calls returned: of files, pipes, terminals ... */
	u64 wchar;
	u64 syscr; /* such calls */
	u64 syscw;
	u64 read_bytes;  /* made to be read from disks */
	u64 write_bytes; /* of pages made dirty, which are to be written to disks */
};
struct signal_struct___account {
	int nr_threads;
	u64 sum_sched_runtime;
	unsigned long min_flt;
	unsigned long maj_flt;
	/* and an `ioac`, but that has also what all children had that were waited for */
};
struct task_struct___account {
	struct {
		u64 sum_exec_runtime;
	} se;
	unsigned long min_flt;
	unsigned long maj_flt;
	struct task_io_accounting ioac;
	struct signal_struct___account *signal;
};

#pragma clang attribute pop

/* Only with CONFIG_TASK_IO_ACCOUNTING, which nearly everybody's kernel has (/proc/PID/io). */
#define has_io_accounts() bpf_core_field_exists(struct task_io_accounting, write_bytes)
/* Only with CONFIG_TASK_XACCT, likewise. */
#define has_call_accounts() bpf_core_field_exists(struct task_io_accounting, syscw)
