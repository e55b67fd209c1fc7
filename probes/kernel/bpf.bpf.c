/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * kernel.bpf: BPF programs, maps and links, with who holds them. Declared here, told by bpf(2), which
 * knows as much on every kernel as iterators do on new ones: nothing is loaded.
 */
#include "sonda.bpf.h"

PROBE(bpf, "kernel", "BPF programs, maps and links, with the processes that hold them");

enum bpf_what { BPF_WHAT_PROGRAM, BPF_WHAT_MAP, BPF_WHAT_LINK };

ROW(bpf_object, "A BPF program, map or link")
{
	enum bpf_what what DOC("what it is");
	u32 id KEY DOC("its id");
	char type[24] KIND("str") DOC("of its sort: tracing, hash, perf_event ...");
	char name[64] KIND("str")
		DOC("its name; of a link the tracepoint, where the kernel says it");
	u64 memory_bytes KIND("bytes")
		DOC("memory, as the kernel accounts it; of a map with its rows");
	u32 max_entries DOC("map: rows at most");
	u32 program DOC("link: id of its program");
	u64 loaded_ns KIND("boottime") HIDE DOC("program: when it was loaded");
	u32 uid KIND("uid") HIDE DOC("program: who loaded it");
	u32 pid KIND("pid")
		DOC("first process that holds it; 0: it is pinned, attached or used only");
	u32 holders DOC("descriptors that hold it");
	char comm[16] KIND("comm") DOC("command name of that process");
	u32 pad HIDE;
};

/* What nothing uses would not be in the object's BTF. */
struct bpf_object bpf_object_declared;
