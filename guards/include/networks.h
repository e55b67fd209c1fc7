/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Which networks of the rules an address is in. Those of a generation are one sorted list of the places
 * where the answer changes (struct packet_step), by 32 bits of the address at a time; the plan says
 * for the first 16 bits which piece of the list to search. What it costs grows with the logarithm of
 * the networks within one /16. And which protocols, for which a table does.
 */
#pragma once

#include "abi/packet.h"

struct packet_steps {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(struct packet_block));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, u32);
	__array(values, struct packet_steps);
} packet_networks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct packet_sieve);
} packet_sieves SEC(".maps");

enum { BLOCK_TURNS = 17, WIDE_TURNS = 25 }; /* halvings of a block, of all steps there may be */

static __always_inline const struct packet_block *block_of(const struct packet_plan *plan, u32 gen,
							   u32 at)
{
	u32 nth = at / PACKET_BLOCK - 1;
	void *blocks;

	if (at < PACKET_BLOCK)
		return &plan->block;
	blocks = bpf_map_lookup_elem(&packet_networks, &gen);
	return blocks ? bpf_map_lookup_elem(blocks, &nth) : NULL;
}

/* The value of the last step of the piece that is not behind `address`. */
static __always_inline u32 block_search(const struct packet_block *block, u32 at, u32 count,
					u32 address)
{
	for (int i = 0; i < BLOCK_TURNS && count > 1; i++) {
		u32 half = count >> 1, mid = at + half;

		at = block->steps[mid & (PACKET_BLOCK - 1)].start <= address ? mid : at;
		count -= half;
	}
	return block->steps[at & (PACKET_BLOCK - 1)].value;
}

static __always_inline struct packet_step step_at(const struct packet_plan *plan, u32 gen, u32 at)
{
	const struct packet_block *block = block_of(plan, gen, at);
	struct packet_step none = {};

	return block ? block->steps[at & (PACKET_BLOCK - 1)] : none;
}

/* The same of a piece that is larger than a block. */
static __always_inline u32 wide_search(const struct packet_plan *plan, u32 gen, u32 at, u32 count,
				       u32 address)
{
	for (int i = 0; i < WIDE_TURNS && count > 1; i++) {
		u32 half = count >> 1, mid = at + half;

		at = step_at(plan, gen, mid).start <= address ? mid : at;
		count -= half;
	}
	return step_at(plan, gen, at).value;
}

/* The class of what IP carries. The barrier: or old verifiers would lose sight of how large it can be. */
static __always_inline u32 what_class(const struct packet_plan *plan, u32 what)
{
	barrier_var(what);
	return plan->whats[what & (PACKET_WHATS - 1)];
}

/* The class of an IPv4 address, of which `piece` tells the first 16 bits. */
static __always_inline u32 network_class4(const struct packet_plan *plan, u32 gen,
					  const struct packet_piece *piece, u32 address)
{
	u32 at = piece->at, count = piece->count;
	const struct packet_block *block;

	if (!count)
		return at;
	block = block_of(plan, gen, at);
	return block ? block_search(block, at, count, address) : 0;
}

static __always_inline struct packet_plan *plan_of(u32 gen);

/* A word of an IPv6 address. Global: verified once for all. */
__noinline u32 word_search(u32 gen, u32 at, u32 count, u32 word)
{
	const struct packet_plan *plan = plan_of(gen);
	const struct packet_block *block;

	if (!plan)
		return 0;
	if (count > PACKET_BLOCK)
		return wide_search(plan, gen, at, count, word);
	block = block_of(plan, gen, at);
	return block ? block_search(block, at, count, word) : 0;
}

static __always_inline u32 network_class6(const struct packet_plan *plan, u32 gen,
					  const struct packet_piece *piece, const u32 *address)
{
	struct packet_step at = { piece->at, piece->count };
	u32 value;

	for (int i = 0; i < 4; i++) {
		value = at.value ? word_search(gen, at.start, at.value, bpf_ntohl(address[i]))
				 : at.start;
		if (!(value & PACKET_DEEPER))
			return value;
		at = step_at(plan, gen, value & ~PACKET_DEEPER); /* a struct packet_piece */
	}
	return 0;
}
