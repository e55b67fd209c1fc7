/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Messages in one direction of a TCP connection that stand behind two bytes with their size, as DNS
 * frames them: several in a segment, one over several segments, the size over two. Nothing is put
 * together: of a message that goes on in a later segment only the part in the first can be read.
 */
#pragma once

#include "sonda/packet.h"

struct framing {
	u32 at;   /* sequence number of the next byte to look at */
	u16 size; /* of the message */
	u16 have; /* bytes of that size already seen: 0 to 2 */
};

/* A segment that begins at `seq`: if one before it was missed, goes on with this one. */
static __always_inline void framing_resume(struct framing *f, u32 seq)
{
	if ((s32)(seq - f->at) <= 0)
		return;
	f->at = seq;
	f->have = 0;
}

/* Reads what is here of the size. True: it is known. */
static __noinline int framing_size(struct __sk_buff *skb, struct framing *f, u32 at, u32 end)
{
	u8 byte;

	if (!f)
		return false;
	for (int i = 0; i < 2 && f->have < 2; i++, at++) {
		if (at >= end || bpf_skb_load_bytes(skb, at, &byte, 1))
			return false;
		f->size = f->size << 8 | byte;
		f->have++;
		f->at++;
	}
	return true;
}

/* Where in the packet the next message begins, and its whole size; false when none begins in it. */
static __noinline int framing_next(struct __sk_buff *skb, struct framing *f, const struct packet *p,
				   u32 *ret_at, u32 *ret_size)
{
	u32 base;

	if (!f || !p || !ret_at || !ret_size || f->at - p->seq >= p->end - p->payload)
		return false;
	base = p->seq - p->payload; /* sequence number that the packet's byte 0 would have */
	if (!framing_size(skb, f, f->at - base, p->end) || f->at - base >= p->end)
		return false;
	*ret_at = f->at - base;
	*ret_size = f->size;
	f->at += f->size;
	f->have = 0;
	return true;
}
