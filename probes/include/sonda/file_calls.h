/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * System calls on files, as rows of one table: what a call does, and where its descriptors, paths and
 * offset are among its arguments.
 *
 *	call = file_call_of(regs, WANTED, &is_32bit);	FILE_OP_BIT(READ) | FILE_OP_BIT(WRITE) ...
 *	files = file_call_files(call, regs, is_32bit);	those of its descriptors
 *	file_call_begins(regs, is_32bit, files);	at the entry: keeps time and files
 *	call = file_call_ended(regs, tid, &begun);	at the exit; NULL: another, or its entry was not seen
 *
 * What the entry keeps lies in an array, in a place that the thread's id gives: two stores instead of
 * an insertion and a deletion in a hash map. Threads whose ids are equal in their lower bits share a
 * place; the one that finds it taken by a call under way uses a hash map instead.
 */
#pragma once

#include "kernel/syscall.h"
#include "sonda/path.h"

#include <asm/unistd.h>

enum file_op {
	FILE_OP_NONE,
	FILE_OP_READ,
	FILE_OP_WRITE,
	FILE_OP_SYNC,
	FILE_OP_TRANSFER, /* sendfile and the like: reads one file, writes another */
	FILE_OP_FAULT,
	FILE_OP_OPEN,
	FILE_OP_CLOSE,
	FILE_OP_LIST,
	FILE_OP_STAT,
	FILE_OP_TRUNCATE,
	FILE_OP_ALLOCATE,
	FILE_OP_MAP,
	FILE_OP_LOCK,
	FILE_OP_RENAME,
	FILE_OP_UNLINK,
	FILE_OP_RMDIR,
	FILE_OP_MKDIR,
	FILE_OP_LINK,
	FILE_OP_SYMLINK,
	FILE_OP_MODE,
	FILE_OP_OWNER,
	FILE_OP_XATTR,
	FILE_OP_TIMES,
};
#define FILE_OP_BIT(name)  (1u << FILE_OP_##name)
/* Calls that hand operations to the kernel, and take their results: see sonda/file_aio.h */
#define FILE_OP_AIO_SUBMIT 30
#define FILE_OP_AIO_REAP   31
#define FILE_OPS_AIO       (FILE_OP_BIT(AIO_SUBMIT) | FILE_OP_BIT(AIO_REAP))

/* Set to 0 before the include where no wanted call takes a path. */
#ifndef FILE_CALL_PATHS
#define FILE_CALL_PATHS 1
#endif

#define NO_ARG 7
/* Where the arguments are; a path's descriptor is that of the directory it begins in. */
struct file_call {
	u8 op; /* enum file_op */
	u8 fd, path;
	u8 fd2, path2; /* the file written to, the new name */
	u8 offset;
	u8 pad[2];
};
#define FILE_CALLS 512
#define NR_NONE    (FILE_CALLS - 1) /* a call that this machine, or its 32-bit side, lacks */

#ifndef __NR_open /* newer machines have only the calls that take a directory */
#define __NR_open      NR_NONE
#define __NR_creat     NR_NONE
#define __NR_stat      NR_NONE
#define __NR_lstat     NR_NONE
#define __NR_access    NR_NONE
#define __NR_readlink  NR_NONE
#define __NR_getdents  NR_NONE
#define __NR_rename    NR_NONE
#define __NR_unlink    NR_NONE
#define __NR_rmdir     NR_NONE
#define __NR_mkdir     NR_NONE
#define __NR_link      NR_NONE
#define __NR_symlink   NR_NONE
#define __NR_chmod     NR_NONE
#define __NR_chown     NR_NONE
#define __NR_lchown    NR_NONE
#define __NR_utime     NR_NONE
#define __NR_utimes    NR_NONE
#define __NR_futimesat NR_NONE
#endif

/* clang-format off */
#define _ NO_ARG
/* number, on 32-bit x86, what it does, fd, path, fd2, path2, offset */
#define FILE_CALL_ROWS(X)                                                                          \
	X(__NR_read, 3, READ, 0, _, _, _, _)                                                       \
	X(__NR_write, 4, WRITE, 0, _, _, _, _)                                                     \
	X(__NR_pread64, 180, READ, 0, _, _, _, 3)                                                  \
	X(__NR_pwrite64, 181, WRITE, 0, _, _, _, 3)                                                \
	X(__NR_readv, 145, READ, 0, _, _, _, _)                                                    \
	X(__NR_writev, 146, WRITE, 0, _, _, _, _)                                                  \
	X(__NR_preadv, 333, READ, 0, _, _, _, 3)                                                   \
	X(__NR_pwritev, 334, WRITE, 0, _, _, _, 3)                                                 \
	X(__NR_preadv2, 378, READ, 0, _, _, _, 3)                                                  \
	X(__NR_pwritev2, 379, WRITE, 0, _, _, _, 3)                                                \
	X(__NR_fsync, 118, SYNC, 0, _, _, _, _)                                                    \
	X(__NR_fdatasync, 148, SYNC, 0, _, _, _, _)                                                \
	X(__NR_sync_file_range, 314, SYNC, 0, _, _, _, 1)                                          \
	X(__NR_syncfs, 344, SYNC, 0, _, _, _, _)                                                   \
	X(__NR_sendfile, 187, TRANSFER, 1, _, 0, _, _)                                             \
	X(NR_NONE, 239, TRANSFER, 1, _, 0, _, _)                                                   \
	X(__NR_splice, 313, TRANSFER, 0, _, 2, _, _)                                               \
	X(__NR_copy_file_range, 377, TRANSFER, 0, _, 2, _, _)                                      \
	X(__NR_io_submit, 248, AIO_SUBMIT, _, _, _, _, _)                                          \
	X(__NR_io_getevents, 247, AIO_REAP, _, _, _, _, _)                                         \
	X(__NR_io_pgetevents, 385, AIO_REAP, _, _, _, _, _)                                        \
	X(__NR_open, 5, OPEN, _, 0, _, _, _)                                                       \
	X(__NR_creat, 8, OPEN, _, 0, _, _, _)                                                      \
	X(__NR_openat, 295, OPEN, 0, 1, _, _, _)                                                   \
	X(__NR_openat2, 437, OPEN, 0, 1, _, _, _)                                                  \
	X(__NR_close, 6, CLOSE, 0, _, _, _, _)                                                     \
	X(__NR_getdents, 141, LIST, 0, _, _, _, _)                                                 \
	X(__NR_getdents64, 220, LIST, 0, _, _, _, _)                                               \
	X(__NR_stat, 195, STAT, _, 0, _, _, _)                                                     \
	X(__NR_lstat, 196, STAT, _, 0, _, _, _)                                                    \
	X(__NR_fstat, 197, STAT, 0, _, _, _, _)                                                    \
	X(__NR_newfstatat, 300, STAT, 0, 1, _, _, _)                                               \
	X(__NR_statx, 383, STAT, 0, 1, _, _, _)                                                    \
	X(__NR_access, 33, STAT, _, 0, _, _, _)                                                    \
	X(__NR_faccessat, 307, STAT, 0, 1, _, _, _)                                                \
	X(439, 439, STAT, 0, 1, _, _, _) /* faccessat2 */                                          \
	X(__NR_readlink, 85, STAT, _, 0, _, _, _)                                                  \
	X(__NR_readlinkat, 305, STAT, 0, 1, _, _, _)                                               \
	X(__NR_truncate, 193, TRUNCATE, _, 0, _, _, 1)                                             \
	X(__NR_ftruncate, 194, TRUNCATE, 0, _, _, _, 1)                                            \
	X(__NR_fallocate, 324, ALLOCATE, 0, _, _, _, 2)                                            \
	X(__NR_mmap, 192, MAP, 4, _, _, _, _)                                                      \
	X(__NR_flock, 143, LOCK, 0, _, _, _, _)                                                    \
	X(__NR_rename, 38, RENAME, _, 0, _, 1, _)                                                  \
	X(__NR_renameat, 302, RENAME, 0, 1, 2, 3, _)                                               \
	X(__NR_renameat2, 353, RENAME, 0, 1, 2, 3, _)                                              \
	X(__NR_unlink, 10, UNLINK, _, 0, _, _, _)                                                  \
	X(__NR_unlinkat, 301, UNLINK, 0, 1, _, _, _)                                               \
	X(__NR_rmdir, 40, RMDIR, _, 0, _, _, _)                                                    \
	X(__NR_mkdir, 39, MKDIR, _, 0, _, _, _)                                                    \
	X(__NR_mkdirat, 296, MKDIR, 0, 1, _, _, _)                                                 \
	X(__NR_link, 9, LINK, _, 0, _, 1, _)                                                       \
	X(__NR_linkat, 303, LINK, 0, 1, 2, 3, _)                                                   \
	X(__NR_symlink, 83, SYMLINK, _, 1, _, _, _)                                                \
	X(__NR_symlinkat, 304, SYMLINK, 1, 2, _, _, _)                                             \
	X(__NR_chmod, 15, MODE, _, 0, _, _, _)                                                     \
	X(__NR_fchmod, 94, MODE, 0, _, _, _, _)                                                    \
	X(__NR_fchmodat, 306, MODE, 0, 1, _, _, _)                                                 \
	X(452, 452, MODE, 0, 1, _, _, _) /* fchmodat2 */                                           \
	X(__NR_chown, 212, OWNER, _, 0, _, _, _)                                                   \
	X(__NR_lchown, 198, OWNER, _, 0, _, _, _)                                                  \
	X(__NR_fchown, 207, OWNER, 0, _, _, _, _)                                                  \
	X(__NR_fchownat, 298, OWNER, 0, 1, _, _, _)                                                \
	X(__NR_setxattr, 226, XATTR, _, 0, _, _, _)                                                \
	X(__NR_lsetxattr, 227, XATTR, _, 0, _, _, _)                                               \
	X(__NR_fsetxattr, 228, XATTR, 0, _, _, _, _)                                               \
	X(__NR_removexattr, 235, XATTR, _, 0, _, _, _)                                             \
	X(__NR_lremovexattr, 236, XATTR, _, 0, _, _, _)                                            \
	X(__NR_fremovexattr, 237, XATTR, 0, _, _, _, _)                                            \
	X(__NR_utime, 30, TIMES, _, 0, _, _, _)                                                    \
	X(__NR_utimes, 271, TIMES, _, 0, _, _, _)                                                  \
	X(__NR_futimesat, 299, TIMES, 0, 1, _, _, _)                                               \
	X(__NR_utimensat, 320, TIMES, 0, 1, _, _, _)

#define FILE_CALL(nr, nr32, op, fd, path, fd2, path2, offset)                                      \
	[nr] = { FILE_OP_##op, fd, path, fd2, path2, offset },
const volatile struct file_call file_calls[FILE_CALLS] = { FILE_CALL_ROWS(FILE_CALL) };
#undef FILE_CALL
#define FILE_CALL(nr, nr32, op, fd, path, fd2, path2, offset)                                      \
	[nr32] = { FILE_OP_##op, fd, path, fd2, path2, offset },
const volatile struct file_call file_calls_32[FILE_CALLS] = { FILE_CALL_ROWS(FILE_CALL) };
#undef FILE_CALL
#undef _
/* clang-format on */

static __always_inline bool file_call_on_path(const volatile struct file_call *call)
{
	return FILE_CALL_PATHS && call->path != NO_ARG;
}

static __always_inline bool file_call_wanted(const volatile struct file_call *call, u32 wanted_ops)
{
	return wanted_ops & (1u << (call->op & 31));
}

/* May the call of that number, of whichever table, do one of the wanted operations? */
static __always_inline bool file_call_may(u64 nr, u32 wanted_ops)
{
	wanted_ops &= ~FILE_OP_BIT(NONE);
	barrier_var(nr);
	return nr < NR_NONE && (file_call_wanted(&file_calls[nr], wanted_ops) ||
				file_call_wanted(&file_calls_32[nr], wanted_ops));
}

static __always_inline const volatile struct file_call *file_call_row(u64 nr, bool is_32bit)
{
	barrier_var(nr);
	if (nr >= NR_NONE)
		return NULL;
	return is_32bit ? &file_calls_32[nr] : &file_calls[nr];
}

/* The row of the call that `regs` is about, if it does one of the wanted operations; else NULL. */
static __always_inline const volatile struct file_call *
file_call_of(const struct pt_regs *regs, u32 wanted_ops, bool *ret_32bit)
{
	u64 nr = syscall_nr(regs);
	const volatile struct file_call *call;

	if (!file_call_may(nr, wanted_ops))
		return NULL;
	*ret_32bit = syscall_is_32bit();
	call = file_call_row(nr, *ret_32bit);
	return call && file_call_wanted(call, wanted_ops & ~FILE_OP_BIT(NONE)) ? call : NULL;
}

/* A call under way. */
struct file_call_begun {
	u64 at_ns;
	u64 told_ns; /* since when it is known to take long */
	struct file *file, *file2;
	u32 tid; /* 0: none */
	u32 nr;
	u32 is_32bit;
	u32 crowded; /* of a place: threads that are in the hash map because it was taken */
};
#define CALL_PLACES 16384
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CALL_PLACES);
	__type(key, u32);
	__type(value, struct file_call_begun);
} file_calls_begun SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32); /* thread */
	__type(value, struct file_call_begun);
} file_calls_crowded SEC(".maps");

/* The current process's open file that the argument `nth` names, or NULL. */
static __always_inline struct file *file_of_arg(const struct pt_regs *regs, u32 nth, bool is_32bit)
{
	u32 fd = syscall_arg(regs, nth, is_32bit);
	struct file **files = nth == NO_ARG ? NULL : files_below(fd);

	return files ? kernel_pointer(&files[fd]) : NULL;
}

/* The open files of a call on descriptors; of one on paths none. */
struct file_call_files {
	struct file *file, *file2;
};
static __always_inline struct file_call_files
file_call_files(const volatile struct file_call *call, const struct pt_regs *regs, bool is_32bit)
{
	struct file_call_files files = {};

	if (file_call_on_path(call))
		return files;
	files.file = file_of_arg(regs, call->fd, is_32bit);
	if (call->fd2 != NO_ARG)
		files.file2 = file_of_arg(regs, call->fd2, is_32bit);
	return files;
}

/* `files` are those at the entry: another thread may close them meanwhile. Is the place the thread's? */
static __always_inline bool file_call_begins(const struct pt_regs *regs, bool is_32bit,
					     struct file_call_files files)
{
	u32 tid = bpf_get_current_pid_tgid(), place = tid & (CALL_PLACES - 1);
	struct file_call_begun crowded, *begun = bpf_map_lookup_elem(&file_calls_begun, &place);
	bool is_taken;

	if (!begun)
		return false;
	is_taken = begun->tid && begun->tid != tid;
	if (is_taken) {
		__builtin_memset(&crowded, 0, sizeof(crowded));
		begun = &crowded;
	}
	begun->tid = 0; /* nobody shall take it for whole meanwhile */
	barrier();
	begun->told_ns = 0;
	begun->file = files.file;
	begun->file2 = files.file2;
	begun->nr = syscall_nr(regs);
	begun->is_32bit = is_32bit;
	begun->at_ns = bpf_ktime_get_ns();
	barrier();
	begun->tid = tid;
	if (!is_taken)
		return true;
	begun = bpf_map_lookup_elem(&file_calls_begun, &place);
	if (bpf_map_update_elem(&file_calls_crowded, &tid, &crowded, BPF_ANY))
		count_lost(LOSS_STATE);
	else if (begun)
		__sync_fetch_and_add(&begun->crowded, 1);
	return false;
}

/* The call that the thread `tid` is in, or NULL. */
static __always_inline struct file_call_begun *file_call_underway(u32 tid)
{
	u32 place = tid & (CALL_PLACES - 1);
	struct file_call_begun *begun = bpf_map_lookup_elem(&file_calls_begun, &place);

	if (!begun || begun->tid == tid)
		return begun;
	return begun->crowded ? bpf_map_lookup_elem(&file_calls_crowded, &tid) : NULL;
}

/* Takes what the entry kept out, if it was of the call `nr`; false: it was not seen. */
static __always_inline bool file_call_taken(u32 tid, u32 nr, struct file_call_begun *ret_begun)
{
	u32 place = tid & (CALL_PLACES - 1);
	struct file_call_begun *begun = bpf_map_lookup_elem(&file_calls_begun, &place);
	struct file_call_begun *crowded;

	if (!begun)
		return false;
	if (begun->tid == tid) {
		*ret_begun = *begun;
		begun->tid = 0;
		return ret_begun->nr == nr;
	}
	if (!begun->crowded)
		return false;
	crowded = bpf_map_lookup_elem(&file_calls_crowded, &tid);
	if (!crowded)
		return false;
	*ret_begun = *crowded;
	bpf_map_delete_elem(&file_calls_crowded, &tid);
	__sync_fetch_and_add(&begun->crowded, -1);
	return ret_begun->nr == nr;
}

/* The row of the call of the thread `tid` that ends, if its entry kept it; else NULL. What the entry
 * keeps is wanted, so nothing else is asked. */
static __always_inline const volatile struct file_call *
file_call_ended(const struct pt_regs *regs, u32 tid, struct file_call_begun *ret_begun)
{
	u64 nr = syscall_nr(regs);

	return file_call_taken(tid, nr, ret_begun) ? file_call_row(nr, ret_begun->is_32bit) : NULL;
}
