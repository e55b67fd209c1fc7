/* SPDX-License-Identifier: BSD-2-Clause */
/* Sorted prefixes are intervals, one within another; a stack of those that are open gives the class. */
#include "enforce/networks.h"

#include <assert.h>
#include <string.h>

struct open {
	uint64_t end; /* the first address behind it */
	uint32_t start, value;
};

struct level {
	step_list steps;      /* of this level */
	struct open open[34]; /* the whole, then one for each length of a prefix in 32 bits */
	unsigned depth;
};

static int by_address(const void *a, const void *b)
{
	const struct network *x = a, *y = b;
	int order = memcmp(x->bytes, y->bytes, sizeof(x->bytes));

	return order ? order : (int)x->bits - (int)y->bits;
}

static uint32_t word_of(const uint8_t *bytes, unsigned level)
{
	bytes += level * 4;
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

/* From `start` on it is `value`. What was said of the same start before is overruled. */
static void step_add(step_list *steps, uint32_t start, uint32_t value)
{
	if (steps->len && steps->at[steps->len - 1].start == start)
		steps->len--;
	if (!steps->len || steps->at[steps->len - 1].value != value)
		vec_push(steps, ((struct packet_step){ start, value }));
}

/* Closes what ends before `to` or there. */
static void level_close(struct level *l, uint64_t to)
{
	while (l->depth && l->open[l->depth].end <= to) {
		uint64_t end = l->open[l->depth--].end;

		if (end <= UINT32_MAX)
			step_add(&l->steps, (uint32_t)end, l->open[l->depth].value);
	}
}

static void level_open(struct level *l, uint32_t start, uint64_t end, uint32_t value)
{
	struct open *top = &l->open[l->depth];

	/* the same prefix once more, for another clause */
	if (!l->depth || top->start != start || top->end != end) {
		assert(l->depth + 1 < ARRAY_LEN(l->open));
		top = &l->open[++l->depth];
	}
	*top = (struct open){ end, start, value };
	step_add(&l->steps, start, value);
}

/* A piece that fits into a block is put into one. */
static struct packet_piece piece_add(step_list *steps, const struct packet_step *from, size_t count)
{
	size_t room = PACKET_BLOCK - steps->len % PACKET_BLOCK;
	struct packet_piece piece;

	if (count == 1)
		return (struct packet_piece){ from->value, 0 };
	while (count <= PACKET_BLOCK && room < count && room--)
		(void)vec_add(steps);
	piece = (struct packet_piece){ (uint32_t)steps->len, (uint32_t)count };
	vec_reserve(steps, count);
	memcpy(steps->at + steps->len, from, count * sizeof(*from));
	steps->len += count;
	return piece;
}

static void level_compile(struct level *l, const struct network *n, size_t count, unsigned level,
			  uint32_t class, struct classes *classes, step_list *steps);

/* All that goes on below the 32 bits of the first one. Returns how many that are. */
static size_t deeper_compile(struct level *l, const struct network *n, size_t count, unsigned level,
			     struct classes *classes, step_list *steps)
{
	uint32_t word = word_of(n->bytes, level);
	struct packet_piece piece;
	struct level below;
	size_t same = 1;

	while (same < count && word_of(n[same].bytes, level) == word)
		same++;
	level_compile(&below, n, same, level + 1, l->open[l->depth].value, classes, steps);
	piece = piece_add(steps, below.steps.at, below.steps.len);
	vec_done(&below.steps);
	vec_push(steps, ((struct packet_step){ piece.at, piece.count }));
	level_open(l, word, (uint64_t)word + 1, PACKET_DEEPER | (uint32_t)(steps->len - 1));
	return same;
}

/* l->steps is the caller's. */
static void level_compile(struct level *l, const struct network *n, size_t count, unsigned level,
			  uint32_t class, struct classes *classes, step_list *steps)
{
	*l = (struct level){ .open = { { 1ull << 32, 0, class } } };
	step_add(&l->steps, 0, class);
	for (size_t i = 0; i < count;) {
		uint32_t word = word_of(n[i].bytes, level);
		unsigned bits = n[i].bits - level * 32u;

		level_close(l, word);
		if (bits > 32) {
			i += deeper_compile(l, &n[i], count - i, level, classes, steps);
			continue;
		}
		level_open(l, word, word + (1ull << (32 - bits)),
			   class_with(classes, l->open[l->depth].value, n[i++].clause));
	}
	level_close(l, 1ull << 32);
}

static void sieve_fill(struct packet_sieve *sieve, const step_list *list)
{
	memset(sieve, 0, sizeof(*sieve));
	for (size_t i = 0; i < list->len; i++) {
		uint32_t last = i + 1 < list->len ? list->at[i + 1].start - 1 : UINT32_MAX;

		for (uint32_t net = list->at[i].start >> 8; list->at[i].value && net <= last >> 8;
		     net++)
			sieve->words[net >> 6] |= 1ull << (net & 63);
	}
}

size_t networks_compile(network_list *networks, struct classes *classes, step_list *steps,
			struct packet_piece pieces[static 65536], struct packet_sieve *sieve)
{
	size_t first = 0, last, count;
	const struct packet_step *at;
	struct level all;

	vec_sort(networks, by_address);
	level_compile(&all, networks->at, networks->len, 0, 0, classes, steps);
	at = all.steps.at;
	count = all.steps.len;
	for (uint32_t i = 0; i < 65536; i++) {
		while (first + 1 < count && at[first + 1].start <= i << 16)
			first++;
		for (last = first; last + 1 < count && at[last + 1].start <= (i << 16 | 0xffff);)
			last++;
		pieces[i] = piece_add(steps, &at[first], last - first + 1);
		first = last;
	}
	if (sieve)
		sieve_fill(sieve, &all.steps);
	vec_done(&all.steps);
	return count;
}

static uint32_t steps_search(const struct packet_step *at, uint32_t count, uint32_t word)
{
	while (count > 1) {
		uint32_t half = count / 2;

		at = at[half].start <= word ? at + half : at;
		count -= half;
	}
	return at->value;
}

uint32_t networks_find(const step_list *steps, const struct packet_piece pieces[static 65536],
		       const uint8_t *address, size_t size)
{
	struct packet_piece piece = pieces[address[0] << 8 | address[1]];
	uint32_t value = 0;

	for (unsigned level = 0; level < size / 4; level++) {
		value = piece.count ? steps_search(&steps->at[piece.at], piece.count,
						   word_of(address, level))
				    : piece.at;
		if (!(value & PACKET_DEEPER))
			break;
		piece.at = steps->at[value & ~PACKET_DEEPER].start;
		piece.count = steps->at[value & ~PACKET_DEEPER].value;
	}
	return value;
}
