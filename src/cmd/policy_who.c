/* SPDX-License-Identifier: BSD-2-Clause */
/* What /proc tells of a process that a rule may ask about. */
#include "cmd/policy_who.h"

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/passwd.h"
#include "base/strbuf.h"
#include "policy/judge.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_MAX_LENGTH = 1000 };

/* The program's path, also of one that was removed since; NULL: a kernel thread, or not ours to see. */
static char *exe_of(uint32_t pid)
{
	static const char gone[] = " (deleted)";
	char link[64], path[PATH_MAX];
	ssize_t len;

	str_format(link, sizeof(link), "/proc/%u/exe", pid);
	len = readlink(link, path, sizeof(path) - 1);
	if (len <= 0 || *path != '/')
		return NULL;
	path[len] = '\0';
	if (str_endswith(path, gone))
		path[(size_t)len - strlen(gone)] = '\0';
	return xstrdup(path);
}

/* A file of the process; NULL: it is gone. */
static char *text_of(uint32_t pid, const char *file)
{
	char path[64], *text = NULL;
	struct err ignored;

	str_format(path, sizeof(path), "/proc/%u/%s", pid, file);
	return file_read(path, &text, NULL, &ignored) < 0 ? NULL : text;
}

/* "Uid:\t0\t0..." is 0. */
static uint32_t number_in(const char *status, const char *key)
{
	const char *at = strstr(status, key);
	unsigned n = 0;

	return at && sscanf(at + strlen(key), " %u", &n) == 1 ? n : 0;
}

/* "0::/system.slice/x.service" */
static char *cgroup_of(uint32_t pid)
{
	auto_free char *text = text_of(pid, "cgroup");
	const char *at = text ? strstr(text, "0::/") : NULL;

	return at ? xstrndup(at + 3, strcspn(at + 3, "\n")) : NULL;
}

/* tty_nr is the fifth word behind the name, which may hold blanks and brackets. */
static bool terminal_of(uint32_t pid)
{
	auto_free char *text = text_of(pid, "stat");
	const char *at = text ? strrchr(text, ')') : NULL;
	int tty = 0;

	return at && sscanf(at + 1, " %*c %*d %*d %*d %d", &tty) == 1 && tty != 0;
}

static void line_fill(struct policy_who *who, uint32_t pid)
{
	for (unsigned n = 0; pid && n < LINE_MAX_LENGTH; n++) {
		auto_free char *exe = exe_of(pid), *status = text_of(pid, "status");

		if (exe && !strlist_has(&who->line, exe))
			strlist_add(&who->line, exe);
		pid = status ? number_in(status, "\nPPid:") : 0;
	}
}

/* A user whom nobody has is a slip. */
static int user_check(const char *user, struct err *e)
{
	auto_ptr(accounts) accounts = accounts_new(ACCOUNTS_PATH);
	struct strlist names = { 0 };
	uint32_t uid;

	if (!user || user_id(accounts, user, &uid))
		return 0;
	user_names(accounts, &names);
	(void)name_missing("user", user, &names, e);
	e->exit_class = EXIT_USAGE;
	strlist_done(&names);
	return -e->code;
}

int policy_who_fill(struct policy_who *who, struct err *e)
{
	auto_free char *status = who->pid ? text_of(who->pid, "status") : NULL;

	if (user_check(who->user, e) < 0)
		return -e->code;
	if (who->pid && !status)
		return fail(e, ESRCH, "there is no process %u", who->pid);
	if (who->exe && *who->exe != '/')
		return fail_as(e, EXIT_USAGE, EINVAL, "--exe '%s': expected an absolute path",
			       who->exe);
	if (!who->pid)
		return 0;
	who->own_exe = exe_of(who->pid);
	who->own_user = xasprintf("%u", number_in(status, "\nUid:"));
	who->own_cgroup = cgroup_of(who->pid);
	who->terminal = terminal_of(who->pid);
	line_fill(who, number_in(status, "\nPPid:"));
	return 0;
}

void policy_who_done(struct policy_who *who)
{
	free(who->own_exe);
	free(who->own_user);
	free(who->own_cgroup);
	strlist_done(&who->line);
}

void policy_who_ask(const struct policy_who *who, struct policy_question *q)
{
	q->exe = who->exe ?: who->own_exe;
	q->user = who->user ?: who->own_user;
	q->cgroup = who->cgroup ?: who->own_cgroup;
	q->ancestor = who->ancestor;
	q->line = &who->line;
	q->terminal_known = who->pid;
	q->terminal = who->terminal;
}

void policy_who_tell(const struct policy_who *who, struct strbuf *out)
{
	strbuf_appendf(out, "%u: %s, user %s, cgroup %s, %s terminal", who->pid,
		       who->own_exe ?: "its program isn't known", who->own_user,
		       who->own_cgroup ?: "not known", who->terminal ? "with a" : "no");
	for (size_t i = 0; i < who->line.len; i++)
		strbuf_appendf(out, "%s%s", i ? ", " : ", below ", who->line.at[i]);
	strbuf_putc(out, '\n');
}
