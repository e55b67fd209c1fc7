/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The kernel's own memory for small objects: who allocates from which cache, and which caches grow.
 * Allocations are millions a second on a busy machine: they are only counted, on each CPU apart, and
 * only where that table is read. The sizes of the caches cost a walk over some hundred of them a second.
 */
#define STACKS_KEPT 4096
#include "sonda.bpf.h"

#include "kernel/page.h"
#include "sonda/iter.h"
#include "sonda/stack.h"

PROBE(slab, "memory",
      "The kernel's memory for small objects: who allocates what, and which caches grow");
FILTERS("task");

struct alloc_labels {
	char cache[32] KIND("text") DOC("cache; kmalloc: by size only; empty: not told, before 6.1");
	u64 size_bytes KIND("bytes") DOC("size that an object takes");
	char comm[16] KIND("comm") DOC("command name of the thread");
	u32 pid KIND("pid") HIDE DOC("process");
	u32 uid KIND("uid") HIDE DOC("user the thread runs as");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
	struct stack_id kstack KIND("kstack") HIDE DOC("where in the kernel: 1 us each, for allocs only");
};
struct alloc_values {
	u64 allocated_bytes COUNTER UNIT("bytes") DOC("allocated");
	u64 allocs COUNTER DOC("objects allocated");
	u64 frees COUNTER DOC("objects freed, of whoever allocated them; not told of kmalloc");
};
METRICS_PERCPU(allocs, struct alloc_labels, struct alloc_values, 8192, "Allocations of the kernel");

struct cache_labels {
	char cache[32] KIND("text") DOC("cache");
	u64 size_bytes KIND("bytes") DOC("size that an object takes");
};
struct cache_values {
	u64 bytes GAUGE UNIT("bytes") DOC("memory the cache holds, used or not");
	u64 objects GAUGE DOC("objects that this is room for");
	u64 grown_bytes COUNTER UNIT("bytes") DOC("by how much it grew, look by look");
};
METRICS(caches, struct cache_labels, struct cache_values, 2048, "Caches of the kernel and their size");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct kmem_cache_node {
	struct {
		long counter;
	} nr_slabs;
	struct {
		long counter;
	} total_objects;
};
struct kmem_cache {
	unsigned int size;
	struct {
		unsigned int x; /* order of a slab in pages, above the number of objects in it */
	} oo;
	const char *name;
	struct kmem_cache_node *node[1];
};
/* two pointers for each node since 7.1 */
struct kmem_cache_per_node_ptrs {
	struct kmem_cache_node *node;
};
struct kmem_cache___since71 {
	struct kmem_cache_per_node_ptrs per_node[1];
};
struct bpf_iter__kmem_cache {
	struct bpf_iter_meta *meta;
	struct kmem_cache *s;
};
#pragma clang attribute pop

/* --- allocations --- */

static __always_inline void label_cache(struct alloc_labels *key, const char *name, u64 size)
{
	if (label(allocs, 0))
		bpf_probe_read_kernel_str(key->cache, sizeof(key->cache), name);
	if (label(allocs, 1))
		key->size_bytes = size;
}

static __always_inline struct alloc_values *alloc_row(struct alloc_labels *key)
{
	if (label(allocs, 2))
		comm_now(key->comm);
	if (label(allocs, 3))
		key->pid = bpf_get_current_pid_tgid() >> 32;
	if (label(allocs, 4))
		key->uid = task_uid(current_task());
	if (label(allocs, 5))
		key->cgroup = task_cgroup_id(current_task());
	return row_of(allocs, key);
}

static __noinline int allocated(void *ctx, const char *name, u64 size)
{
	struct alloc_labels key = {};
	struct alloc_values *row;

	if (!table_wanted(allocs) || !wanted())
		return 0;
	label_cache(&key, name, size);
	if (label(allocs, 6))
		key.kstack = stack_id_kernel(ctx);
	row = alloc_row(&key);
	if (!row)
		return 0;
	add(row->allocs, 1);
	add(row->allocated_bytes, size);
	return 0;
}

static __noinline int freed(const char *name, u64 size)
{
	struct alloc_labels key = {};
	struct alloc_values *row;

	if (!table_wanted(allocs) || !wanted())
		return 0;
	label_cache(&key, name, size);
	row = alloc_row(&key);
	if (row)
		add(row->frees, 1);
	return 0;
}

static const char kmalloc[] SEC(".rodata") = "kmalloc";

/* Up to 6.12 programs may not look at the object, a const void *: one that was refused counts as well. */
#define ALLOC(rank) ALT(alloc, rank)

ALLOC(1) NEED("tpargs kmem_cache_free 3") SEC("?tp_btf/kmem_cache_alloc")
int BPF_PROG(cache_alloc, unsigned long site, void *object, struct kmem_cache *cache)
{
	return allocated(ctx, cache->name, cache->size);
}

ALLOC(1) SEC("?tp_btf/kmem_cache_free")
int BPF_PROG(cache_free, unsigned long site, void *object, struct kmem_cache *cache)
{
	return freed(cache->name, cache->size);
}

ALLOC(1) SEC("?tp_btf/kmalloc")
int BPF_PROG(kmalloc_alloc, unsigned long site, void *object, u64 asked, u64 size)
{
	return allocated(ctx, kmalloc, size);
}

/* Before 6.1 the tracepoints tell sizes and no cache, and frees not even that. */
ALLOC(2) SEC("?tp_btf/kmem_cache_alloc")
int BPF_PROG(cache_alloc_pre61, unsigned long site, void *object, u64 asked, u64 size)
{
	return allocated(ctx, NULL, size);
}

ALLOC(2) SEC("?tp_btf/kmem_cache_alloc_node")
int BPF_PROG(cache_alloc_node_pre61, unsigned long site, void *object, u64 asked, u64 size)
{
	return allocated(ctx, NULL, size);
}

ALLOC(2) SEC("?tp_btf/kmalloc")
int BPF_PROG(kmalloc_pre61, unsigned long site, void *object, u64 asked, u64 size)
{
	return allocated(ctx, kmalloc, size);
}

ALLOC(2) SEC("?tp_btf/kmalloc_node")
int BPF_PROG(kmalloc_node_pre61, unsigned long site, void *object, u64 asked, u64 size)
{
	return allocated(ctx, kmalloc, size);
}

/* --- caches --- */

#define NODES_MAX 64

/* Where a cache keeps what it has on the node `nth` of the machine. Functions of their own, or clang
 * computes both offsets, and that of a member that is not there is refused. */
static __noinline u64 node_place_since71(u64 cache, u32 nth)
{
	struct kmem_cache___since71 *c = (void *)cache;

	return cache + bpf_core_field_offset(c->per_node) +
	       nth * bpf_core_type_size(struct kmem_cache_per_node_ptrs) +
	       bpf_core_field_offset(struct kmem_cache_per_node_ptrs, node);
}

static __noinline u64 node_place(u64 cache, u32 nth)
{
	struct kmem_cache *c = (void *)cache;

	return cache + bpf_core_field_offset(c->node) + nth * sizeof(void *);
}

/* Behind the last a cache has no place: what lies there is another's. Kernels without NUMA have one. */
extern const void nr_node_ids __ksym __weak;

static __always_inline u32 nodes(void)
{
	u32 count = 1;

	if (&nr_node_ids)
		bpf_probe_read_kernel(&count, sizeof(count), &nr_node_ids);
	return count;
}

/* NULL: the machine has no such node. */
static __always_inline struct kmem_cache_node *cache_node(u64 cache, u32 nth)
{
	struct kmem_cache_node *node = NULL;
	u64 place;

	if (bpf_core_type_exists(struct kmem_cache_per_node_ptrs))
		place = node_place_since71(cache, nth);
	else
		place = node_place(cache, nth);
	bpf_probe_read_kernel(&node, sizeof(node), (void *)place);
	return node;
}

static __noinline int count_cache(struct kmem_cache *cache, u64 slabs, u64 objects)
{
	u64 bytes = slabs * page_size() << (cache->oo.x >> 16);
	struct cache_labels key = {};
	struct cache_values *row;

	if (label(caches, 0))
		bpf_probe_read_kernel_str(key.cache, sizeof(key.cache), cache->name);
	if (label(caches, 1))
		key.size_bytes = cache->size;
	row = row_of(caches, &key);
	if (!row)
		return 0;
	if (row->objects && bytes > row->bytes)
		add(row->grown_bytes, bytes - row->bytes);
	set_gauge(row->bytes, bytes);
	set_gauge(row->objects, objects);
	return 0;
}

OPTIONAL("sizes of the caches, which are told since 6.13; /proc/slabinfo has them")
AT_START EVERY(1000) AT_READING
NEED("type bpf_iter__kmem_cache") SEC("?iter/kmem_cache")
int look(struct bpf_iter__kmem_cache *ctx)
{
	struct kmem_cache *cache = ctx->s;
	struct kmem_cache_node *node;
	u64 slabs = 0, objects = 0;
	u32 count = nodes();

	if (!cache || !table_wanted(caches))
		return 0;
	for (u32 i = 0; i < NODES_MAX && i < count; i++) {
		node = cache_node(iter_address(ctx, s), i);
		if (!node)
			continue;
		slabs += BPF_CORE_READ(node, nr_slabs.counter);
		objects += BPF_CORE_READ(node, total_objects.counter);
	}
	return count_cache(cache, slabs, objects);
}
