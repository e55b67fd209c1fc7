/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Which networks of the rules an address is in. Those of a generation are one sorted list of the places
 * where the answer changes (struct packet_step), by 32 bits of the address at a time; the plan says
 * for the first 16 bits which piece of the list to search. What it costs grows with the logarithm of
 * the networks within one /16.
 */
#pragma once

#include "abi/packet.h"

struct packet_steps {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(struct packet_step));
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

#define SEARCH_TURNS 24 /* PACKET_STEPS_MAX is 2 to that power */

/* The value of the last step of the piece that is not behind `address`. Global: verified once. */
__noinline u32 steps_search(u32 gen, u32 at, u32 count, u32 address)
{
	void *steps = bpf_map_lookup_elem(&packet_networks, &gen);
	struct packet_step *step;
	u32 half, mid;

	if (!steps)
		return 0;
	for (int i = 0; i < SEARCH_TURNS && count > 1; i++) {
		half = count >> 1;
		mid = at + half;
		step = bpf_map_lookup_elem(steps, &mid);
		if (!step)
			return 0;
		at = step->start <= address ? mid : at;
		count -= half;
	}
	step = bpf_map_lookup_elem(steps, &at);
	return step ? step->value : 0;
}

/* The piece that an element holds. */
static __always_inline struct packet_piece piece_at(u32 gen, u32 at)
{
	struct packet_piece piece = {};
	void *steps = bpf_map_lookup_elem(&packet_networks, &gen);
	struct packet_step *step = steps ? bpf_map_lookup_elem(steps, &at) : NULL;

	if (step) {
		piece.at = step->start;
		piece.count = step->value;
	}
	return piece;
}

/* The class of an IPv4 address, of which `piece` tells the first 16 bits. */
static __always_inline u32 network_class4(u32 gen, const struct packet_piece *piece, u32 address)
{
	return piece->count ? steps_search(gen, piece->at, piece->count, address) : piece->at;
}

/* The same of IPv6. */
static __always_inline u32 network_class6(u32 gen, const struct packet_piece *from,
					  const u32 *address)
{
	struct packet_piece piece = *from;
	u32 value;

	for (int i = 0; i < 4; i++) {
		value = piece.count ? steps_search(gen, piece.at, piece.count, bpf_ntohl(address[i]))
				    : piece.at;
		if (!(value & PACKET_DEEPER))
			return value;
		piece = piece_at(gen, value & ~PACKET_DEEPER);
	}
	return 0;
}
