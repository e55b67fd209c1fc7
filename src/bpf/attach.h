/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Attaching one program: a table of methods by section name (method.c). Inside src/bpf only.
 * Every attachment is a BPF link or a perf event held by a descriptor, so the kernel removes it when
 * the process dies, in whatever way. The exceptions, used only where nothing better exists: TC by
 * clsact before 6.6 and XDP before 5.9 stay behind when the process is killed with SIGKILL.
 */
#include <stdbool.h>

#include "base/attr.h"

struct bpf_program;
struct err;
struct links;
struct method;

/* What an attachment needs to know besides the program. */
struct attach_spec {
	struct bpf_program *program;
	const char *rest;    /* of the section, after the method's prefix: "do_filp_open"; "" */
	const char *targets; /* "a b", parameters already put in; NULL */
	unsigned ifindex;
};

struct method {
	const char *prefix; /* of the section; a trailing '/' means that something follows or may */
	const char *name;   /* in messages: "fentry" */
	/* Can it work here? Cheap, before loading; the answer is kept for the process. NULL: ask by
	 * trying. The reason goes to `e`. */
	int (*ready)(struct err *e);
	/* Is the place there? Cheap, before loading. May choose the target. NULL: ask by trying. */
	int (*find)(const struct attach_spec *spec, struct err *e);
	/* NULL: it isn't attached. */
	int (*attach)(const struct attach_spec *spec, struct links *links, struct err *e);
};
