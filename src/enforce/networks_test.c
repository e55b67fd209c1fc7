/* SPDX-License-Identifier: BSD-2-Clause */
/* Against the plain way: each prefix compared with the address. */
#include "enforce/networks.h"

#include "base/test.h"

#include <arpa/inet.h>
#include <string.h>

static struct packet_piece pieces[65536];
static struct packet_sieve sieve;

static void network_add(network_list *list, const char *address, unsigned bits, unsigned clause)
{
	struct network *n = vec_add(list);

	n->bits = (uint8_t)bits;
	n->clause = (uint16_t)clause;
	if (inet_pton(strchr(address, ':') ? AF_INET6 : AF_INET, address, n->bytes) != 1)
		abort();
}

static bool holds(const struct network *n, const uint8_t *address)
{
	for (unsigned bit = 0; bit < n->bits; bit++)
		if ((n->bytes[bit / 8] ^ address[bit / 8]) & (0x80 >> bit % 8))
			return false;
	return true;
}

static void check_address(const network_list *list, struct classes *classes, const step_list *steps,
			  const uint8_t *address, size_t size)
{
	struct clause_set want = { 0 };
	uint32_t got = networks_find(steps, pieces, address, size);

	vec_for_each(n, list)
		if (holds(n, address))
			want.words[n->clause / 64] |= 1ull << n->clause % 64;
	CHECK(got < classes->sets.len);
	if (got < classes->sets.len)
		CHECK(!memcmp(&classes->sets.at[got], &want, sizeof(want)));
}

/* The first, the last, and those next to each prefix: where the answer changes. */
static void check_edges(network_list *list, size_t size)
{
	struct classes classes;
	step_list steps = { 0 };

	classes_init(&classes);
	(void)networks_compile(list, &classes, &steps, pieces, size == 4 ? &sieve : NULL);
	vec_for_each(n, list) {
		uint8_t low[16], high[16], before[16], behind[16];

		memcpy(low, n->bytes, 16);
		memcpy(high, n->bytes, 16);
		for (unsigned bit = n->bits; bit < size * 8; bit++)
			high[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		memcpy(before, low, 16);
		memcpy(behind, high, 16);
		for (size_t i = size; i-- && !before[i]--;)
			;
		for (size_t i = size; i-- && !++behind[i];)
			;
		check_address(list, &classes, &steps, low, size);
		check_address(list, &classes, &steps, high, size);
		check_address(list, &classes, &steps, before, size);
		check_address(list, &classes, &steps, behind, size);
		if (size == 4) {
			uint32_t net = (uint32_t)(low[0] << 16 | low[1] << 8 | low[2]);

			CHECK(sieve.words[net >> 6] >> (net & 63) & 1);
		}
	}
	vec_done(&steps);
	classes_done(&classes);
}

TEST(no_network_is_class_0)
{
	network_list none = { 0 };
	struct classes classes;
	step_list steps = { 0 };
	uint8_t address[16] = { 10, 1, 2, 3 };

	classes_init(&classes);
	(void)networks_compile(&none, &classes, &steps, pieces, NULL);
	CHECK(networks_find(&steps, pieces, address, 4) == 0);
	CHECK(networks_find(&steps, pieces, address, 16) == 0);
	vec_done(&steps);
	classes_done(&classes);
}

TEST(prefixes_within_prefixes)
{
	network_list list = { 0 };

	network_add(&list, "0.0.0.0", 0, 9);
	network_add(&list, "10.0.0.0", 8, 0);
	network_add(&list, "10.1.0.0", 16, 1);
	network_add(&list, "10.1.0.0", 16, 2);
	network_add(&list, "10.1.2.0", 24, 0);
	network_add(&list, "10.1.2.128", 25, 3);
	network_add(&list, "10.1.2.255", 32, 4);
	network_add(&list, "10.1.3.0", 24, 5);
	network_add(&list, "255.255.255.255", 32, 6);
	network_add(&list, "0.0.0.0", 32, 7);
	network_add(&list, "224.0.0.0", 3, 8);
	check_edges(&list, 4);
	vec_done(&list);
}

TEST(prefixes_of_ipv6_at_every_level)
{
	network_list list = { 0 };

	network_add(&list, "2000::", 3, 0);
	network_add(&list, "2001:db8::", 32, 1);
	network_add(&list, "2001:db8::", 33, 2);
	network_add(&list, "2001:db8::", 48, 3);
	network_add(&list, "2001:db8:0:1::", 64, 4);
	network_add(&list, "2001:db8:0:1::", 65, 4);
	network_add(&list, "2001:db8:0:1::1", 128, 5);
	network_add(&list, "2001:db8:0:1:0:1::", 96, 6);
	network_add(&list, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 128, 7);
	network_add(&list, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 128, 8);
	network_add(&list, "::", 128, 9);
	network_add(&list, "fe80::", 10, 10);
	check_edges(&list, 16);
	vec_done(&list);
}

TEST(many_that_overlap)
{
	for (unsigned seed = 1; seed <= 3; seed++) {
		network_list v4 = { 0 }, v6 = { 0 };
		uint32_t random = seed;

		for (unsigned i = 0; i < 400; i++) {
			struct network *a = vec_add(&v4), *b = vec_add(&v6);

			a->bits = (uint8_t)((random = random * 1664525 + 1013904223) >> 8) % 33;
			b->bits = (uint8_t)((random = random * 1664525 + 1013904223) >> 8) % 129;
			a->clause = (uint16_t)(i % 5);
			b->clause = (uint16_t)(i % 300 + 200);
			/* few different bits, so that they meet */
			for (unsigned bit = 0; bit < 128; bit++) {
				random = random * 1664525 + 1013904223;
				if (bit < a->bits && random >> 30 == 0)
					a->bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
				if (bit < b->bits && random >> 28 == 1)
					b->bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
			}
		}
		check_edges(&v4, 4);
		check_edges(&v6, 16);
		vec_done(&v4);
		vec_done(&v6);
	}
}
