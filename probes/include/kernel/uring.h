/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * io_uring requests, as they are from 6.0 on: before, requests had other members and the tracepoints
 * did not tell which request they were about.
 */
#pragma once

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct io_cqe {
	s32 res;
};
struct io_cmd_data {
	struct file *file;
};
struct io_kiocb {
	struct io_cmd_data cmd; /* begins with what the opcode needs: struct io_open ... */
	u8 opcode;
	struct io_cqe cqe;
};
struct open_how {
	u64 flags;
	u64 mode;
	u64 resolve;
};
struct io_open {
	int dfd;
	u32 file_slot;
	struct filename *filename;
	struct open_how how;
};
struct kiocb {
	s64 ki_pos;
};
struct io_rw {
	struct kiocb kiocb;
};

#pragma clang attribute pop

#define URING_OPENAT  18 /* IORING_OP_... */
#define URING_OPENAT2 28

static __always_inline struct io_open *uring_open(struct io_kiocb *req)
{
	return (void *)req + bpf_core_field_offset(struct io_kiocb, cmd);
}

/* The path in user memory that an open asked for. NULL from 7.0 on: its address is no longer kept. */
static __always_inline const char *uring_open_name(struct io_open *open)
{
	if (!bpf_core_field_exists(open->filename) || !bpf_core_field_exists(struct filename, uptr))
		return NULL;
	return BPF_CORE_READ(open, filename, uptr);
}

/* Where a read or a write begins, when it is submitted; -1: at the file's position. */
static __always_inline s64 uring_rw_offset(struct io_kiocb *req)
{
	struct io_rw *rw = (void *)req + bpf_core_field_offset(struct io_kiocb, cmd);

	return BPF_CORE_READ(rw, kiocb.ki_pos);
}
