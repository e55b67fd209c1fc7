/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * NVMe commands: only the fields used, and names of what the specification numbers. The accessors load
 * from the typed pointers that tp_btf programs are given.
 */
#pragma once

#include "kernel/block.h"
#include "kernel/direct.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct nvme_common_command {
	u8 opcode;
	u16 command_id;
	u32 nsid;
	u32 cdw10; /* what it is of the operation */
};
struct nvme_command {
	struct nvme_common_command common;
};
struct nvme_ctrl {
	int instance;
};
struct nvme_request {
	u8 retries;
	u16 status;
	struct nvme_ctrl *ctrl;
};

struct blk_mq_hw_ctx {
	unsigned int queue_num;
};
struct request_queue___nvme {
	void *queuedata;
};
struct request___nvme {
	struct request_queue___nvme *q;
	struct blk_mq_hw_ctx *mq_hctx;
};

#pragma clang attribute pop

#define NVME_ABORT        0x08
#define NVME_SET_FEATURES 0x09
/* The feature that the driver sets once whenever it sets the controller up. */
#define NVME_QUEUE_COUNT 0x07
#define NVME_ADMIN 0x100 /* the admin queue's opcodes overlap with those for data */

enum nvme_name {
	NVME_FLUSH = 0x00,
	NVME_WRITE = 0x01,
	NVME_READ = 0x02,
	NVME_WRITE_UNCORRECTABLE = 0x04,
	NVME_COMPARE = 0x05,
	NVME_WRITE_ZEROES = 0x08,
	NVME_DISCARD = 0x09,
	NVME_VERIFY = 0x0c,
	NVME_RESERVATION_REGISTER = 0x0d,
	NVME_RESERVATION_REPORT = 0x0e,
	NVME_RESERVATION_ACQUIRE = 0x11,
	NVME_RESERVATION_RELEASE = 0x15,
	NVME_ZONE_MANAGE = 0x79,
	NVME_ZONE_REPORT = 0x7a,
	NVME_ZONE_APPEND = 0x7d,
	NVME_FABRICS = 0x7f,
	NVME_ADMIN_DELETE_SQ = NVME_ADMIN | 0x00,
	NVME_ADMIN_CREATE_SQ = NVME_ADMIN | 0x01,
	NVME_ADMIN_GET_LOG_PAGE = NVME_ADMIN | 0x02,
	NVME_ADMIN_DELETE_CQ = NVME_ADMIN | 0x04,
	NVME_ADMIN_CREATE_CQ = NVME_ADMIN | 0x05,
	NVME_ADMIN_IDENTIFY = NVME_ADMIN | 0x06,
	NVME_ADMIN_ABORT = NVME_ADMIN | 0x08, /* sent when a command timed out */
	NVME_ADMIN_SET_FEATURES = NVME_ADMIN | 0x09,
	NVME_ADMIN_GET_FEATURES = NVME_ADMIN | 0x0a,
	NVME_ADMIN_ASYNC_EVENT = NVME_ADMIN | 0x0c,
	NVME_ADMIN_NS_MANAGE = NVME_ADMIN | 0x0d,
	NVME_ADMIN_FIRMWARE_COMMIT = NVME_ADMIN | 0x10,
	NVME_ADMIN_FIRMWARE_DOWNLOAD = NVME_ADMIN | 0x11,
	NVME_ADMIN_SELF_TEST = NVME_ADMIN | 0x14,
	NVME_ADMIN_NS_ATTACH = NVME_ADMIN | 0x15,
	NVME_ADMIN_KEEP_ALIVE = NVME_ADMIN | 0x18,
	NVME_ADMIN_DOORBELL_BUFFER = NVME_ADMIN | 0x7c,
	NVME_ADMIN_FABRICS = NVME_ADMIN | 0x7f,
	NVME_ADMIN_FORMAT = NVME_ADMIN | 0x80,
	NVME_ADMIN_SECURITY_SEND = NVME_ADMIN | 0x81,
	NVME_ADMIN_SECURITY_RECEIVE = NVME_ADMIN | 0x82,
	NVME_ADMIN_SANITIZE = NVME_ADMIN | 0x84,
};

/* Type and code of a completion's status, without the bits that say whether to try again. */
#define NVME_STATUS_MASK 0x7ff
enum nvme_status {
	NVME_STATUS_SUCCESS = 0x000,
	NVME_STATUS_INVALID_OPCODE = 0x001,
	NVME_STATUS_INVALID_FIELD = 0x002,
	NVME_STATUS_ID_CONFLICT = 0x003,
	NVME_STATUS_TRANSFER_ERROR = 0x004,
	NVME_STATUS_POWER_LOSS = 0x005,
	NVME_STATUS_INTERNAL_ERROR = 0x006,
	NVME_STATUS_ABORTED = 0x007, /* by an abort command */
	NVME_STATUS_ABORTED_QUEUE_DELETED = 0x008,
	NVME_STATUS_INVALID_NAMESPACE = 0x00b,
	NVME_STATUS_SEQUENCE_ERROR = 0x00c,
	NVME_STATUS_SANITIZING = 0x01d,
	NVME_STATUS_WRITE_PROTECTED = 0x020,
	NVME_STATUS_INTERRUPTED = 0x021,
	NVME_STATUS_TRANSIENT_TRANSPORT = 0x022,
	NVME_STATUS_LBA_RANGE = 0x080,
	NVME_STATUS_CAPACITY_EXCEEDED = 0x081,
	NVME_STATUS_NAMESPACE_NOT_READY = 0x082,
	NVME_STATUS_RESERVATION_CONFLICT = 0x083,
	NVME_STATUS_ABORT_LIMIT = 0x103,
	NVME_STATUS_FEATURE_NOT_SAVEABLE = 0x10d,
	NVME_STATUS_WRITE_FAULT = 0x280,
	NVME_STATUS_READ_ERROR = 0x281,
	NVME_STATUS_GUARD_CHECK = 0x282,
	NVME_STATUS_APPTAG_CHECK = 0x283,
	NVME_STATUS_REFTAG_CHECK = 0x284,
	NVME_STATUS_COMPARE_FAILED = 0x285,
	NVME_STATUS_ACCESS_DENIED = 0x286,
	NVME_STATUS_UNWRITTEN_BLOCK = 0x287,
	NVME_STATUS_PATH_ERROR = 0x300,
	NVME_STATUS_PATH_LOST = 0x301,
	NVME_STATUS_PATH_INACCESSIBLE = 0x302,
	NVME_STATUS_PATH_TRANSITION = 0x303,
	NVME_STATUS_CONTROLLER_PATH_ERROR = 0x360,
	NVME_STATUS_HOST_PATH_ERROR = 0x370,
	NVME_STATUS_HOST_ABORTED = 0x371, /* cancelled by the driver: the controller was reset */
};

struct nvme_outcome {
	u32 controller;
	u32 status;
	u32 retries;
};

/* What the driver keeps of a command lies behind its request. */
static __always_inline void nvme_outcome(struct request *rq, struct nvme_outcome *out)
{
	struct nvme_request *kept = (void *)rq + bpf_core_type_size(struct request);

	if (DIRECT) {
		kept = direct(struct nvme_request, kept);
		out->controller = kept->ctrl->instance;
		out->status = kept->status;
		out->retries = kept->retries;
	} else {
		out->controller = BPF_CORE_READ(kept, ctrl, instance);
		out->status = BPF_CORE_READ(kept, status);
		out->retries = BPF_CORE_READ(kept, retries);
	}
	out->status &= NVME_STATUS_MASK;
}

/* Number of the controller's queue: 0 for the one of admin commands. */
static __always_inline u32 nvme_queue_of(struct request *rq)
{
	struct request___nvme *r = (struct request___nvme *)rq;

	return r->q->queuedata ? r->mq_hctx->queue_num + 1 : 0;
}
