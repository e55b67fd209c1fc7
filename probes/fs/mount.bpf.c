/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * File systems mounted, changed, moved and unmounted, by mount(2) and its kin and by the newer calls that
 * do it in steps: fsopen, fsconfig, fsmount, move_mount. Each call is told, also one that fails.
 *
 * Options may hold secrets (password=, secret=): those of network file systems are left out.
 */
#define EVENT_MAX 9216 /* two whole paths and the struct; options may take what is left */
#include "sonda.bpf.h"
#include "kernel/syscall.h"
#include "sonda/path.h"
#include "sonda/took.h"

#include <asm/unistd.h>

PROBE(mount, "fs", "File systems mounted, changed, moved and unmounted", SLOTS(16));
FILTERS("task errors min");
PARAM(bool, secrets, false, DOC("also options that may hold a password"));

/* The calls, with their numbers on this machine and on 32-bit ones. */
#define MOUNT_CALLS(X)                      \
	X(MOUNT, __NR_mount, 21)            \
	X(UMOUNT, __NR_umount2, 52)         \
	X(PIVOT_ROOT, __NR_pivot_root, 217) \
	X(OPEN_TREE, 428, 428)              \
	X(MOVE_MOUNT, 429, 429)             \
	X(FSOPEN, 430, 430)                 \
	X(FSCONFIG, 431, 431)               \
	X(FSMOUNT, 432, 432)                \
	X(FSPICK, 433, 433)                 \
	X(MOUNT_SETATTR, 442, 442)

enum mount_op {
	MOUNT_OP_NONE,
#define X(name, nr, nr32) MOUNT_OP_##name,
	MOUNT_CALLS(X)
#undef X
	/* what mount(2) is asked to do by its flags */
	MOUNT_OP_REMOUNT,
	MOUNT_OP_BIND,
	MOUNT_OP_MOVE,
	MOUNT_OP_PROPAGATION,
};
enum mount_flag {
	MOUNT_FLAG_RDONLY = 1 << 0, /* MS_... */
	MOUNT_FLAG_NOSUID = 1 << 1,
	MOUNT_FLAG_NODEV = 1 << 2,
	MOUNT_FLAG_NOEXEC = 1 << 3,
	MOUNT_FLAG_SYNC = 1 << 4,
	MOUNT_FLAG_REMOUNT = 1 << 5,
	MOUNT_FLAG_MANDLOCK = 1 << 6,
	MOUNT_FLAG_DIRSYNC = 1 << 7,
	MOUNT_FLAG_NOSYMFOLLOW = 1 << 8,
	MOUNT_FLAG_NOATIME = 1 << 10,
	MOUNT_FLAG_NODIRATIME = 1 << 11,
	MOUNT_FLAG_BIND = 1 << 12,
	MOUNT_FLAG_MOVE = 1 << 13,
	MOUNT_FLAG_REC = 1 << 14,
	MOUNT_FLAG_SILENT = 1 << 15,
	MOUNT_FLAG_POSIXACL = 1 << 16,
	MOUNT_FLAG_UNBINDABLE = 1 << 17,
	MOUNT_FLAG_PRIVATE = 1 << 18,
	MOUNT_FLAG_SLAVE = 1 << 19,
	MOUNT_FLAG_SHARED = 1 << 20,
	MOUNT_FLAG_RELATIME = 1 << 21,
	MOUNT_FLAG_I_VERSION = 1 << 23,
	MOUNT_FLAG_STRICTATIME = 1 << 24,
	MOUNT_FLAG_LAZYTIME = 1 << 25,
};
#define MS_MGC_MSK 0xffff0000
#define MS_MGC_VAL 0xc0ed0000 /* what old programs put above the flags */
#define MS_PROPAGATION \
	(MOUNT_FLAG_UNBINDABLE | MOUNT_FLAG_PRIVATE | MOUNT_FLAG_SLAVE | MOUNT_FLAG_SHARED)

enum umount_flag {
	UMOUNT_FLAG_FORCE = 1, /* MNT_... */
	UMOUNT_FLAG_DETACH = 2,
	UMOUNT_FLAG_EXPIRE = 4,
	UMOUNT_FLAG_NOFOLLOW = 8,
};

EVENT(mount_call, "A mount was made, changed or removed, or could not be")
{
	struct task task;
	enum mount_op op DOC("what was done");
	s32 err KIND("errno") DOC("why it failed");
	s64 took_ns KIND("duration") HIDE DOC("time it took; -1: it began before sonda watched");
	enum mount_flag flags FLAGS DOC("of mount(2)");
	enum umount_flag umount_flags FLAGS HIDE DOC("of umount2(2)");
	s32 fd KIND("fd")
		HIDE DOC("descriptor of the steps' calls: made by fsopen, fsmount, open_tree and "
			 "fspick, taken by fsconfig and move_mount");
	u32 mnt_ns KIND("mntns") HIDE DOC("mount namespace of the caller");
	char fstype[16] DOC("type of the file system");
	struct text source KIND("path") DOC("device, or what is bound or moved");
	struct text target KIND("path") DOC("where");
	struct text options DOC("options as they were given; of fsconfig the name of one");
	struct text value HIDE DOC("of fsconfig the option's value");
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct ns_common___inum {
	u32 inum;
};
struct mnt_namespace {
	struct ns_common___inum ns;
};
struct nsproxy {
	struct mnt_namespace *mnt_ns;
};
struct task_struct___ns {
	struct nsproxy *nsproxy;
};
#pragma clang attribute pop

static __always_inline enum mount_op call_of(long nr, bool *ret_32bit)
{
#define X(name, nr64, nr32) || nr == nr64 || nr == nr32
	if (!(false MOUNT_CALLS(X)))
		return MOUNT_OP_NONE;
#undef X
	*ret_32bit = syscall_is_32bit();
#define X(name, nr64, nr32)                   \
	if (nr == (*ret_32bit ? nr32 : nr64)) \
		return MOUNT_OP_##name;
	MOUNT_CALLS(X)
#undef X
	return MOUNT_OP_NONE;
}

static __always_inline enum mount_op op_of_flags(u32 flags)
{
	if (flags & MOUNT_FLAG_REMOUNT)
		return MOUNT_OP_REMOUNT;
	if (flags & MOUNT_FLAG_BIND)
		return MOUNT_OP_BIND;
	if (flags & MS_PROPAGATION)
		return MOUNT_OP_PROPAGATION;
	return flags & MOUNT_FLAG_MOVE ? MOUNT_OP_MOVE : MOUNT_OP_MOUNT;
}

/* Network file systems take passwords and keys among their options. */
static __always_inline bool may_be_secret(const char *fstype)
{
	return (fstype[0] == 'c' && (fstype[1] == 'i' || fstype[1] == 'e')) || /* cifs, ceph */
	       (fstype[0] == 's' && fstype[1] == 'm') ||                       /* smb3 */
	       fstype[0] == '9' || (fstype[0] == 'f' && fstype[1] == 'u');     /* 9p, fuse */
}

/* "password", "passwd", "pass", "pass2", "secret" */
static __always_inline bool is_secret_key(const char *key)
{
	char begin[4] = {};

	bpf_probe_read_user_str(begin, sizeof(begin), key);
	return (begin[0] == 'p' && begin[1] == 'a' && begin[2] == 's') ||
	       (begin[0] == 's' && begin[1] == 'e' && begin[2] == 'c');
}

#define ARG(nth)  syscall_arg(regs, nth, is_32bit)
#define TEXT(nth) ((const char *)ARG(nth))

static __always_inline void describe_mount(struct mount_call *e, struct pt_regs *regs,
					   bool is_32bit)
{
	u32 flags = ARG(3);

	if ((flags & MS_MGC_MSK) == MS_MGC_VAL)
		flags &= ~MS_MGC_MSK;
	e->flags = flags;
	e->op = op_of_flags(flags);
	if (ARG(2))
		bpf_probe_read_user_str(e->fstype, sizeof(e->fstype), TEXT(2));
	if ((e->op == MOUNT_OP_BIND || e->op == MOUNT_OP_MOVE) && ARG(0))
		text_path_requested(e, source, AT_FDCWD, TEXT(0));
	else if (ARG(0))
		text_user(e, source, TEXT(0));
	text_path_requested(e, target, AT_FDCWD, TEXT(1));
	if (ARG(4) && (secrets || !may_be_secret(e->fstype)))
		text_user(e, options, TEXT(4));
}

static __always_inline void describe_steps(struct mount_call *e, struct pt_regs *regs,
					   bool is_32bit, long ret)
{
	if (ret >= 0 && e->op != MOUNT_OP_MOUNT_SETATTR)
		e->fd = ret;
	if (e->op == MOUNT_OP_FSOPEN) {
		bpf_probe_read_user_str(e->fstype, sizeof(e->fstype), TEXT(0));
	} else if (e->op == MOUNT_OP_FSCONFIG) {
		e->fd = ARG(0);
		if (ARG(2))
			text_user(e, options, TEXT(2));
		if (ARG(1) == 1 && (secrets || !is_secret_key(TEXT(2)))) /* FSCONFIG_SET_STRING */
			text_user(e, value, TEXT(3));
	} else if (e->op == MOUNT_OP_MOVE_MOUNT) {
		e->fd = ARG(0);
		text_path_requested(e, source, ARG(0), TEXT(1));
		text_path_requested(e, target, ARG(2), TEXT(3));
	} else if (e->op != MOUNT_OP_FSMOUNT) { /* open_tree, fspick, mount_setattr */
		text_path_requested(e, target, ARG(0), TEXT(1));
	}
}

static __noinline void describe(struct mount_call *e, struct pt_regs *regs, bool is_32bit, long ret)
{
	if (e->op == MOUNT_OP_MOUNT) {
		describe_mount(e, regs, is_32bit);
	} else if (e->op == MOUNT_OP_UMOUNT) {
		text_path_requested(e, target, AT_FDCWD, TEXT(0));
		e->umount_flags = ARG(1);
	} else if (e->op == MOUNT_OP_PIVOT_ROOT) {
		text_path_requested(e, source, AT_FDCWD, TEXT(0));
		text_path_requested(e, target, AT_FDCWD, TEXT(1));
	} else {
		describe_steps(e, regs, is_32bit, ret);
	}
}

SEC("tp_btf/sys_enter") int BPF_PROG(mount_begins, struct pt_regs *regs, long nr)
{
	bool is_32bit;

	if (call_of(syscall_nr(regs), &is_32bit))
		call_begins();
	return 0;
}

SEC("tp_btf/sys_exit") int BPF_PROG(mount_returns, struct pt_regs *regs, long ret)
{
	s32 err = ret < 0 ? ret : 0;
	struct mount_call *e;
	enum mount_op op;
	bool is_32bit;
	s64 took_ns;

	op = call_of(syscall_nr(regs), &is_32bit);
	if (!op || !wanted())
		return 0;
	took_ns = call_took();
	if (!notable(err, took_ns < 0 ? 0 : took_ns))
		return 0;
	e = event_new(mount_call);
	if (!e)
		return 0;
	task_now(&e->task);
	e->op = op;
	e->err = err;
	e->took_ns = took_ns;
	e->fd = -1;
	e->mnt_ns =
		BPF_CORE_READ((struct task_struct___ns *)current_task(), nsproxy, mnt_ns, ns.inum);
	describe(e, regs, is_32bit, ret);
	event_send(ctx, e);
	return 0;
}
