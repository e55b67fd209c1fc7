/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Who asks, for `sonda policy why`: as the command line says, and for the rest as /proc tells of a process. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct err;
struct policy_question;
struct strbuf;

struct policy_who {
	/* as said; NULL, 0: not */
	const char *exe, *ancestor, *user, *cgroup;
	uint32_t pid;
	/* of the process */
	char *own_exe, *own_user, *own_cgroup; /* NULL: not known */
	struct strlist line;                   /* programs that it descends from now */
	bool terminal;
};

/* What isn't said is filled in from the process, if there is a pid. Errors: EXIT_USAGE (no such user), ESRCH, EACCES. */
MUST_USE int policy_who_fill(struct policy_who *who, struct err *e);
void policy_who_done(struct policy_who *who);

/* Puts it into a question, which borrows it. */
void policy_who_ask(const struct policy_who *who, struct policy_question *q);
/* "1234: /usr/bin/cat, user 0, cgroup /x, no terminal, below /usr/bin/bash" */
void policy_who_tell(const struct policy_who *who, struct strbuf *out);
