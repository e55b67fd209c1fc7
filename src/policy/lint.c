/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A policy that would lock out whoever applies it is refused before it is in force: what a machine needs to
 * start services, to let somebody log in, to install packages and to end the policy is a table here, and
 * each row is asked of each rule that denies. Rows about programs that this machine doesn't have are left out.
 */
#include "policy/policy.h"

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "policy/words.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define CHANGES (POLICY_WRITE | POLICY_CREATE | POLICY_UNLINK | POLICY_RENAME)

#define SONDA "" /* this program, wherever it is */

/* clang-format off */
static const struct {
	const char *subject;  /* the program that must be able to ... */
	unsigned operations;
	const char *object;
	const char *why;
} needs[] = {
	{ "/sbin/init",                 POLICY_READ | POLICY_EXEC, "/usr/sbin/sshd",              "services start" },
	{ "/sbin/init",                 POLICY_READ | POLICY_EXEC, "/sbin/agetty",                "the console works" },
	{ "/sbin/init",                 POLICY_READ | POLICY_EXEC, "/bin/sh",                     "services start" },
	{ "/sbin/agetty",               POLICY_READ | POLICY_EXEC, "/bin/login",                  "the console works" },
	{ "/usr/sbin/sshd",             POLICY_READ | POLICY_EXEC, "/usr/sbin/sshd",              "somebody can log in" },
	{ "/usr/sbin/sshd",             POLICY_READ | POLICY_EXEC, "/bin/bash",                   "somebody can log in" },
	{ "/usr/sbin/sshd",             POLICY_READ | POLICY_EXEC, "/bin/sh",                     "somebody can log in" },
	{ "/usr/sbin/sshd",             POLICY_READ,               "/etc/passwd",                 "somebody can log in" },
	{ "/usr/sbin/sshd",             POLICY_READ,               "/etc/shadow",                 "somebody can log in" },
	{ "/usr/sbin/sshd",             POLICY_READ,               "/etc/ssh/sshd_config",        "somebody can log in" },
	{ "/usr/sbin/sshd",             POLICY_READ,               "/etc/pam.d/sshd",             "somebody can log in" },
	{ "/bin/login",                 POLICY_READ | POLICY_EXEC, "/bin/bash",                   "somebody can log in" },
	{ "/bin/login",                 POLICY_READ,               "/etc/shadow",                 "somebody can log in" },
	{ "/usr/bin/su",                POLICY_READ,               "/etc/shadow",                 "somebody can become root" },
	{ "/usr/bin/sudo",              POLICY_READ,               "/etc/sudoers",                "somebody can become root" },
	{ "/usr/bin/passwd",            POLICY_READ | CHANGES,     "/etc/shadow",                 "passwords can be changed" },
	{ "/bin/bash",                  POLICY_READ | POLICY_EXEC, "/lib64/ld-linux-x86-64.so.2", "programs start" },
	{ "/bin/bash",                  POLICY_READ | POLICY_EXEC, "/usr/bin/sudo",               "somebody can become root" },
	{ "/bin/bash",                  POLICY_READ | POLICY_EXEC, SONDA,                         "`sonda policy off` works" },
	{ "/bin/sh",                    POLICY_READ | POLICY_EXEC, SONDA,                         "`sonda policy off` works" },
	{ "/usr/bin/dpkg",              POLICY_READ | CHANGES,     "/var/lib/dpkg/status",        "packages can be installed" },
	{ "/usr/bin/dpkg",              POLICY_READ | CHANGES,     "/usr/bin/dpkg",               "packages can be installed" },
	{ "/usr/bin/dpkg",              POLICY_READ | CHANGES,     "/usr/sbin/sshd",              "packages can be installed" },
	{ "/usr/bin/rpm",               POLICY_READ | CHANGES,     "/usr/bin/rpm",                "packages can be installed" },
};
/* clang-format on */

/* What decides: absolute, without symbolic links. false: it isn't there. */
static bool resolve(const char *path, char out[static PATH_MAX])
{
	struct err ignored;

	if (str_eq(path, SONDA))
		return proc_self_exe(out, &ignored) == 0;
	return realpath(path, out);
}

struct asked {
	const char *path; /* resolved */
	bool under;
	bool found;
};

static int on_path(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct asked *asked = ctx;
	char path[PATH_MAX];
	size_t len;

	(void)at, (void)e;
	if (!resolve(text, path))
		return 0;
	len = strlen(path);
	if (str_eq(path, asked->path))
		asked->found = true;
	else if (asked->under && str_startswith(asked->path, path))
		asked->found |= len == 1 || asked->path[len] == '/';
	return 0;
}

static int on_user(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct asked *asked = ctx;

	(void)at, (void)e;
	asked->found |= str_eq(text, "root") || str_eq(text, "0");
	return 0;
}

/* Does the condition hold for `subject` run by root? What can't be told does not. */
static int holds(const struct policy *p, const struct policy_clause *c, const char *subject,
		 bool *ret_holds, struct err *e)
{
	struct asked asked = { .path = subject };
	int err = 0;

	if (c->word->word == WORD_EXE)
		err = policy_each(p, &c->values, on_path, &asked, e);
	else if (c->word->word == WORD_USER)
		err = policy_each(p, &c->values, on_user, &asked, e);
	*ret_holds = asked.found;
	return err;
}

/* Does the rule deny `object` to `subject`? */
static int denies(const struct policy *p, const struct policy_rule *r, const char *subject,
		  const char *object, bool *ret_denies, struct err *e)
{
	struct asked asked = { .path = object, .under = r->under };
	bool held;

	*ret_denies = false;
	if (policy_each(p, &r->files, on_path, &asked, e) < 0)
		return -e->code;
	if (!asked.found)
		return 0;
	vec_for_each(c, &r->clauses) {
		if (!c->word->conditional)
			continue;
		if (holds(p, c, subject, &held, e) < 0)
			return -e->code;
		if (held == c->unless)
			return 0;
	}
	*ret_denies = true;
	return 0;
}

static int lint_rule(const struct policy *p, const struct policy_rule *r, struct err *e)
{
	char subject[PATH_MAX], object[PATH_MAX];
	bool denied;

	for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
		if (!(needs[i].operations & r->operations) || !resolve(needs[i].subject, subject) ||
		    !resolve(needs[i].object, object))
			continue;
		if (denies(p, r, subject, object, &denied, e) < 0)
			return -e->code;
		if (!denied)
			continue;
		fail_as(e, EXIT_POLICY, EPERM,
			"rule '%s' would lock you out: %s must get at %s, so that %s", r->name,
			subject, object, needs[i].why);
		hint(e, "`unless exe in %s` spares it; `mode audit` tells what a rule would refuse",
		     subject);
		return policy_wrap(p, r->at, e);
	}
	return 0;
}

int policy_lint(const struct policy *p, struct err *e)
{
	vec_for_each(r, &p->rules)
		if (r->verdict == POLICY_DENY && !policy_rule_audits(r) && lint_rule(p, r, e) < 0)
			return -e->code;
	return 0;
}
