/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Knows nothing of the probe language, and counts in maps: what can be read of them is shown. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct caller {
	__u32 pid;
	__u32 tid;
};
struct called {
	__u64 calls;
	__u64 last_ns;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct caller);
	__type(value, struct called);
} callers SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} slots SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

SEC("raw_tp/sys_enter")
int foreign(void *ctx)
{
	__u64 id = bpf_get_current_pid_tgid(), one = 1, *count;
	struct caller key = { .pid = id >> 32, .tid = id };
	struct called first = { .calls = 1 }, *row;

	count = bpf_map_lookup_elem(&counts, &key.pid);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&counts, &key.pid, &one, BPF_NOEXIST);
	row = bpf_map_lookup_elem(&callers, &key);
	if (row) {
		__sync_fetch_and_add(&row->calls, 1);
		row->last_ns = bpf_ktime_get_ns();
	} else {
		bpf_map_update_elem(&callers, &key, &first, BPF_NOEXIST);
	}
	return 0;
}
