/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Stacks: of the kernel, of the current process, of a task that sleeps. A probe sends addresses;
 * sonda makes names of them, also when the process has ended.
 *
 * As a field of an event, of any length up to STACK_FRAMES:
 *	struct stack kstack KIND("kstack") DOC("...");	in the EVENT
 *	stack_kernel(ctx, e, kstack);	stack_user(ctx, e, ustack);	stack_task(e, kstack, task);
 *
 * As a label of a metric table, to count by stack in the kernel:
 *	#define STACKS_KEPT 4096		so many different ones; before this file is included
 *	struct stack_id kstack KIND("kstack") DOC("...");	in the key struct
 *	key.kstack = stack_id_kernel(ctx);	stack_id_user(ctx);	stack_id_task(task);
 *
 * Kept are whole stacks, by a number of 64 bits made of their content and process: two different ones
 * do not take each other's place. What finds no room becomes STACK_LOST, and is counted as overflow.
 * A stack costs 0.5 to 3 us: take it when it is known that it is wanted.
 */
#pragma once

#define STACK_BYTES (STACK_FRAMES * sizeof(u64))

static __always_inline u32 stack_size(long bytes)
{
	return bytes == STACK_BYTES ? (u32)bytes | STACK_CUT : (u32)bytes;
}

/* --- of an event --- */

enum stack_of { STACK_OF_KERNEL, STACK_OF_USER, STACK_OF_TASK };

/* `from`: the program's context, or the task of STACK_OF_TASK. */
static __always_inline long stack_read(void *from, void *to, u32 size, enum stack_of of)
{
	if (of == STACK_OF_TASK)
		return bpf_get_task_stack(from, to, size, 0);
	return bpf_get_stack(from, to, size, of == STACK_OF_USER ? BPF_F_USER_STACK : 0);
}

static __always_inline int slot_stack(void *from, struct event_slot *slot, u32 field,
				      enum stack_of of)
{
	struct stack *stack;
	long bytes;
	u32 at;

	if (!slot || field > EVENT_MAX - sizeof(*stack))
		return -EINVAL;
	stack = (void *)&slot->body[field];
	at = (*(volatile u32 *)&slot->tail + 7) & ~7u;
	barrier_var(at);
	if (at > EVENT_MAX - STACK_BYTES)
		return -E2BIG;
	bytes = stack_read(from, &slot->body[at], STACK_BYTES, of);
	if (bytes <= 0) { /* -EFAULT: a kernel thread has no user stack */
		if (of != STACK_OF_USER)
			count_unresolved();
		return bytes;
	}
	stack->at = at;
	stack->size = stack_size(bytes);
	stack->pid = of == STACK_OF_USER ? bpf_get_current_pid_tgid() >> 32 : 0;
	slot->tail = at + bytes;
	return bytes;
}

static __noinline int slot_stack_kernel(void *ctx, struct event_slot *slot, u32 field)
{
	return slot_stack(ctx, slot, field, STACK_OF_KERNEL);
}
static __noinline int slot_stack_user(void *ctx, struct event_slot *slot, u32 field)
{
	return slot_stack(ctx, slot, field, STACK_OF_USER);
}
static __noinline int slot_stack_task(struct task_struct *task, struct event_slot *slot, u32 field)
{
	return slot_stack(task, slot, field, STACK_OF_TASK);
}

/* The kernel stack now, into the member `field`. Returns its bytes or a negative errno; what can't be
 * read stays empty. */
#define stack_kernel(ctx, e, field) \
	slot_stack_kernel(ctx, event_slot_of(e), __builtin_offsetof(typeof(*(e)), field))
/* The user stack of the current process: by frame pointers, so that it ends where code has none. */
#define stack_user(ctx, e, field) \
	slot_stack_user(ctx, event_slot_of(e), __builtin_offsetof(typeof(*(e)), field))
/* The kernel stack of a task that does not run now. `task` as a tp_btf program was given it. */
#define stack_task(e, field, task) \
	slot_stack_task(task, event_slot_of(e), __builtin_offsetof(typeof(*(e)), field))

/* --- as labels --- */

#ifdef STACKS_KEPT
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STACKS_KEPT);
	__type(key, u64);
	__type(value, struct stack_kept);
} sonda_stacks SEC(".maps");

/* Where a stack is read into, claimed as event slots are. */
struct stack_scratch {
	u32 claims;
	u32 pad;
	struct stack_kept kept;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* the loader makes it as many as there are event slots */
	__type(key, u32);
	__type(value, struct stack_scratch);
} sonda_stack_scratch SEC(".maps");

static __noinline struct stack_scratch *stack_claim(void)
{
	u32 first = bpf_get_smp_processor_id() * EVENT_SLOT_TRIES;
	struct stack_scratch *s;
	u32 at;

	for (u32 i = 0; i < EVENT_SLOT_TRIES; i++) {
		at = (first + i) & (sonda_conf.slots - 1);
		s = bpf_map_lookup_elem(&sonda_stack_scratch, &at);
		if (!s)
			break;
		__sync_fetch_and_add(&s->claims, 1);
		if (*(volatile u32 *)&s->claims == 1)
			return s;
		__sync_fetch_and_add(&s->claims, -1);
	}
	return NULL;
}

/* A number of the content; 0 and STACK_LOST mean something else. */
static __always_inline u64 stack_number(const struct stack_kept *kept, u32 words)
{
	u64 hash = kept->pid * 0x9e3779b97f4a7c15ull + words;

	for (u32 i = 0; i < STACK_FRAMES; i++) {
		if (i >= words)
			break;
		hash = (hash ^ kept->frames[i]) * 0xff51afd7ed558ccdull;
		hash ^= hash >> 32;
	}
	return hash && hash != STACK_LOST ? hash : 1;
}

/* Keeps it if it is new. */
static __noinline u64 stack_keep(struct stack_scratch *s, u32 bytes)
{
	u64 id;

	if (!s)
		return STACK_LOST;
	id = stack_number(&s->kept, bytes / sizeof(u64));
	if (bpf_map_lookup_elem(&sonda_stacks, &id))
		return id;
	s->kept.size = stack_size(bytes);
	s->kept.at_ns = bpf_ktime_get_boot_ns();
	if (!bpf_map_update_elem(&sonda_stacks, &id, &s->kept, BPF_NOEXIST) ||
	    bpf_map_lookup_elem(&sonda_stacks, &id)) /* another CPU was first */
		return id;
	return STACK_LOST;
}

static __always_inline u64 stack_id_of(void *from, enum stack_of of)
{
	struct stack_scratch *s = stack_claim();
	u64 id = STACK_LOST;
	long bytes;

	if (s) {
		s->kept.pid = of == STACK_OF_USER ? bpf_get_current_pid_tgid() >> 32 : 0;
		bytes = stack_read(from, s->kept.frames, STACK_BYTES, of);
		id = bytes > 0 ? stack_keep(s, bytes) : 0;
		__sync_fetch_and_add(&s->claims, -1);
	}
	if (id == STACK_LOST)
		count_overflow();
	return id;
}

static __noinline u64 stack_number_kernel(void *ctx)
{
	return stack_id_of(ctx, STACK_OF_KERNEL);
}
static __noinline u64 stack_number_user(void *ctx)
{
	return stack_id_of(ctx, STACK_OF_USER);
}
static __noinline u64 stack_number_task(struct task_struct *task)
{
	return stack_id_of(task, STACK_OF_TASK);
}

/* The label's value. As stack_kernel(), stack_user(), stack_task(). */
#define stack_id_kernel(ctx) ((struct stack_id){ stack_number_kernel(ctx) })
#define stack_id_user(ctx)   ((struct stack_id){ stack_number_user(ctx) })
#define stack_id_task(task)  ((struct stack_id){ stack_number_task(task) })
#endif

/* --- of an event that is told later --- */

/*
 * The user stack of a thread that goes to sleep, for the event of its waking:
 *	#define STACKS_HELD 8192		so many threads, those that slept last; and STACKS_KEPT
 *	held = user_stacks_wanted() && stack_hold(ctx, tid);	as it goes
 *	if (held) stack_held(e, ustack, tid);		when it is told
 * That is a stack for each sleep, of which few are told: only where the field `ustack` is asked for.
 */
#ifdef STACKS_HELD
const volatile u64 sonda_user_stacks = 0; /* sonda sets it */
#define user_stacks_wanted() (events_wanted() && sonda_user_stacks)

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STACKS_HELD);
	__type(key, u32);
	__type(value, struct stack_kept);
} sonda_stacks_held SEC(".maps");

static __noinline int stack_hold(void *ctx, u32 tid)
{
	struct stack_scratch *s = stack_claim();
	bool held = false;
	long bytes;

	if (!s) {
		count_unresolved();
		bpf_map_delete_elem(&sonda_stacks_held, &tid);
		return false;
	}
	s->kept.pid = bpf_get_current_pid_tgid() >> 32;
	bytes = stack_read(ctx, s->kept.frames, STACK_BYTES, STACK_OF_USER);
	if (bytes > 0) {
		s->kept.size = stack_size(bytes);
		held = !bpf_map_update_elem(&sonda_stacks_held, &tid, &s->kept, BPF_ANY);
	}
	if (!held) /* what it had before is another sleep's */
		bpf_map_delete_elem(&sonda_stacks_held, &tid);
	__sync_fetch_and_add(&s->claims, -1);
	return held;
}

static __noinline int slot_stack_held(struct event_slot *slot, u32 field, u32 tid)
{
	struct stack_kept *kept = bpf_map_lookup_elem(&sonda_stacks_held, &tid);
	struct stack *stack;
	u32 at, size;

	if (!kept)
		return count_unresolved();
	if (!slot || field > EVENT_MAX - sizeof(*stack))
		return -EINVAL;
	stack = (void *)&slot->body[field];
	at = (*(volatile u32 *)&slot->tail + 7) & ~7u;
	barrier_var(at);
	if (at > EVENT_MAX - STACK_BYTES)
		return -E2BIG;
	size = *(volatile u32 *)&kept->size & ~STACK_CUT;
	barrier_var(size);
	if (size > STACK_BYTES)
		return -EINVAL;
	if (bpf_probe_read_kernel(&slot->body[at], size, kept->frames))
		return -EFAULT;
	stack->at = at;
	stack->size = kept->size;
	stack->pid = kept->pid;
	slot->tail = at + size;
	return 0;
}

#define stack_held(e, field, tid) \
	slot_stack_held(event_slot_of(e), __builtin_offsetof(typeof(*(e)), field), tid)
#endif
