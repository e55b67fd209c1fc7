/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Absolute paths. Those of what the kernel has open hold nothing from user memory.
 *
 *	text_path(e, path, &file->f_path);		a struct path * of the kernel
 *	text_path_at(e, path, dentry, mount);		its two parts
 *	text_path_requested(e, path, dirfd, name);	what the current process asked for: `name`,
 *							from user memory, joined to `dirfd`
 *	file = file_of_fd(fd);				of the current process; NULL: not open
 *
 * A path goes up to the root of its mount namespace, through every mount and beyond a chroot. It reads
 * like the kernel's own: " (deleted)" when its name is gone, "pipe:[4026]", "socket:[77]",
 * "anon_inode:[eventpoll]", "mnt:[4026531841]", "/memfd:x (deleted)". What is too deep or too long
 * begins with ".../", is marked as cut, and counts as unresolved.
 *
 * Built backwards behind the part of the slot that is sent, then moved to the slot's tail.
 */
#pragma once

/* Directories and mounts on the way up. What is dear to check is in global functions: the verifier
 * checks each once, however often it is called, and 5.10 lets them take only numbers. */
#define PATH_ROUNDS      32
#define PATH_ROUND_STEPS 16
#define PATH_NAME_MAX    255

/* The area, TEXT_MAX bytes; a name at its last byte still lies in the slot. */
#define PATH_AREA(slot, at) (&(slot)->body[EVENT_MAX - PATH_NAME_MAX - 1 + (at)])
#define PATH_MARK           "..."

/* The walk's state lies behind the area: to the verifier, what is read from there is always unknown,
 * so the ways through one step meet again and many steps are cheap to check. */
struct path_walk {
	struct dentry *dentry;
	struct mount *mount;
	struct mount_link up;
	u64 at;    /* where the path begins in the area */
	u64 floor; /* where it may begin */
};
#define PATH_WALK(slot) ((struct path_walk *)&(slot)->body[EVENT_MAX + TEXT_MAX - 128])

/* Up to this many bytes of a name are read as two words that may overlap, without a call. */
#define PATH_WORDS 16

/* Puts a directory entry's name before the path, its `len` bytes at `at`, and `end` is where they end. A
 * name lies in at least eight bytes: in the entry itself, or it is long. */
static __always_inline void path_put_words(struct event_slot *slot, const void *name, u64 len,
					   u64 at, u64 end)
{
	u64 *to = (u64 *)PATH_AREA(slot, at), word = kernel_word(name), mask;

	if (len < sizeof(word)) {
		mask = (1ull << (len * 8)) - 1;
		*to = (*to & ~mask) | (word & mask);
		return;
	}
	*to = word;
	*(u64 *)PATH_AREA(slot, end - sizeof(word)) = kernel_word(name + len - sizeof(word));
}

/* The name and the '/' before it. */
static __always_inline int path_put_name(struct event_slot *slot, const void *name, u64 len)
{
	struct path_walk *walk = PATH_WALK(slot);
	u64 end = walk->at, at = end - len - 1;

	barrier_var(len);
	barrier_var(end);
	barrier_var(at);
	if (len > PATH_NAME_MAX || end > TEXT_MAX || at >= TEXT_MAX || at < walk->floor)
		return -E2BIG;
	*PATH_AREA(slot, at) = '/';
	if (DIRECT && len <= PATH_WORDS)
		path_put_words(slot, name, len, at + 1, end);
	else if (bpf_probe_read_kernel(PATH_AREA(slot, at + 1), len, name))
		return -E2BIG;
	walk->at = at;
	return 0;
}

/* Puts `len` bytes of kernel memory before the path. */
static __always_inline int path_put(struct event_slot *slot, const void *from, u64 len)
{
	struct path_walk *walk = PATH_WALK(slot);
	u64 at = walk->at - len;

	/* what is checked and what is used shall be one register: 5.10 needs that */
	barrier_var(len);
	barrier_var(at);
	if (len > PATH_NAME_MAX || at >= TEXT_MAX || at < walk->floor)
		return -E2BIG;
	walk->at = at;
	return bpf_probe_read_kernel(PATH_AREA(slot, at), len, from);
}
#define path_put_text(slot, text) path_put(slot, text, sizeof(text) - 1)

static __always_inline int path_put_char(struct event_slot *slot, char c)
{
	struct path_walk *walk = PATH_WALK(slot);
	u64 at = walk->at - 1;

	barrier_var(at);
	if (at >= TEXT_MAX || at < walk->floor)
		return -E2BIG;
	walk->at = at;
	*PATH_AREA(slot, at) = c;
	return 0;
}

/* Puts `n` in digits before the path in the slot `index`; global, because it has many ways through. */
__noinline int path_put_number(u32 index, u64 n)
{
	struct event_slot *slot = bpf_map_lookup_elem(&sonda_slots, &index);

	if (!slot)
		return -EINVAL;
	for (int i = 0; i < 20; i++) {
		path_put_char(slot, '0' + n % 10);
		n /= 10;
		if (!n)
			break;
	}
	return 0;
}

/* One step up: 1 if there is more above, 0 at the root, or a negative errno. */
static __noinline int path_step(struct event_slot *slot)
{
	struct dentry_link link = {};
	struct path_walk *walk;

	if (!slot)
		return -EINVAL;
	walk = PATH_WALK(slot);
	if (walk->dentry == walk->up.root) {
		if (walk->up.parent == walk->mount)
			return 0;
		walk->dentry = walk->up.mountpoint;
		walk->mount = walk->up.parent;
		mount_link(walk->mount, &walk->up);
		return 1;
	}
	dentry_link(walk->dentry, &link);
	if (!link.parent)
		return -EFAULT;
	if (link.parent == walk->dentry)
		return 0;
	walk->dentry = link.parent;
	return path_put_name(slot, link.name, link.hash_len >> 32) ?: 1;
}

/* A round of steps in the slot `index`: 1 if there is more above, 0 at the root, or a negative errno. */
__noinline int path_climb(u32 index)
{
	struct event_slot *slot = bpf_map_lookup_elem(&sonda_slots, &index);
	int more = -EINVAL;

	for (int i = 0; i < PATH_ROUND_STEPS; i++) {
		more = path_step(slot);
		if (more <= 0)
			break;
	}
	return more;
}

static __always_inline int path_ns(struct event_slot *slot, struct inode *inode)
{
	struct ns_common *ns = BPF_CORE_READ(inode, i_private);
	const char *name = BPF_CORE_READ(ns, ops, name);
	char kind[16] = {};
	long size = bpf_probe_read_kernel_str(kind, sizeof(kind), name);

	path_put_char(slot, '[');
	path_put_char(slot, ':');
	return size > 1 ? path_put(slot, kind, (size - 1) & 15) : -EFAULT;
}

/* What is in no directory has a name made up by its kind. */
static __noinline int path_nameless(struct event_slot *slot, struct dentry *dentry)
{
	struct inode *inode;
	struct dentry_link link = {};
	u64 magic;

	if (!slot)
		return -EINVAL;
	dentry_link(dentry, &link);
	inode = BPF_CORE_READ(dentry, d_inode);
	magic = BPF_CORE_READ(dentry, d_sb, s_magic);
	if (magic == 0x50494446 /* pidfs */)
		return path_put_text(slot, "anon_inode:[pidfd]");
	if (magic == 0x09041934 /* anon_inodefs */) {
		path_put(slot, link.name, link.hash_len >> 32);
		return path_put_text(slot, "anon_inode:");
	}
	if (magic == 0x50495045 /* pipefs */ || magic == 0x534f434b /* sockfs */ ||
	    magic == 0x6e736673 /* nsfs */) {
		path_put_char(slot, ']');
		path_put_number(slot->index, BPF_CORE_READ(inode, i_ino));
		if (magic == 0x6e736673)
			return path_ns(slot, inode);
		return magic == 0x50495045 ? path_put_text(slot, "pipe:[")
					   : path_put_text(slot, "socket:[");
	}
	if (!BPF_CORE_READ(dentry, d_op, d_dname))
		return -ENOENT; /* opened by handle, and not yet found in any directory */
	path_put_text(slot, " (deleted)");
	path_put(slot, link.name, link.hash_len >> 32);
	return path_put_char(slot, '/');
}

/* Builds the path that the walk begins at in the area. A root gives "" (callers make it "/"). 0 or a
 * negative errno. */
static __always_inline int path_build(struct event_slot *slot)
{
	struct path_walk *walk;
	struct dentry *dentry;
	int err = -E2BIG;

	if (!slot)
		return -EINVAL;
	walk = PATH_WALK(slot);
	dentry = walk->dentry;
	if (!dentry || !walk->mount)
		return -EINVAL;
	mount_link(walk->mount, &walk->up);
	if (dentry != walk->up.root) {
		if (dentry_is_root(dentry))
			return path_nameless(slot, dentry);
		if (dentry_unlinked(dentry))
			path_put_text(slot, " (deleted)");
	}
	for (int i = 0; i < PATH_ROUNDS; i++) {
		err = path_climb(slot->index);
		if (err <= 0)
			break;
	}
	return err > 0 ? -E2BIG : err;
}

/* The member at the offset `field` of the slot's event, or NULL. */
static __always_inline struct text *path_text(struct event_slot *slot, u64 field)
{
	barrier_var(field);
	if (!slot || field > EVENT_MAX - sizeof(struct text))
		return NULL;
	return (void *)&slot->body[field];
}

/* Begins a walk whose path fits in what is left of the event. */
static __always_inline int path_begin(struct event_slot *slot)
{
	struct path_walk *walk = PATH_WALK(slot);
	u32 tail = *(volatile u32 *)&slot->tail;
	u32 room = EVENT_MAX - 1 - tail;

	if (tail >= EVENT_MAX - PATH_NAME_MAX - 1)
		return -E2BIG;
	walk->at = TEXT_MAX;
	walk->floor = sizeof(PATH_MARK) - 1 + (room < TEXT_MAX ? TEXT_MAX - room : 0);
	return 0;
}

/* Copies a path within the slot, in whole words as far as it is short: what is behind it in both places
 * is there to be written over. */
#define PATH_MOVE_WORDS 8
static __always_inline void path_move(struct event_slot *slot, u64 to, u64 at, u64 size)
{
	if (size > PATH_MOVE_WORDS * sizeof(u64)) {
		bpf_probe_read_kernel(&slot->body[to], size, PATH_AREA(slot, at));
		return;
	}
	barrier_var(size); /* newer compilers leave the bound out that they know, and the verifier not */
#pragma unroll
	for (u64 i = 0; i < PATH_MOVE_WORDS * sizeof(u64) && i < size; i += sizeof(u64)) {
		/* as words: of members of the slot they know no alignment */
		u64 *into = (u64 *)&slot->body[to + i], *from = (u64 *)PATH_AREA(slot, at + i);

		*into = *from;
	}
}

/* Moves the path from the area to the slot's tail, with its NUL. */
static __always_inline int path_end(struct event_slot *slot, struct text *text)
{
	u32 begin = *(volatile u32 *)&slot->tail;
	u64 at = PATH_WALK(slot)->at, size;

	barrier_var(at);
	if (begin >= EVENT_MAX || at > TEXT_MAX)
		return -E2BIG;
	size = TEXT_MAX - at;
	path_move(slot, begin, at, size);
	text->at = begin;
	text->size = size;
	size += begin;
	if (size >= EVENT_MAX)
		return -E2BIG;
	slot->body[size] = 0;
	slot->tail = size + 1;
	return 0;
}

/* Where the walk of the slot `index` begins as the text `field`; what can't be told stays empty. A
 * root is "/", or "" for `join`. */
__noinline int slot_path_walk(u32 index, u32 field, u32 join)
{
	struct event_slot *slot = bpf_map_lookup_elem(&sonda_slots, &index);
	struct text *text = path_text(slot, field);
	int err;

	if (!text)
		return -EINVAL;
	err = path_begin(slot);
	if (!err)
		err = path_build(slot);
	if (err)
		count_unresolved();
	if (err && err != -E2BIG)
		return err;
	if (err) {
		PATH_WALK(slot)->floor = 0;
		path_put_text(slot, PATH_MARK);
	} else if (PATH_WALK(slot)->at == TEXT_MAX && !join) {
		path_put_char(slot, '/');
	}
	path_end(slot, text);
	return err ? text_was_cut(text) : 0;
}

/* `dentry` in `mount`. They go through the slot: to a global function they'd be pointers. */
static __always_inline int slot_path_at(struct event_slot *slot, u32 field, struct dentry *dentry,
					struct mount *mount, u32 join)
{
	if (!slot)
		return -EINVAL;
	PATH_WALK(slot)->dentry = dentry;
	PATH_WALK(slot)->mount = mount;
	return slot_path_walk(slot->index, field, join);
}

static __always_inline int slot_path(struct event_slot *slot, u32 field, struct path *path,
				     u32 join)
{
	struct vfsmount *mnt = path_mount(path);

	return slot_path_at(slot, field, path_dentry(path), mnt ? mount_of(mnt) : NULL, join);
}

#define text_path_at(e, field, dentry, mount)                                                  \
	slot_path_at(event_slot_of(e), __builtin_offsetof(typeof(*(e)), field), dentry, mount, \
		     false)
#define text_path(e, field, path) \
	slot_path(event_slot_of(e), __builtin_offsetof(typeof(*(e)), field), path, false)

/* Where a process's table of open files is, and what its first one holds; they lie side by side in every
 * kernel so far: then one read fetches them. */
struct files_head {
	struct fdtable *table;
	u64 max_fds;
	struct file **fd;
};

static __always_inline struct file **files_read(struct files_struct *files, u32 fd)
{
	u32 table_at = bpf_core_field_offset(struct files_struct, fdt);
	u32 first_at = bpf_core_field_offset(struct files_struct, fdtab);
	struct files_head head;
	struct fdtable *table;

	if (first_at == table_at + 8 && !bpf_core_field_offset(struct fdtable, max_fds) &&
	    bpf_core_field_offset(struct fdtable, fd) == 8) {
		bpf_probe_read_kernel(&head, sizeof(head), (void *)files + table_at);
		if ((u64)head.table == (u64)files + first_at)
			return fd < (u32)head.max_fds ? head.fd : NULL;
		table = head.table;
	} else {
		table = BPF_CORE_READ(files, fdt);
	}
	return fd < BPF_CORE_READ(table, max_fds) ? BPF_CORE_READ(table, fd) : NULL;
}

/* The task's open files, if its table reaches to `fd`. */
static __always_inline struct file **files_of(struct task_struct *task, u32 fd)
{
	struct fdtable *table;

	if (DIRECT) {
		table = direct(struct task_struct, task)->files->fdt;
		return fd < table->max_fds ? table->fd : NULL;
	}
	return files_read(BPF_CORE_READ(task, files), fd);
}

/* The current process's. */
static __always_inline struct file **files_below(u32 fd)
{
	struct fdtable *table;

	if (DIRECT) {
		table = bpf_get_current_task_btf()->files->fdt;
		return fd < table->max_fds ? table->fd : NULL;
	}
	return files_of(current_task(), fd);
}

/* The task's open file `fd`, or NULL. */
static __noinline struct file *file_of_task(struct task_struct *task, u32 fd)
{
	struct file **files = files_of(task, fd);

	return files ? kernel_pointer(&files[fd]) : NULL;
}

/* The current process's open file `fd`, or NULL. */
static __always_inline struct file *file_of_fd(u32 fd)
{
	return file_of_task(current_task(), fd);
}

/* Where the current process begins to look for `name`; NULL if `dirfd` is not open. */
static __always_inline struct path *path_base(int dirfd, char first)
{
	struct fs_struct *fs = BPF_CORE_READ(current_task(), fs);
	struct file *dir;

	if (first == '/')
		return &fs->root;
	if (dirfd == AT_FDCWD)
		return &fs->pwd;
	dir = file_of_fd(dirfd);
	return dir ? &dir->f_path : NULL;
}

/* The same of `name` (a const char * of the current process) joined to `dirfd`. */
__noinline int slot_path_requested(u32 index, u32 field, int dirfd, u64 name)
{
	struct event_slot *slot = bpf_map_lookup_elem(&sonda_slots, &index);
	struct text *text = path_text(slot, field);
	struct path *base;
	char first = 0;
	u32 begin, at, cut;
	u64 nul;
	int n;

	if (!text)
		return -EINVAL;
	begin = *(volatile u32 *)&slot->tail;
	bpf_probe_read_user(&first, 1, (const void *)name);
	base = path_base(dirfd, first);
	if (base)
		slot_path(slot, field, base, true);
	cut = text->size & TEXT_CUT;
	at = *(volatile u32 *)&slot->tail;
	nul = at - 1;
	barrier_var(nul);
	if (at > begin && nul < EVENT_MAX) {
		slot->body[nul] = '/';
		at -= first == '/';
		slot->tail = at;
	}
	n = slot_text(slot, field, (const void *)name, TEXT_MAX, true);
	if (text->at == at)
		text->size = (text->size + at - begin) | cut;
	else
		text->size = 0; /* the name could not be read */
	text->at = begin;
	return n;
}

#define text_path_requested(e, field, dirfd, name)                                            \
	slot_path_requested(event_slot_of(e)->index, __builtin_offsetof(typeof(*(e)), field), \
			    dirfd, (u64)(name))
