/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Environment variables by name: what isn't asked for is not told, as it may be a secret. Gives a
 * probe the parameter --env; until it is set this costs nothing.
 *
 *	text_environ(e, env, from, end);	from what lies at `from` to `end` in the current
 *						process, each variable with a NUL behind
 *	text_environ_at(e, env, pointers);	from an array of pointers that ends with NULL, as
 *						execve(2) takes it
 *
 * Both make a text of the kind "argv". It is marked as cut where not all could be looked at, also
 * if nothing was found; then they don't return 0. What is done many times is a global function, see argv.h.
 */
#pragma once

#define ENVIRON_NAMES 256  /* bytes of the list with its NUL */
#define ENVIRON_STEPS 1024 /* variables looked at, at most */

PARAM_TEXT(env, ENVIRON_NAMES, "",
	   DOC("environment variables told, by commas; LD_*: all that begin so, *: all"));

/* Is the variable that begins at `at` in the slot among those asked for? The list is known to the
 * verifier, so that no branch depends on unknown bytes before a name's end. */
static __always_inline bool environ_is_wanted(struct event_slot *slot, u32 at)
{
	const u8 *variable = &slot->body[at];
	u32 differs = 0, n = 0;

	for (u32 i = 0; i < ENVIRON_NAMES; i++) {
		u8 c = env[i];

		if (c == '*' && !differs)
			return true;
		if (!c || c == ',') {
			if (n && !differs && variable[n] == '=')
				return true;
			if (!c)
				return false;
			differs = n = 0;
		} else if (c != ' ') {
			differs |= variable[n] ^ c;
			n++;
		}
	}
	return false;
}

/* Looks at the string at `from`, keeps it if it is wanted. `goes_on`: it is the rest of one that was too
 * long for one look. Returns bytes read (TEXT_MAX: it goes on), or a negative errno. */
__noinline int environ_look(u32 index, u32 field, u64 from, u32 goes_on)
{
	struct event_slot *slot = bpf_map_lookup_elem(&sonda_slots, &index);
	u32 at;
	long n;

	if (!slot || field > EVENT_MAX - sizeof(struct text))
		return -EINVAL;
	at = *(volatile u32 *)&slot->tail;
	if (at >= EVENT_MAX)
		return -E2BIG;
	n = bpf_probe_read_user_str(&slot->body[at], TEXT_MAX, (void *)from);
	if (n < 0)
		return -EFAULT;
	if (n < 2)
		return 1;
	if (goes_on || !environ_is_wanted(slot, at))
		return n;
	if (at + n >= EVENT_MAX)
		return -E2BIG;
	slot->tail = at + n;
	if (n == TEXT_MAX)
		((struct text *)&slot->body[field])->size = TEXT_CUT;
	return n;
}

static __noinline int environ_end(struct event_slot *slot, u32 field, u32 begin, int err)
{
	bool cut = err;

	if (!slot || field > EVENT_MAX - sizeof(struct text))
		return -EINVAL;
	if (err == -EFAULT)
		count_unresolved();
	cut |= ((struct text *)&slot->body[field])->size == TEXT_CUT;
	if (*(volatile u32 *)&slot->tail != begin)
		slot->tail--; /* the last one's NUL is the text's */
	slot_text_end(slot, field, begin);
	return cut ? text_was_cut((void *)&slot->body[field]) : 0;
}

static __noinline int slot_environ(struct event_slot *slot, u32 field, u64 from, u64 end)
{
	u32 begin = *(volatile u32 *)&slot->tail, goes_on = 0;
	int n = 1;

	for (u32 i = 0; i < ENVIRON_STEPS && from < end; i++) {
		n = environ_look(slot->index, field, from, goes_on);
		if (n <= 0)
			break;
		goes_on = (u32)n / TEXT_MAX;
		from += n - goes_on;
	}
	return environ_end(slot, field, begin, from >= end ? 0 : n < 0 ? n : -E2BIG);
}

static __noinline int slot_environ_at(struct event_slot *slot, u32 field,
				      const char *const *pointers)
{
	u32 begin = *(volatile u32 *)&slot->tail;
	const char *variable = NULL;
	int n = -E2BIG;

	for (u32 i = 0; i < ENVIRON_STEPS; i++) {
		n = bpf_probe_read_user(&variable, sizeof(variable), pointers + i);
		if (n || !variable)
			break;
		n = environ_look(slot->index, field, (u64)variable, 0);
		if (n < 0)
			break;
		n = -E2BIG;
	}
	return environ_end(slot, field, begin, n);
}

#define text_environ(e, field, from, end) \
	slot_environ(event_slot_of(e), __builtin_offsetof(typeof(*(e)), field), from, end)
#define text_environ_at(e, field, pointers) \
	slot_environ_at(event_slot_of(e), __builtin_offsetof(typeof(*(e)), field), pointers)
