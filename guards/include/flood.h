/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Floods: what a rule drops for a while after it was too much. One is told when it begins and when it is
 * over, with how much came in it. When no packet comes any more the kernel notices nothing: whoever reads
 * the events looks for those that are over (flood_sweep).
 */
#pragma once

#include "abi/packet.h"
#include "guard.h"
#include "kernel/iter.h"
#include "limit.h"
#include "packet.h"

enum flood_state { FLOOD_BEGUN, FLOOD_ENDED };

/* enum packet_per, as it is told */
enum flood_of { FLOOD_OF_ALL, FLOOD_OF_SOURCE, FLOOD_OF_NETWORK, FLOOD_OF_DESTINATION, FLOOD_OF_PORT };

EVENT(flood, "A flood that a rule answers by dropping all of it for a while: when it begins, when it is over")
{
	char rule[POLICY_NAME] KIND("str") DOC("rule of the policy");
	enum flood_state state DOC("begun, ended");
	enum outcome outcome DOC("what comes of its packets");
	enum flood_of of DOC("whose packets are dropped: of all, a source, a network, a destination, a port");
	struct ip address DOC("the source, the first address of its network, or the destination");
	enum ip_protocol protocol DOC("IP protocol that the port is of");
	u16 port KIND("port") DOC("destination port");
	u64 lasts_ns KIND("duration") DOC("how long: at the beginning as it is meant to be");
	u64 packets DOC("that came in it");
	u64 bytes KIND("bytes") DOC("of them");
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POLICY_SLOTS);
	__type(key, u32);
	__type(value, struct packet_name);
} packet_names SEC(".maps");

static __always_inline void key_tell(struct flood *e, const struct packet_key *key)
{
	e->of = key->per;
	e->address.family = key->family == 4 ? AF_INET : key->family == 6 ? AF_INET6 : 0;
	__builtin_memcpy(e->address.bytes, key->address, sizeof(e->address.bytes));
	e->protocol = key->protocol;
	e->port = key->port;
}

/* false: there was no room for it. */
static __noinline bool flood_tell(void *ctx, const struct packet_key *key,
				       const struct packet_flood *flood, enum flood_state state)
{
	struct stats *stats = stats_here();
	u32 slot = key->slot;
	struct packet_name *name = bpf_map_lookup_elem(&packet_names, &slot);
	struct flood *e;
	u64 sent;

	if (!events_wanted() || !stats || !name)
		return true;
	sent = stats->sent;
	e = event_new(flood);
	if (!e)
		return false;
	__builtin_memcpy(e->rule, name->name, sizeof(e->rule));
	e->state = state;
	e->outcome = flood->outcome;
	key_tell(e, key);
	e->lasts_ns = flood->ends_ns - flood->began_ns;
	e->packets = flood->packets;
	e->bytes = flood->bytes;
	event_send(ctx, e);
	return stats->sent != sent;
}

/* Whose share is in question, and what is kept of him when he takes too much. */
struct share {
	struct packet_key key;
	struct packet_flood flood;
};

/* From this packet on, whose key is found; one before it that nobody has told of yet is over. */
static __always_inline void flood_begin(struct frame *ctx, const struct packet_plan *plan,
					const struct packet_rule *rule, const struct packet *p,
					const struct policy_rule_row *row, struct share *new,
					u32 outcome)
{
	u64 now = limit_now(plan, rule), *wary;
	struct packet_flood *before, *flood = &new->flood;
	u32 slot = row->slot, line;
	struct packet_name *name = bpf_map_lookup_elem(&packet_names, &slot);

	__builtin_memset(flood, 0, sizeof(*flood));
	line = share_hash(plan, p, rule->per, slot) & (PACKET_LINES - 1);
	before = bpf_map_lookup_elem(&packet_floods, &new->key);
	if (before && !before->told && !flood_tell(ctx, &new->key, before, FLOOD_ENDED))
		rule_untold(row);
	flood->until = now + rule->drop;
	flood->began_ns = bpf_ktime_get_boot_ns();
	flood->ends_ns = flood->began_ns + rule->drop / PACKET_TIME(1);
	flood->packets = p->segments;
	flood->bytes = p->size;
	flood->outcome = outcome;
	bpf_map_update_elem(&packet_floods, &new->key, flood, BPF_ANY);
	wary = bpf_map_lookup_elem(&packet_wary, &line);
	if (wary)
		*wary = flood->until;
	if (name)
		__builtin_memcpy(name->name, row->name, sizeof(name->name));
	if (!flood_tell(ctx, &new->key, flood, FLOOD_BEGUN))
		rule_untold(row);
}

/* Run by who reads the events. */
OPTIONAL("ends of floods of which no packet comes any more")
OVER(packet_floods) EVERY(500) SEC("iter/bpf_map_elem")
int flood_sweep(struct bpf_iter__bpf_map_elem *ctx)
{
	struct packet_flood *flood = ctx->value;
	struct packet_key *key = ctx->key, copy;

	if (!flood || !key || flood->told || flood->ends_ns > bpf_ktime_get_boot_ns())
		return 0;
	copy = *key;
	flood->told = 1;
	flood_tell(ctx, &copy, flood, FLOOD_ENDED);
	return 0;
}
