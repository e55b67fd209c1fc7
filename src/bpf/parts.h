/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What an object is made of. Inside src/bpf only: object.c, load.c, running.c, verify.c. */
#include "base/err.h"
#include "base/vec.h"
#include "bpf/attach.h"
#include "bpf/object.h"
#include "bpf/types.h"

struct bpf_map;
struct bpf_object;
struct bpf_program;

/* One program; what it says of itself is read once, the handle anew at each reopening. */
struct program_part {
	struct object_program told;
	const struct method *method; /* NULL: sonda attaches nothing of that section */
	const char *rest;            /* of the section, behind the method */
	unsigned slot;               /* index */
	const char *over;            /* OVER: the map an iterator goes through; NULL: none */
	const char *also;            /* ALSO: further tracepoints; "" */
	bool each;                   /* EACH: attached to all of its targets */
	bool any;                    /* ANY: to those of them that are there */
	bool runs_by_hand; /* EVERY and not an iterator, or LATER: not attached by loading */
	struct err why;    /* code 0: not refused */
	struct bpf_program *handle;
	bool chosen;
};

struct map_part {
	struct object_map told;
	uint32_t max_entries; /* wanted; 0: as declared */
	int shared_fd;        /* borrowed, but when it was adopted; -1: none */
	struct err why;       /* it can't be made here; code 0: not so */
	bool adopted;         /* it was pinned */
	struct bpf_map *handle;
};

struct slot_part {
	const char *name;
	unsigned rank; /* chosen; 0: none */
	bool optional; /* each of its programs is */
	bool left;     /* left out: object_slot_leave() */
};

struct object {
	char *name;
	const void *bytes; /* of the ELF file */
	size_t size;
	void *owned;       /* the bytes, when they are ours */
	int kernel_btf_fd; /* a BTF to relocate against (trim.h); -1: the kernel's */
	struct bpf_object *bpf;
	struct types *types;
	uint32_t probe_var;
	vec(struct program_part) programs;
	vec(struct map_part) maps;
	vec(struct slot_part) slots;
	vec(struct object_var) vars; /* .bytes point into rodata */
	unsigned char *rodata;       /* as it is to be loaded */
	size_t rodata_size;
	struct links links;
	unsigned links_adopted; /* the first so many of them were pinned */
	bool loaded;
};

MUST_USE struct map_part *map_part_find(const struct object *o, const char *name);
MUST_USE struct program_part *program_part_find(const struct object *o, const char *name);

/* Opens the bytes once more (libbpf can't unload) and finds the handles. */
MUST_USE int object_reopen(struct object *o, struct err *e);
/* Puts what is set into the opened object: variables, sizes, shared maps, maps not needed. */
MUST_USE int object_apply(struct object *o, struct err *e);
/* What holds for all programs: kernel types to relocate against, if it reads any. */
MUST_USE int object_gate(const struct object *o, struct err *e);
/* The gates: what `need` tags, methods and places say before anything is loaded. */
MUST_USE int program_gate(struct object *o, struct program_part *p, unsigned ifindex,
			  struct err *e);
/* TARGETS with "@name" replaced by the text parameter of that name; free() it. */
MUST_USE char *program_targets(const struct object *o, const struct program_part *p);
/* Tells the probe the names of what a program with EACH goes to. Errors: EXIT_USAGE (too many). */
MUST_USE int target_names_set(struct object *o, struct err *e);
