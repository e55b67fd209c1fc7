/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * `-- COMMAND`: a child that waits before exec until the probes are attached, so that nothing of it is
 * missed, and whose exit status is passed on. One thread.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "base/attr.h"

struct err;
struct loop;

struct child {
	pid_t pid; /* 0: none */
	int gate;  /* our end of the socket it waits on; -1 */
	bool told; /* a signal was passed on to it */
	bool ended;
	int status; /* of waitpid, once ended */
};

/* Forks; the child waits. `argv` is NULL-terminated and borrowed. */
MUST_USE int child_fork(struct child *c, char **argv, struct err *e);
/* Lets it run. Errors: ENOENT, EACCES ... when it can't be executed (EXIT_USAGE). */
MUST_USE int child_go(struct child *c, struct err *e);
/* Was it let go, and has it not ended? */
MUST_USE bool child_runs(struct child *c);
/* Has it ended? Reaps it. */
MUST_USE bool child_reap(struct child *c);
/* What sonda exits with: its exit status, or 128 + signal. */
MUST_USE int child_exit_code(const struct child *c);
/* Passes a signal on, if it runs. */
void child_kill(struct child *c, int signo);
/* Has it ended, or does it within so long? Reaps it. */
MUST_USE bool child_ends(struct child *c, int within_ms);
/* Ends a child that still waits, and forgets it. */
void child_done(struct child *c);
