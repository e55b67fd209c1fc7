/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * One file watched, or all below one directory: every operation on it, by whom, with what result.
 *
 * The file is known by its name in its directory, and each inode that was met under that name from then
 * on: what takes its place (an atomic replace, a log that is rotated) is watched, and what it was before
 * as well. Numbers of inodes are used again, so the generation counts too. What is below a directory is
 * found by walking up from the file. Operations that take a path are compared as text, with the path as
 * the user wrote it and with what it led to.
 */
#define EVENT_MAX 9216 /* two whole paths and the struct */
#include "sonda.bpf.h"

#include "kernel/overlay.h"
#include "sonda/file_calls.h"

#define FILE_IO_OPS (~(FILE_OP_BIT(NONE) | FILE_OP_BIT(STAT)))
#include "sonda/file_io.h"

PROBE(file, "fs", "Every operation on one file, or below one directory", SLOTS(64));
FILTERS("task errors min");
PARAM_FILE(file, DOC("the file or directory to watch; it may not exist yet"));

EVENT(file_use, "An operation on the watched file")
{
	struct task task;
	enum file_op op DOC("what was done");
	s32 err KIND("errno") DOC("why it failed");
	s64 took_ns KIND("duration") DOC("time it took");
	u64 size_bytes KIND("bytes") DOC("bytes that were really read or written");
	s64 offset HIDE DOC("where in the file; -1: at the file's own position, or nowhere");
	u64 inode KIND("inode") HIDE DOC("inode; 0: not known, as the operation was on a path");
	struct text path KIND("path") DOC("the file, or what the caller gave as its path");
	struct text to KIND("path") DOC("the new name");
};

struct file_labels {
	char comm[16] KIND("comm") DOC("command name of the thread");
	enum file_op op DOC("what was done");
	s32 err KIND("errno") DOC("why it failed");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
	u64 inode KIND("inode") HIDE DOC("inode; 0: the operation was on a path");
	u32 pid KIND("pid") HIDE DOC("process");
	u32 uid KIND("uid") DOC("user the thread runs as");
};
struct file_values {
	u64 calls COUNTER DOC("operations");
	u64 bytes COUNTER UNIT("bytes") DOC("bytes that were really read or written");
	HIST_LOG2(took_ns, 36, UNIT("ns") DOC("time an operation takes"));
};
METRICS(uses, struct file_labels, struct file_values, 4096, "Operations on the watched file");

#define WATCHED param_file(file)

static __noinline bool name_watched(struct dentry_link *link)
{
	const volatile u64 *want = (const volatile u64 *)WATCHED->name;
	u64 have[PARAM_FILE_NAME / 8] = {};
	u32 len;

	if (!link)
		return false;
	len = link->hash_len >> 32;
	if (len != WATCHED->name_len)
		return false;
	if (len > PARAM_FILE_NAME - 1)
		len = PARAM_FILE_NAME - 1;
	barrier_var(len);
	if (len > PARAM_FILE_NAME - 1)
		return false;
	bpf_probe_read_kernel(have, len, link->name);
	for (u32 i = 0; i < PARAM_FILE_NAME / 8; i++)
		if (have[i] != want[i])
			return false;
	return true;
}

struct inode_id {
	u64 nr;
	u32 device;
};

static __always_inline struct inode *dentry_inode(struct dentry *dentry)
{
	return DIRECT ? direct(struct dentry, dentry)->d_inode : BPF_CORE_READ(dentry, d_inode);
}

static __always_inline struct inode_id inode_id(struct inode *inode)
{
	struct inode_id id = {};

	if (DIRECT) {
		id.nr = direct(struct inode, inode)->i_ino;
		id.device = direct(struct inode, inode)->i_sb->s_dev;
		return id;
	}
	id.nr = BPF_CORE_READ(inode, i_ino);
	id.device = BPF_CORE_READ(inode, i_sb, s_dev);
	return id;
}

/* The file that was there at the start, or the directory. */
static __always_inline bool inode_at_start(struct inode *inode, struct inode_id id)
{
	if (id.nr != WATCHED->inode || id.device != WATCHED->device || !id.nr ||
	    (inode_type(inode) == FILE_TYPE_DIRECTORY) != !!WATCHED->is_dir)
		return false;
	return !WATCHED->generation || WATCHED->generation == BPF_CORE_READ(inode, i_generation);
}

/* Inodes that were met under the file's name. */
struct inode_key {
	u64 nr;
	u64 device;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct inode_key);
	__type(value, u32); /* generation */
} inodes_met SEC(".maps");

/* Whether one whose number ends so is among them: for nearly all files that is the answer. */
bool inodes_met_hint[256];

static __noinline bool inode_met(struct inode *inode, u64 nr, u64 device)
{
	struct inode_key key = { .nr = nr, .device = device };
	u32 *generation = bpf_map_lookup_elem(&inodes_met, &key);

	return generation && inode && *generation == BPF_CORE_READ(inode, i_generation);
}

static __noinline bool inode_meet(struct inode *inode, u64 nr, u64 device)
{
	struct inode_key key = { .nr = nr, .device = device };
	u32 generation;

	if (!inode)
		return true;
	generation = BPF_CORE_READ(inode, i_generation);
	bpf_map_update_elem(&inodes_met, &key, &generation, BPF_ANY);
	inodes_met_hint[(u8)nr] = true;
	return true;
}

#define DEPTH_MAX 48
static __always_inline bool below_watched(struct dentry *dentry)
{
	struct dentry *parent;
	struct inode *inode;

	for (int i = 0; i < DEPTH_MAX; i++) {
		parent = DIRECT ? direct(struct dentry, dentry)->d_parent
				: BPF_CORE_READ(dentry, d_parent);
		if (!parent || parent == dentry)
			return false;
		inode = dentry_inode(parent);
		if (inode_at_start(inode, inode_id(inode)))
			return true;
		dentry = parent;
	}
	return false;
}

/* Has it the file's name, in the file's directory? */
static __noinline bool dentry_named(struct dentry *dentry)
{
	struct dentry_link link = {};

	if (!dentry)
		return false;
	dentry_link(dentry, &link);
	return inode_id(dentry_inode(link.parent)).nr == WATCHED->dir_inode && name_watched(&link);
}

/*
 * On an overlay two files may have one number: one of each layer, or two names of one below, of which one
 * was copied up. So a file is known by what it is above. One that is only below can't have been moved: its
 * name tells it. It is kept by its place in memory, to be known again if it is copied up to be moved.
 */
#define DEVICE_ABOVE (1ULL << 32) /* the file itself, there, is another */
static __noinline bool overlay_watched(struct dentry *dentry, struct inode *inode)
{
	struct inode_key below = { .nr = (u64)inode };
	struct inode_id above = {};
	struct inode *upper;
	u32 *nr_below, nr;

	if (!inode)
		return false;
	nr = inode_id(inode).nr;
	below.device = overlay_lower_mark(inode);
	upper = overlay_upper(inode);
	if (!upper)
		return dentry_named(dentry) &&
		       !bpf_map_update_elem(&inodes_met, &below, &nr, BPF_ANY);
	above = inode_id(upper);
	if (inode_met(upper, above.nr, above.device | DEVICE_ABOVE))
		return true;
	nr_below = bpf_map_lookup_elem(&inodes_met, &below);
	if (!(nr_below && *nr_below == nr) && !dentry_named(dentry))
		return false;
	return inode_meet(upper, above.nr, above.device | DEVICE_ABOVE);
}

/* Global: the verifier checks it once. */
__noinline int dentry_watched(u64 address)
{
	struct dentry *dentry = (void *)address;
	struct inode *inode;
	struct inode_id id;

	if (!dentry)
		return false;
	inode = dentry_inode(dentry);
	id = inode_id(inode);
	if (!WATCHED->is_dir && id.device == WATCHED->dir_device && on_overlay(inode))
		return overlay_watched(dentry, inode);
	if (inode_at_start(inode, id))
		return true;
	if (WATCHED->is_dir)
		return id.device == WATCHED->device && below_watched(dentry);
	if (inodes_met_hint[(u8)id.nr] && inode_met(inode, id.nr, id.device))
		return true;
	if (id.device != WATCHED->dir_device || !dentry_named(dentry))
		return false;
	return inode_meet(inode, id.nr, id.device);
}

static __always_inline bool file_watched(struct file *file)
{
	struct path *path = &file->f_path;

	if (!file)
		return false;
	return dentry_watched(DIRECT ? kernel_word(&path->dentry)
				     : (u64)BPF_CORE_READ(path, dentry));
}

/* Where a comparison is. In the slot, so that to the verifier it is unknown: see path.h. */
struct path_match {
	u32 text; /* offsets in the slot's body */
	u32 end;
	u32 path; /* index in the path */
	u64 id;   /* of TEXT_ID */
};
enum path_verdict { PATH_NO, PATH_YES, PATH_MORE };
#define PATH_MATCH(slot) ((volatile struct path_match *)&(slot)->body[EVENT_MAX + TEXT_MAX - 64])

static __always_inline char body_char(struct event_slot *slot, u32 at)
{
	barrier_var(at);
	return at < EVENT_MAX ? slot->body[at] : 0;
}

/* How much at `at` says nothing: "/" before a '/', "/." before a '/'. */
static __always_inline u32 path_empty(struct event_slot *slot, u32 at)
{
	char next = body_char(slot, at + 1);

	if (body_char(slot, at) != '/')
		return 0;
	if (next == '/')
		return 1;
	return next == '.' && body_char(slot, at + 2) == '/' ? 2 : 0;
}

/* What a text is compared with: the path, what the user gave as it, or nothing: it gets a number. */
enum text_with { TEXT_PATH, TEXT_GIVEN, TEXT_ID };

/* One step of a comparison. Global: the verifier checks it once. */
__noinline int path_match_step(u32 index, u32 with)
{
	struct event_slot *slot = bpf_map_lookup_elem(&sonda_slots, &index);
	u32 len = with == TEXT_GIVEN ? WATCHED->given_len : WATCHED->path_len;
	volatile struct path_match *match;
	u32 at, nth, empty;
	char want;

	if (!slot)
		return PATH_NO;
	match = PATH_MATCH(slot);
	at = match->text;
	nth = match->path;
	empty = path_empty(slot, at);
	if (empty) {
		match->text = at + empty;
		return PATH_MORE;
	}
	if (with == TEXT_ID) {
		if (at >= match->end)
			return PATH_YES;
		match->id = id_mix(match->id, (u8)body_char(slot, at));
		match->text = at + 1;
		return PATH_MORE;
	}
	if (nth >= len)
		return at == match->end || (WATCHED->is_dir && body_char(slot, at) == '/');
	barrier_var(nth);
	if (nth >= PARAM_FILE_PATH)
		return PATH_NO;
	want = with == TEXT_GIVEN ? WATCHED->given[nth] : WATCHED->path[nth];
	if (body_char(slot, at) != want)
		return PATH_NO;
	match->text = at + 1;
	match->path = nth + 1;
	return PATH_MORE;
}

/* Is the text `field` in the slot `index` the path, or below it? With TEXT_ID: has it a number? */
__noinline int text_watched(u32 index, u32 field, u32 with)
{
	struct event_slot *slot = bpf_map_lookup_elem(&sonda_slots, &index);
	struct text *text = path_text(slot, field);
	int verdict = PATH_NO;

	if (!text)
		return PATH_NO;
	PATH_MATCH(slot)->text = text->at;
	PATH_MATCH(slot)->end = text->at + (text->size & ~TEXT_CUT);
	PATH_MATCH(slot)->path = 0;
	PATH_MATCH(slot)->id = 0;
	for (u32 i = 0; i < PARAM_FILE_PATH; i++) {
		verdict = path_match_step(index, with);
		if (verdict != PATH_MORE)
			break;
	}
	return verdict == PATH_YES;
}

/* Other names that renames gave to the watched file; by their numbers. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, u8);
} names_given SEC(".maps");
bool any_name_given;

static __noinline bool text_matches(struct event_slot *slot, u32 field)
{
	u64 id;

	if (!slot)
		return false;
	if (text_watched(slot->index, field, TEXT_PATH) ||
	    text_watched(slot->index, field, TEXT_GIVEN))
		return true;
	if (!any_name_given || !text_watched(slot->index, field, TEXT_ID))
		return false;
	id = PATH_MATCH(slot)->id;
	return bpf_map_lookup_elem(&names_given, &id);
}
#define text_is_watched(e, field) \
	text_matches(event_slot_of(e), __builtin_offsetof(typeof(*(e)), field))

static __noinline int text_becomes(struct event_slot *slot, u32 field, bool given)
{
	u8 value = 1;
	u64 id;

	if (!slot || WATCHED->is_dir || !text_watched(slot->index, field, TEXT_ID))
		return 0;
	id = PATH_MATCH(slot)->id;
	if (!given)
		return bpf_map_delete_elem(&names_given, &id);
	any_name_given = true;
	return bpf_map_update_elem(&names_given, &id, &value, BPF_ANY);
}

/* A name of the watched file went, or was given to it. */
#define text_given(e, field, given) \
	text_becomes(event_slot_of(e), __builtin_offsetof(typeof(*(e)), field), given)

static __noinline int count_use(struct file_io *io)
{
	struct file_labels key = {};
	struct file_values *row;
	struct inode *inode;

	if (!io)
		return 0;
	inode = io->inode;
	if (label(uses, 0))
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	if (label(uses, 1))
		key.op = io->op;
	if (label(uses, 2))
		key.err = io->ret < 0 ? io->ret : 0;
	if (label(uses, 3))
		key.cgroup = task_cgroup_id(current_task());
	if (label(uses, 4) && inode)
		key.inode = BPF_CORE_READ(inode, i_ino);
	if (label(uses, 5))
		key.pid = bpf_get_current_pid_tgid() >> 32;
	if (label(uses, 6))
		key.uid = task_uid(current_task());
	row = row_of(uses, &key);
	if (!row)
		return 0;
	add(row->calls, 1);
	if (io->ret > 0 && (io->op == FILE_OP_READ || io->op == FILE_OP_WRITE))
		add(row->bytes, io->ret);
	observe(row->took_ns, io->took_ns);
	return 0;
}

static __always_inline void describe_io(struct file_use *e, struct file_io *io)
{
	task_now(&e->task);
	e->op = io->op;
	e->err = io->ret < 0 ? io->ret : 0;
	e->took_ns = io->took_ns;
	e->offset = io->offset;
	if (io->ret > 0 && (io->op == FILE_OP_READ || io->op == FILE_OP_WRITE))
		e->size_bytes = io->ret;
}

static __noinline int tell_io(void *ctx, struct file_io *io)
{
	struct file_use *e = event_new(file_use);
	struct inode *inode;

	if (!e || !io)
		return 0;
	inode = io->inode;
	describe_io(e, io);
	text_path(e, path, &io->file->f_path);
	if (inode)
		e->inode = BPF_CORE_READ(inode, i_ino);
	event_send(ctx, e);
	return 0;
}

static __noinline int io_done(void *ctx, struct file_io *io)
{
	/* of a close the file is gone: it was looked at when it began */
	if (!io || (io->op != FILE_OP_CLOSE && !file_watched(io->file)))
		return 0;
	if (!wanted() || !notable(io->ret < 0 ? io->ret : 0, io->took_ns))
		return 0;
	if (tables_wanted())
		count_use(io);
	if (events_wanted())
		tell_io(ctx, io);
	return 0;
}

/* Where a call on paths finds them: a descriptor and an address each. */
struct paths_asked {
	int dirfd, to_dirfd;
	u64 path, to;
};

static __noinline int paths_done(void *ctx, struct file_io *io, struct paths_asked *asked)
{
	bool is_path, is_to;
	struct file_use *e;

	if (!io || !asked)
		return 0;
	e = event_new(file_use);
	if (!e)
		return 0;
	text_path_requested(e, path, asked->dirfd, (const char *)asked->path);
	if (asked->to)
		text_path_requested(e, to, asked->to_dirfd, (const char *)asked->to);
	is_path = text_is_watched(e, path);
	is_to = asked->to && text_is_watched(e, to);
	if (!is_path && !is_to) {
		event_release(e);
		return 0;
	}
	if (io->ret >= 0 && (io->op == FILE_OP_RENAME || io->op == FILE_OP_UNLINK))
		text_given(e, path, false);
	if (io->ret >= 0 && io->op == FILE_OP_RENAME)
		text_given(e, to, is_path);
	if (!wanted() || !notable(io->ret < 0 ? io->ret : 0, io->took_ns)) {
		event_release(e);
		return 0;
	}
	if (tables_wanted())
		count_use(io);
	if (!events_wanted()) {
		event_release(e);
		return 0;
	}
	describe_io(e, io);
	event_send(ctx, e);
	return 0;
}

#define ARG(nth) syscall_arg(regs, nth, is_32bit)
static __always_inline int path_done(void *ctx, const volatile struct file_call *call,
				     struct pt_regs *regs, bool is_32bit, struct file_io *io)
{
	struct paths_asked asked = { .dirfd = AT_FDCWD, .to_dirfd = AT_FDCWD };

	io->offset = -1;
	if (io->op == FILE_OP_OPEN && io->ret >= 0) {
		io->file = file_of_fd(io->ret);
		return file_io_tell(ctx, io);
	}
	if (call->fd != NO_ARG)
		asked.dirfd = ARG(call->fd);
	if (call->fd2 != NO_ARG)
		asked.to_dirfd = ARG(call->fd2);
	asked.path = ARG(call->path);
	asked.to = call->path2 == NO_ARG ? 0 : ARG(call->path2);
	return paths_done(ctx, io, &asked);
}
#undef ARG

SEC("tp_btf/sys_enter") int BPF_PROG(call_begins, struct pt_regs *regs, long nr)
{
	const volatile struct file_call *call;
	struct file_call_files files;
	bool is_32bit;

	call = file_call_of(regs, FILE_IO_OPS, &is_32bit);
	if (!call || file_call_aio(call, regs, is_32bit))
		return 0;
	files = file_call_files(call, regs, is_32bit);
	if (call->path != NO_ARG || file_watched(files.file) || file_watched(files.file2))
		file_call_begins(regs, is_32bit, files);
	return 0;
}

FILE_IO_ENDS
