/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Kernel memory read by plain loads. From 6.2 on any address can be declared to be of a type; then a
 * member costs one instruction, where a call of bpf_probe_read_kernel() costs 20 to 40 ns. An address
 * that can't be read gives 0, as there.
 *
 *	if (DIRECT) {
 *		struct inode *inode = direct(struct inode, addr);
 *		ino = inode->i_ino;
 *	} else {
 *		ino = BPF_CORE_READ((struct inode *)addr, i_ino);
 *	}
 */
#pragma once

#include "abi/direct.h"

/* Known when the program is loaded: the branch not taken is removed. */
#define DIRECT direct_known()
static __always_inline bool direct_known(void)
{
	u64 known;

	/* volatile: shared by several tests it would take room on the stack */
	asm volatile("%0 = %1" : "=r"(known) : "i"(DIRECT_KNOWN));
	return known;
}

#define direct(T, addr) ((T *)rdonly_cast(addr, bpf_core_type_id_kernel(T)))
static __always_inline void *rdonly_cast(const void *addr, u32 btf_id)
{
	return ((void *(*)(const void *, u32))DIRECT_CAST)(addr, btf_id);
}

/* Any struct of the kernel that is one pointer. */
struct hlist_head {
	struct hlist_node *first;
} __attribute__((preserve_access_index));

/* The pointer that lies at `at`. */
static __always_inline void *kernel_pointer(void *at)
{
	void *there = NULL;

	if (DIRECT)
		return direct(struct hlist_head, at)->first;
	bpf_probe_read_kernel(&there, sizeof(there), at);
	return there;
}

/* Any struct of the kernel that begins with two numbers. */
struct timespec64 {
	u64 tv_sec;
	u64 tv_nsec;
} __attribute__((preserve_access_index));

/* The eight bytes at `at`; only where DIRECT. */
static __always_inline u64 kernel_word(const void *at)
{
	return direct(struct timespec64, at)->tv_sec;
}
