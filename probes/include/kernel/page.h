/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The size of a page on the running kernel, as a constant to the verifier. BTF tells no constants,
 * but since 5.8 the BPF ring buffer has two members that lie exactly one page apart.
 */
#pragma once

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct bpf_ringbuf {
	unsigned long consumer_pos;
	unsigned long producer_pos;
};

#pragma clang attribute pop

static __always_inline u64 page_size(void)
{
	return bpf_core_field_offset(struct bpf_ringbuf, producer_pos) -
	       bpf_core_field_offset(struct bpf_ringbuf, consumer_pos);
}
