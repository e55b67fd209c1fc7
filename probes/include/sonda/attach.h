/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Where a probe's programs attach. A program with ALT belongs to a slot and a rank: those of one
 * slot and rank stand or fall together, and the lowest rank that loads and attaches is used.
 * A program without ALT is required; with OPTIONAL its absence is reported as missing coverage.
 * Write SEC("?...") so that loaders that know nothing of ranks skip what may not load.
 */
#pragma once

#define ALT(slot, rank) TAG("alt " #slot " " #rank)
#define OPTIONAL(what_is_missed) TAG("optional " what_is_missed)

/* On the programs of a slot: without them while the parameter is 0. */
#define IF_SET(param) TAG("if_set " #param)

/* Without them while no events are wanted, and none of these labels of the table either, members of its key
 * by number: IF_WANTED(waits, 4 5). In programs: events_wanted() || any_label(waits, 1 << 4 | 1 << 5). */
#define IF_WANTED(table, labels) TAG("if_wanted " #table " " #labels)

/* A cheap reason to skip an alternative; only load and attach are proof. One of:
 * "lsm NAME" "func NAME" "tp SYSTEM/NAME" "tpargs NAME COUNT" "field STRUCT.MEMBER" "type NAME"
 * "helper NAME" "kfunc NAME" "map TYPE" "config NAME" "cgroup2". A leading ! negates. */
#define NEED(what) TAG("need " what)

/* Functions to try in order, where the section names none: SEC("?fentry") TARGETS("a b") */
#define TARGETS(list) TAG("targets " list)

/* With TARGETS: attached to each of them, not to the first that is there; all or nothing. What it was
 * attached to is told by target_here(ctx), the place in the list from 0, and target_name(to, here). */
#define EACH TAG("each 1")

/* With TARGETS, on uprobes: attached to those of them that are there, at least one. "A,B:f" is the
 * function f of the files A and B. Which one it was is not told; it needs no cookies. */
#define ANY TAG("any 1")

/* For a probe with EACH: the names in the list, which the loader writes here. */
#define TARGET_NAMES const volatile char sonda_target_names[TARGETS_MAX][TARGET_NAME] = {}
#define target_name(to, here)                                                                      \
	bpf_probe_read_kernel(to, TARGET_NAME,                                                     \
			      (void *)sonda_target_names[(here) & (TARGETS_MAX - 1)])

/* Before 5.15 there are no cookies: then only one can be in the list. */
enum bpf_func_id___cookie { BPF_FUNC_get_attach_cookie___cookie = 174 };
static __always_inline u32 target_here(void *ctx)
{
	if (!bpf_core_enum_value_exists(enum bpf_func_id___cookie,
					BPF_FUNC_get_attach_cookie___cookie))
		return 0;
	return bpf_get_attach_cookie(ctx);
}

/* On SEC("tp/..."): further tracepoints with the same arguments, "syscalls/sys_exit_execveat ...", that
 * the same program is attached to: verified once. They stand or fall together. */
#define ALSO(list) TAG("also " list)

/* On an iterator program: the ROW it writes. */
#define ROWS(type) TAG("rows " #type)

/* On SEC("iter/bpf_map_elem"): the map whose elements it is given. */
#define OVER(map) TAG("over " #map)

/* On an iterator, or on a SEC("raw_tp") that is then not attached: userland runs it so often, and
 * once more at the end, when nothing else is attached any more. What it sends comes out as events. */
#define EVERY(ms) TAG("every " #ms)

/* On an iterator, or on a SEC("raw_tp") that is then not attached: userland runs it once, as soon as
 * everything is attached: what is there already. */
#define AT_START TAG("start 1")

/* Beside EVERY: `top` and `hist` run it also before each reading, however short their interval, so that
 * what it takes over from the kernel's accounts is counted in the interval in which it happened. */
#define AT_READING TAG("reading 1")

/* ENDING; declares, and ending() tells, whether this is that last run. */
#define ENDING                                                                                     \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(max_entries, 1);                                                            \
		__type(key, u32);                                                                  \
		__type(value, u32);                                                                \
	} sonda_ending SEC(".maps")
#define ending()                                                                                   \
	({                                                                                         \
		u32 ending_zero = 0, *ending_now;                                                  \
		ending_now = bpf_map_lookup_elem(&sonda_ending, &ending_zero);                     \
		ending_now && *ending_now;                                                         \
	})

/*
 * One body, two programs: on entry to `func` by fentry (rank 1) and by kprobe (rank 2).
 *	ENTRY(open, do_filp_open, filp_in, int dfd, struct filename *name) { ... }
 * In the body `ctx` is the program's context (for event_send).
 */
#define ENTRY(slot, func, name, args...)                                                           \
	_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wint-conversion\"")      \
	static __noinline int name##_body(void *ctx, ##args);                                      \
	ALT(slot, 1) SEC("?fentry/" #func) int name##_fentry(unsigned long long *ctx)              \
	{                                                                                          \
		return name##_body(___bpf_ctx_cast(args));                                         \
	}                                                                                          \
	ALT(slot, 2) SEC("?kprobe/" #func) int name##_kprobe(struct pt_regs *ctx)                  \
	{                                                                                          \
		return name##_body(___bpf_kprobe_args(args));                                      \
	}                                                                                          \
	_Pragma("GCC diagnostic pop") static __noinline int name##_body(void *ctx, ##args)

/*
 * The same for the return of a function with `nargs` parameters: fexit and kretprobe.
 *	RETURN(open, do_filp_open, 3, filp_out) { ... `ret` is the returned value ... }
 */
#define RETURN(slot, func, nargs, name)                                                            \
	static __noinline int name##_body(void *ctx, u64 ret);                                     \
	ALT(slot, 1) SEC("?fexit/" #func) int name##_fexit(unsigned long long *ctx)                \
	{                                                                                          \
		return name##_body(ctx, ctx[nargs]);                                               \
	}                                                                                          \
	ALT(slot, 2) SEC("?kretprobe/" #func) int name##_kretprobe(struct pt_regs *ctx)            \
	{                                                                                          \
		return name##_body(ctx, PT_REGS_RC(ctx));                                          \
	}                                                                                          \
	static __noinline int name##_body(void *ctx, u64 ret)
