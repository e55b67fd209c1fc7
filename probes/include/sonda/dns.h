/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * DNS messages (RFC 1035) in a packet: the codes, the header, the question, the walk over the
 * records. All of it is foreign input: every length is checked, every loop bounded.
 */
#pragma once

enum dns_type {
	DNS_TYPE_A = 1,
	DNS_TYPE_NS = 2,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_MX = 15,
	DNS_TYPE_TXT = 16,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_SRV = 33,
	DNS_TYPE_NAPTR = 35,
	DNS_TYPE_OPT = 41,
	DNS_TYPE_DS = 43,
	DNS_TYPE_SSHFP = 44,
	DNS_TYPE_RRSIG = 46,
	DNS_TYPE_NSEC = 47,
	DNS_TYPE_DNSKEY = 48,
	DNS_TYPE_TLSA = 52,
	DNS_TYPE_SVCB = 64,
	DNS_TYPE_HTTPS = 65,
	DNS_TYPE_IXFR = 251,
	DNS_TYPE_AXFR = 252,
	DNS_TYPE_ANY = 255,
	DNS_TYPE_CAA = 257,
};
/* the server's code, or that there was none */
enum dns_result {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_YXDOMAIN = 6,
	DNS_YXRRSET = 7,
	DNS_NXRRSET = 8,
	DNS_NOTAUTH = 9,
	DNS_NOTZONE = 10,
	DNS_BADVERS = 16,
	DNS_BADCOOKIE = 23,
	DNS_TIMEOUT = 0x10000,
	DNS_UNREACHABLE = 0x10001,
	DNS_UNANSWERED = 0x10002, /* until sonda ended */
};
enum dns_flags {
	DNS_FLAG_CD = 0x010,
	DNS_FLAG_AD = 0x020,
	DNS_FLAG_RA = 0x080,
	DNS_FLAG_RD = 0x100,
	DNS_FLAG_TC = 0x200,
	DNS_FLAG_AA = 0x400,
};
#define DNS_FLAGS_ALL 0x7b0

struct dns_header {
	u16 id;
	u16 bits;
	u16 questions, answers, authorities, additionals;
};
enum {
	DNS_IS_ANSWER = 0x8000,
	DNS_OPCODE = 0x7800,
	DNS_BITS_RCODE = 0x000f,
};
/* the uppermost bit is a flag in multicast DNS: "answer me alone", "forget what you knew" */
#define DNS_CLASS 0x7fff
enum { DNS_NAME_MAX = 255, DNS_LABELS_MAX = 128, DNS_LABEL_MAX = 63 };

/* Reads and turns to host order. */
static __always_inline bool dns_header_read(struct __sk_buff *skb, u32 at, struct dns_header *h)
{
	if (bpf_skb_load_bytes(skb, at, h, sizeof(*h)))
		return false;
	h->id = bpf_ntohs(h->id);
	h->bits = bpf_ntohs(h->bits);
	h->questions = bpf_ntohs(h->questions);
	h->answers = bpf_ntohs(h->answers);
	h->authorities = bpf_ntohs(h->authorities);
	h->additionals = bpf_ntohs(h->additionals);
	return true;
}

struct dns_question {
	/* as in the message, but each length is a dot and the end a 0: the text begins at [1] */
	char name[DNS_NAME_MAX + 1 + 8] __attribute__((aligned(8)));
	u32 name_bytes; /* with the first length and the end */
	u32 hash;       /* of name, type and class; upper and lower case are the same */
	u32 next;       /* where the next section begins */
	u16 type;
	u16 class;
};

/* Turns lengths into dots and puts zeros behind the end. Returns the bytes of the name in the
 * message, or 0 when it is none: without end, too long, or compressed, which the first name can't
 * be. What lies behind `room` is old and may be misread for a while; the last check finds that. */
static __noinline int dns_name_dots(struct dns_question *q, u32 room)
{
	u32 at = 0, label;

	if (!q)
		return 0;
	label = (u8)q->name[0];
	for (int i = 0; i < DNS_LABELS_MAX && label; i++) {
		if (label > DNS_LABEL_MAX)
			return 0;
		at += label + 1;
		label = (u8)q->name[at & DNS_NAME_MAX];
		q->name[at & DNS_NAME_MAX] = '.';
	}
	if (label || at >= DNS_NAME_MAX || at >= room)
		return 0;
	_Pragma("unroll") for (int i = 0; i < 8; i++) q->name[(at & DNS_NAME_MAX) + i] = 0;
	return at + 1;
}

static __noinline u32 dns_question_hash(const struct dns_question *q)
{
	const u64 *words;
	u64 hash;

	if (!q)
		return 0;
	words = (const void *)q->name;
	hash = (u64)q->type << 16 | q->class;
	for (u32 i = 0; i < (DNS_NAME_MAX + 1) / 8; i++) {
		if (i * 8 >= q->name_bytes)
			break;
		hash = (hash ^ (words[i] | 0x2020202020202020)) * 0x9e3779b97f4a7c15;
		hash ^= hash >> 32;
	}
	return hash;
}

/* Reads the question at `at`. False when there is no whole one before `end`. */
static __noinline int dns_question_read(struct __sk_buff *skb, u32 at, u32 end,
					struct dns_question *q)
{
	u32 room = end - at;
	u16 kind[2];

	if (!q || at + 5 > end)
		return false;
	if (room > DNS_NAME_MAX + 1)
		room = DNS_NAME_MAX + 1;
	barrier_var(room); /* or the verifier of 5.10 sees the check on another copy than the use */
	if (room < 5 || room > DNS_NAME_MAX + 1 || bpf_skb_load_bytes(skb, at, q->name, room))
		return false;
	q->name_bytes = dns_name_dots(q, room);
	q->next = at + q->name_bytes + sizeof(kind);
	if (!q->name_bytes || q->next > end ||
	    bpf_skb_load_bytes(skb, at + q->name_bytes, kind, sizeof(kind)))
		return false;
	q->type = bpf_ntohs(kind[0]);
	q->class = bpf_ntohs(kind[1]) & DNS_CLASS;
	q->hash = dns_question_hash(q);
	return true;
}

/* A resource record behind its name. */
struct dns_record {
	u16 type;
	u16 class;
	u32 ttl_s;
	u32 size; /* of its data */
	u32 data; /* where they begin */
};

/*
 * One step in the sections behind the question: over one label of a name, or, at a name's end, over
 * the record. Compressed names end at the pointer, so a loop of pointers is no loop here. Returns 1
 * when `*record` was read, 0 for a label, -1 at the end of what is readable.
 */
static __always_inline int dns_step(struct __sk_buff *skb, u32 *at, u32 end,
				    struct dns_record *record)
{
	u8 label, head[10];

	if (*at >= end || bpf_skb_load_bytes(skb, *at, &label, 1))
		return -1;
	if (label && label <= DNS_LABEL_MAX) {
		*at += label + 1;
		return 0;
	}
	*at += label ? 2 : 1;
	if (label && label < 0xc0)
		return -1;
	if (*at + sizeof(head) > end || bpf_skb_load_bytes(skb, *at, head, sizeof(head)))
		return -1;
	record->type = head[0] << 8 | head[1];
	record->class = head[2] << 8 | head[3];
	record->ttl_s = (u32)head[4] << 24 | head[5] << 16 | head[6] << 8 | head[7];
	record->size = head[8] << 8 | head[9];
	record->data = *at + sizeof(head);
	*at = record->data + record->size;
	return *at <= end ? 1 : -1;
}
