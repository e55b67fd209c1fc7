/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * System calls, seen three ways:
 *
 *	SEC("tp/syscalls/sys_enter_openat")	struct syscall_trace_enter *ctx
 *	SEC("tp/raw_syscalls/sys_enter")	struct trace_event_raw_sys_enter *ctx
 *	SEC("tp_btf/sys_enter")			(struct pt_regs *regs, long nr); see syscall_arg()
 *
 * and _exit alike. The first two contexts are not the same: the kernel puts `nr` as an int right
 * behind the trace entry in the first, as a long in the second. Where the entry is longer than
 * upstream's 8 bytes (RHEL), only the right one of the two has the right offsets in the kernel's BTF.
 * The first does not see 32-bit calls on a 64-bit kernel; the other two do.
 */
#pragma once

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct syscall_trace_enter {
	int nr;
	unsigned long args[6];
};
struct syscall_trace_exit {
	int nr;
	long ret;
};
struct trace_event_raw_sys_enter {
	long id;
	unsigned long args[6];
};
struct trace_event_raw_sys_exit {
	long id;
	long ret;
};

#pragma clang attribute pop
