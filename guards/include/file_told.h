/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What was told before: of opens that one rule was about, all that the verdict and the event hang on, and the event as
 * it was told. Of another like that neither rules are looked for, nor conditions, nor are paths built.
 *
 * It is like that when all of it is the same: the file and its name, the program and its name, the user, and
 * the world of file_known.h, in which nothing has moved. Each CPU remembers its own, so that only who is
 * preempted while writing could be read too early: whoever reads looks before and after at how often it was written.
 *
 * Only for kernels with bpf_rdonly_cast(): to others, comparing all that is as dear as finding it out.
 */
#pragma once

#include "file_event.h"

#define TOLD_BITS   6
#define TOLD_MAX    256                 /* bytes of an event that is remembered */
#define TOLD_SHORT  184                 /* most are no longer */
#define TOLD_ASLEEP 8                   /* one in so many looks whether the reader is to be woken */
#define TOLD_BEGIN  sizeof(struct task) /* what is before is of another task */

/* How a file was reached. Pointers are there as numbers, from where the filter lies. */
struct file_look {
	u64 mount, dentry, number, version, parent, dir_number, hash_len, hashed;
};

struct file_told {
	u64 turns; /* odd while it is written */
	u64 claims;
	u64 world;
	u64 how; /* TOLD_HOW */
	u64 uid;
	struct file_look file, program;
	u32 rule; /* and above 16 bits enum judged */
	u32 size;
	u64 event[TOLD_MAX / sizeof(u64)];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << TOLD_BITS);
	__type(key, u32);
	__type(value, struct file_told);
} file_tolds SEC(".maps");

#define TOLD_HOW(gen, strength, operations) ((u64)(operations) << 32 | (strength) << 8 | (gen))
#define TOLD_GEN(how)                       ((how)&0xff)

/*
 * The words of a look, one by one: X(member, value). Nothing has moved, nor have directories or links been made: so the
 * directory of that number is where it was, and the file has the one name that it had.
 */
#define LOOK_WORDS(X)                                               \
	X(mount, pointer_number(file->f_path.mnt, base))            \
	X(number, inode->i_ino)                                     \
	X(version, ((struct inode___version *)inode)->i_generation) \
	X(dentry, pointer_number(dentry, base))                     \
	X(parent, pointer_number(parent, base))                     \
	X(dir_number, parent->d_inode->i_ino)                       \
	X(hash_len, dentry->d_name.hash_len)                        \
	X(hashed, (u64)dentry->d_hash.pprev)
#define LOOK_AT(file)                          \
	struct inode *inode = (file)->f_inode; \
	struct dentry *dentry = (file)->f_path.dentry, *parent = dentry->d_parent
#define LOOK_DIFFERS(member, value) differs |= look->member ^ (value);
#define LOOK_TAKE(member, value)    look->member = (value);

/* 0: the file is reached as it was. */
static __always_inline u64 look_differs(const struct file_look *look, struct file *file,
					const void *base)
{
	LOOK_AT(file);
	u64 differs = 0;

	LOOK_WORDS(LOOK_DIFFERS)
	return differs;
}

/* May it be remembered? */
static __always_inline bool look_take(struct file_look *look, struct file *file, const void *base)
{
	LOOK_AT(file);

	LOOK_WORDS(LOOK_TAKE)
	if (dentry_fleeting(dentry) || dentry_fleeting(parent) || sb_fleeting(dentry->d_sb))
		return false;
	return look->hashed && dentry->d_inode == inode &&
	       ((struct inode___version *)inode)->i_nlink == 1;
}

static __always_inline u64 told_hash(const struct file_filter *filter, struct file *file,
				     struct file *exe)
{
	return (pointer_number(file->f_path.dentry, filter) +
		pointer_number(exe->f_path.dentry, filter)) *
		       filter->secrets[0] >>
	       (64 - TOLD_BITS);
}

/* Where the like of an open was told, and its turn, in the upper half; 0: nowhere. `world`: of before all else. */
static __noinline u64 told_find(struct file *file, const struct file_filter *filter, u64 how,
				u64 world)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct file_told *told;
	struct file *exe;
	u64 differs, turn;
	u32 at;

	exe = task->mm->exe_file;
	if (!exe || task->flags & (PF_KTHREAD | PF_IO_WORKER) || task->tgid == 1)
		return 0;
	at = told_hash(filter, file, exe);
	told = bpf_map_lookup_elem(&file_tolds, &at);
	if (!told)
		return 0;
	turn = *(volatile u64 *)&told->turns;
	differs = (told->world ^ world) | (told->how ^ how) |
		  (told->uid ^ task->real_cred->uid.val) | (turn & 1) |
		  pointer_number(file->f_path.dentry->d_inode, file->f_inode);
	if (differs || look_differs(&told->file, file, filter) ||
	    look_differs(&told->program, exe, filter))
		return 0;
	return turn << 32 | (at + 1);
}

/* Remembers the event `e` of an open, in the world of before it was looked at. `rule`: and above 16 bits enum judged. */
static __noinline int told_keep(struct file *file, u64 world, u64 how, u32 rule,
				const struct file_access *e)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct event_slot *slot = event_slot_of(e);
	u32 gen = TOLD_GEN(how), at;
	struct file_filter *filter = bpf_map_lookup_elem(&file_filter, &gen);
	struct file *exe = task->mm->exe_file;
	struct file_told *told;

	if (!filter || !exe || slot->tail > TOLD_MAX)
		return 0;
	at = told_hash(filter, file, exe);
	told = bpf_map_lookup_elem(&file_tolds, &at);
	if (!told)
		return 0;
	__sync_fetch_and_add(&told->claims, 1);
	if (*(volatile u64 *)&told->claims == 1) {
		__sync_fetch_and_add(&told->turns, 1);
		barrier();
		told->how = how;
		told->uid = task->real_cred->uid.val;
		told->rule = rule;
		told->size = slot->tail;
		_Pragma("unroll") for (u32 i = 0; i < TOLD_MAX / sizeof(u64); i++) told->event[i] =
			((const u64 *)e)[i];
		told->world = look_take(&told->file, file, filter) &&
					      look_take(&told->program, exe, filter) &&
					      world_still() && world_now(filter) == world
				      ? world
				      : 0;
		barrier();
		__sync_fetch_and_add(&told->turns, 1);
	}
	__sync_fetch_and_add(&told->claims, -1);
	return 0;
}

struct told_record {
	struct record record;
	u64 event[TOLD_MAX / sizeof(u64)];
};

/* Copies the event's bytes from `begin` to `end`, in words. */
static __always_inline void told_words(u64 *to, const struct file_told *told, u32 begin, u32 end)
{
	_Pragma("unroll") for (u32 i = begin / sizeof(u64); i < end / sizeof(u64); i++) to[i] =
		told->event[i];
}

/* The ring is full: it is judged all the same, and counted. */
static __noinline int told_unheard(const struct file_told *told, u32 turn, struct stats *stats)
{
	u32 gen = TOLD_GEN(told->how), rule = told->rule, outcome;
	const struct policy_rule_row *row;

	barrier();
	if ((u32) * (volatile u64 *)&told->turns != turn)
		return 1;
	outcome = rule_comes_to(gen, rule & 0xffff, rule >> 16);
	row = rule_row(gen, rule & 0xffff);
	if (!outcome || !row)
		return 0;
	rule_untold(row);
	count_one(&stats->seq);
	count_one(&stats->seen);
	count_one(&stats->lost[LOSS_RING]);
	return outcome == OUTCOME_REFUSED ? -EACCES : 0;
}

/* Of an open like the one that was told at `at` in that turn: 0, or -EACCES; 1: it isn't there any more. Global, to be
 * verified once. */
__noinline int told_again(u32 at, u32 turn)
{
	struct file_told *told = bpf_map_lookup_elem(&file_tolds, &at);
	struct stats *stats = stats_here();
	u32 outcome = 0, gen, rule, size;
	struct told_record *record;
	struct file_access *e;

	if (!DIRECT || !told || !stats)
		return 1;
	record = bpf_ringbuf_reserve(&sonda_ring, sizeof(*record), 0);
	if (!record)
		return told_unheard(told, turn, stats);
	gen = TOLD_GEN(told->how);
	rule = told->rule;
	size = told->size;
	told_words(record->event, told, TOLD_BEGIN, TOLD_SHORT);
	if (size > TOLD_SHORT)
		told_words(record->event, told, TOLD_SHORT, TOLD_MAX);
	barrier();
	if ((u32) * (volatile u64 *)&told->turns != turn) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return 1;
	}
	outcome = rule_comes_to(gen, rule & 0xffff, rule >> 16);
	if (!outcome) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return 0;
	}
	e = (void *)record->event;
	task_put(&e->task, bpf_get_current_task_btf());
	e->verdict = outcome;
	record->record.type = bpf_core_type_id_local(struct file_access);
	record->record.size = size;
	record->record.at_ns = bpf_ktime_get_boot_ns();
	record->record.cpu = bpf_get_smp_processor_id();
	record->record.pad = 0;
	record_number(&record->record, stats);
	bpf_ringbuf_submit(record, record->record.seq % TOLD_ASLEEP
					   ? BPF_RB_NO_WAKEUP
					   : ring_wake(TOLD_ASLEEP * sizeof(*record)));
	count_one(&stats->sent);
	return outcome == OUTCOME_REFUSED ? -EACCES : 0;
}

/* What comes of an open if it is like one that was told: 0, or -EACCES; 1: it has to be found out. */
static __always_inline int told_before(struct file *file, const struct file_filter *filter, u64 how,
				       u64 world)
{
	u64 found = told_find(file, filter, how, world);

	return found ? told_again((u32)found - 1, found >> 32) : 1;
}
