/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Snapshots: rows with texts.
 *
 *	e = event_new(handle);		of a ROW; NULL: counted as lost, return
 *	text_path(e, path, &file->f_path);
 *	row_send(ctx->meta->seq, e);
 *
 * A row without texts may lie on the stack: row_write(seq, &row). Iterators run one after the other
 * in the order of the file, so one without ROWS may gather in a map what later ones tell.
 */
#pragma once

#include "kernel/iter.h"

/* The address of what the iterator stands on, as a number: global functions take no such pointers. */
#define iter_address(ctx, member)                                         \
	({                                                                \
		u64 address = 0;                                          \
		bpf_core_read(&address, sizeof(address), &(ctx)->member); \
		address;                                                  \
	})

static __noinline int slot_row(struct seq_file *seq, struct event_slot *slot)
{
	u32 size;
	long err;

	if (!slot)
		return 0;
	size = *(volatile u32 *)&slot->tail;
	barrier_var(size);
	if (size > EVENT_MAX)
		size = EVENT_MAX;
	slot->record.size = size;
	slot->record.seq = 0;
	err = bpf_seq_write(seq, &slot->record, sizeof(struct record) + size);
	slot_release(slot);
	return err;
}

/* Writes the row with its texts. `e` is gone after it. */
#define row_send(seq, e) slot_row(seq, event_slot_of(e))
