/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Calls of functions under way, by thread: what a return needs to know of its beginning. Nested calls
 * are kept apart, also of one function by itself, and where longjmp(3) went over some of them.
 *
 *	f = frame_push(here, sp);	at the entry, if it is wanted; NULL: counted as lost
 *	f = frame_pop(here, sp);	at the return; NULL: the entry was not wanted, or is lost
 *	...
 *	frame_done();			when what `f` points to has been used
 *
 * `sp` is the stack pointer, by which frames that were jumped over are known; 0 where there is none.
 * FRAME_TEXT bytes of text can be kept with each (defined before this file is included).
 */
#pragma once

#ifndef FRAME_TEXT
#define FRAME_TEXT 8
#endif
#define FRAMES_DEEP    8
#define FRAMES_THREADS 4096
#define FRAME_ARGS     6

/* Bytes by which the stack pointer of a function's first instruction is below that of its return. */
#if defined(__TARGET_ARCH_x86)
#define FRAME_PUSHED 8
#else
#define FRAME_PUSHED 0
#endif

struct frame {
	u64 began_ns;
	u64 sp;
	u64 args[FRAME_ARGS];
	u32 target;
	u32 pad;
	char text[FRAME_TEXT];
};
struct frames {
	u32 depth; /* deeper ones than FRAMES_DEEP are counted, but not kept */
	u32 pad;
	struct frame at[FRAMES_DEEP];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FRAMES_THREADS);
	__type(key, u32); /* thread */
	__type(value, struct frames);
} sonda_frames SEC(".maps");

static const struct frames frames_none;

/* The place of call `i`, of 0 to FRAMES_DEEP - 1. The bound is set where the verifier of 5.10 sees it. */
static __always_inline struct frame *frame_at(struct frames *frames, u32 i)
{
	barrier_var(i);
	return &frames->at[i & (FRAMES_DEEP - 1)];
}

/* A new call stands where an older one did, which therefore will never return, nor what it called; but
 * for one whose last act is this call: both return together. */
static __always_inline void frames_replace(struct frames *frames, u32 target, u64 sp)
{
	u32 top = frames->depth - 1;
	bool deeper = top < FRAMES_DEEP && frame_at(frames, top)->sp != sp;

	for (u32 i = 0; i < FRAMES_DEEP; i++) {
		if (i > top || top >= FRAMES_DEEP)
			break;
		if (frames->at[i].sp == sp && (deeper || frames->at[i].target == target)) {
			frames->depth = i;
			break;
		}
	}
}

/* Forgets calls deeper on the stack than `sp`, which has been returned to: longjmp(3) went over them. */
static __always_inline void frames_unwind(struct frames *frames, u64 sp)
{
	for (int i = 0; i < FRAMES_DEEP; i++) {
		u32 top = frames->depth - 1;

		if (top >= FRAMES_DEEP)
			top = frames->depth ? FRAMES_DEEP - 1 : FRAMES_DEEP;
		if (top >= FRAMES_DEEP || frame_at(frames, top)->sp >= sp)
			break;
		frames->depth = top;
	}
}

static __always_inline struct frame *frame_push(u32 target, u64 sp)
{
	u32 tid = bpf_get_current_pid_tgid(), depth;
	struct frames *frames = bpf_map_lookup_elem(&sonda_frames, &tid);
	struct frame *f;

	if (!frames) {
		bpf_map_update_elem(&sonda_frames, &tid, &frames_none, BPF_NOEXIST);
		frames = bpf_map_lookup_elem(&sonda_frames, &tid);
	}
	if (!frames) {
		count_lost(LOSS_STATE);
		return NULL;
	}
	if (sp)
		frames_replace(frames, target, sp);
	depth = frames->depth++;
	if (depth >= FRAMES_DEEP) {
		count_lost(LOSS_STATE);
		return NULL;
	}
	f = frame_at(frames, depth);
	f->target = target;
	f->sp = sp;
	return f;
}

/* The innermost call that the current thread is in; NULL: none that is kept. */
static __always_inline struct frame *frame_top(void)
{
	u32 tid = bpf_get_current_pid_tgid(), depth;
	struct frames *frames = bpf_map_lookup_elem(&sonda_frames, &tid);

	depth = frames ? frames->depth - 1 : FRAMES_DEEP;
	return depth < FRAMES_DEEP ? frame_at(frames, depth) : NULL;
}

static __always_inline struct frame *frame_pop(u32 target, u64 sp)
{
	u32 tid = bpf_get_current_pid_tgid(), depth;
	struct frames *frames = bpf_map_lookup_elem(&sonda_frames, &tid);
	struct frame *f;

	if (!frames || !frames->depth)
		return NULL;
	if (sp)
		frames_unwind(frames, sp - FRAME_PUSHED);
	depth = frames->depth - 1;
	if (depth >= FRAMES_DEEP) { /* one that was not kept */
		frames->depth = depth;
		return NULL;
	}
	f = frame_at(frames, depth);
	if (f->target != target || (sp && f->sp + FRAME_PUSHED != sp))
		return NULL; /* another's: this one's entry was not wanted */
	frames->depth = depth;
	return f;
}

static __always_inline void frame_done(void)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct frames *frames = bpf_map_lookup_elem(&sonda_frames, &tid);

	if (frames && !frames->depth)
		bpf_map_delete_elem(&sonda_frames, &tid);
}

/* A thread may end within a call: exit(3) does not return. */
SEC("tp_btf/sched_process_exit") int frames_thread_ends(void *ctx)
{
	u32 tid = bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&sonda_frames, &tid);
	return 0;
}
