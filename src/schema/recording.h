/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A recording, byte by byte, for its writer (sink/record.c) and its reader (transport/recorded.c):
 * a head, then blocks, each with its length and checksum, so that what was written whole can be read
 * whatever comes after it. Numbers are in the byte order of the machine that wrote them, which the
 * head tells; every structure lies at a multiple of eight bytes from the start of its block.
 */
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#define RECORDING_MAGIC   "SONDAREC"
#define RECORDING_VERSION 1
#define RECORDING_ORDER   0x01020304u

enum {
	RECORDING_BLOCK_AIM = 256 * 1024,        /* bytes before compression: then it is written */
	RECORDING_BLOCK_MAX = 4 * 1024 * 1024,   /* more is malformed */
	RECORDING_SCHEMAS_MAX = 8 * 1024 * 1024, /* bytes of all schemas together */
	RECORDING_PROBES_MAX = 1024,
};

struct recording_head {
	char magic[8];
	uint32_t order, version;
	int64_t wall_offset_ns; /* CLOCK_REALTIME - CLOCK_BOOTTIME */
	uint64_t started_ns;    /* CLOCK_BOOTTIME */
	char release[72];       /* of the kernel; like host NUL-terminated */
	char host[72];
	uint32_t cpus;
	uint32_t checksum; /* CRC-32 of what stands before it */
};

enum recording_block_type {
	BLOCK_SCHEMA, /* one, as schema_encode() writes it; they count from 0 */
	BLOCK_ROWS,   /* items */
	BLOCK_END,    /* struct recording_account, one a probe; nothing follows */
	BLOCK_TYPE_COUNT,
};

/* Then the bytes: a zstd frame, or as they are when both sizes are the same. */
struct recording_block {
	uint32_t type;
	uint32_t stored_bytes; /* that follow */
	uint32_t plain_bytes;
	uint32_t checksum; /* CRC-32 of what stands before it, and of the bytes stored */
};

enum recording_item_type { ITEM_VALUE, ITEM_ROW, ITEM_LOSS };

/* In BLOCK_ROWS. `bytes` counts what follows, without the zeroes up to a multiple of eight. */
struct recording_item {
	uint32_t type;
	uint32_t bytes;
};

/* ITEM_VALUE: a value that rows of this block refer to by its place among the block's values, from
 * 1. Its bytes follow: the text, or the number, or the struct ip. */
struct recording_value {
	uint32_t type; /* enum value_type */
	uint32_t cut;
};

/* ITEM_ROW. `derived` references follow (0: not known), then `size` bytes of the event. */
struct recording_row {
	uint32_t schema;
	uint32_t cpu;
	uint64_t seq;
	uint64_t at_ns;
	uint32_t derived;
	uint32_t size;
};

/* ITEM_LOSS: both names are values of this block. */
struct recording_loss {
	uint64_t count;
	uint64_t at_ns;
	uint32_t probe, cause;
};

/* What became of a probe's operations: seen = rows + filtered + lost. Its name follows, with zeroes
 * up to a multiple of eight. */
struct recording_account {
	uint64_t seen, rows, filtered, lost;
	uint64_t missed; /* of `lost`: runs that the kernel skipped */
	uint64_t cut, unresolved, overflow;
	uint64_t probe_bytes;
};

static inline uint32_t recording_padded(uint32_t bytes)
{
	return (bytes + 7u) & ~7u;
}

static inline uint32_t recording_head_checksum(const struct recording_head *h)
{
	return (uint32_t)crc32(0, (const void *)h, offsetof(struct recording_head, checksum));
}

static inline uint32_t recording_block_checksum(const struct recording_block *b, const void *stored)
{
	uLong sum = crc32(0, (const void *)b, offsetof(struct recording_block, checksum));

	return (uint32_t)crc32(sum, stored, b->stored_bytes);
}
