/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Attaching one program: a table of methods by section name (method.c). Inside src/bpf only.
 * Every attachment is a BPF link or a perf event held by a descriptor, so the kernel removes it when
 * the process dies, in whatever way. The exception, used only where nothing better exists: TC by
 * clsact before 6.6 stays behind when the process is killed with SIGKILL.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct bpf_link;
struct bpf_program;
struct err;

/* What an attachment needs to know besides the program. */
struct attach_spec {
	struct bpf_program *program;
	const char *rest;    /* of the section, after the method's prefix: "do_filp_open"; "" */
	const char *targets; /* "a b", parameters already put in; "" */
	unsigned ifindex;    /* 0: none */
	int map_fd;          /* whose elements an iterator is given; -1: none */
	const char *also;    /* "a b": tracepoints besides `rest`; "" */
	bool each;           /* all of the targets, each with its place as cookie */
	bool any;            /* those of the targets that are there, at least one */
};

/* Everything that is attached; taken away at once, for at each the kernel waits until nobody runs it any
 * more. Zero-initialised is ready. */
struct links {
	struct link *at;
	size_t len, cap;
};
void links_add(struct links *l, struct bpf_link *link); /* takes it over */
/* The same, of a kind that can't be taken away at the same time as others: before them, the last first. */
void links_add_in_turn(struct links *l, struct bpf_link *link);
void links_add_fd(struct links *l, int fd); /* takes it over */
void links_add_tc(struct links *l, unsigned ifindex, bool ingress, unsigned handle,
		  unsigned priority, bool made_hook);
void links_done(struct links *l);
/* Descriptor of the nth attachment, borrowed; -ENOENT behind the last, -ENOTSUP: it has none that could be
 * pinned. */
MUST_USE int links_fd(const struct links *l, size_t nth);
/* Does a link stand where it was made? Not when it was detached, or its interface or cgroup is gone. Of those that can't be
 * detached, or don't tell (netfilter's), it is taken so. */
MUST_USE bool link_stands(int fd);
/* Runs that missed kprobes skipped, as far as the kernel counts them (6.7). */
MUST_USE uint64_t links_missed(const struct links *l);

/* The iterator's link; the caller's. Also for each new reading. */
MUST_USE int iterator_link(int program_fd, int map_fd);

struct method {
	const char *prefix;          /* of the section */
	const char *name;            /* in messages: "fentry" */
	int (*ready)(struct err *e); /* see method_ready(); NULL: ask by trying */
	/* Is the place there? Cheap, before loading. May choose the target. NULL: ask by trying. */
	int (*find)(const struct attach_spec *spec, struct err *e);
	/* NULL: it isn't attached. */
	int (*attach)(const struct attach_spec *spec, struct links *links, struct err *e);
};

/* The row for a section ("fentry/do_filp_open"), and what follows its prefix; NULL: sonda attaches
 * nothing of that name. */
MUST_USE const struct method *method_find(const char *section, const char **ret_rest);

/* Can the method work here at all? Tested once a process. Errors: EXIT_KERNEL with the method's name and
 * the reason ("kprobe: not in this kernel (CONFIG_KPROBES)"). */
MUST_USE int method_ready(const struct method *m, struct err *e);
/* It can't, as was found out by trying: nobody in this process tries again. */
void method_refuse(const struct method *m, const struct err *why);

/* The nth word of `list`, or of `rest` when the list is empty; false at the end. */
MUST_USE bool spec_target(const struct attach_spec *spec, unsigned nth, char *word, size_t size);

/* The nth word of a list, which spaces or commas part; false at the end. */
MUST_USE bool list_word(const char *list, unsigned nth, char *word, size_t size);

/* Rows of the table, by the file they are in. */
int attach_tracepoint(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_raw_tracepoint(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_trace(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_lsm(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_iter(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_kprobe(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_kretprobe(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_kprobe_multi(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_kretprobe_multi(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_ksyscall(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_kretsyscall(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_uprobe(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_uretprobe(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_usdt(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_perf_event(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_cgroup(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_netns(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_netfilter(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_xdp(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_tc_ingress(const struct attach_spec *spec, struct links *links, struct err *e);
int attach_tc_egress(const struct attach_spec *spec, struct links *links, struct err *e);

int find_tracepoint(const struct attach_spec *spec, struct err *e);
int find_btf_tracepoint(const struct attach_spec *spec, struct err *e);
int find_function(const struct attach_spec *spec, struct err *e);
int find_lsm(const struct attach_spec *spec, struct err *e);
int find_kprobe(const struct attach_spec *spec, struct err *e);
int find_kprobe_multi(const struct attach_spec *spec, struct err *e);
int find_uprobe(const struct attach_spec *spec, struct err *e);
int find_interface(const struct attach_spec *spec, struct err *e);
