/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Programs that go to something in the kernel's BTF: BTF tracepoints, trampolines, LSM hooks, iterators.
 * To find its id libbpf would read and parse the whole of that BTF, for each object anew (10 ms). It is
 * found here instead, by the reader that is there anyhow. Inside src/bpf only.
 */
struct bpf_program;

/* From now on, for all objects that are opened. */
void sections_register(void);

/* A target that isn't in the kernel's own BTF may be in a module's: libbpf is asked to look there. To be
 * called before the program is loaded; loading fails with ENOENT when it isn't there either. */
void section_target_settle(struct bpf_program *program);
