/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Block requests and the bios they carry: only the fields used. The accessors load directly from
 * the typed pointers that tp_btf programs are given: no other program type may call them.
 */
#pragma once

#include "kernel/pagecache.h"
#include "kernel/task.h"

/* enum req_opf before 6.0; the numbers of the zone operations have moved, so names are taken from
 * the running kernel where it has this enum */
enum req_op {
	REQ_OP_READ = 0,
	REQ_OP_WRITE = 1,
	REQ_OP_FLUSH = 2,
	REQ_OP_DISCARD = 3,
	REQ_OP_SECURE_ERASE = 5,
	REQ_OP_WRITE_SAME = 7,
	REQ_OP_WRITE_ZEROES = 9,
	REQ_OP_ZONE_OPEN = 10,
	REQ_OP_ZONE_CLOSE = 11,
	REQ_OP_ZONE_FINISH = 12,
	REQ_OP_ZONE_APPEND = 13,
	REQ_OP_ZONE_RESET = 15,
	REQ_OP_ZONE_RESET_ALL = 17,
	REQ_OP_SCSI_IN = 32,
	REQ_OP_SCSI_OUT = 33,
	REQ_OP_DRV_IN = 34,
	REQ_OP_DRV_OUT = 35,
};
#define REQ_OP_MASK 0xff

enum mq_rq_state {
	MQ_RQ_IDLE,
	MQ_RQ_IN_FLIGHT,
	MQ_RQ_COMPLETE,
};

/* bit numbers in request::cmd_flags and bio::bi_opf; the values are the running kernel's */
enum req_flag_bits {
	__REQ_SYNC,
	__REQ_META,
	__REQ_PRIO,
	__REQ_IDLE,
	__REQ_FUA,
	__REQ_PREFLUSH,
	__REQ_RAHEAD,
	__REQ_BACKGROUND,
	__REQ_NOWAIT,
	__REQ_SWAP,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct gendisk {
	int major;
	int first_minor;
	int flags;
	struct request_queue *queue;
	void *private_data;
};
/* a partition or a whole disk, before 5.11 */
struct device___number {
	u32 devt;
};
struct hd_struct {
	u64 start_sect;
	struct device___number __dev;
};
/* what NVMe with multipath keeps of a path to a disk, and of the disk itself */
struct nvme_ns_head {
	struct gendisk *disk;
};
struct nvme_ns {
	struct nvme_ns_head *head;
};
struct request_queue {
	struct gendisk *disk;
};
/* gone since 6.10, together with zone write locking */
struct request_queue___pre610 {
	unsigned int required_elevator_features;
};

struct blkcg {
	struct cgroup_subsys_state css;
};
struct blkcg_gq {
	struct blkcg *blkcg;
};
struct block_device {
	struct gendisk *bd_disk;
	u64 bd_start_sect;
	u32 bd_dev;
};
struct bio_vec {
	struct page *bv_page;
};
struct bvec_iter {
	u64 bi_sector;
	unsigned int bi_size;
};
struct bio {
	struct block_device *bi_bdev;
	struct bvec_iter bi_iter;
	struct bio_vec *bi_io_vec;
	struct bio *bi_next;
	void *bi_private;
	u32 bi_opf;
	u16 bi_flags;
	struct blkcg_gq *bi_blkg;
};
struct super_block___block {
	struct block_device *s_bdev;
};
/* bi_bdev replaced bi_disk in 5.12 (309dca309fc3) */
struct bio___pre512 {
	struct gendisk *bi_disk;
	u8 bi_partno;
};

struct request {
	struct request_queue *q;
	u32 cmd_flags;
	u32 __data_len;
	u64 __sector;
	struct bio *bio;
	enum mq_rq_state state;
};
/* request_queue::disk replaced rq_disk in 5.17 (f3fa33acca9f) */
struct request___pre517 {
	struct gendisk *rq_disk;
};
/* the partition it is accounted to: a struct block_device from 5.11 on (0d02129e76ed) */
struct request___pre511 {
	struct hd_struct *part;
};

#pragma clang attribute pop

#define BIO_IS_CLONE 2 /* BIO_CLONED, a bit of bio::bi_flags: a copy, to be sent elsewhere */

#define GENHD_FL_HIDDEN          2
#define GENHD_FL_HIDDEN___pre517 0x400

static __always_inline int genhd_hidden(void)
{
	return bpf_core_field_exists(struct request___pre517, rq_disk) ? GENHD_FL_HIDDEN___pre517
								       : GENHD_FL_HIDDEN;
}

static __always_inline u32 disk_device(struct gendisk *disk)
{
	return BPF_CORE_READ(disk, major) << 20 | BPF_CORE_READ(disk, first_minor);
}

/* A path of NVMe multipath is a hidden disk, which nobody knows by its number: the disk it leads to. */
static __always_inline u32 hidden_disk_device(struct gendisk *disk)
{
	struct nvme_ns *path = BPF_CORE_READ(disk, private_data);
	struct gendisk *head = NULL;

	if (bpf_core_type_exists(struct nvme_ns))
		head = BPF_CORE_READ(path, head, disk);
	return disk_device(head ? head : disk);
}

/* The kernel's device number of the whole disk; 0 where the request is for no disk. */
static __noinline u32 request_device(struct request *rq)
{
	struct gendisk *disk;

	if (bpf_core_field_exists(struct request___pre517, rq_disk))
		disk = ((struct request___pre517 *)rq)->rq_disk;
	else
		disk = rq->q->disk;
	if (!disk)
		return 0;
	if (disk->flags & genhd_hidden())
		return hidden_disk_device(disk);
	return disk->major << 20 | disk->first_minor;
}

/* The same by any address: slower, for programs that have no typed pointer to the request. */
static __always_inline u32 request_device_at(struct request *rq)
{
	struct gendisk *disk;

	if (bpf_core_field_exists(struct request___pre517, rq_disk))
		disk = BPF_CORE_READ((struct request___pre517 *)rq, rq_disk);
	else
		disk = BPF_CORE_READ(rq, q, disk);
	return disk ? disk_device(disk) : 0;
}

/* Where a request was sent to: the partition, or the whole disk, and the sector where that begins. Left as they
 * are where it is not known, as of a flush. A bio of 5.10 no longer knows its partition here: the accounts do.
 * Through memory, or the old verifier looks at what follows once for each way through. */
static __noinline void request_place(struct request *rq, u32 *ret_device, u64 *ret_begins)
{
	struct block_device *bdev;
	struct hd_struct *part;

	if (!rq->bio)
		return;
	if (bpf_core_field_exists(struct bio, bi_bdev)) {
		bdev = rq->bio->bi_bdev;
		if (bdev->bd_disk->flags & genhd_hidden())
			return;
		*ret_device = bdev->bd_dev;
		*ret_begins = bdev->bd_start_sect;
	} else if (bpf_core_type_exists(struct hd_struct)) {
		part = ((struct request___pre511 *)rq)->part;
		if (!part)
			return;
		*ret_device = part->__dev.devt;
		*ret_begins = part->start_sect;
	}
}

/* How many bios it carries, up to REQUEST_BIOS_MAX: one, and those merged with it. Counted in memory: with
 * a number that it knows after the loop the verifier would look at what follows once for each. */
#define REQUEST_BIOS_MAX 128
static __noinline void request_bios(struct request *rq, volatile u32 *ret_bios)
{
	struct bio *bio = rq->bio;

	for (u32 i = 0; i < REQUEST_BIOS_MAX && bio; i++) {
		*ret_bios += 1;
		bio = bio->bi_next;
	}
}

/* A bio that came from `device` (major << 20 | minor) goes on to another: is that only from a partition to
 * its disk? Those of device mapper and md have other numbers than what lies below them. */
#define EXTENDED_MAJOR 259
static __always_inline bool bio_left_partition(struct bio *bio, u32 device)
{
	struct bio___pre512 *old = (struct bio___pre512 *)bio;

	if (bpf_core_field_exists(struct bio, bi_bdev))
		return bio->bi_bdev->bd_dev == device;
	return old->bi_partno &&
	       (device >> 20 == old->bi_disk->major || device >> 20 == EXTENDED_MAJOR);
}

static __always_inline struct request_queue *bio_queue(struct bio *bio)
{
	if (bpf_core_field_exists(struct bio, bi_bdev))
		return bio->bi_bdev->bd_disk->queue;
	return ((struct bio___pre512 *)bio)->bi_disk->queue;
}

/* The cgroup that the I/O is charged to: for write-back the one whose pages are written. */
static __always_inline u64 bio_cgroup(struct bio *bio)
{
	if (!bpf_core_field_exists(struct bio, bi_blkg))
		return 0;
	return bio->bi_blkg->blkcg->css.cgroup->kn->id;
}

/* The file (or block device) whose pages the I/O carries, or NULL: memory of a process, also such as
 * is shared, which is a file of a file system without a disk. */
static __always_inline struct inode *bio_inode(struct bio *bio)
{
	struct inode *inode = page_inode(BPF_CORE_READ(bio, bi_io_vec, bv_page));
	struct super_block___block *sb;

	if (!inode)
		return NULL;
	sb = (struct super_block___block *)BPF_CORE_READ(inode, i_sb);
	if (inode_type(inode) != FILE_TYPE_BLOCK && !BPF_CORE_READ(sb, s_bdev))
		return NULL;
	return inode;
}

/* Is flag `name` of enum req_flag_bits, without its underscores, set in `opf`? */
#define opf_has(opf, name)                                           \
	(bpf_core_enum_value_exists(enum req_flag_bits, __##name) && \
	 (opf) & (1u << bpf_core_enum_value(enum req_flag_bits, __##name)))

/* clang-format off */
/* errno of each blk_status_t. Volatile, or clang moves 32 constant bytes to a section of its own,
 * .rodata.cst32, and the BTF that says .rodata is refused. */
static const volatile u8 status_errnos[32] = {
	0, EOPNOTSUPP, ETIMEDOUT, ENOSPC, ENOLINK, EREMOTEIO, EBADE, ENODATA, EILSEQ, ENOMEM, EIO,
	EREMCHG, EAGAIN, EBUSY, EBUSY, ETOOMANYREFS, EOVERFLOW, ENODEV, ETIME, EINVAL,
};
/* clang-format on */

/*
 * Second argument of block_rq_complete as a negative errno. It was one before 5.16; then it became
 * a blk_status_t, which is positive. Its numbers from 14 on moved down by one when
 * BLK_STS_ZONE_RESOURCE was removed in 6.10.
 */
static __always_inline int request_errno(int status)
{
	u8 err;

	if (status <= 0)
		return status;
	if (status >= 14 && status <= 17 &&
	    !bpf_core_field_exists(struct request_queue___pre610, required_elevator_features))
		status++;
	err = status_errnos[status & 31];
	return err ? -err : -EIO;
}
