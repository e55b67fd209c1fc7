/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Limits: how much may come in a time, from all or from each source. Every bucket holds when what was
 * taken from it is made good; a packet that would move that further ahead than the limit's room is too
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

/* of limits that aren't by source: exact */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POLICY_SLOTS);
	__type(key, u32);
	__type(value, struct packet_bucket);
} packet_totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PACKET_SUSPECTS);
	__type(key, struct packet_suspect);
	__type(value, u64);
} packet_suspects SEC(".maps");

/* Rules whose packets come more often than the tick need the finer clock, the others get the cheap. */
static __always_inline u64 limit_now(const struct packet_plan *plan, const struct packet_rule *rule)
{
	return PACKET_TIME(rule->fine ? bpf_ktime_get_ns() : bpf_jiffies64() * plan->tick_ns);
}

static __always_inline void source_of(const struct packet *p, u32 per, struct packet_suspect *s)
{
	u64 network = ~0ull;

	if (p->family == 4) {
		s->source[0] = per == PACKET_PER_NETWORK ? p->source[0] & bpf_htonl(0xffffff00)
							 : p->source[0];
		s->source[1] = 1; /* not to be mistaken for IPv6 */
		return;
	}
	if (per == PACKET_PER_NETWORK)
		network = bpf_cpu_to_be64(~0xffffull);
	/* a host has a whole /64 to choose from */
	s->source[0] = ((u64)p->source[1] << 32 | p->source[0]) & network;
}

static __always_inline u64 mixed(u64 n)
{
	n ^= n >> 32;
	n *= 0x9fb21c651e98df25ull;
	n ^= n >> 29;
	n *= 0xd6e8feb86659fd93ull;
	return n ^ n >> 32;
}

/* What another rule left in a bucket, or another clock, lies further ahead than this one ever goes. */
static __always_inline bool bucket_refuses(struct packet_bucket *bucket,
					   const struct packet_rule *rule, u64 now)
{
	u64 due = *(volatile u64 *)&bucket->due;

	if (due < now || due - now > 2 * rule->room + 1024 * rule->step) {
		bucket->due = now;
		due = now;
	}
	return due - now + rule->step > rule->room;
}

/* Was it too much a while ago, and does it suffer for that still? */
static __always_inline bool is_suspect(const struct packet_rule *rule, struct packet_suspect *source,
				       u64 now)
{
	u64 *until = bpf_map_lookup_elem(&packet_suspects, source);

	return until && *until > now && *until - now <= rule->drop;
}

static __always_inline bool total_exceeded(const struct packet_rule *rule, u32 slot, u64 now)
{
	struct packet_bucket *bucket = bpf_map_lookup_elem(&packet_totals, &slot);

	if (!bucket)
		return false;
	if (rule->drop && bucket->suspects > now && bucket->suspects - now <= rule->drop)
		return true;
	if (bucket_refuses(bucket, rule, now)) {
		bucket->suspects = now + rule->drop;
		return true;
	}
	__sync_fetch_and_add(&bucket->due, rule->step);
	return false;
}

/* Is this packet more than the limit of rule number `slot` allows? Takes it from what is left. */
static __always_inline bool limit_exceeded(const struct packet_plan *plan,
				      const struct packet_rule *rule, const struct packet *p,
				      u32 slot)
{
	struct packet_suspect source = { .slot = slot };
	u64 now = limit_now(plan, rule), hash, until;
	struct packet_bucket *one, *other;
	bool refused, other_refused;
	struct packet_line *line;
	u32 at;

	if (rule->per == PACKET_PER_ALL)
		return total_exceeded(rule, slot, now);
	source_of(p, rule->per, &source);
	hash = mixed(mixed(source.source[0] ^ plan->seed) ^ (source.source[1] + slot * 2));
	at = hash & (PACKET_LINES - 1);
	line = bpf_map_lookup_elem(&packet_buckets, &at);
	if (!line)
		return false;
	at = hash >> 32;
	one = &line->buckets[at & 3];
	other = &line->buckets[(at + 1 + ((at >> 2) & 1)) & 3];
	if (rule->drop && one->suspects > now && is_suspect(rule, &source, now))
		return true;
	refused = bucket_refuses(one, rule, now);
	other_refused = bucket_refuses(other, rule, now);
	if (refused && other_refused) {
		until = now + rule->drop;
		one->suspects = until;
		if (rule->drop)
			bpf_map_update_elem(&packet_suspects, &source, &until, BPF_ANY);
		return true;
	}
	if (!refused)
		__sync_fetch_and_add(&one->due, rule->step);
	if (!other_refused)
		__sync_fetch_and_add(&other->due, rule->step);
	return false;
}
