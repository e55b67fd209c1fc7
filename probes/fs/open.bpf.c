/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Files opened, by whatever call, with the path that the kernel resolved. Everything is read at the
 * exit of the call: the path from the file behind the returned descriptor, what was asked for from the
 * registers, which are still there. The entry only notes the time.
 */
#define EVENT_MAX 4608 /* a whole path and the struct */
#include "sonda.bpf.h"
#include "kernel/open_calls.h"
#include "kernel/syscall.h"
#include "kernel/uring.h"
#include "sonda/path.h"
#include "sonda/glob.h"
#include "sonda/took.h"

#include <asm/fcntl.h>

PROBE(open, "fs", "Files opened by processes");
FILTERS("task errors min");

PARAM_TEXT(path, GLOB_MAX, "",
	   DOC("only paths like this, as printed: * any name, ** any path, ? one character, \\c c itself"));
TEXT_GLOB(path)

enum open_call {
	OPEN_CALL_NONE,
#define X(name, nr, nr32) OPEN_CALL_##name,
	OPEN_CALLS(X)
#undef X
	OPEN_CALL_IO_URING,
};
enum path_is { PATH_IS_UNKNOWN, PATH_IS_RESOLVED, PATH_IS_REQUESTED };
enum open_access {
	OPEN_ACCESS_READ,
	OPEN_ACCESS_WRITE,
	OPEN_ACCESS_READ_WRITE,
	OPEN_ACCESS_CREATE = 4,
	OPEN_ACCESS_PATH,
};
enum open_resolve {
	OPEN_RESOLVE_NO_XDEV = 1,
	OPEN_RESOLVE_NO_MAGICLINKS = 2,
	OPEN_RESOLVE_NO_SYMLINKS = 4,
	OPEN_RESOLVE_BENEATH = 8,
	OPEN_RESOLVE_IN_ROOT = 16,
	OPEN_RESOLVE_CACHED = 32,
};

EVENT(open, "A file opened, or an open that failed") {
	struct task task;
	s32 err KIND("errno") DOC("why the open failed");
	s32 fd KIND("fd") DOC("descriptor");
	u32 flags KIND("open_flags") DOC("flags asked for");
	u32 mode KIND("mode") HIDE DOC("permissions asked for, where a file could be created");
	s64 took_ns KIND("duration") DOC("time the open took; -1: it began before sonda watched");
	u64 inode KIND("inode") HIDE DOC("inode opened");
	u32 device KIND("device") HIDE DOC("device of the inode's file system");
	enum file_type type HIDE DOC("type of the file opened");
	enum open_call call HIDE DOC("how it was asked for");
	enum open_resolve resolve FLAGS HIDE DOC("restrictions asked of openat2(2)");
	struct text path KIND("path") DOC("path of the file");
	enum path_is path_is HIDE
		DOC("resolved: of the file opened, as the kernel knows it, up to the root of the mount "
		    "namespace; requested: as read from the caller's memory, joined to where it begins; unknown: neither");
};

struct open_labels {
	char comm[16] KIND("comm") DOC("command name of the thread");
	u64 cgroup KIND("cgroup") DOC("cgroup v2 of the process");
	u32 uid KIND("uid") DOC("user the thread runs as");
	s32 err KIND("errno") DOC("why the open failed");
	enum open_call call DOC("how it was asked for");
	enum open_access access DOC("what it may be used for");
};
struct open_values {
	u64 opens COUNTER DOC("opens, and opens that failed");
	HIST_LOG2(took_ns, 32, UNIT("ns") DOC("time an open takes"));
};
METRICS(opens, struct open_labels, struct open_values, 4096, "Files opened");

/* What the caller asked for. */
struct asked {
	enum open_call call;
	int dirfd;
	const char *name;
	u64 flags;
	u64 mode;
	u64 resolve;
	u64 over_ns; /* when it was over, CLOCK_BOOTTIME */
};

static __always_inline struct file *describe_path(struct open *e, struct asked *asked)
{
	struct file *file = e->fd >= 0 ? file_of_fd(e->fd) : NULL;

	if (file) {
		text_path(e, path, &file->f_path);
		e->path_is = PATH_IS_RESOLVED;
	} else if (asked->name) {
		text_path_requested(e, path, asked->dirfd, asked->name);
		e->path_is = PATH_IS_REQUESTED;
	}
	return file;
}

static __always_inline void describe_file(struct open *e, struct file *file)
{
	struct inode *inode;

	if (DIRECT) {
		inode = direct(struct file, file)->f_inode;
		e->inode = inode->i_ino;
		e->device = inode->i_sb->s_dev;
		e->type = inode->i_mode >> 12;
		return;
	}
	inode = BPF_CORE_READ(file, f_inode);
	e->inode = BPF_CORE_READ(inode, i_ino);
	e->device = BPF_CORE_READ(inode, i_sb, s_dev);
	e->type = inode_type(inode);
}

static __always_inline bool may_create(u64 flags)
{
	return flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY));
}

static __always_inline enum open_access access_of(u64 flags)
{
	if (flags & O_PATH)
		return OPEN_ACCESS_PATH;
	return may_create(flags) ? OPEN_ACCESS_CREATE : OPEN_ACCESS_READ + (flags & O_ACCMODE);
}

static __noinline int count_open(struct asked *asked, int err, s64 took_ns)
{
	struct open_labels key = {};
	struct open_values *row;

	if (!asked)
		return 0;
	if (label(opens, 0))
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (label(opens, 1))
		key.cgroup = task_cgroup_id(current_task());
	if (label(opens, 2))
		key.uid = task_uid(current_task());
	if (label(opens, 3))
		key.err = err;
	if (label(opens, 4))
		key.call = asked->call;
	if (label(opens, 5))
		key.access = access_of(asked->flags);
	row = row_of(opens, &key);
	if (!row)
		return 0;
	add(row->opens, 1);
	if (took_ns >= 0)
		observe(row->took_ns, took_ns);
	return 0;
}

/* With --path: what the path decides. False: the event is gone. */
static __always_inline bool path_is_wanted(struct open *e, struct asked *asked, int err, s64 took_ns)
{
	if (!text_matches(e, path, path)) {
		event_drop(e);
		return false;
	}
	if (tables_wanted())
		count_open(asked, err, took_ns);
	if (events_wanted())
		return true;
	event_release(e);
	return false;
}

/* An open is over. `fd`: -1 where there is none. */
static __noinline int open_ends(void *ctx, struct asked *asked, long ret, int fd, s64 took_ns)
{
	int err = ret < 0 ? ret : 0;
	const bool by_path = path[0];
	struct file *file;
	struct open *e;

	if (!asked || !notable(err, took_ns < 0 ? 0 : took_ns))
		return 0;
	if (!by_path && tables_wanted())
		count_open(asked, err, took_ns);
	if (!by_path && !events_wanted())
		return 0;
	e = event_new_at(open, asked->over_ns);
	if (!e)
		return 0;
	e->fd = fd;
	file = describe_path(e, asked);
	if (by_path && !path_is_wanted(e, asked, err, took_ns))
		return 0;
	if (file)
		describe_file(e, file);
	task_now(&e->task);
	e->err = err;
	e->flags = asked->flags;
	e->mode = may_create(asked->flags) ? asked->mode : 0;
	e->took_ns = took_ns;
	e->call = asked->call;
	e->resolve = asked->resolve;
	event_send(ctx, e);
	return 0;
}

static __always_inline enum open_call call_of(long nr, bool *ret_32bit)
{
#define X(name, nr64, nr32) || nr == nr64 || nr == nr32
	if (!(false OPEN_CALLS(X)))
		return OPEN_CALL_NONE;
#undef X
	*ret_32bit = syscall_is_32bit();
#define X(name, nr64, nr32)                                                                        \
	if (nr == (*ret_32bit ? nr32 : nr64))                                                      \
		return OPEN_CALL_##name;
	OPEN_CALLS(X)
#undef X
	return OPEN_CALL_NONE;
}

static __always_inline void asked_how(struct asked *asked, const void *how, u64 size)
{
	u64 said[3] = {};

	if (size >= sizeof(said))
		bpf_probe_read_user(said, sizeof(said), how);
	asked->flags = said[0];
	asked->mode = said[1];
	asked->resolve = said[2];
}

/* Where the arguments of each call are. */
static __always_inline void asked_by(struct asked *asked, struct pt_regs *regs, bool is_32bit)
{
#define ARG(nth) syscall_arg(regs, nth, is_32bit)
	bool at = asked->call >= OPEN_CALL_OPENAT;

	asked->dirfd = at ? (int)ARG(0) : AT_FDCWD;
	asked->name = (const char *)(at ? ARG(1) : ARG(0));
	asked->flags = (u32)(at ? ARG(2) : ARG(1));
	asked->mode = (u16)(at ? ARG(3) : ARG(2));
	if (asked->call == OPEN_CALL_CREAT) {
		asked->flags = O_CREAT | O_WRONLY | O_TRUNC;
		asked->mode = (u16)ARG(1);
	} else if (asked->call == OPEN_CALL_OPENAT2) {
		asked_how(asked, (const void *)ARG(2), ARG(3));
	} else if (asked->call == OPEN_CALL_OPEN_BY_HANDLE_AT) {
		asked->name = NULL; /* a handle, no path */
	}
#undef ARG
}

SEC("tp_btf/sys_enter") int BPF_PROG(open_begins, struct pt_regs *regs, long nr)
{
	bool is_32bit;

	if (call_of(syscall_nr(regs), &is_32bit))
		call_begins();
	return 0;
}

SEC("tp_btf/sys_exit") int BPF_PROG(open_returns, struct pt_regs *regs, long ret)
{
	struct asked asked = {};
	bool is_32bit;
	u64 id;

	asked.call = call_of(syscall_nr(regs), &is_32bit);
	if (!asked.call)
		return 0;
	id = bpf_get_current_pid_tgid();
	if (!wanted_id(id))
		return 0;
	asked_by(&asked, regs, is_32bit);
	asked.over_ns = bpf_ktime_get_boot_ns();
	return open_ends(ctx, &asked, ret, ret < 0 ? -1 : ret, call_took_at(id, asked.over_ns));
}

/* Opens under way in io_uring, by request. */
struct uring_begun {
	u64 at_ns;
	const char *name;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct uring_begun);
} uring_begun SEC(".maps");

static __noinline int uring_begins(struct io_kiocb *req, u8 op)
{
	struct uring_begun begun = { .at_ns = bpf_ktime_get_boot_ns() };
	u64 key = (u64)req;

	if (op != URING_OPENAT && op != URING_OPENAT2)
		return 0;
	begun.name = uring_open_name(uring_open(req));
	if (bpf_map_update_elem(&uring_begun, &key, &begun, BPF_ANY))
		count_lost(LOSS_STATE);
	return 0;
}

static __noinline int uring_ends(void *ctx, struct io_kiocb *req)
{
	struct asked asked = { .call = OPEN_CALL_IO_URING };
	struct io_open *open = uring_open(req);
	struct uring_begun begun, *found;
	u64 key = (u64)req;
	int ret;

	found = bpf_map_lookup_elem(&uring_begun, &key);
	if (!found)
		return 0;
	begun = *found;
	bpf_map_delete_elem(&uring_begun, &key);
	if (!wanted())
		return 0;
	asked.over_ns = bpf_ktime_get_boot_ns();
	ret = BPF_CORE_READ(req, cqe.res);
	asked.name = begun.name;
	asked.dirfd = BPF_CORE_READ(open, dfd);
	asked.flags = BPF_CORE_READ(open, how.flags) & ~(u64)O_LARGEFILE; /* the kernel adds it */
	asked.mode = BPF_CORE_READ(open, how.mode);
	asked.resolve = BPF_CORE_READ(open, how.resolve);
	/* a file put in the ring's own table has no descriptor */
	return open_ends(ctx, &asked, ret, ret < 0 || BPF_CORE_READ(open, file_slot) ? -1 : ret,
			 asked.over_ns - begun.at_ns);
}

/* Both programs of a rank have all its needs: one of what is OPTIONAL may be missing alone. */
#define URING(rank, submits)                                                                       \
	ALT(uring, rank)                                                                           \
	OPTIONAL("opens through io_uring")                                                         \
	NEED("tp io_uring/" submits)                                                               \
	NEED("type io_cmd_data")

URING(1, "io_uring_submit_req")
SEC("?tp_btf/io_uring_submit_req") int BPF_PROG(uring_submits, struct io_kiocb *req)
{
	return uring_begins(req, req->opcode);
}

URING(1, "io_uring_submit_req")
SEC("?tp_btf/io_uring_complete") int BPF_PROG(uring_completes, void *ring, struct io_kiocb *req)
{
	return uring_ends(ctx, req);
}

/* From 6.0 to 6.2 it has this name; before, it does not tell the request. */
URING(2, "io_uring_submit_sqe")
SEC("?tp_btf/io_uring_submit_sqe") int BPF_PROG(uring_submits_60, struct io_kiocb *req)
{
	return uring_begins(req, req->opcode);
}

URING(2, "io_uring_submit_sqe")
SEC("?tp_btf/io_uring_complete") int BPF_PROG(uring_completes_60, void *ring, struct io_kiocb *req)
{
	return uring_ends(ctx, req);
}
