/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the arguments of a system call are, where that is plain: which is a descriptor, a path, an
 * address; and what the call waits for when it takes long.
 */
#pragma once

#include "kernel/fs.h"

#include <asm/unistd.h>

enum call_waits_for {
	CALL_WAITS_FOR_NOTHING, /* it works: on a disk, on memory, on the kernel's own locks */
	CALL_WAITS_FOR_DATA,    /* from a socket */
	CALL_WAITS_FOR_ROOM,    /* in a socket: for the other end to read */
	CALL_WAITS_FOR_PEER,    /* to answer */
	CALL_WAITS_FOR_PIPE,    /* a pipe, terminal or device: for another program, for somebody */
	CALL_WAITS_FOR_LOCK,
	CALL_WAITS_FOR_EVENT,
	CALL_WAITS_FOR_TIME,
	CALL_WAITS_FOR_CHILD,
};

/* Arguments count from 1; 0: it has none such. */
struct call_shape {
	u8 waits_for; /* enum call_waits_for; data and room only where it is a socket */
	u8 fd;
	u8 dirfd; /* where `path` begins; none: in the working directory */
	u8 path;
	u8 address; /* struct sockaddr */
};
#define CALL_SHAPES 512

#define OF_FD(nr)          [nr] = { .fd = 1 }
#define READS(nr)          [nr] = { CALL_WAITS_FOR_DATA, .fd = 1 }
#define WRITES(nr)         [nr] = { CALL_WAITS_FOR_ROOM, .fd = 1 }
#define OF_PATH(nr)        [nr] = { .path = 1 }
#define OF_PATH_AT(nr, n)  [nr] = { .dirfd = n, .path = (n) + 1 }
#define WAITS(nr, what)    [nr] = { CALL_WAITS_FOR_##what }
#define WAITS_ON(nr, what) [nr] = { CALL_WAITS_FOR_##what, .fd = 1 }

/* clang-format off */
const volatile struct call_shape call_shapes[CALL_SHAPES] = {
	READS(__NR_read), READS(__NR_pread64), READS(__NR_readv), READS(__NR_preadv),
	READS(__NR_preadv2), READS(__NR_recvfrom), READS(__NR_recvmsg), READS(__NR_recvmmsg),
	READS(__NR_accept), READS(__NR_accept4), READS(__NR_splice), READS(__NR_tee),
	WRITES(__NR_write), WRITES(__NR_pwrite64), WRITES(__NR_writev), WRITES(__NR_pwritev),
	WRITES(__NR_pwritev2), WRITES(__NR_sendmsg), WRITES(__NR_sendmmsg), WRITES(__NR_sendfile),
	WRITES(__NR_vmsplice),
	[__NR_sendto] = { CALL_WAITS_FOR_ROOM, .fd = 1, .address = 5 },
	[__NR_connect] = { CALL_WAITS_FOR_PEER, .fd = 1, .address = 2 },
	[__NR_bind] = { .fd = 1, .address = 2 },
	WAITS_ON(__NR_epoll_pwait, EVENT), WAITS_ON(__NR_epoll_pwait2, EVENT),
	WAITS_ON(__NR_io_uring_enter, EVENT), WAITS_ON(__NR_flock, LOCK),
	WAITS(__NR_ppoll, EVENT), WAITS(__NR_pselect6, EVENT), WAITS(__NR_rt_sigsuspend, EVENT),
	WAITS(__NR_rt_sigtimedwait, EVENT), WAITS(__NR_io_getevents, EVENT),
	WAITS(__NR_io_pgetevents, EVENT), WAITS(__NR_msgrcv, EVENT), WAITS_ON(__NR_mq_timedreceive, EVENT),
	WAITS(__NR_futex, LOCK), WAITS(__NR_futex_waitv, LOCK), WAITS(__NR_semop, LOCK),
	WAITS(__NR_semtimedop, LOCK), WAITS(455 /* futex_wait */, LOCK),
	WAITS(__NR_nanosleep, TIME), WAITS(__NR_clock_nanosleep, TIME), WAITS(__NR_restart_syscall, TIME),
	WAITS(__NR_wait4, CHILD), WAITS(__NR_waitid, CHILD),
	OF_FD(__NR_close), OF_FD(__NR_fstat), OF_FD(__NR_lseek), OF_FD(__NR_ioctl), OF_FD(__NR_fcntl),
	OF_FD(__NR_fsync), OF_FD(__NR_fdatasync), OF_FD(__NR_syncfs), OF_FD(__NR_sync_file_range),
	OF_FD(__NR_ftruncate), OF_FD(__NR_fallocate), OF_FD(__NR_fadvise64), OF_FD(__NR_readahead),
	OF_FD(__NR_getdents64), OF_FD(__NR_fchdir), OF_FD(__NR_fchmod), OF_FD(__NR_fchown),
	OF_FD(__NR_fstatfs), OF_FD(__NR_dup), OF_FD(__NR_dup3), OF_FD(__NR_copy_file_range),
	OF_FD(__NR_listen), OF_FD(__NR_shutdown), OF_FD(__NR_getsockname), OF_FD(__NR_getpeername),
	OF_FD(__NR_setsockopt), OF_FD(__NR_getsockopt), OF_FD(__NR_epoll_ctl),
	OF_FD(__NR_timerfd_settime), OF_FD(__NR_timerfd_gettime), OF_FD(__NR_fgetxattr),
	OF_FD(__NR_fsetxattr), OF_FD(__NR_flistxattr), OF_FD(__NR_fremovexattr), OF_FD(__NR_setns),
	OF_FD(__NR_finit_module), OF_FD(__NR_pidfd_send_signal), OF_FD(__NR_inotify_rm_watch),
	[__NR_mmap] = { .fd = 5 },
	[__NR_inotify_add_watch] = { .path = 2 },
	[__NR_mount] = { .path = 2 },
	OF_PATH(__NR_execve), OF_PATH(__NR_chdir), OF_PATH(__NR_chroot), OF_PATH(__NR_truncate),
	OF_PATH(__NR_statfs), OF_PATH(__NR_umount2), OF_PATH(__NR_swapon), OF_PATH(__NR_swapoff),
	OF_PATH(__NR_pivot_root), OF_PATH(__NR_acct), OF_PATH(__NR_getxattr), OF_PATH(__NR_lgetxattr),
	OF_PATH(__NR_setxattr), OF_PATH(__NR_lsetxattr), OF_PATH(__NR_listxattr),
	OF_PATH(__NR_llistxattr), OF_PATH(__NR_removexattr), OF_PATH(__NR_lremovexattr),
	OF_PATH_AT(__NR_openat, 1), OF_PATH_AT(__NR_openat2, 1), OF_PATH_AT(__NR_mkdirat, 1),
	OF_PATH_AT(__NR_mknodat, 1), OF_PATH_AT(__NR_fchownat, 1), OF_PATH_AT(__NR_newfstatat, 1),
	OF_PATH_AT(__NR_unlinkat, 1), OF_PATH_AT(__NR_renameat, 1), OF_PATH_AT(__NR_renameat2, 1),
	OF_PATH_AT(__NR_linkat, 1), OF_PATH_AT(__NR_symlinkat, 2), OF_PATH_AT(__NR_readlinkat, 1),
	OF_PATH_AT(__NR_fchmodat, 1), OF_PATH_AT(452 /* fchmodat2 */, 1), OF_PATH_AT(__NR_faccessat, 1),
	OF_PATH_AT(__NR_faccessat2, 1), OF_PATH_AT(__NR_utimensat, 1), OF_PATH_AT(__NR_execveat, 1),
	OF_PATH_AT(__NR_statx, 1), OF_PATH_AT(__NR_name_to_handle_at, 1), OF_PATH_AT(__NR_open_tree, 1),
	OF_PATH_AT(__NR_fanotify_mark, 4),
#ifdef __NR_open /* newer machines have only the calls above */
	WAITS_ON(__NR_epoll_wait, EVENT), WAITS(__NR_poll, EVENT), WAITS(__NR_select, EVENT),
	WAITS(__NR_pause, EVENT), WAITS(__NR_vfork, CHILD), OF_FD(__NR_dup2), OF_FD(__NR_getdents),
	OF_PATH(__NR_open), OF_PATH(__NR_creat), OF_PATH(__NR_stat), OF_PATH(__NR_lstat),
	OF_PATH(__NR_access), OF_PATH(__NR_mkdir), OF_PATH(__NR_rmdir), OF_PATH(__NR_unlink),
	OF_PATH(__NR_rename), OF_PATH(__NR_link), OF_PATH(__NR_readlink), OF_PATH(__NR_chmod),
	OF_PATH(__NR_chown), OF_PATH(__NR_lchown), OF_PATH(__NR_mknod), OF_PATH(__NR_utime),
	OF_PATH(__NR_utimes), [__NR_symlink] = { .path = 2 },
	OF_PATH_AT(__NR_futimesat, 1),
#endif
};
/* clang-format on */

/* `nr` as KIND("syscall") has it; of a 32-bit call nothing is known. */
static __always_inline void call_shape_of(struct call_shape *out, u32 nr)
{
	__builtin_memset(out, 0, sizeof(*out));
	if (nr >= CALL_SHAPES)
		return;
	barrier_var(nr); /* or the mask, which some verifiers need, is optimized away */
	nr &= CALL_SHAPES - 1;
	out->waits_for = call_shapes[nr].waits_for;
	out->fd = call_shapes[nr].fd;
	out->dirfd = call_shapes[nr].dirfd;
	out->path = call_shapes[nr].path;
	out->address = call_shapes[nr].address;
}

/* What it waits for, given the file that it is about (or NULL). */
static __always_inline enum call_waits_for call_waits_for(const struct call_shape *shape,
							  struct file *file)
{
	enum file_type type;

	if (shape->waits_for != CALL_WAITS_FOR_DATA && shape->waits_for != CALL_WAITS_FOR_ROOM)
		return shape->waits_for;
	if (!file)
		return CALL_WAITS_FOR_NOTHING;
	type = inode_type(BPF_CORE_READ(file, f_inode));
	if (type == FILE_TYPE_SOCKET)
		return shape->waits_for;
	return type == FILE_TYPE_REGULAR || type == FILE_TYPE_DIRECTORY || type == FILE_TYPE_BLOCK
		       ? CALL_WAITS_FOR_NOTHING
		       : CALL_WAITS_FOR_PIPE;
}
