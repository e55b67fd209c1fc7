/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Argument lists as execve(2) takes them, an array of pointers in user memory, made into one text
 * of the kind "argv". Where the kernel has already gathered the arguments (mm->arg_start), use
 * text_user_bytes instead: it needs no loop and has no limit.
 *
 *	text_user_argv(e, argv, user_pointer);
 */
#pragma once

/* Arguments looked at, at most. */
#define ARGV_MAX 256

/* Appends the string at `from` with its NUL; one that can't be read becomes empty. Returns 0, or
 * -E2BIG when it did not fit. */
static __noinline int slot_user_string(struct event_slot *slot, const void *from)
{
	u32 at, limit;
	long n;

	if (!slot)
		return -EINVAL;
	at = *(volatile u32 *)&slot->tail;
	if (at >= EVENT_MAX - 1)
		return -E2BIG;
	limit = slot_room(at + 1, TEXT_MAX);
	n = bpf_probe_read_user_str(&slot->body[at], limit, from);
	if (n <= 0) {
		count_unresolved();
		slot->body[at] = 0;
		n = 1;
	}
	slot->tail = at + n;
	return n < limit ? 0 : -E2BIG;
}

/* Appends the strings of `argv`. Returns 0, or -E2BIG when not all fitted. */
static __noinline int slot_user_strings(struct event_slot *slot, const char *const *argv)
{
	const char *arg = NULL;

	for (u32 i = 0; i <= ARGV_MAX; i++) {
		if (bpf_probe_read_user(&arg, sizeof(arg), argv + i)) {
			count_unresolved();
			return 0;
		}
		if (!arg)
			return 0;
		if (i == ARGV_MAX || slot_user_string(slot, arg))
			return -E2BIG;
	}
	return 0;
}

static __noinline int slot_text_argv(struct event_slot *slot, u32 field, const char *const *argv)
{
	u32 begin;
	int err;

	if (!slot || field > EVENT_MAX - sizeof(struct text))
		return -EINVAL;
	begin = slot->tail;
	err = slot_user_strings(slot, argv);
	if (slot->tail == begin)
		return 0;
	slot->tail--; /* the last string's NUL is the text's */
	slot_text_end(slot, field, begin);
	return err ? text_was_cut((void *)&slot->body[field]) : 0;
}

/* The strings of a NULL-ended array of pointers at user address `argv`. */
#define text_user_argv(e, field, argv)                                                             \
	slot_text_argv(event_slot_of(e), __builtin_offsetof(typeof(*(e)), field), argv)
