/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A policy that would lock out whoever applies it is refused before it is in force: what a machine needs to
 * start services, to let somebody log in, to install packages and to end the policy is a table here, and
 * each row is asked of each rule that denies. Rows about programs that this machine doesn't have are left out.
 */
#include "policy/lint.h"

#include "base/err.h"
#include "base/file.h"
#include "base/passwd.h"
#include "base/str.h"
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

/* Of the kernel's surface. The guard itself spares process 1, kernel threads, and sonda run by root. */
/* clang-format off */
static const struct {
	const char *subject; /* the program that must be able to ... */
	const char *user;    /* as whom */
	unsigned operations;
	enum policy_object object;
	const char *what;
	const char *words;
	const char *why;
} kernel_needs[] = {
	{ "/bin/bash",          "0",    POLICY_KILL,                   OBJECT_EXE,        "/bin/bash", "send a signal to a shell",       "jobs can be ended" },
	{ "/bin/bash",          "0",    POLICY_KILL,                   OBJECT_EXE,        "/bin/sleep", "send a signal to a program",     "jobs can be ended" },
	{ "/sbin/init",         "0",    POLICY_MOUNT | POLICY_UMOUNT,  OBJECT_NONE,       NULL,        "mount",                          "services start" },
	{ "/sbin/init",         "0",    POLICY_SETUID,                 OBJECT_TO,         "65534",     "become another user",            "services start" },
	{ "/usr/sbin/sshd",     "0",    POLICY_SETUID,                 OBJECT_TO,         "65534",     "become another user",            "somebody can log in" },
	{ "/bin/login",         "0",    POLICY_SETUID,                 OBJECT_TO,         "65534",     "become another user",            "somebody can log in" },
	{ "/usr/sbin/cron",     "0",    POLICY_SETUID,                 OBJECT_TO,         "65534",     "become another user",            "jobs of users run" },
	{ "/usr/bin/su",        "1000", POLICY_SETUID,                 OBJECT_TO,         "0",         "become root",                    "somebody can become root" },
	{ "/usr/bin/sudo",      "1000", POLICY_SETUID,                 OBJECT_TO,         "0",         "become root",                    "somebody can become root" },
	{ "/usr/bin/passwd",    "1000", POLICY_SETUID,                 OBJECT_TO,         "0",         "become root",                    "passwords can be changed" },
	{ "/sbin/init",         "0",    POLICY_USE,                    OBJECT_CAPABILITY, "setuid",    "use CAP_SETUID",                 "services start" },
	{ "/sbin/init",         "0",    POLICY_USE,                    OBJECT_CAPABILITY, "sys_admin", "use CAP_SYS_ADMIN",              "services start" },
	{ "/usr/sbin/sshd",     "0",    POLICY_USE,                    OBJECT_CAPABILITY, "setuid",    "use CAP_SETUID",                 "somebody can log in" },
	{ "/usr/sbin/sshd",     "0",    POLICY_USE,                    OBJECT_CAPABILITY, "setgid",    "use CAP_SETGID",                 "somebody can log in" },
	{ "/usr/sbin/sshd",     "0",    POLICY_USE,                    OBJECT_CAPABILITY, "sys_chroot", "use CAP_SYS_CHROOT",            "somebody can log in" },
	{ "/bin/login",         "0",    POLICY_USE,                    OBJECT_CAPABILITY, "setuid",    "use CAP_SETUID",                 "somebody can log in" },
	{ "/usr/bin/sudo",      "1000", POLICY_USE,                    OBJECT_CAPABILITY, "setuid",    "use CAP_SETUID",                 "somebody can become root" },
	{ "/usr/bin/su",        "1000", POLICY_USE,                    OBJECT_CAPABILITY, "setgid",    "use CAP_SETGID",                 "somebody can become root" },
	{ "/usr/bin/dpkg",      "0",    POLICY_USE,                    OBJECT_CAPABILITY, "chown",     "use CAP_CHOWN",                  "packages can be installed" },
	{ "/usr/bin/dpkg",      "0",    POLICY_USE,                    OBJECT_CAPABILITY, "dac_override", "use CAP_DAC_OVERRIDE",        "packages can be installed" },
	{ "/usr/bin/rpm",       "0",    POLICY_USE,                    OBJECT_CAPABILITY, "chown",     "use CAP_CHOWN",                  "packages can be installed" },
};
/* clang-format on */

/* What decides: absolute, without symbolic links. false: it isn't there. */
bool lint_resolve(const char *path, char out[static PATH_MAX])
{
	struct err ignored;

	if (str_eq(path, SONDA))
		return proc_self_exe(out, &ignored) == 0;
	return realpath(path, out);
}

static bool only_some_cgroups(const struct policy_rule *r)
{
	vec_for_each(c, &r->clauses)
		if (c->word->word == WORD_CGROUP && !c->unless)
			return true;
	return false;
}

/* In a cgroup that is not known: a condition about that spares nobody and saves nobody. */
int lint_denies(const struct policy *p, const struct policy_rule *r, struct policy_question q,
		bool *ret_denies, struct err *e)
{
	auto_ptr(accounts) accounts = accounts_new(NULL, NULL);
	enum policy_answer answer;

	q.accounts = accounts;
	if (policy_judge(p, r, &q, &answer, e) < 0)
		return -e->code;
	*ret_denies = answer == ANSWER_YES || (answer == ANSWER_UNKNOWN && !only_some_cgroups(r));
	return 0;
}

static int locks_out(const struct policy *p, const struct policy_rule *r, const char *subject,
		     const char *must, const char *what, const char *why, struct err *e)
{
	fail_as(e, EXIT_POLICY, EPERM, "rule '%s' would lock you out: %s must %s%s, so that %s",
		r->name, subject, must, what, why);
	hint(e, "`unless exe in %s` spares it; `mode audit` tells what a rule would refuse",
	     subject);
	return policy_wrap(p, r->at, e);
}

static int lint_kernel_rule(const struct policy *p, const struct policy_rule *r, struct err *e)
{
	char subject[PATH_MAX], object[PATH_MAX];
	bool denied;

	for (size_t i = 0; i < ARRAY_LEN(kernel_needs); i++) {
		struct policy_question q = { .domain = POLICY_KERNEL,
					     .operations = kernel_needs[i].operations,
					     .object = kernel_needs[i].object,
					     .path = kernel_needs[i].what,
					     .exe = subject,
					     .user = kernel_needs[i].user };

		if (!(q.operations & r->operations) ||
		    (r->object && r->object->object != q.object) ||
		    !lint_resolve(kernel_needs[i].subject, subject))
			continue;
		if (q.object == OBJECT_EXE)
			q.path = realpath(q.path, object) ?: q.path;
		if (lint_denies(p, r, q, &denied, e) < 0)
			return -e->code;
		if (denied)
			return locks_out(p, r, subject, kernel_needs[i].words, "",
					 kernel_needs[i].why, e);
	}
	return 0;
}

static int lint_rule(const struct policy *p, const struct policy_rule *r, struct err *e)
{
	char subject[PATH_MAX], object[PATH_MAX];
	struct policy_question q = { .path = object, .exe = subject, .user = "0" };
	bool denied;

	for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
		if (!(needs[i].operations & r->operations) ||
		    !lint_resolve(needs[i].subject, subject) ||
		    !lint_resolve(needs[i].object, object))
			continue;
		q.operations = needs[i].operations;
		if (lint_denies(p, r, q, &denied, e) < 0)
			return -e->code;
		if (denied)
			return locks_out(p, r, subject, "get at ", object, needs[i].why, e);
	}
	return 0;
}

static int lint_any(const struct policy *p, const struct policy_rule *r, struct err *e)
{
	if (r->verdict != POLICY_DENY || policy_rule_audits(r))
		return 0;
	if (r->domain == POLICY_SOCKET)
		return lint_socket(p, r, e);
	return r->domain == POLICY_KERNEL ? lint_kernel_rule(p, r, e) : lint_rule(p, r, e);
}

int policy_lint(const struct policy *p, struct err *e)
{
	vec_for_each(r, &p->rules)
		if (lint_any(p, r, e) < 0)
			return -e->code;
	return 0;
}
