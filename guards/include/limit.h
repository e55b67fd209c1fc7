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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PACKET_LINES);
	__type(key, u32);
	__type(value, u64);
} packet_wary SEC(".maps");

/* of limits that aren't by source: exact */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POLICY_SLOTS);
	__type(key, u32);
	__type(value, struct packet_total);
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
static __always_inline bool bucket_refuses(u64 *bucket, const struct packet_rule *rule, u64 now)
{
	u64 due = *(volatile u64 *)bucket;

	if (due < now || due - now > 2 * rule->room + 1024 * rule->step) {
		*bucket = now;
		due = now;
	}
	return due - now + rule->step > rule->room;
}

/* Was it too much a while ago, and does it suffer for that still? */
static __always_inline bool is_suspect(const struct packet_rule *rule,
				       struct packet_suspect *source, u32 line, u64 now)
{
	u64 *until = bpf_map_lookup_elem(&packet_wary, &line);

	if (!until || *until <= now)
		return false;
	until = bpf_map_lookup_elem(&packet_suspects, source);
	return until && *until > now && *until - now <= rule->drop;
}

static __always_inline void suspect(struct packet_suspect *source, u32 line, u64 until)
{
	u64 *wary = bpf_map_lookup_elem(&packet_wary, &line);

	if (wary)
		*wary = until;
	bpf_map_update_elem(&packet_suspects, source, &until, BPF_ANY);
}

static __always_inline bool total_exceeded(const struct packet_rule *rule, u32 slot, u64 now,
					   u64 take)
{
	struct packet_total *total = bpf_map_lookup_elem(&packet_totals, &slot);

	if (!total)
		return false;
	if (rule->drop && total->suspects > now && total->suspects - now <= rule->drop)
		return true;
	if (bucket_refuses(&total->due, rule, now)) {
		total->suspects = now + rule->drop;
		return true;
	}
	__sync_fetch_and_add(&total->due, take);
	return false;
}

/* Is this packet more than the limit of rule number `slot` allows? Takes it from what is left. */
static __always_inline bool limit_exceeded(const struct packet_plan *plan,
					   const struct packet_rule *rule, const struct packet *p,
					   u32 slot)
{
	struct packet_suspect source = { .slot = slot };
	u64 now = limit_now(plan, rule), take = rule->step * p->segments, hash, *one, *other;
	bool refused, other_refused;
	struct packet_line *line;
	u32 at, number;

	if (rule->per == PACKET_PER_ALL)
		return total_exceeded(rule, slot, now, take);
	source_of(p, rule->per, &source);
	hash = mixed(mixed(source.source[0] ^ plan->seed) ^ (source.source[1] + slot * 2));
	number = hash & (PACKET_LINES - 1);
	line = bpf_map_lookup_elem(&packet_buckets, &number);
	if (!line)
		return false;
	if (rule->drop && is_suspect(rule, &source, number, now))
		return true;
	at = hash >> 32;
	one = &line->due[at & (PACKET_BUCKETS - 1)];
	other = &line->due[(at + 1 + (at >> 8 & 3)) & (PACKET_BUCKETS - 1)];
	refused = bucket_refuses(one, rule, now);
	other_refused = bucket_refuses(other, rule, now);
	if (refused && other_refused) {
		if (rule->drop)
			suspect(&source, number, now + rule->drop);
		return true;
	}
	if (!refused)
		__sync_fetch_and_add(one, take);
	if (!other_refused)
		__sync_fetch_and_add(other, take);
	return false;
}
