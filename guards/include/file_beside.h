/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The rules of the policy that lies beside the one in force: the way of rules_find() once more, in
 * global functions, which are verified once and not for each hook. Those take no pointers on 5.10, so
 * what the hook was given lies in the request, and is read by reads that may fail: slower, and gone
 * only while a policy lies there.
 */
#pragma once

#include "file_judge.h"

/* How far the rules reach that are to be looked for. */
enum { BESIDE_NOTHING, BESIDE_SELF, BESIDE_PLACE, BESIDE_ABOVE };

static __noinline struct inode *under_read(const struct file_filter *filter, struct dentry *dentry,
					   u32 gen, u32 *deep)
{
	struct dentry_link link = {};
	struct file_id id = {};
	struct inode *dir;

	if (!filter || !deep)
		return NULL;
	for (int i = 0; i < FILE_LEVELS; i++) {
		dir = BPF_CORE_READ(dentry, d_inode);
		id_read(&id, dir);
		if (filter_seen(filter, id.inode) && has_under(&id, gen))
			return dir;
		dentry_link(dentry, &link);
		if (link.parent == dentry)
			return NULL;
		dentry = link.parent;
	}
	*deep = 1;
	return NULL;
}

/* The place of the request's file, or (`up`) of the directory that it is in. Global functions one by one, not
 * one that calls all: the stack holds no more. */
__noinline int beside_place(u32 at, u32 up)
{
	struct file_request *request = bpf_map_lookup_elem(&file_requests, &at);
	struct dentry_link link = {};
	struct file_id own = {}, dir = {};
	struct dentry *dentry, *parent;
	struct file_filter *filter;
	struct inode *inode;
	u32 gen;

	if (!request)
		return 0;
	gen = request->found.gen;
	filter = bpf_map_lookup_elem(&file_filter, &gen);
	if (!filter)
		return 0;
	dentry = request->dentry;
	if (up)
		dentry = BPF_CORE_READ(dentry, d_parent);
	inode = BPF_CORE_READ(dentry, d_inode);
	dentry_link(dentry, &link);
	parent = link.parent;
	id_read(&dir, BPF_CORE_READ(parent, d_inode));
	if (parent == dentry || !filter_seen(filter, dir.inode))
		return 0;
	if (inode)
		id_read(&own, inode);
	return place_add(&request->found, &dir, &link, &own, !up);
}

/* The directories above it. */
__noinline int beside_above(u32 at)
{
	struct file_request *request = bpf_map_lookup_elem(&file_requests, &at);
	struct file_filter *filter;
	struct dentry *dentry;
	struct inode *dir;
	u32 deep = 0, gen;

	if (!request)
		return 0;
	gen = request->found.gen;
	filter = bpf_map_lookup_elem(&file_filter, &gen);
	if (!filter)
		return 0;
	dentry = request->dentry;
	dir = under_read(filter, BPF_CORE_READ(dentry, d_parent), gen, &deep);
	if (!dir && !deep && request->reached)
		dir = under_find_mounted(filter, request->reached, gen, &deep);
	if (dir)
		under_add(&request->found, dir);
	else if (deep)
		all_under_add(&request->found);
	return 0;
}

/* The file itself. Is there more to be asked? */
__noinline int beside_self(u32 at)
{
	struct file_request *request = bpf_map_lookup_elem(&file_requests, &at);
	const struct file_filter *filter;
	u32 gen = policy_beside();
	struct file_id own = {};
	struct dentry *dentry;
	struct inode *inode;

	filter = bpf_map_lookup_elem(&file_filter, &gen);
	if (!request || !filter || !filter->any)
		return BESIDE_NOTHING;
	request->found.gen = gen;
	inode = request->inode;
	if (!inode)
		return filter->under ? BESIDE_ABOVE : BESIDE_PLACE;
	id_read(&own, inode);
	if (filter_seen(filter, own.inode))
		self_add(&request->found, &own);
	dentry = request->dentry;
	if (BPF_CORE_READ(dentry, d_inode) != inode)
		return BESIDE_SELF;
	return filter->under ? BESIDE_ABOVE : BESIDE_PLACE;
}
