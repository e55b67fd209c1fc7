/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Does a text of an event match a glob that the user gave as a parameter?
 *
 *	PARAM_TEXT(path, GLOB_MAX, "", DOC("..."));
 *	TEXT_GLOB(path)
 *	...
 *	if (path[0] && !text_matches(e, path, path)) event_drop(e) ...
 *
 * `?` is one character but '/', `*` any number of characters but '/', `**` any number of any, "**" + "/"
 * also nothing, `\c` is c itself; all else is itself. (Of src/base/glob.h this lacks sets and braces.)
 * What needs more than GLOB_ROUNDS * GLOB_ROUND_STEPS steps counts as unresolved, and as a match: too
 * much is shown rather than too little.
 */
#pragma once

#define GLOB_MAX 256 /* bytes of a pattern with its NUL; a power of two */
#define GLOB_ROUNDS 128
#define GLOB_ROUND_STEPS 64

enum glob_verdict { GLOB_NO, GLOB_YES, GLOB_MORE };

/* Where the match is. In the slot, so that to the verifier all of it is unknown: see path.h. */
struct glob_state {
	u32 text; /* offset in the slot's body */
	u32 pattern;
	u32 star; /* behind the last `*` of this directory, 0: none; and how far it has eaten */
	u32 star_text;
	u32 any; /* the same for the last `**` */
	u32 any_text;
};
#define GLOB_STATE(slot) ((struct glob_state *)&(slot)->body[EVENT_MAX + TEXT_MAX - 64])

static __always_inline char glob_char(struct event_slot *slot, u64 at)
{
	barrier_var(at); /* as in path.h */
	return at < EVENT_MAX ? slot->body[at] : 0;
}

static __always_inline int glob_star(struct glob_state *s, const volatile char *pattern, u32 at)
{
	u32 behind = at + 2;

	if (pattern[(at + 1) % GLOB_MAX] != '*') {
		s->pattern = s->star = at + 1;
		s->star_text = s->text;
		return GLOB_MORE;
	}
	s->star = 0;
	s->pattern = s->any = behind;
	s->any_text = s->text;
	if (pattern[behind % GLOB_MAX] == '/' && (!at || pattern[(at - 1) % GLOB_MAX] == '/')) {
		s->pattern++; /* "**" + "/" as nothing comes first, then as '/' from here on */
		s->any_text--;
	}
	return GLOB_MORE;
}

/* The text does not go on like the pattern: let the last star eat one more. */
static __always_inline int glob_retry(struct event_slot *slot, struct glob_state *s)
{
	if (s->star && glob_char(slot, s->star_text) != '/') {
		s->text = ++s->star_text;
		s->pattern = s->star;
		return GLOB_MORE;
	}
	if (!s->any)
		return GLOB_NO;
	s->star = 0;
	s->text = ++s->any_text;
	s->pattern = s->any;
	return GLOB_MORE;
}

static __always_inline int glob_step(struct event_slot *slot, const volatile char *pattern)
{
	struct glob_state *s = GLOB_STATE(slot);
	u32 at = s->pattern;
	char want = pattern[at % GLOB_MAX], next = pattern[(at + 1) % GLOB_MAX];
	char c = glob_char(slot, s->text);
	bool quoted = want == '\\' && next;

	if (want == '*')
		return glob_star(s, pattern, at);
	if (quoted)
		want = next;
	if (!c)
		return want ? GLOB_NO : GLOB_YES;
	if (want != c && (want != '?' || quoted || c == '/'))
		return glob_retry(slot, s);
	s->text++;
	s->pattern = at + 1 + quoted;
	return GLOB_MORE;
}

static __always_inline int glob_begin(struct event_slot *slot, u64 field)
{
	struct glob_state *s = GLOB_STATE(slot);
	u32 at;

	barrier_var(field);
	if (field > EVENT_MAX)
		return GLOB_NO;
	at = ((struct text *)&slot->body[field])->at;

	/* an event's first byte is no text: this text is empty */
	s->text = at ? at : EVENT_MAX;
	s->pattern = s->star = s->any = 0;
	return GLOB_MORE;
}

#define TEXT_GLOB(param)                                                                           \
	__noinline int glob_round_##param(u32 index)                                               \
	{                                                                                          \
		struct event_slot *slot = bpf_map_lookup_elem(&sonda_slots, &index);               \
		int verdict = GLOB_NO;                                                             \
                                                                                                   \
		for (int i = 0; slot && i < GLOB_ROUND_STEPS; i++) {                               \
			verdict = glob_step(slot, param);                                          \
			if (verdict != GLOB_MORE)                                                  \
				break;                                                             \
		}                                                                                  \
		return verdict;                                                                    \
	}                                                                                          \
	__noinline int glob_run_##param(u32 index, u32 field)                                      \
	{                                                                                          \
		struct event_slot *slot = bpf_map_lookup_elem(&sonda_slots, &index);               \
		int verdict = slot ? glob_begin(slot, field) : GLOB_NO;                            \
                                                                                                   \
		for (int i = 0; i < GLOB_ROUNDS && verdict == GLOB_MORE; i++)                      \
			verdict = glob_round_##param(index);                                       \
		if (verdict == GLOB_MORE)                                                          \
			count_unresolved();                                                        \
		return verdict != GLOB_NO;                                                         \
	}

#define text_matches(e, field, param)                                                              \
	glob_run_##param(event_slot_of(e)->index, __builtin_offsetof(typeof(*(e)), field))
