/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Interrupts: only the fields used, and the kernel's names of the soft ones. */
#pragma once

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct irqaction {
	const char *name;
};

#pragma clang attribute pop

#define SOFTIRQS 10

/* as /proc/softirqs has them */
static const volatile char softirq_names[SOFTIRQS][16] = {
	"HI",	    "TIMER",   "NET_TX", "NET_RX",  "BLOCK",
	"IRQ_POLL", "TASKLET", "SCHED",	 "HRTIMER", "RCU",
};
