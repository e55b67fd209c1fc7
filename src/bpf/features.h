/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What this kernel can do, found out by doing it: each row loads a small program, attaches it, makes
 * it fire where that is harmless, and takes it away again. For `sonda doctor`. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;

enum feature_stage { FEATURE_WORKS, FEATURE_LOAD, FEATURE_ATTACH, FEATURE_FIRE };

struct feature {
	const char *group;        /* "trace", "user", "network", "security", "data" */
	const char *name;         /* "fentry" */
	const char *doc;          /* what sonda uses it for */
	const char *since;        /* first mainline kernel with it: "5.8" */
	enum feature_stage stage; /* where it failed */
	int code;                 /* positive errno; 0 */
	char why[160];    /* "the kernel was built without CONFIG_KPROBES"; "" when it works */
	char remedy[160]; /* how to change it; "" */
};

/* In the order to be shown. Non-zero from `fn` ends it and is returned.
 * Errors: EPERM (EXIT_DENIED: needs root). */
typedef int feature_fn(const struct feature *f, void *ctx);
MUST_USE int features_try(feature_fn *fn, void *ctx, struct err *e);
/* How many rows features_try() gives. */
MUST_USE size_t features_count(void);

/* Facts that decide what works; needs no privilege. `good`: as it should be. */
struct kernel_fact {
	const char *name; /* "lockdown" */
	char value[160];  /* "integrity" */
	bool good;
	char remedy[160]; /* "" when it is good or can't be changed */
};
typedef int kernel_fact_fn(const struct kernel_fact *f, void *ctx);
MUST_USE int kernel_facts(kernel_fact_fn *fn, void *ctx);
