/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Limits: how much may come in a time, from all or from each source. Every bucket holds when what was
 * taken from it is made good; a packet that comes when that is further ahead than the limit's room is too
 * much. Buckets are hashed, never allocated: a flood from invented addresses finds nothing to fill.
 */
#pragma once

#include "abi/packet.h"
#include "guard.h"
#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PACKET_LINES);
	__type(key, u32);
	__type(value, struct packet_line);
} packet_buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PACKET_LINES);
	__type(key, u32);
	__type(value, u64);
} packet_wary SEC(".maps");

/* of limits of all together: exact */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POLICY_SLOTS);
	__type(key, u32);
	__type(value, u64);
} packet_totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PACKET_FLOODS);
	__type(key, struct packet_key);
	__type(value, struct packet_flood);
} packet_floods SEC(".maps");

/* What comes of a packet. */
enum limited {
	LIMIT_KEPT,
	LIMIT_EXCEEDED,
	LIMIT_FLOOD,  /* all is dropped for a while */
	LIMIT_BEGINS, /* from here on */
};

/* Rules whose packets come more often than the tick need the finer clock, the others get the cheap. */
static __always_inline u64 limit_now(const struct packet_plan *plan, const struct packet_rule *rule)
{
	return PACKET_TIME(rule->fine ? bpf_ktime_get_ns() : bpf_jiffies64() * plan->tick_ns);
}

static __always_inline u64 mixed(u64 n)
{
	n ^= n >> 32;
	n *= 0x9fb21c651e98df25ull;
	n ^= n >> 29;
	n *= 0xd6e8feb86659fd93ull;
	return n ^ n >> 32;
}

static __always_inline u64 network_mask(const struct packet *p)
{
	return p->family == 4 ? bpf_htonl(0xffffff00) : bpf_cpu_to_be64(~0xffffull);
}

/* The half of an address that a share is known by: all of IPv4; of IPv6 a host has a whole /64 to choose
 * from. */
static __always_inline u64 first_half(const u32 *address)
{
	return (u64)address[1] << 32 | address[0];
}

static __always_inline u64 second_half(const u32 *address)
{
	return (u64)address[3] << 32 | address[2];
}

/* Of whose share it is of what the rule allows. */
static __always_inline u64 share_hash(const struct packet_plan *plan, const struct packet *p,
				      u32 per, u32 slot)
{
	u64 what = first_half(p->source), more = slot * 2;

	if (per == PACKET_PER_NETWORK) {
		what &= network_mask(p);
	} else if (per == PACKET_PER_DESTINATION) {
		what = first_half(p->dest);
		more += second_half(p->dest);
	} else if (per == PACKET_PER_PORT) {
		what = (u32)p->protocol << 16 | p->dest_port;
	} else if (per == PACKET_PER_ALL) {
		what = 0;
	}
	return mixed(mixed(what ^ plan->seed) ^ more);
}

/* The same in full. */
static __always_inline void key_of(const struct packet *p, u32 per, u32 slot,
				   struct packet_key *key)
{
	const u32 *address = per == PACKET_PER_DESTINATION ? p->dest : p->source;

	__builtin_memset(key, 0, sizeof(*key));
	key->slot = slot;
	key->per = per;
	if (per == PACKET_PER_PORT) {
		key->protocol = p->protocol;
		key->port = p->dest_port;
	} else if (per != PACKET_PER_ALL) {
		key->family = p->family;
		key->address[0] = first_half(address);
		if (per == PACKET_PER_NETWORK)
			key->address[0] &= network_mask(p);
		if (per == PACKET_PER_DESTINATION)
			key->address[1] = second_half(address);
	}
}

/* What another rule left in a bucket, or another clock, lies further ahead than this one ever goes. */
static __always_inline bool bucket_refuses(u64 *bucket, const struct packet_rule *rule, u64 now)
{
	u64 due = *(volatile u64 *)bucket;

	if (due < now || due - now > rule->ahead) {
		*bucket = now;
		due = now;
	}
	return due - now > rule->room;
}

/* Was it too much a while ago, and does it suffer for that still? Then it counts there. */
static __always_inline bool is_flood(const struct packet_rule *rule, const struct packet_key *key,
				     const struct packet *p, u32 line, u64 now)
{
	u64 *until = bpf_map_lookup_elem(&packet_wary, &line);
	struct packet_flood *flood;

	if (!until || *until <= now)
		return false;
	flood = bpf_map_lookup_elem(&packet_floods, key);
	if (!flood || flood->until <= now || flood->until - now > rule->drop)
		return false;
	__sync_fetch_and_add(&flood->packets, p->segments);
	__sync_fetch_and_add(&flood->bytes, p->size);
	return true;
}

static __always_inline bool total_exceeded(const struct packet_rule *rule, u32 slot, u64 now,
					   u64 take)
{
	u64 *due = bpf_map_lookup_elem(&packet_totals, &slot);

	if (!due)
		return false;
	if (bucket_refuses(due, rule, now))
		return true;
	__sync_fetch_and_add(due, take);
	return false;
}

/* Both buckets of its line must be used up. */
static __always_inline bool share_exceeded(const struct packet_rule *rule, struct packet_line *line,
					   u32 at, u64 now, u64 take)
{
	u64 *one = &line->due[at & (PACKET_BUCKETS - 1)];
	u64 *other = &line->due[(at + 1 + (at >> 8 & 3)) & (PACKET_BUCKETS - 1)];
	bool refused = bucket_refuses(one, rule, now);
	bool other_refused = bucket_refuses(other, rule, now);

	if (refused && other_refused)
		return true;
	if (!refused)
		__sync_fetch_and_add(one, take);
	if (!other_refused)
		__sync_fetch_and_add(other, take);
	return false;
}

/* What a packet takes: of a limit of bytes its whole size, if there is room for one. */
static __always_inline u64 limit_share(const struct packet_rule *rule, const struct packet *p)
{
	return rule->bytes ? rule->step * p->size >> PACKET_BYTE_SHIFT : rule->step * p->segments;
}

/* Is this packet more than the limit of the rule that counts in `slot` allows? Takes it from what is left.
 * `key` is room for whose share it is, which lies in a map, for there is little room on the stack. */
static __always_inline enum limited limit_take(const struct packet_plan *plan,
					       const struct packet_rule *rule,
					       const struct packet *p, struct packet_key *key,
					       u32 slot)
{
	u64 now = limit_now(plan, rule), take = limit_share(rule, p), hash;
	struct packet_line *line;
	bool exceeded;
	u32 number;

	if (rule->per == PACKET_PER_ALL && !rule->drop)
		return total_exceeded(rule, slot, now, take) ? LIMIT_EXCEEDED : LIMIT_KEPT;
	hash = share_hash(plan, p, rule->per, slot);
	number = hash & (PACKET_LINES - 1);
	line = bpf_map_lookup_elem(&packet_buckets, &number);
	if (!line)
		return LIMIT_KEPT;
	if (rule->drop) {
		key_of(p, rule->per, slot, key);
		if (is_flood(rule, key, p, number, now))
			return LIMIT_FLOOD;
	}
	exceeded = rule->per == PACKET_PER_ALL ? total_exceeded(rule, slot, now, take)
					       : share_exceeded(rule, line, hash >> 32, now, take);
	if (!exceeded)
		return LIMIT_KEPT;
	return rule->drop ? LIMIT_BEGINS : LIMIT_EXCEEDED;
}
