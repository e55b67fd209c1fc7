/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* What the guard of the kernel's surface and the user side share, beyond abi/policy_subject.h. */
#pragma once

#include <linux/types.h>

#include "abi/policy_subject.h"

#define KERNEL_OPERATIONS 11 /* enum policy_kernel_operation: bits 0 to 10 */

/* "kernel_rules": an array of two, generation by generation. */
struct kernel_rules {
	struct rule_set by_operation[KERNEL_OPERATIONS];
	struct subject_rules subjects;
	__u32 operations; /* that there are rules about */
	__u32 pad;
};
