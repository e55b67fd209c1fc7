/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Texts of many strings with a NUL behind each (the kind "argv").
 *
 *	text_user_bytes(e, argv, from, n);	`n` bytes of user memory, of any length and content:
 *						as many as the event has room for
 *	text_user_argv(e, argv, pointers);	strings from an array of pointers that ends with NULL,
 *						as execve(2) takes it
 *
 * Both return 0, or a negative errno; what did not fit is marked as cut, what can't be read counts
 * as unresolved. What is done many times is a global function, which the verifier checks once; how
 * far it is stands in the slot, because in a variable it would cost a state for each length.
 */
#pragma once

/* Strings looked at by text_user_argv, at most. */
#define ARGV_MAX 256

/* Appends the next chunk of `n` bytes at `from` to the text that began at `begin`. 0: call again;
 * 1: all is there; or a negative errno. */
__noinline int argv_chunk(u32 index, u32 begin, u64 from, u64 n)
{
	struct event_slot *slot = bpf_map_lookup_elem(&sonda_slots, &index);
	u32 at, done, limit;

	if (!slot)
		return -EINVAL;
	at = *(volatile u32 *)&slot->tail;
	done = at - begin;
	if (done >= n)
		return 1;
	if (at >= EVENT_MAX - 1)
		return -E2BIG;
	limit = slot_room(at + 1, n - done < TEXT_MAX ? n - done : TEXT_MAX);
	if (bpf_probe_read_user(&slot->body[at], limit, (void *)from + done))
		return -EFAULT;
	slot->tail = at + limit;
	return 0;
}

/* Appends the string at `from` with its NUL; one that can't be read becomes empty. */
__noinline int argv_string(u32 index, u64 from)
{
	struct event_slot *slot = bpf_map_lookup_elem(&sonda_slots, &index);
	u32 at, limit;
	long n;

	if (!slot)
		return -EINVAL;
	at = *(volatile u32 *)&slot->tail;
	if (at >= EVENT_MAX - 1)
		return -E2BIG;
	limit = slot_room(at + 1, TEXT_MAX);
	n = bpf_probe_read_user_str(&slot->body[at], limit, (void *)from);
	if (n <= 0) {
		count_unresolved();
		slot->body[at] = 0;
		n = 1;
	}
	slot->tail = at + n;
	return n < limit ? 0 : -E2BIG;
}

static __noinline int slot_user_bytes(struct event_slot *slot, u32 field, const void *from, u64 n)
{
	u32 begin = *(volatile u32 *)&slot->tail;
	int end = 0;

	for (u32 i = 0; i <= EVENT_MAX / TEXT_MAX + 1 && !end; i++)
		end = argv_chunk(slot->index, begin, (u64)from, n);
	if (end == -EFAULT)
		count_unresolved();
	if (slot->tail == begin)
		return end < 0 ? end : 0;
	slot_text_end(slot, field, begin);
	return end < 0 ? text_was_cut((void *)&slot->body[field]) : 0;
}

static __noinline int slot_user_argv(struct event_slot *slot, u32 field, const char *const *argv)
{
	u32 begin = *(volatile u32 *)&slot->tail;
	const char *arg = NULL;
	int end = 0;

	for (u32 i = 0; i <= ARGV_MAX && !end; i++) {
		end = bpf_probe_read_user(&arg, sizeof(arg), argv + i);
		if (end || !arg)
			break;
		end = i == ARGV_MAX ? -E2BIG : argv_string(slot->index, (u64)arg);
	}
	if (end == -EFAULT)
		count_unresolved();
	if (slot->tail == begin)
		return end;
	slot->tail--; /* the last string's NUL is the text's */
	slot_text_end(slot, field, begin);
	return end ? text_was_cut((void *)&slot->body[field]) : 0;
}

#define text_user_bytes(e, field, from, n)                                                         \
	slot_user_bytes(event_slot_of(e), __builtin_offsetof(typeof(*(e)), field), from, n)
#define text_user_argv(e, field, pointers)                                                         \
	slot_user_argv(event_slot_of(e), __builtin_offsetof(typeof(*(e)), field), pointers)
