/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A compiled probe: what it holds, what is set before it is loaded, loading and attaching with
 * alternatives, and its descriptors while it runs. Objects are foreign input. One thread.
 *
 *	object_open() -> object_conf(), object_var_set(), object_map_resize() ... -> object_load()
 *	-> object_map_fd() ... -> object_free(): detaches and forgets everything
 *
 * Everything set before object_load() lies in this struct and survives the retries that alternatives
 * need. Nothing is pinned: when the process dies, the kernel removes what it attached (the clsact
 * fallback on kernels before 6.6 excepted; see attach.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/conf.h"
#include "abi/record.h"
#include "base/attr.h"
#include "base/mem.h"

struct err;
struct object;
struct types;

/* Reads the object in `bytes`, which are borrowed and must outlive it (embedded objects). `name` is
 * for messages. Errors: EINVAL (not a BPF object, no BTF, malformed: what). */
MUST_USE int object_open(const char *name, const void *bytes, size_t size,
			 struct object **ret_object, struct err *e);
/* The same; `bytes` are from malloc() and taken over, also on failure. */
MUST_USE int object_open_taking(const char *name, void *bytes, size_t size,
				struct object **ret_object, struct err *e);
/* The same from a file. Errors also: of open and read, EFBIG (more than 16 MB). */
MUST_USE int object_open_file(const char *path, struct object **ret_object, struct err *e);
void object_free(struct object *o);
AUTO_PTR(object)

MUST_USE const char *object_name(const struct object *o);
/* Borrowed, as long as the object. */
MUST_USE const struct types *object_types(const struct object *o);
/* BTF id of the variable that the probe's own tags stand on (LICENSE); 0: it declares nothing. */
MUST_USE uint32_t object_probe_var(const struct object *o);

/* ---- its maps ---- */

struct object_map {
	const char *name;
	uint32_t var;  /* BTF id of the variable, for tags; 0: not known */
	uint32_t type; /* BPF_MAP_TYPE_... */
	uint32_t key_size, value_size;
	uint32_t key_type, value_type; /* BTF ids; 0: not told */
	uint32_t max_entries;
	bool per_cpu;  /* a value for each CPU */
	bool internal; /* .rodata, .bss ... */
};
MUST_USE size_t object_map_count(const struct object *o);
/* `nth` is below object_map_count(). */
void object_map(const struct object *o, size_t nth, struct object_map *ret_map);
MUST_USE bool object_map_find(const struct object *o, const char *name, struct object_map *ret_map);

/* ---- its variables in .rodata, and what is set in them before loading ---- */

struct object_var {
	const char *name;
	uint32_t var;      /* BTF id of the variable, for tags */
	uint32_t type;     /* BTF id of what it holds */
	uint32_t size;     /* bytes */
	const void *bytes; /* the value as it stands now; may be unaligned */
};
MUST_USE size_t object_var_count(const struct object *o);
void object_var(const struct object *o, size_t nth, struct object_var *ret_var);
MUST_USE bool object_var_find(const struct object *o, const char *name, struct object_var *ret_var);
/* Sets a whole variable. Errors: ENOENT, EINVAL (another size), EBUSY (already loaded). */
MUST_USE int object_var_set(struct object *o, const char *name, const void *bytes, size_t size,
			    struct err *e);
/* Sets an integer variable of 1 to 8 bytes. Errors also: ERANGE (doesn't fit). */
MUST_USE int object_var_set_u64(struct object *o, const char *name, uint64_t value, struct err *e);
MUST_USE int object_var_set_s64(struct object *o, const char *name, int64_t value, struct err *e);

/* The variable "sonda_conf", to be written before loading; NULL when the object has none (it wasn't
 * written with sonda.bpf.h, or has another size: object_open() has refused that). object_load() fills
 * `slots`, `wake_bytes` and `perf_array` itself. */
MUST_USE struct conf *object_conf(struct object *o);

/* ---- maps, before loading ---- */

/* Errors: ENOENT, EBUSY. A ring's size is in bytes and rounded up to a power of two of pages. */
MUST_USE int object_map_resize(struct object *o, const char *name, uint32_t max_entries,
			       struct err *e);
/* Uses the map behind `fd` (borrowed until object_load() is done) instead of making one.
 * Errors: ENOENT, EBUSY. */
MUST_USE int object_map_share(struct object *o, const char *name, int fd, struct err *e);

/* ---- its programs ---- */

enum program_state {
	PROGRAM_UNTRIED, /* not needed: a better alternative was used, or not loaded yet */
	PROGRAM_REFUSED, /* `reason` says why */
	PROGRAM_USED,    /* loaded, and attached where it is one that attaches */
};

struct object_program {
	const char *name;
	uint32_t func;       /* BTF id of the function, for tags; 0: not known */
	const char *hook;    /* "fentry/do_filp_open": its section without '?' */
	const char *slot;    /* of ALT; a program without is a slot of its own name */
	unsigned rank;       /* of ALT; 1 for a program without */
	const char *missed;  /* OPTIONAL: what isn't seen without it; NULL: it is required */
	const char *targets; /* TARGETS; NULL: none */
	bool is_snapshot;    /* an iterator that isn't run by EVERY */
	uint32_t row_type;   /* ROWS: BTF id of the struct an iterator writes; 0: none */
	uint32_t every_ms;   /* EVERY: to be run each so often by object_run(); 0: no */
	bool at_reading;     /* AT_READING: by object_run() also before tables are read */
	bool at_start;       /* AT_START: to be run once by object_run(), when all is attached */
	enum program_state state;
	const char *reason; /* in words why it was refused: "fentry: refused by the kernel
			       (lockdown?)"; "" */
};
MUST_USE size_t object_program_count(const struct object *o);
void object_program(const struct object *o, size_t nth, struct object_program *ret_program);

/* A slot, and the alternative that is used for it. */
struct object_slot {
	const char *name;
	unsigned rank; /* in use after object_load(), or what object_preview() expects; 0: none */
	bool optional; /* may be missing */
	const char *hook; /* of the first program of that rank; "" when there is none */
};
MUST_USE size_t object_slot_count(const struct object *o);
void object_slot(const struct object *o, size_t nth, struct object_slot *ret_slot);

/* Leaves a slot out when the object is loaded, or takes it in again. Errors: ENOENT, EBUSY. */
MUST_USE int object_slot_leave(struct object *o, const char *slot, bool leave, struct err *e);

/* ---- loading ---- */

/* Snapshots are iterators that aren't run by EVERY: those with ROWS, and those that gather for them. Of a
 * guard who puts it into force loads what decides, who reads its events what is run by EVERY. */
enum load_part {
	LOAD_ALL,
	LOAD_SNAPSHOTS,
	LOAD_WITHOUT_SNAPSHOTS,
	LOAD_PERIODIC,
	LOAD_WITHOUT_PERIODIC,
};

struct load_options {
	enum load_part part; /* programs of the other part are neither loaded nor missed */
	unsigned ifindex;    /* interface for XDP and TC programs; 0: none was given */
	/* Called when the maps are there and nothing is attached yet, to fill them. Once more for
	 * each retry. 0, or negative with `e` set: ends the loading. */
	int (*before_attach)(struct object *o, void *ctx, struct err *e);
	void *ctx;
};

/* Cheap look without loading: which alternatives would be tried. Fills slots and the reasons known so
 * far. Errors: EXIT_KERNEL with each alternative's reason when it can't run here. */
MUST_USE int object_preview(struct object *o, const struct load_options *options, struct err *e);

/*
 * Gates, then the lowest rank of each slot that loads and attaches; all or nothing within a rank.
 * What a method can't do here is remembered for the whole process. `options` may be NULL.
 * Errors: ENOTSUP with EXIT_KERNEL (each alternative's reason), EPERM with EXIT_DENIED, EINVAL (the
 * verifier refuses it: hint "sonda check"), ENODEV (an interface is needed), ENOMEM, EBUSY.
 */
MUST_USE int object_load(struct object *o, const struct load_options *options, struct err *e);

/* Detaches all programs; the maps stay readable. Programs tagged EVERY can still be run, and see that
 * it is the end. Safe to call twice. */
void object_detach(struct object *o);

/* ---- while it runs ---- */

/* Descriptor of a map, borrowed; -1 when there is no such map or it wasn't made. */
MUST_USE int object_map_fd(const struct object *o, const char *name);
/* Size it was made with (bytes for a ring), or would have been, had it been needed; 0: there is none. */
MUST_USE uint32_t object_map_max_entries(const struct object *o, const char *name);
/* Descriptor of a program in use, borrowed; -1 when it isn't. */
MUST_USE int object_program_fd(const struct object *o, const char *name);

/* The counters, summed over CPUs. Errors: ENOENT (the object has none). */
MUST_USE int object_stats(const struct object *o, struct stats *ret_stats, struct err *e);
/* Runs that the kernel skipped: recursion_misses of all programs in use, and missed kprobes. */
MUST_USE uint64_t object_missed(const struct object *o);

/* Runs a program that is tagged EVERY once, now: an iterator to its end, its rows dropped.
 * Errors: ENOENT, those of the kernel. */
MUST_USE int object_run(const struct object *o, const char *program, struct err *e);

/* Reads all rows of an iterator program: `fn` gets whole records (header and row), one by one, until
 * it returns non-zero, which is returned. */
typedef int record_fn(const struct record *record, const void *bytes, void *ctx);
MUST_USE int object_rows(const struct object *o, const char *program, record_fn *fn, void *ctx,
			 struct err *e);
