/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The object of a system call: text_call_object(e, object, &shape, args). Of the current process, at the
 * call's exit: a path that it asked for is read again from its memory, joined to where it begins.
 */
#pragma once

#include "sonda/object.h"
#include "sonda/shape.h"

/* Arguments count from 1. */
static __always_inline u64 arg_of(const u64 args[6], u32 nth)
{
	u32 at = nth - 1;

	barrier_var(at);
	return at < 6 ? args[at] : 0;
}

/* Inlined: the walk to a path needs the kernel's eight frames nearly all. */
static __always_inline int slot_call_object(struct event_slot *slot, u32 field,
					    const struct call_shape *shape, const u64 *args)
{
	struct address address = {};
	struct file *file;
	const void *name;
	char first = 0;
	int dirfd;

	if (!slot || !shape || !args)
		return -EINVAL;
	dirfd = shape->dirfd ? (int)arg_of(args, shape->dirfd) : AT_FDCWD;
	name = (const void *)arg_of(args, shape->path);
	if (shape->path)
		bpf_probe_read_user(&first, 1, name);
	if (first)
		return slot_path_requested(slot->index, field, dirfd, (u64)name);
	address.at = (const void *)arg_of(args, shape->address);
	address.len = arg_of(args, shape->address + 1);
	address.is_own = shape->waits_for == CALL_WAITS_FOR_NOTHING;
	if (shape->fd)
		file = file_of_fd(arg_of(args, shape->fd));
	else if (shape->dirfd)
		file = file_of_fd(dirfd); /* AT_EMPTY_PATH */
	else
		return -ENOENT;
	return slot_file(slot, field, file, &address);
}

#define text_call_object(e, field, shape, args) \
	slot_call_object(event_slot_of(e), __builtin_offsetof(typeof(*(e)), field), shape, args)
