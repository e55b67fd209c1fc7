/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Knows nothing of the probe language: what can be set in it is still found. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} calls SEC(".maps");

const volatile int most = 10;
const volatile _Bool loud = 0;
const volatile char word[8] = "hello";

SEC("raw_tp/sys_enter")
int plain(void *ctx)
{
	return most + loud + word[0];
}
