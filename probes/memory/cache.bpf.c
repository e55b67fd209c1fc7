/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The page cache: what is asked of it, what had to be brought in, what was dropped, what became dirty, and
 * what of it was written back.
 * All in whole pages, so that of a file that is read for the first time as much is missed as was asked,
 * and nothing the second time.
 */
#include "sonda.bpf.h"

#include "kernel/block.h"
#include "sonda/dirtied.h"
#include "sonda/file_name.h"

PROBE(cache, "memory",
      "The page cache: asked of it, brought in, dropped, made dirty, written back, by process and file");
FILTERS("task");

struct cache_labels {
	char comm[16] KIND("comm") DOC("command name of the thread; of pages dropped or written back, the one that "
				    "did it");
	char path[FILE_NAME_MAX] KIND("path")
		DOC("file; [device]: what the file system itself keeps on it; empty: deleted");
	u64 inode KIND("inode") HIDE DOC("inode of the file");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
	u32 pid KIND("pid") HIDE DOC("process");
	u32 device KIND("device") HIDE DOC("device of the file system");
};
struct cache_values {
	u64 asked_bytes COUNTER UNIT("bytes")
		DOC("pages that reads, and faults of mappings that found no page mapped, asked for");
	u64 missed_bytes COUNTER UNIT("bytes")
		DOC("pages that were not there and were read from the disk, also those read ahead");
	u64 added_bytes COUNTER HIDE UNIT("bytes") DOC("these, and pages that are new for a write");
	u64 dropped_bytes COUNTER UNIT("bytes") DOC("pages that left: for want of memory, or with the file");
	u64 dirtied_bytes COUNTER UNIT("bytes") DOC("clean pages that a write changed");
	u64 written_bytes COUNTER UNIT("bytes") DOC("written back: sent on the way to the disk");
};
METRICS_PERCPU(cache, struct cache_labels, struct cache_values, 8192, "Page cache");
RATIO_REST(cache, hit_ratio, missed_bytes, asked_bytes,
	   DOC("share of the pages asked for that were there; 0 when more was read ahead than was asked"));

enum cache_what {
	CACHE_ASKED,
	CACHE_MISSED,
	CACHE_ADDED,
	CACHE_DROPPED,
	CACHE_DIRTIED,
	CACHE_WRITTEN,
	CACHE_COUNT
};

static __noinline int count_pages(struct inode *inode, struct file_name *name, enum cache_what what,
				  u64 bytes)
{
	struct cache_labels key = {};
	u64 *row;

	if (!inode)
		return 0;
	if (label(cache, 0))
		comm_now(key.comm);
	if (label(cache, 1))
		inode_name_label(key.path, inode, name);
	if (label(cache, 2))
		key.inode = BPF_CORE_READ(inode, i_ino);
	if (label(cache, 3))
		key.cgroup = task_cgroup_id(current_task());
	if (label(cache, 4))
		key.pid = bpf_get_current_pid_tgid() >> 32;
	if (label(cache, 5))
		key.device = inode_device(inode);
	row = row_of(cache, &key);
	if (row && what < CACHE_COUNT)
		add(row[what], bytes);
	if (row && what == CACHE_MISSED)
		add(row[CACHE_ADDED], bytes);
	return 0;
}

static __noinline int pages_counted(struct inode *inode, enum cache_what what, u64 bytes)
{
	struct file_name *name = NULL;

	if (!inode || !bytes || !tables_wanted() || !wanted())
		return 0;
	if (label(cache, 1))
		name = inode_named(inode);
	return count_pages(inode, name, what, bytes);
}

static __noinline int page_dirtied(struct inode *inode, u64 bytes)
{
	return pages_counted(inode, CACHE_DIRTIED, bytes);
}
DIRTIED()

static __noinline int pages_added(struct inode *inode, u64 bytes)
{
	enum cache_what what = CACHE_MISSED;

	if (!inode || !tables_wanted())
		return 0;
	if (inode_is_written(inode))
		what = CACHE_ADDED;
	return pages_counted(inode, what, bytes);
}

#define FOLIO NEED("type folio")

ALT(added, 1) FOLIO SEC("?tp_btf/mm_filemap_add_to_page_cache")
int BPF_PROG(folio_added, struct folio *folio)
{
	return pages_added(folio->mapping->host, folio_bytes(folio));
}

ALT(added, 1) SEC("?tp_btf/mm_filemap_delete_from_page_cache")
int BPF_PROG(folio_dropped, struct folio *folio)
{
	return pages_counted(folio->mapping->host, CACHE_DROPPED, folio_bytes(folio));
}

/* folios came in 5.16 */
ALT(added, 2) SEC("?tp_btf/mm_filemap_add_to_page_cache")
int BPF_PROG(page_added_pre516, struct page *page)
{
	return pages_added(page_inode(page), page_size());
}

ALT(added, 2) SEC("?tp_btf/mm_filemap_delete_from_page_cache")
int BPF_PROG(page_dropped_pre516, struct page *page)
{
	return pages_counted(page_inode(page), CACHE_DROPPED, page_size());
}

/* What a thread last asked for: a large read asks in several steps, each time for all that is left. */
struct asked {
	u64 mapping;
	u64 first;
	u64 last;
	u64 thread;
};
#define ASKED_PLACES 16384
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ASKED_PLACES);
	__type(key, u32);
	__type(value, struct asked);
} asked_last SEC(".maps");

static __noinline bool asked_before(struct address_space *mapping, u64 first, u64 last)
{
	u64 thread = bpf_get_current_pid_tgid();
	u32 place = thread & (ASKED_PLACES - 1);
	struct asked *a = bpf_map_lookup_elem(&asked_last, &place);
	bool before;

	if (!a)
		return false;
	before = a->thread == thread && a->mapping == (u64)mapping && a->last == last &&
		 first > a->first && first <= last;
	a->thread = thread;
	a->mapping = (u64)mapping;
	a->first = first;
	a->last = last;
	return before;
}

/* The pages from `first` to `last` were asked for, as far as the file goes. */
static __noinline int pages_asked(struct address_space *mapping, u64 first, u64 last)
{
	struct inode *inode = BPF_CORE_READ(mapping, host);
	u64 pages = (BPF_CORE_READ(inode, i_size) + page_size() - 1) / page_size();

	if (asked_before(mapping, first, last) || first >= pages)
		return 0;
	if (last >= pages)
		last = pages - 1;
	return pages_counted(inode, CACHE_ASKED, (last - first + 1) * page_size());
}

#define ASKED(rank)                                                                                \
	ALT(asked, rank)                                                                           \
	OPTIONAL("what was asked of the cache: only what was missed, dropped and made dirty")

ASKED(1) SEC("?tp_btf/mm_filemap_get_pages")
int BPF_PROG(read_asks, struct address_space *mapping, u64 first, u64 last)
{
	return pages_asked(mapping, first, last);
}

ASKED(1) SEC("?tp_btf/mm_filemap_fault")
int BPF_PROG(fault_asks, struct address_space *mapping, u64 page)
{
	return pages_counted(mapping->host, CACHE_ASKED, page_size());
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct file___mapping {
	struct address_space *f_mapping;
};
struct kiocb {
	struct file___mapping *ki_filp;
	s64 ki_pos;
};
struct iov_iter {
	u64 count;
};
#pragma clang attribute pop

static __always_inline int read_begins(struct kiocb *call, struct iov_iter *to)
{
	u64 at = BPF_CORE_READ(call, ki_pos), size = BPF_CORE_READ(to, count);

	if (!size)
		return 0;
	return pages_asked(BPF_CORE_READ(call, ki_filp, f_mapping), at / page_size(),
			   (at + size - 1) / page_size());
}

/* Before these tracepoints: the function that looks pages up for a read, or for a whole one. */
#define READERS TARGETS("filemap_get_pages generic_file_buffered_read")

ASKED(2) READERS SEC("?fentry")
int BPF_PROG(read_fentry, struct kiocb *call, struct iov_iter *to)
{
	return read_begins(call, to);
}

ASKED(3) READERS SEC("?kprobe")
int BPF_KPROBE(read_kprobe, struct kiocb *call, struct iov_iter *to)
{
	return read_begins(call, to);
}

/* --- written back --- */

/* The file system's own bio: what device mapper or md make of it to send it on is a copy of it. A page that is
 * written back says so itself; one from which a write past the cache takes its data does not. */
static __noinline int bio_written(struct bio *bio)
{
	struct page *page;

	if ((bio->bi_opf & REQ_OP_MASK) != REQ_OP_WRITE || bio->bi_flags & BIO_IS_CLONE)
		return 0;
	page = BPF_CORE_READ(bio, bi_io_vec, bv_page);
	if (!page || !page_is_written(page))
		return 0;
	return pages_counted(bio_inode(bio), CACHE_WRITTEN, bio->bi_iter.bi_size);
}

#define WRITTEN(rank) ALT(written, rank) OPTIONAL("what is written back")

WRITTEN(1) NEED("tpargs block_bio_queue 1")
SEC("?tp_btf/block_bio_queue") int BPF_PROG(write_back, struct bio *bio)
{
	return bio_written(bio);
}

/* the queue argument was dropped in 5.11 (e8a676d61c07) */
WRITTEN(2) NEED("tpargs block_bio_queue 2")
SEC("?tp_btf/block_bio_queue")
int BPF_PROG(write_back_510, struct request_queue *q, struct bio *bio)
{
	return bio_written(bio);
}
