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
#include "policy/lookup.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#define CHANGES (POLICY_WRITE | POLICY_CREATE | POLICY_UNLINK | POLICY_RENAME)

#define SONDA "" /* this program, wherever it is */

/*
 * Names without a slash are looked for in `places`. Of what sshd is made of from OpenSSH 9.8 on, sshd-session reads
 * the passwords and starts the shell.
 */
static const char *const places[] = {
	"/usr/lib/openssh",      "/usr/libexec/openssh",   "/usr/lib/ssh", "/usr/libexec",
	"/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64",       "/lib",
};

/* clang-format off */
static const struct {
	const char *subject;  /* the program that must be able to ... */
	unsigned operations;
	const char *object;
	const char *why;
} needs[] = {
	{ "/sbin/init",      POLICY_READ | POLICY_EXEC, "/usr/sbin/sshd",       "services start" },
	{ "/sbin/init",      POLICY_READ | POLICY_EXEC, "/sbin/agetty",         "the console works" },
	{ "/sbin/init",      POLICY_READ | POLICY_EXEC, "/bin/sh",              "services start" },
	{ "/sbin/init",      POLICY_READ | POLICY_EXEC, "libc.so.6",            "services start" },
	{ "/sbin/init",      POLICY_READ | POLICY_WRITE, "/dev/null",            "services start" },
	{ "/sbin/init",      POLICY_READ,               "/proc/cmdline",        "services start" },
	{ "/sbin/init",      POLICY_READ,               "/etc/passwd",          "services start" },
	{ "/sbin/agetty",    POLICY_READ | POLICY_EXEC, "/bin/login",           "the console works" },
	{ "/sbin/agetty",    POLICY_READ | POLICY_WRITE, "/dev/tty",             "the console works" },
	{ "/sbin/agetty",    POLICY_CHANGE,             "/dev/tty1",            "the console works" },
	{ "/usr/sbin/sshd",  POLICY_READ | POLICY_EXEC, "/usr/sbin/sshd",       "somebody can log in" },
	{ "/usr/sbin/sshd",  POLICY_READ | POLICY_EXEC, "sshd-session",         "somebody can log in" },
	{ "/usr/sbin/sshd",  POLICY_READ | POLICY_EXEC, "/bin/bash",            "somebody can log in" },
	{ "/usr/sbin/sshd",  POLICY_READ | POLICY_EXEC, "/bin/sh",              "somebody can log in" },
	{ "/usr/sbin/sshd",  POLICY_READ | POLICY_EXEC, "libc.so.6",            "somebody can log in" },
	{ "/usr/sbin/sshd",  POLICY_READ | POLICY_EXEC, "libcrypto.so.3",       "somebody can log in" },
	{ "/usr/sbin/sshd",  POLICY_READ | POLICY_WRITE, "/dev/null",            "somebody can log in" },
	{ "/usr/sbin/sshd",  POLICY_READ | POLICY_WRITE, "/dev/ptmx",            "somebody can log in" },
	{ "/usr/sbin/sshd",  POLICY_CHANGE,             "/dev/pts",             "somebody can log in" },
	{ "/usr/sbin/sshd",  POLICY_READ,               "/etc/passwd",          "somebody can log in" },
	{ "/usr/sbin/sshd",  POLICY_READ,               "/etc/shadow",          "somebody can log in" },
	{ "/usr/sbin/sshd",  POLICY_READ,               "/etc/ssh/sshd_config", "somebody can log in" },
	{ "/usr/sbin/sshd",  POLICY_READ,               "/etc/pam.d/sshd",      "somebody can log in" },
	{ "sshd-session",    POLICY_READ | POLICY_EXEC, "sshd-auth",            "somebody can log in" },
	{ "sshd-session",    POLICY_READ | POLICY_EXEC, "/bin/bash",            "somebody can log in" },
	{ "sshd-session",    POLICY_READ | POLICY_EXEC, "/bin/sh",              "somebody can log in" },
	{ "sshd-session",    POLICY_READ | POLICY_EXEC, "libc.so.6",            "somebody can log in" },
	{ "sshd-session",    POLICY_READ | POLICY_WRITE, "/dev/null",            "somebody can log in" },
	{ "sshd-session",    POLICY_READ | POLICY_WRITE, "/dev/ptmx",            "somebody can log in" },
	{ "sshd-session",    POLICY_CHANGE,             "/dev/pts",             "somebody can log in" },
	{ "sshd-session",    POLICY_READ,               "/etc/passwd",          "somebody can log in" },
	{ "sshd-session",    POLICY_READ,               "/etc/shadow",          "somebody can log in" },
	{ "sshd-session",    POLICY_READ,               "/etc/pam.d/sshd",      "somebody can log in" },
	{ "/bin/login",      POLICY_READ | POLICY_EXEC, "/bin/bash",            "somebody can log in" },
	{ "/bin/login",      POLICY_READ | POLICY_EXEC, "libc.so.6",            "somebody can log in" },
	{ "/bin/login",      POLICY_READ | POLICY_EXEC, "libpam.so.0",          "somebody can log in" },
	{ "/bin/login",      POLICY_CHANGE,             "/dev/tty1",            "somebody can log in" },
	{ "/bin/login",      POLICY_READ,               "/etc/passwd",          "somebody can log in" },
	{ "/bin/login",      POLICY_READ,               "/etc/shadow",          "somebody can log in" },
	{ "/bin/login",      POLICY_READ,               "/etc/pam.d/login",     "somebody can log in" },
	{ "/bin/login",      POLICY_READ,               "/etc/pam.d/common-auth", "somebody can log in" },
	{ "/usr/bin/su",     POLICY_READ | POLICY_EXEC, "/bin/bash",            "somebody can become root" },
	{ "/usr/bin/su",     POLICY_READ | POLICY_EXEC, "libpam.so.0",          "somebody can become root" },
	{ "/usr/bin/su",     POLICY_READ,               "/etc/shadow",          "somebody can become root" },
	{ "/usr/bin/su",     POLICY_READ,               "/etc/pam.d/su",        "somebody can become root" },
	{ "/usr/bin/sudo",   POLICY_READ | POLICY_EXEC, "/bin/bash",            "somebody can become root" },
	{ "/usr/bin/sudo",   POLICY_READ,               "/etc/sudoers",         "somebody can become root" },
	{ "/usr/bin/sudo",   POLICY_READ,               "/etc/pam.d/sudo",      "somebody can become root" },
	{ "/usr/bin/passwd", POLICY_READ | CHANGES,     "/etc/shadow",          "passwords can be changed" },
	{ "/bin/bash",       POLICY_READ | POLICY_EXEC, "ld-linux-x86-64.so.2", "programs start" },
	{ "/bin/bash",       POLICY_READ | POLICY_EXEC, "ld-linux-aarch64.so.1", "programs start" },
	{ "/bin/bash",       POLICY_READ | POLICY_EXEC, "libc.so.6",            "programs start" },
	{ "/bin/bash",       POLICY_READ | POLICY_EXEC, "libtinfo.so.6",        "programs start" },
	{ "/bin/bash",       POLICY_READ | POLICY_WRITE, "/dev/null",            "programs start" },
	{ "/bin/bash",       POLICY_READ | POLICY_WRITE, "/dev/tty",             "programs start" },
	{ "/bin/bash",       POLICY_READ | POLICY_EXEC, "/usr/bin/sudo",        "somebody can become root" },
	{ "/bin/bash",       POLICY_READ | POLICY_EXEC, SONDA,                  "`sonda policy off` works" },
	{ "/bin/sh",         POLICY_READ | POLICY_EXEC, "libc.so.6",            "programs start" },
	{ "/bin/sh",         POLICY_READ | POLICY_EXEC, SONDA,                  "`sonda policy off` works" },
	{ "/usr/sbin/cron",  POLICY_READ | POLICY_EXEC, "/bin/sh",              "jobs of users run" },
	{ "/usr/bin/apt-get", POLICY_READ | POLICY_EXEC, "/usr/bin/dpkg",        "packages can be installed" },
	{ "/usr/bin/dpkg",   POLICY_READ | POLICY_EXEC, "/bin/sh",              "packages can be installed" },
	{ "/usr/bin/dpkg",   POLICY_READ | CHANGES,     "/var/lib/dpkg/status", "packages can be installed" },
	{ "/usr/bin/dpkg",   POLICY_READ | CHANGES,     "/usr/bin/dpkg",        "packages can be installed" },
	{ "/usr/bin/dpkg",   POLICY_READ | CHANGES,     "/usr/sbin/sshd",       "packages can be installed" },
	{ "/usr/bin/rpm",    POLICY_READ | CHANGES,     "/usr/bin/rpm",         "packages can be installed" },
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
	{ "sshd-session",       "0",    POLICY_SETUID,                 OBJECT_TO,         "65534",     "become another user",            "somebody can log in" },
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
	{ "sshd-session",       "0",    POLICY_USE,                    OBJECT_CAPABILITY, "setuid",    "use CAP_SETUID",                 "somebody can log in" },
	{ "sshd-session",       "0",    POLICY_USE,                    OBJECT_CAPABILITY, "setgid",    "use CAP_SETGID",                 "somebody can log in" },
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
	char below[PATH_MAX];

	if (str_eq(path, SONDA))
		return proc_self_exe(out, &ignored) == 0;
	if (*path == '/')
		return realpath(path, out);
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (path_join(below, places[i], path, &ignored) == 0 && realpath(below, out))
			return true;
	return false;
}

struct ancestors {
	struct lookup *files;
	bool found;
};

static int on_ancestor(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct ancestors *a = ctx;
	char subject[PATH_MAX];

	(void)at, (void)e;
	for (size_t i = 0; i < ARRAY_LEN(needs); i++)
		a->found |= lint_resolve(needs[i].subject, subject) &&
			    lookup_same(a->files, subject, text);
	return 0;
}

/* Is the rule one about certain cgroups only, or about what descends from programs that nobody who must get at
 * something does? */
static int only_some(const struct lint *l, const struct policy_rule *r, bool *ret, struct err *e)
{
	vec_for_each(c, &r->clauses) {
		struct ancestors all = { .files = l->files };

		if (c->unless)
			continue;
		if (c->word->word == WORD_ANCESTOR &&
		    policy_each(l->policy, &c->values, on_ancestor, &all, e) < 0)
			return -e->code;
		*ret |= c->word->word == WORD_CGROUP ||
			(c->word->word == WORD_ANCESTOR && !all.found);
	}
	return 0;
}

/* In a cgroup that is not known, of a line that is not known: a condition about that spares nobody and saves
 * nobody. */
int lint_denies(const struct lint *l, const struct policy_rule *r, struct policy_question q,
		bool *ret_denies, struct err *e)
{
	struct policy_judged judged;
	bool some = false;

	q.accounts = l->accounts;
	q.files = l->files;
	if (policy_judge(l->policy, r, &q, &judged, e) < 0 || only_some(l, r, &some, e) < 0)
		return -e->code;
	*ret_denies = judged.answer == ANSWER_YES || (judged.answer == ANSWER_UNKNOWN && !some);
	return 0;
}

static int locks_out(const struct lint *l, const struct policy_rule *r, const char *subject,
		     const char *must, const char *what, const char *why, struct err *e)
{
	fail_as(e, EXIT_POLICY, EPERM, "rule '%s' would lock you out: %s must %s%s, so that %s",
		r->name, subject, must, what, why);
	hint(e, "`unless exe in %s` spares it; `mode audit` tells what a rule would refuse",
	     subject);
	return policy_wrap(l->policy, r->at, e);
}

static int lint_kernel_rule(const struct lint *l, const struct policy_rule *r, struct err *e)
{
	char subject[PATH_MAX];
	bool denied;

	for (size_t i = 0; i < ARRAY_LEN(kernel_needs); i++) {
		struct policy_question q = { .domain = POLICY_KERNEL,
					     .operations = kernel_needs[i].operations,
					     .exe = subject,
					     .user = kernel_needs[i].user };

		if (!(q.operations & r->operations) ||
		    (r->object && r->object->object != kernel_needs[i].object) ||
		    !lint_resolve(kernel_needs[i].subject, subject))
			continue;
		q.of[kernel_needs[i].object] = kernel_needs[i].what;
		if (lint_denies(l, r, q, &denied, e) < 0)
			return -e->code;
		if (denied)
			return locks_out(l, r, subject, kernel_needs[i].words, "",
					 kernel_needs[i].why, e);
	}
	return 0;
}

/* "under" what is no directory would be about nothing. */
static int on_directory(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct stat st;

	if (stat(text, &st) != 0 || S_ISDIR(st.st_mode))
		return 0;
	fail_as(e, EXIT_POLICY, ENOTDIR, "'%s' is no directory that something could be under",
		text);
	hint(e, "`of file %s` is about the file itself", text);
	return policy_wrap(*(const struct policy *const *)ctx, at, e);
}

static int lint_file_rule(const struct lint *l, const struct policy_rule *r, struct err *e)
{
	char subject[PATH_MAX], object[PATH_MAX];
	struct policy_question q = { .of[OBJECT_FILE] = object, .exe = subject, .user = "0" };
	bool denied;

	for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
		if (!(needs[i].operations & r->operations) ||
		    !lint_resolve(needs[i].subject, subject) ||
		    !lint_resolve(needs[i].object, object))
			continue;
		q.operations = needs[i].operations;
		if (lint_denies(l, r, q, &denied, e) < 0)
			return -e->code;
		if (denied)
			return locks_out(l, r, subject, "get at ", object, needs[i].why, e);
	}
	return 0;
}

static int lint_rule(const struct lint *l, const struct policy_rule *r, struct err *e)
{
	static int (*const lints[POLICY_DOMAINS])(const struct lint *, const struct policy_rule *,
						  struct err *) = {
		[POLICY_FILE] = lint_file_rule,
		[POLICY_KERNEL] = lint_kernel_rule,
		[POLICY_SOCKET] = lint_socket,
	};

	const struct policy *p = l->policy;

	if (r->under && policy_each(p, &r->objects, on_directory, &p, e) < 0)
		return -e->code;
	if (r->verdict != POLICY_DENY || policy_rule_audits(r))
		return 0;
	return lints[r->domain](l, r, e);
}

int policy_lint(const struct policy *p, struct err *e)
{
	auto_ptr(accounts) accounts = accounts_new(ACCOUNTS_PATH);
	auto_ptr(lookup) files = lookup_new();
	const struct lint lint = { p, accounts, files };

	vec_for_each(r, &p->rules)
		if (lint_rule(&lint, r, e) < 0)
			return -e->code;
	return 0;
}
