/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Parts of policy_lint() (policy.h). Inside src/policy only. One thread. */
#include <limits.h>
#include <net/if.h>
#include <stdbool.h>

#include "base/attr.h"
#include "policy/judge.h"
#include "policy/policy.h"

struct accounts;
struct err;
struct lookup;

/* All borrowed. */
struct lint {
	const struct policy *policy;
	struct accounts *accounts;
	struct lookup *files;
};

/* What decides of a path: absolute, without symbolic links; "" is this program; a name without a slash is one of
 * sshd's parts or a library, wherever this machine has it. false: it isn't there. */
MUST_USE bool lint_resolve(const char *path, char out[static PATH_MAX]);
/* Does the rule deny it, in a cgroup that is not known? A condition about cgroups spares nobody and saves
 * nobody. The question's accounts and files are put in. */
MUST_USE int lint_denies(const struct lint *l, const struct policy_rule *r,
			 struct policy_question q, bool *ret_denies, struct err *e);
/* Of a rule about sockets: services that let somebody in, addresses, names, packages. */
MUST_USE int lint_socket(const struct lint *l, const struct policy_rule *r, struct err *e);

/* A connection to this machine's sshd that there is, or could be. */
struct lint_login {
	struct policy_network peer, own; /* addresses with all their bits */
	uint16_t port;
	char interface[IF_NAMESIZE]; /* that `own` is of; "": not known */
	bool is_there;               /* else `peer` is anybody's */
};
typedef vec(struct lint_login) lint_logins;
/* Those that there are: our own alone, where SSH_CONNECTION says which; else one for each address that could be
 * connected to, without a peer. None where nothing listens. */
void lint_logins_find(lint_logins *logins);
/* Are none of them possible any more? Errors: as of policy_lint_logins(). */
MUST_USE int lint_logins_judge(const struct policy *p, const lint_logins *logins, struct err *e);
