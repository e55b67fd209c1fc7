/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * One small program that counts its runs, made by hand and tried out: what the rows of features.c are
 * made of. Inside src/bpf only.
 */
#include <stdbool.h>
#include <stdint.h>

#include <linux/bpf.h>

#include "base/attr.h"
#include "bpf/features.h"

struct trial {
	struct feature *feature;
	int map;                  /* its counter */
	volatile uint64_t *count; /* the same, in our memory */
	int program, link;        /* -1: none */
};

/* Loads a program that counts and returns `verdict`. `function`: whose BTF id it is for, or NULL.
 * False: it failed, and the feature says so. */
MUST_USE bool trial_load(struct trial *t, enum bpf_prog_type type, enum bpf_attach_type attach,
			 const char *function, int verdict, uint32_t flags);
/* The same from instructions of one's own. */
MUST_USE bool trial_load_insns(struct trial *t, enum bpf_prog_type type,
			       const struct bpf_insn *insns, size_t count);
/* bpf_link_create() on a target; false as above. */
MUST_USE bool trial_link(struct trial *t, int target, enum bpf_attach_type attach);
/* Attaches to an open perf event, which is taken over. */
MUST_USE bool trial_perf(struct trial *t, int event);
/* The call that failed left errno; `stage` is where. Always false. */
bool trial_failed(struct trial *t, enum feature_stage stage);
/* Calls `action` until the program has run, a few times at most. */
void trial_fire(struct trial *t, void (*action)(void));

/* The trials, by the file they are in. */
typedef void trial_fn(struct trial *t);
trial_fn try_tracepoint, try_raw_tp, try_tp_btf, try_kprobe, try_kretprobe, try_kprobe_multi;
trial_fn try_fentry, try_fexit, try_fmod_ret, try_lsm, try_lsm_sleepable, try_iter;
trial_fn try_perf_event, try_perf_hardware, try_uprobe, try_uretprobe, try_uprobe_multi;
trial_fn try_xdp_generic, try_xdp_native, try_tcx, try_clsact, try_netfilter, try_cgroup_skb;
trial_fn try_cgroup_connect, try_sockops, try_sk_lookup, try_struct_ops;
trial_fn try_ringbuf, try_task_storage, try_cgroup_storage, try_loop, try_user_ringbuf, try_stats;
trial_fn try_override_return, try_write_user, try_send_signal;
