/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the guards of packets and the user side share: the rules of one generation as tables.
 *
 * Each thing that a rule can ask of a packet (its addresses, ports, interface, kind) is a table that
 * leads to a class, and each class to the rules that allow it, a bit for each. The rules that a packet
 * meets are all of those ANDed, the lowest bit is the first: what it costs does not grow with them.
 */
#pragma once

#include <linux/types.h>

#include "abi/policy.h"

/* What a rule may ask. Networks: the table of IPv4, then that of IPv6. */
enum packet_field {
	PACKET_FROM,
	PACKET_TO,
	PACKET_SOURCE_PORT,
	PACKET_PORT,
	PACKET_ON,
	PACKET_WHAT, /* what IP carries: its protocol, and of ICMP the type */
	PACKET_POST, /* which of a guard's places it is judged at */
	PACKET_FIELDS,
};

/* Where a packet is judged. */
enum packet_place {
	PACKET_XDP,
	PACKET_IN, /* TC */
	PACKET_OUT,
	PACKET_PREROUTING, /* netfilter, in its own order */
	PACKET_INPUT,
	PACKET_FORWARD,
	PACKET_OUTPUT,
	PACKET_POSTROUTING,
	PACKET_PLACES,
};

/* The kind of a packet, as bits. */
enum packet_kind {
	PACKET_TCP = 1,
	PACKET_UDP = 2,
	PACKET_ICMP = 4,
	PACKET_SYN = 8,
	PACKET_FRAGMENT = 16,
	PACKET_MALFORMED = 32,
	PACKET_KINDS = 64,
};

/* How the parser found a packet. From PACKET_TRUNCATED on it is malformed. */
enum packet_form {
	PACKET_WHOLE,
	PACKET_NOT_IP,
	PACKET_FIRST_FRAGMENT,
	PACKET_LATER_FRAGMENT,
	PACKET_TRUNCATED,        /* ends before its headers say */
	PACKET_TOO_MANY_TAGS,    /* more than PACKET_TAGS VLAN tags */
	PACKET_TOO_MANY_HEADERS, /* more than PACKET_HEADERS extension headers */
	PACKET_CONTRADICTION,    /* versions, lengths, offsets that can't all be true */
	PACKET_TINY_FRAGMENT,    /* made to split a header, or to write over it */
	PACKET_PORT_ZERO,
	PACKET_BAD_FLAGS,  /* of TCP: none, SYN with FIN, FIN without ACK ... */
	PACKET_LAND,       /* from where it goes to */
	PACKET_BAD_SOURCE, /* no host sends from there */
	PACKET_FORMS,
};

/* What passes though a rule would drop it, unless it is malformed. */
enum packet_keep {
	PACKET_KEEP_NONE,
	PACKET_KEEP_NEIGHBOUR,   /* ICMPv6 router and neighbour discovery from this link */
	PACKET_KEEP_PATH_MTU,    /* ICMP "fragmentation needed", ICMPv6 "packet too big" */
	PACKET_KEEP_DHCP,        /* a server's answer */
	PACKET_KEEP_ESTABLISHED, /* of a TCP connection that this machine has */
	PACKET_KEEPS,
};

/* What rules call PACKET_WHAT, as a number: the protocol; of ICMP whose type was read, of IPv4 or IPv6, the
 * type behind these. */
#define PACKET_ICMP_TYPES  256
#define PACKET_ICMP6_TYPES 512
#define PACKET_WHATS       1024 /* a power of two, for verifiers */

#define PACKET_TAGS    4
#define PACKET_HEADERS 8
#define PACKET_WORDS   (POLICY_RULES / 64)
#define PACKET_CLASSES 1024 /* of each field */
#define PACKET_DEVICES 1024 /* slots for interfaces */
#define PACKET_ASKED   64   /* rules that leave the decision to the next, at most */

struct packet_mask {
	__u64 words[PACKET_WORDS];
};

enum packet_verdict {
	PACKET_DROP,
	PACKET_PASS,
	PACKET_LIMIT,
	PACKET_WATCH,
	PACKET_CHANGE,
	PACKET_ANSWER
};
enum packet_per {
	PACKET_PER_ALL,
	PACKET_PER_SOURCE,
	PACKET_PER_NETWORK,
	PACKET_PER_DESTINATION,
	PACKET_PER_PORT,
};

/* What PACKET_CHANGE does, as bits. */
enum packet_change {
	PACKET_SET_DSCP = 1,
	PACKET_SET_MARK = 2,     /* the kernel's own, which no packet carries */
	PACKET_SET_PRIORITY = 4, /* likewise: the class of a queue */
	PACKET_MIRROR = 8,
	PACKET_REDIRECT = 16, /* final */
};

/* Times in 16ths of a nanosecond, which a u64 holds for 36 years. */
#define PACKET_TIME(ns) ((ns)*16)

/* A byte of a fast limit takes less than that. */
#define PACKET_BYTE_SHIFT 10

struct packet_rule {
	__u8 verdict; /* enum packet_verdict */
	__u8 per;     /* enum packet_per */
	__u8 fine;    /* its rate needs a finer clock than the kernel's tick */
	__u8 changes; /* enum packet_change */
	__u8 dscp;
	__u8 bytes; /* a limit of bytes: `step` is of each, in 2^-PACKET_BYTE_SHIFT */
	__u8 pad[2];
	__u32 mark, priority;
	__u32 target; /* interface that it is mirrored to, or sent to instead; 0: none */
	__u32 pad2;
	__u64 step;  /* of a limit: what each packet takes; 0: it has none */
	__u64 room;  /* how far what was taken may be ahead for one more to come */
	__u64 ahead; /* further than that it never gets */
	__u64 drop;  /* how long all of a source is dropped when it took too much; 0: not */
	__u64 pad3;  /* a power of two: verifiers before 6.2 lose sight of other products */
};

/* Where a piece of the address space is in the list: `count` steps from `at` on; 0: `at` is its value. A
 * piece that fits into a block lies within one. */
struct packet_piece {
	__u32 at;
	__u32 count;
};

/* An element of the list of networks: from the address `start` on, up to the next, it is `value`: a
 * class, or with PACKET_DEEPER the element that holds the struct packet_piece for the next 32 bits. */
struct packet_step {
	__u32 start;
	__u32 value;
};
#define PACKET_DEEPER    0x80000000u
#define PACKET_STEPS_MAX (1u << 24)

/* The first block of a list is in the plan, the others are elements of "packet_networks". */
#define PACKET_BLOCK 65536
struct packet_block {
	struct packet_step steps[PACKET_BLOCK];
};

struct packet_device {
	__u32 ifindex; /* 0: none */
	__u32 class;
};

/* "packet_plans": an array of two, by generation. Class 0 of a field is what no rule names. */
struct packet_plan {
	__u64 question; /* struct packet_question has it; 0: nobody asks */
	__u32 uses;     /* bits 1 << enum packet_field: what any rule asks for */
	__u32 words;    /* of the masks in use */
	__u32 seed;     /* of the limits' hashes */
	__u32 spread;   /* multiplier that puts the interfaces into slots of their own */
	__u32 tick_ns;  /* of the kernel's clock */
	__u32 ticks_per_s;
	__u32 has_sieve;   /* "packet_sieves" says where IPv4 sources are worth looking up */
	__u32 asks_sender; /* rules have conditions about who sends; of the guard of traffic */
	struct packet_mask kinds[PACKET_KINDS];
	struct packet_rule rules[POLICY_RULES];
	struct packet_mask masks[PACKET_FIELDS][PACKET_CLASSES];
	struct packet_device devices[PACKET_DEVICES];
	__u16 ports[2][65536]; /* source, destination */
	__u16 whats[PACKET_WHATS];
	struct packet_piece pieces[4][65536]; /* by 16 bits: from, to (IPv4), from, to (IPv6) */
	struct packet_block block;
};

/* "packet_sieves": an array of two: a bit for each /24 of IPv4 that holds a network. */
struct packet_sieve {
	__u64 words[1 << 18];
};

/* "packet_buckets": how far the limits of sources were used up; an array. Hashed: a source uses two
 * buckets of a line, and is over its limit when both are. Nothing is ever allocated for it. Half a
 * megabyte: in a flood from everywhere it is the cache that counts. */
#define PACKET_LINES   8192
#define PACKET_BUCKETS 8
struct packet_line {
	__u64 due[PACKET_BUCKETS]; /* when all that was taken is made good */
};

/* "packet_wary": an array of PACKET_LINES: until when "packet_floods" is asked about who comes there. */

/* "filter_slots": of the guard of filter, an array of FILTER_SLOTS: the priority that its program number n is
 * attached with. Its packets' class of PACKET_POST is n * PACKET_PLACES + enum packet_place. */
#define FILTER_SLOTS 8
struct filter_slot {
	__s32 priority;
	__u32 generations; /* bits: whose rules are there; 0: it is free */
};

/* "packet_totals": the same for limits of all together, exact; an array by the rule's slot: when all that
 * was taken is made good. */

/* "packet_floods": those whose packets a limit drops for a while; an LRU hash. Who: the rule, and what it
 * counts by (zero what it doesn't). */
#define PACKET_FLOODS 65536
struct packet_key {
	__u64 address[2]; /* IPv4: four bytes */
	__u16 slot;       /* of the rule */
	__u16 port;
	__u8 per;    /* enum packet_per */
	__u8 family; /* 4, 6 */
	__u8 protocol;
	__u8 pad;
};

struct packet_flood {
	__u64 until;    /* as PACKET_TIME, on the clock of its rule */
	__u64 began_ns; /* CLOCK_BOOTTIME */
	__u64 ends_ns;
	__u64 packets; /* that came in it */
	__u64 bytes;
	__u32 told;    /* 1: of its end */
	__u32 outcome; /* enum outcome: what comes of its packets */
};

/* "packet_names": an array by the rule's slot: the name of the rule that dropped last for a while. */
struct packet_name {
	char name[POLICY_NAME];
} __attribute__((aligned(8)));

/* "packet_snap": an array of one: until when, and how many of the first bytes of packets that are told
 * somebody wants to have. */
#define PACKET_SNAP_MAX 256
struct packet_snap {
	__u64 until_ns; /* CLOCK_BOOTTIME */
	__u32 bytes;
	__u32 pad;
};

/* "packet_cookies": an array of one, for all generations: what SYNs are answered with. */
struct packet_cookies {
	__u64 secret[2];    /* of the seals in timestamps; never changed */
	__u32 rmem_max;     /* net.core.rmem_max, bytes */
	__u32 acks_are_met; /* at TC, wherever SYNs are answered */
};

/* "packet_tolds": a per-CPU array of POLICY_SLOTS and one: when a rule was last told of, how many of its
 * packets were not since. The last: of all rules, the second and how many were told in it. */
#define PACKET_TOLD_PER_S 50
struct packet_told {
	__u64 at_ticks;
	__u64 since;
};

/* "packet_forms": a per-CPU array of PACKET_FORMS + PACKET_KEEPS counts. */

/* What a frame begins with, in place of the hardware addresses, that asks which rule decides. `question`
 * is a random number, that of the plan. */
struct packet_question {
	__u64 question;
	__u32 ifindex; /* that it is to have come by */
} __attribute__((packed, aligned(4)));

/* "packet_answers": an array of one, the answer. */
struct packet_answer {
	__u64 question; /* the one that is answered */
	__u32 form;     /* enum packet_form */
	__u32 kinds;
	__u32 keep;  /* enum packet_keep: why it passes though `rule` drops it */
	__u32 rule;  /* that decides; POLICY_RULES: none */
	__u32 drops; /* it is dropped */
	__u32 pad;
	struct packet_mask met; /* all rules that it meets */
};
