/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Networks as the packet guard looks them up (abi/packet.h): overlapping prefixes become one sorted
 * list of the addresses where the class changes. One thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "abi/packet.h"
#include "base/attr.h"
#include "base/vec.h"
#include "enforce/classes.h"

/* A prefix that a clause names. */
struct network {
	uint8_t bytes[16]; /* IPv4: the first four; zero behind the prefix */
	uint8_t bits;
	uint16_t clause;
};
typedef vec(struct network) network_list;
typedef vec(struct packet_step) step_list;

/* Adds what `networks` come to (which are sorted by it) to `steps`, and fills `pieces`, one for each
 * value of the first 16 bits. `sieve` (NULL: none) gets a bit for each /24 of IPv4 with any network.
 * Returns in how many places the class changes on the first 32 bits. */
size_t networks_compile(network_list *networks, struct classes *classes, step_list *steps,
			struct packet_piece pieces[static 65536], struct packet_sieve *sieve);

/* The class of an address, as the guard finds it: `size` is 4 or 16. */
MUST_USE uint32_t networks_find(const step_list *steps,
				const struct packet_piece pieces[static 65536],
				const uint8_t *address, size_t size);
