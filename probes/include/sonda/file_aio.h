/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Operations on files that a program hands to the kernel with io_submit(2), as libaio does, and whose
 * results it takes with io_getevents(2): seen at these two calls, the kernel has no tracepoint in
 * between. So an operation takes until its result is taken, and one whose result the program takes out of
 * the ring itself is not seen; neither are 32-bit programs.
 *
 * Included by sonda/file_io.h.
 */
#pragma once

/* Operations of one call that are kept, and results that are told. */
#define AIO_BATCH 128

struct aio_event {
	u64 data;
	u64 obj; /* address of the struct iocb */
	s64 res;
	s64 res2;
};
struct aio_block { /* struct iocb */
	u64 data;
	u32 key;
	u32 rw_flags;
	u16 opcode;
	s16 priority;
	u32 fd;
	u64 buf;
	u64 bytes;
	s64 offset;
};

/* An operation under way. */
struct aio_key {
	u64 block;
	u64 tgid;
};
struct aio_io {
	u64 at_ns;
	/* of the file: it may be closed, and its memory another's, before the result is taken */
	struct inode *inode;
	struct file_io io; /* told from here, as 5.10 has little stack */
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct aio_key);
	__type(value, struct aio_io);
} aio_ios SEC(".maps");

static __always_inline enum file_op aio_file_op(u16 opcode)
{
	switch (opcode) {
	case 0: /* IOCB_CMD_PREAD, PREADV */
	case 7:
		return FILE_OP_READ;
	case 1:
	case 8:
		return FILE_OP_WRITE;
	case 2:
	case 3:
		return FILE_OP_SYNC;
	default:
		return FILE_OP_NONE;
	}
}

static __always_inline struct aio_key aio_key(u64 block)
{
	return (struct aio_key){ block, bpf_get_current_pid_tgid() >> 32 };
}

/* Not static, nor aio_io_forget() and aio_io_ends(): the verifier checks each once, and not at each call. */
__noinline int aio_io_begins(u64 at)
{
	struct file **files, *file;
	struct aio_block block;
	struct aio_io begun = {};
	struct aio_key key;
	u64 address;

	if (bpf_probe_read_user(&address, sizeof(address), (void *)at) ||
	    bpf_probe_read_user(&block, sizeof(block), (void *)address))
		return 0;
	key = aio_key(address);
	begun.io.op = aio_file_op(block.opcode);
	if (!begun.io.op || !(FILE_IO_OPS & (1u << (begun.io.op & 31))))
		return 0;
	files = files_below(block.fd);
	if (!files)
		return 0;
	file = kernel_pointer(&files[block.fd]);
	if (!file_stored(file))
		return 0;
	begun.io.file = file;
	begun.io.offset = begun.io.op == FILE_OP_SYNC ? -1 : block.offset;
	begun.inode = BPF_CORE_READ(file, f_inode);
	begun.at_ns = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&aio_ios, &key, &begun, BPF_ANY))
		count_lost(LOSS_STATE);
	return 0;
}

/* At the entry of io_submit(ctx, n, blocks): who takes the results may be quicker than its exit. */
static __always_inline void aio_begins(const struct pt_regs *regs)
{
	u64 n = syscall_arg(regs, 1, false), blocks = syscall_arg(regs, 2, false);

	for (u32 i = 0; i < AIO_BATCH && i < n; i++)
		aio_io_begins(blocks + i * sizeof(u64));
}

/* Of `n` that the kernel took, or gave back, those behind the first AIO_BATCH. */
static __noinline int aio_lost(s64 n)
{
	struct stats *s = stats_here();

	if (s && n > AIO_BATCH) {
		__sync_fetch_and_add(&s->seen, n - AIO_BATCH);
		__sync_fetch_and_add(&s->lost[LOSS_STATE], n - AIO_BATCH);
	}
	return 0;
}

__noinline int aio_io_forget(u64 at)
{
	struct aio_key key;
	u64 block;

	if (bpf_probe_read_user(&block, sizeof(block), (void *)at))
		return 0;
	key = aio_key(block);
	return bpf_map_delete_elem(&aio_ios, &key);
}

/* At its exit: what it has not taken is not under way. */
static __always_inline void aio_refused(const struct pt_regs *regs, s64 taken)
{
	u64 n = syscall_arg(regs, 1, false), blocks = syscall_arg(regs, 2, false);

	if (taken > 0) {
		n -= taken;
		blocks += taken * sizeof(u64);
	}
	for (u32 i = 0; i < AIO_BATCH && i < n; i++)
		aio_io_forget(blocks + i * sizeof(u64));
}

/* What is known of the operation whose result lies at the address, and that result. */
static __noinline struct aio_io *aio_io_ended(u64 address)
{
	struct aio_event event;
	struct aio_io *begun;
	struct aio_key key;

	if (bpf_probe_read_user(&event, sizeof(event), (void *)address))
		return NULL;
	key = aio_key(event.obj);
	begun = bpf_map_lookup_elem(&aio_ios, &key);
	if (begun)
		begun->io.ret = event.res;
	return begun;
}

static __noinline int aio_io_over(u64 address)
{
	struct aio_event event;
	struct aio_key key;

	if (bpf_probe_read_user(&event, sizeof(event), (void *)address))
		return 0;
	key = aio_key(event.obj);
	return bpf_map_delete_elem(&aio_ios, &key);
}

__noinline int aio_io_ends(u64 address)
{
	struct aio_io *begun = aio_io_ended(address);
	struct file *file;

	if (!begun)
		return 0;
	begun->io.who = bpf_get_current_pid_tgid();
	begun->io.took_ns = bpf_ktime_get_ns() - begun->at_ns;
	file = begun->io.file;
	/* events of the older kind take a context, which such a function has not */
	if (BPF_CORE_READ(file, f_inode) != begun->inode || sonda_conf.perf_array)
		count_lost(LOSS_STATE);
	else
		file_io_tell(NULL, &begun->io);
	return aio_io_over(address);
}

/* At the exit of io_getevents(ctx, least, most, events, ...). */
static __always_inline void aio_ends(const struct pt_regs *regs, s64 n)
{
	u64 events = syscall_arg(regs, 3, false);

	for (u32 i = 0; i < AIO_BATCH && i < n; i++)
		aio_io_ends(events + i * sizeof(struct aio_event));
}
