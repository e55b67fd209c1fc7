/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Keeps true what stacks get their names from, while a session runs: the kernel tells of mappings and
 * programs. A session without stacks has none of it. One thread.
 */
#include "base/attr.h"

struct err;
struct loop;
struct session;

/* If the session's rows or tables have stacks: watches from now on, and takes in what is there already.
 * A kernel that doesn't tell is no failure: then /proc is asked when an address is met. */
MUST_USE int symbolise_start(struct session *s, struct err *e);
/* Takes in what came whenever there is much of it. Errors: of loop_fd_add(). */
MUST_USE int symbolise_watch(struct session *s, struct loop *l, struct err *e);
/* Takes in what came; by itself before a stack is named that is newer. Also when nobody names any, so that
 * files are found while their process lives. */
void symbolise_refresh(struct session *s);
/* How many frames had no name, and why: a note, if there is something to say. */
void symbolise_note(const struct session *s);
void symbolise_stop(struct session *s);
