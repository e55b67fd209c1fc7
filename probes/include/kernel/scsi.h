/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * SCSI commands: only the fields used, and names of what the standards number. The SCSI layer is a
 * module in most distributions: from 5.11 on its types are in its own BTF, before in none; there its
 * tracepoints' records tell, as they were laid out then.
 */
#pragma once

#include "kernel/block.h"

#define CDB_BYTES 16 /* of a command that are looked at: all of most */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct Scsi_Host {
	unsigned int host_no;
};
struct scsi_device {
	struct Scsi_Host *host;
	unsigned int id;
	unsigned int channel;
	u64 lun;
};
struct scsi_data_buffer {
	unsigned int length;
};
struct scsi_cmnd {
	struct scsi_device *device;
	unsigned char cmnd[32];
	struct scsi_data_buffer sdb;
	unsigned char *sense_buffer;
	int result;
};
/* the command lay elsewhere before 5.18 */
struct scsi_cmnd___pre518 {
	unsigned char *cmnd;
};

#pragma clang attribute pop

/* Records of the tracepoints in 5.8 to 5.12. */
struct scsi_started_pre513 {
	u64 common;
	u32 host;
	u32 channel;
	u32 id;
	u32 lun;
	u32 opcode;
	u32 cdb_bytes;
	u32 data_sglen;
	u32 prot_sglen;
	u8 prot_op;
	u32 cdb_at; /* offset of the command in the record, below its length */
};
struct scsi_refused_pre513 {
	u64 common;
	u32 host;
	u32 channel;
	u32 id;
	u32 lun;
	s32 refusal;
	u32 opcode;
	u32 cdb_bytes;
	u32 data_sglen;
	u32 prot_sglen;
	u8 prot_op;
	u32 cdb_at;
};
struct scsi_ended_pre513 {
	u64 common;
	u32 host;
	u32 channel;
	u32 id;
	u32 lun;
	s32 result;
	u32 opcode;
	u32 cdb_bytes;
	u32 data_sglen;
	u32 prot_sglen;
	u8 prot_op;
	u32 cdb_at;
};

struct scsi_recovery_pre513 {
	u64 common;
	u32 host;
};

enum scsi_name {
	SCSI_TEST_UNIT_READY = 0x00,
	SCSI_REQUEST_SENSE = 0x03,
	SCSI_FORMAT_UNIT = 0x04,
	SCSI_READ_6 = 0x08,
	SCSI_WRITE_6 = 0x0a,
	SCSI_INQUIRY = 0x12,
	SCSI_MODE_SELECT = 0x15,
	SCSI_MODE_SENSE = 0x1a,
	SCSI_START_STOP = 0x1b,
	SCSI_ALLOW_MEDIUM_REMOVAL = 0x1e,
	SCSI_READ_CAPACITY = 0x25,
	SCSI_READ_10 = 0x28,
	SCSI_WRITE_10 = 0x2a,
	SCSI_VERIFY = 0x2f,
	SCSI_SYNCHRONIZE_CACHE = 0x35,
	SCSI_WRITE_SAME = 0x41,
	SCSI_UNMAP = 0x42,
	SCSI_LOG_SENSE = 0x4d,
	SCSI_MODE_SENSE_10 = 0x5a,
	SCSI_PERSISTENT_RESERVE_IN = 0x5e,
	SCSI_PERSISTENT_RESERVE_OUT = 0x5f,
	SCSI_ATA = 0x85,
	SCSI_READ_16 = 0x88,
	SCSI_COMPARE_AND_WRITE = 0x89,
	SCSI_WRITE_16 = 0x8a,
	SCSI_VERIFY_16 = 0x8f,
	SCSI_SYNCHRONIZE_CACHE_16 = 0x91,
	SCSI_WRITE_SAME_16 = 0x93,
	SCSI_ZONE_OUT = 0x94,
	SCSI_ZONE_IN = 0x95,
	SCSI_READ_CAPACITY_16 = 0x9e,
	SCSI_REPORT_LUNS = 0xa0,
	SCSI_MAINTENANCE_IN = 0xa3,
	SCSI_READ_12 = 0xa8,
	SCSI_WRITE_12 = 0xaa,
	SCSI_NO_COMMAND = 0x100, /* it is about the host */
};

/* How a command ended: what the device said, or from 0x100 on why it said nothing. */
#define SCSI_BY_HOST 0x100
enum scsi_result {
	SCSI_GOOD = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_CONDITION_MET = 0x04,
	SCSI_BUSY = 0x08,
	SCSI_RESERVATION_CONFLICT = 0x18,
	SCSI_TASK_SET_FULL = 0x28,
	SCSI_ACA_ACTIVE = 0x30,
	SCSI_TASK_ABORTED = 0x40,
	SCSI_NO_CONNECTION = SCSI_BY_HOST | 0x01,
	SCSI_BUS_BUSY = SCSI_BY_HOST | 0x02,
	SCSI_TIME_OUT = SCSI_BY_HOST | 0x03,
	SCSI_BAD_TARGET = SCSI_BY_HOST | 0x04,
	SCSI_ABORT = SCSI_BY_HOST | 0x05,
	SCSI_PARITY = SCSI_BY_HOST | 0x06,
	SCSI_ERROR = SCSI_BY_HOST | 0x07,
	SCSI_RESET = SCSI_BY_HOST | 0x08,
	SCSI_BAD_INTERRUPT = SCSI_BY_HOST | 0x09,
	SCSI_PASSTHROUGH = SCSI_BY_HOST | 0x0a,
	SCSI_SOFT_ERROR = SCSI_BY_HOST | 0x0b,
	SCSI_RETRY = SCSI_BY_HOST | 0x0c,
	SCSI_REQUEUE = SCSI_BY_HOST | 0x0d,
	SCSI_TRANSPORT_DISRUPTED = SCSI_BY_HOST | 0x0e,
	SCSI_TRANSPORT_FAILFAST = SCSI_BY_HOST | 0x0f,
	SCSI_REFUSED = 0x200,   /* by the host's driver: it has no room now, and it is tried again */
	SCSI_TIMED_OUT = 0x201, /* no answer in time: the command is aborted, then what lies above it reset */
	SCSI_RECOVERY = 0x202,  /* the host stops, and its error handler resets what doesn't answer */
};

enum scsi_sense {
	SENSE_NONE,
	SENSE_RECOVERED,
	SENSE_NOT_READY,
	SENSE_MEDIUM_ERROR,
	SENSE_HARDWARE_ERROR,
	SENSE_ILLEGAL_REQUEST,
	SENSE_UNIT_ATTENTION,
	SENSE_DATA_PROTECT,
	SENSE_BLANK_CHECK,
	SENSE_VENDOR,
	SENSE_COPY_ABORTED,
	SENSE_ABORTED_COMMAND,
	SENSE_VOLUME_OVERFLOW = 13,
	SENSE_MISCOMPARE,
};

static __always_inline u32 scsi_result_of(int result)
{
	u32 by_host = result >> 16 & 0xff;

	return by_host ? SCSI_BY_HOST | by_host : result & 0xfe;
}

/* Blocks that a command is about: what its bytes say, if it reads or writes. */
static __always_inline u64 cdb_number(const u8 *at, u32 bytes)
{
	u64 n = 0;

	for (u32 i = 0; i < bytes; i++)
		n = n << 8 | at[i];
	return n;
}

static __always_inline void cdb_blocks(const u8 *cdb, u64 *ret_block, u32 *ret_blocks)
{
	switch (cdb[0]) {
	case SCSI_READ_6:
	case SCSI_WRITE_6:
		*ret_block = cdb_number(cdb + 1, 3) & 0x1fffff;
		*ret_blocks = cdb[4] ?: 256;
		return;
	case SCSI_READ_10:
	case SCSI_WRITE_10:
	case SCSI_VERIFY:
	case SCSI_WRITE_SAME:
		*ret_block = cdb_number(cdb + 2, 4);
		*ret_blocks = cdb_number(cdb + 7, 2);
		return;
	case SCSI_READ_12:
	case SCSI_WRITE_12:
		*ret_block = cdb_number(cdb + 2, 4);
		*ret_blocks = cdb_number(cdb + 6, 4);
		return;
	case SCSI_READ_16:
	case SCSI_WRITE_16:
	case SCSI_VERIFY_16:
	case SCSI_WRITE_SAME_16:
		*ret_block = cdb_number(cdb + 2, 8);
		*ret_blocks = cdb_number(cdb + 10, 4);
		return;
	}
}
