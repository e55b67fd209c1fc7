/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* What trace and record share: a session run into a sink. One thread. */
#include "cmd/command.h"
#include "pipeline/run.h"
#include "pipeline/session.h"

struct watch {
	struct session session;
	struct run_options run;
	const char *to; /* record: the file */
};
void watch_init(void *cfg);
void watch_options(void *cfg, struct opt_set *set);
void watch_done(void *cfg);

/* Loads and runs. `sink` NULL: what -o says. Returns the exit code or -errno. */
MUST_USE int watch_run(struct watch *w, const struct opt_rest *rest, const struct sink_ops *sink,
		       const char *path, struct err *e);
