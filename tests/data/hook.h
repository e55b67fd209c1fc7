/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the probes of tests/live/hooks.t share: one event that carries a number. A probe is one kind of
 * hook; `at` is its place among several of one probe.
 */
#pragma once

#include "sonda.bpf.h"

#define HOOK(name, doc)                                                        \
	PROBE(name, "hook", doc);                                              \
	FILTERS("task");                                                       \
	EVENT(ran, "The hook ran")                                             \
	{                                                                      \
		u32 pid KIND("pid") DOC("process, 0 where the hook has none"); \
		u32 at DOC("which of the hooks");                              \
		s64 value DOC("what it was given");                            \
	};                                                                     \
	static __noinline int tell_of(void *ctx, u32 pid, u32 at, s64 value)   \
	{                                                                      \
		struct ran *e = event_new(ran);                                \
                                                                               \
		if (!e)                                                        \
			return 0;                                              \
		e->pid = pid;                                                  \
		e->at = at;                                                    \
		e->value = value;                                              \
		event_send(ctx, e);                                            \
		return 0;                                                      \
	}

/* In hooks that run for a process. */
#define tell(ctx, at, value) \
	(wanted() ? tell_of(ctx, bpf_get_current_pid_tgid() >> 32, at, value) : 0)

/* Where packets have to be recognised: the workload's own protocol and port. */
#define TEST_PROTOCOL 0x88b5 /* set aside for local experiments */

struct syscall_args {
	u64 common;
	s64 number;
	u64 arg[6];
};
