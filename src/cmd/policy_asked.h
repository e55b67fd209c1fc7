/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What a recorded row asks of a policy: a table of the events that tell of operations which rules can be
 * about. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mem.h"
#include "policy/judge.h"

struct asker;
struct row;

/* Never NULL. `accounts` is borrowed, for names of users. */
MUST_USE struct asker *asker_new(struct accounts *accounts);
void asker_free(struct asker *a);
AUTO_PTR(asker)

/* One operation; a packet may be asked about in several domains. Lives until the next row. */
struct asked_operation {
	struct policy_question questions[4];
	unsigned count;
	bool maybe_spared;  /* a packet of a connection, which a rule that drops may spare */
	const char *object; /* what it was done to, for people: "/etc/shadow", "tcp 10.0.0.1:22" */
};

/* What the row tells was done, at most ASKED_MAX; 0: nothing that a rule could be about. */
#define ASKED_MAX 4
MUST_USE unsigned asker_row(struct asker *a, const struct row *r,
			    struct asked_operation ret[static ASKED_MAX]);

/* Operations (of packets any bit) of the domain that rows of the probe tell of. */
MUST_USE unsigned asked_of(const char *probe, enum policy_domain domain);
/* The nth probe of the table; NULL: there are no more. */
MUST_USE const char *asked_probe(unsigned nth);
